"""Connections to the broker, driven by one thread however many there are.

QoS 1 throughout: what is published is kept until its PUBACK has come, over any number of reconnections. No more
is in flight than the broker allows; the rest waits here, bounded.
"""

import contextlib
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from core.config import Tls

_IN_FLIGHT = 1000
_RETRY_S = (0.2, 5.0)
_KEEPALIVE_S = 30


class BrokerError(Exception):
    """The broker cannot be reached, or does not let us in."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and how to sign in."""

    host: str
    port: int
    username: str = ""
    password: str = ""
    protocol: Literal["5", "3.1.1"] = "5"
    tls: Tls = field(default_factory=Tls)
    credentials: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Name and password of each helmet that signs in by itself, by helmet id; others use those above."""

    def tls_context(self) -> ssl.SSLContext | None:
        """What TLS needs, None without it. Raises `BrokerError` where a file cannot be used."""
        if not self.tls.enabled:
            return None
        try:
            context = ssl.create_default_context(cafile=self.tls.ca_file or None)
            if self.tls.cert_file:
                context.load_cert_chain(self.tls.cert_file, self.tls.key_file or None)
        except OSError as error:
            raise BrokerError(f"TLS: {self.tls.ca_file or self.tls.cert_file}: {error}") from None
        return context


@dataclass(frozen=True, slots=True)
class Identity:
    """What one connection says of itself."""

    client_id: str
    subscribe: tuple[str, ...] = ()
    will: tuple[str, bytes] | None = None
    """Topic and payload the broker sends, retained, if the connection is lost."""


class Outgoing(NamedTuple):
    """A message on its way; `tag` comes back when it is sent and when it is acknowledged."""

    topic: str
    payload: bytes
    retain: bool
    tag: Any


class Connection:
    """One MQTT session; `Connections` drives it."""

    def __init__(
        self,
        owner: "Connections",
        number: int,
        broker: Broker,
        identity: Identity,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._owner, self.number, self._broker, self._identity = owner, number, broker, identity
        v5 = broker.protocol == "5"
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=identity.client_id,
            protocol=mqtt.MQTTv5 if v5 else mqtt.MQTTv311,
            reconnect_on_failure=False,
            clean_session=None if v5 else True,
        )
        username, password = broker.credentials.get(identity.client_id, (broker.username, broker.password))
        if username:
            self.client.username_pw_set(username, password)
        if context:
            self.client.tls_set_context(context)
        if identity.will:
            name, payload = identity.will
            self.client.will_set(name, payload, qos=1, retain=True)
        self.client.max_inflight_messages_set(0)
        self.client.connect_timeout = 3.0
        properties = None
        if v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 3600
        self.client.connect_async(broker.host, broker.port, _KEEPALIVE_S, properties=properties)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_publish = self._on_publish
        self.client.on_message = lambda _c, _u, m: owner.heard(m)
        self.connected = False
        self.refused = ""
        self.held = False
        """Out of coverage: no attempt is made to connect."""
        self.waiting: deque[Outgoing] = deque()
        self._tags: dict[int, Any] = {}
        self._window = _IN_FLIGHT
        self._retry_s, self._retry_at = _RETRY_S[0], 0.0

    @property
    def outstanding(self) -> int:
        """Messages without a PUBACK."""
        return len(self._tags) + len(self.waiting)

    def retry(self, now_s: float) -> bool:
        """Connects again, if it is time to; says whether there is a socket now."""
        if self.held or now_s < self._retry_at:
            return False
        self._retry_at = now_s + self._retry_s
        self._retry_s = min(2 * self._retry_s, _RETRY_S[1])
        try:
            self.client.reconnect()
        except OSError:
            return False
        return True

    def read(self) -> None:
        """Reads what has come; TLS may hold more of it than the socket shows."""
        self.client.loop_read()
        while isinstance(sock := self.client.socket(), ssl.SSLSocket) and sock.pending():
            self.client.loop_read()

    def pump(self) -> None:
        """Sends as much of what waits as the broker allows."""
        while self.connected and self.waiting and len(self._tags) < self._window:
            message = self.waiting.popleft()
            info = self.client.publish(message.topic, message.payload, qos=1, retain=message.retain)
            self._tags[info.mid] = message.tag
            self._owner.on_sent(message.tag)

    def _on_connect(
        self, _c: mqtt.Client, _u: Any, _f: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self.refused = str(reason)
            return
        self.connected, self._retry_s = True, _RETRY_S[0]
        self._window = min(_IN_FLIGHT, getattr(properties, "ReceiveMaximum", _IN_FLIGHT))
        if self._identity.subscribe:
            self.client.subscribe([(topic, 1) for topic in self._identity.subscribe])
        self._owner.on_connected(self.number)

    def _on_disconnect(
        self, _c: mqtt.Client, _u: Any, _f: Any, _r: ReasonCode, _p: Properties | None
    ) -> None:
        self.connected = False

    def _on_publish(self, _c: mqtt.Client, _u: Any, mid: int, reason: ReasonCode, _p: Properties) -> None:
        tag = self._tags.pop(mid, None)
        if not reason.is_failure:
            self._owner.on_ack(tag)

    def close(self) -> None:
        """Ends the session for good: the broker forgets it."""
        properties = None
        if self._broker.protocol == "5":
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
        if self.connected:
            self.client.disconnect(properties=properties)
            self.client.loop_write()
        self.drop()

    def drop(self) -> None:
        """Cuts the line without a word, so that the broker sends the Last Will."""
        sock = self.client.socket()
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            self.client.loop_read()


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
        self.on_message, self.on_connected = on_message, on_connected
        self.on_sent, self.on_ack, self._on_heard = on_sent, on_ack, on_heard
        self._broker = broker
        context = broker.tls_context()
        self._all = [Connection(self, n, broker, identity, context) for n, identity in enumerate(identities)]
        self._waiting_max = max(100, waiting_max // len(self._all))
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[int, socket.socket] = {}
        self._misc_at = 0.0
        self.dropped = 0
        """Messages given up because too many waited."""

    def heard(self, message: mqtt.MQTTMessage) -> None:
        """Passes on what a connection received."""
        if self._on_heard:
            self._on_heard(message.topic, bytes(message.payload), message.qos, message.retain)
        else:
            self.on_message(message.topic, bytes(message.payload))

    @property
    def connected(self) -> int:
        """Connections that stand."""
        return sum(c.connected for c in self._all)

    @property
    def outstanding(self) -> int:
        """Messages without a PUBACK, sent or waiting."""
        return sum(c.outstanding for c in self._all)

    def open(self, timeout_s: float = 20.0) -> None:
        """Connects everything. Raises `BrokerError` where that does not succeed at once."""
        where = f"{self._broker.host}:{self._broker.port}"
        deadline = time.monotonic() + timeout_s + 0.02 * len(self._all)
        for connection in self._all:
            try:
                connection.client.reconnect()
            except OSError as error:
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
        self, number: int, topic: str, payload: bytes, *, retain: bool = False, tag: Any = None
    ) -> None:
        """Sends a message over a connection, now or when it stands again."""
        connection = self._all[number]
        if len(connection.waiting) >= self._waiting_max:
            connection.waiting.popleft()
            self.dropped += 1
        connection.waiting.append(Outgoing(topic, payload, retain, tag))
        connection.pump()

    def hold(self, number: int, held: bool) -> None:
        """Cuts a connection and keeps it from coming back, or lets it come back."""
        self._all[number].held = held
        if held:
            self._all[number].drop()
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
        self._misc_at = now + 0.1
        for connection in self._all:
            if connection.client.socket() is not None:
                connection.client.loop_misc()
            elif not connection.retry(now):
                continue
            self._watch(connection)

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
