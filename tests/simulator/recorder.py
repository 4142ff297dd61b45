"""Records what a broker says while a test does something, from the first message to the last it waits for."""

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from simulator.broker import Broker
from simulator.player import listen


class Recorder:
    """A tape being recorded: entered, it listens already; left, the tape is whole."""

    def __init__(self, broker: Broker, topics: tuple[str, ...], path: Path) -> None:
        self._counts: list[int] = []
        self._listens, self._stop = threading.Event(), threading.Event()
        options = {"stop": self._stop, "on_progress": self._count}
        self._thread = threading.Thread(target=listen, args=(broker, topics, path), kwargs=options)

    def _count(self, messages: int) -> None:
        self._counts.append(messages)
        self._listens.set()

    def until(self, messages: int) -> None:
        """Waits until so many messages were heard, and a second longer for one too many."""
        deadline = time.monotonic() + 20
        while self._counts[-1] < messages:
            assert time.monotonic() < deadline, f"{self._counts[-1]} of {messages} messages heard"
            time.sleep(0.01)
        seen = len(self._counts)
        while len(self._counts) == seen:
            time.sleep(0.01)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listens.wait(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(20)
