"""Messages to riders' helmets: the desk has no broker, so a worker takes them along with the answer to its report."""

from dataclasses import dataclass
from typing import Literal

KEPT_US = 120 * 1_000_000
"""A call for help that no worker has taken by then comes too late."""


@dataclass(slots=True)
class Message:
    """What a helmet is to read to its rider."""

    id: str
    helmet: str
    text: str
    since_us: int
    sent: bool = False


class Prompts:
    """Messages that wait for a worker, and what became of the last ones. In memory alone, in the event loop."""

    def __init__(self) -> None:
        self._messages: dict[str, Message] = {}

    def add(self, message: Message) -> None:
        """Queues a message; the same id is the same message."""
        self._messages.setdefault(message.id, message)

    def waiting(self, now_us: int) -> list[Message]:
        """What a worker is to publish. Given out again and again until a worker says that it has."""
        self._messages = {
            id_: each for id_, each in self._messages.items() if each.sent or now_us - each.since_us < KEPT_US
        }
        while len(self._messages) > 10_000:
            del self._messages[next(iter(self._messages))]
        return [each for each in self._messages.values() if not each.sent]

    def sent(self, ids: list[str]) -> None:
        """A worker has handed these to the broker."""
        for id_ in ids:
            if message := self._messages.get(id_):
                message.sent = True

    def state(self, id_: str, now_us: int) -> Literal["waiting", "sent"] | None:
        """What became of a message; None where nothing did."""
        message = self._messages.get(id_)
        if message is None:
            return None
        if message.sent:
            return "sent"
        return "waiting" if now_us - message.since_us < KEPT_US else None
