"""The server's clock and the helmets' are set, forwards and back."""

import time

import pytest
from arena import Arena, assert_kept, until

from app.reconcile import Account
from simulator.faults import ClockFault
from simulator.ledger import read_ledger

HOUR_S, DAY_S = 3600.0, 86400.0


def settled(account: Account) -> bool:
    """Nothing is lost or under way; whether every crash was alerted is another question."""
    return not account.lost and not account.undelivered and not account.rows_waiting


def test_the_server_clock_is_set_forwards_and_back(ring: Arena) -> None:
    """By 30 s: less than `ingest.future_s`, beyond which frames are dated by their arrival."""
    ring.start_worker(steps_s=(30, -30, 0))
    ring.connected()
    ride = ring.ride(seed=10)
    for _ in range(3):
        time.sleep(0.5)
        ring.set_worker_clock()
    assert_kept(ring.settle(ride))


@pytest.mark.parametrize("wrong_s", [-HOUR_S, DAY_S], ids=["an hour back", "a day forwards"])
def test_the_server_clock_is_far_wrong_for_a_while(ring: Arena, wrong_s: float) -> None:
    """Frames are dated by their arrival, or count as ancient: none is lost, and a crash is missed only of these."""
    ring.start_worker(steps_s=(wrong_s, 0))
    ring.connected()
    ride = ring.ride(seed=17, seconds=60)
    until(lambda: ring.alerted(ride) >= 1, "the first crash is alerted")
    ring.set_worker_clock()
    right = ride.crashed()
    until(lambda: ride.crashed() >= right + 1, "another while the clock is wrong")
    ring.set_worker_clock()
    wrong = ride.crashed()
    account = ring.settle(ride, settled)
    crashes = read_ledger(ride.ledger).crashes
    assert wrong < len(crashes) == account.collisions
    assert settled(account) and account.rejected == 0, str(account)
    assert set(account.missed) <= (set() if wrong_s < 0 else set(crashes[right:wrong])), str(account)
    assert account.duplicated == 0 and not account.repeated and not account.false, str(account)


@pytest.mark.parametrize("wrong_s", [-HOUR_S, DAY_S], ids=["an hour back", "a day forwards"])
def test_helmets_whose_clocks_are_far_wrong_for_a_while(ring: Arena, wrong_s: float) -> None:
    """Two crash meanwhile, two afterwards: whoever's clock it is, nobody's crash is missed."""
    ring.start_worker()
    ring.connected()
    faults = [
        ClockFault(helmet, t_s, step_s)
        for helmet, right_s in enumerate((13.0, 13.0, 5.0, 5.0))
        for t_s, step_s in ((2.0, wrong_s), (right_s, -wrong_s))
    ]
    ride = ring.ride(seed=18, seconds=16, clock_faults=tuple(faults))
    account = ring.settle(ride, settled)
    assert settled(account) and account.collisions == 4, str(account)
    assert account.duplicated == 0 and not account.repeated and not account.false, str(account)
    assert account.kept and account.rejected == 0, str(account)
