"""The command `desk`, and `user`, which says who may sign in there."""

import asyncio
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

import click

from app import samples
from app.services import clock_of, command_line, config_option, fail, read_config
from core.config import Config, ConfigError, secret
from ingest.heartbeat import Heartbeat
from web import desk as web_desk
from web.accounts import AccountError, Accounts, Role
from web.audit import Audit


@click.command()
@config_option
def desk(config_path: Path | None) -> None:
    """Run the alert desk: the alert book, the live feed and the page."""
    config = read_config(config_path)
    try:
        token = secret("HELMETWATCH_DESK_TOKEN", config.web.token_file)
        asyncio.run(_run(config, token))
    except ConfigError as error:
        raise fail(*error.faults) from None


async def _run(config: Config, token: str) -> None:
    await web_desk.run(
        config,
        clock_of(config),
        token,
        samples=samples.reader(config.storage),
        listening=lambda url: _listening(config, url),
    )
    sys.stdout.flush()
    # A service or a name look-up that hangs may still hold a thread; everything of ours is durable and closed.
    os._exit(0)


def _listening(config: Config, url: str) -> None:
    click.echo(f"desk: {url}")
    if config.web.heartbeat_url:
        Heartbeat(config.web.heartbeat_url, config.web.heartbeat_s, lambda: _trouble(url)).start()


def _trouble(url: str) -> str:
    """What keeps alerts from getting through, asked the way that workers and people ask: a hung desk is silent."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5):  # noqa: S310  # our own
            return ""
    except urllib.error.HTTPError as error:
        return f"not ready: {error.code}"
    except (OSError, ValueError) as error:
        return f"no answer: {type(error).__name__}"


@click.group()
def user() -> None:
    """Say who may sign in at the desk."""


_A = {Role.OPERATOR: "an operator", Role.SUPERVISOR: "a supervisor"}


def _accounts(config_path: Path | None) -> Accounts:
    return Accounts(Path(read_config(config_path).alerts.path))


def _noted(config_path: Path | None, **detail: str) -> None:
    """Who may do what is part of the audit: supervisors see who changed it."""
    config = read_config(config_path)
    audit = Audit(Path(config.alerts.path))
    audit.add(clock_of(config).now_us(), command_line(), "", "account", detail, None)
    audit.close()


@user.command("add")
@click.argument("name")
@click.option("--display-name", default="", help="Name shown on alerts; without it NAME.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.OPERATOR.value,
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
        _noted(config_path, name=name, did="add", role=role)
    except AccountError as error:
        raise fail(str(error)) from None
    # Not into what scripts read: that is the password alone.
    click.echo(f"{name} is {_A[Role(role)]}", err=True)


@user.command("role")
@click.argument("name")
@click.argument("role", type=click.Choice([role.value for role in Role]))
@config_option
def role(name: str, role: str, config_path: Path | None) -> None:
    """Make NAME an operator or a supervisor, which counts at once."""
    try:
        _accounts(config_path).give(name, Role(role))
        _noted(config_path, name=name, did="role", role=role)
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
        _noted(config_path, name=name, did="renew")
    except AccountError as error:
        raise fail(str(error)) from None


@user.command("remove")
@click.argument("name")
@config_option
def remove(name: str, config_path: Path | None) -> None:
    """Close the account of NAME; what NAME did stays in the book."""
    try:
        _accounts(config_path).remove(name)
        _noted(config_path, name=name, did="remove")
    except AccountError as error:
        raise fail(str(error)) from None
