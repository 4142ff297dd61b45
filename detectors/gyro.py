"""What a gyroscope says about wear: whether a head looks around, whether a helmet swings, whether the part is dead.

Vectorised over helmets: one row of `GYRO` each, one call of `step` for each frame. The rates are averaged over
blocks of a sixth of a second (first zero at 6 Hz) and followed from there: heads and pendulums are slower than 3 Hz.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors import axes

F32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

GYRO = np.dtype(
    [
        ("slow", "f4", 3),
        ("last", "f4", 3),
        ("power", "f4", 3),
        ("change", "f4", 3),
        ("up", "f4", 3),
        ("swing_s", "f4"),
        ("equal_s", "f4"),
        ("dead", "?"),
        ("primed", "?"),
    ]
)
"""One helmet: per axis the slow part of the rate, the newest block without it, mean squares of blocks and of their
differences; the attitude when the rate last changed, and for how long it has not."""

_BLOCK_S = 1 / 6
_HIGH_PASS_HZ = 0.2
_MEMORY_S = 5.0
_YAW_RAD_S = 0.1
"""RMS of the yaw rate, 0.2…3 Hz, from which a head looks around."""
_SWING_RAD_S = 0.7
"""RMS of a pendulum of 1.2 Hz with an amplitude of 7.5°; a road turns a head less."""
_SWING_HZ = (0.8, 2.0)
_SWING_AFTER_S = 20.0
_DEAD_S, _DEAD_COS = 2.0, float(np.cos(np.radians(20)))


class Turning(NamedTuple):
    """What `step` noticed, masks over its rows."""

    yaws: Mask
    swings: Mask
    """Whether it has swung like a pendulum for 20 s."""
    died: Mask
    """Whether it was found dead just now."""


def step(
    g: npt.NDArray[np.void],
    counts: npt.NDArray[np.int16],
    rad_s_per_count: F32,
    fs_hz: float,
    seconds: F32,
    mean_g: F32,
    joins: Mask,
) -> Turning:
    """Takes (m, n, 3) counts of one frame of each helmet into its row, in place.

    `mean_g` (m, 3) is its attitude, `joins` whether the frame joins the last one: after a hole, and at the start, the
    filters begin at what they find, so that neither a gyroscope's bias nor a turn that nobody saw rings on.
    """
    died = _dead(g, counts, seconds, mean_g)
    blocks = max(1, round(counts.shape[1] / fs_hz / _BLOCK_S))
    block_s = seconds / blocks
    keep = np.exp(-block_s / _MEMORY_S)[:, None]
    slower = (1 - np.exp(-2 * np.pi * _HIGH_PASS_HZ * block_s))[:, None]
    begins = ~(joins & g["primed"])[:, None]
    g["primed"] = True
    for k, part in enumerate(np.array_split(counts, blocks, axis=1)):
        rate = part.mean(1, dtype=np.float32) * rad_s_per_count[:, None]
        if k == 0:
            g["slow"] = np.where(begins, rate, g["slow"])
            g["last"] = np.where(begins, 0, g["last"])
        g["slow"] += slower * (rate - g["slow"])
        now = rate - g["slow"]
        g["power"] += (1 - keep) * (np.square(now) - g["power"])
        g["change"] += (1 - keep) * (np.square(now - g["last"]) - g["change"])
        g["last"] = now
    yaws = np.sqrt(g["power"][:, 2]) >= _YAW_RAD_S
    g["swing_s"] = np.where(_pendulum(g, block_s), g["swing_s"] + seconds, 0)
    alive = ~g["dead"]
    return Turning(yaws & alive, (g["swing_s"] >= _SWING_AFTER_S) & alive, died)


def _pendulum(g: npt.NDArray[np.void], block_s: F32) -> Mask:
    """Whether the tilting rates are strong and slow enough: mean frequency from the blocks' differences (Rice).

    The gyroscope sees what the accelerometer cannot: a swinging mass feels force along its string only.
    """
    power = g["power"][:, 0] + g["power"][:, 1]
    # A sine of frequency f, sampled every T: mean squared difference over mean square is 2 (1 − cos 2πfT).
    low, high = (2 * (1 - np.cos(2 * np.pi * hz * block_s)) * power for hz in _SWING_HZ)
    change = g["change"][:, 0] + g["change"][:, 1]
    return np.asarray((power >= _SWING_RAD_S**2) & (change >= low) & (change <= high))


def _dead(g: npt.NDArray[np.void], counts: npt.NDArray[np.int16], seconds: F32, mean_g: F32) -> Mask:
    """Follows whether the rate never changes while the attitude does."""
    equal = (counts == counts[:, :1]).all((1, 2)) & (counts.shape[1] >= 3)
    up = np.asarray(mean_g / np.maximum(axes.length(mean_g), np.float32(1e-6))[:, None], np.float32)
    began = ~equal | (g["equal_s"] == 0)
    g["up"] = np.where(began[:, None], up, g["up"])
    g["equal_s"] = np.where(equal, g["equal_s"] + seconds, 0)
    turned = axes.product(up, g["up"]) < _DEAD_COS
    before = g["dead"].copy()
    g["dead"] = equal & (before | ((g["equal_s"] >= _DEAD_S) & turned))
    return np.asarray(g["dead"] & ~before)
