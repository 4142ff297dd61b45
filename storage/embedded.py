"""The embedded telemetry store: one SQLite file, no server."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import structlog

from core import config, metrics
from core.model import TELEMETRY
from storage import SAMPLES, UNSTORABLE, Outcome, StoreError, unstorable
from storage.table import SLOT_US, Table

log = structlog.get_logger()

SCHEMA_VERSION = 1

_TELEMETRY = Table("telemetry", TELEMETRY)
_SAMPLES = Table("samples", SAMPLES)
_TABLES = {table.dtype: table for table in (_TELEMETRY, _SAMPLES)}
# Busy and full disks pass; these do not pass without a person.
_LASTING = {
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


class EmbeddedStore:
    """Telemetry in one SQLite file (WAL), mode 0600; other processes may read it while it is written.

    How long rows are kept is decided by whoever calls `prune`: the worker, once an hour. How much room they take
    is decided here: a write that takes the file beyond `max_mb` deletes the oldest rows.
    """

    def __init__(self, settings: config.Embedded) -> None:
        self._path = Path(settings.path)
        self._max_bytes = settings.max_mb << 20
        self._full = False
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made before SQLite opens it, so that there is no moment at which others may read positions;
            # SQLite gives its -wal and -shm files the same mode.
            # Only where it is missing: closing any descriptor of a file gives up this process's locks on it.
            if not self._path.exists():
                os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            if self._path.stat().st_mode & 0o777 != 0o600:
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
        # Only what is missing: whoever opens the store to read must not wait for whoever writes.
        there = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in _TABLES.values():
            if table.name not in there:
                db.execute(table.create)
        if not version:
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        return db

    def write(self, rows: npt.NDArray[np.void]) -> Outcome:
        """Stores rows in one transaction; a full or busy disk is `retry`, an unusable file `refused`."""
        unusable = unstorable(rows)
        bad: list[int] = np.flatnonzero(unusable).tolist()
        good = rows[~unusable] if bad else rows
        try:
            with self._writing:
                _TABLES[rows.dtype].insert(self._writer, good)
                self._make_room()
        except sqlite3.Error as error:
            # Errors of the module itself, such as a store that was closed, have no code.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_READONLY)
            lasting = code & 0xFF in _LASTING
            return Outcome("refused" if lasting else "retry", 0, {}, f"{self._path}: {error}")
        if bad:
            return Outcome("partial", len(good), dict.fromkeys(bad, UNSTORABLE))
        return Outcome("accepted", len(good))

    def _make_room(self) -> None:
        """Deletes the oldest rows, routine ones before raw samples, until the file's content fits its bound."""
        for table in (_TELEMETRY, _SAMPLES):
            for slot in table.slots(self._writer):
                if self._used_bytes() <= self._max_bytes:
                    return
                gone = table.delete(self._writer, slot)
                metrics.ROWS_EVICTED.labels(table.name).inc(gone)
                if not self._full:
                    # Once: from now on a full store is its normal state, and the metric goes on counting.
                    self._full = True
                    log.warning(
                        "store.full",
                        max_mb=self._max_bytes >> 20,
                        hint="the oldest rows go; raise storage.embedded.max_mb or lower retention_days",
                    )

    def _used_bytes(self) -> int:
        size, pages, free = (
            int(self._writer.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_size", "page_count", "freelist_count")
        )
        return size * (pages - free)

    def read(self, helmet: str, start_us: int, end_us: int, limit: int = 10000) -> npt.NDArray[np.void]:
        """The first `limit` rows of one helmet with start_us <= t_us < end_us, by time."""
        return self._select(_TELEMETRY, helmet, start_us, end_us, limit)

    def samples(self, helmet: str, start_us: int, end_us: int, limit: int = 100000) -> npt.NDArray[np.void]:
        """The first `limit` raw samples of one helmet with start_us <= t_us < end_us, by time."""
        return self._select(_SAMPLES, helmet, start_us, end_us, limit)

    def _select(
        self, table: Table, helmet: str, start_us: int, end_us: int, limit: int
    ) -> npt.NDArray[np.void]:
        try:
            with self._reading:
                return table.select(self._reader, helmet, start_us, end_us, limit)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} cannot be read: {error}") from None

    def count(self) -> int:
        """How many rows are stored, without the raw samples; reads the whole file."""
        try:
            with self._reading:
                return _TELEMETRY.count(self._reader)
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

    def prune(self, before_us: int, samples_before_us: int) -> int:
        """Deletes what is older and says how many rows: slot by slot, so that writes get in between."""
        try:
            return self._prune(_TELEMETRY, before_us) + self._prune(_SAMPLES, samples_before_us)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} cannot be pruned: {error}") from None

    def _prune(self, table: Table, before_us: int) -> int:
        deleted = 0
        while True:
            with self._writing:
                slot = next(table.slots(self._writer), None)
                if slot is None or slot * SLOT_US >= before_us:
                    return deleted
                deleted += table.delete(self._writer, slot, before_us)
            if (slot + 1) * SLOT_US > before_us:
                return deleted

    def forget(self, helmet: str) -> int:
        """Deletes every row and every raw sample of one helmet and says how many: slot by slot as well."""
        deleted = 0
        try:
            with self._writing:
                # What is deleted is overwritten too, here and below in the log: it was somebody's way home.
                self._writer.execute("PRAGMA secure_delete = ON")
            for table in _TABLES.values():
                with self._writing:
                    slots = list(table.slots(self._writer))
                for slot in slots:
                    with self._writing:
                        deleted += table.delete(self._writer, slot, helmet=helmet)
            with self._writing:
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._writer.execute("PRAGMA secure_delete = OFF")
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {helmet} cannot be forgotten: {error}") from None
        return deleted

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
