"""Taking a new CSV file of riders or places into use: what would change, every fault with its line, then the file."""

import csv
import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alerts import places, riders
from core.config import ConfigError

_KEYS = {"riders": ("helmet",), "places": ("kind", "name", "lat_deg", "lon_deg")}
_SHOWN = {"riders": ("helmet", "name"), "places": ("kind", "name")}
_CHECK: dict[str, Callable[[str, str], object]] = {"riders": riders.parse, "places": places.parse}

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a file would come to hold, and how that differs from what it holds now."""

    text: str
    encoding: str
    """What the given file was read as: `utf-8-sig` or `gb18030`."""
    rows: int
    added: list[str]
    """New lines in a few words, as those that follow."""
    changed: list[str]
    """Lines that say something else, and in which columns."""
    gone: list[str]


def plan(what: str, raw: bytes, name: str, target: Path, *, add: bool) -> Plan:
    """Says what taking the file `raw` (called `name`) into use as `target` would do, and changes nothing.

    `what` is `riders` or `places`; with `add` the lines that the given file does not replace stay. Raises
    `ConfigError` with every fault and its line.
    """
    text, encoding = _text(raw, name)
    _CHECK[what](text, name)
    given = _rows(text, name)
    old = _rows(_text(target.read_bytes(), target.name)[0], target.name) if target.is_file() else []
    keys = _KEYS[what]
    before, now = {_key(row, keys): row for row in old}, {_key(row, keys): row for row in given}
    rows = [*(row for key, row in before.items() if key not in now), *given] if add else given
    content = _table(rows)
    # What was there and stays is checked as well: a file with any fault would not count.
    _CHECK[what](content, target.name)
    now = {_key(row, keys): row for row in rows}
    shown = _SHOWN[what]
    return Plan(
        text=content,
        encoding=encoding,
        rows=len(now),
        added=[_label(row, shown) for key, row in now.items() if key not in before],
        changed=[
            f"{_label(row, shown)}: {', '.join(sorted(columns))}"
            for key, row in now.items()
            if key in before and (columns := _differing(row, before[key]))
        ],
        gone=[_label(row, shown) for key, row in before.items() if key not in now],
    )


def put(text: str, target: Path, like: Path | None = None) -> None:
    """Puts a text in the place of the file, whole or not at all, and on the disk before it returns.

    Owner and mode stay those of the file it replaces. A new one (names and telephone numbers) is for its owner
    alone; as root that is the owner of the file `like`, or of the folder. Raises `OSError`, also where another user's
    file would become one that its owner cannot read.
    """
    target = target.resolve()  # What a link leads to is replaced, not the link.
    fresh = target.with_name(f".{target.name}.new")
    kept = target.stat() if target.exists() else None
    whose = kept or (like if like is not None and like.exists() else target.parent).stat()
    try:
        with os.fdopen(
            os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8"
        ) as file:
            if kept or os.geteuid() == 0:
                _own(file.fileno(), whose)
            if kept:
                os.fchmod(file.fileno(), stat.S_IMODE(kept.st_mode))
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
        _sync(target.parent)
    finally:
        fresh.unlink(missing_ok=True)


def _own(file: int, whose: os.stat_result) -> None:
    now = os.fstat(file)
    if (now.st_uid, now.st_gid) != (whose.st_uid, whose.st_gid):
        try:
            os.fchown(file, whose.st_uid, whose.st_gid)
        except PermissionError:
            # Root reads it all the same, and so do we.
            if whose.st_uid not in (0, os.geteuid()):
                raise


def _sync(folder: Path) -> None:
    """A name that has changed is on the disk only with its folder."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _text(raw: bytes, name: str) -> tuple[str, str]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    raise ConfigError([f"{name}: is neither UTF-8 nor GB18030 text: save it as CSV UTF-8"])


def _rows(text: str, name: str) -> list[Row]:
    """The lines of a file by column; faults in them are for `_CHECK` to find."""
    reader = csv.reader(text.splitlines())
    try:
        header = [cell.strip() for cell in next(reader, [])]
        return [dict(zip(header, map(str.strip, row), strict=False)) for row in reader if any(row)]
    except csv.Error as error:
        raise ConfigError([f"{name}:{reader.line_num}: not CSV: {error}"]) from None


def _table(rows: list[Row]) -> str:
    columns = list(dict.fromkeys(column for row in reversed(rows) for column in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _key(row: Row, columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(row.get(column, "") for column in columns)


def _label(row: Row, columns: tuple[str, ...]) -> str:
    return " ".join(row.get(column, "") for column in columns)


def _differing(row: Row, old: Row) -> set[str]:
    """Columns in which two lines differ: an empty cell and a column that is not there are the same."""
    return {column for column in row.keys() | old.keys() if row.get(column, "") != old.get(column, "")}
