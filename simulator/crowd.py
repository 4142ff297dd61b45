"""A crowd rides: tens of thousands of helmets published in real time from one core over a few connections."""

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.clock import Clock
from simulator.broker import Broker
from simulator.crowd_frames import Crowd, packets
from simulator.crowd_line import Line, Slice
from simulator.ledger import LedgerWriter

_SLICES = 20
"""Parts of a second, each with its share of the helmets."""
_KEPT_MAX = 300_000
"""Frames without a PUBACK that are kept, on all connections together: ten seconds of 30,000 helmets, 210 MB."""
_DRAIN_S = 30.0


@dataclass(frozen=True, slots=True)
class CrowdProgress:
    """How a crowd fares."""

    sent: int
    """Frames handed over to the connections."""
    acknowledged: int
    waiting: int
    """Frames without a PUBACK, kept until it comes."""
    given_up: int
    """Frames no longer kept because too many waited; they may or may not have arrived."""
    connected: int
    reconnected: int


@dataclass(frozen=True, slots=True)
class CrowdSummary:
    """What a crowd's ride came to."""

    end: CrowdProgress
    seconds: float
    """Real seconds from the first frame to the last PUBACK."""
    cpu_s: float
    """Processor time of this process for all of it."""
    behind_s: float
    """Most that a slice of a second was late."""

    @property
    def sent(self) -> int:
        """Frames handed over."""
        return self.end.sent

    @property
    def acknowledged(self) -> int:
        """Frames with a PUBACK."""
        return self.end.acknowledged


def run_crowd(
    helmets: int,
    seed: int,
    broker: Broker,
    clock: Clock,
    *,
    duration_s: float,
    ramp_s: float = 0.0,
    connections: int = 4,
    kept_max: int = _KEPT_MAX,
    ledger: Path | None = None,
    stop: threading.Event,
    on_progress: Callable[[CrowdProgress], None] | None = None,
) -> CrowdSummary:
    """Publishes a crowd's frames in real time for whole seconds; blocks. Raises `BrokerError` at the start.

    Helmet i sends i/n of a second after helmet 0. Of each twentieth of the helmets the share that rides grows for
    `ramp_s`, every second by as many. A connection that is lost comes back with full jitter and sends again
    what had no PUBACK, at most `kept_max` frames in all. `on_progress` hears how it goes once a second.
    """
    crowd = Crowd(helmets, seed, clock.now_us())
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(LedgerWriter(ledger)) if ledger else None
        if writer:
            writer.run("crowd", seed, clock.now_us())
        pool = stack.enter_context(ThreadPoolExecutor(connections))
        lines = [
            Line(broker, f"helmetwatch-crowd-{seed}-{k}", kept_max // connections, pool, writer)
            for k in range(connections)
        ]
        switchboard = _Switchboard(lines)
        stack.callback(switchboard.close)
        for line in lines:
            line.open()
        bounds = np.linspace(0, helmets, _SLICES + 1).astype(int).tolist()
        began, cpu, behind_s = time.monotonic(), time.process_time(), 0.0
        for turn in range(int(duration_s) * _SLICES):
            if stop.is_set():
                break
            second, part = divmod(turn, _SLICES)
            riding = 1.0 if second + 1 >= ramp_s else (second + 1) / ramp_s
            rows = slice(bounds[part], bounds[part] + round(riding * (bounds[part + 1] - bounds[part])))
            if rows.start < rows.stop:
                _hand_over(crowd, rows, second, lines[turn % connections], writer, clock)
            due = began + (turn + 1) / _SLICES
            behind_s = max(behind_s, time.monotonic() - due)
            switchboard.serve(due)
            if writer:
                writer.flush()
            if on_progress and part == 0:
                on_progress(switchboard.progress())
        deadline = time.monotonic() + _DRAIN_S
        while switchboard.progress().waiting and time.monotonic() < deadline:
            switchboard.serve(time.monotonic() + 0.01)
        took_s, spent_s = time.monotonic() - began, time.process_time() - cpu
        return CrowdSummary(switchboard.progress(), took_s, spent_s, behind_s)


def _hand_over(
    crowd: Crowd, rows: slice, second: int, line: Line, ledger: LedgerWriter | None, clock: Clock
) -> None:
    ids, first_id = crowd.ids[rows], line.next_id
    if ledger:
        now_us = clock.now_us()
        for helmet, t0_us in zip(ids, crowd.t0_us(rows, second).tolist(), strict=True):
            ledger.frame(helmet, crowd.boot, second, t0_us, now_us)
    line.put(Slice(ids, crowd.boot, second, packets(ids, crowd.frames(rows, second), first_id), first_id))


class _Switchboard:
    """Several lines in one thread."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines
        self._selector = selectors.DefaultSelector()
        self._watched: dict[int, socket.socket] = {}

    def progress(self) -> CrowdProgress:
        """All lines together."""
        return CrowdProgress(
            sent=sum(x.handed for x in self._lines),
            acknowledged=sum(x.acknowledged for x in self._lines),
            waiting=sum(x.waiting for x in self._lines),
            given_up=sum(x.given_up for x in self._lines),
            connected=sum(x.socket is not None for x in self._lines),
            reconnected=sum(x.reconnected for x in self._lines),
        )

    def serve(self, until: float) -> None:
        """Writes, reads and reconnects until a time."""
        while True:
            for line in self._lines:
                line.look_after()
                line.write()
            self._forget()
            for number, line in enumerate(self._lines):
                self._watch(number, line)
            # Connections that are gone are looked after now and then.
            wait_s = max(0.0, until - time.monotonic())
            for key, events in self._selector.select(min(wait_s, 0.05)):
                if events & selectors.EVENT_READ:
                    key.data.read()
            if time.monotonic() >= until:
                return

    def _forget(self) -> None:
        """Closed sockets go before new ones come: they may have the same number."""
        for number, known in list(self._watched.items()):
            if known is not self._lines[number].socket:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(known)
                del self._watched[number]

    def _watch(self, number: int, line: Line) -> None:
        if line.socket is None:
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.wants_to_write else 0)
        if number not in self._watched:
            self._selector.register(line.socket, events, line)
            self._watched[number] = line.socket
        elif self._selector.get_key(line.socket).events != events:
            self._selector.modify(line.socket, events, line)

    def close(self) -> None:
        """Ends all connections."""
        for line in self._lines:
            line.close()
        self._selector.close()
