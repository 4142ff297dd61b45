"""The commands that run one service: `worker` and `desk`, and `user`, which says who may sign in."""

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

import click

from app import health, samples
from core.clock import SystemClock
from core.config import Config, ConfigError, load, secret
from ingest.journal_file import JournalError
from ingest.worker import Worker
from web import desk as web_desk
from web.accounts import AccountError, Accounts, Role

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


def clock_of(config: Config) -> SystemClock:
    """The clock the configuration asks for."""
    return SystemClock(config.time.scale, config.time.origin_us)


@click.command()
@config_option
def worker(config_path: Path | None) -> None:
    """Listen to the broker, detect crashes, hand them to the desk and telemetry to the store."""
    config = read_config(config_path)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        token = secret("HELMETWATCH_DESK_TOKEN", config.web.token_file)
        web_desk.check_token(token)
        service = Worker(config, clock_of(config), token)
    except ConfigError as error:
        raise fail(*error.faults) from None
    except JournalError as error:
        raise fail(str(error)) from None
    server = None
    if config.ingest.metrics_port:
        try:
            server = health.serve(config.ingest.metrics_port, service.ready)
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
    sys.stdout.flush()
    # Library threads may still hold the interpreter; everything of ours is durable and closed.
    os._exit(code)


@click.command()
@config_option
def desk(config_path: Path | None) -> None:
    """Run the alert desk: the alert book, the live feed and the page."""
    config = read_config(config_path)
    try:
        token = secret("HELMETWATCH_DESK_TOKEN", config.web.token_file)
        asyncio.run(
            web_desk.run(
                config,
                clock_of(config),
                token,
                samples=samples.reader(config.storage),
                listening=lambda url: click.echo(f"desk: {url}"),
            )
        )
    except ConfigError as error:
        raise fail(*error.faults) from None


@click.group()
def user() -> None:
    """Say who may sign in at the desk."""


_A = {Role.OPERATOR: "an operator", Role.SUPERVISOR: "a supervisor"}


def _accounts(config_path: Path | None) -> Accounts:
    return Accounts(Path(read_config(config_path).alerts.path))


@user.command("add")
@click.argument("name")
@click.option("--display-name", default="", help="Name shown on alerts; without it NAME.")
@click.option(
    "--role",
    type=click.Choice(list(Role)),
    default=Role.OPERATOR,
    show_default=True,
    help="What NAME may do.",
)
@config_option
def add(name: str, display_name: str, role: str, config_path: Path | None) -> None:
    """Make an account for NAME and print its password, once.

    An operator does everything that alerts need; a supervisor also silences helmets, runs drills and tests of channels,
    exports the history, reads raw samples, and replaces the files of riders and places.
    """
    try:
        click.echo(_accounts(config_path).add(name, display_name, Role(role)))
    except AccountError as error:
        raise fail(str(error)) from None
    # Not into what scripts read: that is the password alone.
    click.echo(f"{name} is {_A[Role(role)]}", err=True)


@user.command("role")
@click.argument("name")
@click.argument("role", type=click.Choice(list(Role)))
@config_option
def role(name: str, role: str, config_path: Path | None) -> None:
    """Make NAME an operator or a supervisor, which counts at once."""
    try:
        _accounts(config_path).give(name, Role(role))
    except AccountError as error:
        raise fail(str(error)) from None
    click.echo(f"{name} is {_A[Role(role)]} now")


@user.command("list")
@config_option
def list_(config_path: Path | None) -> None:
    """Say who may sign in, by name, role and the name shown on alerts."""
    known = _accounts(config_path).all()
    for name, display_name, role in known:
        click.echo(f"{name}  {role}  {display_name}")
    if not known:
        click.echo("nobody may sign in yet: helmetwatch user add NAME --role supervisor")


@user.command("renew")
@click.argument("name")
@config_option
def renew(name: str, config_path: Path | None) -> None:
    """Give NAME a new password, print it once, and sign NAME out everywhere."""
    try:
        click.echo(_accounts(config_path).renew(name))
    except AccountError as error:
        raise fail(str(error)) from None


@user.command("remove")
@click.argument("name")
@config_option
def remove(name: str, config_path: Path | None) -> None:
    """Close the account of NAME; what NAME did stays in the book."""
    try:
        _accounts(config_path).remove(name)
    except AccountError as error:
        raise fail(str(error)) from None
