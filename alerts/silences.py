"""Silences: helmets in maintenance, or a station whose power is cut, need not call anybody about small things.

A silence holds back messages, never an alert: the page shows every one, and what is severe, could be severe
or was raised by a rider calls people as ever.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from alerts.database import connect, transaction
from alerts.model import Alert, Rider
from core.model import Kind, Worn

LEAST_SEVERE = 3
"""From this severity on nothing is ever silenced."""

NEVER = (
    "严重、危急、佩戴中（或佩戴未知）的撞击和摔倒、求救按钮、信号中断以及可能更严重的报警照常通知。 "
    "Alerts that are serious or critical, head strikes and falls unless the helmet is known not to be worn, SOS, a "
    "signal lost after an impact, and impacts beyond the sensor's range are never silenced."
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which helmets: those named, and those whose riders belong to a city, or to a station."""

    helmets: tuple[str, ...] = ()
    city: str = ""
    station: str = ""
    """Of the city, where one is given."""

    def covers(self, helmet: str, rider: Rider | None) -> bool:
        """Whether a helmet is meant."""
        if helmet in self.helmets:
            return True
        if rider is None or not (self.city or self.station):
            return False
        return self.city in ("", rider.city) and self.station in ("", rider.station)


@dataclass(frozen=True, slots=True)
class Silence:
    """Who silenced what, why and until when."""

    id: str
    scope: Scope
    reason: str
    by: str
    from_us: int
    until_us: int
    count: int
    """Helmets it covered when it began."""
    ended_us: int | None = None
    """When a person ended it before its time."""
    ended_by: str | None = None

    def lasts(self, now_us: int) -> bool:
        """Whether it holds at a moment."""
        return self.from_us <= now_us < self.until_us and self.ended_us is None


def silenceable(alert: Alert) -> bool:
    """Whether an alert is small enough, beyond doubt, to be held back from the channels."""
    return (
        alert.severity < LEAST_SEVERE
        and alert.kind is not Kind.SOS
        # A crash of somebody who wears, or may wear, the helmet is no maintenance, however small it looks.
        and not (alert.kind in (Kind.HEAD_STRIKE, Kind.FALL) and alert.worn is not Worn.NO)
        and alert.severity_basis != "lower_bound"
        and not alert.signal_lost
        and not alert.test
    )


def until_us(silences: Iterable[Silence], alert: Alert, now_us: int) -> int | None:
    """Until when the channels say nothing about an alert; None where they speak."""
    if not silenceable(alert):
        return None
    return max(
        (
            each.until_us
            for each in silences
            if each.lasts(now_us) and each.scope.covers(alert.helmet, alert.rider)
        ),
        default=None,
    )


class Silences:
    """The table `silences`. Use it from one thread at a time; each method is one durable transaction."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def add(self, silence: Silence) -> None:
        """Writes a new one down."""
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO silences VALUES (?, ?, ?)", (silence.id, silence.until_us, _dump(silence))
            )

    def end(self, id_: str, person: str, now_us: int) -> Silence | None:
        """A person ends one before its time; None where there is none. Ending it twice changes nothing."""
        with transaction(self._db):
            row = self._db.execute("SELECT body FROM silences WHERE id = ?", (id_,)).fetchone()
            if row is None:
                return None
            silence = _parse(row[0])
            if silence.lasts(now_us):
                silence = replace(silence, ended_us=now_us, ended_by=person)
                self._db.execute("UPDATE silences SET body = ? WHERE id = ?", (_dump(silence), id_))
        return silence

    def since(self, after_us: int) -> list[Silence]:
        """Those that were to last beyond a moment, newest first."""
        rows = self._db.execute(
            "SELECT body FROM silences WHERE until_us > ? ORDER BY rowid DESC", (after_us,)
        ).fetchall()
        return [_parse(body) for (body,) in rows]


def _dump(silence: Silence) -> str:
    return json.dumps(asdict(silence), ensure_ascii=False)


def _parse(text: str) -> Silence:
    body = json.loads(text)
    scope = body.pop("scope")
    return Silence(scope=Scope(tuple(scope["helmets"]), scope["city"], scope["station"]), **body)
