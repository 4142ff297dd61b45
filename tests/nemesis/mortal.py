"""A worker in a process of its own that can be told where to die; forked from a process that has the imports."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from disk import enter

from app import health, logs
from core.clock import SystemClock
from core.config import load
from ingest.codec import Message
from ingest.journal import Tick
from ingest.journal_file import JournalError
from ingest.pipeline import Pipeline
from ingest.worker import Worker

CONTEXT = multiprocessing.get_context("forkserver")
# Not this module: up to Python 3.12 that process does not find what is beside a test, and says nothing.
CONTEXT.set_forkserver_preload(["ingest.worker", "app.health", "app.reconcile"])

LABELS = (
    "received",
    "decided",
    "in the transaction",
    "committed",
    "half acknowledged",
    "acknowledged",
    "told",
    "delivered",
    "stored",
    "resuming",
)
"""Every step between the arrival of a message and the end of our care for it."""


class Death(NamedTuple):
    """Where to die, once one of the helmets whose ids begin with `prefix` has crashed."""

    label: str
    prefix: str


class Fate(NamedTuple):
    """What befalls a worker."""

    death: Death | None = None
    """Killed (-9)."""
    steps_s: tuple[float, ...] = ()
    """What its clock is wrong by after each SIGUSR1."""
    disk: int = 0
    """The process whose disks it sees (`disk.Disk.holder`), where they are not ours."""
    haste: float = 1.0
    """Its time-outs for the desk are as many times shorter."""


def start(config: Path, token: str, password: str, log: Path, fate: Fate) -> BaseProcess:
    """Starts a worker."""
    process = CONTEXT.Process(target=_work, args=(config, token, password, log, fate), daemon=True)
    process.start()
    return process


def _work(config: Path, token: str, password: str, log: Path, fate: Fate) -> None:
    if fate.disk:
        enter(fate.disk)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 2)
    logs.configure()
    os.environ["HELMETWATCH_MQTT_PASSWORD"] = password
    settings = load(config)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    clock = SystemClock(settings.time.scale, settings.time.origin_us)
    patience = aiohttp.ClientTimeout
    aiohttp.ClientTimeout = lambda **s: patience(**{k: v / fate.haste for k, v in s.items()})  # type: ignore[assignment, misc]
    if fate.death and fate.death.label == "resuming":
        _die_replaying()
    try:
        worker = Worker(settings, _Stepping(clock, fate.steps_s), token)
    except JournalError:
        os._exit(1)
    if fate.death:
        _arm(worker, *fate.death)
    health.serve(settings.ingest.metrics_port, worker.ready, worker.hung)
    os._exit(worker.run(stop))


class _Stepping:
    """A server's clock that somebody sets."""

    def __init__(self, clock: SystemClock, steps_s: tuple[float, ...]) -> None:
        self._clock, self._steps_us = clock, [round(step_s * 1e6) for step_s in steps_s]
        self._wrong_us = 0
        signal.signal(signal.SIGUSR1, self._step)

    def _step(self, *_: Any) -> None:
        self._wrong_us = self._steps_us.pop(0)

    def now_us(self) -> int:
        return self._clock.now_us() + self._wrong_us

    def wall_s(self, seconds: float) -> float:
        return self._clock.wall_s(seconds)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _wrap(
    owner: Any,
    name: str,
    before: Callable[[], None] = lambda: None,
    after: Callable[[], None] = lambda: None,
) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **named: Any) -> Any:
        before()
        result = original(*args, **named)
        after()
        return result

    setattr(owner, name, wrapped)


def _die_replaying() -> None:
    """In the middle of the start: a crash of an earlier life is found again, and more of that life is to come."""
    replay = Pipeline.replay

    def replay_and_die(self: Pipeline, messages: list[Message], now_us: int) -> Tick:
        tick = replay(self, messages, now_us)
        if tick.detections:
            _die()
        return tick

    Pipeline.replay = replay_and_die  # type: ignore[method-assign]


def _arm(worker: Any, label: str, prefix: str) -> None:
    """Hooks the worker's parts, in this process only; the code that ships knows nothing of it."""
    armed = False

    def die() -> None:
        if armed:
            _die()

    process = worker._pipeline.process

    def decide(messages: list[Any], now_us: int) -> tuple[Tick, Any]:
        nonlocal armed
        tick, prompts = process(messages, now_us)
        armed = armed or any(d.helmet.startswith(prefix) for d in tick.detections)
        if label == "received":
            die()
        return tick, prompts

    worker._pipeline.process = decide
    acknowledge = worker._subscriber.acknowledge

    def half(deliveries: list[Any]) -> None:
        acknowledge(deliveries[: len(deliveries) // 2] if armed else deliveries)
        die()

    if label == "decided":
        _wrap(worker, "_commit", before=die)
    elif label == "in the transaction":
        _wrap(worker._journal._backlog, "excess", before=die)
    elif label == "committed":
        _wrap(worker, "_commit", after=die)
    elif label == "half acknowledged":
        worker._subscriber.acknowledge = half
    elif label == "acknowledged":
        _wrap(worker._subscriber, "acknowledge", after=die)
    elif label == "told":
        _wrap(worker, "_tell", after=die)
    elif label == "delivered":
        _wrap(worker._desk, "_delivered", before=die)
    elif label == "stored":
        _wrap(worker._telemetry, "_stored", before=die)
