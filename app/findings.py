"""What `helmetwatch check` says about one thing it looked at, and all it says about the broker."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from core.config import Config, ConfigError
from ingest.probe import AWAY_MESSAGES, BrokerFacts, probe

Level = Literal["ok", "warning", "error"]

_ADVISED_MOSQUITTO = (2, 0, 18)
_SETTINGS = "see deploy/mosquitto.conf"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    area: str
    level: Level
    what: str
    """What was found, in one sentence."""
    advice: str = ""
    """What to do about it; empty where all is well."""


def broker_findings(config: Config, now_us: int) -> Iterator[Finding]:
    """Tries the broker out with the worker's credentials, and judges what it does."""
    mqtt = config.ingest.mqtt
    where = f"{mqtt.host}:{mqtt.port}"
    try:
        facts = probe(mqtt, now_us)
    except ConfigError as error:
        yield Finding("broker", "error", str(error), "mend ingest.mqtt.password_file")
        return
    if facts.unreachable:
        yield Finding(
            "broker",
            "error",
            f"no working MQTT broker at {where}: {facts.unreachable}",
            "start the broker, or mend ingest.mqtt.host, port and tls",
        )
    elif facts.refused:
        yield Finding(
            "broker",
            "error",
            f"the broker at {where} does not let us in: {facts.refused}",
            "mend ingest.mqtt.username and its password, or make the account (mosquitto_passwd)",
        )
    else:
        version = facts.version or "it does not say what it is"
        yield Finding("broker", "ok", f"{where} speaks MQTT {facts.protocol}: {version}")
        yield from judge(facts, config)


def judge(facts: BrokerFacts, config: Config) -> Iterator[Finding]:
    """What to think of a broker that let us in."""
    yield from _broker_version(facts)
    yield from _broker_drops(facts, config)
    yield from _broker_keeps(facts, config)
    yield from _broker_limits(facts, config)


def _broker_version(facts: BrokerFacts) -> Iterator[Finding]:
    known = re.fullmatch(r"mosquitto version (\d+)\.(\d+)\.(\d+)", facts.version)
    if known and tuple(map(int, known.groups())) < _ADVISED_MOSQUITTO:
        yield Finding(
            "broker",
            "warning",
            f"{facts.version} is older than 2.0.18: it sends more unacknowledged messages than asked",
            "nothing is lost by it; upgrade when you can",
        )
    if facts.protocol == "3.1.1":
        yield Finding(
            "broker",
            "warning",
            "the broker speaks MQTT 3.1.1 only: it cannot tell a denied message or its limits",
            "a broker with MQTT 5 makes faults visible",
        )


def _broker_drops(facts: BrokerFacts, config: Config) -> Iterator[Finding]:
    if not config.ingest.mqtt.watch_drops:
        yield Finding(
            "broker", "ok", "ingest.mqtt.watch_drops is off: what the broker drops shows as gaps alone"
        )
    elif facts.drops_untold:
        yield Finding(
            "broker",
            "warning",
            "the broker does not tell us how many messages it drops ($SYS/broker/publish/messages/dropped)",
            "let the worker read that topic (deploy/mosquitto.acl); set ingest.mqtt.watch_drops to false where the "
            "broker has none; gaps in the frames' numbers are counted all the same",
        )


def _broker_keeps(facts: BrokerFacts, config: Config) -> Iterator[Finding]:
    if facts.denied:
        yield Finding(
            "broker",
            "error",
            f"the worker may not publish to helmets: {facts.denied}",
            "allow it to write helmets/+/+/prompt, or helmets never hear that a frame arrived",
        )
    if not facts.session_kept:
        yield Finding(
            "broker",
            "error",
            "the broker forgets our session when we disconnect",
            f"allow persistent sessions with a session expiry of a day; {_SETTINGS}",
        )
    elif facts.returned == 0 and not facts.denied:
        yield Finding(
            "broker",
            "error",
            "of the messages sent while we were away none came back",
            f"let the worker read helmets/# and have QoS 1 messages queued; {_SETTINGS}",
        )
    elif 0 < facts.returned < AWAY_MESSAGES:
        yield Finding(
            "broker",
            "error",
            f"of {AWAY_MESSAGES} messages sent while we were away {facts.returned} came back",
            f"a restart of the worker would lose frames: raise max_queued_messages (mosquitto); {_SETTINGS}",
        )
    elif facts.returned:
        yield Finding(
            "broker",
            "ok",
            f"all {AWAY_MESSAGES} messages sent while we were away came back",
        )
        yield from _broker_persists(facts, config)


def _broker_persists(facts: BrokerFacts, config: Config) -> Iterator[Finding]:
    """Whether all that outlives a restart of the broker: seen by a mark that did, and only by that."""
    if facts.outlived:
        yield Finding("broker", "ok", "what the broker keeps has outlived a restart of it")
    elif not config.ingest.mqtt.watch_drops:
        yield Finding(
            "broker",
            "ok",
            "whether what the broker keeps outlives a restart of it cannot be seen without $SYS",
        )
    elif facts.uptime_s is None:
        yield Finding(
            "broker",
            "warning",
            "whether what the broker keeps outlives a restart of it cannot be seen: it does not tell its uptime",
            f"let the worker read $SYS/broker/uptime (deploy/mosquitto.acl), and set persistence; {_SETTINGS}",
        )
    else:
        seen = "has not been seen yet" if facts.marked_us is None else "cannot be seen before it is restarted"
        yield Finding(
            "broker",
            "warning",
            f"whether what the broker keeps outlives a restart of it {seen}",
            "a mark is left there: restart the broker once and check again a minute later; if this line comes again "
            f"then, it forgets everything: set persistence; {_SETTINGS}",
        )


def _broker_limits(facts: BrokerFacts, config: Config) -> Iterator[Finding]:
    mqtt, limits = config.ingest.mqtt, facts.limits
    window = limits.get("ReceiveMaximum", 65535)
    if window < 100:
        rate = round(window * 1000 / config.ingest.tick_ms)
        yield Finding(
            "broker",
            "warning",
            f"the broker has at most {window} messages under way for one client, here about "
            f"{rate} messages a second",
            f"raise max_inflight_messages (mosquitto) to 1000; {_SETTINGS}",
        )
    packet = limits.get("MaximumPacketSize", mqtt.maximum_packet_size)
    if packet < mqtt.maximum_packet_size:
        yield Finding(
            "broker",
            "warning",
            f"the broker takes messages up to {packet} bytes, less than "
            f"ingest.mqtt.maximum_packet_size ({mqtt.maximum_packet_size})",
            "raise max_packet_size (mosquitto) if your helmets send frames that large",
        )
    expiry = limits.get("SessionExpiryInterval", mqtt.session_expiry_s)
    if expiry < mqtt.session_expiry_s:
        yield Finding(
            "broker",
            "warning",
            f"the broker keeps our queue for {expiry} s, not the {mqtt.session_expiry_s} s we ask",
            "raise the broker's limit for sessions: a worker that is away for longer loses frames",
        )
    if limits.get("MaximumQoS", 2) < 1:
        yield Finding("broker", "error", "the broker has QoS 0 only: it loses messages", "allow QoS 1")
