"""The command `helmetwatch`."""

import importlib.metadata

import click

from app import logs, reconcile, registers, services
from app.check import check
from app.demo import demo
from app.evaluate import evaluate
from app.forget_telemetry import forget_telemetry
from app.observe import observe
from app.replay import replay
from app.simulate import simulate
from bench.command import bench


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(importlib.metadata.version("helmetwatch"), prog_name="helmetwatch")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def main(verbose: bool) -> None:
    """Crash detection and alert desk for people who ride for a living.

    Begin with `helmetwatch demo`: a broker, a worker, the desk and a simulated fleet on this machine.
    """
    logs.configure(verbose=verbose)


for _command in (
    demo,
    services.worker,
    services.desk,
    services.user,
    observe,
    forget_telemetry,
    simulate,
    replay,
    evaluate,
    reconcile.command,
    registers.import_,
    registers.forget,
    check,
    bench,
):
    main.add_command(_command)


if __name__ == "__main__":
    main()
