"""A whole system with a clock that runs faster, fleets to ride in it, and the line each run must end in."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import mortal
import yaml
from disk import Disk

from app.reconcile import Account, account_for
from app.stack import Stack, running
from bench.command import metrics
from core.clock import SystemClock
from core.config import Config, load
from simulator.fleet import Broker, run_fleet
from simulator.ledger import Ledger, read_ledger
from simulator.scenario import Happening, Scenario

SCALE = 8.0
"""The system's clock goes eight times as fast: a ride of 16 s takes 2."""
HELMETS = 12
KINDS = ("head_strike", "car_hit", "head_strike", "car_hit")
"""Blows that no detector may miss, whatever the seed: what is judged here is what happens to them afterwards."""


def until(holds: Callable[[], bool], what: str, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not so after {timeout_s} s: {what}"
        time.sleep(0.02)


def arrived(account: Account) -> bool:
    """Everything is where it belongs."""
    return account.kept and not account.undelivered and not account.rows_waiting


@dataclass
class Ride:
    """A fleet under way, in a thread."""

    ledger: Path
    thread: threading.Thread

    def crashed(self) -> int:
        """Frames with a crash that the broker has acknowledged."""
        ledger = read_ledger(self.ledger) if self.ledger.exists() else None
        return 0 if ledger is None else sum((c.helmet, c.boot, c.seq) in ledger.acked for c in ledger.crashes)


class Arena:
    """Broker and desk that stay, and a worker to be mistreated."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.base: dict[str, Any] = yaml.safe_load(stack.config.read_text())
        self.worker: BaseProcess | None = None
        self.log = stack.folder / "mortal.log"
        self.rides = 0

    def configure(self, **sections: Any) -> None:
        """Settings for the next worker, beside those of the stack: `ingest__mqtt__port=1` and so on."""
        settings = json.loads(json.dumps(self.base))
        for name, value in sections.items():
            *path, last = name.split("__")
            part = settings
            for key in path:
                part = part.setdefault(key, {})
            part[last] = value
        self.stack.config.write_text(yaml.safe_dump(settings))

    def start_worker(self, die_at: str = "", disk: Disk | None = None, **fate: Any) -> None:
        """One that dies at a label, or whose journal and log are on a disk of their own, or see `mortal.Fate`."""
        death = mortal.Death(die_at, f"R{self.rides + 1}-") if die_at else None
        log = disk.folder / self.log.name if disk else self.log
        fated = mortal.Fate(death, disk=disk.holder if disk else 0, **fate)
        password = self.stack.broker_password
        self.worker = mortal.start(self.stack.config, self.stack.token, password, log, fated)

    def signal_worker(self, number: int) -> None:
        assert self.worker is not None and self.worker.pid
        os.kill(self.worker.pid, number)

    def set_worker_clock(self) -> None:
        """To the next of the `steps_s` it was started with."""
        self.signal_worker(signal.SIGUSR1)

    def signal_desk(self, number: int) -> None:
        self.stack.processes["desk"].send_signal(number)

    def kill_worker(self) -> None:
        if self.worker is not None:
            self.worker.kill()
            self.worker.join(10)
            self.worker = None

    def connected(self) -> None:
        """Waits until the worker has its broker."""
        assert self.worker is not None
        worker = self.worker
        until(
            lambda: not worker.is_alive() or metrics(self.stack).get("helmetwatch_broker_connected") == 1,
            "the worker is connected",
        )
        assert worker.is_alive(), self.log.read_text()[-2000:]

    def ride(
        self,
        seed: int,
        seconds: float = 14,
        port: int = 0,
        helmets: int = HELMETS,
        **befalls: Any,
    ) -> Ride:
        """A fleet of its own helmets, four of which crash; `befalls` it what else a `Scenario` has."""
        self.rides = number = self.rides + 1
        times = [4 + (seconds - 7) / len(KINDS) * k for k in range(len(KINDS))]
        happenings = tuple(
            Happening(t, kind, k) for k, (t, kind) in enumerate(zip(times, KINDS, strict=True))
        )
        scenario = Scenario(
            "nemesis", helmets, seed, prefix=f"R{number}-", riding=1.0, happenings=happenings, **befalls
        )
        ledger = self.stack.folder / f"ledger-{number}.jsonl"
        broker = Broker(
            "127.0.0.1", port or self.stack.broker_port, self.stack.broker_user, self.stack.broker_password
        )
        clock = SystemClock(**self.base["time"])
        thread = threading.Thread(
            target=run_fleet,
            args=(scenario, broker, clock),
            kwargs={"ledger": ledger, "duration_s": seconds, "stop": threading.Event(), "connections": 2},
        )
        thread.start()
        return Ride(ledger, thread)

    def alerted(self, ride: Ride) -> int:
        """Crashes of a ride under way that are in the alert book."""
        if not ride.crashed():
            return 0
        account = account_for(load(self.stack.config), read_ledger(ride.ledger))
        return account.collisions - len(account.missed)

    def settle(
        self,
        ride: Ride,
        done: Callable[[Account], bool] = arrived,
        ask: Callable[[Config, Ledger], Account] = account_for,
    ) -> Account:
        """Waits for the end of the ride and until it is `done`, or no longer will be."""
        ride.thread.join(60)
        assert not ride.thread.is_alive()
        config, ledger = load(self.stack.config), read_ledger(ride.ledger)
        deadline = time.monotonic() + 40
        while not done(account := ask(config, ledger)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return account

    def said(self, event: str) -> list[dict[str, Any]]:
        """What the workers logged under a name."""
        found = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in found if line.get("event") == event]

    def restart_broker(self, *, kill: bool = True, pause_s: float = 0.3) -> None:
        from app.stack import listens, start_mosquitto

        self.stack.stop("broker", kill=kill)
        time.sleep(pause_s)
        start_mosquitto(self.stack)
        until(lambda: listens(self.stack.broker_port), "the broker listens")


@contextmanager
def arena(folder: Path, scale: float = SCALE, origin_us: int = 0) -> Iterator[Arena]:
    """Starts broker and desk; whatever a test leaves of the worker is killed at the end."""
    options = {
        "time": {"scale": scale, "origin_us": origin_us or time.time_ns() // 1000},
        "ingest": {"mqtt": {"keepalive_s": 4}},
    }
    with running(folder, kind="mosquitto", options=options) as stack:
        stack.stop("worker")
        ring = Arena(stack)
        try:
            yield ring
        finally:
            if ring.worker is not None:
                ring.signal_worker(signal.SIGCONT)
                ring.kill_worker()


def assert_kept(account: Account, collisions: int = 3) -> None:
    """Lost 0, every collision alerted, nothing twice; and there were collisions to speak of."""
    assert account.kept, f"{account}\nlost: {account.lost[:5]}\nmissed: {account.missed}"
    assert account.collisions >= collisions, str(account)
    assert account.duplicated == 0 and not account.repeated, f"{account}\nrepeated: {account.repeated}"
