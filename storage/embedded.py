"""The embedded telemetry store: one SQLite file, no server."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core import config
from core.model import TELEMETRY
from storage import UNSTORABLE, Outcome, StoreError, unstorable

SCHEMA_VERSION = 1

_NAMES = TELEMETRY.names or ()
_SLOT_US = 10_000_000
# Busy and full disks pass; these do not pass without a person.
_LASTING = {
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


def _declaration(name: str) -> str:
    if name == "helmet":
        return "helmet TEXT NOT NULL"
    # NaN is bound as NULL by SQLite itself, so an unknown value is NULL without our doing.
    return f"{name} REAL" if TELEMETRY[name].kind == "f" else f"{name} INTEGER NOT NULL"


# `slot` is t_us in units of 10 s. Clustered by helmet alone, a second of 5,000 helmets would dirty 5,000
# pages (20 MB of log for half a megabyte of rows); clustered by slot and then helmet, what arrives together
# lies together, a minute of one helmet is six short ranges, and retention deletes from one end.
_CREATE = (
    f"CREATE TABLE IF NOT EXISTS telemetry (slot INTEGER NOT NULL, {', '.join(map(_declaration, _NAMES))}, "
    "PRIMARY KEY (slot, helmet, t_us, boot, seq)) WITHOUT ROWID, STRICT"
)
# The id arrives as bytes; the cast makes it text without a Python loop over the rows.
_VALUES = ", ".join("CAST(? AS TEXT)" if name == "helmet" else "?" for name in _NAMES)
_INSERT = f"INSERT INTO telemetry (slot, {', '.join(_NAMES)}) VALUES (?, {_VALUES}) ON CONFLICT DO NOTHING"  # noqa: S608
_SELECT = (
    f"SELECT {', '.join(_NAMES)} FROM telemetry "  # noqa: S608
    "WHERE slot = ? AND helmet = ? AND t_us >= ? AND t_us < ? ORDER BY t_us, boot, seq LIMIT ?"
)


class EmbeddedStore:
    """Telemetry in one SQLite file (WAL), mode 0600; other processes may read it while it is written.

    How long rows are kept is decided by whoever calls `prune`: the worker, once an hour.
    """

    def __init__(self, settings: config.Embedded) -> None:
        self._path = Path(settings.path)
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made before SQLite opens it, so that there is no moment at which others may read positions;
            # SQLite gives its -wal and -shm files the same mode.
            # Only where it is missing: closing any descriptor of a file gives up this process's locks on it.
            if not self._path.exists():
                os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._path.chmod(0o600)
            self._writer = self._connect()
            self._reader = self._connect()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{self._path} cannot be opened as the telemetry store: {error}") from None

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=2.0, isolation_level=None, check_same_thread=False)
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version not in (0, SCHEMA_VERSION):
            db.close()
            raise StoreError(
                f"{self._path} has schema version {version}; this program knows version {SCHEMA_VERSION}"
            )
        db.execute("PRAGMA journal_mode = WAL")
        # The journal forgets rows once they are accepted here, so an accepted row must outlive a power cut.
        db.execute("PRAGMA synchronous = FULL")
        db.execute(_CREATE)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        return db

    def write(self, rows: npt.NDArray[np.void]) -> Outcome:
        """Stores rows in one transaction; a full or busy disk is `retry`, an unusable file `refused`."""
        unusable = unstorable(rows)
        bad: list[int] = np.flatnonzero(unusable).tolist()
        good = rows[~unusable] if bad else rows
        try:
            with self._writing:
                self._insert(good)
        except sqlite3.Error as error:
            # Errors of the module itself, such as a store that was closed, have no code.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_READONLY)
            lasting = code & 0xFF in _LASTING
            return Outcome("refused" if lasting else "retry", 0, [], f"{self._path}: {error}")
        if bad:
            return Outcome("partial", len(good), bad, UNSTORABLE)
        return Outcome("accepted", len(good))

    def _insert(self, rows: npt.NDArray[np.void]) -> None:
        if not len(rows):
            return
        slots = rows["t_us"] // _SLOT_US
        order = np.lexsort((rows["helmet"], slots))
        columns = [slots[order].tolist(), *(rows[name][order].tolist() for name in _NAMES)]
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            self._writer.executemany(_INSERT, zip(*columns, strict=True))
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    def read(self, helmet: str, start_us: int, end_us: int, limit: int = 10000) -> npt.NDArray[np.void]:
        """The first `limit` rows of one helmet with start_us <= t_us < end_us, by time."""
        try:
            with self._reading:
                found = self._rows(helmet, start_us, end_us, limit)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} cannot be read: {error}") from None
        return np.array([(row[0].encode(), *row[1:]) for row in found], dtype=TELEMETRY)

    def _rows(self, helmet: str, start_us: int, end_us: int, limit: int) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        slot = start_us // _SLOT_US - 1
        while len(found) < limit:
            # The next slot that holds anything, so that the gaps of a year cost nothing.
            (slot,) = self._reader.execute(
                "SELECT min(slot) FROM telemetry WHERE slot > ?", (slot,)
            ).fetchone()
            if slot is None or slot * _SLOT_US >= end_us:
                break
            found += self._reader.execute(_SELECT, (slot, helmet, start_us, end_us, limit - len(found)))
        return found

    def count(self) -> int:
        """How many rows are stored; reads the whole file."""
        try:
            with self._reading:
                return int(self._reader.execute("SELECT count(*) FROM telemetry").fetchone()[0])
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} cannot be read: {error}") from None

    def keys(self) -> Iterator[tuple[str, int, int]]:
        """(helmet, boot, seq) of every row, as the file is when the first is asked for."""
        try:
            # A connection of its own: someone may stop half-way, and must hold up nobody.
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            db = sqlite3.connect(uri, uri=True, check_same_thread=False)
            try:
                yield from db.execute("SELECT helmet, boot, seq FROM telemetry")
            finally:
                db.close()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} cannot be read: {error}") from None

    def prune(self, before_us: int) -> int:
        """Deletes rows with t_us < before_us and says how many: slot by slot, so that writes get in between."""
        deleted = 0
        try:
            while True:
                with self._writing:
                    (slot,) = self._writer.execute("SELECT min(slot) FROM telemetry").fetchone()
                    if slot is None or slot * _SLOT_US >= before_us:
                        return deleted
                    deleted += self._writer.execute(
                        "DELETE FROM telemetry WHERE slot = ? AND t_us < ?", (slot, before_us)
                    ).rowcount
                if (slot + 1) * _SLOT_US > before_us:
                    return deleted
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} cannot be pruned: {error}") from None

    def check(self) -> str:
        """Takes the write lock and gives it back."""
        try:
            with self._writing:
                self._writer.execute("BEGIN IMMEDIATE")
                self._writer.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} cannot be written: {error}") from None
        return f"SQLite file {self._path}"

    def close(self) -> None:
        """Closes the file."""
        with self._writing, self._reading:
            self._writer.close()
            self._reader.close()
