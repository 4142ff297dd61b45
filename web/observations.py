"""Helmets under observation: until when, and who said so. A table of the alert book's file, append-only."""

import re
import threading
from dataclasses import dataclass
from pathlib import Path

from alerts.database import connect, transaction

HELMETS_MAX = 20
"""Most helmets observed at a time: their raw samples must fit beside everybody's telemetry."""
HOURS_MAX = 24
"""Longest observation; whoever needs more has to say so again."""

_HELMET = re.compile(r"[A-Za-z0-9_-]{1,24}")


class ObservationError(Exception):
    """A helmet cannot be put under observation; the message says why."""


class TooManyError(ObservationError):
    """`HELMETS_MAX` are observed already."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the trail: somebody began, changed or ended an observation."""

    helmet: str
    at_us: int
    until_us: int
    """When it ends by itself; the same as `at_us` where it was ended."""
    by: str
    """Display name of a person, or the user of this machine who gave the command."""


class Observations:
    """The table `observations`; what was said last about a helmet counts. May be used from any thread."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._db.close()

    def begin(self, helmet: str, until_us: int, by: str, now_us: int) -> Entry:
        """Puts a helmet under observation, or changes until when it is. Raises `ObservationError`."""
        if not _HELMET.fullmatch(helmet):
            raise ObservationError("helmet: must be 1 to 24 characters of A-Z a-z 0-9 _ -.")
        if not now_us < until_us <= now_us + HOURS_MAX * 3_600_000_000:
            raise ObservationError(f"An observation lasts at most {HOURS_MAX} hours.")
        with self._lock, transaction(self._db):
            others = {entry.helmet for entry in self._current(now_us)} - {helmet}
            if len(others) >= HELMETS_MAX:
                raise TooManyError(f"{HELMETS_MAX} helmets are under observation already; end one first.")
            return self._note(Entry(helmet, now_us, until_us, by))

    def end(self, helmet: str, by: str, now_us: int) -> bool:
        """Ends an observation; False where there was none."""
        with self._lock, transaction(self._db):
            if not any(entry.helmet == helmet for entry in self._current(now_us)):
                return False
            self._note(Entry(helmet, now_us, now_us, by))
            return True

    def current(self, now_us: int) -> list[Entry]:
        """What is under observation now, by helmet."""
        with self._lock:
            return self._current(now_us)

    def trail(self, helmet: str, limit: int = 100) -> list[Entry]:
        """The last lines about one helmet, newest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT helmet, at_us, until_us, actor FROM observations WHERE helmet = ? ORDER BY seq DESC LIMIT ?",
                (helmet, limit),
            ).fetchall()
        return [Entry(*row) for row in rows]

    def _current(self, now_us: int) -> list[Entry]:
        rows = self._db.execute(
            "SELECT helmet, at_us, until_us, actor FROM observations WHERE until_us > ? "
            "AND seq IN (SELECT max(seq) FROM observations GROUP BY helmet) ORDER BY helmet",
            (now_us,),
        ).fetchall()
        return [Entry(*row) for row in rows]

    def _note(self, entry: Entry) -> Entry:
        self._db.execute(
            "INSERT INTO observations (helmet, at_us, until_us, actor) VALUES (?, ?, ?, ?)",
            (entry.helmet, entry.at_us, entry.until_us, entry.by),
        )
        return entry
