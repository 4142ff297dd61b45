"""Detections that a burst holds back (`detectors.burst`), in the journal until they go on or never will."""

import sqlite3
import zlib
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from core.model import Detection, Kind
from detectors.burst import RECENT_US, WINDOW_US, Held
from ingest.journal_file import note_damage, sound

_DETECTION = TypeAdapter(Detection)
_KNOWN_US = 1_800_000_000
"""So long it is remembered that a detection never goes on: longer than a restart repeats what was detected."""


_ROW = "CAST(key AS BLOB), CAST(at_us AS INTEGER), CAST(body AS BLOB)"
"""As they are: a flipped bit must not stop the reading."""
_GO_ON = (
    "INSERT OR IGNORE INTO outbox (key, kind, body, crc, at_us) "
    "SELECT key, 'detection', body, crc, at_us FROM held WHERE body != '' AND",
    "DELETE FROM held WHERE",
)
"""What moves a row to the outbox, to be ended with which."""


class Burst(NamedTuple):
    """What a worker needs to go on in the burst that another has left, for `detectors.Breaker.restore`."""

    held: list[tuple[Detection, int]]
    passed: dict[str, int]
    new_us: list[int]


def write(
    db: sqlite3.Connection, now_us: int, held: list[Detection], released: list[Held], withheld: list[str]
) -> None:
    """Within a transaction: what goes on moves to the outbox, what is held back comes in, the rest is crossed out."""
    for statement in _GO_ON:
        db.executemany(f"{statement} key = ?", [(h.key,) for h in released])
    bodies = [(d.key, _DETECTION.dump_json(d).decode()) for d in held]
    db.executemany(
        "INSERT OR IGNORE INTO held (key, at_us, body, crc) VALUES (?, ?, ?, ?)",
        [(key, now_us, body, zlib.crc32(body.encode())) for key, body in bodies],
    )
    # Its name stays for a while, so that a restart that detects it again does not send it.
    db.executemany(
        "INSERT INTO held (key, at_us, body, crc) VALUES (?, ?, '', 0) "
        "ON CONFLICT (key) DO UPDATE SET body = '', crc = 0",
        [(key, now_us) for key in withheld],
    )
    db.execute("DELETE FROM held WHERE body = '' AND at_us < ?", (now_us - _KNOWN_US,))


def restore(db: sqlite3.Connection) -> Burst:
    """What was held back when the journal was last written, and what a breaker counts.

    What is damaged goes to the desk as it is: a crash may be in it.
    """
    held = []
    for number, crc, *row in db.execute(
        f"SELECT id, crc, {_ROW} FROM held WHERE body != '' ORDER BY id"  # noqa: S608
    ).fetchall():
        key, at_us, body = row
        detection = _read(key, body) if sound(body, crc) else None
        if detection is None:
            note_damage("held", number)
            _let_go(db, number)
        else:
            held.append((detection, at_us))
    newest_us = max(_newest_us(db, "outbox"), _newest_us(db, "held"))
    passed: dict[str, int] = {}
    new_us = []
    for key, at_us, body, went in db.execute(
        f"SELECT {_ROW}, 1 FROM outbox WHERE kind = 'detection' AND at_us >= ?1 "  # noqa: S608
        f"UNION ALL SELECT {_ROW}, 0 FROM held WHERE at_us >= ?1",
        (newest_us - RECENT_US,),
    ):
        incident, _, version = key.decode(errors="replace").rpartition(":")
        if went:
            passed[incident] = max(at_us, passed.get(incident, at_us))
        if version == "1" and at_us >= newest_us - WINDOW_US:
            detection = _read(key, body)
            if detection is None or detection.kind is not Kind.NOT_WORN:
                new_us.append(at_us)
    return Burst(held, passed, new_us)


def _let_go(db: sqlite3.Connection, number: int) -> None:
    with db:
        for statement in _GO_ON:
            db.execute(f"{statement} id = ?", (number,))


def _read(key: bytes, body: bytes) -> Detection | None:
    """A detection; None where it is none, or not the one of that name."""
    try:
        detection = _DETECTION.validate_json(body)
    except ValidationError:
        return None
    return detection if detection.key.encode() == key else None


def _newest_us(db: sqlite3.Connection, table: str) -> int:
    query = f"SELECT coalesce(max(CAST(at_us AS INTEGER)), 0) FROM {table}"  # noqa: S608
    return int(db.execute(query).fetchone()[0])
