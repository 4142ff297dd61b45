"""Who is on duty: people take turns, and hand over at the same time of day where they live, in summer as in winter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Rota:
    """One duty. On the day `start` the first person begins at the first of the `handovers`.

    Every period of `days` has one turn for each of the `handovers` times of day; the people follow one
    another from turn to turn, for ever.
    """

    people: tuple[str, ...]
    zone: ZoneInfo
    start: date
    handovers: tuple[time, ...] = (time(8),)
    """Times of day in `zone`, ascending."""
    days: int = 1
    """1: a turn ends at the next of the `handovers`; 7: each person keeps their part of the day for a week."""

    def on_duty(self, at_us: int) -> str:
        """Who has the duty at a moment."""
        local = datetime.fromtimestamp(at_us / 1e6, self.zone)
        day, slot = local.date(), sum(at <= local.time() for at in self.handovers) - 1
        if slot < 0:
            day, slot = day - timedelta(days=1), len(self.handovers) - 1
        period = (day - self.start).days // self.days
        return self.people[(period * len(self.handovers) + slot) % len(self.people)]

    def changed_us(self, at_us: int) -> int:
        """The last moment up to `at_us` at which somebody took over, or could have."""
        return max(t for t in self._moments(at_us) if t <= at_us)

    def changes_us(self, at_us: int) -> int:
        """The first moment after `at_us` at which somebody takes over, or could."""
        return min(t for t in self._moments(at_us) if t > at_us)

    def _moments(self, at_us: int) -> Sequence[int]:
        today = datetime.fromtimestamp(at_us / 1e6, self.zone).date()
        days = [today + timedelta(days=n) for n in (-1, 0, 1, 2)]
        # A time of day that the clocks skip or repeat is the moment at which they do.
        local = [datetime.combine(day, at, self.zone) for day in days for at in self.handovers]
        return [round(moment.timestamp() * 1e6) for moment in local]
