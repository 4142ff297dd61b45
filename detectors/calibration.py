"""Offset and gain of each accelerometer axis from rest: gravity is 1 g whichever way a helmet lies.

Fits ‖(x − b)∘s‖ = 1 on quiet frames of different attitudes (six parameters). Only sums are kept (normal equations of
the ellipsoid A x² + B y² + C z² + D x + E y + F z = 1), so a helmet costs 0.3 kB however long it has been watched.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors import axes

F32 = npt.NDArray[np.float32]

CALIBRATION = np.dtype(
    [
        ("normal", "f8", (6, 6)),
        ("right", "f8", 6),
        ("seen", "u4"),
        ("known", "?"),
        ("drifted", "?"),
        ("offset_g", "f4", 3),
        ("gain", "f4", 3),
    ]
)
"""One helmet: the sums, which of 26 directions they hold, and the newest fit that was good enough."""

_QUIET_G = 0.015
_SIZE_G = (0.6, 1.5)
_LEAST = 9
"""Quiet attitudes before a fit is tried."""
_RESIDUAL_G = 0.015
"""A fit that leaves more than this is not applied."""
_UNSURE_G = 0.015
"""Largest standard error of an offset: nine attitudes on one side say nothing about the other."""
_DRIFT_G, _DRIFT_GAIN = 0.05, 0.03
"""A part this far off is told to people."""


RAIL = 0.97
"""Share of the range from which a reading may be its end."""


class Fix(NamedTuple):
    """How samples become true g: (x − offset) · gain on each axis."""

    offset_g: npt.NDArray[np.float64]
    gain: npt.NDArray[np.float64]
    rail_g: float
    """From here on a reading is the end of the range, not a measurement: it stays as it is."""

    def apply(self, acc_g: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Corrects (n, 3) g."""
        return np.where(np.abs(acc_g) >= self.rail_g, acc_g, (acc_g - self.offset_g) * self.gain)


def step(
    s: npt.NDArray[np.void],
    slot: npt.NDArray[np.int64],
    mean_g: F32,
    largest_std_g: F32,
    usable: npt.NDArray[np.bool_],
) -> None:
    """Takes one frame of each slot, raw (m, 3) g, into the slot's row of `s`, in place."""
    quiet = np.flatnonzero(usable & (largest_std_g < _QUIET_G))
    if not len(quiet):
        return
    size = axes.length(mean_g[quiet])
    quiet = quiet[(size > _SIZE_G[0]) & (size < _SIZE_G[1])]
    direction = _direction(mean_g[quiet])
    new = (s["seen"][slot[quiet]] >> direction & 1) == 0
    # A helmet lies in a new attitude some twenty times in its life: no need for speed here.
    for k, bit in zip(quiet[new].tolist(), direction[new].tolist(), strict=True):
        row = s[slot[k] : slot[k] + 1]
        x = mean_g[k].astype(np.float64)
        terms = np.concatenate([np.square(x), x])
        row["normal"] += np.outer(terms, terms)
        row["right"] += terms
        row["seen"] |= np.uint32(1 << bit)
        _fit(row)


def fix(row: npt.NDArray[np.void], full_scale_g: float) -> Fix | None:
    """The correction of one helmet's samples, if a good one is known."""
    if not row["known"]:
        return None
    return Fix(row["offset_g"].astype(np.float64), row["gain"].astype(np.float64), RAIL * full_scale_g)


def corrected(s: npt.NDArray[np.void], slot: npt.NDArray[np.int64], mean_g: F32) -> F32:
    """(m, 3) means with each slot's correction."""
    known = s["known"][slot]
    if not known.any():
        return mean_g
    row = s[slot]
    return np.where(known[:, None], (mean_g - row["offset_g"]) * row["gain"], mean_g)


def _direction(mean_g: F32) -> npt.NDArray[np.uint32]:
    """Which of 26 directions (faces, edges and corners of a cube) each row points to."""
    unit = mean_g / axes.length(mean_g)[:, None]
    digits = np.rint(unit * 1.2).astype(np.int64) + 1
    code = digits @ np.array([9, 3, 1])
    return np.asarray(code - (code > 13), np.uint32)


def _fit(row: npt.NDArray[np.void]) -> None:
    """Tries the fit; keeps it where it is good enough."""
    many = int(row["seen"][0]).bit_count()
    if many < _LEAST:
        return
    try:
        inverse = np.linalg.inv(row["normal"][0])
    except np.linalg.LinAlgError:
        return
    p = inverse @ row["right"][0]
    squares, centre = p[:3], -p[3:] / (2 * p[:3])
    whole = 1 + float((squares * np.square(centre)).sum())
    if not ((squares > 0).all() and whole > 0):
        return
    # The sum of the algebraic residuals' squares; half of one, over `whole`, is a residual of the size in g.
    rest = max(many - float(p @ row["right"][0]), 0.0)
    residual_g = np.sqrt(rest / max(many - 6, 1)) / (2 * whole)
    # At least 5 mg of error each, because at nine attitudes a residual is small by luck.
    error = max(2 * whole * residual_g, 0.01) * np.sqrt(np.diag(inverse)[3:]) / (2 * squares)
    if residual_g > _RESIDUAL_G:
        # Something was not at rest, or the part has changed: begin anew.
        row["normal"], row["right"], row["seen"] = 0, 0, 0
        return
    if (error > _UNSURE_G).any():
        return
    gain = np.sqrt(squares / whole)
    row["known"], row["offset_g"], row["gain"] = True, centre, gain
    row["drifted"] = bool((np.abs(centre) > _DRIFT_G).any() or (np.abs(gain - 1) > _DRIFT_GAIN).any())
    row["normal"], row["right"], row["seen"] = 0, 0, 0
