"""The worker is killed in the middle of a run and started again: nothing acknowledged is lost, every crash alerts."""

import subprocess
import sys
import time
from pathlib import Path

from app.reconcile import Account, account_for
from app.stack import Stack, running
from core.config import load
from simulator.ledger import read_ledger

SCALE = 4.0
"""The run's clock goes four times as fast, so that it is over in a quarter of the time."""


def ride(stack: Stack, ledger: Path, seconds: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "app.cli", "simulate", "--config", str(stack.config), "--helmets", "60"]
    command += ["--for", str(seconds), "--crashes-per-hour", "2000", "--seed", "3", "--ledger", str(ledger)]
    stack.start("fleet", command)
    return stack.processes.pop("fleet")


def settled(stack: Stack, ledger: Path) -> Account:
    """The account of a run that is over, once everything is where it belongs, or no longer will be."""
    deadline = time.monotonic() + 60
    while True:
        account = account_for(load(stack.config), read_ledger(ledger))
        if account.kept and not account.undelivered and not account.rows_waiting:
            return account
        if time.monotonic() > deadline:
            return account
        time.sleep(0.2)


def test_kill_9_of_the_worker_in_the_middle_of_a_run_loses_nothing(tmp_path: Path) -> None:
    options = {"time": {"scale": SCALE, "origin_us": time.time_ns() // 1000}}
    ledger = tmp_path / "ledger.jsonl"
    with running(tmp_path, kind="mosquitto", options=options) as stack:
        fleet = ride(stack, ledger, seconds=48)
        for pause_s in (3, 3, 2):
            time.sleep(pause_s)  # a kill at no particular moment is the point
            stack.stop("worker", kill=True)
            stack.start_worker()
        assert fleet.wait(60) == 0, stack.said("fleet")
        account = settled(stack, ledger)
    assert account.acknowledged > 60 * 40
    assert not account.lost
    assert account.collisions >= 8
    assert not account.missed
    assert not account.false
