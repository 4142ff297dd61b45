"""The arrays of a recording as a helmet would have sent them: checked, evenly spaced, and with their holes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

FRAME_MAX_S = 2.0
"""A helmet sends no longer frames (docs/payload.md)."""
_RATES_HZ = (10.0, 100_000.0)
_HOLE = 3.5
"""Between samples so many periods apart, three or more are missing and nothing is known; closer ones are joined by a
line."""
_SPEED_S = 2.0
"""A speed older than this at the first sample of a frame is not sent any more."""


@dataclass(frozen=True, slots=True)
class Samples:
    """One recording on an even grid."""

    acc_g: F64
    """(n, 3), NaN where nothing was measured."""
    gyro_rad_s: F64 | None
    """(n, 3), 0 where nothing was measured."""
    speed_mps: F64 | None
    """(n,), NaN where unknown."""
    fs_hz: float

    def frames(self, lengths: list[int]) -> Iterator[slice]:
        """Stretches of samples without a hole, of the given lengths in turn, none longer than a helmet may send."""
        known = np.isfinite(self.acc_g @ np.ones(3))
        most, start, turn = max(1, int(FRAME_MAX_S * self.fs_hz)), 0, 0
        while start < len(known):
            end = min(start + lengths[turn % len(lengths)], len(known))
            for first in range(start, end, most):
                last = min(first + most, end)
                edges = np.flatnonzero(np.diff(np.r_[False, known[first:last], False].astype(np.int8)))
                yield from (slice(first + a, first + b) for a, b in edges.reshape(-1, 2).tolist())
            start, turn = end, turn + 1

    def speed_at(self, sample: int) -> float:
        """The newest speed known at a sample; NaN where there is none, or only an old one."""
        if self.speed_mps is None:
            return float("nan")
        recent = self.speed_mps[max(0, sample - round(_SPEED_S * self.fs_hz)) : sample + 1]
        known = recent[~np.isnan(recent)]
        return float(known[-1]) if len(known) else float("nan")


def samples(
    acc_g: npt.ArrayLike,
    fs_hz: float,
    gyro_rad_s: npt.ArrayLike | None,
    speed_mps: float | npt.ArrayLike | None,
    t_s: npt.ArrayLike | None,
) -> Samples:
    """Checks what `detectors.detect_recording` was given. Raises `ValueError` with what is wrong."""
    low, high = _RATES_HZ
    if not low <= fs_hz <= high:
        raise ValueError(f"fs_hz is {fs_hz}, not a rate from {low:g} to {high:g} Hz")
    acc = _finite(_shaped("acc_g", acc_g, 3), np.nan)
    gyro = None if gyro_rad_s is None else _finite(_shaped("gyro_rad_s", gyro_rad_s, 3, len(acc)), 0.0)
    speed = None if speed_mps is None else _speed(speed_mps, len(acc))
    if t_s is None:
        return Samples(acc, gyro, speed, fs_hz)
    return _even(Samples(acc, gyro, speed, fs_hz), _shaped("t_s", t_s, None, len(acc)))


def _shaped(name: str, values: npt.ArrayLike, width: int | None, length: int | None = None) -> F64:
    """The values as floats, once they have as many rows and columns as they must."""
    x = np.asarray(values, np.float64)
    columns = () if width is None else (width,)
    if x.ndim != 1 + len(columns) or x.shape[1:] != columns or length not in (None, len(x)):
        wanted = ", ".join(str(n) for n in ("n" if length is None else length, *columns))
        raise ValueError(f"{name} has the shape {x.shape}, not ({wanted}{'' if columns else ','})")
    return x


def _finite(x: F64, instead: float) -> F64:
    return np.where(np.isfinite(x), x, instead)


def _speed(speed_mps: float | npt.ArrayLike, length: int) -> F64:
    x = np.asarray(speed_mps, np.float64)
    x = _finite(np.full(length, x) if x.ndim == 0 else _shaped("speed_mps", x, None, length), np.nan)
    if (x < 0).any():
        raise ValueError("speed_mps is negative somewhere: an unknown speed is NaN or None")
    return x


def _even(s: Samples, t_s: F64) -> Samples:
    """The same on an even grid from the first sample to the last."""
    if not len(t_s):
        return s
    steps = np.diff(t_s)
    if not np.isfinite(t_s).all() or (steps <= 0).any():
        at = int(np.argmin(np.r_[np.isfinite(t_s[0]), steps > 0]))
        raise ValueError(f"t_s must increase from sample to sample; sample {at} is at {t_s[at]} s")
    if len(steps) and not 0.5 <= np.median(steps) * s.fs_hz <= 2:
        raise ValueError(f"t_s has a sample every {np.median(steps):g} s, which is not fs_hz = {s.fs_hz:g}")
    grid = np.arange(t_s[0], t_s[-1] + 0.5 / s.fs_hz, 1 / s.fs_hz)
    before = np.searchsorted(t_s, grid, side="right") - 1
    step = np.r_[steps, 0.0][before]
    acc = _joined(grid, t_s, s.acc_g)
    acc[(step * s.fs_hz > _HOLE) & (grid > t_s[before])] = np.nan
    return Samples(
        acc,
        None if s.gyro_rad_s is None else _joined(grid, t_s, s.gyro_rad_s),
        None if s.speed_mps is None else s.speed_mps[before],
        s.fs_hz,
    )


def _joined(grid: F64, t_s: F64, x: F64) -> F64:
    return np.stack([np.interp(grid, t_s, x[:, axis]) for axis in range(3)], axis=1)
