"""Network, neighbours and the machine misbehave: each run ends in lost 0 and every collision alerted."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from arena import SCALE, Arena, assert_kept, until
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from proxy import Proxy


def given_up(ring: Arena) -> int:
    """How often the broker said that it has heard nothing of the worker for one and a half keepalives (4 s)."""
    log = (ring.stack.folder / "broker.log").read_text(errors="replace")
    return log.count("helmetwatch-worker-1 has exceeded timeout")


def test_a_worker_that_is_stopped_until_the_broker_gives_it_up(ring: Arena) -> None:
    """SIGSTOP for 30 s and more of the system's clock, by which the helmets ride and crash meanwhile."""
    ring.start_worker()
    ring.connected()
    before = given_up(ring)
    ride = ring.ride(seed=1)
    until(lambda: ride.crashed() >= 1, "a crash")
    ring.signal_worker(signal.SIGSTOP)
    began_s = time.monotonic()
    until(lambda: given_up(ring) > before, "the broker has given the worker up")
    time.sleep(max(0.0, 30 / SCALE - (time.monotonic() - began_s)))
    ring.signal_worker(signal.SIGCONT)
    assert_kept(ring.settle(ride))


@contextmanager
def through(ring: Arena, setting: str, target: int, **fate: float) -> Iterator[Proxy]:
    """A worker, connected, that reaches one of its neighbours by a proxy alone."""
    with Proxy(target) as proxy:
        url = setting.endswith("url")
        ring.configure(**{setting: f"http://127.0.0.1:{proxy.port}" if url else proxy.port})
        ring.start_worker(**fate)
        ring.connected()
        yield proxy
        ring.kill_worker()


@contextmanager
def to_broker(ring: Arena) -> Iterator[Proxy]:
    with through(ring, "ingest__mqtt__port", ring.stack.broker_port) as proxy:
        yield proxy


def test_a_black_hole_between_worker_and_broker_until_both_have_noticed(ring: Arena) -> None:
    """Half-open: what either sends is lost, and neither hears that the other has hung up."""
    with to_broker(ring) as proxy:
        before = given_up(ring), len(ring.said("broker.lost"))
        ride = ring.ride(seed=3)
        time.sleep(0.5)
        with proxy.black_hole():
            until(lambda: given_up(ring) > before[0], "the broker has given the worker up")
            until(lambda: len(ring.said("broker.lost")) > before[1], "and the worker the broker")
        assert_kept(ring.settle(ride))


def test_a_connection_to_the_broker_that_is_reset_again_and_again(ring: Arena) -> None:
    with to_broker(ring) as proxy:
        ride = ring.ride(seed=13)
        for _ in range(6):
            time.sleep(0.3)
            proxy.cut()
        assert_kept(ring.settle(ride))


@pytest.mark.parametrize(
    ("bytes_per_s", "lasts_s"),
    [(30_000, 2), (1, 8)],
    ids=["a third of what the fleet sends", "a byte a second, beyond the broker's patience"],
)
def test_a_slow_connection_to_the_broker(ring: Arena, bytes_per_s: float, lasts_s: float) -> None:
    with to_broker(ring) as proxy:
        ride = ring.ride(seed=14)
        time.sleep(0.5)
        proxy.bytes_per_s = bytes_per_s
        time.sleep(lasts_s)
        proxy.bytes_per_s = 0
        assert_kept(ring.settle(ride))


def test_half_a_second_to_the_broker_and_half_a_second_back(ring: Arena) -> None:
    with to_broker(ring) as proxy:
        proxy.latency_s = 0.5
        ride = ring.ride(seed=15)
        assert_kept(ring.settle(ride))


def test_a_black_hole_between_worker_and_desk_until_the_relay_asks_anew(ring: Arena) -> None:
    """The relay's time-out, of 10 s otherwise, is 1 s here."""
    port = int(ring.stack.url.rpartition(":")[2])
    with through(ring, "ingest__desk_url", port, haste=10) as proxy:

        def timed_out() -> int:
            return sum(said["error"] == "TimeoutError" for said in ring.said("desk.unreachable"))

        before = timed_out()
        ride = ring.ride(seed=4)
        with proxy.black_hole():
            until(lambda: ride.crashed() >= 1, "a crash")
            until(lambda: timed_out() >= before + 2, "the relay has asked in vain, twice")
        assert_kept(ring.settle(ride))


def test_a_connection_to_the_desk_that_is_reset_again_and_again(ring: Arena) -> None:
    port = int(ring.stack.url.rpartition(":")[2])
    with through(ring, "ingest__desk_url", port) as proxy:
        ride = ring.ride(seed=16)
        until(lambda: ride.crashed() >= 1, "a crash")
        for _ in range(6):
            proxy.cut()
            time.sleep(0.25)
        assert_kept(ring.settle(ride))


def test_the_desk_is_killed_and_comes_back(ring: Arena) -> None:
    ring.start_worker()
    ring.connected()
    ride = ring.ride(seed=5)
    until(lambda: ride.crashed() >= 1, "a crash")
    ring.stack.stop("desk", kill=True)
    until(lambda: ride.crashed() >= 4, "the other crashes, with nobody to tell")
    ring.stack.start_desk()
    assert_kept(ring.settle(ride))


def test_another_client_takes_the_workers_name_for_a_while(ring: Arena) -> None:
    ring.start_worker()
    ring.connected()
    ride = ring.ride(seed=6)
    time.sleep(0.6)
    thief = Client(
        CallbackAPIVersion.VERSION2,
        client_id="helmetwatch-worker-1",
        protocol=MQTTProtocolVersion.MQTTv5,
        manual_ack=True,
        reconnect_on_failure=False,
    )
    thief.username_pw_set(ring.stack.broker_user, ring.stack.broker_password)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 86400
    thief.connect("127.0.0.1", ring.stack.broker_port, 4, clean_start=False, properties=properties)
    thief.loop_start()
    time.sleep(0.5)
    thief.disconnect()
    thief.loop_stop()
    assert_kept(ring.settle(ride))
