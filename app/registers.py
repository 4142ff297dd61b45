"""The commands `import` and `forget`: who rides with which helmet, where help is, and whom to forget."""

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path

import click

from alerts import places, riders
from alerts.database import BookError
from alerts.retention import Retention
from app.services import config_option, fail, read_config
from core.config import ConfigError

_KEYS = {"riders": ("helmet",), "places": ("kind", "name", "lat_deg", "lon_deg")}
_CHECK: dict[str, Callable[[Path], object]] = {"riders": riders.read, "places": places.read}


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
    text, encoding = _text(file)
    given = _rows(text, file)
    old = _rows(_text(target)[0], target) if target.is_file() else []
    keys = _KEYS[what]
    before, after = {_key(row, keys): row for row in old}, {_key(row, keys): row for row in given}
    rows = [*(row for key, row in before.items() if key not in after), *given] if add else given
    fresh = target.with_name(f".{target.name}.new")
    try:
        # First as it was given, so that faults have its lines; then as it will be.
        for content in (text, _table(rows)):
            _write(fresh, content)
            _CHECK[what](fresh)
        if not dry_run:
            fresh.replace(target)
    except ConfigError as error:
        faults = [fault.replace(str(fresh), str(file)) for fault in error.faults]
        raise fail(*faults, f"nothing was changed; faults: {len(faults)}") from None
    except OSError as error:
        raise fail(f"{target}: cannot be written: {error.strerror}") from None
    finally:
        fresh.unlink(missing_ok=True)
    now = {_key(row, keys): row for row in rows}
    added, gone = len(now.keys() - before.keys()), len(before.keys() - now.keys())
    changed = sum(_cells(now[key]) != _cells(before[key]) for key in now.keys() & before.keys())
    if encoding != "utf-8-sig":
        click.echo(f"{file} is not UTF-8; it was read as {encoding.upper()}: look at a name or two")
    click.echo(
        f"{'would be' if dry_run else 'now'} {len(now)} {what}: "
        f"{added} new, {changed} changed, {gone} gone, {len(now) - added - changed} as before"
    )


def _text(path: Path) -> tuple[str, str]:
    """The text of a file and its encoding. Raises `ClickException` where it is in neither of the two."""
    raw = path.read_bytes()
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    raise fail(f"{path}: is neither UTF-8 nor GB18030 text: save it as CSV UTF-8")


def _rows(text: str, path: Path) -> list[dict[str, str]]:
    """The lines of a file by column; faults in them are for `_CHECK` to find."""
    reader = csv.reader(text.splitlines())
    try:
        header = [cell.strip() for cell in next(reader, [])]
        return [dict(zip(header, map(str.strip, row), strict=False)) for row in reader if any(row)]
    except csv.Error as error:
        raise fail(f"{path}:{reader.line_num}: not CSV: {error}") from None


def _table(rows: list[dict[str, str]]) -> str:
    columns = list(dict.fromkeys(column for row in reversed(rows) for column in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _write(path: Path, text: str) -> None:
    # Names and telephone numbers: for the desk's user alone.
    with os.fdopen(
        os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)


def _key(row: dict[str, str], columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(row.get(column, "") for column in columns)


def _cells(row: dict[str, str]) -> dict[str, str]:
    """What a line says: an empty cell and a column that is not there are the same."""
    return {column: cell for column, cell in row.items() if cell}


@click.command()
@click.argument("name")
@click.option("--phone", required=True, help="The rider's telephone number as the riders file has it.")
@config_option
def forget(name: str, phone: str, config_path: Path | None) -> None:
    """Forget the rider NAME in every closed alert: name, number, helmet, place, trace, texts. The alerts still count.

    Also that NAME was asked to help somebody. What colleagues wrote about NAME into other people's alerts cannot be
    found. Take NAME out of the riders file too (helmetwatch import). The desk may run meanwhile.
    """
    try:
        book = Retention(Path(read_config(config_path).alerts.path))
    except BookError as error:
        raise fail(str(error)) from None
    forgotten, live, helmets = book.person(name, phone)
    book.close()
    click.echo(f"{forgotten} alerts have been forgotten")
    if helmets:
        click.echo(
            f"helmets of {name}, for the telemetry (helmetwatch forget-telemetry): {', '.join(helmets)}"
        )
    if live:
        raise fail(f"{len(live)} alerts are not closed yet; close them and say it again: {', '.join(live)}")
