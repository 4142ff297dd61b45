"""Injury metrics of an impact: array in, number per row out. Formulas and sources: docs/detection.md.

They describe the motion of the place where the sensor sits. On a helmet that is not the head: outputs made of
them are named `helmet_…`, and below 1 kHz or with a clipped range they are lower bounds.
"""

import numpy as np
import numpy.typing as npt

from core.model import G0

Array = npt.NDArray[np.float64]

CLIP3MS_S = 0.003
"""FMVSS 208: the level that is exceeded for 3 ms together."""
_REFINE_BELOW = 4
"""A HIC window of fewer samples than this is refined: at 66 Hz and below it would hold none at all."""
_REFINE = 8


def pla_g(acc_g: Array) -> Array:
    """Peak linear acceleration of (…, n, 3) gravity-free g, shape (…)."""
    return np.asarray(np.sqrt(np.square(acc_g).sum(-1)).max(-1))


def hic(resultant_g: Array, fs_hz: float, window_s: float = 0.015) -> Array:
    """Head injury criterion of (…, n) gravity-free resultants in g, window at most `window_s`, shape (…).

    HIC = max (t2 − t1)·[mean of a over t1…t2]^2.5 (FMVSS 208); trapezoids between samples. The loop runs over the
    window's length only. Where the window holds fewer than four samples, the straight lines between the samples
    are integrated exactly on a grid eight times as fine.
    """
    a = np.asarray(resultant_g, dtype=np.float64)
    if a.shape[-1] < 2:
        return np.zeros(a.shape[:-1])
    if is_coarse(fs_hz, window_s):
        a, fs_hz = _refined(a), fs_hz * _REFINE
    dt_s = 1 / fs_hz
    total = np.zeros(a.shape)
    np.cumsum((a[..., 1:] + a[..., :-1]) * (0.5 * dt_s), axis=-1, out=total[..., 1:])
    best = np.zeros(a.shape[:-1])
    for lag in range(1, min(int(window_s * fs_hz + 1e-9), a.shape[-1] - 1) + 1):
        gain = np.maximum((total[..., lag:] - total[..., :-lag]).max(-1), 0.0)
        np.maximum(best, gain**2.5 * (lag * dt_s) ** -1.5, out=best)
    return best


def is_coarse(fs_hz: float, window_s: float = 0.015) -> bool:
    """Whether a HIC window holds so few samples that its value is an interpolation's, to be marked as coarse."""
    return window_s * fs_hz < _REFINE_BELOW


def _refined(a: Array) -> Array:
    """The piecewise linear signal through (…, n) samples, `_REFINE` times as fine."""
    step = np.arange(_REFINE) / _REFINE
    inner = a[..., :-1, None] * (1 - step) + a[..., 1:, None] * step
    return np.concatenate([inner.reshape(*a.shape[:-1], -1), a[..., -1:]], axis=-1)


def dv_mps(acc_g: Array, fs_hz: float, window_s: float) -> Array:
    """Largest change of velocity within `window_s` of (…, n, 3) gravity-free g, in m/s, shape (…).

    The vector is integrated (trapezoids) before its norm is taken, so that shaking cancels. Over more than 0.1 s
    the turning of gravity adds up to 1 m/s.
    """
    a = np.asarray(acc_g, dtype=np.float64)
    n = a.shape[-2]
    total = np.zeros(a.shape)
    np.cumsum((a[..., 1:, :] + a[..., :-1, :]) * (0.5 * G0 / fs_hz), axis=-2, out=total[..., 1:, :])
    best = np.zeros(a.shape[:-2])
    for lag in range(1, min(max(1, int(window_s * fs_hz + 1e-9)), n - 1) + 1):
        step = np.square(total[..., lag:, :] - total[..., :-lag, :]).sum(-1).max(-1)
        np.maximum(best, np.sqrt(step), out=best)
    return best


def si(resultant_g: Array, fs_hz: float) -> Array:
    """Gadd severity index ∫a^2.5 dt of (…, n) gravity-free resultants in g, shape (…) (NOCSAE limit 1200)."""
    return np.asarray(np.trapezoid(np.asarray(resultant_g, dtype=np.float64) ** 2.5, dx=1 / fs_hz, axis=-1))


def clip3ms_g(resultant_g: Array, fs_hz: float) -> Array:
    """Largest level that (…, n) resultants hold for 3 ms together, in g, shape (…); coarse below 1 kHz."""
    a = np.asarray(resultant_g, dtype=np.float64)
    width = min(int(np.ceil(CLIP3MS_S * fs_hz - 1e-9)) + 1, a.shape[-1])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(a, width, axis=-1).min(-1).max(-1))
