"""A breaker for the day the server, a clock or a firmware fails: many helmets cannot crash in the same moment."""

from collections import OrderedDict, deque
from dataclasses import replace
from typing import NamedTuple

from core.model import Detection, Kind, Stage

RECENT_US = 300_000_000
"""So long later versions of an incident that has passed pass too."""
WINDOW_US = 10_000_000
"""New incidents are counted over so long."""
_SHARE = 0.02
_SEVERE = 3
_ALERTS = (Stage.FAST, Stage.STANDARD, Stage.CONFIRMED)
_SWEEP_US = 10_000_000
_MOST = 100_000
"""Most incidents held back, as many as a worker follows helmets; beyond it the oldest goes on."""
_TRACES = 1_000
"""Most of them with their trace, up to 13 kB at 100 Hz; without it a detection is written in 1 to 2 kB."""
_RELEASED_AT_ONCE = 500
"""Most incidents given out in one turn, so that the end of a burst is no burst of writing."""


class Held(NamedTuple):
    """What is remembered of a detection that is held back; all of it lies where `Sifted.held` was written."""

    incident: str
    key: str
    helmet: str
    kind: Kind
    stage: Stage
    version: int
    late: bool
    traced: bool
    at_us: int
    """When it was held back."""


class Sifted(NamedTuple):
    """What becomes of a turn's detections; whoever asks makes it durable, what was released first."""

    go: list[Detection]
    """They go on now."""
    held: list[Detection]
    """They are held back: to be kept until they are named in `released` or `withheld`."""
    released: list[Held]
    """Held before, they go on now."""
    withheld: list[str]
    """Keys of detections that never go on: a newer version has taken their place, or they alert no more."""


class Breaker:
    """Holds back what is not severe while new incidents burst; lets it go on afterwards. No alert is dropped.

    In quakes many stations confirm each other; here many helmets at once contradict each other. Severity 3 and 4
    always pass, and so does every later version of an incident that has passed; reminders are no alerts. It keeps
    0.4 kB of an incident, not the detection; `restore` gives a new breaker the state of an old one.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._new_us: deque[int] = deque()
        self._held: OrderedDict[str, Held] = OrderedDict()
        """Newest version of each incident held back, the one held for longest first."""
        self._passed: dict[str, int] = {}
        """When each incident last went on, by the time its newest version came out of the detector."""
        self._swept_us = 0
        self._traced = 0
        self.tripped = False
        self.trips = 0

    @property
    def held(self) -> int:
        """Incidents held back now."""
        return len(self._held)

    def restore(self, held: list[tuple[Detection, int]], passed: dict[str, int], new_us: list[int]) -> None:
        """Takes up where an earlier breaker stopped.

        `held` are the detections it held back and when, in that order; `passed` the incidents that went on within
        `RECENT_US`, with the time of the newest such version; `new_us` when incidents began within `WINDOW_US`.
        """
        for d, at_us in held:
            self._hold(d, at_us)
        self._passed = dict(passed)
        self._new_us = deque(sorted(new_us))

    def sift(self, detections: list[Detection], helmets: int, now_us: int) -> Sifted:
        """What may go on of the detections of this turn, among so many helmets, and of those held before."""
        self._forget(now_us)
        self._new_us.extend(now_us for d in detections if d.version == 1 and d.kind is not Kind.NOT_WORN)
        over = len(self._new_us) > max(self._most, _SHARE * helmets)
        self.trips += over and not self.tripped
        self.tripped = over
        out = Sifted([], [], [], [])
        self._release(len(self._held) - _MOST if over else _RELEASED_AT_ONCE, out)
        for d in detections:
            if d.kind is Kind.NOT_WORN:
                out.go.append(d)
            else:
                self._judge(d, over, now_us, out)
        return out

    def _judge(self, d: Detection, over: bool, now_us: int, out: Sifted) -> None:
        before = self._drop(d.incident)
        if before is not None:
            out.withheld.append(before.key)
        alerts = d.stage in _ALERTS
        may_pass = not over and (alerts or before is None)
        if may_pass or d.severity >= _SEVERE or self._has_passed(d.incident, now_us):
            self._passed[d.incident] = now_us
            out.go.append(d)
        elif alerts:
            if self._traced >= _TRACES:
                d = replace(d, trace=None)
            self._hold(d, now_us)
            out.held.append(d)
        else:
            out.withheld.append(d.key)

    def _has_passed(self, incident: str, now_us: int) -> bool:
        at_us = self._passed.get(incident)
        return at_us is not None and at_us >= now_us - RECENT_US

    def _hold(self, d: Detection, at_us: int) -> None:
        traced = d.trace is not None
        self._held[d.incident] = Held(
            d.incident, d.key, d.helmet, d.kind, d.stage, d.version, d.late, traced, at_us
        )
        self._traced += traced

    def _drop(self, incident: str) -> Held | None:
        held = self._held.pop(incident, None)
        if held is not None:
            self._traced -= held.traced
        return held

    def _release(self, most: int, out: Sifted) -> None:
        """Lets the incidents go on that were held for longest."""
        for _ in range(min(most, len(self._held))):
            _, held = self._held.popitem(last=False)
            self._traced -= held.traced
            self._passed[held.incident] = held.at_us
            out.released.append(held)

    def _forget(self, now_us: int) -> None:
        while self._new_us and self._new_us[0] < now_us - WINDOW_US:
            self._new_us.popleft()
        if abs(now_us - self._swept_us) >= _SWEEP_US:
            self._swept_us = now_us
            self._passed = {n: at_us for n, at_us in self._passed.items() if at_us >= now_us - RECENT_US}
