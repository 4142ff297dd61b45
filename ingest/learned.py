"""What each helmet's sensors have taught (`detectors.past`), in the journal: a row a helmet, written in turn."""

import sqlite3
import zlib

from ingest.journal_file import note_damage

HELMETS_MAX = 100_000
"""Most helmets kept; beyond it the one unwritten for longest goes."""
_KEPT_US = 30 * 86_400_000_000
"""A helmet unheard of for so long is a new one: its noise and its bit are what they were a month ago."""


def write(db: sqlite3.Connection, now_us: int, learned: list[tuple[str, bytes]]) -> None:
    """Within a transaction: puts these helmets' blocks in the place of their last ones."""
    if not learned:
        return
    db.executemany(
        "INSERT OR REPLACE INTO learned (helmet, at_us, block, crc) VALUES (?, ?, ?, ?)",
        [(helmet, now_us, block, _crc(helmet.encode(), block)) for helmet, block in learned],
    )
    (many,) = db.execute("SELECT count(*) FROM learned").fetchone()
    if many > HELMETS_MAX:
        db.execute(
            "DELETE FROM learned WHERE id IN (SELECT id FROM learned ORDER BY id LIMIT ?)",
            (many - HELMETS_MAX,),
        )


def read(db: sqlite3.Connection) -> list[tuple[str, bytes]]:
    """Everything kept that is whole and not too old, the longest unwritten first; what is damaged is counted."""
    rows = []
    for number, helmet, at_us, block, crc in db.execute(
        "SELECT id, CAST(helmet AS BLOB), CAST(at_us AS INTEGER), CAST(block AS BLOB), crc FROM learned ORDER BY id"
    ):
        if _crc(helmet, block) == crc:
            rows.append((helmet.decode(), at_us, block))
        else:
            note_damage("learned", number)
    since_us = max((at_us for _, at_us, _ in rows), default=0) - _KEPT_US
    return [(helmet, block) for helmet, at_us, block in rows if at_us >= since_us]


def _crc(helmet: bytes, block: bytes) -> int:
    return zlib.crc32(block, zlib.crc32(helmet))
