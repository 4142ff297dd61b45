"""Tells the life of an alert as a timeline, in seconds since a crash, on a real book in a file."""

from dataclasses import replace
from pathlib import Path

from alerts.book import Book
from alerts.model import Alert, Change, Resolution, Rider
from alerts.reader import Detail, Reader
from core.clock import ManualClock
from core.model import Detection, HelmetEvent, Kind, Stage, Worn

START_US = 1_700_000_000_000_000
COUNTDOWN_S = 30.0
HELMET = "SF-000001"
ZHANG = Rider("张三", "+8613800000000")


def version(number: int = 1, stage: Stage = Stage.STANDARD, severity: int = 2, impacts_s: tuple[float, ...] = (0,),
            incident: str = "crash", helmet: str = HELMET) -> Detection:  # fmt: skip
    """One version of an incident whose impacts happened at the given seconds."""
    impacts_us = [START_US + round(s * 1e6) for s in impacts_s]
    return Detection(
        incident=incident,
        version=number,
        helmet=helmet,
        kind=Kind.HEAD_STRIKE,
        stage=stage,
        severity=severity,
        severity_basis="kinematic",
        quality="B",
        occurred_us=impacts_us[0],
        impacts_us=impacts_us,
        received_us=START_US,
        detected_us=START_US,
        boot=1,
        seq=100 + number,
        reason_zh="头部撞击",
        reason_en="Head impact",
        worn=Worn.YES,
    )


class Story:
    """A book, a clock, and what has happened so far."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "alerts.db"
        self.clock = ManualClock(START_US)
        self.reopen_file()

    def reopen_file(self) -> None:
        """As after a crash of the desk: the old connection is simply left behind."""
        self.book = Book(self.path, COUNTDOWN_S, {HELMET: ZHANG})
        self.reader = Reader(self.path)

    def at(self, seconds: float) -> "Story":
        """Time goes on to this second, the way the desk's clock does: what is due opens."""
        while self.now_s() < seconds:
            self.clock.advance(min(0.25, seconds - self.now_s()))
            self.book.advance(self.clock.now_us())
        return self

    def now_s(self) -> float:
        """Seconds since the crash."""
        return (self.clock.now_us() - START_US) / 1e6

    def detect(self, *versions: Detection) -> list[Change]:
        """The worker delivers."""
        return self.book.take(versions, self.clock.now_us())

    def says(self, type_: str, at_s: float | None = None, helmet: str = HELMET) -> list[Change]:
        """The rider presses a button; it happened now unless another second is given."""
        now_us = self.clock.now_us()
        t_us = now_us if at_s is None else START_US + round(at_s * 1e6)
        event = HelmetEvent(helmet, type_, t_us, now_us)  # type: ignore[arg-type]
        return self.book.take_events([event], now_us)

    def take(self, person: str, alert: str = "crash") -> list[Change]:
        return self.book.acknowledge(alert, person, self.clock.now_us())

    def close(
        self, person: str, reason: Resolution = Resolution.UNHURT, alert: str = "crash"
    ) -> list[Change]:
        return self.book.resolve(alert, person, reason, "", self.clock.now_us())

    def back(self, person: str, alert: str = "crash") -> list[Change]:
        return self.book.reopen(alert, person, "", self.clock.now_us())

    def alert(self, alert: str = "crash") -> Alert:
        """As it stands now."""
        return self.reader.alert(alert)

    def detail(self, alert: str = "crash") -> Detail:
        return self.reader.detail(alert)

    def timeline(self, alert: str = "crash") -> list[str]:
        """`second type state actor`, one for each change."""
        return [
            f"{(c.at_us - START_US) / 1e6:g} {c.type} {c.alert.state} {c.actor}"
            for c in self.detail(alert).timeline
        ]


def worse(first: Detection, **changes: object) -> Detection:
    """The next version of a finding."""
    return replace(first, version=first.version + 1, **changes)
