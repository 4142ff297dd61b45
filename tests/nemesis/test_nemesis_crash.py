"""The worker is killed with -9, again and again: at every labelled point and at moments of no meaning."""

import os
import random
import time

import pytest
from arena import Arena, assert_kept, until
from mortal import LABELS

RUNS = int(os.environ.get("RUNS", "20"))


@pytest.mark.parametrize("run", range(RUNS))
def test_a_killed_worker_loses_nothing_and_every_collision_alerts(ring: Arena, run: int) -> None:
    label = LABELS[run // 2 % len(LABELS)] if run % 2 == 0 else ""
    rng = random.Random(run)
    if label == "resuming":
        ring.start_worker()
    else:
        ring.start_worker(die_at=label)
    ring.connected()
    ride = ring.ride(seed=run + 1)
    if label and label != "resuming":
        assert ring.worker is not None
        ring.worker.join(20)
        assert ring.worker.exitcode == -9, f"it never came to '{label}'"
    else:
        time.sleep(rng.uniform(0.3, 2.0))
        ring.kill_worker()
    if label == "resuming":
        ring.start_worker(die_at=label)
        assert ring.worker is not None
        ring.worker.join(20)
        assert ring.worker.exitcode == -9
    if rng.random() < 0.3:  # a second kill soon after, sometimes before it is connected
        ring.start_worker()
        time.sleep(rng.uniform(0.05, 0.6))
        ring.kill_worker()
    ring.start_worker()
    until(lambda: ring.worker is not None and ring.worker.is_alive(), "the worker lives")
    account = ring.settle(ride)
    print(f"\nrun {run}, killed {f'at: {label}' if label else 'at random'}; {account}")  # noqa: T201  (`make soak` shows it)
    assert_kept(account)
