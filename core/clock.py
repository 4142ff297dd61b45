"""Time, passed in: every stage that needs to know what time it is asks a `Clock`."""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Says what time it is."""

    def now_us(self) -> int:
        """UTC now, microseconds since 1970."""
        ...

    def wall_s(self, seconds: float) -> float:
        """How many real seconds pass while this clock goes on by `seconds`."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's clock, or one that runs `scale` times as fast from `origin_us` on.

    A replay at ten times the speed needs a worker and a desk whose countdowns and staleness rules run at
    ten times the speed too; everything else uses `scale` 1, where `origin_us` does not matter.
    """

    scale: float = 1.0
    origin_us: int = 0

    def now_us(self) -> int:
        """UTC now, microseconds since 1970."""
        now = time.time_ns() // 1000
        if self.scale == 1.0:
            return now
        return self.origin_us + round((now - self.origin_us) * self.scale)

    def wall_s(self, seconds: float) -> float:
        """Real seconds that pass while this clock goes on by `seconds`."""
        return seconds / self.scale


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_us: int = 1_700_000_000_000_000) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        """Whatever the test last set."""
        return self._now_us

    def wall_s(self, seconds: float) -> float:
        """Nothing waits on a clock that stands still."""
        return 0.0 * seconds

    def advance(self, seconds: float) -> None:
        """Moves the clock on."""
        self._now_us += round(seconds * 1e6)
