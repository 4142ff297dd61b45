"""Channel classes of SAE J211 and ISO 6487: a phaseless low-pass for stored windows around a candidate.

It runs forward and backward, so it sees the future: never for the stream.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

Array = npt.NDArray[np.float64]

_FACTOR = {"sae": 2.0775, "iso": 1.25 / 0.6}
_PAD_S, _PAD_SAMPLES = 0.010, 100
"""ISO 6487: so much is reflected about either end before filtering."""


def coefficients(
    cfc_class: float, fs_hz: float, standard: Literal["sae", "iso"] = "sae"
) -> tuple[Array, Array]:
    """(b, a) of the two-pole section of a channel class; `a` in the sign of scipy. A class is not a cut-off in Hz."""
    w = np.tan(np.pi * cfc_class * _FACTOR[standard] / fs_hz)
    scale = 1 + np.sqrt(2) * w + w**2
    b = w**2 / scale * np.array([1.0, 2.0, 1.0])
    a = np.array([1.0, 2 * (w**2 - 1) / scale, (1 - np.sqrt(2) * w + w**2) / scale])
    return b, a


def filtered(
    x: npt.ArrayLike, cfc_class: float, fs_hz: float, standard: Literal["sae", "iso"] = "sae"
) -> Array:
    """Filters (n, …) samples by a channel class; ValueError where the rate is below ten times the class.

    CFC 1000, the class of a head, needs 10 kHz, and CFC 60 still 600 Hz: no helmet at 50 to 400 Hz can claim one.
    """
    if fs_hz < 10 * cfc_class:
        raise ValueError(f"CFC {cfc_class:g} needs {10 * cfc_class:g} Hz or more, not {fs_hz:g} Hz")
    data = np.asarray(x, dtype=np.float64)
    pad = min(max(_PAD_SAMPLES, round(_PAD_S * fs_hz)), len(data) - 1)
    head, tail = 2 * data[0] - data[pad:0:-1], 2 * data[-1] - data[-2 : -pad - 2 : -1]
    b, a = coefficients(cfc_class, fs_hz, standard)
    out = np.concatenate([head, data, tail])
    for _ in range(2):
        out = _primed(b, a, out)[::-1]
    return np.asarray(out[pad : pad + len(data)])


def _primed(b: Array, a: Array, x: Array) -> Array:
    """Filters from the first value's steady state on: no transient at the start."""
    # State of the transposed direct form II under a constant input of 1.
    z2 = b[2] - a[2]
    zi = np.stack([b[1] - a[1] + z2, z2]).reshape(2, *([1] * (x.ndim - 1)))
    return np.asarray(lfilter(b, a, x, axis=0, zi=zi * x[0])[0])
