"""The worker's durable memory between acknowledgement and delivery: SQLite, one transaction a tick.

Only the worker's loop writes; the relays read through connections of their own and hand back what was taken,
which the next tick's transaction strikes off. So nothing slow ever holds the write lock.
"""

import contextlib
import fcntl
import os
import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import structlog
from pydantic import TypeAdapter

from core import metrics
from core.model import TELEMETRY, Detection, HelmetEvent, Rejected
from ingest.codec import Message

log = structlog.get_logger()

_SCHEMA = """
CREATE TABLE IF NOT EXISTS raw (id INTEGER PRIMARY KEY, now_us INTEGER NOT NULL, block BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS telemetry (
    id INTEGER PRIMARY KEY AUTOINCREMENT, rows INTEGER NOT NULL, block BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, body TEXT NOT NULL,
    at_us INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'waiting'
);
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (id) WHERE state = 'waiting';
CREATE TABLE IF NOT EXISTS rejected (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL,
    detail TEXT NOT NULL, payload BLOB NOT NULL
);
"""
_DAY_US = 86_400_000_000
_REJECTED_KEPT = 10_000
_HEAD = struct.Struct("<qHI")

_DETECTION = TypeAdapter(Detection)
_EVENT = TypeAdapter(HelmetEvent)


class JournalError(Exception):
    """The journal cannot be opened; the message says what to do."""


@dataclass(slots=True)
class Tick:
    """All that one turn of the loop makes durable at once."""

    now_us: int
    raw: list[Message] = field(default_factory=list)
    telemetry: list[npt.NDArray[np.void]] = field(default_factory=list)
    detections: list[Detection] = field(default_factory=list)
    events: list[HelmetEvent] = field(default_factory=list)
    rejected: list[tuple[Message, Rejected]] = field(default_factory=list)

    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.raw or self.telemetry or self.detections or self.events or self.rejected)


class Taken(NamedTuple):
    """What the relays report back: rows of the outbox and telemetry blocks that need no further care."""

    outbox: list[tuple[Literal["taken", "refused"], int]]
    telemetry: list[int]


class Waiting(NamedTuple):
    """A detection or event waiting for the desk."""

    id: int
    kind: str
    body: str


class Journal:
    """The write side, owned by the worker's loop. Raises `JournalError` where another worker has the file."""

    def __init__(self, path: Path, raw_s: float = 30.0, max_mb: int = 2048) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self._raw_us = int(raw_s * 1e6)
        self._max_bytes = max_mb << 20
        self._lock = _lock(path.with_name(path.name + ".lock"))
        self._db = self._open()
        # Telemetry waiting, oldest first: (id, bytes, rows), so that the bound costs no query.
        self._blocks = {
            i: (size, rows)
            for i, size, rows in self._db.execute("SELECT id, length(block), rows FROM telemetry ORDER BY id")
        }
        self._waiting_bytes = sum(size for size, _ in self._blocks.values())

    def _open(self) -> sqlite3.Connection:
        try:
            return _connect(self.path)
        except sqlite3.DatabaseError as error:
            broken = self.path.with_name(f"{self.path.name}.broken-{os.getpid()}")
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + suffix).rename(f"{broken}{suffix}")
            log.error("journal.broken", error=str(error), kept_as=str(broken))
            return _connect(self.path)

    def commit(self, tick: Tick, taken: Taken) -> None:
        """Makes a tick durable. Raises `sqlite3.Error` with nothing of it written."""
        blocks: dict[int, tuple[int, int]] = {}
        with self._transaction() as db:
            if tick.raw:
                db.execute("INSERT INTO raw (now_us, block) VALUES (?, ?)", (tick.now_us, _pack(tick.raw)))
                db.execute("DELETE FROM raw WHERE now_us < ?", (tick.now_us - self._raw_us,))
            if tick.telemetry:
                rows = np.concatenate(tick.telemetry)
                block = rows.tobytes()
                cursor = db.execute("INSERT INTO telemetry (rows, block) VALUES (?, ?)", (len(rows), block))
                blocks[cursor.lastrowid or 0] = (len(block), len(rows))
            posts = [
                (f"{d.incident}:{d.version}", "detection", _DETECTION.dump_json(d).decode())
                for d in tick.detections
            ] + [
                (f"{e.helmet}:{e.type}:{e.t_us}", "event", _EVENT.dump_json(e).decode()) for e in tick.events
            ]
            db.executemany(
                "INSERT OR IGNORE INTO outbox (key, kind, body, at_us) VALUES (?, ?, ?, ?)",
                [(*post, tick.now_us) for post in posts],
            )
            if tick.rejected:
                db.executemany(
                    "INSERT INTO rejected (at_us, topic, reason, detail, payload) VALUES (?, ?, ?, ?, ?)",
                    [(tick.now_us, r.topic, r.reason, r.detail, m.payload[:4096]) for m, r in tick.rejected],
                )
                db.execute(
                    "DELETE FROM rejected WHERE id <= (SELECT max(id) FROM rejected) - ?", (_REJECTED_KEPT,)
                )
            db.executemany("UPDATE outbox SET state = ? WHERE id = ?", taken.outbox)
            if taken.outbox:
                # What the desk has stays for a day, so that a repeated frame cannot send it again.
                db.execute("DELETE FROM outbox WHERE state = 'taken' AND at_us < ?", (tick.now_us - _DAY_US,))
            gone = self._excess(blocks)
            db.executemany("DELETE FROM telemetry WHERE id = ?", [(i,) for i in [*taken.telemetry, *gone]])
        for i in taken.telemetry:
            self._waiting_bytes -= self._blocks.pop(i, (0, 0))[0]
        for i in gone:
            size, lost = self._blocks.pop(i)
            self._waiting_bytes -= size
            metrics.ROWS_DROPPED.inc(lost)
            log.warning("journal.full", telemetry_rows_dropped=lost)
        self._blocks |= blocks
        self._waiting_bytes += sum(size for size, _ in blocks.values())
        metrics.ROWS_WAITING.set(self.rows_waiting)

    def _excess(self, new: dict[int, tuple[int, int]]) -> list[int]:
        """The oldest waiting blocks that must go to keep the bound."""
        over = self._waiting_bytes + sum(size for size, _ in new.values()) - self._max_bytes
        gone = []
        for i, (size, _) in self._blocks.items():
            if over <= 0:
                break
            gone.append(i)
            over -= size
        return gone

    @property
    def rows_waiting(self) -> int:
        """Telemetry rows that the store has not taken yet."""
        return sum(rows for _, rows in self._blocks.values())

    def raw(self) -> Iterator[tuple[int, list[Message]]]:
        """The kept raw messages, oldest first, with the time of the tick they were processed in."""
        for now_us, block in self._db.execute("SELECT now_us, block FROM raw ORDER BY id"):
            yield now_us, _unpack(block)

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()
        os.close(self._lock)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise


class Outbox:
    """The read side, one for each relay's thread."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)

    def waiting(self, after: int, limit: int = 100) -> list[Waiting]:
        """Detections and events the desk has not taken, in order."""
        rows = self._db.execute(
            "SELECT id, kind, body FROM outbox WHERE state = 'waiting' AND id > ? ORDER BY id LIMIT ?",
            (after, limit),
        )
        return [Waiting(*row) for row in rows]

    def count(self) -> int:
        """How many detections and events the desk has not taken."""
        return int(self._db.execute("SELECT count(*) FROM outbox WHERE state = 'waiting'").fetchone()[0])

    def telemetry(self, after: int, rows: int) -> tuple[list[int], npt.NDArray[np.void]]:
        """The next telemetry blocks, at least one and about `rows` rows, with their ids."""
        ids: list[int] = []
        parts: list[npt.NDArray[np.void]] = []
        found = 0
        for i, block in self._db.execute(
            "SELECT id, block FROM telemetry WHERE id > ? ORDER BY id", (after,)
        ):
            ids.append(i)
            parts.append(np.frombuffer(block, TELEMETRY))
            found += len(parts[-1])
            if found >= rows:
                break
        return ids, np.concatenate(parts) if parts else np.zeros(0, TELEMETRY)

    def rejected(self, limit: int = 100) -> list[dict[str, object]]:
        """The newest rejected inputs, for a person to look at."""
        names = ("id", "at_us", "topic", "reason", "detail", "payload")
        rows = self._db.execute(f"SELECT {', '.join(names)} FROM rejected ORDER BY id DESC LIMIT ?", (limit,))  # noqa: S608
        return [dict(zip(names, row, strict=True)) for row in rows]

    def rejected_since(self, at_us: int) -> Iterator[bytes]:
        """The payloads (their first 4,096 bytes) of the inputs rejected since then, oldest first."""
        for (payload,) in self._db.execute(
            "SELECT payload FROM rejected WHERE at_us >= ? ORDER BY id", (at_us,)
        ):
            yield payload

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()


def _connect(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    # FULL: what we acknowledge must survive a power cut, not only our own death.
    db.execute("PRAGMA synchronous = FULL")
    db.executescript(_SCHEMA)
    if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
        db.close()
        raise sqlite3.DatabaseError("quick_check found damage")
    return db


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise JournalError(
            f"another worker uses the journal {path.name.removesuffix('.lock')}: stop it, or give this one a "
            "name, a journal and shards of its own (ingest.worker, ingest.journal.path, ingest.shards)"
        ) from None
    return descriptor


def _pack(messages: list[Message]) -> bytes:
    parts = []
    for topic, payload, received_us in messages:
        name = topic.encode()
        parts += [_HEAD.pack(received_us, len(name), len(payload)), name, payload]
    return b"".join(parts)


def _unpack(block: bytes) -> list[Message]:
    messages, at = [], 0
    while at < len(block):
        received_us, name, size = _HEAD.unpack_from(block, at)
        at += _HEAD.size
        messages.append(
            Message(block[at : at + name].decode(), block[at + name : at + name + size], received_us)
        )
        at += name + size
    return messages
