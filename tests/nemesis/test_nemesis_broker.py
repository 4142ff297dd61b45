"""The broker is stopped, killed and robbed of its memory: what it kept is not lost, what it forgot is counted."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from arena import Arena, assert_kept, until

from app.reconcile import Account
from bench.command import metrics
from simulator.ledger import read_ledger


def alerted_and_counted(ring: Arena, account: Account) -> bool:
    """Where the broker forgot what it had acknowledged: every crash has its alert, and the worker knows of each gap."""
    return not account.missed and len(account.lost) <= metrics(ring.stack)["helmetwatch_frames_missing_total"]


@contextmanager
def broker_with(ring: Arena, shipped: str, instead: str) -> Iterator[None]:
    """A worker at a broker that has another line in its configuration than the shipped one."""
    config = ring.stack.folder / "mosquitto" / "mosquitto.conf"
    text = config.read_text()
    config.write_text(text.replace(shipped, instead))
    try:
        ring.restart_broker(kill=False)
        ring.start_worker()
        ring.connected()
        yield
    finally:
        config.write_text(text)
        ring.restart_broker(kill=False)


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


def test_a_broker_killed_right_after_it_acknowledged_an_impact_frame(ring: Arena) -> None:
    """It never saved and nobody had heard the frame; the helmet repeats it until it is told `received`."""
    with broker_with(ring, "autosave_interval 1", "autosave_interval 3600"):
        ring.kill_worker()  # stopped, it would still find in its socket what the broker had sent
        ride = ring.ride(seed=11, seconds=20)
        until(lambda: ride.crashed() >= 1, "the broker has acknowledged a crash")
        first = read_ledger(ride.ledger).crashes[0]
        ring.restart_broker(kill=True)
        ring.start_worker()
        account = ring.settle(ride, lambda now: not now.missed)
    assert account.collisions >= 3 and not account.missed, str(account)
    # The broker did lose what it had acknowledged, all but what was sent on impact.
    assert account.lost and (first.helmet, first.boot, first.seq) not in account.lost


def test_a_broker_without_persistence_is_noticed_and_crashes_still_alert(ring: Arena) -> None:
    with broker_with(ring, "persistence true", "persistence false"):
        ride = ring.ride(seed=12, seconds=20)
        until(lambda: ride.crashed() >= 1, "a crash")
        lost_before = len(ring.said("broker.session_lost"))
        ring.restart_broker(kill=True)
        account = ring.settle(ride, lambda now: alerted_and_counted(ring, now))
        assert alerted_and_counted(ring, account) and account.collisions >= 3, str(account)
    assert len(ring.said("broker.session_lost")) > lost_before
