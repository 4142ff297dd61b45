"""What the parts of many helmets make of their motion: mounting, gain, zero offset, noise, counts, and faults."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.everyday import everyday, everyday_gyro, loops
from simulator.faults import SensorFault, spoil
from simulator.motion import rotation
from simulator.overlays import Overlay
from simulator.sensor import Part, counts


class Seen(NamedTuple):
    """What parts made of m helmets' next n samples."""

    acc: npt.NDArray[np.int16]
    """(m, n, 3)"""
    gyro: npt.NDArray[np.int16] | None
    speed: npt.NDArray[np.float64]
    """(m, n)"""
    peak_g: npt.NDArray[np.float64]
    """(m,)"""

    def rows(self, chosen: npt.NDArray[np.bool_]) -> "Seen":
        """Some of the helmets."""
        gyro = None if self.gyro is None else self.gyro[chosen]
        return Seen(self.acc[chosen], gyro, self.speed[chosen], self.peak_g[chosen])


class Sensors:
    """The sensors of a fleet; each helmet's are drawn from its own random numbers."""

    def __init__(
        self, parts: list[Part], rngs: list[np.random.Generator], faults: tuple[SensorFault, ...]
    ) -> None:
        n = len(parts)
        self._mount = np.zeros((n, 3, 3), np.float32)
        self._gain, self._offset_g = np.ones((n, 3), np.float32), np.zeros((n, 3), np.float32)
        for i, rng in enumerate(rngs):
            # Sat on the head a little askew; gain and zero offset within what data sheets allow.
            self._mount[i] = rotation(rng.normal(0, np.radians([4, 6, 6])))
            self._gain[i], self._offset_g[i] = rng.normal(1, 0.01, 3), rng.normal(0, 0.02, 3)
        self._full_scale_g = np.array([p.full_scale_g for p in parts])
        self._g_per_count = np.array([p.g_per_count for p in parts])
        self._noise_g = np.array([p.noise_g for p in parts], np.float32)
        self._rad_s_per_count = np.array([p.rad_s_per_count for p in parts])
        self._has_peak = np.array([p.peak_g > 0 for p in parts])
        self._faults: dict[int, list[SensorFault]] = {}
        for fault in faults:
            self._faults.setdefault(fault.helmet, []).append(fault)

    def measure(
        self,
        rows: npt.NDArray[np.intp],
        rate: int,
        first: npt.NDArray[np.int64],
        n: int,
        state: npt.NDArray[np.void],
        overlays: list[list[Overlay]],
    ) -> Seen:
        """The next n samples from the number `first` (m,) on, of helmets of one rate, with or without gyroscope."""
        f, v = everyday(rate, state, first, n)
        has_gyro = self._rad_s_per_count[rows[0]] > 0
        gyro = everyday_gyro(rate, state, first, n, f[..., 2]) if has_gyro else None
        has_peak = self._has_peak[rows]
        peak = np.linalg.norm(f, axis=2).max(1) if has_peak.any() else np.zeros(len(rows))
        for k, mine in enumerate(overlays):
            for overlay in mine:
                _lay(overlay, int(first[k]), f[k], None if gyro is None else gyro[k], peak[k : k + 1])
        made = loops(rate)
        place = (7 * state["offset"] + first)[:, None] + np.arange(n)

        def noise(shift: int) -> npt.NDArray[np.float32]:
            return np.stack(
                [made.noise[(place + shift + k * made.samples // 3) % made.samples] for k in range(3)], -1
            )

        measured = (f @ self._mount[rows].transpose(0, 2, 1)) * self._gain[rows, None]
        measured += self._offset_g[rows, None] + self._noise_g[rows, None, None] * noise(0)
        acc = counts(measured, self._full_scale_g[rows, None, None], self._g_per_count[rows, None, None])
        if self._faults:
            self._spoil(acc, rows, first, rate)
        turned = None
        if gyro is not None:
            scale = self._rad_s_per_count[rows, None, None]
            # Zero offset of some tenths of a degree a second, the same three figures that offset the accelerometer.
            seen = gyro @ self._mount[rows].transpose(0, 2, 1) + 0.3 * self._offset_g[rows, None]
            turned = counts(seen + np.float32(0.002) * noise(11), 32768 * scale, scale)
        return Seen(acc, turned, v, np.where(has_peak, peak, np.nan))

    def _spoil(
        self,
        acc: npt.NDArray[np.int16],
        rows: npt.NDArray[np.intp],
        first: npt.NDArray[np.int64],
        rate: int,
    ) -> None:
        for k, i in enumerate(rows.tolist()):
            for fault in self._faults.get(i, ()):
                rail = int(min(32767, round(self._full_scale_g[i] / self._g_per_count[i])))
                times = (int(first[k]) + np.arange(acc.shape[1])) / rate
                spoil(acc[k], times, fault, float(self._g_per_count[i]), rail)


def _lay(
    overlay: Overlay,
    first: int,
    f: npt.NDArray[np.float32],
    gyro: npt.NDArray[np.float32] | None,
    peak: npt.NDArray[np.float64],
) -> None:
    """Lays one overlay over one helmet's samples (n, 3) from the number `first` on, in place; `peak` is (1,)."""
    start = overlay.start - first
    a, b = max(0, start), min(len(f), start + len(overlay.f))
    if a >= b:
        return
    part = slice(a - start, b - start)
    f[a:b] = f[a:b] * overlay.keep[part, None] + overlay.f[part]
    if gyro is not None and overlay.omega is not None:
        gyro[a:b] = gyro[a:b] * overlay.keep[part, None] + overlay.omega[part]
    if overlay.peak is not None:
        peak[0] = max(peak[0], float(overlay.peak[a - start : b - start].max(initial=0)))
