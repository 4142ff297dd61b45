"""Runs a scenario against a broker: every helmet's frames at the time they are due, answers, repeats, truth."""

import contextlib
import heapq
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.clock import Clock
from core.model import HelmetStatus, Prompt
from simulator.answers import Answers
from simulator.broker import Broker, BrokerError
from simulator.helmet import Frame, Helmets
from simulator.ledger import LedgerWriter
from simulator.scenario import Scenario
from simulator.tape import TapeWriter
from simulator.uplink import FIRMWARE, Uplink

__all__ = ["Broker", "BrokerError", "Progress", "Summary", "run_fleet"]

_TURN_S = 0.015
"""Real seconds between two looks at what is due."""
_DRY_TURN_US = 10_000
"""Simulated time between two looks in a dry run."""
_BUSY_S = 0.2
"""Real seconds of catching up after which the network has its turn: a machine that is behind must still hear."""
_NEVER_US = 2**62
_OUTAGE, _HOLE, _OFF, _REBOOT = range(4)
_DRAIN_S = 10.0
"""Real seconds the last PUBACKs may take."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How a run fares; `t_s` is simulated time since the start."""

    t_s: float
    frames: int
    acked: int
    repeats: int
    events: int
    happened: int
    """Crashes and other happenings so far."""
    connected: int
    waiting: int
    """Messages without a PUBACK."""
    unconfirmed: int
    """Sent-on-impact frames nobody has received yet."""
    dropped: int
    behind_s: float
    """How late the last frame was sent: more than a second or two means that this machine is too slow."""
    ack_ms: tuple[float, float] = (0.0, 0.0)
    """Real milliseconds from sending to PUBACK of the last 2,000 frames: median and 99th percentile."""
    injected: dict[str, int] = field(default_factory=dict)
    """How often each fault struck."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to."""

    boot: int
    """Boot count of all its helmets."""
    start_us: int
    end: Progress
    ack_ms: tuple[float, float] = (0.0, 0.0)
    """Real milliseconds from sending to PUBACK of all its frames: median and 99th percentile, to 2 %."""


def run_fleet(
    scenario: Scenario,
    broker: Broker | None,
    clock: Clock,
    *,
    connections: int | None = 4,
    ledger: Path | None = None,
    record: Path | None = None,
    duration_s: float | None = None,
    stop: threading.Event,
    on_progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Runs until `duration_s` of the clock's time have passed or `stop` is set; blocks.

    The helmets share `connections` connections; with None each has its own, signs in under its own id and has a Last
    Will. Raises `BrokerError` where the broker cannot be reached at the start; later
    losses are waited out.

    Without a broker it is a dry run: the clock is only asked for the start, simulated time goes as fast as
    the machine can, everything is acknowledged at once. `record` writes a tape of everything the helmets hand to
    the network; dry runs of one scenario from one start give the same tape, byte for byte.
    """
    start_us = clock.now_us()
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(LedgerWriter(ledger)) if ledger else None
        tape = stack.enter_context(TapeWriter(record, start_us)) if record else None
        fleet = _Fleet(scenario, broker, start_us, connections, writer, tape)
        fleet.uplink.net.open()
        stack.callback(fleet.uplink.net.close)
        reported = 0.0
        end_us = None if duration_s is None else start_us + round(duration_s * 1e6)
        now_us = start_us
        while not stop.is_set():
            now_us = clock.now_us() if broker else now_us + _DRY_TURN_US
            done = fleet.step(now_us if end_us is None else min(now_us, end_us))
            if done and end_us is not None and now_us >= end_us:
                break
            fleet.uplink.net.turn(_TURN_S)
            if on_progress and time.monotonic() - reported >= 1:
                reported = time.monotonic()
                on_progress(fleet.progress(now_us))
        fleet.uplink.close()
        deadline = time.monotonic() + _DRAIN_S
        while fleet.uplink.net.outstanding and time.monotonic() < deadline:
            fleet.uplink.net.turn(_TURN_S)
        waits_ms = (fleet.uplink.ack_ms(0.5), fleet.uplink.ack_ms(0.99))
        return Summary(fleet.uplink.boot, start_us, fleet.progress(now_us), waits_ms)


class _Fleet:
    """The helmets of a run, the frame each has ready, and what else is due when."""

    def __init__(
        self,
        scenario: Scenario,
        broker: Broker | None,
        start_us: int,
        connections: int | None,
        ledger: LedgerWriter | None,
        tape: TapeWriter | None,
    ) -> None:
        self.start_us, self._now_us, self._ledger, self._tape = start_us, start_us, ledger, tape
        self._answers, self._paced = Answers(scenario), broker is not None
        self._helmets = Helmets(scenario, start_us)
        self.uplink = Uplink(
            self._helmets.ids,
            self._helmets.boot,
            broker,
            connections=connections,
            status=[
                HelmetStatus(name, True, 0, FIRMWARE, part.rate_hz, part.full_scale_g)
                for name, part in zip(self._helmets.ids, self._helmets.parts, strict=True)
            ],
            ledger=ledger,
            faults=scenario.faults,
            seed=scenario.seed,
            on_prompt=self._asked,
            tap=self._record if tape else None,
            spells=scenario.spells,
        )
        self._due_us = np.zeros(scenario.helmets, np.int64)
        self._silent = np.zeros((4, scenario.helmets), bool)
        """Why a helmet has no network: an outage, a hole on its rider's way, an empty battery, a reboot."""
        self._outages = np.zeros(scenario.helmets, np.int64)
        """How many outages hold a helmet: they may overlap."""
        self._ready: list[Frame] = []
        self._later: list[tuple[int, int, int, Literal["sos", "ok", "worn", "not_worn"]]] = []
        self._edges = _edges(scenario, self)
        self._number = itertools.count()
        self._happened, self._behind_s = 0, 0.0
        if ledger:
            ledger.run(scenario.name, scenario.seed, start_us)
        self._ready = sorted(self._prepare(np.arange(scenario.helmets)), key=lambda f: f.index)

    def _record(self, topic: str, payload: bytes, retain: bool) -> None:
        if self._tape:
            self._tape.write(self._now_us - self.start_us, topic, payload, 1, retain)

    def coverage(self, helmet: int, covered: bool) -> None:
        """An outage ends or begins; a helmet whose battery is empty stays away."""
        self._outages[helmet] += -1 if covered else 1
        if self._due_us[helmet] < _NEVER_US:
            self._because(helmet, _OUTAGE, bool(self._outages[helmet]))

    def _because(self, helmet: int, reason: int, silent: bool) -> None:
        why = self._silent[:, helmet].copy()
        why[reason] = silent
        self._silence(helmet, why)

    def _silence(self, helmet: int, why: npt.NDArray[np.bool_]) -> None:
        before, now = self._silent[:, helmet].any(), why.any()
        self._silent[:, helmet] = why
        if before != now:
            self.uplink.coverage(helmet, not now)

    def reboot(self, helmet: int, at_us: int, down_s: float) -> None:
        """A helmet starts anew; what it had not sent is lost, and its connection breaks without a word."""
        if self._due_us[helmet] >= _NEVER_US:
            return
        self._because(helmet, _REBOOT, True)
        self._helmets.reboot(helmet, at_us + round(down_s * 1e6))
        self.uplink.reboot(helmet, int(self._helmets.boots[helmet]))
        self._ready[helmet] = self._prepare(np.array([helmet]))[0]
        self.uplink.injected["reboot"] += 1

    def back(self, helmet: int) -> None:
        """A helmet that started anew connects again."""
        if self._due_us[helmet] < _NEVER_US:
            self._because(helmet, _REBOOT, False)

    def run_empty(self, helmet: int) -> None:
        """A helmet's battery is empty."""
        self._because(helmet, _OFF, True)
        self._due_us[helmet] = _NEVER_US
        self.uplink.injected["battery"] += 1

    def set_clock(self, helmet: int, at_us: int, step_s: float, drift_ppm: float) -> None:
        """A helmet's own clock goes wrong."""
        self._helmets.set_clock(helmet, at_us, round(step_s * 1e6), drift_ppm)
        self.uplink.injected["clock"] += 1

    def _prepare(self, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> list[Frame]:
        frames = self._helmets.prepare(rows)
        for frame in frames:
            i = frame.index
            self._due_us[i] = frame.due_us
            rider = self._helmets.riders[i]
            for t_s, kind in rider.said:
                at_us = int(self._helmets.origin_us[i]) + round(t_s * 1e6)
                heapq.heappush(self._later, (at_us, next(self._number), i, kind))
            rider.said.clear()
        return frames

    def step(self, now_us: int) -> bool:
        """Sends what is due by now; says whether that is all, or the network should have its turn first."""
        self._now_us = now_us
        while self._edges and self.start_us + self._edges[0][0] * 1e6 <= now_us:
            self._edges.popleft()[2]()
        busy_until = time.monotonic() + _BUSY_S if self._paced else math.inf
        while len(rows := np.flatnonzero(self._due_us <= now_us)) and time.monotonic() < busy_until:
            for i in rows[np.argsort(self._due_us[rows], kind="stable")].tolist():
                self._send(self._ready[i], now_us)
            for frame in self._prepare(rows):
                self._ready[frame.index] = frame
        while self._later and self._later[0][0] <= now_us:
            at_us, _, index, kind = heapq.heappop(self._later)
            self.uplink.event(index, kind, at_us, self._helmets.place(index))
        self.uplink.turn(now_us, (now_us - self.start_us) / 1e6)
        if self._ledger:
            self._ledger.flush()
        return len(rows) == 0

    def _send(self, frame: Frame, now_us: int) -> None:
        i = frame.index
        hole, off = self._silent[_HOLE, i], self._silent[_OFF, i]
        if (hole, off) != (not frame.covered, not frame.powered):
            if off and frame.powered:
                self.uplink.reboot(i, int(self._helmets.boots[i]))
            elif not off and not frame.powered:
                self.uplink.injected["battery"] += 1
            why = self._silent[:, i].copy()
            why[_HOLE], why[_OFF] = not frame.covered, not frame.powered
            self._silence(i, why)
        if not frame.powered:
            return
        self.uplink.frame(frame, now_us, (frame.due_us - self.start_us) / 1e6)
        # By the helmet's own clock, right or wrong: the system knows no other.
        error_us = self._helmets.clock_error_us(frame.index, frame.due_us)
        self.uplink.truth(frame, int(self._helmets.origin_us[frame.index]) + error_us)
        self._happened += len(frame.truths)
        self._behind_s = (now_us - frame.due_us) / 1e6

    def _asked(self, index: int, prompt: Prompt) -> None:
        if prompt.type != "ask":
            return
        rider, due_us = self._helmets.riders[index], int(self._due_us[index])
        t_s = (self._now_us - self.start_us) / 1e6
        said = self._answers.to_question(index, t_s, riding=rider.activity == "ride", crashed=rider.crashed)
        if said:
            heapq.heappush(self._later, (due_us + round(said[0] * 1e6), next(self._number), index, said[1]))

    def progress(self, now_us: int) -> Progress:
        """The run so far."""
        up = self.uplink
        return Progress(
            t_s=(now_us - self.start_us) / 1e6,
            frames=up.frames,
            acked=up.acked,
            repeats=up.repeats,
            events=up.events,
            happened=self._happened,
            connected=up.net.connected,
            waiting=up.net.outstanding,
            unconfirmed=up.unconfirmed,
            dropped=up.net.dropped,
            behind_s=self._behind_s,
            ack_ms=_percentiles_ms(up.ack_s),
            injected=dict(up.injected),
        )


def _percentiles_ms(times_s: Iterable[float]) -> tuple[float, float]:
    times = np.array(list(times_s))
    if not len(times):
        return 0.0, 0.0
    median, late = np.percentile(times, (50, 99)) * 1e3
    return float(median), float(late)


def _edges(scenario: Scenario, fleet: _Fleet) -> deque[tuple[float, int, Callable[[], None]]]:
    """Everything that goes wrong at a given time, in order."""
    start_us = fleet.start_us

    def at_us(t_s: float) -> int:
        return start_us + round(t_s * 1e6)

    edges: list[tuple[float, int, Callable[[], None]]] = []
    for o in scenario.outages:
        edges.append((o.start_s, o.helmet, partial(fleet.coverage, o.helmet, False)))
        edges.append((o.end_s, o.helmet, partial(fleet.coverage, o.helmet, True)))
    edges += [
        (b.t_s, b.helmet, partial(fleet.reboot, b.helmet, at_us(b.t_s), b.down_s)) for b in scenario.reboots
    ]
    edges += [(b.t_s + b.down_s, b.helmet, partial(fleet.back, b.helmet)) for b in scenario.reboots]
    for c in scenario.clock_faults:
        wrong = partial(fleet.set_clock, c.helmet, at_us(c.t_s), c.step_s, c.drift_ppm)
        edges.append((c.t_s, c.helmet, wrong))
    edges += [(f.t_s, f.helmet, partial(fleet.run_empty, f.helmet)) for f in scenario.flats]
    return deque(sorted(edges, key=lambda edge: edge[:2]))
