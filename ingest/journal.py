"""The worker's durable memory between acknowledgement and delivery: SQLite, one transaction a tick.

Only the worker's loop writes; the relays read through connections of their own and hand back what was taken,
which the next tick's transaction strikes off. So nothing slow ever holds the write lock.
"""

import contextlib
import os
import sqlite3
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import structlog
from pydantic import TypeAdapter

from core import metrics
from core.model import Detection, HelmetEvent, Rejected
from detectors.burst import Held
from ingest import held, journal_file, learned
from ingest.backlog import Backlog, Block
from ingest.codec import Message
from ingest.held import Burst
from ingest.journal_file import JournalError, note_damage, sound
from ingest.telemetry import begins_sample

log = structlog.get_logger()

_DAY_US = 86_400_000_000
_REJECTED_KEPT = 10_000
_REFUSED_KEPT = 10_000
_FULL_AGAIN_US = 60_000_000
"""How often at most the log says that the journal is full."""
_HEAD = struct.Struct("<qHI")
_STRUCK_OFF = """
UPDATE outbox SET state = ?1, body = iif(?1 = 'taken', '', body), crc = iif(?1 = 'taken', 0, crc) WHERE id = ?2
"""
"""The desk keeps what it took; what it refused stays here whole, for a look."""
_REFUSED_TOO_MANY = """
DELETE FROM outbox WHERE state = 'refused'
AND id <= (SELECT id FROM outbox WHERE state = 'refused' ORDER BY id DESC LIMIT 1 OFFSET ?)
"""
_REFUSED = "SELECT count(*) FROM outbox WHERE state = 'refused'"

_DETECTION = TypeAdapter(Detection)
_EVENT = TypeAdapter(HelmetEvent)


@dataclass(slots=True)
class Tick:
    """All that one turn of the loop makes durable at once."""

    now_us: int
    raw: list[Message] = field(default_factory=list)
    telemetry: list[npt.NDArray[np.void]] = field(default_factory=list)
    detections: list[Detection] = field(default_factory=list)
    events: list[HelmetEvent] = field(default_factory=list)
    rejected: list[tuple[Message, Rejected]] = field(default_factory=list)
    numbers: bytes = b""
    """Which frames were seen up to the end of this turn (`ingest.numbers`); noted every few seconds, with `raw`."""
    held: list[Detection] = field(default_factory=list)
    """Detections that a burst holds back."""
    released: list[Held] = field(default_factory=list)
    """Detections held back until now, that go on."""
    withheld: list[str] = field(default_factory=list)
    """Keys of detections that never go on."""
    learned: list[tuple[str, bytes]] = field(default_factory=list)
    """What some helmets' sensors have taught up to the end of this turn, by helmet (`detectors.past`)."""

    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (
            self.raw
            or self.telemetry
            or self.detections
            or self.events
            or self.rejected
            or self.held
            or self.released
            or self.withheld
            or self.learned
        )


class Taken(NamedTuple):
    """What the relays report back: rows of the outbox and telemetry blocks that need no further care."""

    outbox: list[tuple[Literal["taken", "refused"], int]]
    telemetry: list[int]
    refused: Sequence[tuple[Message, Rejected]] = ()
    """Rows of these blocks that the store will never take, each in a message's place."""


class Journal:
    """The write side, owned by the worker's loop.

    Raises `JournalError` where another worker has the file, or disk or rights forbid to use it; a damaged file
    does not stop it (`ingest.journal_file`).
    """

    def __init__(self, path: Path, raw_s: float = 30.0, max_mb: int = 2048) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self._raw_us = int(raw_s * 1e6)
        self._lock = journal_file.lock(path)
        try:
            self._db = journal_file.open_file(path)
        except JournalError:
            os.close(self._lock)
            raise
        self._backlog = Backlog(max_mb << 20)
        waiting = self._db.execute(
            "SELECT id, length(block), rows, substr(block, 1, 8) FROM telemetry ORDER BY id"
        )
        self._backlog.add({i: Block(size, rows, begins_sample(head)) for i, size, rows, head in waiting})
        self._dropped_rows, self._said_full_us = 0, 0
        metrics.DETECTIONS_REFUSED.set(self._db.execute(_REFUSED).fetchone()[0])

    def commit(self, tick: Tick, taken: Taken) -> None:
        """Makes a tick durable. Raises `sqlite3.Error` with nothing of it written."""
        blocks: dict[int, Block] = {}
        with self._transaction() as db:
            if tick.raw:
                packed = _pack(tick.raw)
                cursor = db.execute(
                    "INSERT INTO raw (now_us, block, crc) VALUES (?, ?, ?)",
                    (tick.now_us, packed, zlib.crc32(packed)),
                )
                if tick.numbers:
                    self._note_numbers(tick, cursor.lastrowid or 0)
            for rows in _by_kind(tick.telemetry):
                block = rows.tobytes()
                cursor = db.execute(
                    "INSERT INTO telemetry (rows, block, crc) VALUES (?, ?, ?)",
                    (len(rows), block, zlib.crc32(block)),
                )
                blocks[cursor.lastrowid or 0] = Block(len(block), len(rows), begins_sample(block))
            if tick.held or tick.released or tick.withheld:
                held.write(db, tick.now_us, tick.held, tick.released, tick.withheld)
            posts = [(d.key, "detection", _DETECTION.dump_json(d).decode()) for d in tick.detections] + [
                (f"{e.helmet}:{e.type}:{e.t_us}", "event", _EVENT.dump_json(e).decode()) for e in tick.events
            ]
            db.executemany(
                # A restart detects again what was held back: that waits where it is.
                "INSERT OR IGNORE INTO outbox (key, kind, body, crc, at_us) SELECT ?1, ?2, ?3, ?4, ?5 "
                "WHERE NOT EXISTS (SELECT 1 FROM held WHERE key = ?1)",
                [(key, kind, body, zlib.crc32(body.encode()), tick.now_us) for key, kind, body in posts],
            )
            if rejected := [*tick.rejected, *taken.refused]:
                db.executemany(
                    "INSERT INTO rejected (at_us, topic, reason, detail, payload) VALUES (?, ?, ?, ?, ?)",
                    [(tick.now_us, r.topic, r.reason, r.detail, m.payload[:4096]) for m, r in rejected],
                )
                db.execute(
                    "DELETE FROM rejected WHERE id <= (SELECT max(id) FROM rejected) - ?", (_REJECTED_KEPT,)
                )
            learned.write(db, tick.now_us, tick.learned)
            db.executemany(_STRUCK_OFF, taken.outbox)
            if taken.outbox:
                # The key of what the desk has stays for a day, so that a repeated frame cannot send it again.
                db.execute("DELETE FROM outbox WHERE state = 'taken' AND at_us < ?", (tick.now_us - _DAY_US,))
            refused = None
            if any(state == "refused" for state, _ in taken.outbox):
                db.execute(_REFUSED_TOO_MANY, (_REFUSED_KEPT,))
                refused = db.execute(_REFUSED).fetchone()[0]
            gone = self._backlog.excess(blocks)
            db.executemany("DELETE FROM telemetry WHERE id = ?", [(i,) for i in [*taken.telemetry, *gone]])
        if refused is not None:
            metrics.DETECTIONS_REFUSED.set(refused)
        for i in taken.telemetry:
            self._backlog.strike_off(i)
        self._announce(sum(map(self._backlog.strike_off, gone)), tick.now_us)
        self._backlog.add(blocks)
        metrics.ROWS_WAITING.set(self._backlog.rows)

    def _announce(self, dropped: int, now_us: int) -> None:
        """Counts rows that went because the journal is full; a full journal drops some in every turn."""
        metrics.ROWS_DROPPED.inc(dropped)
        self._dropped_rows += dropped
        if self._dropped_rows and abs(now_us - self._said_full_us) >= _FULL_AGAIN_US:
            log.warning("journal.full", telemetry_rows_dropped=self._dropped_rows)
            self._dropped_rows, self._said_full_us = 0, now_us

    def _note_numbers(self, tick: Tick, raw: int) -> None:
        """Notes which frames were seen, and lets go of raw frames that are old and covered by an older note.

        So the oldest note that is kept, and the raw frames after it, always make up all that was seen.
        """
        self._db.execute(
            "INSERT INTO numbers (now_us, raw, block, crc) VALUES (?, ?, ?, ?)",
            (tick.now_us, raw, tick.numbers, zlib.crc32(tick.numbers, raw & 0xFFFFFFFF)),
        )
        covered = self._db.execute(
            "SELECT id, raw FROM numbers WHERE now_us <= ? ORDER BY id DESC LIMIT 1",
            (tick.now_us - self._raw_us,),
        ).fetchone()
        if covered is not None:
            self._db.execute("DELETE FROM numbers WHERE id < ?", (covered[0],))
            self._db.execute("DELETE FROM raw WHERE id <= ?", (covered[1],))

    @property
    def rows_waiting(self) -> int:
        """Telemetry rows that the store has not taken yet."""
        return self._backlog.rows

    def numbers(self) -> bytes:
        """Which frames were seen before those of `raw`; empty where nothing was noted or the note is damaged."""
        return self._oldest_note()[1]

    def raw(self) -> Iterator[tuple[int, list[Message]]]:
        """The raw messages after those, oldest first, with the time of the tick they were processed in."""
        for number, now_us, block, crc in self._db.execute(
            "SELECT id, now_us, block, crc FROM raw WHERE id > ? ORDER BY id", (self._oldest_note()[0],)
        ):
            messages = _unpack(block) if sound(block, crc) else None
            if messages is None:
                note_damage("raw", number)
            else:
                yield now_us, messages

    def burst(self) -> Burst:
        """What a burst holds back, and what its breaker counts, as of the last commit."""
        return held.restore(self._db)

    def learned(self) -> list[tuple[str, bytes]]:
        """What the helmets' sensors have taught, by helmet, the longest unwritten first."""
        return learned.read(self._db)

    def _oldest_note(self) -> tuple[int, bytes]:
        """The last raw entry that the oldest note of numbers covers, and the note; 0 and nothing without one."""
        row = self._db.execute(
            # While there are raw frames that it covers, they are too young not to be replayed.
            "SELECT id, raw, block, crc FROM (SELECT * FROM numbers ORDER BY id LIMIT 1) AS note "
            "WHERE NOT EXISTS (SELECT 1 FROM raw WHERE raw.id <= note.raw)"
        ).fetchone()
        if row is None:
            return 0, b""
        number, raw, block, crc = row
        if zlib.crc32(block, raw & 0xFFFFFFFF) != crc:
            note_damage("numbers", number)
            return 0, b""
        return raw, block

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


def _by_kind(parts: list[npt.NDArray[np.void]]) -> Iterator[npt.NDArray[np.void]]:
    """Telemetry rows as one block and raw samples as another: a full journal gives up samples last."""
    for samples in (False, True):
        if kind := [rows for rows in parts if len(rows) and begins_sample(rows[:1].tobytes()) is samples]:
            yield np.concatenate(kind)


def _pack(messages: list[Message]) -> bytes:
    parts = []
    for topic, payload, received_us in messages:
        name = topic.encode()
        parts += [_HEAD.pack(received_us, len(name), len(payload)), name, payload]
    return b"".join(parts)


def _unpack(block: bytes) -> list[Message] | None:
    """The messages of a block, None where it is none of ours: a damaged file may hand us one of another table."""
    messages, at = [], 0
    try:
        while at < len(block):
            received_us, name, size = _HEAD.unpack_from(block, at)
            at += _HEAD.size
            topic, payload = block[at : at + name].decode(), block[at + name : at + name + size]
            messages.append(Message(topic, payload, received_us))
            at += name + size
    except (struct.error, UnicodeDecodeError):
        return None
    return messages
