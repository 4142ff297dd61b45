"""Many connections to the broker, driven by one thread.

What is published at QoS 1 or 2 is kept until it is acknowledged, over any number of reconnections. No more is in
flight than the broker allows; the rest waits here, bounded.
"""

import contextlib
import errno
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from paho.mqtt import client as mqtt

from simulator.broker import Broker, BrokerError, Identity
from simulator.connection import Connection, Ears, Outgoing

_LOOK_S = 0.1
_TRIES_MAX, _TRYING_S = 50, 0.03
"""Most tries to connect in one look, and how long they take: each blocks, and brokers accept a hundred at once."""

__all__ = ["Broker", "BrokerError", "Connections", "Identity"]


class Connections:
    """Several connections in one thread. `turn` must be called again and again."""

    def __init__(
        self,
        broker: Broker,
        identities: Sequence[Identity],
        *,
        waiting_max: int = 100_000,
        on_message: Callable[[str, bytes], None],
        on_connected: Callable[[int], None],
        on_sent: Callable[[Any], None],
        on_ack: Callable[[Any], None],
        on_heard: Callable[[str, bytes, int, bool], None] | None = None,
    ) -> None:
        self._on_message, self._on_heard = on_message, on_heard
        ears = Ears(self._heard, on_connected, on_sent, on_ack)
        self._broker = broker
        context = broker.tls_context()
        self._all = [Connection(ears, n, broker, identity, context) for n, identity in enumerate(identities)]
        self._waiting_max = max(100, waiting_max // len(self._all))
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[int, socket.socket] = {}
        self._misc_at = 0.0
        self._first = 0
        self.dropped = 0
        """Messages given up because too many waited."""

    def _heard(self, message: mqtt.MQTTMessage) -> None:
        if self._on_heard:
            self._on_heard(message.topic, bytes(message.payload), message.qos, message.retain)
        else:
            self._on_message(message.topic, bytes(message.payload))

    @property
    def connected(self) -> int:
        """Connections that stand."""
        return sum(c.connected for c in self._all)

    @property
    def outstanding(self) -> int:
        """Messages without an acknowledgement, sent or waiting."""
        return sum(c.outstanding for c in self._all)

    def open(self, timeout_s: float = 20.0) -> None:
        """Connects everything. Raises `BrokerError` where that does not succeed at once."""
        where = f"{self._broker.host}:{self._broker.port}"
        deadline = time.monotonic() + timeout_s + 0.02 * len(self._all)
        for connection in self._all:
            try:
                connection.client.reconnect()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    what = f"connection {connection.number + 1} of {len(self._all)}: too many open files"
                    raise BrokerError(f"{what}; raise the limit (ulimit -n)") from None
                raise BrokerError(f"no broker at {where}: {error}") from None
            self._watch(connection)
        while self.connected < len(self._all):
            refused = next((c.refused for c in self._all if c.refused), "")
            if refused:
                raise BrokerError(f"the broker at {where} refuses us: {refused}")
            if time.monotonic() > deadline:
                raise BrokerError(f"the broker at {where} does not answer")
            self.turn(0.05)

    def publish(
        self,
        number: int,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        tag: Any = None,
    ) -> None:
        """Sends a message over a connection, now or when it stands again."""
        connection = self._all[number]
        if len(connection.waiting) >= self._waiting_max:
            connection.waiting.popleft()
            self.dropped += 1
        connection.waiting.append(Outgoing(topic, payload, qos, retain, tag))
        connection.pump()

    def hold(self, number: int, held: bool) -> None:
        """Cuts a connection and keeps it from coming back, or lets it come back."""
        self._all[number].hold(held)
        if held:
            self._watch(self._all[number])

    def turn(self, seconds: float) -> None:
        """Sends and receives for so many real seconds."""
        until = time.monotonic() + seconds
        while True:
            self._look_after()
            for key, events in self._selector.select(max(0.0, until - time.monotonic())):
                connection: Connection = key.data
                if events & selectors.EVENT_READ:
                    connection.read()
                if events & selectors.EVENT_WRITE:
                    connection.client.loop_write()
                connection.pump()
                self._watch(connection)
            if time.monotonic() >= until:
                return

    def _look_after(self) -> None:
        now = time.monotonic()
        if now < self._misc_at:
            return
        self._misc_at = now + _LOOK_S
        tries = 0
        for connection in self._round():
            if connection.client.socket() is not None:
                connection.client.loop_misc()
            elif tries == _TRIES_MAX or time.monotonic() > now + _TRYING_S:
                continue  # with the next look: whoever stands sends meanwhile
            elif connection.due(now):
                tries += 1
                connection.retry()
            self._watch(connection)

    def _round(self) -> Iterator[Connection]:
        """Every connection once, each time from another one on, so that all have their turn."""
        self._first = (self._first + _TRIES_MAX) % len(self._all)
        yield from self._all[self._first :]
        yield from self._all[: self._first]

    def _watch(self, connection: Connection) -> None:
        """Keeps the selector in step with the connection's socket and its wish to write."""
        sock, known = connection.client.socket(), self._sockets.get(connection.number)
        if sock is not known and known is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(known)
            del self._sockets[connection.number]
            known = None
        if not isinstance(sock, socket.socket):
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.client.want_write() else 0)
        if known is None:
            # A socket that was closed where we did not see it may have left its number to this one.
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(sock.fileno())
            self._selector.register(sock, events, connection)
            self._sockets[connection.number] = sock
        elif self._selector.get_key(sock).events != events:
            self._selector.modify(sock, events, connection)

    def close(self) -> None:
        """Disconnects everything."""
        for connection in self._all:
            connection.close()
        self._selector.close()
