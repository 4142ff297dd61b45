"""A rider at work: carries out the tasks of a day along the streets, and puts the helmet on and takes it off."""

import math

import numpy as np

from simulator import city, handling, mishaps
from simulator.befalls import Activity
from simulator.day import Day, Shift, Task
from simulator.everyday import HANDLEBAR, HEAD
from simulator.legs import HARD_MPS2, Pace, set_off, stand_here
from simulator.motion import Array
from simulator.pulses import Motion
from simulator.rider import Rider
from simulator.scenario import Happening, Scenario
from simulator.sensor import Part

_NEAR_M = 2.0
"""Who is this close to a crossing has reached it."""
_WALK_MPS = (1.1, 1.5)
_CORNER_MPS = (2.5, 4.0)
_LOOK_S = 4.0
"""How long before the end of a block a rider begins to look over the shoulder."""


class WorkingRider(Rider):
    """A rider whose group has a shift. Happenings wait until the day brings the helmet into a position for them."""

    def __init__(self, scenario: Scenario, index: int, part: Part, row: np.void, shift: Shift) -> None:
        self._day = Day(shift, np.random.default_rng((scenario.seed, 23, index)))
        self._own = np.random.default_rng((scenario.seed, 31, index))
        self._usual_mps = float(self._own.uniform(5.5, 9.0))
        self._task = Task("", "park")
        self._pending: Task | None = None
        self._block_m = 0.0
        super().__init__(scenario, index, part, row)

    @property
    def task(self) -> Task:
        """What the rider is about."""
        return self._task

    def battery_pct(self, t_s: float) -> float:
        """Charge of the helmet."""
        return self._day.battery.level_pct(t_s)

    def _start(self, activity: Activity) -> None:  # noqa: ARG002 (the day decides)
        self._leg_over_s = self._until_s = 0.0
        first = self._day.next(0.0, self._crossing)
        self.worn, self._carried = first.worn, first.carried
        self._take(first, 0.0, np.array([0.0, 0.0, 1.0]) if first.worn else handling.lying(self._own))

    def _wanted(self, t_s: float) -> Activity | None:  # noqa: ARG002 (the day decides)
        return None

    def plan(self, t_s: float) -> None:
        """Decides what is to be decided at `t_s`, the time of a frame's first sample."""
        if self.powered and t_s >= self._day.battery.empty_s:
            self.powered = False
        super().plan(t_s)
        if self.powered:
            self.next_s = min(self.next_s, max(self._day.battery.empty_s, t_s))
        else:  # nobody hears what a helmet without power says
            self.said.clear()

    def _happen(self, t_s: float, h: Happening) -> None:
        if self.powered and self._pending is None:
            super()._happen(t_s, h)

    def _go_on(self, t_s: float, wanted: Activity | None) -> None:  # noqa: ARG002 (the day decides)
        if self._pending is not None and self._settle is None:
            self._take(self._pending, t_s)
        elif self.activity == "lie":
            self._begin("stand", t_s)
        elif self.activity == "ride" and not self._arrived():
            self._leg(t_s)
        elif self._task.activity == "ride" and self.activity == "stand" and not self._arrived():
            self._begin("ride", t_s)  # after a fall, on to where one was going
        else:
            if self.activity == "ride":
                self._begin("stand", t_s)
            self._change(self._day.next(t_s, self._crossing), t_s)

    def _arrived(self) -> bool:
        at_end = self._block_m - float(self._row["went_m"]) < _NEAR_M
        return self._crossing == self._task.goal and at_end

    def _change(self, task: Task, t_s: float) -> None:
        """Takes up a task, with the helmet put on or taken off before it where that is needed."""
        if task.worn == self.worn:
            self._take(task, t_s)
            return
        if self.worn:
            lay = handling.hanging if task.carried == HANDLEBAR else handling.lying
            motion = handling.doff(self._own, lay(self._own))
        else:
            motion = handling.don(self._own, self._row["up"].copy())
        self._pending = task
        self._overlay(t_s, motion)
        self._settle = (t_s + handling.SWITCH_S, motion)
        self._until_s = t_s + handling.LENGTH_S

    def _take(self, task: Task, t_s: float, up: Array | None = None) -> None:
        self._pending, self._task, self._carried = None, task, task.carried
        if task.activity == "ride" and self._crossing == task.goal:
            self._task = task = self._day.next(t_s, self._crossing)
        if up is None and not task.worn:
            up = self._row["up"].copy()  # it stays as it lies
        self._begin(task.activity, t_s, up)
        if task.activity != "ride":
            self._until_s = t_s + task.lasts_s
            self.covered = task.covered
        if task.activity == "walk":
            self._walk(t_s, task.lasts_s)
        self._day.battery.plug(t_s, task.charging)
        if task.charging:
            self.powered = True

    def _walk(self, t_s: float, lasts_s: float) -> None:
        """Along the street to a door, or from there back to the vehicle at the corner."""
        row, v = self._row, float(self._own.uniform(*_WALK_MPS))
        (x, y) = city.place(self._crossing)
        east, north = x - float(row["x_m"]), y - float(row["y_m"])
        length_m = math.hypot(east, north)
        way = (float(self._heading[0]), float(self._heading[1]))
        if length_m > _NEAR_M:
            way = (east / length_m, north / length_m)
        else:
            length_m = max(3.0, v * (lasts_s - 2))
        pace = Pace(0.0, v, 0.0, 0.8, 0.8).fitting(length_m)
        self._until_s = t_s + set_off(row, t_s, way, pace, length_m)

    def _come_to_rest(self, t_s: float, motion: Motion) -> None:
        if motion.then == "wear":
            self._row["carried"], self._carried = HEAD, HEAD
            until_s = self._until_s
            self._begin("stand", t_s, motion.up)
            self._until_s = until_s
        elif self._pending is not None:
            until_s = self._until_s
            self._begin("park", t_s, motion.up)
            self._until_s = until_s
        else:
            until_s = self._until_s if self.activity == "park" else t_s
            super()._come_to_rest(t_s, motion)
            self._until_s = max(self._until_s, until_s)

    def _stand_here(self) -> None:
        if self.activity == "ride":
            self._block_m -= float(self._row["went_m"])
        super()._stand_here()

    def _leg(self, t_s: float, *, stop: bool = False) -> None:  # noqa: ARG002 (the day decides)
        """To the next crossing of the way, along the street, at a speed that fits the block and the light."""
        row, rng = self._row, self._own
        v_in = 0.0 if row["halt_s"] <= t_s else self._speed(t_s)
        left_m = self._block_m - float(row["went_m"])
        x, y = (
            float(row["x_m"] + row["east"] * row["went_m"]),
            float(row["y_m"] + row["north"] * row["went_m"]),
        )
        stand_here(row)
        if self._settle is None:  # who is falling has stopped for good
            row["halt_s"] = np.inf
        if (
            left_m < _NEAR_M
        ):  # a frame may end behind the crossing: that piece is ridden in the new street already
            self._heading = city.towards(self._crossing, self._task.goal, self._heading)
            at, self._crossing = self._crossing, _next(self._crossing, self._heading)
            (x, y), over_m = city.place(at), max(0.0, -left_m)
            x, y = x + over_m * self._heading[0], y + over_m * self._heading[1]
            left_m = (city.BLOCK_EAST_M if self._heading[0] else city.BLOCK_NORTH_M) - over_m
            self.covered = city.covered(at, self._crossing)
        row["x_m"], row["y_m"], self._block_m = x, y, left_m
        up, down = float(rng.uniform(0.8, 1.5)), float(rng.uniform(1.2, 2.5))
        cruise = min(10.5, self._usual_mps * float(rng.uniform(0.8, 1.2)))
        pace = Pace(v_in, max(cruise, v_in), self._leaves_at(cruise), up, down).fitting(left_m)
        waits_s = 0.0
        if self._crossing != self._task.goal:
            waits_s = city.red_s(self._crossing, self._heading, t_s + pace.lasts_s(left_m))
            if waits_s:  # some see red late
                down = float(rng.uniform(*HARD_MPS2)) if rng.random() < 0.05 else down
                pace = Pace(v_in, pace.cruise, 0.0, up, down).fitting(left_m)
        lasts_s = set_off(row, t_s, (float(self._heading[0]), float(self._heading[1])), pace, left_m)
        self._leg_over_s = t_s + lasts_s + waits_s
        self._strew(t_s, lasts_s)
        if lasts_s > _LOOK_S + 1 and self.worn and self._settle is None and rng.random() < self._looks(pace):
            self._overlay(t_s + lasts_s - _LOOK_S, mishaps.head_turn(rng))

    def _looks(self, pace: Pace) -> float:
        """How likely the rider looks over the shoulder at the end of a block: mostly before a corner."""
        return 0.7 if 0 < pace.v_out <= _CORNER_MPS[1] else 0.1

    def _leaves_at(self, cruise: float) -> float:
        """Speed at the end of the block: a stand at the goal, slow round a corner, hardly slower straight on."""
        if self._crossing == self._task.goal:
            return 0.0
        straight = city.towards(self._crossing, self._task.goal, self._heading) == self._heading
        return 0.8 * cruise if straight else float(self._own.uniform(*_CORNER_MPS))


def _next(crossing: city.Crossing, heading: city.Heading) -> city.Crossing:
    return crossing[0] + heading[0], crossing[1] + heading[1]
