"""A crowd: tens of thousands of riding helmets from one core, for load alone. Nothing ever happens to them.

Their motion is the loops of `simulator.everyday`; each helmet reads them at a place, with a strength, a vehicle, a
speed and a zero offset of its own, so that no two send the same samples. Frames, topics and packets are made by arrays,
and they go out over a few plain MQTT 3.1.1 connections that send and count PUBACKs and can nothing else: a
client library spends more on a message than all of this together.
"""

import selectors
import socket
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.clock import Clock
from core.model import Flag, Strap, Worn
from ingest.codec import HEADER, VERSION, topic
from simulator.connections import Broker, BrokerError
from simulator.everyday import SPEED_STEP_MPS, loops
from simulator.motion import VEHICLES
from simulator.sensor import STANDARD

_RATE = STANDARD.rate_hz
_SLICES = 20
"""Parts of a second, each with its share of the helmets."""
_FRAME = HEADER.itemsize + 6 * _RATE + 4
_MIDDLE_DEG = (22.5431, 114.0579)
_WINDOW = 20_000
"""Most packets without a PUBACK on a connection; packet identifiers end at 65,535."""


class Crowd:
    """Frames of many riding helmets at 100 Hz and one frame a second."""

    def __init__(self, helmets: int, seed: int, start_us: int, prefix: str = "C-") -> None:
        rng = np.random.default_rng((seed, 29))
        made = loops(_RATE)
        steps = len(made.ride) // len(VEHICLES) // made.samples
        self.helmets, self._start_us, self._samples = helmets, start_us, made.samples
        self.ids = [f"{prefix}{i + 1:06d}" for i in range(helmets)]
        # The loop's beginning once more at its end, so that a second never has to be put together from two parts.
        ride = made.ride.reshape(-1, made.samples)
        looped = np.concatenate([ride, ride[:, :_RATE]], 1).ravel()
        self._windows = np.lib.stride_tricks.sliding_window_view(looped, _RATE)
        step = rng.integers(2, steps - 3, helmets)
        vehicle = rng.integers(len(VEHICLES), size=helmets)
        self._row = (vehicle * steps + step) * (made.samples + _RATE)
        self._place = rng.integers(0, made.samples, helmets)
        self._scale = (np.exp(rng.normal(0, 0.4, helmets)) / STANDARD.g_per_count).astype(np.float32)
        up = np.stack([rng.normal(0, 0.08, helmets), rng.normal(0, 0.08, helmets), np.ones(helmets)], 1)
        self._bias = (up / np.linalg.norm(up, axis=1, keepdims=True) / STANDARD.g_per_count).astype(
            np.float32
        )
        speed = np.asarray(step * SPEED_STEP_MPS, np.float64)
        self._header = self._headers(rng, speed)
        self._step_e7 = np.rint(speed / 111_320 * 1e7).astype(np.int64)

    def _headers(self, rng: np.random.Generator, speed: npt.NDArray[np.float64]) -> npt.NDArray[np.void]:
        header = np.zeros(self.helmets, HEADER)
        header["magic"], header["version"], header["count"] = b"HW", VERSION, _RATE
        header["flags"] = Flag.POSITION
        header["helmet"] = np.array([name.encode() for name in self.ids], "S24")
        header["boot"], header["period_ns"] = self._start_us // 1_000_000 & 0xFFFFFFFF, STANDARD.period_ns
        header["worn"], header["strap"], header["battery_pct"] = Worn.YES, Strap.CLOSED, 80
        header["full_scale_g"], header["g_per_count"] = STANDARD.full_scale_g, STANDARD.g_per_count
        header["peak_g"], header["accuracy_dm"], header["position_age_ms"] = np.nan, 40, 200
        header["speed_cmps"] = np.rint(100 * speed)
        header["lat_e7"] = np.rint((_MIDDLE_DEG[0] + rng.normal(0, 0.03, self.helmets)) * 1e7)
        header["lon_e7"] = np.rint((_MIDDLE_DEG[1] + rng.normal(0, 0.03, self.helmets)) * 1e7)
        return header

    def frames(self, rows: slice, second: int) -> npt.NDArray[np.uint8]:
        """(m, 692) the frames of some helmets for the given second since the start, as they go over the wire."""
        header = self._header[rows].copy()
        place = self._place[rows] + second * _RATE
        third = self._samples // 3
        f = np.stack(
            [self._windows[self._row[rows] + (place + k * third) % self._samples] for k in (1, 2, 0)], -1
        )
        # Fore and aft and sideways the head shakes about a third as much as up and down.
        f *= self._scale[rows, None, None] * np.array([0.35, 0.35, 1.0], np.float32)
        f += self._bias[rows, None]
        np.clip(f, -32768, 32767, out=f)
        acc = np.rint(f, out=f).astype("<i2")
        header["seq"] = second
        late_us = (np.arange(self.helmets)[rows] * 1_000_000) // self.helmets
        header["t0_us"] = self._start_us + second * 1_000_000 + late_us
        header["lat_e7"] += self._step_e7[rows] * second
        out = np.empty((len(header), _FRAME), np.uint8)
        out[:, : HEADER.itemsize] = header.view(np.uint8).reshape(len(header), -1)
        out[:, HEADER.itemsize : -4] = acc.reshape(len(header), -1).view(np.uint8)
        crc = np.fromiter((zlib.crc32(row) for row in out[:, :-4]), "<u4", len(out))
        out[:, -4:] = crc.view(np.uint8).reshape(-1, 4)
        return out


def packets(names: list[str], frames: npt.NDArray[np.uint8], first_id: int) -> bytes:
    """MQTT 3.1.1 PUBLISH packets at QoS 1 for equally long topics; packet identifiers 1 … 65,535 from `first_id` on."""
    topics = np.array([topic(name, "motion") for name in names], "S")
    m, length = len(names), topics.itemsize
    remaining = 2 + length + 2 + frames.shape[1]
    head = bytes([0x32, remaining & 0x7F | 0x80, remaining >> 7]) + length.to_bytes(2, "big")
    if not 128 <= remaining < 16384 or len({len(t) for t in topics.tolist()}) != 1:
        raise ValueError("topics of equal length and frames below 16 KB are needed")
    out = np.empty((m, len(head) + length + 2 + frames.shape[1]), np.uint8)
    out[:, : len(head)] = np.frombuffer(head, np.uint8)
    at = len(head) + length
    out[:, len(head) : at] = topics.view(np.uint8).reshape(m, -1)
    ids = ((first_id - 1 + np.arange(m)) % 65535 + 1).astype(">u2")
    out[:, at : at + 2] = ids.view(np.uint8).reshape(m, 2)
    out[:, at + 2 :] = frames
    return out.tobytes()


class _Line:
    """A plain MQTT 3.1.1 connection that publishes and counts PUBACKs."""

    def __init__(self, broker: Broker, client_id: str) -> None:
        if broker.tls.enabled:
            raise BrokerError("a crowd does not speak TLS; use --connections for that")
        where = f"{broker.host}:{broker.port}"
        try:
            self.socket = socket.create_connection((broker.host, broker.port), timeout=5)
            self.socket.sendall(_connect(client_id, broker.username, broker.password))
            answer = self.socket.recv(4)
        except OSError as error:
            raise BrokerError(f"no broker at {where}: {error}") from None
        if len(answer) < 4 or answer[0] != 0x20 or answer[3] != 0:
            raise BrokerError(
                f"the broker at {where} refuses us: code {answer[3] if len(answer) > 3 else '?'}"
            )
        self.socket.setblocking(False)
        self.waiting = bytearray()
        self.sent = self.acknowledged = 0
        self._rest = b""

    def put(self, names: list[str], frames: npt.NDArray[np.uint8]) -> None:
        self.waiting += packets(names, frames, self.sent % 65535 + 1)
        self.sent += len(names)

    def write(self) -> None:
        if self.waiting:
            try:
                n = self.socket.send(memoryview(self.waiting)[: 1 << 20])
            except BlockingIOError:
                return
            del self.waiting[:n]

    def read(self) -> None:
        data = self._rest + self.socket.recv(1 << 18)
        if not data:
            raise BrokerError("the broker closed the connection")
        whole = len(data) // 4 * 4
        self._rest = data[whole:]
        # Nothing but PUBACKs comes here, four bytes each: we subscribe to nothing and speak often enough.
        if data[0:whole:4].strip(b"\x40"):
            raise BrokerError("the broker said something that is not a PUBACK")
        self.acknowledged += whole // 4


def _connect(client_id: str, username: str, password: str) -> bytes:
    def text(value: str) -> bytes:
        return len(value.encode()).to_bytes(2, "big") + value.encode()

    flags = 0x02 | (0xC0 if username else 0)
    body = text("MQTT") + bytes([4, flags, 0, 120]) + text(client_id)
    if username:
        body += text(username) + text(password)
    length = len(body)
    return (
        bytes([0x10, length]) if length < 128 else bytes([0x10, length & 0x7F | 0x80, length >> 7])
    ) + body


@dataclass(frozen=True, slots=True)
class CrowdSummary:
    """What a crowd's ride came to."""

    sent: int
    acknowledged: int
    seconds: float
    """Real seconds from the first frame to the last PUBACK."""
    cpu_s: float
    """Processor time of this process for all of it."""
    behind_s: float
    """Most that a slice of a second was late."""
    window_full: int
    """Slices that had to wait because the broker had not acknowledged enough."""


def run_crowd(
    helmets: int,
    seed: int,
    broker: Broker,
    clock: Clock,
    *,
    duration_s: float,
    connections: int = 4,
    stop: threading.Event,
    on_progress: Callable[[int, int], None] | None = None,
) -> CrowdSummary:
    """Publishes a crowd's frames in real time for whole seconds; blocks. Raises `BrokerError`.

    Helmet i sends i/n of a second after helmet 0. `on_progress` hears of frames sent and acknowledged once a second.
    """
    crowd = Crowd(helmets, seed, clock.now_us())
    lines = [_Line(broker, f"helmetwatch-crowd-{seed}-{k}") for k in range(connections)]
    bounds = np.linspace(0, helmets, _SLICES + 1).astype(int).tolist()
    began, cpu = time.monotonic(), time.process_time()
    behind, full = 0.0, 0
    with selectors.DefaultSelector() as selector:
        for line in lines:
            selector.register(line.socket, selectors.EVENT_READ, line)
        for turn in range(int(duration_s) * _SLICES):
            if stop.is_set():
                break
            second, part = divmod(turn, _SLICES)
            rows = slice(bounds[part], bounds[part + 1])
            line = lines[turn % connections]
            if rows.start < rows.stop:
                line.put(crowd.ids[rows], crowd.frames(rows, second))
            due = began + (turn + 1) / _SLICES
            behind = max(behind, time.monotonic() - due)
            full += _serve(selector, lines, due)
            if on_progress and part == 0:
                on_progress(sum(x.sent for x in lines), sum(x.acknowledged for x in lines))
        deadline = time.monotonic() + 30
        while any(x.acknowledged < x.sent for x in lines) and time.monotonic() < deadline:
            _serve(selector, lines, time.monotonic() + 0.01)
    took, spent = time.monotonic() - began, time.process_time() - cpu
    for line in lines:
        line.socket.close()
    sent, acknowledged = sum(x.sent for x in lines), sum(x.acknowledged for x in lines)
    return CrowdSummary(sent, acknowledged, took, spent, behind, full)


def _serve(selector: selectors.DefaultSelector, lines: list[_Line], until: float) -> int:
    """Writes and reads until a time, and longer where the broker is behind; says whether it was."""
    full = 0
    while True:
        for line in lines:
            line.write()
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.waiting else 0)
            if selector.get_key(line.socket).events != wanted:
                selector.modify(line.socket, wanted, line)
        for key, events in selector.select(max(0.0, until - time.monotonic())):
            if events & selectors.EVENT_READ:
                key.data.read()
        late = any(line.sent - line.acknowledged > _WINDOW for line in lines)
        if time.monotonic() >= until and not late:
            return full
        full = int(late)
