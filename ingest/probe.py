"""Tries the broker out: what it answers, what it keeps for a client that is away, and how much of it."""

import contextlib
import os
import queue
import re
import threading
from dataclasses import dataclass, field, replace
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from core.config import Mqtt, secret
from ingest import broker_drops, tls
from ingest.mqtt import versions

TOPIC = "helmets/00/helmetwatch-check/prompt"
"""A prompt topic, so that the worker's credentials must allow it; no worker listens there and no helmet has
this name."""
MARK_TOPIC = "helmets/00/helmetwatch-mark/prompt"
"""Where the time of the first probe is retained: a later one sees whether it has outlived a restart of the broker."""
AWAY_MESSAGES = 1200
"""Messages sent to a client that is away: more than the 1,000 that mosquitto and EMQX keep by default."""
_VERSION_TOPIC = "$SYS/broker/version"
_UPTIME_TOPIC = "$SYS/broker/uptime"
_UPTIME_SLACK_S = 30.0
"""mosquitto tells its uptime every 10 s, and a start takes a while."""
_LIMITS = ("ReceiveMaximum", "MaximumPacketSize", "MaximumQoS", "SessionExpiryInterval", "ServerKeepAlive")


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """What a probe found out; what comes after the first failure keeps its default."""

    unreachable: str = ""
    """Why there is no connection, or why it came to an early end; empty where all was answered."""
    refused: str = ""
    """The broker's reason for not letting us in."""
    protocol: str = ""
    """The MQTT version that was spoken: 5 or 3.1.1."""
    version: str = ""
    """What the broker says it is, where we may read that."""
    drops_untold: bool = False
    """It does not say how many messages it drops, though `watch_drops` has us ask."""
    limits: dict[str, int] = field(default_factory=dict)
    """What an MQTT 5 broker announced on connecting, by the standard's names (MQTT 5.0, 3.2.2.3)."""
    session_kept: bool = False
    """The session was still there on coming back."""
    denied: str = ""
    """Why a prompt may not be published; empty where it may, or where 3.1.1 cannot tell."""
    uptime_s: float | None = None
    """For how long the broker has run, where it says so."""
    marked_us: int | None = None
    """When an earlier probe left its mark, where the broker still has it."""
    outlived: bool = False
    """That mark is older than the broker's last start: what the broker keeps outlives a restart."""
    returned: int = 0
    """How many of `AWAY_MESSAGES` sent while we were away were there on coming back."""


def probe(settings: Mqtt, now_us: int, timeout_s: float = 5.0) -> BrokerFacts:
    """Connects with the worker's credentials and client ids of its own; leaves nothing behind but one retained mark.

    `timeout_s` is the longest wait for any single answer. Raises `ConfigError` where the password cannot be
    read.
    """
    name = f"helmetwatch-check-{os.urandom(4).hex()}"
    facts = BrokerFacts()
    for version in versions(settings.protocol):
        facts = _try(settings, version, name, now_us, timeout_s)
        # Brokers that do not know a version say so, or just close the connection.
        if facts.protocol or (facts.refused and not facts.refused.startswith("Unsupported protocol")):
            break
    return facts


def _try(
    settings: Mqtt, version: MQTTProtocolVersion, name: str, now_us: int, timeout_s: float
) -> BrokerFacts:
    with contextlib.ExitStack() as left:
        away = _Visitor(settings, version, name, timeout_s)
        left.callback(away.forget)
        facts = BrokerFacts()
        try:
            away.connect()
            if away.refused:
                return replace(facts, refused=away.refused)
            spoken = "5" if version == MQTTProtocolVersion.MQTTv5 else "3.1.1"
            facts = replace(facts, protocol=spoken, limits=away.limits)
            away.subscribe()
            if settings.watch_drops:
                said = away.ask(_VERSION_TOPIC, broker_drops.TOPIC, _UPTIME_TOPIC, MARK_TOPIC)
                facts = replace(
                    facts,
                    version=said.get(_VERSION_TOPIC, "")[:80],
                    drops_untold=broker_drops.TOPIC not in said,
                    **_age(said, now_us),
                )
            away.leave()
            other = _Visitor(settings, version, f"{name}-sender", timeout_s)
            left.callback(other.forget)
            other.connect()
            facts = replace(facts, denied=other.publish(AWAY_MESSAGES))
            if facts.uptime_s is not None and facts.marked_us is None and not facts.denied:
                other.mark(now_us)
            away.connect()
            return replace(facts, session_kept=away.session_present, returned=away.count(AWAY_MESSAGES))
        except (OSError, ValueError) as error:
            return replace(facts, unreachable=str(error) or type(error).__name__)


def _age(said: dict[str, str], now_us: int) -> dict[str, Any]:
    """What the broker's uptime and our mark say together."""
    uptime = re.match(r"\d{1,12}", said.get(_UPTIME_TOPIC, ""))
    mark = re.fullmatch(r"\d{1,18}", said.get(MARK_TOPIC, ""))
    uptime_s, marked_us = float(uptime[0]) if uptime else None, int(mark[0]) if mark else None
    known = uptime_s is not None and marked_us is not None
    outlived = known and (now_us - (marked_us or 0)) / 1e6 > (uptime_s or 0) + _UPTIME_SLACK_S
    return {"uptime_s": uptime_s, "marked_us": marked_us, "outlived": outlived}


class _Visitor:
    """One client id, blocking: every method returns when the broker has answered, or raises `OSError`."""

    def __init__(self, settings: Mqtt, version: MQTTProtocolVersion, name: str, timeout_s: float) -> None:
        self._settings, self._version, self._name, self._timeout_s = settings, version, name, timeout_s
        self._client: Client | None = None
        self._inbox: queue.Queue[MQTTMessage] = queue.Queue()
        self._told: queue.Queue[MQTTMessage] = queue.Queue()
        self.refused, self.session_present = "", False
        self.limits: dict[str, int] = {}

    def connect(self, *, clean: bool = False) -> None:
        """Connects, resuming the session there may be; `refused` then says whether we were let in."""
        v5 = self._version == MQTTProtocolVersion.MQTTv5
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._name,
            protocol=self._version,
            clean_session=None if v5 else clean,
            reconnect_on_failure=False,
        )
        if self._settings.username:
            password = secret("HELMETWATCH_MQTT_PASSWORD", self._settings.password_file)
            client.username_pw_set(self._settings.username, password or None)
        if encryption := tls.context(self._settings.tls):
            client.tls_set_context(encryption)
        client.connect_timeout = self._timeout_s
        client.max_queued_messages_set(0)
        answered = threading.Event()

        def on_connect(
            _: Any, __: Any, flags: ConnectFlags, reason: ReasonCode, given: Properties | None
        ) -> None:
            self.refused = str(reason) if reason.is_failure else ""
            self.session_present = flags.session_present
            announced = given.json() if given else {}  # type: ignore[no-untyped-call]
            self.limits = {name: announced[name] for name in _LIMITS if name in announced}
            answered.set()

        client.on_connect = on_connect
        client.on_disconnect = lambda *_: answered.set()
        client.on_message = lambda _, __, message: (
            self._inbox if message.topic == TOPIC else self._told
        ).put(message)
        self.refused = "no answer"
        self._client = client
        host, port, keepalive_s = self._settings.host, self._settings.port, self._settings.keepalive_s
        if v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0 if clean else self._settings.session_expiry_s
            client.connect(host, port, keepalive_s, clean_start=clean, properties=properties)
        else:
            client.connect(host, port, keepalive_s)
        client.loop_start()
        if not answered.wait(self._timeout_s):
            raise TimeoutError(f"no MQTT answer within {self._timeout_s:g} s")
        if self.refused == "no answer":
            raise ConnectionError(
                "the connection was closed without an answer (some brokers do so for a wrong name or password)"
            )

    def subscribe(self) -> None:
        """Subscribes to the probe's topic."""
        client, done = self._connected(), threading.Event()
        client.on_subscribe = lambda *_: done.set()
        client.subscribe(TOPIC, 1)
        if not done.wait(self._timeout_s):
            raise TimeoutError(f"no answer to SUBSCRIBE within {self._timeout_s:g} s")

    def ask(self, *topics: str) -> dict[str, str]:
        """What the broker says about itself ($SYS), as far as it exists and may be read."""
        client = self._connected()
        for topic in topics:
            client.subscribe(topic, 0)  # each apart: some brokers leave a request with $SYS in it unanswered
        said: dict[str, str] = {}
        with contextlib.suppress(queue.Empty):
            while len(said) < len(topics):
                message = self._told.get(timeout=min(1.0, self._timeout_s))
                said[message.topic] = message.payload.decode(errors="replace")
        client.unsubscribe(list(topics))
        return said

    def publish(self, count: int) -> str:
        """Publishes to the probe's topic until all is acknowledged; gives back why it may not, or nothing."""
        client = self._connected()
        answers: queue.Queue[str] = queue.Queue()
        client.on_publish = lambda _, __, ___, reason, ____: answers.put(
            str(reason) if reason.is_failure else ""
        )
        # mosquitto 2.0.11 denies a message and closes the connection.
        client.on_disconnect = lambda *_: answers.put("the broker closed the connection")
        # One alone first: with others behind it on the way, the answer could be lost in the closing.
        for batch in (1, count - 1):
            for number in range(batch):
                client.publish(TOPIC, b'{"v": 1, "type": "check", "number": %d}' % number, qos=1)
            for _ in range(batch):
                try:
                    denied = answers.get(timeout=self._timeout_s)
                except queue.Empty:
                    raise TimeoutError(f"no answer to PUBLISH within {self._timeout_s:g} s") from None
                if denied:
                    return denied
        return ""

    def mark(self, now_us: int) -> None:
        """Has the broker retain the time."""
        client = self._connected()
        client.on_publish, client.on_disconnect = None, None
        client.publish(MARK_TOPIC, str(now_us), qos=1, retain=True).wait_for_publish(self._timeout_s)

    def count(self, expected: int) -> int:
        """How many of the expected messages come in before there is a pause."""
        for number in range(expected):
            try:
                self._inbox.get(timeout=min(1.0, self._timeout_s))
            except queue.Empty:
                return number
        return expected

    def leave(self) -> None:
        """Disconnects; the broker keeps the session if it keeps sessions."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None

    def forget(self) -> None:
        """Leaves and has the broker delete the session."""
        let_in = not self.refused
        self.leave()
        if let_in:
            with contextlib.suppress(OSError, ValueError):
                self.connect(clean=True)
            self.leave()

    def _connected(self) -> Client:
        if self._client is None or self.refused:
            raise ConnectionError(f"the broker let us in and then did not: {self.refused}")
        return self._client
