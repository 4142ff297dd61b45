"""How fast a backlog may go to the store: crashes come in by the same processor."""

import math

_FLOOR_PER_S = 2000.0
"""Rows a second where nothing comes in."""
_MEAN_S = 10.0
"""Time constant of the mean: raw samples come thousands at once."""
_LATE_S = 0.2
"""How late a write may be and the next ones still follow sooner."""


class Pace:
    """A bound on rows a second: `factor` times the mean of what came in, plus 2,000.

    Since `factor` is above 1, any backlog goes. Unpaced, building and zipping lines takes all the processor it
    gets, and the network thread, which needs the interpreter for each of its many small reads, waits its turn.
    """

    def __init__(self, factor: float, now_s: float) -> None:
        self._factor = factor
        self._arrived = 0
        self._counted_s = self._due_s = now_s
        self._per_s = 0.0

    @property
    def rows_per_s(self) -> float:
        """What is allowed now."""
        return _FLOOR_PER_S + self._factor * self._per_s

    def came(self, arrived: int, now_s: float) -> None:
        """Takes note of how many rows have come in since the beginning."""
        passed_s = now_s - self._counted_s
        if passed_s <= 0:
            return
        mean = (arrived - self._arrived) / passed_s
        self._per_s += -math.expm1(-passed_s / _MEAN_S) * (mean - self._per_s)
        self._arrived, self._counted_s = arrived, now_s

    def wait_s(self, moved: int, now_s: float) -> float:
        """How long to wait after so many rows were moved; what a slow store took for them is waiting too."""
        # A pause, of rows or of the store, is not made up for: there would be no pace after it.
        self._due_s = max(self._due_s, now_s - _LATE_S) + moved / self.rows_per_s
        return max(0.0, self._due_s - now_s)
