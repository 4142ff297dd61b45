"""Rotational injury metrics of a gyroscope's record: array in, number per row out. Sources: docs/detection.md.

Axes are those of SAE J211: x forward, y and z across and along the head; a part mounted askew must be turned
first. Angular acceleration is a derivative: below 1 kHz it is noise, so DAMAGE and RIC are not computed there.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.signal import cont2discrete

from detectors.injury import hic

Array = npt.NDArray[np.float64]

CRITICAL_RAD_S = {
    "average": (66.25, 56.45, 42.87),
    "csdm": (66.20, 59.10, 44.25),
    "mps": (66.30, 53.80, 41.50),
}
"""Critical angular velocities of BrIC about x, y and z (Takhounts 2013)."""
_STIFFNESS_XX, _STIFFNESS_YY, _STIFFNESS_ZZ, _STIFFNESS_XZ = 32142.0, 23493.0, 16935.0, 1636.3
_DAMPING_S = 5.9148e-3
_DAMAGE_SCALE = 2.9903
RATE_FOR_ALPHA_HZ = 1000.0
"""From here on a derivative of the angular velocity can be trusted."""


def bric(omega_rad_s: Array, critical: Literal["average", "csdm", "mps"] = "average") -> Array:
    """Brain injury criterion of (…, n, 3) rad/s, shape (…); the axes' maxima need not coincide (Takhounts 2013).

    A ±2000 °/s part clips at 34.9 rad/s an axis, so it cannot read more than 1.15.
    """
    peak = np.abs(np.asarray(omega_rad_s, dtype=np.float64)).max(-2)
    return np.asarray(np.sqrt(np.square(peak / np.array(CRITICAL_RAD_S[critical])).sum(-1)))


def alpha_rad_s2(omega_rad_s: Array, fs_hz: float) -> Array:
    """Angular acceleration of (…, n, 3) rad/s; ValueError below 1 kHz, where it would be noise."""
    if fs_hz < RATE_FOR_ALPHA_HZ * 0.995:
        raise ValueError(f"angular acceleration needs 1 kHz or more, not {fs_hz:g} Hz")
    return np.asarray(np.gradient(np.asarray(omega_rad_s, dtype=np.float64), 1 / fs_hz, axis=-2))


@lru_cache
def _brain(fs_hz: float) -> tuple[Array, Array, Array, Array]:
    """The coupled oscillators of DAMAGE (Gabler 2019) as a discrete system for straight lines between samples."""
    k = np.array(
        [
            [_STIFFNESS_XX + _STIFFNESS_XZ, 0.0, -_STIFFNESS_XZ],
            [0.0, _STIFFNESS_YY, 0.0],
            [-_STIFFNESS_XZ, 0.0, _STIFFNESS_XZ + _STIFFNESS_ZZ],
        ]
    )
    eye, zero = np.eye(3), np.zeros((3, 3))
    a = np.block([[zero, eye], [-k, -_DAMPING_S * k]])
    b = np.concatenate([zero, eye])
    c = np.concatenate([eye, zero], axis=1)
    return tuple(np.asarray(m) for m in cont2discrete((a, b, c, zero), 1 / fs_hz, method="foh")[:4])  # type: ignore[return-value]


def damage(alpha: Array, fs_hz: float) -> Array:
    """DAMAGE of (…, n, 3) angular acceleration in rad/s², shape (…) (Gabler 2019)."""
    alpha = np.asarray(alpha, dtype=np.float64)
    a, b, c, d = _brain(fs_hz)
    state = np.zeros((*alpha.shape[:-2], 6))
    best = np.zeros(alpha.shape[:-2])
    for k in range(alpha.shape[-2]):
        strain = state @ c.T + alpha[..., k, :] @ d.T
        np.maximum(best, np.square(strain).sum(-1), out=best)
        state = state @ a.T + alpha[..., k, :] @ b.T
    return np.asarray(_DAMAGE_SCALE * np.sqrt(best))


def ric36(alpha: Array, fs_hz: float) -> Array:
    """Rotational injury criterion: HIC's formula on the size of (…, n, 3) rad/s², at most 36 ms."""
    return hic(np.sqrt(np.square(np.asarray(alpha, dtype=np.float64)).sum(-1)), fs_hz, 0.036)


def gambit_linear(pla_g: npt.ArrayLike, alpha_peak_rad_s2: npt.ArrayLike) -> Array:
    """GAMBIT in Newman's linear form: a/250 + α/10000. Not on one scale with `gambit_kramer`."""
    return np.asarray(np.asarray(pla_g, float) / 250 + np.asarray(alpha_peak_rad_s2, float) / 10000)


def gambit_kramer(pla_g: npt.ArrayLike, alpha_peak_rad_s2: npt.ArrayLike) -> Array:
    """GAMBIT in Kramer's fit: [(a/251)^2.5 + (α/25000)^2.5]^(1/2.5)."""
    linear = (np.asarray(pla_g, float) / 251) ** 2.5
    return np.asarray((linear + (np.asarray(alpha_peak_rad_s2, float) / 25000) ** 2.5) ** 0.4)
