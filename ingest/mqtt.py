"""The broker's side of the worker: a persistent session, manual acknowledgement, back-pressure.

The network thread only copies a message into a bounded queue. Facts that shaped this file, measured with paho
2.2 and mosquitto 2.0: an exception in a callback kills the network thread while `is_connected()` stays True;
brokers overrun the receive maximum, so the queue here is the bound; and an acknowledgement sent after a lost
session can delete a different message, so each one goes out by the connection that its message came by, or not
at all.
"""

import queue
import threading
import time
from typing import Any, NamedTuple

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from core import metrics
from core.clock import Clock
from core.config import Ingest, secret
from ingest import broker_drops, tls
from ingest.backoff import backoff_s
from ingest.broker_drops import BrokerDrops
from ingest.client_id import Takeovers, client_id
from ingest.codec import Message
from ingest.inbox import Delivery, Inbox
from ingest.mqtt_reasons import REASONS
from ingest.shards import topic_filters

log = structlog.get_logger()

_RECONNECT_MAX_S = 30.0
_REFUSED_WAIT_S = 30.0
_ANSWER_S = 10.0
_PROMPTS_MAX = 10_000
"""Most prompts on their way to the broker; a helmet that hears nothing asks again."""
_UNSUPPORTED_VERSION = 0x84
_LASTING = {0x85, 0x86, 0x87, 0x8A, 0x97, 0x9F}
"""Refusals that pass, if at all, when a person or time has done something: not hammered."""
_TAKEN_OVER = 0x8E


class _Link(NamedTuple):
    """A connection that the broker has accepted."""

    client: Client
    number: int


class Subscriber:
    """Keeps one persistent MQTT session and fills `inbox`, in order of arrival.

    It reconnects for ever, with full jitter up to 30 s. `failed` is set where going on is pointless: another
    client takes over our id again and again, or the thread has ended.
    """

    def __init__(self, config: Ingest, clock: Clock) -> None:
        self.inbox = Inbox(config.mqtt.queue_size, config.mqtt.queue_mb << 20)
        self.failed = threading.Event()
        self.connected = threading.Event()
        self._client_id = client_id(config)
        self._settings = config.mqtt
        self._clock = clock
        self._password = secret("HELMETWATCH_MQTT_PASSWORD", self._settings.password_file)
        self._filters = topic_filters(config.shards)
        self._versions = versions(self._settings.protocol)
        self._takeovers = Takeovers()
        self._made = self._connects = 0
        self._subscribing: int | None = None
        self._drops = BrokerDrops()
        self._refused = self._answered = False
        self._gone = threading.Event()
        self._stopping = threading.Event()
        self._client: Client | None = None
        # Client and number change together; None from the end of a connection until the broker accepts the next.
        self._link: _Link | None = None
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)

    def start(self) -> None:
        """Begins to connect, in a thread of its own."""
        self._thread.start()

    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def thread_cpu_s(self) -> float:
        """Processor time of the network thread of this connection."""
        thread = self._network_thread()
        if thread is None or thread.ident is None:
            return 0.0
        return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))

    def acknowledge(self, deliveries: list[Delivery]) -> None:
        """Acknowledges messages in order of arrival; those of a connection that is gone will come again."""
        link = self._link
        stale = 0
        for delivery in deliveries:
            if delivery.qos == 0:
                continue
            if link is None or delivery.connection != link.number:
                stale += 1
                continue
            # Where the connection ends meanwhile, its client has no other that this could go out by.
            link.client.ack(delivery.mid, delivery.qos)
        metrics.STALE_ACKS.inc(stale)
        metrics.ACKNOWLEDGED.inc(len(deliveries) - stale)

    def publish(self, topic: str, payload: bytes) -> bool:
        """Sends something down to a helmet; False where it is lost, and helmets ask again.

        That is where we are not connected, or the broker takes prompts more slowly than they are made.
        """
        link = self._link
        if link is None or not self.connected.is_set():
            return False
        taken = link.client.publish(topic, payload, qos=1).rc == MQTTErrorCode.MQTT_ERR_SUCCESS
        if not taken:
            metrics.PROMPTS_DROPPED.inc()
        return taken

    def leave(self) -> None:
        """Leaves the broker, which keeps our session and queues for us; does not wait for it."""
        self._stopping.set()
        client = self._client
        if client is not None:
            client.disconnect()

    def join(self, within_s: float) -> None:
        """Waits until the connection is gone, but no longer than this."""
        self._thread.join(within_s)

    def _run(self) -> None:
        attempt = 0
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                try:
                    self._connection()
                except Exception as error:
                    # Whatever happens in there, the thread that brings in the crashes must go on.
                    self._failure("unreachable" if isinstance(error, OSError) else "error", repr(error))
                self._lost()
                lasted = time.monotonic() - began > _RECONNECT_MAX_S
                attempt = 0 if lasted else attempt + 1
                if self._takeovers.ended(cut=self._answered and not lasted and not self._explained):
                    metrics.CONNECT_FAILURES.labels("taken_over").inc()
                    self._give_up("the broker accepts us and cuts us off soon, again and again")
                self._stopping.wait(
                    _REFUSED_WAIT_S if self._refused else backoff_s(attempt, _RECONNECT_MAX_S)
                )
        finally:
            if not self._stopping.is_set():
                self.failed.set()

    def _connection(self) -> None:
        """One connection from beginning to end."""
        self._refused = self._answered = self._explained = False
        self._gone.clear()
        # TLS files are read here, each time: a certificate may be renewed, or missing for a moment.
        self._client = client = self._make()
        began = time.monotonic()
        self._connect(client)
        client.loop_start()
        try:
            self._watch(began)
        finally:
            client.loop_stop()

    def _give_up(self, why: str) -> None:
        log.error(
            "broker.taken_over",
            client_id=self._client_id,
            error=why,
            hint="two workers share one name (ingest.worker): give each its own; this one stops",
        )
        self._stopping.set()
        self.failed.set()

    def _watch(self, began: float) -> None:
        """Returns when the connection is over: lost, refused, never answered, or its thread has died."""
        while not self._gone.wait(1.0):
            if self._network_thread() is None:
                self._failure("thread_died", "the network thread ended without a word")
                return
            if not self.connected.is_set() and time.monotonic() - began > _ANSWER_S:
                self._failure("silent", "the broker took the connection and said nothing")
                return

    def _network_thread(self) -> threading.Thread | None:
        name = f"paho-mqtt-client-{self._client_id}"
        return next((thread for thread in threading.enumerate() if thread.name == name), None)

    def _failure(self, reason: str, error: str) -> None:
        self._explained = True
        metrics.CONNECT_FAILURES.labels(reason).inc()
        settings = self._settings
        log.warning("broker.failed", reason=reason, host=settings.host, port=settings.port, error=error)

    def _make(self) -> Client:
        self._made += 1
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            userdata=self._made,
            protocol=self._versions[0],
            manual_ack=True,
            reconnect_on_failure=False,
            clean_session=None if self._versions[0] == MQTTProtocolVersion.MQTTv5 else False,
        )
        if self._settings.username:
            client.username_pw_set(self._settings.username, self._password or None)
        if encryption := tls.context(self._settings.tls):
            client.tls_set_context(encryption)
        client.max_inflight_messages_set(1000)
        client.max_queued_messages_set(_PROMPTS_MAX)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _connect(self, client: Client) -> None:
        settings = self._settings
        if self._versions[0] == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = settings.session_expiry_s
            properties.ReceiveMaximum = settings.receive_maximum
            properties.MaximumPacketSize = settings.maximum_packet_size
            client.connect(
                settings.host, settings.port, settings.keepalive_s, clean_start=False, properties=properties
            )
        else:
            client.connect(settings.host, settings.port, settings.keepalive_s)

    def _on_connect(
        self, client: Client, number: int, flags: ConnectFlags, reason: ReasonCode, _: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refused = reason.value in _LASTING
            if reason.value == _UNSUPPORTED_VERSION:
                self._fall_back()
            label, hint = REASONS.get(reason.value, ("refused", "see the broker's log"))
            metrics.CONNECT_FAILURES.labels(label).inc()
            log.error("broker.refused", reason=str(reason), label=label, hint=hint)
            return
        self._answered = True
        self._link = _Link(client, number)
        self._connects += 1
        session = "resumed" if flags.session_present else "new"
        metrics.CONNECTS.labels(session).inc()
        if not flags.session_present and self._connects > 1:
            log.error(
                "broker.session_lost", hint="what was queued for us is gone; gaps are counted by helmet"
            )
        if flags.session_present:
            # A persistent session keeps subscriptions that the configuration no longer has.
            unwanted = sorted(set(topic_filters("all")) - set(self._filters))
            client.unsubscribe(unwanted)
        self._subscribing = client.subscribe([(name, 1) for name in self._filters])[1]
        if self._settings.watch_drops:
            # Where the broker says it; a refusal of this one means nothing.
            client.subscribe(broker_drops.TOPIC, 0)
        log.info(
            "broker.connected", session=session, protocol=int(self._versions[0]), filters=len(self._filters)
        )

    def _on_subscribe(
        self, client: Client, _: Any, mid: int, reasons: list[ReasonCode], __: Properties | None
    ) -> None:
        if mid != self._subscribing:
            return
        if any(reason.is_failure for reason in reasons):
            self._failure("subscription", "the broker refuses a subscription: check its access rules")
            client.disconnect()
            return
        self.connected.set()
        metrics.CONNECTED.set(1)

    def _on_disconnect(
        self, _: Client, __: Any, flags: DisconnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        if not self._answered and not flags.is_disconnect_packet_from_server and not self._refused:
            # Cut before any answer: the way of brokers that do not know this version of MQTT.
            self._fall_back()
        if flags.is_disconnect_packet_from_server and not self._stopping.is_set():
            self._explained = True
            label, hint = REASONS.get(reason.value, ("closed", "see the broker's log"))
            metrics.CONNECT_FAILURES.labels(label).inc()
            if reason.value == _TAKEN_OVER:
                self._give_up(hint)
            else:
                log.error("broker.closed", reason=str(reason), label=label, hint=hint)
        self._lost()
        self._gone.set()

    def _on_message(self, client: Client, number: int, message: MQTTMessage) -> None:
        try:
            try:
                topic = message.topic
            except UnicodeDecodeError:
                topic = "undecodable"
            if topic == broker_drops.TOPIC:
                self._drops.take(bytes(message.payload))
                return
            delivery = Delivery(
                Message(topic, bytes(message.payload), self._clock.now_us()),
                message.mid,
                message.qos,
                number,
            )
            self.inbox.put(delivery, timeout=self._settings.keepalive_s / 4)
        except queue.Full:
            # The worker is stuck. Drop the connection, not the message: the session brings it again.
            self._failure("queue_full", f"the worker took nothing for {self._settings.keepalive_s / 4:.0f} s")
            client.disconnect()
        except Exception:
            log.exception("broker.message_error")

    def _fall_back(self) -> None:
        if len(self._versions) > 1:
            self._versions = self._versions[1:] + self._versions[:1]
            log.info("broker.protocol", trying=int(self._versions[0]))

    def _lost(self) -> None:
        self._link = None
        if self.connected.is_set():
            self.connected.clear()
            if not self._stopping.is_set():
                metrics.CONNECT_FAILURES.labels("lost").inc()
                log.warning("broker.lost")
        metrics.CONNECTED.set(0)


def versions(protocol: str) -> list[MQTTProtocolVersion]:
    """The MQTT versions to try, in turn."""
    known = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}
    return list(known.values()) if protocol == "auto" else [known[protocol]]
