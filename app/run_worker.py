"""The command `worker`."""

import os
import signal
import sys
import threading
from pathlib import Path

import click

from app import health, stopping
from app.services import clock_of, config_option, fail, read_config
from core.config import ConfigError, secret
from ingest.client_id import claim
from ingest.journal_file import JournalError
from ingest.worker import Worker
from web.worker_token import check_token

_SWITCH_S = 0.0005
"""How long a thread may keep the interpreter from another: with Python's 5 ms, a thread that makes lines for the store
doubles the turns of the loop that looks for crashes (p99 75 to 150 ms at 2,000 helmets and 8,000 rows/s; now 76)."""


@click.command()
@config_option
def worker(config_path: Path | None) -> None:
    """Listen to the broker, detect crashes, hand them to the desk and telemetry to the store."""
    config = read_config(config_path)
    sys.setswitchinterval(_SWITCH_S)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stopping.gone_within(stop)
    try:
        token = secret("HELMETWATCH_DESK_TOKEN", config.web.token_file)
        check_token(token)
        name = claim(config.ingest)
        service = Worker(config, clock_of(config), token)
    except ConfigError as error:
        raise fail(*error.faults) from None
    except JournalError as error:
        raise fail(str(error)) from None
    server = None
    if config.ingest.metrics_port:
        try:
            server = health.serve(config.ingest.metrics_port, service.ready, service.hung)
        except OSError as error:
            raise fail(
                f"ingest.metrics_port: cannot listen on {config.ingest.metrics_port}: {error}"
            ) from None
    try:
        code = service.run(stop)
    except JournalError as error:
        # Not a clean end, but the right one: nothing unsaved was acknowledged, and the next start mends the file.
        click.echo(f"Error: {error}", err=True)
        code = 1
    if server:
        server.shutdown()
    name.close()
    sys.stdout.flush()
    # Library threads may still hold the interpreter; everything of ours is durable and closed.
    os._exit(code)
