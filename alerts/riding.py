"""How long each helmet was ridden each day, worn and not, and how long without a rest: a file of its own.

Riding logs may come late, in any order and twice. The seconds of the last two days are kept as they were told, of two
words about one second the higher; what is added up of them (days, duty clocks) changes by exactly what was new. Nothing
here touches the alert book: a write to it never waits for this.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import numpy as np

from alerts import duty
from alerts.database import transaction
from alerts.duty import Clock
from alerts.riding_file import clock_of, opened, states_of
from alerts.riding_seconds import QUARTER_S, U8, day_of, intervals, packed, spread
from core.model import Riding, RidingLog

KEPT_S = 48 * 3600
"""For so long seconds are kept one by one, and late ones taken; then only the sums of the days stay."""
AHEAD_S = 3600
"""A clock that is further ahead is wrong."""


class RidingError(Exception):
    """The file cannot be used now; the message says why. What was to be kept comes again."""


@dataclass(frozen=True, slots=True)
class Ridden:
    """Seconds that a helmet was ridden on a day."""

    helmet: str
    worn_s: int
    not_worn_s: int
    unknown_s: int
    """It was ridden and nobody knows whether worn, or moved and nobody knows whether ridden."""


@dataclass(frozen=True, slots=True)
class Total:
    """What all helmets together were ridden on a day."""

    helmets: int
    worn_s: int
    not_worn_s: int
    unknown_s: int


@dataclass(frozen=True, slots=True)
class OnDuty:
    """A helmet whose rider has not had a real rest, and its clock."""

    helmet: str
    worked_s: float
    since_us: int
    heard_us: int
    """The last second that counted, as riding or as rest."""
    works: bool
    rest_s: float
    uncertain_s: float


class RidingBook:
    """The file. Use it from one thread at a time; it is opened with the first call that needs it."""

    def __init__(self, path: Path, zone: tzinfo) -> None:
        self._path, self._zone = path, zone
        self._opened: sqlite3.Connection | None = None

    def close(self) -> None:
        """Closes the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def take(self, logs: Iterable[RidingLog], now_us: int) -> int:
        """Takes logs, in one durable transaction; how many were too old or ahead of time. Raises `RidingError`."""
        earliest, latest = now_us - KEPT_S * 1_000_000, now_us + AHEAD_S * 1_000_000
        fresh: dict[str, dict[int, U8]] = {}
        refused = 0
        for log in logs:
            if earliest <= log.start_us <= latest:
                spread(log, fresh.setdefault(log.helmet, {}))
            else:
                refused += 1
        with self._use() as db, transaction(db):
            for helmet, quarters in fresh.items():
                self._merge(db, helmet, quarters)
        return refused

    def day(self, now_us: int) -> str:
        """The day of a moment in the desk's zone, as YYYY-MM-DD."""
        return day_of(now_us // 1_000_000 // QUARTER_S, self._zone)

    def ridden(self, day: str, after: str, limit: int) -> list[Ridden]:
        """The helmets ridden on a day, by their ids after one. Raises `RidingError`."""
        with self._use() as db:
            rows = db.execute(
                "SELECT helmet, worn_s, not_worn_s, unknown_s FROM days WHERE day = ? AND helmet > ? "
                "ORDER BY helmet LIMIT ?",
                (day, after, limit),
            ).fetchall()
        return [Ridden(*row) for row in rows]

    def total(self, day: str) -> Total:
        """All helmets on a day. Raises `RidingError`."""
        with self._use() as db:
            row = db.execute(
                "SELECT count(*), coalesce(sum(worn_s), 0), coalesce(sum(not_worn_s), 0), "
                "coalesce(sum(unknown_s), 0) FROM days WHERE day = ?",
                (day,),
            ).fetchone()
        return Total(*row)

    def days(self, first: str, last: str) -> list[str]:
        """The days from one to another of which something is known. Raises `RidingError`."""
        with self._use() as db:
            rows = db.execute(
                "SELECT DISTINCT day FROM days WHERE day BETWEEN ? AND ? ORDER BY day", (first, last)
            ).fetchall()
        return [day for (day,) in rows]

    def helmet(self, helmet: str, now_us: int) -> tuple[list[tuple[str, Ridden]], OnDuty | None]:
        """The last fourteen days of one helmet, newest first, and its duty. Raises `RidingError`."""
        today = datetime.fromtimestamp(now_us / 1e6, self._zone).date()
        days = [(today - timedelta(days=k)).isoformat() for k in range(14)]
        with self._use() as db:
            rows = [
                row
                for day in days
                for row in db.execute(
                    "SELECT day, helmet, worn_s, not_worn_s, unknown_s FROM days WHERE day = ? AND helmet = ?",
                    (day, helmet),
                )
            ]
            clock = clock_of(db, helmet)
        on_duty = _on_duty(helmet, clock) if clock.worked_s and clock.end_us > _forgotten_us(now_us) else None
        return [(day, Ridden(*rest)) for day, *rest in rows], on_duty

    def duty(self, now_us: int, after: int = 0, limit: int = 1000) -> list[OnDuty]:
        """Who has ridden without a real rest, the longest first, after so many of them. Raises `RidingError`."""
        with self._use() as db:
            rows = db.execute(
                "SELECT helmet, since_us, end_us, works, worked_s, rest_s, uncertain_s FROM clocks "
                "WHERE worked_s > 0 AND end_us > ? ORDER BY worked_s DESC, helmet LIMIT ? OFFSET ?",
                (_forgotten_us(now_us), limit, after),
            ).fetchall()
        return [
            _on_duty(helmet, Clock(since, end, bool(works), *rest))
            for helmet, since, end, works, *rest in rows
        ]

    def overdue(self, now_us: int) -> tuple[int, int]:
        """How many are near the limit, and how many beyond it. Raises `RidingError`."""
        with self._use() as db:
            beyond = db.execute(
                "SELECT count(*), coalesce(sum(worked_s >= ?), 0) FROM clocks WHERE worked_s >= ? AND end_us > ?",
                (duty.LIMIT_S, duty.WARN_S, _forgotten_us(now_us)),
            ).fetchone()
        return beyond[0] - beyond[1], beyond[1]

    def prune(self, now_us: int, keep_days: float) -> int:
        """Forgets seconds and clocks after two days, and days after `keep_days` (0: all at once); how many rows.

        Raises `RidingError`.
        """
        before_s, first_day = now_us // 1_000_000 - KEPT_S, self.day(now_us - round(keep_days * 86_400e6))
        if not keep_days:
            before_s, first_day = 2**40, "9999"
        with self._use() as db, transaction(db):
            gone = [
                db.execute("DELETE FROM quarters WHERE quarter < ?", (before_s // QUARTER_S,)),
                db.execute("DELETE FROM clocks WHERE end_us < ?", (before_s * 1_000_000,)),
                db.execute("DELETE FROM days WHERE day < ?", (first_day,)),
            ]
            return sum(each.rowcount for each in gone)

    def forget(self, helmets: Sequence[str]) -> int:
        """Forgets all of some helmets; how many days were known of them. Raises `RidingError`."""
        days = 0
        with self._use() as db:
            with transaction(db):
                for helmet in helmets:
                    days += db.execute("DELETE FROM days WHERE helmet = ?", (helmet,)).rowcount
                    db.execute("DELETE FROM quarters WHERE helmet = ?", (helmet,))
                    db.execute("DELETE FROM clocks WHERE helmet = ?", (helmet,))
            # What was there before still stands in the write-ahead log.
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return days

    def _merge(self, db: sqlite3.Connection, helmet: str, quarters: dict[int, U8]) -> None:
        """Takes what was told of one helmet, and counts what was new."""
        clock = clock_of(db, helmet)
        first_s = None
        news: list[tuple[int, int, U8]] = []
        for quarter in sorted(quarters):
            known = states_of(db, quarter, helmet)
            before = np.zeros(QUARTER_S, np.uint8) if known is None else known
            after = np.maximum(before, quarters[quarter])
            changed = np.flatnonzero(after != before)
            if not len(changed):
                continue
            at = int(changed[0])
            first_s = quarter * QUARTER_S + at if first_s is None else first_s
            news.append((quarter, at, after))
            db.execute("INSERT OR REPLACE INTO quarters VALUES (?, ?, ?)", (quarter, helmet, packed(after)))
            self._count(db, helmet, quarter, before, after)
        if first_s is None:
            return
        if first_s * 1_000_000 < clock.end_us:
            clock = self._refold(db, helmet, news[-1][0])
        else:
            for quarter, at, after in news:
                for interval in intervals(quarter * QUARTER_S + at, after[at:]):
                    clock = duty.advance(clock, interval)
        db.execute("INSERT OR REPLACE INTO clocks VALUES (?, ?, ?, ?, ?, ?, ?)", (helmet, *clock))

    def _count(self, db: sqlite3.Connection, helmet: str, quarter: int, before: U8, after: U8) -> None:
        more = np.bincount(after, minlength=5) - np.bincount(before, minlength=5)
        worn, bare, unknown = (int(more[k]) for k in (Riding.WORN, Riding.BARE, Riding.UNKNOWN))
        if worn or bare or unknown:
            db.execute(
                "INSERT INTO days VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET worn_s = worn_s + excluded.worn_s, "
                "not_worn_s = not_worn_s + excluded.not_worn_s, unknown_s = unknown_s + excluded.unknown_s",
                (day_of(quarter, self._zone), helmet, worn, bare, unknown),
            )

    def _refold(self, db: sqlite3.Connection, helmet: str, newest: int) -> Clock:
        """The duty clock from all seconds that are kept."""
        last = max(newest, clock_of(db, helmet).end_us // 1_000_000 // QUARTER_S)
        rows = (
            (quarter, states_of(db, quarter, helmet))
            for quarter in range(last - (KEPT_S + AHEAD_S) // QUARTER_S, last + 1)
        )
        return duty.fold(
            interval
            for quarter, states in rows
            if states is not None
            for interval in intervals(quarter * QUARTER_S, states)
        )

    @contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._opened is None:
                self._opened = opened(self._path)
            yield self._opened
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise RidingError(f"{self._path}: {error}") from None


def beside(book: Path) -> Path:
    """Where the file of riding times lies, given the alert book's."""
    return book.with_name(book.name + ".riding")


def _forgotten_us(now_us: int) -> int:
    """A clock that ended then is over."""
    return now_us - round(duty.FORGET_S * 1e6)


def _on_duty(helmet: str, clock: Clock) -> OnDuty:
    return OnDuty(
        helmet, clock.worked_s, clock.since_us, clock.end_us, clock.works, clock.rest_s, clock.uncertain_s
    )
