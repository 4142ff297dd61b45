"""The command `helmetwatch outbox`: what the desk refused, and how to send it again."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import click

from app.services import config_option, fail, read_config
from ingest.outbox import Outbox, Refused, send_again


@click.command()
@click.argument("ids", type=int, nargs=-1, metavar="[ID]...")
@click.option("--resend", is_flag=True, help="Send it to the desk again: all of it, or what the IDs say.")
@config_option
def outbox(ids: tuple[int, ...], resend: bool, config_path: Path | None) -> None:
    """List the detections and events that the desk refused, by the ID that the worker's log gives.

    Run it where the worker's journal is; the worker may run meanwhile. Nothing that was refused is ever deleted. Once
    the cause is mended (a desk of another version, say), --resend puts it at the end of what waits for the desk.
    """
    path = Path(read_config(config_path).ingest.journal.path)
    if not path.is_file():
        raise fail(f"there is no journal at {path} (ingest.journal.path): run this where the worker runs")
    if ids and not resend:
        raise fail("IDs go with --resend")
    try:
        refused = _refused(path)
        if unknown := sorted(set(ids) - {each.id for each in refused}):
            raise fail(f"not refused: {', '.join(map(str, unknown))}")
        if resend:
            click.echo(f"{send_again(path, ids or None)} wait for the desk again")
            return
    except sqlite3.Error as error:
        raise fail(f"the journal {path} cannot be used: {error}") from None
    for each in refused:
        at = datetime.fromtimestamp(each.at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        click.echo(f"{each.id}  {at}  {each.kind}  {each.key}")
    if not refused:
        click.echo("the desk has refused nothing")


def _refused(path: Path) -> list[Refused]:
    outbox = Outbox(path)
    try:
        return outbox.refused()
    finally:
        outbox.close()
