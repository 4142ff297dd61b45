"""The noise floor of each helmet's own part: what it shows when nothing moves it.

The fifth percentile of the deviation over ten seconds, over about a day (actigraphy finds non-wear the same way, van
Hees 2013, with one fixed level for all parts). Kept as a histogram of `BINS` classes, so a day costs 112 bytes.
"""

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

BINS = 24
NOISE = np.dtype(
    [("bins", "f4", BINS), ("square", "f4"), ("seconds", "f4"), ("floor_g", "f4"), ("pad", "f4")]
)
"""One helmet: weight of each class of deviation, the unfinished ten seconds, and the floor; 0 is unknown."""

_WINDOW_S = 10.0
_DAY_S = 86_400.0
_LOWEST_G, _RATIO = 0.00025, 1.2
"""Classes of 20 % from a quarter of a milligram to 20 mg; everything above is the last."""
_PERCENTILE = 0.05


def step(
    s: npt.NDArray[np.void],
    slot: npt.NDArray[np.int64],
    std_g: F32,
    seconds: F32,
    usable: npt.NDArray[np.bool_],
) -> F32:
    """Takes the deviation (m,) of one frame of each slot into its row of `s`, in place; the floors in g, 0 unknown."""
    heard_s = s["seconds"][slot] + np.where(usable, seconds, 0)
    s["square"][slot] += np.where(usable, np.square(std_g) * seconds, 0)
    s["seconds"][slot] = heard_s
    full = slot[heard_s >= _WINDOW_S]
    if len(full):
        s[full] = _closed(s[full])
    return np.asarray(s["floor_g"][slot])


def _closed(rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Rows whose ten seconds are full, with those in the histogram and a new floor."""
    deviation = np.sqrt(rows["square"] / rows["seconds"])
    at = np.log(np.maximum(deviation, _LOWEST_G) / _LOWEST_G) / np.log(_RATIO)
    bins = rows["bins"] * np.float32(np.exp(-_WINDOW_S / _DAY_S))
    bins[np.arange(len(rows)), np.minimum(at.astype(np.int64), BINS - 1)] += 1
    # Never fewer than one window: the quietest ten seconds of a new helmet are its floor so far.
    share = np.maximum(_PERCENTILE * bins.sum(1), 0.5)[:, None]
    lowest = (np.cumsum(bins, axis=1) >= share).argmax(1)
    rows["bins"], rows["square"], rows["seconds"] = bins, 0, 0
    rows["floor_g"] = _LOWEST_G * _RATIO ** (lowest + 0.5)
    return rows
