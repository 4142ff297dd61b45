"""The samples around one candidate, by their number: out of the ring, then growing with what arrives."""

from copy import copy

import numpy as np
import numpy.typing as npt

from detectors.calibration import Fix


def most_counts(full_scale_g: float, g_per_count: float) -> int:
    """The largest count that is a measurement: no part reads more than 2 % beyond its range."""
    return int(min(32767, 1.02 * full_scale_g / g_per_count))


class Window:
    """Counts of one helmet from sample `base` on; samples that never came are marked as missing."""

    def __init__(
        self,
        base: int,
        counts: npt.NDArray[np.int16],
        missing: npt.NDArray[np.bool_],
        fs_hz: float,
        g_per_count: float,
        most_counts: int = 32767,
        fix: Fix | None = None,
    ) -> None:
        self.base = base
        self.fs_hz = fs_hz
        self.g_per_count = g_per_count
        self._most = most_counts
        self.fix = fix
        self._held: tuple[int, float] | None = None
        self._size = len(counts)
        self._counts = counts
        self._missing = missing

    @property
    def end(self) -> int:
        """Number of the sample after the last."""
        return self.base + self._size

    def append(self, index: int, counts: npt.NDArray[np.int16]) -> None:
        """Adds samples that start at number `index`, at or after the end."""
        hole = index - self.end
        size = self._size + hole + len(counts)
        if size > len(self._counts):
            room = max(size, 2 * len(self._counts))
            self._counts = np.concatenate(
                [self._counts[: self._size], np.zeros((room - self._size, 3), np.int16)]
            )
            self._missing = np.concatenate(
                [self._missing[: self._size], np.zeros(room - self._size, np.bool_)]
            )
        self._missing[self._size : self._size + hole] = True
        self._counts[self._size : self._size + hole] = 0
        self._counts[self._size + hole : size] = counts
        self._missing[self._size + hole : size] = False
        self._size = size

    def fill(self, index: int, counts: npt.NDArray[np.int16]) -> None:
        """Puts samples from number `index` on where they are missing."""
        first, last = max(index, self.base), min(index + len(counts), self.end)
        if first >= last:
            return
        part = slice(first - self.base, last - self.base)
        missing = self._missing[part]
        self._counts[part][missing] = counts[first - index : last - index][missing]
        missing[:] = False

    def forget_before(self, index: int) -> None:
        """Drops what lies before sample `index`."""
        drop = index - self.base
        if drop > 0:
            self._counts = self._counts[drop : self._size].copy()
            self._missing = self._missing[drop : self._size].copy()
            self.base, self._size = index, len(self._counts)

    def g(self, start: int, stop: int) -> npt.NDArray[np.float64]:
        """Samples start…stop−1 as far as they are here, (n, 3) g with NaN where samples are missing or out of range."""
        part = slice(max(start - self.base, 0), max(min(stop - self.base, self._size), 0))
        out: npt.NDArray[np.float64] = self._counts[part].astype(np.float64)
        if self._most < 32767:
            out[(np.abs(out) > self._most).any(1)] = np.nan
        out *= self.g_per_count
        if self.fix is not None:
            out = self.fix.apply(out)
        if self._held is not None:
            out[:, self._held[0]] = self._held[1]
        out[self._missing[part]] = np.nan
        return out

    def held(self, axis: int, value_g: float) -> "Window":
        """The same samples, one axis of which reads `value_g` throughout."""
        view = copy(self)
        view._held = axis, value_g
        return view

    def counts(self, start: int, stop: int) -> npt.NDArray[np.int16]:
        """The raw counts of the same stretch; missing samples are zero."""
        part = slice(max(start - self.base, 0), max(min(stop - self.base, self._size), 0))
        return self._counts[part]

    def missing(self, start: int, stop: int) -> list[tuple[int, int]]:
        """(first, one after the last) of the missing samples of a stretch, counted from its first sample."""
        part = self._missing[max(start - self.base, 0) : max(min(stop - self.base, self._size), 0)]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], part, [False]]).astype(np.int8)))
        return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
