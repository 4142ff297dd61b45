"""Turns recordings of real motion into helmets: the same frames, flushes and repeats, from measured samples."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import signal

from core.clock import Clock
from core.model import Flag, Frames, HelmetStatus, Strap, Worn
from ingest.codec import encode_motion
from simulator.broker import Broker
from simulator.helmet import Frame, frame_length
from simulator.ledger import Key
from simulator.recordings import Recording
from simulator.sensor import counts
from simulator.uplink import FIRMWARE, Uplink

_TURN_S = 0.01
_DRAIN_S = 10.0
_RATE_MAX_HZ = 3200.0
_HEADROOM = 1.03
"""Parts read a little past their nominal range before they clip, and what was measured is replayed."""
_PAUSE_US = 1_000_000
"""Between two recordings that follow each other."""


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What was sent when."""

    frames: int
    boot: int
    published: dict[Key, int] = field(default_factory=dict)
    """`time.monotonic_ns()` at which each (helmet, boot, seq) was first handed to the broker's socket."""
    helmets: dict[str, Recording] = field(default_factory=dict)
    """The recording each helmet played, by helmet id."""
    t0_us: dict[str, int] = field(default_factory=dict)
    """Device time of second 0 of each helmet's recording."""


def names(recordings: list[Recording]) -> list[str]:
    """A helmet id for each recording: `replay-SET-NUMBER` where that is short enough, else `replay-0001`."""
    out: list[str] = []
    for i, recording in enumerate(recordings):
        name = f"replay-{recording.source}-{recording.rec}"
        plain = len(name) <= 24 and name.replace("_", "a").replace("-", "a").isalnum() and name.isascii()
        out.append(name if plain and name not in out else f"replay-{i + 1:04d}")
    return out


def playable(recording: Recording) -> Recording:
    """The recording on an even grid, at a rate a frame can have: faster ones are decimated."""
    even = recording.uniform()
    if even.fs_hz <= _RATE_MAX_HZ:
        return even
    step = int(np.ceil(even.fs_hz / _RATE_MAX_HZ))
    acc = signal.decimate(even.acc_g.astype(np.float64), step, ftype="fir", axis=0)
    return Recording(
        even.source, even.rec, even.label, even.subject, even.fs_hz / step, acc.astype(np.float32),
        even.full_scale_g, meta=even.meta,
    )  # fmt: skip


def frames(
    recording: Recording,
    helmet: str,
    boot: int,
    t0_us: int,
    *,
    worn: Worn = Worn.UNKNOWN,
    speed_mps: float | None = None,
    index: int = 0,
) -> Iterator[Frame]:
    """A playable recording as the frames of one helmet, second 0 at `t0_us`; the last frame may be short."""
    fs = recording.fs_hz
    period_ns = round(1e9 / fs)
    g_per_count = _HEADROOM * recording.full_scale_g / 32767
    acc = counts(recording.acc_g, _HEADROOM * recording.full_scale_g, g_per_count)
    resultant = np.linalg.norm(acc * g_per_count, axis=1)
    start = 0
    for seq in itertools.count():
        if start >= len(acc):
            return
        n, on_impact = frame_length(resultant[start : start + round(fs)], fs)
        part = acc[start : start + n]
        first_us = t0_us + start * period_ns // 1000
        due_us = t0_us + (start + len(part)) * period_ns // 1000
        row = _row(recording, helmet, boot, seq, first_us, part, on_impact, worn, speed_mps)
        yield Frame(index, seq, first_us, due_us, on_impact, encode_motion(row)[0])
        start += len(part)


def _row(
    recording: Recording,
    helmet: str,
    boot: int,
    seq: int,
    t0_us: int,
    acc: npt.NDArray[np.int16],
    on_impact: bool,
    worn: Worn,
    speed_mps: float | None,
) -> Frames:
    g_per_count = _HEADROOM * recording.full_scale_g / 32767
    clipped = bool((np.abs(acc * g_per_count) >= 0.98 * recording.full_scale_g).any())
    flags = (Flag.CLIPPED if clipped else 0) | (Flag.ON_IMPACT if on_impact else 0)

    def one(value: float | None) -> npt.NDArray[np.float32]:
        return np.array([np.nan if value is None else value], np.float32)

    return Frames(
        helmet=[helmet],
        boot=np.array([boot], np.uint32),
        seq=np.array([seq], np.uint32),
        t0_us=np.array([t0_us], np.int64),
        received_us=np.array([t0_us], np.int64),
        period_ns=np.array([round(1e9 / recording.fs_hz)], np.uint32),
        full_scale_g=one(recording.full_scale_g),
        g_per_count=one(g_per_count),
        rad_s_per_count=one(0.0),
        acc=acc[None],
        gyro=None,
        flags=np.array([flags], np.uint8),
        worn=np.array([worn], np.uint8),
        strap=np.array([Strap.UNKNOWN], np.uint8),
        battery_pct=np.array([255], np.uint8),
        peak_g=one(None),
        lat_deg=np.array([np.nan]),
        lon_deg=np.array([np.nan]),
        accuracy_m=one(None),
        position_age_s=one(None),
        speed_mps=one(speed_mps),
    )


def run_replay(
    recordings: list[Recording],
    broker: Broker,
    clock: Clock,
    *,
    worn: Worn = Worn.UNKNOWN,
    speed_mps: float | None = None,
    at_once: int = 50,
    connections: int = 4,
    stop: threading.Event,
    on_progress: Callable[[float, float], None] | None = None,
) -> ReplayResult:
    """Plays recordings to a broker, each as a helmet of its own, `at_once` of them side by side; blocks.

    Device time is the clock's time, so a clock at ten times the speed plays ten times as fast. `on_progress` is
    called about every real second with the seconds of motion played and of all. Raises `BrokerError`.
    """
    player = _Player(recordings, broker, clock.now_us(), worn, speed_mps, at_once, connections)
    player.uplink.net.open()
    reported = time.monotonic()
    try:
        while not stop.is_set() and not player.over:
            player.step(clock.now_us())
            player.uplink.net.turn(_TURN_S)
            if on_progress and time.monotonic() - reported >= 1:
                reported = time.monotonic()
                on_progress(*player.played_s(clock.now_us()))
        player.uplink.close()
        deadline = time.monotonic() + _DRAIN_S
        while player.uplink.net.outstanding and time.monotonic() < deadline:
            player.uplink.net.turn(_TURN_S)
    finally:
        player.uplink.net.close()
    return ReplayResult(player.uplink.frames, player.boot, player.published, player.helmets, player.t0_us)


class _Player:
    """The recordings that are being played, in lanes: where one ends, the next begins."""

    def __init__(
        self,
        recordings: list[Recording],
        broker: Broker,
        start_us: int,
        worn: Worn,
        speed_mps: float | None,
        at_once: int,
        connections: int,
    ) -> None:
        self._recordings, self._worn, self._speed_mps = recordings, worn, speed_mps
        self._ids = names(recordings)
        self.boot = start_us // 1_000_000 & 0xFFFFFFFF
        self.published: dict[Key, int] = {}
        self.helmets: dict[str, Recording] = {}
        self.t0_us: dict[str, int] = {}
        self._next = 0
        # Spread over a second, so that the frames of all lanes do not come at the same moment.
        self._lanes = [start_us + 1_000_000 * k // at_once for k in range(min(at_once, len(recordings)))]
        self._playing: list[tuple[Frame, Iterator[Frame]]] = []
        self.uplink = Uplink(
            self._ids,
            self.boot,
            broker,
            connections=connections,
            status=[
                HelmetStatus(name, True, 0, FIRMWARE, r.fs_hz, r.full_scale_g)
                for name, r in zip(self._ids, recordings, strict=True)
            ],
            on_sent=self._sent,
        )

    def _sent(self, key: Key) -> None:
        self.published.setdefault(key, time.monotonic_ns())

    @property
    def over(self) -> bool:
        """Whether everything has been sent."""
        return self._next == len(self._recordings) and not self._playing

    def played_s(self, now_us: int) -> tuple[float, float]:
        """Seconds of motion played so far, and of all recordings together."""
        begun = (min(r.duration_s, (now_us - self.t0_us[name]) / 1e6) for name, r in self.helmets.items())
        return sum(begun), sum(r.duration_s for r in self._recordings)

    def step(self, now_us: int) -> None:
        """Begins recordings whose lane is free and sends the frames that are due."""
        for lane, free_us in enumerate(self._lanes):
            if free_us <= now_us and self._next < len(self._recordings):
                self._lanes[lane] = self._begin(self._next, free_us) + _PAUSE_US
                self._next += 1
        still: list[tuple[Frame, Iterator[Frame]]] = []
        for frame, rest in self._playing:
            current: Frame | None = frame
            while current is not None and current.due_us <= now_us:
                self.uplink.frame(current, now_us)
                current = next(rest, None)
            if current is not None:
                still.append((current, rest))
        self._playing = still
        self.uplink.turn(now_us)

    def _begin(self, index: int, t0_us: int) -> int:
        """Starts a recording and returns when it will be over."""
        helmet, recording = self._ids[index], playable(self._recordings[index])
        self.helmets[helmet], self.t0_us[helmet] = self._recordings[index], t0_us
        stream = frames(
            recording, helmet, self.boot, t0_us, worn=self._worn, speed_mps=self._speed_mps, index=index
        )
        first = next(stream, None)
        if first is not None:
            self._playing.append((first, stream))
        return t0_us + round(len(recording.acc_g) / recording.fs_hz * 1e6)
