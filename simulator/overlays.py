"""Motions laid over everyday motion, as one helmet's part measures them."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.impacts import Motion
from simulator.motion import Array
from simulator.sensor import Part, peaks, sampled, sampled_gyro


@dataclass(frozen=True, slots=True)
class Overlay:
    """A motion as one helmet's part measures it."""

    start: int
    """Number of its first sample."""
    f: npt.NDArray[np.float32]
    keep: npt.NDArray[np.float32]
    omega: npt.NDArray[np.float32] | None = None
    """(n, 3) rad/s, where the part has a gyroscope."""
    peak: npt.NDArray[np.float32] | None = None
    """(n,) largest resultant since the sample before, where the part has a peak detector."""

    def until(self, sample: int) -> "Overlay":
        """The part of it before the sample of that number."""
        n = max(0, sample - self.start)
        omega = None if self.omega is None else self.omega[:n]
        return Overlay(
            self.start, self.f[:n], self.keep[:n], omega, None if self.peak is None else self.peak[:n]
        )


def laid(motion: Motion, part: Part, up: Array, start_s: float) -> Overlay:
    """What a part makes of a motion that starts at `start_s` on a helmet with `up` (3,) upwards."""
    exact = start_s * part.rate_hz
    first = math.ceil(exact)
    f = sampled(motion.f + motion.keep[:, None] * up, part, first - exact)
    keep = sampled(np.repeat(motion.keep[:, None], 3, 1), part, first - exact)[:, 0]
    # Gravity went through the chain so that it clips with the motion; everyday motion brings its own.
    f = f - keep[:, None] * up.astype(np.float32)
    omega = peak = None
    if part.gyro_rad_s:
        turn = np.zeros_like(motion.f) if motion.omega is None else motion.omega
        omega = sampled_gyro(turn, part, first - exact)
    if part.peak_g:
        peak = peaks(motion.f + motion.keep[:, None] * up, part, first - exact)
    return Overlay(first, f, keep, omega, peak)


def straightened(lay: Array, part: Part, t_s: float) -> Overlay:
    """A helmet that lay with `lay` (3,) upwards is turned upright within two seconds, carrying 1 g all the while."""
    rate = part.rate_hz
    first = math.ceil(t_s * rate - 1e-6)
    s = np.clip((np.arange(2 * rate) / rate - 0.1) / 1.5, 0, 1)[:, None]
    s = s * s * (3 - 2 * s)
    up = (1 - s) * lay + s * np.array([0.0, 0.0, 1.0])
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    keep = np.clip((np.arange(2 * rate) / rate - 1.6) / 0.4, 0, 1)
    f = up * (1 - keep[:, None])
    omega = None
    if part.gyro_rad_s:  # up' = -omega x up, with nothing about the vertical
        omega = (-np.cross(up, np.gradient(up, 1 / rate, axis=0))).astype(np.float32)
    return Overlay(first, f.astype(np.float32), keep.astype(np.float32), omega)
