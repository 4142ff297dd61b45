"""What a helmet does with its finished frames: send, keep while out of coverage, repeat until received."""

import heapq
import itertools
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from core.model import HelmetEvent, HelmetStatus, Prompt, Rejected
from ingest.codec import decode_prompt, encode_event, encode_status, topic
from simulator.broker import Broker, Identity
from simulator.connections import Connections
from simulator.faults import NO_FAULTS, Faults, FaultyStream, Sent, Spell
from simulator.helmet import Frame
from simulator.ledger import Crash, Key, LedgerWriter
from simulator.perfect import Network, PerfectNetwork


class Tag(NamedTuple):
    """Names a motion frame on its way."""

    key: Key
    repeat: bool


_STEP = 0.02
REPEAT_US = 2_000_000
"""Device contract, rule 3."""
UNCONFIRMED_MAX = 16
"""Sent-on-impact frames a helmet's memory holds for repeating; the oldest goes."""
KEPT_MAX = 3600
"""Frames a helmet's memory holds while out of coverage; the oldest goes."""

FIRMWARE = "sim-1"


class Uplink:
    """The sending side of many helmets, over a few connections or over one each."""

    def __init__(
        self,
        ids: Sequence[str],
        boot: int,
        broker: Broker | None,
        *,
        connections: int | None,
        status: Sequence[HelmetStatus],
        ledger: LedgerWriter | None = None,
        faults: Faults = NO_FAULTS,
        seed: int = 0,
        on_prompt: Callable[[int, Prompt], None] = lambda _index, _prompt: None,
        on_sent: Callable[[Key], None] = lambda _key: None,
        tap: Callable[[str, bytes, bool], None] | None = None,
        spells: Sequence[Spell] = (),
    ) -> None:
        self.ids, self.boot = ids, boot
        self._status = status
        self._index = {name: i for i, name in enumerate(ids)}
        self._motion = [topic(name, "motion") for name in ids]
        self._ledger, self._on_prompt, self._on_sent = ledger, on_prompt, on_sent
        self._boots = [boot] * len(ids)
        self._tap = tap
        self.injected = Counter[str]()
        """How often each fault struck so far."""
        # Repeats have faults of their own: when the network made them must not change what befalls later frames.
        self._faults, self._repeat_faults = (
            [
                FaultyStream(
                    faults,
                    (seed, purpose, i),
                    [s for s in spells if s.helmets is None or i in s.helmets],
                    self.injected,
                )
                for i in range(len(ids))
            ]
            if faults or spells
            else None
            for purpose in (17, 18)
        )
        self._delayed: list[tuple[int, int, int, bytes, Tag | None]] = []
        self.own = connections is None
        """Whether each helmet has a connection of its own."""
        self._connections = len(ids) if connections is None else max(1, min(connections, len(ids)))
        self.net = self._network(broker)
        self._unconfirmed: list[dict[int, bytes]] = [{} for _ in ids]
        self._repeats: list[tuple[int, int, int]] = []
        self._kept: dict[int, deque[tuple[str, bytes, Tag | None]]] = {}
        self._order = itertools.count()
        self._sent_s: dict[Key, float] = {}
        self.ack_s: deque[float] = deque(maxlen=2000)
        """Real seconds from sending to PUBACK of the last frames."""
        self.ack_steps = Counter[int]()
        """The same of all frames of the run, in steps of 2 % (`ack_ms`)."""
        self.frames = self.acked = self.repeats = self.events = 0

    def _network(self, broker: Broker | None) -> Network:
        if broker is None:
            return PerfectNetwork(
                self._identities(),
                on_message=self._received,
                on_connected=self._born,
                on_sent=self._sent,
                on_ack=self._acked,
            )
        return Connections(
            broker,
            self._identities(),
            on_message=self._received,
            on_connected=self._born,
            on_sent=self._sent,
            on_ack=self._acked,
        )

    def _identities(self) -> list[Identity]:
        if self.own:
            wills = [encode_status(HelmetStatus(name, False, 0)) for name in self.ids]
            return [
                Identity(name, (topic(name, "prompt"),), (topic(name, "status"), will))
                for name, will in zip(self.ids, wills, strict=True)
            ]
        name = f"simulator-{self.ids[0]}-{self.boot}"
        return [
            Identity(f"{name}-{c}", ("helmets/+/+/prompt",) if c == 0 else ())
            for c in range(self._connections)
        ]

    def _born(self, number: int) -> None:
        """Birth messages after each connect."""
        for index in range(number, len(self.ids), self._connections):
            if index not in self._kept:
                self._say(index, self._status[index])

    def _say(self, index: int, status: HelmetStatus) -> None:
        self._publish(index, topic(self.ids[index], "status"), encode_status(status), retain=True)

    def frame(self, frame: Frame, now_us: int, t_s: float = 0.0) -> None:
        """Sends a frame that is due, `t_s` into the run; one sent on impact is repeated until it is received."""
        self._send(frame.index, frame.payload, now_us, t_s, repeat=False)
        self.frames += 1
        if frame.on_impact:
            held = self._unconfirmed[frame.index]
            held[frame.seq] = frame.payload
            if len(held) > UNCONFIRMED_MAX:
                del held[min(held)]
            heapq.heappush(self._repeats, (now_us + REPEAT_US, frame.index, frame.seq))

    def _send(self, index: int, payload: bytes, now_us: int, t_s: float, *, repeat: bool) -> None:
        """What the faults leave of a frame goes on its way."""
        faults = self._repeat_faults if repeat else self._faults
        sent = [Sent(payload, True)] if faults is None else faults[index].send(payload, t_s)
        keys: set[Key] = set()
        for piece, intact, delay_s in sent:
            tag = None
            if intact:  # not always this frame: a fault may have held back the one before
                boot, seq, t0_us = (
                    int.from_bytes(piece[a:b], "little") for a, b in ((28, 32), (32, 36), (36, 44))
                )
                key = (self.ids[index], boot, seq)
                tag = Tag(key, repeat or key in keys)  # a duplicate is no second frame
                keys.add(key)
                if self._ledger and not tag.repeat:
                    self._ledger.frame(*key, t0_us, now_us)
            if delay_s:
                later = (now_us + round(delay_s * 1e6), next(self._order), index, piece, tag)
                heapq.heappush(self._delayed, later)
            else:
                self._put(index, self._motion[index], piece, tag)

    def truth(self, frame: Frame, origin_us: int) -> None:
        """Notes in the ledger what really happened within a frame."""
        for t in frame.truths:
            at_us = origin_us + round(t.t_s * 1e6)
            if self._ledger:
                name = self.ids[frame.index]
                boot = self._boots[frame.index]
                self._ledger.crash(Crash(name, at_us, t.kind, t.expected, boot, frame.seq))

    def reboot(self, index: int, boot: int) -> None:
        """A helmet starts anew: what it held for repeating is gone, and it says again that it is there."""
        self._boots[index] = boot
        self._unconfirmed[index].clear()
        if index not in self._kept:
            self._say(index, self._status[index])

    def event(
        self,
        index: int,
        kind: Literal["sos", "ok", "worn", "not_worn"],
        t_us: int,
        place: tuple[float | None, float | None],
    ) -> None:
        """Sends an event of a helmet."""
        event = HelmetEvent(self.ids[index], kind, t_us, 0, *place)
        self._put(index, topic(self.ids[index], "event"), encode_event(event), None)
        self.events += 1

    def coverage(self, index: int, covered: bool) -> None:
        """A helmet loses the network, or has it back and sends what it kept, oldest first."""
        kept = self._kept.pop(index, deque())
        if not covered:
            self._kept[index] = deque(maxlen=KEPT_MAX)
        if self.own:
            self.net.hold(index, not covered)
        elif covered:
            self._say(index, self._status[index])
        else:  # the connection stands for others too: what the broker would say for this one
            self._say(index, HelmetStatus(self.ids[index], False, 0))
        for name, payload, tag in kept:
            self._publish(index, name, payload, tag)

    def turn(self, now_us: int, t_s: float = 0.0) -> None:
        """Repeats what has not been received for two seconds, and sends what was delayed."""
        while self._delayed and self._delayed[0][0] <= now_us:
            _, _, index, late, tag = heapq.heappop(self._delayed)
            self._put(index, self._motion[index], late, tag)
        while self._repeats and self._repeats[0][0] <= now_us:
            _, index, seq = heapq.heappop(self._repeats)
            payload = self._unconfirmed[index].get(seq)
            if payload is None:
                continue
            heapq.heappush(self._repeats, (now_us + REPEAT_US, index, seq))
            if index not in self._kept:
                self._send(index, payload, now_us, t_s, repeat=True)
                self.repeats += 1

    def close(self) -> None:
        """Says of every helmet that it has gone, then disconnects."""
        for index, name in enumerate(self.ids):
            if index not in self._kept:
                self._say(index, HelmetStatus(name, False, 0))

    @property
    def unconfirmed(self) -> int:
        """Sent-on-impact frames without a receipt."""
        return sum(len(held) for held in self._unconfirmed)

    def ack_ms(self, share: float) -> float:
        """Milliseconds in which so large a share of the run's frames was acknowledged; 0 where none was."""
        wanted = share * self.ack_steps.total()
        for step in sorted(self.ack_steps):
            wanted -= self.ack_steps[step]
            if wanted <= 0:
                return 1e3 * math.exp(step * _STEP)
        return 0.0

    def _put(self, index: int, name: str, payload: bytes, tag: Tag | None) -> None:
        if index in self._kept:
            self._kept[index].append((name, payload, tag))
        else:
            self._publish(index, name, payload, tag)

    def _publish(
        self, index: int, name: str, payload: bytes, tag: Tag | None = None, retain: bool = False
    ) -> None:
        if self._tap:
            self._tap(name, payload, retain)
        self.net.publish(index % self._connections, name, payload, retain=retain, tag=tag)

    def _sent(self, tag: Tag | None) -> None:
        if tag and not tag.repeat:
            self._sent_s[tag.key] = time.monotonic()
            self._on_sent(tag.key)

    def _acked(self, tag: Tag | None) -> None:
        if tag:
            self.acked += not tag.repeat
            sent_s = self._sent_s.pop(tag.key, None)
            if sent_s is not None:
                self.ack_s.append(took_s := time.monotonic() - sent_s)
                self.ack_steps[round(math.log(max(took_s, 1e-6)) / _STEP)] += 1
            if self._ledger:
                self._ledger.acked(*tag.key)

    def _received(self, name: str, payload: bytes) -> None:
        index = self._index.get(name.split("/")[2])
        prompt = decode_prompt(payload)
        if index is None or isinstance(prompt, Rejected):
            return
        if prompt.type == "received" and prompt.boot == self._boots[index] and prompt.seq is not None:
            self._unconfirmed[index].pop(prompt.seq, None)
        else:
            self._on_prompt(index, prompt)
