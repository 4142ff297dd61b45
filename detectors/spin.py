"""Angular rate around an impact: kept for a moment for every helmet with a gyroscope, measured around candidates."""

from math import ceil

import numpy as np
import numpy.typing as npt

from detectors import cfc, rotation, runs
from detectors.window import Window

SPIN_S = (-0.6, 0.35)
"""The rate counts from here before the first impact to here after the last."""
_CFC_CLASS = 60.0
"""SAE J211's class of angular rate; parts below 600 Hz are taken as they are."""
_RAIL_COUNTS = 32_112
"""98 % of what 16 bits hold: the part may have turned faster."""

I64 = npt.NDArray[np.int64]


class SpinRing:
    """The last samples of angular rate of the helmets of one kind, addressed by their number in the track."""

    def __init__(self, fs_hz: float, chunk: int) -> None:
        self._fs_hz = fs_hz
        self._length = chunk + ceil((SPIN_S[1] - SPIN_S[0]) * fs_hz) + 2
        """A hit anywhere in a chunk still has its past here."""
        self._counts = np.zeros((0, self._length, 3), np.int16)
        self._begin = np.zeros(0, np.int64)
        self._head = np.zeros(0, np.int64)
        self._scale = np.zeros(0, np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes of all slots; none where no helmet of this kind has a gyroscope."""
        return self._counts.nbytes + self._begin.nbytes + self._head.nbytes + self._scale.nbytes

    def write(
        self, slot: I64, index: I64, counts: npt.NDArray[np.int16], scale: npt.NDArray[np.float32], slots: int
    ) -> None:
        """Writes (K, n, 3) counts of distinct slots from sample `index` on; a hole forgets what was before it."""
        if len(self._head) < slots:
            self._grow(slots)
        fresh = (index != self._head[slot]) | (scale != self._scale[slot])
        self._begin[slot] = np.where(fresh, index, self._begin[slot])
        self._scale[slot] = scale
        runs.write(self._counts, slot, index, counts)
        self._head[slot] = index + counts.shape[1]

    def forget(self, slots: I64) -> None:
        """Empties slots for another helmet."""
        kept = slots[slots < len(self._head)]
        self._begin[kept] = self._head[kept] = 0

    def window(self, slot: int, end: int) -> Window | None:
        """What is kept of one helmet up to sample `end`; None where it sent no rate lately."""
        if slot >= len(self._head) or self._head[slot] != end or end == 0:
            return None
        start = max(int(self._begin[slot]), end - self._length)
        counts = self._counts[slot, np.arange(start, end) % self._length]
        return Window(start, counts, np.zeros(len(counts), np.bool_), self._fs_hz, float(self._scale[slot]))

    def _grow(self, slots: int) -> None:
        for name in ("_counts", "_begin", "_head", "_scale"):
            array = getattr(self, name)
            grown = np.zeros((slots, *array.shape[1:]), array.dtype)
            grown[: len(array)] = array
            setattr(self, name, grown)


def metrics(spin: Window, first: int, last: int, end: int) -> dict[str, float]:
    """Rotational metrics from 0.6 s before impact `first` to 0.35 s after impact `last`, but not beyond `end`.

    What the rate cannot give is not there: DAMAGE needs 1 kHz without a hole. They describe the helmet.
    """
    fs = spin.fs_hz
    start, stop = first + round(SPIN_S[0] * fs), min(last + round(SPIN_S[1] * fs), end)
    omega = spin.g(start, stop)
    known = omega[~np.isnan(omega[:, 0])]
    if len(known) < max(2, 0.5 * (stop - start)) or not known.any():
        return {}
    whole = len(known) == stop - start
    if whole and fs >= 10 * _CFC_CLASS:
        known = cfc.filtered(known, _CFC_CLASS, fs)
    out = {
        "omega_max_rad_s": float(np.sqrt(np.square(known).sum(-1)).max()),
        "helmet_bric": float(rotation.bric(known)),
    }
    if (np.abs(spin.counts(start, stop).astype(np.int32)) >= _RAIL_COUNTS).any():
        out["gyro_clipped"] = 1.0
    if fs >= 0.995 * rotation.RATE_FOR_ALPHA_HZ and whole:
        out["helmet_damage"] = float(rotation.damage(rotation.alpha_rad_s2(known, fs), fs))
    return out
