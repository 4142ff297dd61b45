"""Messages to riders' helmets: the desk has no broker, so a worker takes them along with the answer to its report.

Written down with the line of the timeline that caused them, given out to workers again and again, and struck off
once a worker's report says that they went out. The same id is the same message, to the desk and to the worker.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alerts.database import connect, transaction

KEPT_US = 120 * 1_000_000
"""A call for help that no worker has taken by then comes too late: it is given out no more."""

Stand = Literal["waiting", "sent", "expired"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a helmet is to read to its rider."""

    helmet: str
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """One that a worker is to publish."""

    id: str
    helmet: str
    text: str


def message_id(seq: int) -> str:
    """Id of the message that a line of the timeline causes."""
    return f"help-{seq}"


def put(db: sqlite3.Connection, id_: str, heard: Heard, now_us: int) -> None:
    """Queues a message within the caller's transaction; one that is known stays as it is."""
    db.execute(
        "INSERT OR IGNORE INTO messages (id, helmet, text, since_us) VALUES (?, ?, ?, ?)",
        (id_, heard.helmet, heard.text, now_us),
    )


class Messages:
    """The table `messages`. Use it from one thread at a time; each method is one durable transaction."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def waiting(self, now_us: int) -> list[Message]:
        """What workers are to publish, oldest first."""
        rows = self._db.execute(
            "SELECT id, helmet, text FROM messages WHERE since_us > ? AND sent_us IS NULL ORDER BY since_us, id",
            (now_us - KEPT_US,),
        ).fetchall()
        return [Message(*row) for row in rows]

    def sent(self, ids: Iterable[str], now_us: int) -> None:
        """A worker has handed these to the broker; it says so again and again, which changes nothing."""
        fresh = [
            id_
            for id_ in dict.fromkeys(ids)
            if self._db.execute("SELECT 1 FROM messages WHERE id = ? AND sent_us IS NULL", (id_,)).fetchone()
        ]
        if fresh:
            with transaction(self._db):
                self._db.executemany(
                    "UPDATE messages SET sent_us = ? WHERE id = ?", [(now_us, id_) for id_ in fresh]
                )

    def stands(self, ids: Iterable[str], now_us: int) -> dict[str, Stand]:
        """What became of messages; those that are not known are left out."""
        found: dict[str, Stand] = {}
        for id_ in ids:
            row = self._db.execute("SELECT since_us, sent_us FROM messages WHERE id = ?", (id_,)).fetchone()
            if row is not None:
                since_us, sent_us = row
                late = now_us - since_us >= KEPT_US
                found[id_] = "sent" if sent_us is not None else "expired" if late else "waiting"
        return found
