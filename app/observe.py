"""The command `helmetwatch observe`: which helmets' raw samples are kept, and who said so."""

import re
from datetime import UTC, datetime
from pathlib import Path

import click

from alerts.database import BookError
from app.services import clock_of, command_line, config_option, fail, read_config
from web.observations import HOURS_MAX, Entry, ObservationError, Observations


@click.command()
@click.argument("helmet", required=False)
@click.option("--for", "lasting", default="2h", show_default=True, help="How long: 90m, 2h; 24h at most.")
@click.option("--stop", is_flag=True, help="End the observation of HELMET.")
@config_option
def observe(helmet: str | None, lasting: str, stop: bool, config_path: Path | None) -> None:
    """Keep every raw sample of HELMET for a time; without HELMET, list what is under observation.

    Run it where the desk's alert book is. The desk need not run; workers hear of it seconds after it does. Who gave
    the command, and when, stays in the alert book.
    """
    config = read_config(config_path)
    path, now_us = Path(config.alerts.path), clock_of(config).now_us()
    if not path.is_file():
        raise fail(f"there is no alert book at {path} (alerts.path): run this where the desk runs")
    if stop and helmet is None:
        raise fail("--stop needs the helmet")
    by = command_line()
    try:
        observations = Observations(path)
        try:
            if helmet is None:
                _list(observations.current(now_us))
            elif stop:
                ended = observations.end(helmet, by, now_us)
                click.echo(f"{helmet} is no longer under observation" if ended else f"{helmet} was not")
            else:
                until_us = now_us + seconds(lasting) * 1_000_000
                observations.begin(helmet, until_us, by, now_us)
                click.echo(f"{helmet} is under observation until {_time(until_us)}")
        finally:
            observations.close()
    except (ObservationError, BookError) as error:
        raise fail(str(error)) from None


def seconds(text: str) -> int:
    """The length of `90m`, `2h` or `1h30m`."""
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text.strip().lower())
    length = (
        sum(int(n or 0) * unit for n, unit in zip(parts.groups(), (3600, 60, 1), strict=True)) if parts else 0
    )
    if not 60 <= length <= HOURS_MAX * 3600:
        raise fail(f"--for {text}: give a time such as 90m or 2h, from 1m to {HOURS_MAX}h")
    return length


def _list(entries: list[Entry]) -> None:
    for entry in entries:
        click.echo(f"{entry.helmet}  until {_time(entry.until_us)}, since {_time(entry.at_us)} by {entry.by}")
    if not entries:
        click.echo("no helmet is under observation")


def _time(t_us: int) -> str:
    return datetime.fromtimestamp(t_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
