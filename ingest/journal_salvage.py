"""What can still be read of a damaged journal, copied row by row into a new one."""

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import structlog

from core import metrics
from ingest.journal_tables import COLUMNS, WITH_HOLES, schema

log = structlog.get_logger()

UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""SQLite's own messages name what a flipped bit made of a name."""
PAGE = 4096
_PYTHON = {"INTEGER": int, "TEXT": str, "BLOB": bytes}
_AT_ONCE = 500
"""Rows in one transaction: neither memory nor the log ever holds a whole table."""

Row = tuple[object, ...]


def salvage(broken: Path, db: sqlite3.Connection) -> None:
    """Copies every table of a damaged file, as far as it can be read, into a new journal that is empty.

    Says and counts how much was saved and how much is surely missing. May be tried again with another new journal:
    the damaged file stays as it is, but for a first page that nobody can read; that is kept beside it.
    """
    if not _has_tables(broken):
        _lend_first_page(db, broken)
    for table in COLUMNS:
        saved, lost = _save(table, broken, db)
        metrics.JOURNAL_LOST.labels(table).inc(lost)
        log.error("journal.saved", table=table, saved=saved, lost_at_least=lost)


def _has_tables(broken: Path) -> bool:
    """Whether a broken file still says rightly what its tables are."""
    try:
        with contextlib.closing(_read_only(broken)) as old:
            return not schema() - schema(old)
    except UNREADABLE:
        return False


def _lend_first_page(db: sqlite3.Connection, broken: Path) -> None:
    """Puts the first page of a new journal on a broken one, whose own is kept beside it.

    The first page says what the others are. A new journal's others are laid out alike, since all journals are
    made by the same statements; only the number of pages differs (SQLite file format, 1.3).
    """
    # Not from the file: closing any descriptor of it would give up our locks on it (POSIX).
    page = bytearray(db.serialize()[:PAGE])
    with broken.open("r+b") as file:
        kept = broken.with_name(f"{broken.name}.first-page")
        if not kept.exists():
            kept.write_bytes(file.read(PAGE))
        page[28:32] = (broken.stat().st_size // PAGE).to_bytes(4, "big")
        page[92:96] = page[24:28]
        page[32:40] = bytes(8)  # no free pages: nobody will write to it
        file.seek(0)
        file.write(page)


def _save(table: str, broken: Path, db: sqlite3.Connection) -> tuple[int, int]:
    """Copies the rows of one table; says how many, and how many are surely missing."""
    reading = _Reading(table, broken, db)
    columns = COLUMNS[table]
    marks = ", ".join("?" * (columns.count(",") + 1))
    # A row that breaks the table's rules is damaged; the others must not go with it.
    insert = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608
    there = f"SELECT 1 FROM {table} WHERE id = ?"  # noqa: S608
    saved, spoilt = 0, set[int]()
    first, last = 2**63, reading.last_id()
    rows = iter(reading.rows())
    while part := list(itertools.islice(rows, _AT_ONCE)):
        db.execute("BEGIN")
        for number, row in part:
            first, last = min(first, number), max(last, number)
            if db.execute(insert, row).rowcount:
                saved += 1
            elif db.execute(there, (number,)).fetchone() is None:
                spoilt.add(number)
        db.execute("COMMIT")
    if table in WITH_HOLES:
        return saved, len(spoilt) + reading.torn
    return saved, max(0, last - first + 1 - saved)


class _Reading:
    """The readable rows of one table of a damaged file."""

    def __init__(self, table: str, broken: Path, db: sqlite3.Connection) -> None:
        self._table, self._broken = table, broken
        declared = {name: _PYTHON[kind] for _, name, kind, *_ in db.execute(f"PRAGMA table_info({table})")}
        self._kinds = [declared[name] for name in COLUMNS[table].split(", ")]
        self.torn = False
        """Whether a page that could not be read ended it."""

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Their ids and the rows, from both ends, since reading stops at the first damaged page: most come twice."""
        for order in ("ASC", "DESC"):
            query = f"SELECT {COLUMNS[self._table]} FROM {self._table} NOT INDEXED ORDER BY id {order}"  # noqa: S608
            try:
                with contextlib.closing(_read_only(self._broken)) as old:
                    for row in old.execute(query):
                        # Where a flipped bit leads to the wrong page, rows of another table come out.
                        if all(
                            v is None or isinstance(v, kind) for v, kind in zip(row, self._kinds, strict=True)
                        ):
                            yield int(row[0]), row
            except (*UNREADABLE, OverflowError):
                self.torn = True

    def last_id(self) -> int:
        """The highest id that was ever given out, as far as the file says; else 0."""
        query = "SELECT seq FROM sqlite_sequence WHERE name = ?"
        with contextlib.suppress(*UNREADABLE), contextlib.closing(_read_only(self._broken)) as old:
            row = old.execute(query, (self._table,)).fetchone()
            return int(row[0]) if row else 0
        return 0


def _read_only(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    # A flipped byte in a text must not stop the reading.
    db.text_factory = lambda text: text.decode(errors="replace")
    return db
