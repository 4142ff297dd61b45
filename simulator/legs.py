"""Riding from here to there: the speed of one helmet's row of the fleet's state, and where it is."""

import math
from dataclasses import dataclass

import numpy as np

from simulator.everyday import STATE, speed

HARD_MPS2 = (4.9, 8.8)
"""How hard riders brake who must: 0.5 to 0.9 g."""
FALLING_MPS2 = 6.0
"""How fast who falls comes to a stand."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a stretch is ridden, in m/s and m/s²."""

    v_in: float
    cruise: float
    v_out: float
    up: float
    down: float

    def lasts_s(self, length_m: float) -> float:
        """How long the stretch takes; one too short to reach `cruise` takes longer than it needs."""
        ramps_m = (self.cruise**2 - self.v_in**2) / (2 * self.up)
        ramps_m += (self.cruise**2 - self.v_out**2) / (2 * self.down)
        ramps_s = (self.cruise - self.v_in) / self.up + (self.cruise - self.v_out) / self.down
        return ramps_s + max(0.0, length_m - ramps_m) / self.cruise

    def fitting(self, length_m: float) -> "Pace":
        """The same, with the speed that can be reached and left again within the stretch."""
        reach = 2 * length_m * self.up * self.down + self.v_in**2 * self.down + self.v_out**2 * self.up
        cruise = min(self.cruise, math.sqrt(reach / (self.up + self.down)))
        return Pace(self.v_in, max(cruise, self.v_in, self.v_out), self.v_out, self.up, self.down)


def speed_at(row: np.void, t_s: float) -> float:
    """Speed in m/s of one helmet."""
    return float(speed(np.array([row], STATE), np.array([[t_s]]))[0, 0])


def stand_here(row: np.void) -> None:
    """Ends the stretch where the helmet is now."""
    row["x_m"] += row["east"] * row["went_m"]
    row["y_m"] += row["north"] * row["went_m"]
    row["went_m"] = row["v_in"] = row["v_out"] = row["v_cruise"] = 0.0


def set_off(row: np.void, t_s: float, way: tuple[float, float], pace: Pace, length_m: float) -> float:
    """Starts a stretch in the direction `way` (east, north; of length 1) at `t_s`. Returns how long it takes."""
    lasts_s = pace.lasts_s(length_m)
    row["east"], row["north"] = way
    row["leg_s"], row["leg_end_s"] = t_s, t_s + lasts_s
    row["v_in"], row["v_cruise"], row["v_out"] = pace.v_in, pace.cruise, pace.v_out
    row["speed_up"], row["slow_down"] = pace.up, pace.down
    return lasts_s
