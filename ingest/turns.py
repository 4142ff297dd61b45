"""Whose turn it is: a helmet that sends its past, or has gone mad, does not keep the others waiting."""

from collections import Counter, deque

from ingest.inbox import Delivery, Inbox

SHARE = 16
"""Messages of one topic in one turn. Frames of many helmets are looked at together, those of one helmet one by one."""


class Turns:
    """Takes deliveries out of the inbox, at most `most` of them at once, and a share of each topic in each turn."""

    def __init__(self, inbox: Inbox, most: int) -> None:
        self._inbox, self._most = inbox, most
        self._waiting: list[Delivery] = []
        self._unsaid: deque[Delivery] = deque()
        """Not acknowledged yet, in order of arrival."""
        self._done: set[int] = set()

    def __len__(self) -> int:
        """How many were taken out of the inbox and have not had their turn."""
        return len(self._waiting)

    def take(self) -> list[Delivery]:
        """The deliveries of this turn; those of one topic in their order, everything else as it came."""
        fresh = self._inbox.take(self._most - len(self._waiting))
        self._unsaid.extend(fresh)
        had = Counter[str]()
        turn: list[Delivery] = []
        left: list[Delivery] = []
        for delivery in [*self._waiting, *fresh]:
            topic = delivery.message.topic
            had[topic] += 1
            (turn if had[topic] <= SHARE else left).append(delivery)
        self._waiting = left
        return turn

    def done(self, turn: list[Delivery]) -> list[Delivery]:
        """What may be acknowledged now that a turn is durable.

        In order of arrival, as MQTT asks [MQTT-4.6.0-2]: what is done before something older waits for it.
        """
        self._done.update(map(id, turn))
        out = []
        while self._unsaid and id(self._unsaid[0]) in self._done:
            out.append(self._unsaid.popleft())
        self._done.difference_update(map(id, out))
        return out
