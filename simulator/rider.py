"""A rider: streets of a grid city, stops at crossings, deliveries on foot, and what befalls them.

Everything is drawn from the rider's own random numbers and happens in simulated time, so a rider does the
same whoever else rides and however busy the machine is.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulator import befalls, city, handling, impacts
from simulator.befalls import OBSTACLES, ON_THE_WAY, Activity
from simulator.everyday import BOX, HANDLEBAR, HEAD, PENDULUM_SHOWS
from simulator.legs import FALLING_MPS2, HARD_MPS2, Pace, set_off, speed_at, stand_here
from simulator.motion import CARGO, RIDER, VEHICLES, Array
from simulator.mount import LINER, MOUNTS
from simulator.overlays import Overlay, laid, straightened
from simulator.pulses import Motion
from simulator.scenario import Happening, Scenario
from simulator.sensor import Part

_AHEAD_S = 120.0
"""How long before a happening the rider gets ready for it: longer than any leg with its stop."""
_LEAD_S = 2.6
"""How long before an impact its motion is prepared: longer than any lead-in and frame."""

_OBSTACLE_GAP_S = 1.0
"""Between two obstacles of a script: closer ones would be taken at once, as no road has them."""
_REST_S = 2.0
"""How long after an impact the helmet counts as lying; the impact's motion goes on for longer than that."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Something that really happened, in seconds of the helmet's own time."""

    t_s: float
    kind: str
    expected: str


class Rider:
    """Plans one rider; `row` is the rider's line of the fleet's state, which `plan` keeps up to date."""

    def __init__(self, scenario: Scenario, index: int, part: Part, row: np.void) -> None:
        self._rng = np.random.default_rng((scenario.seed, 7, index))
        self._seed = (scenario.seed, 11, index)
        self._part = part
        self._row = row
        self._rough_spots_per_h = scenario.rough_spots_per_h
        self._due = sorted((h for h in scenario.happenings if h.helmet == index), key=lambda h: h.t_s)
        self._happened = 0
        self._spots: list[float] = []
        self._settle: tuple[float, Motion] | None = None
        self._up_after_s: float | None = None
        self._obstacle_s = -math.inf
        group = scenario.group(index)
        self._carried = HEAD
        if group and (group.hangs or group.boxed):
            self._carried = HANDLEBAR if group.hangs else BOX
        self._sits = MOUNTS[group.sensor] if group else LINER
        row["rattle"] = self._sits.rattle
        self.overlays: list[Overlay] = []
        self.truths: list[Truth] = []
        self.said: list[tuple[float, Literal["sos", "ok", "worn", "not_worn"]]] = []
        self.activity: Activity = "stand"
        self.worn = self._carried == HEAD
        self.covered = self.powered = True
        """Whether the helmet has network, and whether its battery lets it live."""
        east, north = (int(c) for c in self._rng.integers(-city.BLOCKS, city.BLOCKS + 1, 2))
        self._crossing: city.Crossing = (east, north)
        self._heading: city.Heading = (1, 0)
        row["x_m"], row["y_m"] = city.place(self._crossing)
        row["offset"] = self._rng.integers(0, 2**30)
        row["vehicle"] = self._rng.integers(len(VEHICLES))
        if group and group.vehicle:
            row["vehicle"] = [v.name for v in VEHICLES].index(group.vehicle)
        row["up"], row["halt_s"], row["halt_down"] = (0, 0, 1), np.inf, FALLING_MPS2
        other: Activity = ("walk", "stand", "park")[int(self._rng.integers(3))]
        rides = self._rng.random() < scenario.riding
        if group and group.riding is not None:
            rides = group.riding
        self._start("ride" if rides or not self.worn else other)
        self.said.clear()
        self.next_s = 0.0

    def _start(self, activity: Activity) -> None:
        self._begin(self._wanted(0.0) or activity, 0.0)
        # Nobody starts at the same moment of what they do.
        self._until_s *= self._rng.uniform(0.2, 1)

    @property
    def crashed(self) -> bool:
        """Whether the rider lies on the ground, or is just falling."""
        return self.activity == "lie" or (self._settle is not None and self._settle[1].then == "lie")

    def plan(self, t_s: float) -> None:
        """Decides what is to be decided at `t_s`, the time of a frame's first sample."""
        if self._settle and t_s >= self._settle[0]:
            self._come_to_rest(t_s, self._settle[1])
            self._settle = None
        self.overlays = [o for o in self.overlays if o.start + len(o.f) > t_s * self._part.rate_hz]
        if self._due and self._settle is None:
            self._happen(t_s, self._due[0])
        while self._spots and self._spots[0] <= t_s + _LEAD_S:
            self._cross_spot(t_s, self._spots.pop(0))
        wanted = self._wanted(t_s)
        over = t_s >= (self._leg_over_s if self.activity == "ride" else self._until_s)
        if self.activity not in ("ride", "lie") and wanted and wanted != self.activity:
            over = True
        if over:
            self._go_on(t_s, wanted)
        times = [self._leg_over_s if self.activity == "ride" else self._until_s]
        times += [self._settle[0]] if self._settle else []
        times += [self._spots[0] - _LEAD_S] if self._spots else []
        if self._due:
            ready_s, start_s = self._due[0].t_s - _AHEAD_S, self._due[0].t_s - _LEAD_S
            times.append(ready_s if t_s < ready_s else max(start_s, t_s + 0.5))
        self.next_s = min(times)

    def _wanted(self, t_s: float) -> Activity | None:
        """What the next happening needs the rider to do, where it is near."""
        for h in self._due:
            if h.t_s - t_s > _AHEAD_S:
                return None
            if h.kind not in ON_THE_WAY:
                return befalls.needs(h)
        return None

    def _go_on(self, t_s: float, wanted: Activity | None) -> None:
        if self.activity == "ride" and (wanted == "ride" or (wanted is None and t_s < self._until_s)):
            self._leg(t_s)
        elif self.activity == "ride" and self._row["v_out"] > 0:
            self._leg(t_s, stop=True)
        elif self.activity == "ride":
            self._begin(wanted or ("walk", "stand", "park")[self._rng.choice(3, p=[0.5, 0.3, 0.2])], t_s)
        elif self.activity == "lie":
            self._begin("stand", t_s)
        else:
            self._begin(wanted or "ride", t_s)

    def _begin(self, activity: Activity, t_s: float, up: Array | None = None, stir_g: float = 0.0) -> None:
        rng, row = self._rng, self._row
        self._stand_here()
        self.activity = activity
        amplitudes = {  # sway in rad, small motion in g, steps as a share of a brisk walk's
            "ride": (rng.uniform(0.03, 0.08), rng.uniform(0.01, 0.03), 0.0),
            "walk": (rng.uniform(0.04, 0.08), 0.03, rng.uniform(0.6, 1.3)),
            "stand": (rng.uniform(0.03, 0.1), rng.uniform(0.01, 0.03), 0.0),
            "park": (0.0, 0.0, 0.0),
            "lie": (0.0, stir_g, 0.0),
        }
        row["sway"], row["stir_g"], row["walk"] = amplitudes[activity]
        row["carried"] = self._carried
        if self._carried != HEAD:
            self._hang(up)
        elif up is None:
            self._straighten(t_s)
        else:
            row["up"] = up
        row["halt_s"] = np.inf
        lasts = {
            "ride": (240, 900),
            "walk": (40, 120),
            "stand": (20, 90),
            "park": (60, 300),
            "lie": (120, 240),
        }
        self._until_s = t_s + rng.uniform(*lasts[activity])
        self._wear(activity != "park" and self._carried == HEAD, t_s)
        if activity == "ride":
            self._leg(t_s)

    def _wear(self, worn: bool, t_s: float) -> None:
        if worn != self.worn:
            self.worn = worn
            self.said.append((t_s, "worn" if worn else "not_worn"))

    def _hang(self, up: Array | None) -> None:
        """The helmet rides along unworn: it swings by its strap, or lies in the box and rocks with it."""
        own = np.random.default_rng((*self._seed, 1 << 20))
        swings = self._carried == HANDLEBAR
        drawn = handling.hanging(own) if swings else handling.lying(own)
        self._row["up"] = drawn if up is None else up
        self._row["sway"] = (
            PENDULUM_SHOWS * np.radians(own.uniform(5, 12)) if swings else own.uniform(0.02, 0.05)
        )

    def _straighten(self, t_s: float) -> None:
        lay = self._row["up"].copy()
        self._row["up"] = (0, 0, 1)
        if lay[2] <= 0.999:
            self.overlays.append(straightened(lay, self._part, t_s))

    def _stand_here(self) -> None:
        stand_here(self._row)
        self._spots.clear()

    def _leg(self, t_s: float, *, stop: bool = False) -> None:
        """From here to the next crossing: speed up, cruise, slow down or stop, wait."""
        rng, row = self._rng, self._row
        v_in = 0.0 if row["halt_s"] <= t_s else min(float(row["v_out"]), 10.0)
        self._stand_here()
        if self._settle is None:  # who is falling has stopped for good
            row["halt_s"] = np.inf
        x, y = float(row["x_m"]), float(row["y_m"])
        self._heading = city.wander(rng, self._crossing, self._heading)
        self._crossing = (self._crossing[0] + self._heading[0], self._crossing[1] + self._heading[1])
        east, north = city.place(self._crossing)
        length = max(60.0, math.hypot(east - x, north - y))
        cruise, up, down = rng.uniform(5.0, 10.5), rng.uniform(0.8, 1.5), rng.uniform(1.2, 2.5)
        stops = rng.random() < 0.3 and self._wanted(t_s) != "ride"
        wait_s = rng.uniform(5, 40)
        if rng.random() < 0.05:
            down = rng.uniform(*HARD_MPS2)
        v_out = 0.0 if stop or stops else 0.8 * cruise
        pace = Pace(v_in, max(cruise, v_in), v_out, up, down)
        lasts = set_off(row, t_s, ((east - x) / length, (north - y) / length), pace, length)
        self._leg_over_s = t_s + lasts + (wait_s if v_out == 0 and not stop else 0.0)
        self._strew(t_s, lasts)

    def _strew(self, t_s: float, lasts_s: float) -> None:
        """How rough the stretch is, and bumps, potholes and kerbs on it."""
        rng = self._rng
        self._row["rough"] = np.clip(np.exp(rng.normal(0, 0.4)), 0.4, 3)
        first_s, last_s = t_s + 5, t_s + lasts_s - 3
        spots = rng.random(rng.poisson(self._rough_spots_per_h * lasts_s / 3600))
        # A stretch may be too short for any: whoever gets up at the end of a block has a few metres left.
        self._spots = sorted(
            s for s in (first_s + (last_s - first_s) * spots).tolist() if first_s <= s <= last_s
        )

    def _speed(self, t_s: float) -> float:
        return speed_at(self._row, t_s)

    def _happen(self, t_s: float, h: Happening) -> None:
        if t_s < h.t_s - _LEAD_S:
            return
        number = self._happened
        if h.kind in ON_THE_WAY:
            self.said.append((h.t_s, "sos" if h.kind == "sos" else "ok"))
            impact_s = h.t_s
        else:
            needs = befalls.needs(h)
            if self.activity != needs:
                return  # not in a position for it: tried again with the next frame
            rng, v = np.random.default_rng((*self._seed, number)), self._speed(max(h.t_s, t_s))
            motion = befalls.motion(h, rng, v, VEHICLES[int(self._row["vehicle"])], self._sits)
            impact_s = max(h.t_s, t_s + motion.impact_s + 0.05)
            if needs == "ride" and self._speed(impact_s) < 4:
                return
            if (h.kind == "brake" or motion.then != "go_on") and self._row["halt_s"] < impact_s:
                return  # who is braking already cannot come to a stand a second time
            if h.kind in OBSTACLES and impact_s < self._obstacle_s + _OBSTACLE_GAP_S:
                return  # the wheel is still in the one before
            self._up_after_s = h.up_after_s
            self._strike(impact_s, motion)
            if h.kind == "brake":
                self._stop_hard(impact_s, float(rng.uniform(*HARD_MPS2)))
            if h.kind in OBSTACLES:
                self._obstacle_s = impact_s
        self._due.pop(0)
        self._happened += 1
        if h.expected:
            self.truths.append(Truth(impact_s, h.name, h.expected))
        if h.ok_after_s is not None:
            self.said.append((impact_s + h.ok_after_s, "ok"))

    def _stop_hard(self, at_s: float, down: float) -> None:
        """To a stand from `at_s` on, three seconds of waiting, then the next leg."""
        row = self._row
        row["halt_v"], row["halt_s"], row["halt_down"] = self._speed(at_s), at_s, down
        # The leg's own end stays where it is: moving it would change the speed at a stroke.
        self._leg_over_s = at_s + float(row["halt_v"]) / down + 3.0
        self._until_s = max(self._until_s, self._leg_over_s + 1.0)
        self._spots.clear()

    def _strike(self, impact_s: float, motion: Motion) -> None:
        self._overlay(impact_s - motion.impact_s, motion)
        if motion.then == "lie":
            self._row["halt_v"], self._row["halt_down"] = self._speed(impact_s), FALLING_MPS2
            self._row["halt_s"] = impact_s
            self._spots.clear()
        if motion.then != "go_on":
            # In the middle of the motion, where nothing of everyday life is left of the signal.
            self._settle = (impact_s + _REST_S, motion)
            # Nor of what was laid over it before, a recorded ride for one: who lies there rides no more.
            rest = math.ceil((impact_s + _REST_S) * self._part.rate_hz)
            self.overlays[:-1] = [o.until(rest) for o in self.overlays[:-1]]

    def _overlay(self, start_s: float, motion: Motion) -> None:
        self.overlays.append(laid(motion, self._part, self._row["up"].copy(), start_s))

    def _cross_spot(self, t_s: float, spot_s: float) -> None:
        v = self._speed(spot_s)
        if self.activity == "ride" and self._settle is None and v > 2:
            vehicle, carrier = VEHICLES[int(self._row["vehicle"])], RIDER if self._carried == HEAD else CARGO
            motion = impacts.rough_spot(self._rng, v, vehicle, carrier=carrier)
            self._overlay(max(spot_s, t_s + 0.3) - motion.impact_s, motion)

    def _come_to_rest(self, t_s: float, motion: Motion) -> None:
        self._begin("lie" if motion.then == "lie" else "park", t_s, motion.up, motion.stirring_g)
        if motion.then == "lie" and self._up_after_s is not None:
            # Not before the fall's own motion has ended.
            over_s = max((o.start + len(o.f)) / self._part.rate_hz for o in self.overlays)
            self._until_s = max(over_s, t_s + self._up_after_s - _REST_S)
