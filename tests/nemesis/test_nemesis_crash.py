"""The worker is killed with -9, again and again: at every labelled point and at moments of no meaning."""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from arena import Arena, assert_kept, until
from mortal import LABELS

from app.reconcile import Account
from bench.results import write_json

RUNS = int(os.environ.get("RUNS", "20"))


@pytest.fixture(scope="module")
def accounts() -> Iterator[list[Account]]:
    """What each run came to; their sum goes to the file that `make soak` names (SUMMARY), however it ends."""
    accounts: list[Account] = []
    yield accounts
    if path := os.environ.get("SUMMARY"):
        total = Counter(runs=len(accounts), wanted=RUNS)
        for account in accounts:
            total.update(
                acknowledged=account.acknowledged,
                lost=len(account.lost),
                duplicated=account.duplicated,
                rejected=account.rejected,
                collisions=account.collisions,
                alerted=account.collisions - len(account.missed),
                repeated=len(account.repeated),
                false=len(account.false),
            )
        write_json(Path(path), dict(total))


@pytest.mark.parametrize("run", range(RUNS))
def test_a_killed_worker_loses_nothing_and_every_collision_alerts(
    ring: Arena, accounts: list[Account], run: int
) -> None:
    label = LABELS[run // 2 % len(LABELS)] if run % 2 == 0 else ""
    rng = random.Random(run)
    ring.start_worker(die_at="" if label == "resuming" else label)
    ring.connected()
    ride = ring.ride(seed=run + 1)
    if label == "resuming":
        until(lambda: ring.alerted(ride) >= 1, "there is a crash to be found again")
        ring.kill_worker()
        ring.start_worker(die_at=label)
    if label:
        assert ring.worker is not None
        ring.worker.join(20)
        assert ring.worker.exitcode == -9, f"it never came to '{label}'"
    else:
        time.sleep(rng.uniform(0.3, 2.0))
        ring.kill_worker()
    if rng.random() < 0.3:  # a second kill soon after, sometimes before it is connected
        ring.start_worker()
        time.sleep(rng.uniform(0.05, 0.6))
        ring.kill_worker()
    ring.start_worker()
    until(lambda: ring.worker is not None and ring.worker.is_alive(), "the worker lives")
    account = ring.settle(ride)
    accounts.append(account)
    print(f"\nrun {run}, killed {f'at: {label}' if label else 'at random'}; {account}")  # noqa: T201  (`make soak` shows it)
    assert_kept(account)
