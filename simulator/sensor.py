"""The sensor chain: what an accelerometer makes of a motion.

Clip at the full scale, low-pass at half the output rate, sample at any phase, gain, offset, noise, counts.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import signal

from simulator.motion import FINE_HZ, Array


@dataclass(frozen=True, slots=True)
class Part:
    """An accelerometer as built into a helmet."""

    rate_hz: int
    full_scale_g: float
    noise_g: float
    """RMS of one sample on one axis."""

    @property
    def g_per_count(self) -> float:
        """Resolution of 16 bits over the range."""
        return self.full_scale_g / 32768

    @property
    def period_ns(self) -> int:
        """Time between two samples."""
        return 1_000_000_000 // self.rate_hz


STANDARD = Part(100, 16, 0.002)
FAST = Part(200, 32, 0.004)
HIGH_G = Part(400, 200, 0.03)
SLOW = Part(50, 16, 0.002)
"""Noise of the ±16 g parts as in the BMI160 class of data sheets, of the ±200 g part as in the ADXL375's."""


@lru_cache
def _anti_alias(rate_hz: int) -> Array:
    return np.asarray(signal.butter(2, rate_hz / 2, fs=FINE_HZ, output="sos"))


def sampled(f: Array, part: Part, phase: float) -> npt.NDArray[np.float32]:
    """(n, 3) what the part measures of `f` (N, 3) in g at 3,200 Hz, before gain, offset, noise and counts.

    `phase` (0…1) is where the first sample falls within one sample period after the start of `f`.
    """
    stride = FINE_HZ // part.rate_hz
    sos = _anti_alias(part.rate_hz)
    clipped = np.clip(f, -part.full_scale_g, part.full_scale_g)
    # Started as if the first value had always been there: no transient where a motion begins.
    start = signal.sosfilt_zi(sos)[:, :, None] * clipped[0]
    filtered, _ = signal.sosfilt(sos, clipped, axis=0, zi=start)
    return np.asarray(filtered[min(int(phase * stride), stride - 1) :: stride], np.float32)


def counts(
    f_g: npt.NDArray[np.floating], full_scale_g: Array | float, g_per_count: Array | float
) -> npt.NDArray[np.int16]:
    """Quantises g to int16 counts, clipped to the range and to 16 bits. Shapes broadcast."""
    clipped = np.clip(f_g, -full_scale_g, full_scale_g)
    return np.asarray(np.clip(np.rint(clipped / g_per_count), -32768, 32767), np.int16)
