"""Rides with the helmet surely not on: an event of its own, never a crash. Works on rows of `wear.WEAR`."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.model import Worn

F32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_CONFIDENT = float(np.log(9))
"""Log-odds of 0.9."""
UNWORN_S = 30.0
"""So long without a pause before anything is said."""
_AFTER_BOOT_US, _ON_CLOSES_S, _HALT_CLOSES_S, _AGAIN_US = 60_000_000, 5.0, 120.0, 600_000_000
_TRANSPORT_MPS = 50 / 3.6
"""Faster is a train or a car: carried, not ridden, also between two stations."""
_ACCURATE_M = 20.0
"""A position worse than this has no speed worth believing."""


class Unworn(NamedTuple):
    """What `step` noticed, masks over its rows."""

    opened: Mask
    over: Mask
    """Put on, stopped, found to be a train or the wear bit found to be stuck."""
    carried: Mask
    """Moved as fast as a train or a car in the last minutes."""


def speed_mps(speed: F32, accuracy_m: F32) -> F32:
    """The speed where its position is accurate enough, NaN elsewhere."""
    return np.where(accuracy_m > _ACCURATE_M, np.float32(np.nan), speed)


def step(s: npt.NDArray[np.void], rides: Mask, speed: F32, seconds: F32) -> Unworn:
    """Takes a frame of each helmet, after `wear.step`; a helmet whose wear is unknown never opens one."""
    before = s["open"].copy()
    off = (s["state"] == Worn.NO) & (s["logodds"] <= -_CONFIDENT)
    s["carried_us"] = np.where(speed > _TRANSPORT_MPS, s["end_us"], s["carried_us"])
    carried = (s["carried_us"] > 0) & (s["end_us"] - s["carried_us"] < _AGAIN_US)
    s["ride_s"] = np.where(off & rides & ~carried, s["ride_s"] + seconds, 0)
    s["halt_s"] = np.where(rides, 0, s["halt_s"] + seconds)
    s["on_s"] = np.where(s["state"] == Worn.YES, s["on_s"] + seconds, 0)
    over = (s["on_s"] >= _ON_CLOSES_S) | (s["halt_s"] >= _HALT_CLOSES_S) | carried | s["stuck"]
    s["open"] &= ~over
    due = (s["ride_s"] >= UNWORN_S) & ~s["open"] & (s["end_us"] - s["boot_us"] >= _AFTER_BOOT_US)
    due &= (s["opened_us"] == 0) | (s["end_us"] - s["opened_us"] >= _AGAIN_US)
    s["open"] |= due
    s["opened_us"] = np.where(due, s["end_us"], s["opened_us"])
    return Unworn(np.asarray(due), np.asarray(before & ~s["open"]), np.asarray(carried))
