"""Risk curves of published studies, by name: they rank blows to a head form, they do not diagnose anybody.

Every curve takes arrays and gives probabilities of the same shape. The families disagree by a factor of two to
eight below HIC 700, so a figure without the name of its curve says nothing. A HIC that is a lower bound gives a
lower bound of the risk; parts of quality C and D must not be put in at all.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Array = npt.NDArray[np.float64]

HIC_RANGE = (1.0, 2500.0)
"""Outside, the expanded Prasad–Mertz curves cross each other; HIC is clipped to it."""
_PRASAD_MERTZ = {
    "ais1": (1.54, 0.00650),
    "ais2": (2.49, 0.00483),
    "ais3": (3.39, 0.00372),
    "ais4": (4.90, 0.00351),
    "ais5": (7.82, 0.00429),
    "fatal": (12.24, 0.00565),
}
_LOG_NORMAL = {"ais2": (6.96352, 0.84664), "ais3": (7.45231, 0.73998), "ais4": (7.65605, 0.60580)}
_BRIC_MPS = {"ais1": 0.120, "ais2": 0.602, "ais3": 0.987, "ais4": 1.204, "ais5": 1.252}
_BRIC_CSDM = {"ais1": 0.065, "ais2": 0.324, "ais3": 0.531, "ais4": 0.647, "ais5": 0.673}
_DAMAGE = {"ais1": (4.078, 0.394), "ais2": (3.875, 0.459), "ais4": (6.051, 0.646)}


def prasad_mertz(hic: npt.ArrayLike, level: str) -> Array:
    """Risk of a head injury of AIS `level` or more from HIC15 (NHTSA's expanded Prasad–Mertz curves)."""
    c, k = _PRASAD_MERTZ[level]
    h = np.clip(np.asarray(hic, float), *HIC_RANGE)
    return np.asarray(1 / (1 + np.exp(c + 200 / h - k * h)))


def log_normal(hic: npt.ArrayLike, level: str) -> Array:
    """Risk of AIS `level` or more from HIC (Hertz; NHTSA NCAP): Φ((ln HIC − μ)/σ)."""
    mean, deviation = _LOG_NORMAL[level]
    return np.asarray(ndtr((np.log(np.clip(np.asarray(hic, float), *HIC_RANGE)) - mean) / deviation))


def bric_mps(bric: npt.ArrayLike, level: str) -> Array:
    """Risk of AIS `level` or more from BrIC by maximum principal strain (Takhounts 2013)."""
    return np.asarray(1 - np.exp(-((np.maximum(np.asarray(bric, float), 0) / _BRIC_MPS[level]) ** 2.84)))


def bric_csdm(bric: npt.ArrayLike, level: str) -> Array:
    """Risk of AIS `level` or more from BrIC by cumulative strain damage (Takhounts 2013); 0 up to BrIC 0.523."""
    above = np.maximum(np.asarray(bric, float) - 0.523, 0)
    return np.asarray(1 - np.exp(-((above / _BRIC_CSDM[level]) ** 1.8)))


def damage(value: npt.ArrayLike, level: str) -> Array:
    """Risk of AIS `level` or more from DAMAGE (curves of TU Graz and the University of Virginia)."""
    shape, scale = _DAMAGE[level][0], _DAMAGE[level][1]
    return np.asarray(1 - np.exp(-(((0.957 * np.asarray(value, float) + 0.017) / scale) ** shape)))


def vt_concussion(pla_g: npt.ArrayLike, alpha_rad_s2: npt.ArrayLike) -> Array:
    """Combined probability of concussion from peak linear and angular acceleration (Virginia Tech)."""
    a, alpha = np.asarray(pla_g, float), np.asarray(alpha_rad_s2, float)
    return np.asarray(1 / (1 + np.exp(10.2 - 0.0433 * a - 0.000873 * alpha + 9.2e-7 * a * alpha)))


CURVES: dict[str, Callable[..., Array]] = {
    **{f"prasad_mertz_{level}": partial(prasad_mertz, level=level) for level in _PRASAD_MERTZ},
    **{f"log_normal_{level}": partial(log_normal, level=level) for level in _LOG_NORMAL},
    **{f"bric_mps_{level}": partial(bric_mps, level=level) for level in _BRIC_MPS},
    **{f"bric_csdm_{level}": partial(bric_csdm, level=level) for level in _BRIC_CSDM},
    **{f"damage_{level}": partial(damage, level=level) for level in _DAMAGE},
    "vt_concussion": vt_concussion,
}
"""Every curve by the name to print beside its result. `log_normal_…` is the one with an explicit derivation."""
