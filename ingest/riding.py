"""Riding logs on their way to the desk: they wait in memory until the desk says that it has them."""

import threading
from collections import deque

from pydantic import TypeAdapter, ValidationError

from core import metrics
from core.model import RidingLog

LOGS_MAX = 300_000
"""Most that wait, about 60 MB; of more the oldest go. Ten minutes of 30,000 helmets, five hours of 1,000."""
BATCH = 20_000
"""Most in one report: 2 MB, and eight times what 30,000 helmets make between two of them."""

_ANSWER = TypeAdapter(dict[str, object])


class RidingOutbox:
    """Filled by the worker's loop, emptied by the relay to the desk; neither waits for the other."""

    def __init__(self) -> None:
        self._waiting: deque[RidingLog] = deque()
        self._sent: list[RidingLog] = []
        self._lock = threading.Lock()

    def put(self, logs: list[RidingLog]) -> None:
        """Adds logs."""
        with self._lock:
            self._waiting.extend(logs)
            excess = len(self._waiting) - LOGS_MAX
            for _ in range(excess):
                self._waiting.popleft()
        metrics.RIDING_DROPPED.inc(max(0, excess))

    def next(self) -> list[RidingLog]:
        """What goes with the next report: first whatever the desk has not confirmed."""
        with self._lock:
            room = BATCH - len(self._sent)
            self._sent += [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
            return list(self._sent)

    def answered(self, answer: bytes) -> None:
        """Strikes out what the desk says it has kept; an answer without a word about it keeps everything."""
        try:
            kept = _ANSWER.validate_json(answer).get("riding")
        except ValidationError:
            return
        if isinstance(kept, int) and kept == len(self._sent):
            self._sent = []
