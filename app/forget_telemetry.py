"""The command `helmetwatch forget-telemetry`: a helmet's rows and raw samples leave the telemetry store."""

from pathlib import Path

import click

from app.services import config_option, fail, read_config
from core.config import ConfigError
from storage import StoreError, open_store


@click.command()
@click.argument("helmet")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
def forget_telemetry(helmet: str, yes: bool, config_path: Path | None) -> None:
    """Delete all telemetry and raw samples of HELMET from the telemetry store, whoever rode with it.

    The worker may run meanwhile; what still waits in its journal is stored after that, so say it again once nothing
    waits. Alerts are not touched: `helmetwatch forget` does that, by rider. InfluxDB 3 cannot delete single helmets.
    """
    storage = read_config(config_path).storage
    if storage.kind == "embedded" and not Path(storage.embedded.path).is_file():
        raise fail(f"there is no telemetry store at {storage.embedded.path} (storage.embedded.path)")
    if not yes:
        click.confirm(f"Delete all telemetry and raw samples of {helmet}?", abort=True)
    try:
        store = open_store(storage)
        try:
            deleted = store.forget(helmet)
        finally:
            store.close()
    except (StoreError, ConfigError) as error:
        raise fail(str(error)) from None
    what = "everything" if deleted is None else f"{deleted} rows and samples"
    click.echo(f"{what} of {helmet} deleted")
