"""Any bytes on any topic, through a real broker into a real worker: each is acknowledged, and nothing stops.

What is larger than the largest packet that the worker allows (`ingest.mqtt.maximum_packet_size`) the broker must refuse
to whoever sends it, as `deploy/mosquitto.conf` has it do. mosquitto 2.0.11, where it takes such a message, keeps it to
itself, and its place in the window for ever: as many of them as the window has places stop a worker.

EXAMPLES=20000 tries more of them (`make soak` does).
"""

import os
import string
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from paho.mqtt.client import Client, topic_matches_sub
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from servers import GOOD_SETTINGS, Mosquitto, free_port

from core import metrics
from core.clock import SystemClock
from core.config import Config, Mqtt
from ingest.codec import topic
from ingest.codec.topics import LEAVES
from ingest.worker import Worker
from simulator.helmet import Helmets
from simulator.scenario import load

EXAMPLES = int(os.environ.get("EXAMPLES", "300"))
WINDOW = 20
"""Messages the broker may have under way to us: 20 that were never acknowledged would stop everything."""
FLEET = Helmets(load(1, 1.0, 0.0), time.time_ns() // 1000)
HELMET = FLEET.ids[0]
LARGEST = Mqtt().maximum_packet_size


def packet_size(name: str, payload: bytes) -> int:
    """Bytes of a PUBLISH at QoS 1 of MQTT 5, as large as these are here: type and length, topic, number, no properties."""
    return 1 + 3 + 2 + len(name.encode()) + 2 + 1 + len(payload)


class Line:
    """A publisher, a broker and a worker that runs in a thread of this process."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        folder.chmod(0o777)
        conf = folder / "mosquitto.conf"
        settings = GOOD_SETTINGS.format(folder=folder) + f"max_packet_size {LARGEST}\n"
        conf.write_text(f"listener {port} 127.0.0.1\nuser root\n" + settings)
        self.broker = Mosquitto(port, conf, None)  # type: ignore[arg-type]
        self.broker.start()
        config = Config.model_validate(
            {
                "ingest": {
                    "mqtt": {"port": port, "receive_maximum": WINDOW, "watch_drops": False},
                    "journal": {"path": str(folder / "journal.db")},
                    "desk_url": f"http://127.0.0.1:{free_port()}",
                    "tick_ms": 5,
                },
                "storage": {"embedded": {"path": str(folder / "telemetry.db")}},
            }
        )
        self.worker: Worker | None = None
        self.stop = threading.Event()
        self.codes: list[int] = []
        self.thread = threading.Thread(target=self._work, args=(config,))
        self.thread.start()
        self.publisher = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.publisher.connect("127.0.0.1", port)
        self.port = port
        self.publisher.loop_start()
        self.until(lambda: self.worker is not None and not self.worker.ready(), "the worker is ready")

    def _work(self, config: Config) -> None:
        self.worker = Worker(config, SystemClock(), "t" * 32)
        self.codes.append(self.worker.run(self.stop))

    def until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 20
        while not holds():
            assert self.thread.is_alive(), "the worker's loop has ended"
            assert time.monotonic() < deadline, what
            time.sleep(0.001)

    def send(self, name: str, payload: bytes) -> None:
        """Publishes, and waits until the worker has acknowledged it where it listens to the topic."""
        heard = any(topic_matches_sub(f"helmets/+/+/{leaf}", name) for leaf in ("motion", "event", "status"))
        before = metrics.ACKNOWLEDGED._value.get()
        self.publisher.publish(name, payload, 1).wait_for_publish(20)
        self.until(
            lambda: metrics.ACKNOWLEDGED._value.get() == before + heard, f"{name} {payload!r} is acknowledged"
        )

    def close(self) -> None:
        self.publisher.disconnect()
        self.publisher.loop_stop()
        self.stop.set()
        self.thread.join(20)
        self.broker.stop()


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    line = Line(tmp_path_factory.mktemp("line"))
    yield line
    line.close()
    assert line.codes == [0]


def changed(frame: bytes, at: int, byte: int, length: int) -> bytes:
    return (frame[:at] + bytes([byte]) + frame[at + 1 :])[:length]


frame = FLEET.prepare(np.arange(1))[0].payload
levels = st.text(string.ascii_letters + string.digits + "_-$ é張\u200b", max_size=30)
topics = st.one_of(
    st.sampled_from([topic(HELMET, leaf) for leaf in LEAVES]),
    st.builds("helmets/{}/{}/{}".format, levels, levels, st.sampled_from(LEAVES)),
    st.lists(levels, min_size=1, max_size=6).map("/".join).filter(lambda name: 0 < len(name) < 200),
).filter(lambda name: not name.startswith("$"))
payloads = st.one_of(
    st.binary(max_size=2000),
    st.builds(
        changed, st.just(frame), st.integers(0, len(frame) - 1), st.integers(0, 255), st.integers(0, 2000)
    ),
    st.binary(max_size=60).map(lambda junk: b'{"v": 1, "helmet": "' + HELMET.encode() + b'", ' + junk + b"}"),
    st.sampled_from([b"", b"{}", b"[]", b"null", b"{" * 1000, b'{"v": 1e999}', b"\xff\xfe"]),
    st.sampled_from([b"0", b"[", b"HW"]).map(lambda part: part * (60_000 // len(part))),
)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(name=topics, payload=payloads)
def test_any_bytes_on_any_topic_are_acknowledged(line: Line, name: str, payload: bytes) -> None:
    line.send(name, payload)


@pytest.mark.parametrize("below", [8, 1000])
def test_messages_about_as_large_as_is_allowed_are_acknowledged(line: Line, below: int) -> None:
    """The last few bytes are left out: mosquitto does not count all of a packet's head."""
    name = topic(HELMET, "motion")
    line.send(name, bytes(LARGEST - below - packet_size(name, b"")))


def test_messages_larger_than_allowed_are_refused_to_who_sends_them(line: Line) -> None:
    """More often than the window has places: see below that none was lost."""
    name = topic(HELMET, "motion")
    before = metrics.ACKNOWLEDGED._value.get()
    for beyond in [200_000, 1000, *[8] * WINDOW]:
        sender = Client(
            CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False
        )
        gone = threading.Event()
        sender.on_disconnect = lambda *_, gone=gone: gone.set()
        sender.connect("127.0.0.1", line.port)
        sender.publish(name, bytes(LARGEST + beyond - packet_size(name, b"")), 1)
        sender.loop_start()
        assert gone.wait(20), "the broker throws the sender out"
        sender.loop_stop()
    assert metrics.ACKNOWLEDGED._value.get() == before


def test_after_all_that_the_broker_gives_the_whole_window_and_frames_are_taken(line: Line) -> None:
    """While nothing is acknowledged it sends as many as it may, and the rest afterwards: no place in it was lost."""
    worker = line.worker
    assert worker is not None and worker.hung() == ""
    frames, acknowledged = metrics.FRAMES.labels("live")._value, metrics.ACKNOWLEDGED._value
    before = frames.get(), acknowledged.get()
    turn, paused = worker.turn, threading.Event()

    def pause(_: threading.Event) -> int:
        paused.set()
        return 0

    worker.turn = pause  # type: ignore[method-assign]
    assert paused.wait(10)
    for _ in range(3 * WINDOW):
        payload = FLEET.prepare(np.arange(1))[0].payload
        line.publisher.publish(topic(HELMET, "motion"), payload, 1).wait_for_publish(20)
    line.until(lambda: len(worker._subscriber.inbox) >= WINDOW, "the broker has sent the whole window")
    worker.turn = turn  # type: ignore[method-assign]
    line.until(lambda: acknowledged.get() == before[1] + 3 * WINDOW, "and all the rest")
    assert frames.get() == before[0] + 3 * WINDOW
