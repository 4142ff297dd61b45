"""The broker's side, against a real mosquitto: nothing acknowledged before its time, nothing lost, nothing stuck."""

import contextlib
import ctypes
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import publish
from structlog.testing import capture_logs

from core import metrics
from core.clock import SystemClock
from core.config import ConfigError, Ingest, Mqtt
from ingest import mqtt
from ingest.client_id import Takeovers, claim
from ingest.inbox import Delivery
from ingest.mqtt import Subscriber
from ingest.shards import parse_shards, topic_filters

TOPIC = "helmets/3f/SF-000001/motion"
ENDS_A_THREAD = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def settings(port: int, **more: object) -> Ingest:
    return Ingest(worker="test", mqtt=Mqtt.model_validate({"port": port, "keepalive_s": 4} | more))


@contextlib.contextmanager
def subscribed(config: Ingest) -> Iterator[Subscriber]:
    subscriber = Subscriber(config, SystemClock())
    subscriber.start()
    try:
        assert subscriber.connected.wait(10)
        yield subscriber
    finally:
        subscriber.leave()
        subscriber.join(5)


def send(port: int, *payloads: bytes) -> None:
    publish.multiple([{"topic": TOPIC, "payload": p, "qos": 1} for p in payloads], port=port)


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def take(subscriber: Subscriber, count: int) -> list[Delivery]:
    """The next so many, one by one."""
    taken: list[Delivery] = []
    while len(taken) < count:
        one = subscriber.inbox.take(1, timeout=10)
        assert one, "nothing came"
        taken += one
    return taken


def payloads(deliveries: list[Delivery]) -> list[bytes]:
    return [d.message.payload for d in deliveries]


def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(mosquitto: Callable) -> None:
    broker = mosquitto()
    with subscribed(settings(broker.port)) as first:
        send(broker.port, b"a", b"b", b"c")
        got = take(first, 3)
        first.acknowledge(got[:1])
    with subscribed(settings(broker.port)) as second:
        assert payloads(take(second, 2)) == [b"b", b"c"]
        assert not second.inbox.take(1, timeout=0.3)


def test_what_is_sent_while_we_are_away_waits_in_the_session(mosquitto: Callable) -> None:
    broker = mosquitto()
    with subscribed(settings(broker.port)):
        pass
    send(broker.port, *[b"%d" % i for i in range(500)])
    with subscribed(settings(broker.port)) as back:
        assert payloads(take(back, 500)) == [b"%d" % i for i in range(500)]


def test_we_come_back_by_ourselves_when_the_broker_restarts(mosquitto: Callable) -> None:
    broker = mosquitto()
    with subscribed(settings(broker.port)) as subscriber:
        broker.restart()
        send(broker.port, b"after")
        assert payloads(take(subscriber, 1)) == [b"after"]


def test_an_acknowledgement_of_an_older_connection_is_not_sent(mosquitto: Callable) -> None:
    """The broker without persistence numbers its messages anew: a late ack would delete a different one."""
    broker = mosquitto(settings="allow_anonymous true\npersistence false\n")
    with subscribed(settings(broker.port)) as subscriber:
        send(broker.port, b"a")
        old = take(subscriber, 1)
        broker.stop(kill=True)
        until(lambda: not subscriber.connected.is_set(), "it notices")
        broker.start()
        assert subscriber.connected.wait(20)
        send(broker.port, b"b")
        new = take(subscriber, 1)
        assert old[0].mid == new[0].mid and old[0].connection != new[0].connection
        subscriber.acknowledge(old)
    with subscribed(settings(broker.port)) as again:
        assert payloads(take(again, 1)) == [b"b"]


def test_two_workers_with_one_name_do_not_throw_each_other_out_at_full_speed(mosquitto: Callable) -> None:
    """mosquitto 2.0 does not say that a session was taken over; the growing pauses end the fight."""
    broker = mosquitto()
    before = connections()
    with subscribed(settings(broker.port)), subscribed(settings(broker.port)):
        time.sleep(3)
    assert connections() - before < 25


def test_of_two_workers_with_one_name_one_gives_up_and_the_other_goes_on(
    mosquitto: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pauses between two tries, which grow to half a minute, are cut short, and the lots are drawn."""
    monkeypatch.setattr(mqtt, "backoff_s", lambda *_: random.uniform(0.02, 0.1))
    broker = mosquitto()
    first, second = (Subscriber(settings(broker.port), SystemClock()) for _ in range(2))
    first._takeovers, second._takeovers = Takeovers(14), Takeovers(6)
    with capture_logs() as said:
        first.start()
        second.start()
        assert second.failed.wait(20)
        until(first.connected.is_set, "the other has the broker")
        time.sleep(0.3)
        assert first.connected.is_set() and not first.failed.is_set()
        first.leave()
        first.join(5)
    (line,) = [each for each in said if each["event"] == "broker.taken_over"]
    assert "ingest.worker" in line["hint"] and line["client_id"] == "helmetwatch-test"


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 20))
def test_only_so_many_cut_connections_in_a_row_mean_another_client_with_our_name(
    cuts: list[bool], proof: int
) -> None:
    takeovers = Takeovers(proof)
    for i, cut in enumerate(cuts, 1):
        assert takeovers.ended(cut=cut) == (i >= proof and all(cuts[i - proof : i]))


def test_a_second_worker_on_this_machine_with_one_name_at_one_broker_does_not_start(tmp_path: Path) -> None:
    def config(**mqtt: object) -> Ingest:
        return Ingest.model_validate({"worker": f"test-{tmp_path}", "mqtt": {"port": 1883} | mqtt})

    with claim(config()):
        with pytest.raises(ConfigError, match=r"ingest\.worker: another worker on this machine"):
            claim(config())
        claim(config(port=1884)).close()
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"ingest": {"worker": f"test-{tmp_path}"}}))
        told = subprocess.run(
            [sys.executable, "-m", "app.cli", "worker", "--config", str(tmp_path / "config.yaml")],
            env=os.environ | {"HELMETWATCH_DESK_TOKEN": secrets.token_urlsafe(32)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert told.returncode == 1 and "another worker on this machine" in told.stderr
    claim(config()).close()


class Hasty(threading.Event):
    """Waits without waiting, and is set after so many waits."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self.left, self.longest_s = waits, 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.left, self.longest_s = self.left - 1, max(self.longest_s, timeout or 0)
        if self.left <= 0:
            self.set()
        return self.is_set()


def test_a_broker_that_refuses_for_hours_does_not_end_the_thread_and_is_no_namesake() -> None:
    """At half a minute each, more than nine hours."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    subscriber = Subscriber(settings(port), SystemClock())
    subscriber._stopping = hasty = Hasty(1100)
    with capture_logs() as said:
        subscriber.start()
        subscriber.join(60)
    assert hasty.left == 0 and not subscriber.alive() and not subscriber.failed.is_set()
    assert hasty.longest_s <= 30
    assert {each["event"] for each in said} == {"broker.failed"} and len(said) == 1100


def test_a_certificate_that_is_missing_for_a_while_is_tried_again(tmp_path: Path) -> None:
    missing = tmp_path / "ca.crt"
    subscriber = Subscriber(settings(1, tls={"enabled": True, "ca_file": str(missing)}), SystemClock())
    subscriber._stopping = Hasty(5)
    with capture_logs() as said:
        subscriber.start()
        subscriber.join(20)
    assert not subscriber.failed.is_set()
    assert [str(missing) in each["error"] for each in said] == [True] * 5


@ENDS_A_THREAD
def test_a_thread_that_ends_unbidden_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    subscriber = Subscriber(settings(1), SystemClock())

    def ends() -> None:
        raise SystemExit

    monkeypatch.setattr(subscriber, "_connection", ends)
    subscriber.start()
    subscriber.join(10)
    assert not subscriber.alive() and subscriber.failed.is_set()


@ENDS_A_THREAD
def test_a_network_thread_that_dies_is_noticed_and_replaced(mosquitto: Callable) -> None:
    """paho goes on saying that it is connected."""
    broker = mosquitto()
    before = failures("thread_died")
    with subscribed(settings(broker.port)) as subscriber:
        thread = subscriber._network_thread()
        assert thread is not None
        raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
        assert raise_in(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)) == 1
        until(lambda: failures("thread_died") > before, "it is noticed")
        assert not thread.is_alive()
        assert subscriber.connected.wait(20)
        send(broker.port, b"after")
        assert payloads(take(subscriber, 1)) == [b"after"]


def connections() -> float:
    return sum(metrics.CONNECTS.labels(session)._value.get() for session in ("new", "resumed"))


def test_a_full_queue_slows_the_broker_and_loses_nothing(mosquitto: Callable) -> None:
    broker = mosquitto()
    sent = [b"%d" % i for i in range(3000)]
    with subscribed(settings(broker.port, queue_size=100, receive_maximum=20)) as subscriber:
        send(broker.port, *sent)
        got: list[Delivery] = []
        while len(got) < len(sent):
            some = take(subscriber, 1)
            assert len(subscriber.inbox) <= 100
            subscriber.acknowledge(some)
            got += some
        assert payloads(got) == sent


def test_large_messages_fill_the_queue_by_their_bytes(mosquitto: Callable) -> None:
    """Ten thousand of 64 KiB would be 640 MB."""
    broker = mosquitto()
    sent = [b"%d" % i + bytes(60_000) for i in range(60)]
    with subscribed(settings(broker.port, queue_mb=1)) as subscriber:
        send(broker.port, *sent)
        until(lambda: len(subscriber.inbox) == 17, "as many as fit into 1 MiB have come")
        time.sleep(0.3)
        assert len(subscriber.inbox) == 17
        got: list[Delivery] = []
        while len(got) < len(sent):
            some = take(subscriber, 1)
            subscriber.acknowledge(some)
            got += some
        assert payloads(got) == sent


def test_prompts_that_the_broker_does_not_take_are_given_up_and_counted(
    mosquitto: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "_PROMPTS_MAX", 50)
    broker = mosquitto()
    with subscribed(settings(broker.port)) as subscriber:
        before = metrics.PROMPTS_DROPPED._value.get()
        broker.process.send_signal(signal.SIGSTOP)
        taken = [subscriber.publish("helmets/3f/SF-000001/prompt", b"x") for _ in range(80)]
        broker.process.send_signal(signal.SIGCONT)
        assert taken == [True] * 50 + [False] * 30
        assert metrics.PROMPTS_DROPPED._value.get() - before == 30


def test_refused_credentials_are_not_hammered(mosquitto: Callable, tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "worker", "right"], check=True)
    broker = mosquitto(settings=f"allow_anonymous false\npassword_file {passwords}\n")
    log = tmp_path / "wrong"
    log.write_text("wrong")
    subscriber = Subscriber(settings(broker.port, username="worker", password_file=str(log)), SystemClock())
    before = sum(map(failures, REFUSALS.values()))
    subscriber.start()
    until(lambda: sum(map(failures, REFUSALS.values())) > before, "the broker has refused")
    time.sleep(1.5)  # after any other failure it would have tried again some times by now
    assert subscriber._refused and not subscriber.connected.is_set()
    assert sum(map(failures, REFUSALS.values())) == before + 1
    subscriber.leave()
    subscriber.join(5)


def test_a_broker_that_knows_only_mqtt_3_1_1_is_spoken_to_in_3_1_1(tmp_path: Path) -> None:
    from servers import free_port, wait_for_port

    from app.broker import write_config

    port = free_port()
    config = tmp_path / "broker.toml"
    write_config(config, port_v5=free_port(), port_v311=port, users={"worker": "right"})
    process = subprocess.Popen([sys.executable, "-m", "app.broker", str(config)])
    try:
        wait_for_port(port, process)
        (tmp_path / "password").write_text("right")
        config = settings(port, username="worker", password_file=str(tmp_path / "password"))
        with subscribed(config) as subscriber:
            publish.single(TOPIC, b"a", qos=1, port=port, auth={"username": "worker", "password": "right"})
            assert payloads(take(subscriber, 1)) == [b"a"]
    finally:
        process.terminate()
        process.wait(10)


def test_only_the_configured_shards_are_heard_also_after_the_configuration_changed(
    mosquitto: Callable,
) -> None:
    broker = mosquitto()
    with subscribed(settings(broker.port)):
        pass
    narrow = settings(broker.port).model_copy(update={"shards": "00-0f"})
    with subscribed(narrow) as subscriber:
        send(broker.port, b"not ours")
        publish.single("helmets/0a/SF-2/event", b"ours", qos=1, port=broker.port)
        assert payloads(take(subscriber, 1)) == [b"ours"]


def test_shards_are_ranges_of_two_hex_digits() -> None:
    assert parse_shards("00-02,a0") == ["00", "01", "02", "a0"]
    assert topic_filters("00-ff") == [f"helmets/+/+/{leaf}" for leaf in ("motion", "event", "status")]
    for wrong in ("", "x", "3-1", "00-100", "-", "1,,2"):
        with pytest.raises(ConfigError):
            parse_shards(wrong)


def test_messages_that_the_broker_drops_for_want_of_room_are_noticed(mosquitto: Callable) -> None:
    """mosquitto drops the newest where a client's queue is full, and tells nobody but $SYS."""
    full = "allow_anonymous true\nsys_interval 1\nmax_queued_messages 10\nmax_inflight_messages 5\n"
    broker = mosquitto(settings=full)
    with subscribed(settings(broker.port).model_copy(update={"worker": "away"})):
        pass
    before = metrics.BROKER_DROPPED._value.get()
    with subscribed(settings(broker.port)) as subscriber:
        until(
            lambda: subscriber._drops._dropped >= 0,
            "the broker's first word, with which the next is compared",
        )
        sent = 100
        for _ in range(sent):
            send(broker.port, b"x")
            subscriber.acknowledge(take(subscriber, 1))
        until(lambda: metrics.BROKER_DROPPED._value.get() - before >= 80, "the broker's count has come")
        assert not len(subscriber.inbox)
    assert 80 <= metrics.BROKER_DROPPED._value.get() - before <= sent


def failures(label: str) -> float:
    return float(metrics.CONNECT_FAILURES.labels(label)._value.get())


REFUSALS = {
    0x87: "credentials",
    0x85: "client_id",
    0x89: "busy",
    0x95: "oversize",
    0x97: "quota",
    0x9F: "rate",
    0x80: "refused",
}
ENDS = {0x8D: "keepalive", 0x8E: "taken_over", 0x93: "receive_maximum", 0x95: "oversize", 0x97: "quota"}


@contextlib.contextmanager
def scripted(reply: bytes) -> Iterator[int]:
    """A broker that says one thing to whoever connects."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(reply)
                    connection.settimeout(1)
                    with contextlib.suppress(OSError):
                        while connection.recv(4096):
                            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


class Forgetful:
    """A broker that cuts its first connection, forgets the session, and numbers the next message 1 again.

    `heard` is what it was told after its first CONNACK; its second waits for `accept`.
    """

    PUBLISH = bytes([0x32, 5 + len(TOPIC) + 1, 0, len(TOPIC)]) + TOPIC.encode() + bytes([0, 1, 0]) + b"x"

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.cut, self.second, self.accept = threading.Event(), threading.Event(), threading.Event()
        self.heard = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            first, _ = self.listener.accept()
            with first:
                self._welcome(first)
                self.cut.wait(20)
            connection, _ = self.listener.accept()
            with connection:
                connection.recv(4096)
                self.second.set()
                while not self.accept.wait(0.01):
                    self._hear(connection)
                self._welcome(connection, connect=False)
                while True:
                    self._hear(connection)

    def _hear(self, connection: socket.socket) -> None:
        connection.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            if not (some := connection.recv(4096)):
                raise OSError
            self.heard += some

    def _welcome(self, connection: socket.socket, *, connect: bool = True) -> None:
        """Accepts it, and its one subscription, as packet 1; then sends a message with the number 1."""
        if connect:
            connection.recv(4096)
        connection.sendall(bytes([0x20, 3, 0, 0, 0]))
        connection.settimeout(5)
        self.heard += connection.recv(4096)
        connection.sendall(bytes([0x90, 6, 0, 1, 0, 1, 1, 1]) + self.PUBLISH)

    def pubacks(self) -> int:
        return self.heard.count(bytes([0x40, 2, 0, 1]))


@pytest.fixture
def forgetful() -> Iterator[tuple[Forgetful, Subscriber]]:
    broker = Forgetful()
    subscriber = Subscriber(settings(broker.port, protocol="5", watch_drops=False), SystemClock())
    subscriber.start()
    try:
        yield broker, subscriber
    finally:
        subscriber.leave()
        broker.listener.close()
        subscriber.join(5)


def test_an_acknowledgement_between_two_connections_is_not_sent_by_the_next(
    forgetful: tuple[Forgetful, Subscriber],
) -> None:
    """The client of the next connection is there already, and its broker has not said a word yet."""
    broker, subscriber = forgetful
    old = take(subscriber, 1)
    broker.cut.set()
    assert broker.second.wait(20)
    subscriber.acknowledge(old)
    broker.accept.set()
    new = take(subscriber, 1)
    assert broker.pubacks() == 0, "the broker would take it for the message that has this number now"
    subscriber.acknowledge(new)
    until(lambda: broker.pubacks() == 1, "the new one is acknowledged")


def test_acknowledgements_that_a_new_connection_overtakes_are_not_sent_by_it(
    forgetful: tuple[Forgetful, Subscriber],
) -> None:
    broker, subscriber = forgetful
    old, new = take(subscriber, 1), []

    class Overtaken(list[Delivery]):
        def __iter__(self) -> Iterator[Delivery]:
            broker.accept.set()
            new.extend(take(subscriber, 1))
            yield from old

    broker.cut.set()
    assert broker.second.wait(20)
    subscriber.acknowledge(Overtaken(old))
    subscriber.acknowledge(new)
    until(lambda: broker.pubacks() > 0, "the new one is acknowledged")
    time.sleep(0.2)
    assert broker.pubacks() == 1


@pytest.mark.parametrize(
    ("reply", "label"),
    [(bytes([0x20, 3, 0, code, 0]), label) for code, label in REFUSALS.items()]
    + [(bytes([0x20, 3, 0, 0, 0, 0xE0, 2, code, 0]), label) for code, label in ENDS.items()],
    ids=[f"refused-{label}" for label in REFUSALS.values()] + [f"closed-{label}" for label in ENDS.values()],
)
def test_each_reason_of_the_broker_has_a_counter_and_a_line_of_its_own(reply: bytes, label: str) -> None:
    before = failures(label)
    with scripted(reply) as port, capture_logs() as said:
        subscriber = Subscriber(settings(port, protocol="5"), SystemClock())
        subscriber.start()
        until(lambda: failures(label) > before, label)
        # Two workers with one name would throw each other out for ever; everything else may pass.
        assert subscriber.failed.wait(5 if label == "taken_over" else 0) == (label == "taken_over")
        subscriber.leave()
        subscriber.join(5)
    line = next(each for each in said if each["log_level"] == "error")
    if label == "taken_over":
        assert line["event"] == "broker.taken_over"
    else:
        assert line["event"] == ("broker.refused" if reply[3] else "broker.closed")
        assert line["label"] == label and line["hint"]
