"""Slow, obviously right versions of the injury metrics."""

import numpy as np

G0 = 9.80665


def hic(a, fs_hz, window_s):
    """All pairs of samples."""
    dt = 1 / fs_hz
    total = np.concatenate([[0.0], np.cumsum((a[1:] + a[:-1]) * 0.5 * dt)])
    best = 0.0
    for i in range(len(a)):
        for j in range(i + 1, len(a)):
            if (j - i) * dt > window_s + 1e-12:
                break
            best = max(best, max(total[j] - total[i], 0.0) ** 2.5 * ((j - i) * dt) ** -1.5)
    return best


def dv_mps(acc_g, fs_hz, window_s):
    """All pairs of samples, one axis after the other."""
    best = 0.0
    for i in range(len(acc_g)):
        for j in range(i + 1, len(acc_g)):
            if (j - i) / fs_hz > window_s + 1e-12:
                break
            step = [np.trapezoid(acc_g[i : j + 1, axis], dx=1 / fs_hz) * G0 for axis in range(3)]
            best = max(best, sum(s * s for s in step) ** 0.5)
    return best


def clip3ms_g(a, fs_hz):
    """The largest level that some 3 ms never leave."""
    width = int(np.ceil(0.003 * fs_hz - 1e-9)) + 1
    return max(min(a[i : i + width]) for i in range(len(a) - width + 1))
