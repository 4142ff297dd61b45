"""What waits in the journal for desk and store, read beside the worker that writes it."""

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.model import TELEMETRY, HelmetEvent
from ingest.journal import Tick
from ingest.journal_file import note_damage, sound

_SOS = re.compile(r"sos:(-?\d{1,18})")


class Waiting(NamedTuple):
    """A detection or event waiting for the desk."""

    id: int
    kind: str
    body: str


class Refused(NamedTuple):
    """A detection or event that the desk will not take as it is."""

    id: int
    kind: str
    key: str
    at_us: int
    """When it came into the journal."""


_KINDS = ("detection", "event")


class Outbox:
    """The read side, one for each relay's thread."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
        # A flipped byte in a text must not stop the relay.
        self._db.text_factory = lambda text: text.decode(errors="replace")
        self._damaged: set[int] = set()

    def waiting(self, after: int, limit: int = 100) -> list[Waiting]:
        """Detections and events the desk has not taken, in order."""
        rows = self._db.execute(
            "SELECT id, kind, body, crc FROM outbox WHERE state = 'waiting' AND id > ? ORDER BY id LIMIT ?",
            (after, limit),
        )
        waiting = []
        for number, kind, body, crc in rows:
            whole = sound(body.encode(), crc) and kind in _KINDS
            if not whole and number not in self._damaged:
                # It goes to the desk all the same, which takes what makes sense: a crash may be in it.
                self._damaged.add(number)
                note_damage("outbox", number)
            if kind not in _KINDS:
                # The desk has no address for it: it would wait there for ever, and everything behind it.
                kind = "detection" if '"incident":' in body else "event"
            waiting.append(Waiting(number, kind, body))
        return waiting

    def sos_since(self, at_us: int) -> Iterator[Tick]:
        """Turns since then that had a call for help in them, oldest first, each with nothing but that call."""
        for then_us, key in self._db.execute(
            "SELECT at_us, key FROM outbox WHERE kind = 'event' AND at_us >= ? ORDER BY at_us, id", (at_us,)
        ):
            # Of what the desk took only the key is left, which says it all.
            helmet, _, rest = key.partition(":")
            if (found := _SOS.fullmatch(rest)) is not None:
                yield Tick(then_us, events=[HelmetEvent(helmet, "sos", int(found[1]), then_us)])

    def count(self) -> int:
        """How many detections and events the desk has not taken."""
        return int(self._db.execute("SELECT count(*) FROM outbox WHERE state = 'waiting'").fetchone()[0])

    def refused(self) -> list[Refused]:
        """What the desk has refused, oldest first."""
        rows = self._db.execute("SELECT id, kind, key, at_us FROM outbox WHERE state = 'refused' ORDER BY id")
        return [Refused(*row) for row in rows]

    def telemetry(self, after: int, rows: int) -> tuple[list[int], npt.NDArray[np.void]]:
        """The next telemetry blocks, at least one and about `rows` rows, with their ids.

        The rows of a damaged block are left out, and counted.
        """
        ids: list[int] = []
        parts: list[npt.NDArray[np.void]] = []
        found = 0
        for i, block, crc in self._db.execute(
            "SELECT id, block, crc FROM telemetry WHERE id > ? ORDER BY id", (after,)
        ):
            ids.append(i)
            # A damaged file may hand out a block of another table, as sound as it was written.
            if not sound(block, crc) or len(block) % TELEMETRY.itemsize:
                note_damage("telemetry", i)
                block = b""
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

    def rejected_since(self, at_us: int) -> Iterator[tuple[str, str, bytes]]:
        """Topic, reason and payload (its first 4,096 bytes) of what was rejected since then, oldest first."""
        query = "SELECT topic, reason, payload FROM rejected WHERE at_us >= ? ORDER BY id"
        yield from self._db.execute(query, (at_us,))

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()


def send_again(path: Path, ids: Iterable[int] | None = None) -> int:
    """Puts what the desk refused (all of it without `ids`) at the end of what waits for it; says how much.

    The worker may run meanwhile. Raises `sqlite3.Error`.
    """
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        chosen = [row for (row,) in db.execute("SELECT id FROM outbox WHERE state = 'refused' ORDER BY id")]
        if ids is not None:
            chosen = sorted(set(chosen) & set(ids))
        for number in chosen:
            kept = db.execute(
                "SELECT key, kind, body, at_us, crc FROM outbox WHERE id = ?", (number,)
            ).fetchone()
            # With a number of its own: the worker looks at each number once.
            db.execute("DELETE FROM outbox WHERE id = ?", (number,))
            db.execute("INSERT INTO outbox (key, kind, body, at_us, crc) VALUES (?, ?, ?, ?, ?)", kept)
        db.execute("COMMIT")
    return len(chosen)
