"""A worker in a process of its own that can be told where to die; forked from a process that has the imports."""

import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from app import health, logs
from core.clock import SystemClock
from core.config import load
from ingest.journal import Tick
from ingest.journal_file import JournalError
from ingest.pipeline import Pipeline
from ingest.worker import Worker

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["mortal"])

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


def start(
    config: Path,
    token: str,
    password: str,
    log: Path,
    death: Death | None = None,
    steps: float = 0,
    files_max: int = -1,
) -> BaseProcess:
    """Starts a worker; `death` kills it (-9).

    No file may grow beyond `files_max` bytes: a disk that is full from the start. `steps` lets its clock jump: forwards by so many seconds after one real second, back again after another.
    """
    process = CONTEXT.Process(
        target=_work, args=(config, token, password, log, death, steps, files_max), daemon=True
    )
    process.start()
    return process


def _work(
    config: Path, token: str, password: str, log: Path, death: Death | None, steps: float, files_max: int
) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 2)
    logs.configure()
    os.environ["HELMETWATCH_MQTT_PASSWORD"] = password
    settings = load(config)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    clock = SystemClock(settings.time.scale, settings.time.origin_us)
    resource.setrlimit(resource.RLIMIT_FSIZE, (files_max, resource.RLIM_INFINITY))
    if death and death.label == "resuming":
        _wrap(Pipeline, "process", before=_die)
    try:
        worker = Worker(settings, _Stepping(clock, steps) if steps else clock, token)
    except JournalError:
        os._exit(1)
    if death:
        _arm(worker, *death)
    health.serve(settings.ingest.metrics_port, worker.ready, worker.hung)
    os._exit(worker.run(stop))


class _Stepping:
    """A server's clock that somebody sets."""

    def __init__(self, clock: SystemClock, step_s: float) -> None:
        self._clock, self._step_us = clock, round(step_s * 1e6)
        self._began_us = clock.now_us()

    def now_us(self) -> int:
        now_us = self._clock.now_us()
        real_s = self._clock.wall_s((now_us - self._began_us) / 1e6)
        return now_us + (self._step_us if 1 < real_s < 2 else -self._step_us if 2 < real_s < 3 else 0)

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
        _wrap(worker._journal, "_excess", before=die)
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
