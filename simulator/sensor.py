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
    gyro_rad_s: float = 0.0
    """Range of the gyroscope, 0 where there is none."""
    peak_g: float = 0.0
    """Range of an on-chip peak detector that sees the motion before the low-pass, 0 where there is none."""

    @property
    def rad_s_per_count(self) -> float:
        """Resolution of 16 bits over the gyroscope's range."""
        return self.gyro_rad_s / 32768

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

_2000_DPS = float(np.radians(2000))
PARTS: dict[str, Part] = {
    "50hz-16g": SLOW,
    "100hz-16g": STANDARD,
    "100hz-16g-gyro": Part(100, 16, 0.002, gyro_rad_s=_2000_DPS),
    "100hz-16g-peak200g": Part(100, 16, 0.002, peak_g=200),
    "200hz-32g": FAST,
    "200hz-32g-gyro": Part(200, 32, 0.004, gyro_rad_s=_2000_DPS),
    "400hz-200g": HIGH_G,
    "800hz-200g": Part(800, 200, 0.04),
    "1600hz-200g": Part(1600, 200, 0.05),
    "3200hz-200g": Part(FINE_HZ, 200, 0.07),
}
"""The kinds of accelerometer by name; noise grows with the root of the bandwidth."""


@lru_cache
def _anti_alias(rate_hz: int) -> Array:
    # At the rate of the motion itself there is nothing left to fold back.
    corner_hz = min(rate_hz / 2, 0.49 * FINE_HZ)
    return np.asarray(signal.butter(2, corner_hz, fs=FINE_HZ, output="sos"))


def peaks(f: Array, part: Part, phase: float) -> npt.NDArray[np.float32]:
    """(n,) the largest resultant of `f` (N, 3) since the sample before, as an on-chip peak detector sees it."""
    stride = FINE_HZ // part.rate_hz
    resultant = np.linalg.norm(np.clip(f, -part.peak_g, part.peak_g), axis=1)
    first = min(int(phase * stride), stride - 1)
    resultant = np.concatenate([np.zeros(stride - 1 - first), resultant])
    whole = len(resultant) // stride * stride
    return np.asarray(resultant[:whole].reshape(-1, stride).max(1), np.float32)


def sampled(f: Array, part: Part, phase: float) -> npt.NDArray[np.float32]:
    """(n, 3) what the part measures of `f` (N, 3) in g at 3,200 Hz, before gain, offset, noise and counts.

    `phase` (0…1) is where the first sample falls within one sample period after the start of `f`.
    """
    stride = FINE_HZ // part.rate_hz
    sos = _anti_alias(part.rate_hz)
    return _chain(np.clip(f, -part.full_scale_g, part.full_scale_g), sos, phase, stride)


def sampled_gyro(omega: Array, part: Part, phase: float) -> npt.NDArray[np.float32]:
    """(n, 3) what the part's gyroscope measures of `omega` (N, 3) in rad/s at 3,200 Hz, as `sampled` does for g."""
    clipped = np.clip(omega, -part.gyro_rad_s, part.gyro_rad_s)
    return _chain(clipped, _anti_alias(part.rate_hz), phase, FINE_HZ // part.rate_hz)


def _chain(clipped: Array, sos: Array, phase: float, stride: int) -> npt.NDArray[np.float32]:
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
