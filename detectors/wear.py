"""Whether a helmet is on a head: the wear bit, the strap, micro-motion and attitude, added up as log-odds.

Vectorised over helmets: one row of `WEAR` each, one call of `step` for each frame of every helmet. The wear bit is
believed while it is healthy; this state decides where the bit is missing, bounces or is stuck.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.model import Strap, Worn

F32 = npt.NDArray[np.float32]

WEAR = np.dtype(
    [
        ("logodds", "f4"),
        ("state", "u1"),
        ("bit", "u1"),
        ("still_on", "u1"),
        ("stuck", "?"),
        ("open", "?"),
        ("dwell_s", "f4"),
        ("still_s", "f4"),
        ("askew_s", "f4"),
        ("headlike_s", "f4"),
        ("edges", "f4"),
        ("floor_g", "f4"),
        ("ride_s", "f4"),
        ("halt_s", "f4"),
        ("on_s", "f4"),
        ("since_us", "i8"),
        ("end_us", "i8"),
        ("boot_us", "i8"),
        ("opened_us", "i8"),
        ("shelf_us", "i8"),
    ]
)
"""One helmet: log-odds and state, the bit and how often it changes, how long it has been still, askew or head-like."""

_CLAMP, _LEAK_PER_S = 6.0, 0.02
_ON, _ON_DWELL_S = 2.0, 3.0
_OFF, _OFF_DWELL_S = -2.0, 10.0
"""Asymmetric: a short loss of skin contact must not look like a helmet taken off."""
_CONFIDENT = float(np.log(9))
"""Log-odds of 0.9."""
_BIT, _STRAP, _STILL, _MICRO, _ASKEW = 1.5, 0.7, -1.5, 0.3, -0.7
_STILL_AFTER_S, _ASKEW_AFTER_S = 30.0, 20.0
_SHELF_S, _SHELF_US = 120.0, 5_000_000
"""Standing people hold their heads as still as that for 15 s at least (5 people, docs/detection.md): so long, never."""
_STILL_MOST_G = 0.004
"""No head is stiller: breathing and heartbeat move it by some milligrams; a part's own noise stays below."""
_FLOOR_TIMES = 1.5
_MICRO_G = (0.004, 0.060)
_RIDE_G = 0.06
_CONE = 0.5
"""Cosine of the 60° within which a head is held."""
_SENSITIVE_G = 32.0
"""Parts of a wider range drown micro-motion in their noise."""
_SHORTEST_S = 0.5
"""A shorter frame says nothing about shaking."""
_BOUNCES_PER_MIN = 20.0
_STUCK_ON_S, _STUCK_ON_TIMES, _STUCK_OFF_S = 1800.0, 2, 600.0
_GAP_US = 5_000_000
_UNWORN_S, _AFTER_BOOT_US, _ON_CLOSES_S, _HALT_CLOSES_S, _AGAIN_US = 30.0, 60_000_000, 5.0, 120.0, 600_000_000
_TRANSPORT_MPS = 50 / 3.6
"""Faster is a train or a car: carried, not ridden."""


class Evidence(NamedTuple):
    """What one frame of each of m helmets says; times in device time."""

    start_us: npt.NDArray[np.int64]
    seconds: F32
    bit: npt.NDArray[np.uint8]
    strap: npt.NDArray[np.uint8]
    mean_g: F32
    """(m, 3) which way is up."""
    std_g: F32
    """(m, 3)"""
    speed_mps: F32
    full_scale_g: float


class Change(NamedTuple):
    """What `step` noticed, masks over its rows."""

    state: npt.NDArray[np.bool_]
    """Whether it went ON or OFF; `since_us` says from when, which is the start of the dwell."""
    stuck: npt.NDArray[np.bool_]
    bouncing: npt.NDArray[np.bool_]
    unworn_ride: npt.NDArray[np.bool_]
    """Whether a ride without the helmet on was opened."""


def step(s: npt.NDArray[np.void], e: Evidence, riding_mps: float) -> Change:
    """Takes one frame of each helmet into its row, in place."""
    gap = (e.start_us - s["end_us"] > _GAP_US) & (s["end_us"] > 0)
    for name in ("dwell_s", "still_s", "askew_s", "headlike_s", "ride_s"):
        s[name][gap] = 0
    fresh = s["end_us"] == 0
    s["boot_us"][fresh] = e.start_us[fresh]
    s["since_us"][fresh] = e.start_us[fresh]
    away_s = np.where(fresh, 0, np.maximum(e.start_us - s["end_us"], 0) / 1e6)
    s["end_us"] = e.start_us + (e.seconds * 1e6).astype(np.int64)
    shakes = e.std_g.max(1) >= _RIDE_G
    rides = np.where(np.isnan(e.speed_mps), shakes, e.speed_mps >= riding_mps)
    upright = e.mean_g[:, 2] >= _CONE * np.maximum(np.sqrt(np.square(e.mean_g).sum(1)), 1e-6)
    bouncing_before = s["edges"] > _BOUNCES_PER_MIN
    stuck_before = s["stuck"].copy()
    weight = _bit(s, e, shakes & rides & upright)
    delta = _motion(s, e, shakes, upright)
    delta += weight * _BIT * _sign(e.bit, Worn.YES, Worn.NO) + _STRAP * _sign(
        e.strap, Strap.CLOSED, Strap.OPEN
    )
    kept = (1 - _LEAK_PER_S) ** (e.seconds + away_s)
    s["logodds"] = np.clip(s["logodds"] * kept + delta * e.seconds, -_CLAMP, _CLAMP)
    changed = _dwell(s, e, delta == 0)
    opened = _unworn(s, e, rides)
    return Change(
        changed, s["stuck"] & ~stuck_before, (s["edges"] > _BOUNCES_PER_MIN) & ~bouncing_before, opened
    )


def effective(s: npt.NDArray[np.void], bit: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What a decision takes for worn: the bit while it is healthy, else the state; unknown where neither knows.

    Without a healthy bit only a helmet that lay still for two minutes until now is not worn: all else is unknown,
    because a false "not worn" hides a crash.
    """
    doubtful = (bit == Worn.UNKNOWN) | s["stuck"] | (s["edges"] > _BOUNCES_PER_MIN)
    shelved = (s["shelf_us"] > 0) & (s["end_us"] - s["shelf_us"] <= _SHELF_US)
    state = np.where((s["state"] == Worn.NO) & ~shelved, Worn.UNKNOWN, s["state"])
    return np.asarray(np.where(doubtful, state, bit), np.uint8)


def _sign(value: npt.NDArray[np.uint8], yes: int, no: int) -> F32:
    return np.asarray((value == yes).astype(np.float32) - (value == no))


def _bit(s: npt.NDArray[np.void], e: Evidence, headlike: npt.NDArray[np.bool_]) -> F32:
    """Follows the bit's health; its weight as evidence."""
    edge = (e.bit != s["bit"]) & (e.bit != Worn.UNKNOWN) & (s["bit"] != Worn.UNKNOWN)
    s["edges"] = s["edges"] * np.exp(-e.seconds / 60) + edge
    s["bit"] = np.where(e.bit == Worn.UNKNOWN, s["bit"], e.bit)
    s["headlike_s"] = np.where(headlike & (e.bit == Worn.NO), s["headlike_s"] + e.seconds, 0)
    s["stuck"] &= ~edge
    s["still_on"][edge] = 0
    # A shut strap says that the head is there and the bit is wrong; an open one that nobody wears it.
    s["stuck"] |= (s["headlike_s"] >= _STUCK_OFF_S) & (e.strap != Strap.OPEN)
    return np.asarray(np.where(s["stuck"], 0, np.where(s["edges"] > _BOUNCES_PER_MIN, 0.2, 1)), np.float32)


def _motion(
    s: npt.NDArray[np.void], e: Evidence, shakes: npt.NDArray[np.bool_], upright: npt.NDArray[np.bool_]
) -> F32:
    """Evidence of stillness, micro-motion and attitude, per second."""
    usable = (e.seconds >= _SHORTEST_S) & (e.full_scale_g <= _SENSITIVE_G)
    two_stillest = np.sort(e.std_g, axis=1)[:, 1]
    seen = usable & (two_stillest > 0)
    # The part's own noise: the least it ever showed, forgotten slowly because it grows with warmth.
    floor = np.where(s["floor_g"] > 0, s["floor_g"] * (1 + 1e-5), np.inf)
    s["floor_g"] = np.where(seen, np.minimum(floor, two_stillest), s["floor_g"])
    still = seen & (two_stillest <= np.minimum(_FLOOR_TIMES * s["floor_g"], _STILL_MOST_G))
    before_s = s["still_s"].copy()
    s["still_s"] = np.where(still, s["still_s"] + e.seconds, np.where(usable, 0, s["still_s"]))
    s["shelf_us"] = np.where(s["still_s"] >= _SHELF_S, s["end_us"], s["shelf_us"])
    shelved = (before_s < _STUCK_ON_S) & (s["still_s"] >= _STUCK_ON_S) & (e.bit == Worn.YES)
    s["still_on"] = np.minimum(s["still_on"] + shelved, 250)
    s["stuck"] |= s["still_on"] >= _STUCK_ON_TIMES
    askew = shakes & ~upright
    s["askew_s"] = np.where(askew, s["askew_s"] + e.seconds, 0)
    largest = e.std_g.max(1)
    micro = usable & (largest >= _MICRO_G[0]) & (largest <= _MICRO_G[1]) & upright & ~still
    return np.asarray(
        _STILL * (s["still_s"] >= _STILL_AFTER_S)
        + _MICRO * micro
        + _ASKEW * (s["askew_s"] >= _ASKEW_AFTER_S),
        np.float32,
    )


def _dwell(s: npt.NDArray[np.void], e: Evidence, silent: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    towards = np.where(s["logodds"] >= _ON, Worn.YES, np.where(s["logodds"] <= _OFF, Worn.NO, 0))
    new = (towards != 0) & (towards != s["state"])
    s["dwell_s"] = np.where(new, s["dwell_s"] + e.seconds, 0)
    changed = new & (s["dwell_s"] >= np.where(towards == Worn.YES, _ON_DWELL_S, _OFF_DWELL_S))
    s["state"] = np.where(changed, towards, s["state"])
    began_us = s["end_us"] - (s["dwell_s"] * 1e6).astype(np.int64)
    s["since_us"] = np.where(changed, began_us, s["since_us"])
    s["dwell_s"][changed] = 0
    # Evidence that has leaked away leaves no state behind.
    faded = (np.abs(s["logodds"]) < 0.5) & silent
    s["state"][faded] = Worn.UNKNOWN
    return np.asarray(changed)


def _unworn(s: npt.NDArray[np.void], e: Evidence, rides: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Rides with the helmet surely not on; unknown never opens one."""
    off = (s["state"] == Worn.NO) & (s["logodds"] <= -_CONFIDENT)
    carried = e.speed_mps > _TRANSPORT_MPS
    s["ride_s"] = np.where(off & rides & ~carried, s["ride_s"] + e.seconds, 0)
    s["halt_s"] = np.where(rides, 0, s["halt_s"] + e.seconds)
    s["on_s"] = np.where(s["state"] == Worn.YES, s["on_s"] + e.seconds, 0)
    s["open"] &= ~((s["on_s"] >= _ON_CLOSES_S) | (s["halt_s"] >= _HALT_CLOSES_S))
    due = (s["ride_s"] >= _UNWORN_S) & ~s["open"] & (s["end_us"] - s["boot_us"] >= _AFTER_BOOT_US)
    due &= (s["opened_us"] == 0) | (s["end_us"] - s["opened_us"] >= _AGAIN_US)
    s["open"] |= due
    s["opened_us"] = np.where(due, s["end_us"], s["opened_us"])
    return np.asarray(due)
