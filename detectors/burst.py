"""A breaker for the day the server, a clock or a firmware fails: many helmets cannot crash in the same moment."""

from collections import deque

from core.model import Detection, Stage

_WINDOW_US = 10_000_000
_SHARE = 0.02
_SEVERE = 3
_ALERTS = (Stage.FAST, Stage.STANDARD, Stage.CONFIRMED)


class Breaker:
    """Holds back what is not severe while new incidents burst; gives it out afterwards. Nothing is dropped.

    In quakes many stations confirm each other; here many helmets at once contradict each other. Severity 3 and 4
    always pass, and so does every later version of an incident that has passed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._new_us: deque[int] = deque()
        self._held: dict[str, Detection] = {}
        self._passed: dict[str, int] = {}
        self.tripped = False
        self.trips = 0
        self.held_total = 0

    @property
    def held(self) -> int:
        """Incidents held back now."""
        return len(self._held)

    def sift(self, detections: list[Detection], helmets: int, now_us: int) -> list[Detection]:
        """What may go on now of new detections and of those held before."""
        while self._new_us and self._new_us[0] < now_us - _WINDOW_US:
            self._new_us.popleft()
        for name in [n for n, at_us in self._passed.items() if at_us < now_us - 30 * _WINDOW_US]:
            del self._passed[name]
        for d in detections:
            if d.version == 1:
                self._new_us.append(now_us)
        over = len(self._new_us) > max(self._most, _SHARE * helmets)
        self.trips += over and not self.tripped
        self.tripped = over
        if not over:
            return self._release() + [self._pass(d, now_us) for d in detections]
        out = []
        for d in detections:
            if d.severity >= _SEVERE or d.incident in self._passed:
                self._held.pop(d.incident, None)
                out.append(self._pass(d, now_us))
            else:
                self.held_total += d.incident not in self._held
                self._held[d.incident] = d
        return out

    def _pass(self, d: Detection, now_us: int) -> Detection:
        self._passed[d.incident] = now_us
        return d

    def _release(self) -> list[Detection]:
        """The newest version of everything held that still alerts."""
        out = [d for d in self._held.values() if d.stage in _ALERTS]
        self._held.clear()
        return out
