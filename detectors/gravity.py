"""Which way is down, how much a helmet shakes, whether somebody walks: what a stretch of motion says.

Every function takes a plain window, so the answer depends on the samples in it and on nothing before: that makes
one long recording and any chopping of it equal, and a gap cannot ring on in a filter.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.health import OTHER_MOVES_COUNTS, STUCK_S

Array = npt.NDArray[np.float64]

_FROZEN, _FROZEN_S = 20, 1.0
"""More identical triplets in a row, for so long, are a stale sensor, not stillness: a real part shows noise.

A coarse one shows none for some tenths of a second."""
_LONGEST_G = 3.0
"""A blow of 80 g inside a window would turn its plain mean; the steps of a runner average out below this."""
_BIN_S = 0.5
_WALK_HZ = (1.4, 2.6)
"""Step rates of walking adults."""


class Posture(NamedTuple):
    """What a window says about attitude and rest; NaN where it cannot tell."""

    up_g: Array
    """(3,) mean specific force, every sample cut to `_LONGEST_G`: up, where the helmet is not accelerating."""
    spread_g: float
    """Largest deviation of any axis from that."""
    vibration_g: float
    """RMS of the resultant above about 1 Hz."""
    stuck: int | None = None
    """The axis that is broken, if one is: it is taken for what the others leave of 1 g."""


UNKNOWN = Posture(np.full(3, np.nan), np.nan, np.nan)


def posture(acc_g: Array, fs_hz: float, stuck: int | None = None) -> Posture:
    """Reads a window of (n, 3) g; rows with NaN are missing samples, a frozen sensor tells nothing.

    The sign of a `stuck` axis is unknown: always the same, it makes every turn the smallest that fits the others.
    """
    a = acc_g[~np.isnan(acc_g[:, 0])]
    if len(a) < 3 or len(a) < 0.6 * len(acc_g) or frozen(a, fs_hz):
        return UNKNOWN
    if stuck is not None:
        a = a.copy()
        a[:, stuck] = 0.0
    size = np.sqrt(np.square(a).sum(-1))
    up = (a * np.minimum(1.0, _LONGEST_G / np.maximum(size, _LONGEST_G))[:, None]).mean(0)
    spread_g = float(np.abs(a - up).max())
    if stuck is not None:
        up[stuck] = np.sqrt(max(0.0, 1.0 - up @ up))
    return Posture(up, spread_g, vibration_g(a, fs_hz), stuck)


def stuck_axis(acc_g: Array, fs_hz: float, g_per_count: float) -> int | None:
    """The only axis that never changes in a window of (n, 3) g that is long enough, and in which another one moves."""
    a = acc_g[~np.isnan(acc_g[:, 0])]
    if len(a) < STUCK_S * fs_hz:
        return None
    still = (a == a[-1]).all(0)
    stuck = np.flatnonzero(still)
    moves = len(stuck) == 1 and a[:, ~still].std(0).max() > OTHER_MOVES_COUNTS * g_per_count
    return int(stuck[0]) if moves else None


def frozen(acc_g: Array, fs_hz: float) -> bool:
    """Whether the last second of (n, 3) samples, or all of a shorter window, is one and the same triplet."""
    last = acc_g[-max(_FROZEN + 1, round(_FROZEN_S * fs_hz)) :]
    return len(last) > 1 and bool((last == last[-1]).all())


def tilt_deg(before: Array, after: Array, low_g: float = 0.6, high_g: float = 1.4) -> float:
    """Angle between two specific forces; NaN where `after` is not gravity (falling, turning, pushed)."""
    size = float(np.sqrt(before @ before)), float(np.sqrt(after @ after))
    if not (size[0] > 0.3 and low_g < size[1] < high_g):
        return float("nan")
    return float(np.degrees(np.arccos(np.clip(before @ after / (size[0] * size[1]), -1.0, 1.0))))


def vibration_g(acc_g: Array, fs_hz: float) -> float:
    """RMS of the resultant about its half-second means: roads and engines, not posture."""
    resultant = np.sqrt(np.square(acc_g).sum(-1))
    width = max(2, int(_BIN_S * fs_hz))
    bins = len(resultant) // width
    if bins == 0:
        return float(resultant.std()) if len(resultant) > 1 else float("nan")
    return float(np.sqrt(resultant[-bins * width :].reshape(bins, width).var(1).mean()))


def walking_share(acc_g: Array, fs_hz: float) -> float:
    """Share of the 0.5…10 Hz power within 0.3 Hz of the strongest step line; above 0.55 somebody walks."""
    a = acc_g[~np.isnan(acc_g[:, 0])]
    if len(a) < 2.5 * fs_hz:
        return float("nan")
    resultant = np.sqrt(np.square(a).sum(-1))
    power = np.square(np.abs(np.fft.rfft((resultant - resultant.mean()) * np.hanning(len(a)))))
    hz = np.fft.rfftfreq(len(a), 1 / fs_hz)
    step = (hz >= _WALK_HZ[0]) & (hz <= _WALK_HZ[1])
    band = float(power[(hz >= 0.5) & (hz <= 10)].sum())
    if band <= 0 or not step.any():
        return 0.0
    line = hz[step][power[step].argmax()]
    return float(power[np.abs(hz - line) <= 0.3].sum()) / band
