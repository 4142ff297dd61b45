"""Runs a scenario against a broker: every helmet's frames at the time they are due, answers, repeats, truth."""

import contextlib
import heapq
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from core.clock import Clock
from core.model import HelmetStatus, Prompt
from simulator.connections import Broker, BrokerError
from simulator.helmet import Frame, Helmets
from simulator.ledger import LedgerWriter
from simulator.scenario import Scenario
from simulator.uplink import FIRMWARE, Uplink

__all__ = ["Broker", "BrokerError", "Progress", "Summary", "run_fleet"]

_TURN_S = 0.015
"""Real seconds between two looks at what is due."""
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


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to."""

    boot: int
    """Boot count of all its helmets."""
    start_us: int
    end: Progress


def run_fleet(
    scenario: Scenario,
    broker: Broker,
    clock: Clock,
    *,
    connections: int = 4,
    ledger: Path | None = None,
    duration_s: float | None = None,
    stop: threading.Event,
    on_progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Runs until `duration_s` of the clock's time have passed or `stop` is set; blocks.

    The helmets share `connections` connections; with as many connections as helmets each has its own, signs in
    under its own id and has a Last Will. Raises `BrokerError` where the broker cannot be reached at the start; later
    losses are waited out.
    """
    start_us = clock.now_us()
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(LedgerWriter(ledger)) if ledger else None
        fleet = _Fleet(scenario, broker, start_us, connections, writer)
        fleet.uplink.net.open()
        stack.callback(fleet.uplink.net.close)
        reported = 0.0
        end_us = None if duration_s is None else start_us + round(duration_s * 1e6)
        while not stop.is_set():
            now_us = clock.now_us()
            fleet.step(now_us if end_us is None else min(now_us, end_us))
            if end_us is not None and now_us >= end_us:
                break
            fleet.uplink.net.turn(_TURN_S)
            if on_progress and time.monotonic() - reported >= 1:
                reported = time.monotonic()
                on_progress(fleet.progress(clock.now_us()))
        fleet.uplink.close()
        deadline = time.monotonic() + _DRAIN_S
        while fleet.uplink.net.outstanding and time.monotonic() < deadline:
            fleet.uplink.net.turn(_TURN_S)
        return Summary(fleet.uplink.boot, start_us, fleet.progress(clock.now_us()))


class _Fleet:
    """The helmets of a run, the frame each has ready, and what else is due when."""

    def __init__(
        self, scenario: Scenario, broker: Broker, start_us: int, connections: int, ledger: LedgerWriter | None
    ) -> None:
        self._start_us, self._ledger = start_us, ledger
        self._helmets = Helmets(scenario, start_us)
        self._rng = np.random.default_rng((scenario.seed, 13))
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
        )
        self._due_us = np.zeros(scenario.helmets, np.int64)
        self._ready: list[Frame] = []
        self._later: list[tuple[int, int, int, Literal["sos", "ok", "worn", "not_worn"]]] = []
        self._edges = sorted(
            edge
            for o in scenario.outages
            for edge in ((o.start_s, o.helmet, False), (o.end_s, o.helmet, True))
        )
        self._number = itertools.count()
        self._happened, self._behind_s = 0, 0.0
        if ledger:
            ledger.run(scenario.name, scenario.seed, start_us)
        self._ready = sorted(self._prepare(np.arange(scenario.helmets)), key=lambda f: f.index)

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

    def step(self, now_us: int) -> None:
        """Sends everything that is due by now."""
        while self._edges and self._start_us + self._edges[0][0] * 1e6 <= now_us:
            _, index, covered = self._edges.pop(0)
            self.uplink.coverage(index, covered)
        while len(rows := np.flatnonzero(self._due_us <= now_us)):
            for i in rows[np.argsort(self._due_us[rows], kind="stable")].tolist():
                self._send(self._ready[i], now_us)
            for frame in self._prepare(rows):
                self._ready[frame.index] = frame
        while self._later and self._later[0][0] <= now_us:
            at_us, _, index, kind = heapq.heappop(self._later)
            self.uplink.event(index, kind, at_us, self._helmets.place(index))
        self.uplink.turn(now_us)
        if self._ledger:
            self._ledger.flush()

    def _send(self, frame: Frame, now_us: int) -> None:
        self.uplink.frame(frame, now_us)
        self.uplink.truth(frame, int(self._helmets.origin_us[frame.index]))
        self._happened += len(frame.truths)
        self._behind_s = (now_us - frame.due_us) / 1e6

    def _asked(self, index: int, prompt: Prompt) -> None:
        """A rider who is asked and has not crashed says so, after a moment; one who lies on the road does not."""
        rider = self._helmets.riders[index]
        if prompt.type == "ask" and not rider.crashed:
            waits_s = self._rng.uniform(12, 25) if rider.activity == "ride" else self._rng.uniform(4, 10)
            at_us = int(self._due_us[index]) + round(waits_s * 1e6)
            heapq.heappush(self._later, (at_us, next(self._number), index, "ok"))

    def progress(self, now_us: int) -> Progress:
        """The run so far."""
        up = self.uplink
        return Progress(
            t_s=(now_us - self._start_us) / 1e6,
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
        )
