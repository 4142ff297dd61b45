"""Whether a helmet is on a head: the wear bit, the strap, micro-motion and attitude, added up as log-odds.

Vectorised over helmets: one row of `WEAR` each, one call of `step` for each frame of every helmet. The wear bit is
believed while it is healthy; this state decides where the bit is missing, bounces or is stuck.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.model import Strap, Worn
from detectors import axes
from detectors.gyro import Turning

F32 = npt.NDArray[np.float32]

WEAR = np.dtype(
    [
        ("logodds", "f4"),
        ("state", "u1"),
        ("bit", "u1"),
        ("still_on", "u1"),
        ("cycles", "u1"),
        ("laid", "?"),
        ("stuck", "?"),
        ("open", "?"),
        ("dwell_s", "f4"),
        ("still_s", "f4"),
        ("askew_s", "f4"),
        ("headlike_s", "f4"),
        ("worn_s", "f4"),
        ("edges", "f4"),
        ("age_s", "f4"),
        ("ride_s", "f4"),
        ("halt_s", "f4"),
        ("on_s", "f4"),
        ("since_us", "i8"),
        ("end_us", "i8"),
        ("boot_us", "i8"),
        ("opened_us", "i8"),
        ("shelf_us", "i8"),
        ("carried_us", "i8"),
        ("turned_us", "i8"),
        ("edge_us", "i8"),
        ("bit_us", "i8"),
        ("up", "f4", 3),
        ("up_before", "f4", 3),
    ]
)
"""One helmet: log-odds and state, the bit and how often it changes, how long it has been still, askew or head-like.

`edge_us` is the newest edge of the bit that no turn has explained yet, `bit_us` when the bit last changed or was first
heard; `up` and `up_before` are attitudes one and two times 1.5 s old (`age_s`).
"""

_TIMES = ("since_us", "end_us", "boot_us", "shelf_us", "carried_us", "turned_us", "edge_us", "bit_us")

_CLAMP, _LEAK_PER_S = 6.0, 0.02
_ON, _ON_DWELL_S = 2.0, 3.0
_OFF, _OFF_DWELL_S = -2.0, 10.0
"""Asymmetric: a short loss of skin contact must not look like a helmet taken off."""
_BIT, _STRAP, _STILL, _MICRO, _ASKEW, _YAWS, _SWINGS = 1.5, 0.7, -1.5, 0.3, -0.7, 0.7, -0.7
_DONNING = 2.0
"""Once, for a turn of more than 60° within 3 s that comes with an edge of the bit, 5 s apart at most."""
_TURN_COS, _TURN_AGE_S, _TURN_APART_US = 0.5, 1.5, 5_000_000
_GRAVITY_G = (0.7, 1.3)
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
_CYCLES, _CYCLE_S, _EDGELESS_US = 5, 60.0, 72 * 3_600_000_000
"""A bit without an edge for so long, while the helmet was laid down and worn again so often, is stuck."""
_GAP_US = 5_000_000
_AWAY_US = 60_000_000
"""After so long nobody knows whether it was put on or taken off meanwhile."""


class Evidence(NamedTuple):
    """What one frame of each of m helmets says; times in device time."""

    start_us: npt.NDArray[np.int64]
    seconds: F32
    bit: npt.NDArray[np.uint8]
    strap: npt.NDArray[np.uint8]
    mean_g: F32
    """(m, 3) which way is up."""
    still_std_g: F32
    """Deviation of the second stillest axis: at least two are as still as that."""
    largest_std_g: F32
    speed_mps: F32
    full_scale_g: float
    floor_g: F32
    """The part's own noise; 0 where it is not known yet."""
    turning: Turning | None = None
    """What the gyroscopes say; None where the frames have none."""


class Change(NamedTuple):
    """What `step` noticed, masks over its rows."""

    state: npt.NDArray[np.bool_]
    """Whether it went ON or OFF; `since_us` says from when, which is the start of the dwell."""
    stuck: npt.NDArray[np.bool_]
    bouncing: npt.NDArray[np.bool_]
    rides: npt.NDArray[np.bool_]
    """Whether its vehicle moves, by speed or else by shaking."""


def step(s: npt.NDArray[np.void], e: Evidence, riding_mps: float) -> Change:
    """Takes one frame of each helmet into its row, in place."""
    away_s = _resume(s, e)
    shakes = e.largest_std_g >= _RIDE_G
    rides = np.where(np.isnan(e.speed_mps), shakes, e.speed_mps >= riding_mps)
    size_g = np.maximum(axes.length(e.mean_g), 1e-6)
    upright = e.mean_g[:, 2] >= _CONE * size_g
    bouncing_before, stuck_before = s["edges"] > _BOUNCES_PER_MIN, s["stuck"].copy()
    weight = _bit(s, e, shakes & rides & upright)
    delta = _motion(s, e, shakes, upright)
    if e.turning is not None:
        delta += shakes * (_YAWS * (e.turning.yaws & upright) + _SWINGS * e.turning.swings)
    delta += weight * _BIT * _sign(e.bit, Worn.YES, Worn.NO) + _STRAP * _sign(
        e.strap, Strap.CLOSED, Strap.OPEN
    )
    kept = (1 - _LEAK_PER_S) ** (e.seconds + away_s)
    once = weight * _donning(s, e, size_g)
    s["logodds"] = np.clip(s["logodds"] * kept + delta * e.seconds + once, -_CLAMP, _CLAMP)
    changed = _dwell(s, e, delta == 0)
    bouncing = (s["edges"] > _BOUNCES_PER_MIN) & ~bouncing_before
    return Change(changed, s["stuck"] & ~stuck_before, bouncing, rides)


def _resume(s: npt.NDArray[np.void], e: Evidence) -> F32:
    """Takes in what was missed since the last frame; for how many seconds nothing was heard."""
    fresh = s["end_us"] == 0
    gap = (e.start_us - s["end_us"] > _GAP_US) & ~fresh
    away = fresh | (gap & (e.start_us - s["end_us"] > _AWAY_US))
    if gap.any():
        for name in ("dwell_s", "still_s", "askew_s", "headlike_s", "worn_s", "ride_s"):
            s[name][gap] = 0
        for name in ("up", "up_before"):
            s[name][gap] = 0
    if away.any():
        for name in ("boot_us", "since_us"):
            s[name][away] = e.start_us[away]
        s["state"][away] = Worn.UNKNOWN
    away_s = np.where(fresh, 0, np.maximum(e.start_us - s["end_us"], 0) / 1e6)
    s["end_us"] = e.start_us + (e.seconds * 1e6).astype(np.int64)
    return np.asarray(away_s, np.float32)


def resumed(s: npt.NDArray[np.void], start_us: int, silent_us: int) -> None:
    """Takes one helmet's row into a track that starts at `start_us`, `silent_us` after its last frame, in place.

    Within a track samples are counted, which drifts away from the clock that the next track begins with. A clock
    that was set back says nothing about how long it was silent: long enough to know no more.
    """
    if silent_us < 0:
        silent_us = _AWAY_US + 1
    shift_us = start_us - silent_us - s["end_us"]
    for name in _TIMES:
        s[name] += np.where(s[name] != 0, shift_us, 0)  # zero is never
    # The number of a ride's message is its time, so an open one keeps it.
    s["opened_us"] += np.where((s["opened_us"] != 0) & ~s["open"], shift_us, 0)


def _donning(s: npt.NDArray[np.void], e: Evidence, size_g: F32) -> F32:
    """+2 for a helmet that was turned over and put on, −2 for one taken off and turned over, once for each edge."""
    up = e.mean_g / size_g[:, None]
    least = np.minimum(axes.product(up, s["up"]), axes.product(up, s["up_before"]))
    whole = (s["up_before"][:, 2] != 0) & (size_g > _GRAVITY_G[0]) & (size_g < _GRAVITY_G[1])
    s["turned_us"] = np.where(whole & (least < _TURN_COS), s["end_us"], s["turned_us"])
    s["age_s"] += e.seconds
    old = (s["age_s"] >= _TURN_AGE_S)[:, None]
    s["up_before"] = np.where(old, s["up"], s["up_before"])
    s["up"] = np.where(old, up, s["up"])
    s["age_s"] = np.where(old[:, 0], 0, s["age_s"])
    apart = np.abs(s["turned_us"] - s["edge_us"]) <= _TURN_APART_US
    explained = apart & (s["edge_us"] > 0) & (s["turned_us"] > 0)
    s["edge_us"] = np.where(explained, 0, s["edge_us"])
    return np.asarray(_DONNING * explained * _sign(s["bit"], Worn.YES, Worn.NO), np.float32)


def effective(
    s: npt.NDArray[np.void], bit: npt.NDArray[np.uint8], rides: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """What a decision takes for worn: the bit while it is healthy, else the state; unknown where neither knows.

    A false "not worn" hides a crash. So without a healthy bit only a helmet that lay still for two minutes until now
    is not worn, all else is unknown; and a bit that went off on the road (`rides`, until just now and by a known speed)
    is not believed until the state follows it: nobody takes the helmet off there, but it may have lost the skin.
    """
    shelved = (s["shelf_us"] > 0) & (s["end_us"] - s["shelf_us"] <= _SHELF_US)
    state = np.where((s["state"] == Worn.NO) & ~shelved, Worn.UNKNOWN, s["state"])
    slipped = rides & (bit == Worn.NO) & (s["state"] == Worn.YES)
    return np.asarray(np.where(_doubtful(s, bit), state, np.where(slipped, Worn.UNKNOWN, bit)), np.uint8)


def effective_before(s: npt.NDArray[np.void], bit: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The same for frames older than the state, which says nothing about them."""
    return np.asarray(np.where(_doubtful(s, bit), Worn.UNKNOWN, bit), np.uint8)


def _doubtful(s: npt.NDArray[np.void], bit: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return np.asarray((bit == Worn.UNKNOWN) | s["stuck"] | (s["edges"] > _BOUNCES_PER_MIN))


def faulty(s: npt.NDArray[np.void]) -> dict[str, npt.NDArray[np.bool_]]:
    """Which helmets' wear bits are not believed, by what is wrong with them."""
    return {"wear_stuck": s["stuck"], "wear_bouncing": s["edges"] > _BOUNCES_PER_MIN}


def _sign(value: npt.NDArray[np.uint8], yes: int, no: int) -> F32:
    return np.asarray((value == yes).astype(np.float32) - (value == no))


def _bit(s: npt.NDArray[np.void], e: Evidence, headlike: npt.NDArray[np.bool_]) -> F32:
    """Follows the bit's health; its weight as evidence."""
    edge = (e.bit != s["bit"]) & (e.bit != Worn.UNKNOWN) & (s["bit"] != Worn.UNKNOWN)
    s["edges"] = s["edges"] * np.exp(-e.seconds / 60) + edge
    s["bit"] = np.where(e.bit == Worn.UNKNOWN, s["bit"], e.bit)
    s["headlike_s"] = np.where(headlike & (e.bit == Worn.NO), s["headlike_s"] + e.seconds, 0)
    first = (s["bit_us"] == 0) & (e.bit != Worn.UNKNOWN)
    s["edge_us"] = np.where(edge, s["end_us"], s["edge_us"])
    s["bit_us"] = np.where(edge | first, s["end_us"], s["bit_us"])
    s["stuck"] &= ~edge
    s["still_on"][edge] = 0
    s["cycles"][edge] = 0
    edgeless = (s["bit_us"] > 0) & (s["end_us"] - s["bit_us"] >= _EDGELESS_US)
    s["stuck"] |= edgeless & (s["cycles"] >= _CYCLES)
    # A shut strap says that the head is there and the bit is wrong; an open one that nobody wears it.
    s["stuck"] |= (s["headlike_s"] >= _STUCK_OFF_S) & (e.strap != Strap.OPEN)
    return np.asarray(np.where(s["stuck"], 0, np.where(s["edges"] > _BOUNCES_PER_MIN, 0.2, 1)), np.float32)


def _motion(
    s: npt.NDArray[np.void], e: Evidence, shakes: npt.NDArray[np.bool_], upright: npt.NDArray[np.bool_]
) -> F32:
    """Evidence of stillness, micro-motion and attitude, per second."""
    usable = (e.seconds >= _SHORTEST_S) & (e.full_scale_g <= _SENSITIVE_G)
    seen = usable & (e.still_std_g > 0)
    most = np.where(e.floor_g > 0, np.minimum(_FLOOR_TIMES * e.floor_g, _STILL_MOST_G), _STILL_MOST_G)
    still = seen & (e.still_std_g <= most)
    before_s = s["still_s"].copy()
    s["still_s"] = np.where(still, s["still_s"] + e.seconds, np.where(usable, 0, s["still_s"]))
    s["shelf_us"] = np.where(s["still_s"] >= _SHELF_S, s["end_us"], s["shelf_us"])
    shelved = (before_s < _STUCK_ON_S) & (s["still_s"] >= _STUCK_ON_S) & (e.bit == Worn.YES)
    s["still_on"] = np.minimum(s["still_on"] + shelved, 250)
    s["stuck"] |= s["still_on"] >= _STUCK_ON_TIMES
    askew = shakes & ~upright
    s["askew_s"] = np.where(askew, s["askew_s"] + e.seconds, 0)
    micro = usable & (e.largest_std_g >= _MICRO_G[0]) & (e.largest_std_g <= _MICRO_G[1]) & upright & ~still
    # Laid down for two minutes, then on a head for one: one cycle of wear, whatever the bit says.
    s["laid"] |= s["still_s"] >= _SHELF_S
    s["worn_s"] = np.where(micro | (shakes & upright), s["worn_s"] + e.seconds, 0)
    cycle = s["laid"] & (s["worn_s"] >= _CYCLE_S)
    s["cycles"] = np.minimum(s["cycles"] + cycle, 250)
    s["laid"] &= ~cycle
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
