"""How fast messages come in."""

import time
from collections import deque


class Rate:
    """Messages a second over the last few seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque(maxlen=100)

    def add(self, messages: int) -> None:
        """So many more have come, now."""
        self._points.append((time.monotonic(), messages))

    def per_s(self) -> float:
        """The mean; 0 before the second call of `add`."""
        points = list(self._points)
        if len(points) < 2 or points[-1][0] == points[0][0]:
            return 0.0
        return sum(n for _, n in points[1:]) / (points[-1][0] - points[0][0])
