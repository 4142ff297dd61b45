"""Plays a tape to a broker, records one from a broker, and takes one apart for firmware tests."""

import csv
import json
import math
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from core.clock import Clock
from ingest.codec import HEADER, Message, decode_motion, parse_topic
from simulator.broker import Broker, Identity
from simulator.connections import Connections
from simulator.tape import Recorded, Tape, TapeWriter

_TURN_S = 0.01
_DRAIN_S = 10.0
_PIECE = 20_000
"""Messages of a tape that are held while they are sorted by helmet: some 14 MB."""


@dataclass(frozen=True, slots=True)
class Played:
    """What playing a tape came to."""

    messages: int
    acknowledged: int
    """Of those at QoS 1 and 2."""
    at_qos_0: int
    """Messages that nobody acknowledges."""
    seconds: float
    """Real seconds it took."""
    behind_s: float
    """Most that a message was sent after its time."""


def play(
    tape: Tape,
    broker: Broker,
    clock: Clock,
    *,
    speed: float = 1.0,
    as_new: bool = False,
    stop: threading.Event,
    on_progress: Callable[[int, float], None] | None = None,
) -> Played:
    """Publishes a tape with its spacing, QoS and retain flags, `speed` times as fast.

    Infinity is as fast as the broker takes it. `as_new` dates the helmets' messages and counts their boots as if the
    tape began now, so that a worker takes them for new ones. Raises `BrokerError` and `TapeError`.
    """
    acknowledged = at_qos_0 = 0

    def acked(_tag: Any) -> None:
        nonlocal acknowledged
        acknowledged += 1

    net = Connections(
        broker,
        [Identity(f"helmetwatch-player-{time.time_ns()}")],
        on_message=lambda *_: None,
        on_connected=lambda _: None,
        on_sent=lambda _: None,
        on_ack=acked,
    )
    net.open()
    now_us = clock.now_us()
    count, behind, began, shown = 0, 0.0, time.monotonic(), 0.0
    try:
        for message in tape:
            due = began + message.offset_us / 1e6 / speed
            while (wait := due - time.monotonic()) > 0 or net.outstanding > 50_000:
                net.turn(min(_TURN_S, max(wait, 0.001)))
                if stop.is_set():
                    break
            if stop.is_set():
                break
            if math.isfinite(speed):
                behind = max(behind, time.monotonic() - due)
            payload = redated(message, tape.start_us, now_us) if as_new else message.payload
            net.publish(0, message.topic, payload, qos=message.qos, retain=message.retain, tag=count)
            count += 1
            at_qos_0 += message.qos == 0
            if on_progress and time.monotonic() - shown >= 1:
                shown = time.monotonic()
                on_progress(count, message.offset_us / 1e6)
        deadline = time.monotonic() + _DRAIN_S
        while net.outstanding and time.monotonic() < deadline:
            net.turn(_TURN_S)
        return Played(count, acknowledged, at_qos_0, time.monotonic() - began, behind)
    finally:
        net.close()


def redated(message: Recorded, start_us: int, now_us: int) -> bytes:
    """A helmet's payload as if the tape had begun at `now_us`; anything else as it is.

    The boot count moves by the same seconds, so that a frame played twice is not taken for a repetition.
    """
    payload = message.payload
    shift_us = now_us - start_us
    parsed = parse_topic(message.topic)
    if not isinstance(parsed, tuple) or parsed[1] not in ("motion", "event"):
        return payload
    if payload[:2] == b"HW" and len(payload) > HEADER.itemsize + 4:
        if zlib.crc32(payload[:-4]).to_bytes(4, "little") != payload[-4:]:
            return payload  # broken on purpose: it stays so
        header = np.frombuffer(payload, HEADER, 1).copy()
        header["t0_us"] += shift_us
        header["boot"] = (header["boot"].astype(np.int64) + shift_us // 1_000_000) & 0xFFFFFFFF
        body = header.tobytes() + payload[HEADER.itemsize : -4]
        return body + zlib.crc32(body).to_bytes(4, "little")
    try:
        said = json.loads(payload)
        for field, shift in (("t_us", shift_us), ("t0_us", shift_us), ("boot", shift_us // 1_000_000)):
            if isinstance(said.get(field), int):
                said[field] += shift
    except (ValueError, AttributeError):
        return payload
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def listen(
    broker: Broker,
    topics: tuple[str, ...],
    path: Path,
    *,
    duration_s: float | None = None,
    stop: threading.Event,
    on_progress: Callable[[int], None] | None = None,
) -> int:
    """Records everything a broker says on `topics` until `duration_s` real seconds passed or `stop` is set.

    Each message is kept with the QoS and (with MQTT 5) the retain flag it was published with. Returns how many there
    were; `on_progress` hears it as soon as it listens and then every second. Retained messages come first, at offset 0
    or a little later. Raises `BrokerError`.
    """
    began_us = time.time_ns() // 1000
    with TapeWriter(path, began_us) as tape:

        def heard(topic: str, payload: bytes, qos: int, retain: bool) -> None:
            tape.write(time.time_ns() // 1000 - began_us, topic, payload, qos, retain)

        net = Connections(
            broker,
            [Identity(f"helmetwatch-recorder-{began_us}", topics, as_published=True)],
            on_message=lambda *_: None,
            on_connected=lambda _: None,
            on_sent=lambda _: None,
            on_ack=lambda _: None,
            on_heard=heard,
        )
        net.open()
        shown = -math.inf
        try:
            while not stop.is_set():
                if duration_s is not None and time.time_ns() // 1000 - began_us >= duration_s * 1e6:
                    break
                net.turn(0.05)
                if on_progress and time.monotonic() - shown >= 1:
                    shown = time.monotonic()
                    on_progress(tape.messages)
        finally:
            net.close()
        return tape.messages


def export(tape: Tape, folder: Path) -> dict[str, int]:
    """Writes each helmet's motion as `HELMET.csv` and `HELMET.frames`; returns frames by helmet.

    The CSV has one line a sample: device time in microseconds, boot, seq, g (and rad/s). The other holds the frames
    as they go over the wire, each after its length (u32, little-endian): what a firmware test feeds to its
    parser or compares its encoder with. Frames that cannot be read are left out of the CSV alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frames: dict[str, int] = {}
    for helmet, messages in _by_helmet(tape):
        # Opened for each piece: a fleet has more helmets than a process may have files.
        mode = "a" if helmet in frames else "w"
        with (
            (folder / f"{helmet}.csv").open(mode, encoding="utf-8", newline="") as text,
            (folder / f"{helmet}.frames").open(f"{mode}b") as raw,
        ):
            if helmet not in frames:
                text.write("t_us,boot,seq,x_g,y_g,z_g,gx_rad_s,gy_rad_s,gz_rad_s\n")
            for message in messages:
                raw.write(len(message.payload).to_bytes(4, "little") + message.payload)
                _samples(text, message, tape.start_us + message.offset_us)
        frames[helmet] = frames.get(helmet, 0) + len(messages)
    return frames


def _by_helmet(tape: Tape) -> Iterator[tuple[str, list[Recorded]]]:
    """The motion messages of a tape in pieces, each of one helmet and in order."""
    held: dict[str, list[Recorded]] = {}
    count = 0
    for message in tape:
        parsed = parse_topic(message.topic)
        if isinstance(parsed, tuple) and parsed[1] == "motion":
            held.setdefault(parsed[0], []).append(message)
            count += 1
        if count == _PIECE:
            yield from held.items()
            held, count = {}, 0
    yield from held.items()


def _samples(text: IO[str], message: Recorded, received_us: int) -> None:
    decoded = decode_motion([Message(message.topic, message.payload, received_us)]).frames
    if not decoded:
        return
    f = decoded[0]
    acc = f.acc[0] * float(f.g_per_count[0])
    gyro = None if f.gyro is None else f.gyro[0] * float(f.rad_s_per_count[0])
    times = int(f.t0_us[0]) + np.arange(len(acc)) * int(f.period_ns[0]) // 1000
    rows = csv.writer(text, lineterminator="\n")
    for k, t_us in enumerate(times.tolist()):
        turn = ["", "", ""] if gyro is None else [f"{v:.4f}" for v in gyro[k]]
        rows.writerow([t_us, int(f.boot[0]), int(f.seq[0]), *(f"{v:.5f}" for v in acc[k]), *turn])
