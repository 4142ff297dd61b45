"""What `helmetwatch check` says about the desk's own files: channels, escalation, riders and places."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from alerts import places, policy, riders
from alerts.channels.build import build
from alerts.channels.outcome import Sender
from alerts.database import BookError
from app.findings import Finding
from core import config
from core.config import Alerts, Config, ConfigError
from web.accounts import Accounts, Role

_REACH_S = 3.0
_FAULTS_SHOWN = 20


def desk_findings(config: Config) -> Iterator[Finding]:
    """Looks at every file that the desk reads at its start, and knocks at the channels' doors."""
    yield from _people(config.alerts)
    yield from _registers(config.alerts)
    senders = {}
    try:
        senders = build(config.alerts.channels)
    except ConfigError as error:
        yield from _faults("channels", error, "mend this: the desk does not start without")
    names: dict[str, str] = {channel.name: channel.kind for channel in config.alerts.channels}
    yield from _escalation(config.alerts, names)
    if not names:
        yield Finding(
            "channels",
            "warning",
            "there is no channel: an alert reaches only people who look at the page",
            "set up one in alerts.channels (docs/channels.md) and press its test button",
        )
        return
    if not config.alerts.public_url:
        yield Finding(
            "channels",
            "warning",
            "alerts.public_url is empty: notices have no link to acknowledge",
            "set it to the address of the page as people reach it",
        )
    yield from _reach(config.alerts, senders)


def _people(alerts: Alerts) -> Iterator[Finding]:
    """Who may sign in, where there is an alert book: on a machine without a desk there is none."""
    path = Path(alerts.path)
    if not path.is_file():
        return
    try:
        accounts = Accounts(path)
    except BookError as error:
        yield Finding("people", "error", str(error), "mend this: the desk does not start with it")
        return
    roles = [role for _, _, role in accounts.all()]
    accounts.close()
    supervisors = roles.count(Role.SUPERVISOR)
    if supervisors:
        yield Finding("people", "ok", f"{len(roles)} may sign in, {supervisors} of them as supervisors")
    elif roles:
        yield Finding(
            "people",
            "warning",
            "nobody is a supervisor: nobody can silence helmets, run drills, export or replace the riders file",
            "helmetwatch user role NAME supervisor",
        )
    else:
        yield Finding(
            "people", "warning", "nobody may sign in", "helmetwatch user add NAME --role supervisor"
        )


def _registers(alerts: Alerts) -> Iterator[Finding]:
    if alerts.riders_file:
        try:
            register = riders.read(Path(alerts.riders_file))
        except ConfigError as error:
            yield from _faults("riders", error, "mend these lines: the desk does not start with them")
        else:
            contacts = f"{len(register.contacts)} with an emergency contact"
            yield Finding("riders", "ok", f"{len(register.riders)} riders, {contacts}")
    else:
        yield Finding(
            "riders",
            "warning",
            "alerts.riders_file names no file: alerts have no name and no telephone number",
            "make one (docs/api.md has the columns) and take it into use with helmetwatch import riders",
        )
    if alerts.places_file:
        try:
            found = places.read(Path(alerts.places_file))
        except ConfigError as error:
            yield from _faults("places", error, "mend these lines: the desk does not start with them")
        else:
            yield Finding("places", "ok", f"{len(found)} stations and AEDs")


def _escalation(alerts: Alerts, names: dict[str, str]) -> Iterator[Finding]:
    unsure = {name for name, kind in names.items() if kind == "apprise"}
    path = Path(alerts.escalation_file)
    try:
        if not alerts.escalation_file:
            policy.default(names, unsure)
            if names:
                yield Finding(
                    "escalation",
                    "warning",
                    "no alerts.escalation_file: every channel is told every time, nobody by name",
                    "write one (docs/escalation.md)",
                )
            return
        found = policy.read(path, names, unsure)
        yield Finding(
            "escalation",
            "ok",
            f"{path}: {len(found.people)} people, {len(found.rotas)} rotas, a policy for each severity",
        )
        for doubt in policy.doubts(path, names):
            yield Finding("escalation", "warning", doubt, "is that meant?")
        yield from _unknown(found, names)
    except ConfigError as error:
        yield from _faults("escalation", error, "mend this: the desk does not start with it")


_KNOWN_BY = {"dingtalk": ("phone",), "wecom": ("wecom", "phone"), "feishu": ("feishu",), "smtp": ("email",)}
"""By what a channel can call a person by name."""


def _unknown(found: policy.Policy, names: dict[str, str]) -> Iterator[Finding]:
    """People whom a tier calls by a channel that cannot call them."""
    missing: dict[tuple[str, str], None] = {}
    for tier in {tier for tiers in found.tiers.values() for tier in tiers}:
        called = {name for name in tier.people if name in found.people}
        called |= {name for rota in found.rotas_of(tier) for name in rota.people}
        for channel in tier.channels:
            fields = _KNOWN_BY.get(names[channel], ())
            for key in sorted(called):
                if fields and not any(getattr(found.people[key], field) for field in fields):
                    missing[key, channel] = None
    for key, channel in sorted(missing):
        needs = " or ".join(_KNOWN_BY[names[channel]])
        yield Finding(
            "escalation",
            "warning",
            f"{key} cannot be called by name on {channel} ({names[channel]}): the message goes out without",
            f"give {key} {needs} in the escalation file",
        )


def _reach(alerts: Alerts, senders: dict[str, Sender]) -> Iterator[Finding]:
    """Whether each channel's host answers at all; nothing is sent, that is what the page's test button is for."""
    doors = {}
    for channel in alerts.channels:
        door = _door(channel, senders.get(channel.name))
        if door is not None:
            doors[channel.name] = door
    with ThreadPoolExecutor(8) as pool:
        faults = dict(zip(doors, pool.map(_knock, doors.values()), strict=True))
    for name, fault in faults.items():
        # The host alone: of a robot's address the rest is a secret.
        host, port = doors[name]
        if fault:
            yield Finding(
                "channels",
                "warning",
                f"{name}: {host}:{port} cannot be reached from here: {fault}",
                "look at the address, the firewall and the way to the internet; notices wait for a day",
            )
        else:
            yield Finding("channels", "ok", f"{name}: {host}:{port} answers")


def _door(channel: config.Channel, sender: Sender | None) -> tuple[str, int] | None:
    """Host and port of a channel; None where that is not ours to know."""
    if isinstance(channel, config.Mail):
        return channel.host, channel.port
    if isinstance(channel, config.Apprise):
        return None
    url = (
        channel.url
        if isinstance(channel, config.Webhook | config.Alertmanager)
        else getattr(sender, "url", "")
    )
    try:
        parts = urlsplit(url)
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname else None


def _knock(door: tuple[str, int]) -> str:
    try:
        with socket.create_connection(door, timeout=_REACH_S):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__


def _faults(area: str, error: ConfigError, advice: str) -> Iterator[Finding]:
    for fault in error.faults[:_FAULTS_SHOWN]:
        yield Finding(area, "error", fault, advice)
    if len(error.faults) > _FAULTS_SHOWN:
        yield Finding(area, "error", f"… and {len(error.faults) - _FAULTS_SHOWN} more faults", advice)
