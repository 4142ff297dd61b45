"""A working day: when a rider's shift begins and ends, orders and how they are carried out, breaks, the battery.

It says what is done next, in what order and for how long; how that moves a helmet is `simulator.working`'s. All shares,
times and rates are planning figures.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from simulator import city
from simulator.city import Crossing
from simulator.everyday import BOX, HANDLEBAR, HEAD

Activity = Literal["ride", "walk", "stand", "park"]

_WAIT_H = {True: 3 / 60, False: 12 / 60}
"""Mean wait for the next order at meal times and between them."""
_MEALS_H = ((11.0, 13.5), (17.0, 20.0))
_LEAST_S = {"ride": 0.0, "walk": 6.0, "stand": 3.0, "park": 8.0}
"""However compressed the day, nothing takes less than this."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Which part of a day a run lives through."""

    begins_h: float = 9.0
    """Hour of the day at the start of the run."""
    compress: float = 1.0
    """How many hours of the day pass in one: waits, walks, breaks, ways and battery shrink, motion does not."""


class Task(NamedTuple):
    """What to do next."""

    what: str
    activity: Activity
    lasts_s: float = 0.0
    """Of anything but riding, which ends at `goal`."""
    goal: Crossing = (0, 0)
    carried: int = HEAD
    covered: bool = True
    charging: bool = False

    @property
    def worn(self) -> bool:
        """Whether the helmet is on the head."""
        return self.activity != "park" and self.carried == HEAD


class Battery:
    """The charge of a helmet over time: it falls while the helmet lives, and rises while it is charged."""

    def __init__(self, level_pct: float, drain_pct_h: float, charge_pct_h: float) -> None:
        self._level, self._at_s, self._slope = level_pct, 0.0, -drain_pct_h / 3600
        self._drain, self._charge = -drain_pct_h / 3600, charge_pct_h / 3600

    def level_pct(self, t_s: float) -> float:
        """0 … 100."""
        return min(100.0, max(0.0, self._level + self._slope * (t_s - self._at_s)))

    @property
    def empty_s(self) -> float:
        """When it will be empty."""
        return self._at_s - self._level / self._slope if self._slope < 0 else float("inf")

    def plug(self, t_s: float, charging: bool) -> None:
        """Is charged from `t_s` on, or no more."""
        self._level, self._at_s = self.level_pct(t_s), t_s
        self._slope = self._charge if charging else self._drain


class Day:
    """One rider's days, one after the other; `rng` is the rider's own."""

    def __init__(self, shift: Shift, rng: np.random.Generator) -> None:
        self._shift, self._rng = shift, rng
        self._begins_h, self._ends_h = rng.uniform(9.5, 11.5), rng.uniform(19.5, 22.5)
        self._tasks = self._days()
        self._now_s, self._at = 0.0, (0, 0)
        self._forgot = self._chance(0.15)  # to plug the helmet in overnight
        level_pct = rng.uniform(20, 60) if self._forgot else rng.uniform(85, 100)
        drain, charge = rng.uniform(5, 11), rng.uniform(35, 60)
        self.battery = Battery(level_pct, drain * shift.compress, charge * shift.compress)

    def hour(self, t_s: float) -> float:
        """Hours since midnight before the run, `t_s` into it."""
        return self._shift.begins_h + t_s * self._shift.compress / 3600

    def next(self, t_s: float, at: Crossing) -> Task:
        """What to do at `t_s`, when the last task has been done, for a rider at a crossing."""
        self._now_s, self._at = t_s, at
        return next(self._tasks)

    def _days(self) -> Iterator[Task]:
        midnight = 0.0
        while True:
            before_h = midnight + self._begins_h - self.hour(self._now_s)
            if before_h > 0:
                yield self._park("before the shift", before_h, not self._forgot)
                self._forgot = self._chance(0.15)
            rested_h = self.hour(self._now_s)
            had_lunch = rested_h > midnight + 14.5
            while (now_h := self.hour(self._now_s)) < midnight + self._ends_h:
                if not had_lunch and now_h > midnight + 14.0:
                    had_lunch = True
                    yield self._park("long break", self._rng.uniform(0.5, 1.25), self._plugs_in(0.7))
                    rested_h = self.hour(self._now_s)
                elif now_h - rested_h > self._rng.uniform(2.5, 3.8) and (had_lunch or now_h - midnight < 13):
                    yield self._park("break", self._rng.uniform(0.33, 0.5), self._plugs_in(0.25))
                    rested_h = self.hour(self._now_s)
                else:
                    yield from self._order(now_h - midnight)
            yield self._ride("home", 1, 8)
            midnight += 24

    def _order(self, hour: float) -> Iterator[Task]:
        """Waits for an order, fetches it and brings it to the door."""
        busy = any(a <= hour < b for a, b in _MEALS_H)
        yield self._stand("waiting for an order", min(0.6, self._rng.exponential(_WAIT_H[busy])))
        yield self._ride("to the restaurant", 2, 8)
        yield self._walk("into the restaurant", 20, 60)
        waits_h = self._rng.uniform(1, 9) / 60
        if waits_h > 3 / 60 and self._chance(0.2):
            yield self._park("waiting for the meal", waits_h, False)
        else:
            yield self._stand("waiting for the meal", waits_h)
        yield self._walk("out of the restaurant", 20, 60)
        # Now and then somebody does not bother to put the helmet on.
        carried = int(self._rng.choice([HEAD, HANDLEBAR, BOX], p=[0.96, 0.02, 0.02]))
        yield self._ride("to the customer", 4, 16, carried)
        covered = not self._chance(0.15)  # a lift, a basement
        yield self._walk("to the door", 30, 110, covered)
        yield self._stand("at the door", self._rng.uniform(10, 60) / 3600, covered)
        yield self._walk("back from the door", 30, 110, covered)

    def _chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)

    def _plugs_in(self, share: float) -> bool:
        """Whether the helmet is charged in a break: mostly when it is low."""
        return self._chance(0.9 if self.battery.level_pct(self._now_s) < 25 else share)

    def _lasts_s(self, activity: Activity, hours: float) -> float:
        return max(_LEAST_S[activity], hours * 3600 / self._shift.compress)

    def _park(self, what: str, hours: float, charging: bool) -> Task:
        return Task(what, "park", self._lasts_s("park", hours), charging=charging)

    def _stand(self, what: str, hours: float, covered: bool = True) -> Task:
        return Task(what, "stand", self._lasts_s("stand", hours), covered=covered)

    def _walk(self, what: str, least_s: float, most_s: float, covered: bool = True) -> Task:
        hours = self._rng.uniform(least_s, most_s) / 3600
        return Task(what, "walk", self._lasts_s("walk", hours), covered=covered)

    def _ride(self, what: str, least: int, most: int, carried: int = HEAD) -> Task:
        blocks = max(1, round(int(self._rng.integers(least, most + 1)) / self._shift.compress))
        return Task(what, "ride", goal=city.near(self._rng, self._at, blocks), carried=carried)
