"""Runs of samples and rows of state written for many helmets at once, at the speed of memory."""

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]


def write(rings: npt.NDArray[np.int16], slot: I64, index: I64, counts: npt.NDArray[np.int16]) -> None:
    """Writes (K, n, 3) counts of distinct slots into rings (S, length, 3), in place; n is at most the length.

    Sample `index[k]` of slot k lies at its number modulo the length. Numpy copies a row of a two-dimensional array in
    one piece, but looks up every sample of an index for each: so whole runs are rows of an overlapping view, and only
    those that go around the ring's end are looked up, 40 times as slowly.
    """
    slots, length = rings.shape[:2]
    many = counts.shape[1]
    place = index % length
    whole = place + many <= length
    view = (slots * length - many + 1, 3 * many)
    runs = np.lib.stride_tricks.as_strided(rings, view, (3 * rings.itemsize, rings.itemsize))
    runs[slot[whole] * length + place[whole]] = counts[whole].reshape(-1, 3 * many)
    around = ~whole
    if around.any():
        at = (place[around, None] + np.arange(many)) % length
        rings[slot[around, None], at] = counts[around]
