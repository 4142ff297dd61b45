"""What lies between the network thread and the worker's loop."""

import queue
import threading
from collections import deque
from typing import NamedTuple

from ingest.codec import Message


class Delivery(NamedTuple):
    """A message on its way through the worker, with what is needed to acknowledge it."""

    message: Message
    mid: int
    qos: int
    connection: int


class Inbox:
    """Deliveries in order of arrival, bounded in number and in bytes of payload: a full one slows the broker."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._waiting: deque[Delivery] = deque()
        self._bytes = 0
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, delivery: Delivery, timeout: float) -> None:
        """Adds one, if need be when there is room. Raises `queue.Full` after `timeout` seconds without."""
        size = len(delivery.message.payload)
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(size), timeout):
                raise queue.Full
            self._waiting.append(delivery)
            self._bytes += size
            self._changed.notify_all()

    def take(self, most: int, timeout: float = 0.0) -> list[Delivery]:
        """What is there, at most so many, waiting for the first; one by one would cost more than decoding them."""
        with self._changed:
            if timeout:
                self._changed.wait_for(lambda: len(self._waiting) > 0, timeout)
            taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
            self._bytes -= sum(len(delivery.message.payload) for delivery in taken)
            self._changed.notify_all()
        return taken

    def _has_room(self, size: int) -> bool:
        if not self._waiting:
            return True  # Whatever is larger than the bound goes alone.
        return len(self._waiting) < self._most and self._bytes + size <= self._most_bytes
