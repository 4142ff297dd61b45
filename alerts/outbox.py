"""The outbox and ledger of notices: dedup, then send, then record; what was not recorded is sent again.

A notice is written down before anybody tries to send it, and crossed out only after the service has it. A
process that dies in between repeats it with the same id: at least once, never lost.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from alerts.channels.limits import Parcel
from alerts.channels.outcome import Outcome, Result
from alerts.database import connect, transaction
from alerts.notices import Notice, dump, parse

WAITING_MAX = 10_000
"""Most notices waiting for one channel; beyond it the oldest that are not critical go, and the ledger says so."""

KEPT_US = 24 * 3600 * 1_000_000
"""How long a notice is tried."""

DELAY_MAX_S = 60.0


class Stand(StrEnum):
    """How far a notice has come."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    REFUSED = "refused"
    """The service will never take it."""
    GIVEN_UP = "given_up"
    """It could not be delivered within a day, or too many waited."""
    OVERTAKEN = "overtaken"
    """It called people to an alert that somebody had taken, or that had ended, before it could be sent."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One line of the ledger, as the API gives it out."""

    id: str
    alert: str
    channel: str
    reason: str
    tier: int | None
    people: list[str]
    state: Stand
    title: str
    queued_us: int
    tries: int
    tried_us: int | None
    ended_us: int | None
    next_us: int | None
    code: str
    sentence: str
    carried_by: str
    """Id of the digest that carried it; empty where it went alone."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a channel fares."""

    waiting: int
    delivered_us: int | None
    """When it last took something."""
    failed_us: int | None
    """When a try last failed."""
    code: str
    sentence: str
    """What the last failure said."""

    @property
    def failing(self) -> bool:
        """Whether the last try failed."""
        return self.failed_us is not None and self.failed_us > (self.delivered_us or 0)


class Outbox:
    """The table `deliveries`. Use it from one thread at a time; each method is one durable transaction."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def put(self, notices: Sequence[Notice], now_us: int) -> list[Delivery]:
        """Dedup: writes down the notices that are not known yet, to be sent at once."""
        if not notices:
            return []
        with transaction(self._db):
            new = [notice for notice in notices if self._add(notice, now_us)]
            stale = [id_ for notice in new if notice.overtakes for id_ in self._calls_waiting(notice)]
            self._end(stale, Stand.OVERTAKEN, now_us)
            for channel in {notice.channel for notice in new}:
                self._shed(channel, now_us)
        return self._lines([notice.id for notice in new] + stale)

    def waiting(self, channel: str, now_us: int, limit: int) -> tuple[list[Notice], list[Delivery]]:
        """What is due on a channel, critical first; and what was overtaken meanwhile and so never goes out."""
        rows = self._db.execute(
            "SELECT d.id, d.body, a.state, json_extract(a.body, '$.opened_us') "
            "FROM deliveries d LEFT JOIN alerts a ON a.id = d.alert "
            "WHERE d.channel = ? AND d.next_us <= ? ORDER BY d.critical DESC, d.next_us, d.number LIMIT ?",
            (channel, now_us, limit),
        ).fetchall()
        due, stale = [], []
        for id_, body, state, opened_us in rows:
            notice = parse(body)
            if _overtaken(notice, state, opened_us):
                stale.append(id_)
            else:
                due.append(notice)
        if stale:
            with transaction(self._db):
                self._end(stale, Stand.OVERTAKEN, now_us)
        return due, self._lines(stale)

    def record(self, parcel: Parcel, outcome: Outcome, now_us: int, jitter: float) -> list[Delivery]:
        """Writes down what became of a try; `jitter` (0 to 1) keeps many retries from coming all at once."""
        ids = [notice.id for notice in parcel.carries]
        carried_by = parcel.message.id if len(ids) > 1 else ""
        with transaction(self._db):
            for id_ in ids:
                self._db.execute(
                    "UPDATE deliveries SET tries = tries + 1, tried_us = ?, code = ?, sentence = ?, "
                    "carried_by = ? WHERE id = ? AND next_us IS NOT NULL",
                    (now_us, outcome.code, outcome.sentence, carried_by, id_),
                )
            if outcome.result is Result.RETRY:
                self._again(ids, now_us, jitter)
            else:
                delivered = outcome.result is Result.DELIVERED
                self._end(ids, Stand.DELIVERED if delivered else Stand.REFUSED, now_us)
        return self._lines(ids)

    def keep_quiet(self, channel: str, until_us: int) -> None:
        """A service has asked to be left alone until then; a desk that starts holds to it as well."""
        with transaction(self._db):
            self._db.execute(
                "INSERT OR REPLACE INTO memory VALUES (?, ?)", (f"quiet {channel}", str(until_us))
            )

    def quiet_until(self, channel: str) -> int:
        """Until when a channel is to be left alone; 0 where nobody asked."""
        row = self._db.execute("SELECT body FROM memory WHERE name = ?", (f"quiet {channel}",)).fetchone()
        return 0 if row is None else int(row[0])

    def tried_since(self, channel: str, after_us: int) -> list[int]:
        """When messages went out on a channel: what its rate limit has to count after a restart."""
        rows = self._db.execute(
            "SELECT DISTINCT tried_us, CASE carried_by WHEN '' THEN id ELSE carried_by END FROM deliveries "
            "WHERE channel = ? AND tried_us > ? ORDER BY tried_us",
            (channel, after_us),
        )
        return [tried_us for tried_us, _ in rows]

    def health(self, channels: Iterable[str]) -> dict[str, Health]:
        """How the channels fare, by name."""
        return {name: _health(self._db, name) for name in channels}

    def _add(self, notice: Notice, now_us: int) -> bool:
        if notice.follows and not self._called(notice):
            return False
        return bool(
            self._db.execute(
                "INSERT OR IGNORE INTO deliveries "
                "(id, alert, channel, reason, tier, critical, body, state, queued_us, next_us) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    notice.id,
                    notice.alert,
                    notice.channel,
                    notice.reason,
                    notice.tier,
                    notice.critical,
                    dump(notice),
                    Stand.WAITING,
                    now_us,
                    now_us,
                ),
            ).rowcount
        )

    def _called(self, notice: Notice) -> bool:
        """Whether anybody was called on this channel about the notice's alert."""
        calls = "alert = ? AND channel = ? AND tier IS NOT NULL"
        row = self._db.execute(
            f"SELECT 1 FROM deliveries WHERE {calls} LIMIT 1",  # noqa: S608  # constants
            (notice.alert, notice.channel),
        ).fetchone()
        return row is not None

    def _calls_waiting(self, notice: Notice) -> list[str]:
        """Calls to what the notice is about that could not be sent yet."""
        rows = self._db.execute(
            "SELECT id FROM deliveries WHERE channel = ? AND next_us IS NOT NULL AND tier IS NOT NULL "
            "AND json_extract(body, '$.facts.dedup_key') = ?",
            (notice.channel, notice.facts["dedup_key"]),
        )
        return [id_ for (id_,) in rows]

    def _shed(self, channel: str, now_us: int) -> None:
        waits = "FROM deliveries WHERE channel = ? AND next_us IS NOT NULL"
        count: int = self._db.execute(f"SELECT count(*) {waits}", (channel,)).fetchone()[0]
        if count > WAITING_MAX:
            self._db.execute(
                f"UPDATE deliveries SET state = ?, next_us = NULL, ended_us = ?, code = 'full', "  # noqa: S608
                f"sentence = ? WHERE number IN (SELECT number {waits} AND NOT critical ORDER BY number LIMIT ?)",
                (Stand.GIVEN_UP, now_us, "Too many notices waited.", channel, count - WAITING_MAX),
            )

    def _again(self, ids: list[str], now_us: int, jitter: float) -> None:
        for id_ in ids:
            tries, queued_us = self._db.execute(
                "SELECT tries, queued_us FROM deliveries WHERE id = ?", (id_,)
            ).fetchone()
            if now_us - queued_us > KEPT_US:
                self._end([id_], Stand.GIVEN_UP, now_us)
            else:
                wait_s = min(DELAY_MAX_S, 2.0 ** min(tries - 1, 10)) * (1 + jitter) / 2
                self._db.execute(
                    "UPDATE deliveries SET next_us = ? WHERE id = ?", (now_us + round(wait_s * 1e6), id_)
                )

    def _end(self, ids: Iterable[str], stand: Stand, now_us: int) -> None:
        self._db.executemany(
            "UPDATE deliveries SET state = ?, next_us = NULL, ended_us = ? WHERE id = ?",
            [(stand, now_us, id_) for id_ in ids],
        )

    def _lines(self, ids: Sequence[str]) -> list[Delivery]:
        return [line for id_ in ids for line in ledger(self._db, "id = ?", id_)]


_COLUMNS = (
    "id, alert, channel, reason, tier, body, state, "
    "queued_us, tries, tried_us, ended_us, next_us, code, sentence, carried_by"
)


def ledger(db: sqlite3.Connection, where: str, *values: Any) -> list[Delivery]:
    """Lines of the ledger, oldest first; `where` is written by us, values are not."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM deliveries WHERE {where} ORDER BY number",  # noqa: S608
        values,
    )
    return [_delivery(*row) for row in rows]


def _health(db: sqlite3.Connection, channel: str) -> Health:
    # Each of the two has an index of its own: a ledger grows for months, and this is asked after every message.
    waiting = db.execute(
        "SELECT count(*) FROM deliveries WHERE channel = ? AND next_us IS NOT NULL", (channel,)
    ).fetchone()[0]
    delivered = db.execute(
        "SELECT max(tried_us) FROM deliveries WHERE channel = ? AND state = 'delivered'", (channel,)
    ).fetchone()[0]
    failure = db.execute(
        "SELECT tried_us, code, sentence FROM deliveries "
        "WHERE channel = ? AND state <> 'delivered' AND tried_us IS NOT NULL ORDER BY tried_us DESC LIMIT 1",
        (channel,),
    ).fetchone()
    return Health(waiting, delivered, *(failure or (None, "", "")))


def _delivery(
    id_: str, alert: str, channel: str, reason: str, tier: int | None, body: str, state: str, *rest: Any
) -> Delivery:
    notice = parse(body)
    people = [person.name for person in notice.people]
    queued_us, tries, tried_us, ended_us, next_us, code, sentence, carried_by = rest
    return Delivery(
        id=id_,
        alert=alert,
        channel=channel,
        reason=reason,
        tier=tier,
        people=people,
        state=Stand(state),
        title=notice.title,
        queued_us=queued_us,
        tries=tries,
        tried_us=tried_us,
        ended_us=ended_us,
        next_us=next_us,
        code=code,
        sentence=sentence,
        carried_by=carried_by,
    )


def _overtaken(notice: Notice, state: str | None, opened_us: int | None) -> bool:
    """Whether a call to act is superfluous: nobody is called to what somebody has, or what has ended."""
    if notice.episode_us is None or state is None:
        return False
    if state not in ("pending", "open"):
        return True
    return state == "open" and opened_us is not None and opened_us != notice.episode_us
