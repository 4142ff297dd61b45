"""What the commands have in common: their configuration, their clock, and how they fail. Imports nothing heavy."""

import getpass
from pathlib import Path

import click

from core.clock import SystemClock
from core.config import Config, ConfigError, load

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file; without it config.yaml in this folder, or else the defaults.",
)


def read_config(path: Path | None) -> Config:
    """The configuration, or the end of the program with every fault in it."""
    try:
        if path is None and Path("config.yaml").is_file():
            path = Path("config.yaml")
        return load(path)
    except ConfigError as error:
        raise fail(*error.faults) from None


def fail(*lines: str) -> click.ClickException:
    """An error for a person, without a traceback."""
    return click.ClickException("\n       ".join(lines))


def command_line() -> str:
    """Who gives a command, as the trails of the desk name it."""
    return f"{getpass.getuser()} (command line)"


def clock_of(config: Config) -> SystemClock:
    """The clock the configuration asks for."""
    return SystemClock(config.time.scale, config.time.origin_us)
