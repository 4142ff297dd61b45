"""One MQTT session, driven from outside: it sends, keeps what has no acknowledgement, and comes back."""

import contextlib
import random
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from simulator.backoff import Backoff
from simulator.broker import Broker, Identity

_IN_FLIGHT = 1000
_RETRY_S = (0.4, 10.0)
_KEEPALIVE_S = 30
_JITTER = random.Random()


class Outgoing(NamedTuple):
    """A message on its way; `tag` comes back when it is sent and when it is acknowledged."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    tag: Any


class Ears(NamedTuple):
    """Whom a connection tells what happens on it."""

    heard: Callable[[mqtt.MQTTMessage], None]
    connected: Callable[[int], None]
    sent: Callable[[Any], None]
    acknowledged: Callable[[Any], None]


class Connection:
    """One MQTT session; `Connections` drives it."""

    def __init__(
        self,
        ears: Ears,
        number: int,
        broker: Broker,
        identity: Identity,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._ears, self.number, self._broker, self._identity = ears, number, broker, identity
        v5 = broker.protocol == "5"
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=identity.client_id,
            protocol=mqtt.MQTTv5 if v5 else mqtt.MQTTv311,
            reconnect_on_failure=False,
            clean_session=None if v5 else True,
        )
        username, password = broker.sign_in(identity.client_id)
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
        self.client.on_message = lambda _c, _u, m: ears.heard(m)
        self.connected = False
        self.refused = ""
        self.held = False
        """Out of coverage: no attempt is made to connect."""
        self.waiting: deque[Outgoing] = deque()
        self._tags: dict[int, Any] = {}
        self._window = _IN_FLIGHT
        self._backoff, self._retry_at = Backoff(*_RETRY_S, _JITTER), 0.0

    @property
    def outstanding(self) -> int:
        """Messages without an acknowledgement; at QoS 0 those that are not sent yet."""
        return len(self._tags) + len(self.waiting)

    def hold(self, held: bool) -> None:
        """Cuts the line and keeps it from coming back, or lets it come back at once."""
        self.held = held
        if held:
            self.drop()
        else:
            self._backoff.reset()
            self._retry_at = 0.0

    def due(self, now_s: float) -> bool:
        """Whether it is time to connect again."""
        return not self.held and now_s >= self._retry_at

    def retry(self) -> None:
        """Tries to connect again; blocks for as long as that takes."""
        self._retry_at = time.monotonic() + self._backoff.next_s()
        with contextlib.suppress(OSError):
            self.client.reconnect()

    def read(self) -> None:
        """Reads what has come; TLS may hold more of it than the socket shows."""
        self.client.loop_read()
        while isinstance(sock := self.client.socket(), ssl.SSLSocket) and sock.pending():
            self.client.loop_read()

    def pump(self) -> None:
        """Sends as much of what waits as the broker and, at QoS 0, the socket take."""
        while self.connected and self.waiting and len(self._tags) < self._window:
            if self.waiting[0].qos == 0 and self.client.want_write():
                return  # nobody would tell us that too much of it lies here
            message = self.waiting.popleft()
            info = self.client.publish(message.topic, message.payload, message.qos, message.retain)
            if message.qos:
                self._tags[info.mid] = message.tag
            self._ears.sent(message.tag)

    def _on_connect(
        self, _c: mqtt.Client, _u: Any, _f: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self.refused = str(reason)
            return
        self.connected = True
        self._backoff.reset()
        self._window = min(_IN_FLIGHT, getattr(properties, "ReceiveMaximum", _IN_FLIGHT))
        if self._identity.subscribe:
            self.client.subscribe([(topic, self._how()) for topic in self._identity.subscribe])
        self._ears.connected(self.number)

    def _how(self) -> Any:
        qos = 2 if self._identity.as_published else 1
        if self._broker.protocol != "5":
            return qos
        return SubscribeOptions(qos, retainAsPublished=self._identity.as_published)

    def _on_disconnect(
        self, _c: mqtt.Client, _u: Any, _f: Any, _r: ReasonCode, _p: Properties | None
    ) -> None:
        self.connected = False
        # Those who lost their broker in one moment do not come back in one.
        self._retry_at = max(self._retry_at, time.monotonic() + self._backoff.next_s())

    def _on_publish(self, _c: mqtt.Client, _u: Any, mid: int, reason: ReasonCode, _p: Properties) -> None:
        if mid not in self._tags:
            return  # sent at QoS 0: nobody acknowledges it
        tag = self._tags.pop(mid)
        if not reason.is_failure:
            self._ears.acknowledged(tag)

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
