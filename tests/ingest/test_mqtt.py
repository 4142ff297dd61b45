"""The broker's side, against a real mosquitto: nothing acknowledged before its time, nothing lost, nothing stuck."""

import contextlib
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paho.mqtt import publish

from core import metrics
from core.clock import SystemClock
from core.config import ConfigError, Ingest, Mqtt
from ingest.inbox import Delivery
from ingest.mqtt import Subscriber
from ingest.shards import parse_shards, topic_filters

TOPIC = "helmets/3f/SF-000001/motion"


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
    return [subscriber.inbox.get(timeout=10) for _ in range(count)]


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
        with pytest.raises(queue.Empty):
            second.inbox.get(timeout=0.3)


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
            assert subscriber.inbox.qsize() <= 100
            subscriber.acknowledge(some)
            got += some
        assert payloads(got) == sent


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
        assert subscriber.inbox.empty()
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


@pytest.mark.parametrize(
    ("reply", "label"),
    [(bytes([0x20, 3, 0, code, 0]), label) for code, label in REFUSALS.items()]
    + [(bytes([0x20, 3, 0, 0, 0, 0xE0, 2, code, 0]), label) for code, label in ENDS.items()],
    ids=[f"refused-{label}" for label in REFUSALS.values()] + [f"closed-{label}" for label in ENDS.values()],
)
def test_each_reason_of_the_broker_has_a_counter_of_its_own(reply: bytes, label: str) -> None:
    before = failures(label)
    with scripted(reply) as port:
        subscriber = Subscriber(settings(port, protocol="5"), SystemClock())
        subscriber.start()
        until(lambda: failures(label) > before, label)
        # Two workers with one name would throw each other out for ever; everything else may pass.
        assert subscriber.failed.wait(5 if label == "taken_over" else 0) == (label == "taken_over")
        subscriber.leave()
        subscriber.join(5)
