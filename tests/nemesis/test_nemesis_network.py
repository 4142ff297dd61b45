"""Broker, network and neighbours misbehave: each run ends in lost 0 and every collision alerted."""

import os
import signal
import sqlite3
import time

import pytest
from arena import Arena, assert_kept, until
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from proxy import Proxy

from app.reconcile import Account
from bench.command import metrics
from simulator.faults import Faults
from simulator.ledger import read_ledger

REJECTED = "helmetwatch_messages_rejected_total"


def alerted_and_counted(ring: Arena, account: Account) -> bool:
    """Where the broker forgot what it had acknowledged: every crash has its alert, and the worker knows of each gap."""
    return not account.missed and len(account.lost) <= metrics(ring.stack)["helmetwatch_frames_missing_total"]


def test_a_worker_that_is_stopped_until_the_broker_gives_it_up(ring: Arena) -> None:
    """SIGSTOP for 7 s, longer than one and a half keepalives of 4 s; 56 s of the run's clock."""
    ring.start_worker()
    ring.connected()
    ride = ring.ride(seed=1)
    time.sleep(0.8)
    ring.signal_worker(signal.SIGSTOP)
    time.sleep(7)
    ring.signal_worker(signal.SIGCONT)
    assert_kept(ring.settle(ride))


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_the_broker_restarts_and_has_its_sessions(ring: Arena, kill: bool) -> None:
    ring.start_worker()
    ring.connected()
    ride = ring.ride(seed=2)
    time.sleep(1.3)  # the broker saves every second; killed within it, it may forget what it said it has
    ring.restart_broker(kill=kill)
    if kill:
        account = ring.settle(ride, lambda now: alerted_and_counted(ring, now))
        assert alerted_and_counted(ring, account) and account.collisions >= 3, str(account)
    else:
        assert_kept(ring.settle(ride))


@pytest.mark.parametrize("nemesis", ["black hole", "reset", "slow"])
def test_the_network_between_worker_and_broker(ring: Arena, nemesis: str) -> None:
    with Proxy(ring.stack.broker_port) as proxy:
        ring.configure(ingest__mqtt__port=proxy.port)
        ring.start_worker()
        ring.connected()
        ride = ring.ride(seed=3)
        time.sleep(0.5)
        if nemesis == "black hole":
            proxy.black_hole(True)
            time.sleep(2.5)
            proxy.black_hole(False)
        elif nemesis == "reset":
            for _ in range(5):
                proxy.cut()
                time.sleep(0.3)
        else:
            proxy.slow(30_000)  # a third of what the fleet sends
            time.sleep(2)
            proxy.slow(0)
        assert_kept(ring.settle(ride))
        ring.kill_worker()


@pytest.mark.parametrize("nemesis", ["black hole", "reset"])
def test_the_network_between_worker_and_desk(ring: Arena, nemesis: str) -> None:
    with Proxy(int(ring.stack.url.rpartition(":")[2])) as proxy:
        ring.configure(ingest__desk_url=f"http://127.0.0.1:{proxy.port}")
        ring.start_worker()
        ring.connected()
        ride = ring.ride(seed=4)
        until(lambda: ride.crashed() >= 1, "a crash")
        for _ in range(6):
            proxy.black_hole(nemesis == "black hole")
            proxy.cut()
            time.sleep(0.25)
        proxy.black_hole(False)
        proxy.cut()
        assert_kept(ring.settle(ride))
        ring.kill_worker()


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


def test_frames_that_come_twice_in_the_wrong_order_or_damaged(ring: Arena) -> None:
    ring.start_worker()
    ring.connected()
    faults = Faults(duplicate=0.2, swap=0.1, truncate=0.02, checksum=0.02, garbage=0.05, foreign=0.02)
    ride = ring.ride(seed=7, faults=faults)
    time.sleep(1)
    ring.kill_worker()
    ring.start_worker()
    account = ring.settle(ride)
    assert_kept(account, collisions=1)
    assert account.rejected > 3


def test_a_flood_of_garbage_and_a_helmet_gone_mad_delay_nobody(ring: Arena) -> None:
    ring.start_worker()
    ring.connected()
    ride = ring.ride(seed=8)
    flood = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    flood.username_pw_set(ring.stack.broker_user, ring.stack.broker_password)
    flood.max_inflight_messages_set(1000)
    flood.connect("127.0.0.1", ring.stack.broker_port)
    flood.loop_start()
    sent = [flood.publish("helmets/00/MAD/motion", os.urandom(700), 1) for _ in range(6000)]
    sent[-1].wait_for_publish(30)
    flood.disconnect()
    flood.loop_stop()
    account = ring.settle(ride)
    assert_kept(account)
    # Counted by the worker, not from the ledger's first frame on: the flood may be quicker than the fleet.
    until(
        lambda: sum(n for k, n in metrics(ring.stack).items() if k.startswith(REJECTED)) >= len(sent),
        "all of the flood is counted",
    )


def test_a_whole_run_sent_again_changes_nothing(ring: Arena) -> None:
    """The same bytes twice, with a kill in between: tables and alerts are the same afterwards."""
    ring.start_worker()
    ring.connected()
    heard: list[tuple[str, bytes]] = []
    recorder = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    recorder.username_pw_set(ring.stack.broker_user, ring.stack.broker_password)
    recorder.on_connect = lambda c, *_: c.subscribe("helmets/+/+/motion", 1)
    recorder.on_message = lambda _, __, m: heard.append((m.topic, bytes(m.payload)))
    recorder.connect("127.0.0.1", ring.stack.broker_port)
    recorder.loop_start()
    ride = ring.ride(seed=9)
    assert_kept(ring.settle(ride))
    time.sleep(1.5)  # the last versions of the incidents: 12 s of the run's clock
    before = tables(ring)
    recorder.unsubscribe("helmets/+/+/motion")
    ring.kill_worker()
    ring.start_worker()
    sent = [recorder.publish(topic, payload, 1) for topic, payload in heard]
    sent[-1].wait_for_publish(20)
    recorder.disconnect()
    recorder.loop_stop()
    until(
        lambda: metrics(ring.stack).get("helmetwatch_messages_acknowledged_total", 0) >= len(sent),
        "all of it is taken in again",
    )
    time.sleep(1)
    assert tables(ring) == before
    assert_kept(ring.settle(ride))


def tables(ring: Arena) -> dict[str, list[tuple[object, ...]]]:
    found = {}
    for file, query in {
        "telemetry.db": "SELECT * FROM telemetry ORDER BY 1, 2, 3, 4, 5",
        "alerts.db": "SELECT id, helmet, occurred_us FROM (SELECT id, helmet, "
        "json_extract(body, '$.occurred_us') AS occurred_us, json_extract(body, '$.impacts_us') FROM alerts) ORDER BY id",
    }.items():
        db = sqlite3.connect(f"file:{ring.stack.folder / file}?mode=ro", uri=True)
        found[file] = db.execute(query).fetchall()
        db.close()
    return found


def test_the_server_clock_is_set_forwards_and_back(ring: Arena) -> None:
    """By 30 s: less than `ingest.future_s`, beyond which frames would count as dated in the future."""
    ring.start_worker(steps=30)
    ring.connected()
    ride = ring.ride(seed=10, seconds=26)
    assert_kept(ring.settle(ride))


def test_a_broker_killed_right_after_it_acknowledged_an_impact_frame(ring: Arena) -> None:
    """It never saved and nobody had heard the frame; the helmet repeats it until it is told `received`."""
    config = ring.stack.folder / "mosquitto" / "mosquitto.conf"
    shipped = config.read_text()
    config.write_text(shipped.replace("autosave_interval 1", "autosave_interval 3600"))
    try:
        ring.restart_broker(kill=False)
        ring.start_worker()
        ring.connected()
        ring.kill_worker()  # stopped, it would still find in its socket what the broker had sent
        ride = ring.ride(seed=11, seconds=20)
        until(lambda: ride.crashed() >= 1, "the broker has acknowledged a crash")
        first = read_ledger(ride.ledger).crashes[0]
        ring.restart_broker(kill=True)
        ring.start_worker()
        account = ring.settle(ride, lambda now: not now.missed)
    finally:
        config.write_text(shipped)
        ring.restart_broker(kill=False)
    assert account.collisions >= 3 and not account.missed, str(account)
    # The broker did lose what it had acknowledged, all but what was sent on impact.
    assert account.lost and (first.helmet, first.boot, first.seq) not in account.lost


def test_a_broker_without_persistence_is_noticed_and_crashes_still_alert(ring: Arena) -> None:
    config = ring.stack.folder / "mosquitto" / "mosquitto.conf"
    shipped = config.read_text()
    config.write_text(shipped.replace("persistence true", "persistence false"))
    try:
        ring.restart_broker(kill=False)
        ring.start_worker()
        ring.connected()
        ride = ring.ride(seed=12, seconds=20)
        until(lambda: ride.crashed() >= 1, "a crash")
        lost_before = len(ring.said("broker.session_lost"))
        ring.restart_broker(kill=True)
        account = ring.settle(ride, lambda now: alerted_and_counted(ring, now))
        assert alerted_and_counted(ring, account) and account.collisions >= 3, str(account)
    finally:
        config.write_text(shipped)
        ring.restart_broker(kill=False)
    assert len(ring.said("broker.session_lost")) > lost_before
