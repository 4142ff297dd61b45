"""Helmets, and whoever says he is one, send too much, twice, in the wrong order, damaged: nobody else notices."""

import os
import sqlite3
import time

from arena import Arena, assert_kept, until
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bench.command import metrics
from simulator.faults import Faults

REJECTED = "helmetwatch_messages_rejected_total"


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
