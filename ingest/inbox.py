"""What lies between the network thread and the worker's loop."""

import queue
from typing import NamedTuple

from ingest.codec import Message


class Delivery(NamedTuple):
    """A message on its way through the worker, with what is needed to acknowledge it."""

    message: Message
    mid: int
    qos: int
    connection: int


class Inbox(queue.Queue[Delivery]):
    """Deliveries in order of arrival, bounded: a full one slows the broker."""

    def take(self, most: int) -> list[Delivery]:
        """What is there, at most so many, without waiting; one by one would cost more than decoding them."""
        with self.mutex:
            taken: list[Delivery] = [self.queue.popleft() for _ in range(min(most, len(self.queue)))]
            self.not_full.notify(len(taken))
        return taken
