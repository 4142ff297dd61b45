"""The commands `import` and `forget`: who rides with which helmet, where help is, and whom to forget."""

import time
from datetime import UTC
from pathlib import Path

import click

from alerts import riders, taking
from alerts.database import BookError
from alerts.retention import Retention
from alerts.riding import RidingBook, RidingError, beside
from app.services import clock_of, command_line, config_option, fail, read_config
from core.config import ConfigError
from web.audit import Audit

SETTLE_TRIES = 15
SETTLE_PAUSE_S = 0.5


@click.command("import")
@click.argument("what", type=click.Choice(["riders", "places"]))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--add", is_flag=True, help="Keep the lines of the present file that FILE does not replace.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@config_option
def import_(what: str, file: Path, add: bool, dry_run: bool, config_path: Path | None) -> None:
    """Take a CSV file of riders, or of places (rider stations and AEDs), into use.

    Every fault is told with its line, and then nothing is changed. A running desk has the new file within seconds.
    UTF-8 and GB18030 (what Chinese spreadsheets save) are read; docs/api.md has the columns.
    """
    config = read_config(config_path).alerts
    name = config.riders_file if what == "riders" else config.places_file
    if not name:
        raise fail(f"alerts.{what}_file names no file: say there where the desk looks for {what}")
    target = Path(name)
    try:
        found = taking.plan(what, file.read_bytes(), str(file), target, add=add)
        if not dry_run:
            taking.put(found.text, target, Path(config.path))
    except ConfigError as error:
        raise fail(*error.faults, f"nothing was changed; faults: {len(error.faults)}") from None
    except OSError as error:
        raise fail(f"{target}: cannot be written: {error.strerror}") from None
    added, changed, gone = len(found.added), len(found.changed), len(found.gone)
    if found.encoding != "utf-8-sig":
        click.echo(f"{file} is not UTF-8; it was read as {found.encoding.upper()}: look at a name or two")
    click.echo(
        f"{'would be' if dry_run else 'now'} {found.rows} {what}: "
        f"{added} new, {changed} changed, {gone} gone, {found.rows - added - changed} as before"
    )


@click.command()
@click.argument("name")
@click.option("--phone", required=True, help="The rider's telephone number as the riders file has it.")
@config_option
def forget(name: str, phone: str, config_path: Path | None) -> None:
    """Forget the rider NAME in every closed alert: name, number, helmet, place, trace, texts. The alerts still count.

    Also how long NAME's helmets were ridden, that NAME was asked to help somebody and, once no alert names NAME's
    helmet any more, what is known by the helmet: what was said with it, its observations, its id in silences, notes and
    the audit. What colleagues wrote about NAME by name into other people's alerts cannot be found. Take NAME out of the
    riders file too (helmetwatch import). The desk may run meanwhile.
    """
    whole = read_config(config_path)
    config, path = whole.alerts, Path(whole.alerts.path)
    try:
        book = Retention(path)
    except BookError as error:
        raise fail(str(error)) from None
    try:
        found = book.person(name, phone, _ridden(config.riders_file, name, phone))
        # By whom, and not whom.
        Audit(path).add(clock_of(whole).now_us(), command_line(), "", "forgotten", {}, found.alerts)
        settled = _settle(book)
    except ConfigError as error:
        raise fail(*error.faults, "nothing was forgotten") from None
    finally:
        book.close()
    click.echo(f"{found.alerts} alerts have been forgotten")
    if found.helmets:
        click.echo(
            f"helmets of {name}, for the telemetry (helmetwatch forget-telemetry): {', '.join(found.helmets)}"
        )
    if found.shared:
        click.echo(
            "what is known by the helmet alone (what was said with it, observations, silences) stays while alerts that "
            f"are open or somebody else's name it: {', '.join(found.shared)}"
        )
    faults = _forget_riding(path, found.helmets)
    if found.live:
        faults.append(
            f"{len(found.live)} alerts are not closed yet; close them and say it again: {', '.join(found.live)}"
        )
    if not settled:
        faults.append(
            f"{path}-wal still holds what was forgotten, because somebody has been reading the book: say it again"
        )
    if faults:
        raise fail(*faults)


def _settle(book: Retention) -> bool:
    """Waits for whoever reads the book, in short steps: the desk writes between them."""
    for _ in range(SETTLE_TRIES):
        if book.settle():
            return True
        time.sleep(SETTLE_PAUSE_S)
    return False


def _ridden(riders_file: str, name: str, phone: str) -> list[str]:
    """Helmets that the riders file gives this rider; a rider without an alert has helmets too."""
    if not riders_file or not Path(riders_file).is_file():
        return []
    known = riders.read(Path(riders_file)).riders
    return [helmet for helmet, rider in known.items() if (rider.name, rider.phone) == (name, phone)]


def _forget_riding(book: Path, helmets: list[str]) -> list[str]:
    """Forgets how long helmets were ridden, also where somebody else rides them by now; what went wrong."""
    path = beside(book)
    if not helmets or not path.exists():
        return []
    riding = RidingBook(path, UTC)
    try:
        days = riding.forget(helmets)
    except RidingError as error:
        return [f"how long the helmets were ridden is not forgotten, say it again: {error}"]
    finally:
        riding.close()
    click.echo(f"{days} days of riding have been forgotten")
    return []
