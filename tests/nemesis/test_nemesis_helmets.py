"""Helmets, and whoever says he is one, send too much, twice, in the wrong order, damaged: nobody else notices."""

import os
import time
import zlib
from collections.abc import Callable, Iterator
from itertools import count, islice

import numpy as np
import pytest
from arena import Arena, assert_kept, until
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bench.command import metrics
from core.clock import SystemClock
from core.model import HelmetEvent
from ingest.codec import HEADER, encode_event, topic
from simulator.faults import Faults
from simulator.helmet import Helmets
from simulator.scenario import Scenario

LATE_MS = {"garbage": 6_000.0, "frames": 6_000.0, "calls for help": 20_000.0}
"""Real time from the frame that completes a decision to the alert, on a machine that has a lot else to do.

Each call for help is an alert of its own, which the desk opens before those that come later."""


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


def madness(kind: str, now_us: Callable[[], int]) -> Iterator[tuple[str, bytes]]:
    """What one helmet gone mad sends: garbage, sound frames with the next number, or a call for help each time."""
    mad = Helmets(Scenario("mad", 1, prefix="MAD-"), now_us())
    payload = mad.prepare(np.arange(1))[0].payload
    header, samples = np.frombuffer(payload, HEADER, 1).copy(), payload[HEADER.itemsize : -4]
    for number in count():
        if kind == "garbage":
            yield topic(mad.ids[0], "motion"), os.urandom(700)
        elif kind == "frames":
            header["seq"], header["t0_us"] = number, now_us()
            frame = header.tobytes() + samples
            yield topic(mad.ids[0], "motion"), frame + zlib.crc32(frame).to_bytes(4, "little")
        else:
            event = HelmetEvent(mad.ids[0], "sos", now_us(), 0)
            yield topic(mad.ids[0], "event"), encode_event(event)


@pytest.mark.parametrize(
    ("kind", "messages"), [("garbage", 6000), ("frames", 2000), ("calls for help", 1000)]
)
def test_a_helmet_gone_mad_delays_nobody(ring: Arena, kind: str, messages: int) -> None:
    """It sends as fast as it can while others crash."""
    ring.start_worker()
    ring.connected()
    mad = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    mad.username_pw_set(ring.stack.broker_user, ring.stack.broker_password)
    mad.max_inflight_messages_set(1000)
    mad.connect("127.0.0.1", ring.stack.broker_port)
    mad.loop_start()
    ride = ring.ride(seed=8)
    until(lambda: ride.ledger.exists(), "the fleet rides")
    clock = SystemClock(**ring.base["time"])
    sent = [mad.publish(*message, 1) for message in islice(madness(kind, clock.now_us), messages)]
    sent[-1].wait_for_publish(30)
    mad.disconnect()
    mad.loop_stop()
    account = ring.settle(ride)
    assert_kept(account)
    assert max(account.latency_ms) < LATE_MS[kind], str(account)
    until(
        lambda: metrics(ring.stack)["helmetwatch_messages_acknowledged_total"] >= messages,
        "all of it is taken in",
    )
