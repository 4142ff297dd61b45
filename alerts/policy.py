"""The escalation file: who is told by which channel, how long after an alert opened, until somebody takes it."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from alerts.notices import CRITICAL, Contact
from alerts.rota import Rota
from core import yaml_file
from core.config import ConfigError

DELAYS_S = (0.0, 60.0, 180.0, 300.0)
"""Without a file: at once, then as field practice has it: a group's lead, a telephone call, a manager."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One step: these people by these channels, so long after the alert opened."""

    after_s: float
    channels: tuple[str, ...]
    people: tuple[str, ...] = ()
    """Keys of people, or `rota:NAME`."""


@dataclass(frozen=True, slots=True)
class Storm:
    """When many helmets falling silent at once are one incident."""

    alerts: int = 20
    within_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules, checked."""

    tiers: dict[int, tuple[Tier, ...]]
    """By severity, 1 to 4; ascending in `after_s`."""
    people: dict[str, Contact]
    rotas: dict[str, Rota]
    zone: tzinfo
    repeat_s: float = 300.0
    """How often the last tier is told again while nobody takes the alert."""
    untouched_s: float = 900.0
    """How long a person who has an alert may do nothing before it opens again."""
    storm: Storm = Storm()

    def contacts(self, tier: Tier, at_us: int) -> tuple[tuple[str, Contact], ...]:
        """Key and contact of everybody the tier calls at a moment, each once."""
        keys = dict.fromkeys(self._key(name, at_us) for name in tier.people)
        return tuple((key, self.people[key]) for key in keys)

    def rotas_of(self, tier: Tier) -> list[Rota]:
        """The rotas that decide whom a tier calls."""
        return [self.rotas[name.removeprefix("rota:")] for name in tier.people if name.startswith("rota:")]

    def _key(self, name: str, at_us: int) -> str:
        if name.startswith("rota:"):
            return self.rotas[name.removeprefix("rota:")].on_duty(at_us)
        return name


_UNSURE = (
    "apprise may not be the only way of a critical alert: it does not see whether a service took a message"
)


def default(channels: Iterable[str], unsure: Collection[str] = ()) -> Policy:
    """Without a file: every channel at each of `DELAYS_S`, nobody by name.

    Raises `ConfigError` where there are channels and all of them are `unsure` (of the kind apprise).
    """
    channels = list(channels)
    if channels and set(channels) <= set(unsure):
        raise ConfigError([f"alerts.channels: {_UNSURE}"])
    tiers = tuple(Tier(after_s, tuple(channels)) for after_s in DELAYS_S) if channels else ()
    here = datetime.now().astimezone().tzinfo or UTC
    return Policy(dict.fromkeys(range(1, 5), tiers), {}, {}, here)


def _quoted(value: object) -> object:
    # YAML 1.1 reads 13800000000 as a number and 20:00 as one in base 60.
    if isinstance(value, int | float | date):
        raise ValueError('must be text; put it into quotes: "08:00", "13800000000"')
    return value


_Text = Annotated[str, BeforeValidator(_quoted)]
_Where = list[str | int]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Person(_Part):
    name: Annotated[_Text, Field(min_length=1, max_length=80)]
    phone: _Text = ""
    email: _Text = ""
    wecom: _Text = ""
    feishu: _Text = ""


class _Rota(_Part):
    people: Annotated[tuple[str, ...], Field(min_length=1)]
    start: date
    handover: Annotated[
        tuple[Annotated[_Text, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")], ...], Field(min_length=1)
    ]
    days: Annotated[int, Field(ge=1, le=366)] = 1
    time_zone: str = ""


class _Tier(_Part):
    after_s: Annotated[float, Field(ge=0, le=86400)]
    channels: Annotated[tuple[str, ...], Field(min_length=1)]
    people: tuple[str, ...] = ()


class _Rule(_Part):
    severities: Annotated[tuple[Annotated[int, Field(ge=1, le=4)], ...], Field(min_length=1)]
    tiers: Annotated[tuple[_Tier, ...], Field(min_length=1)]


class _Storm(_Part):
    alerts: Annotated[int, Field(ge=2)] = 20
    within_s: Annotated[float, Field(gt=0, le=3600)] = 60.0


class _File(_Part):
    time_zone: str
    people: dict[Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")], _Person] = {}
    rotas: dict[Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")], _Rota] = {}
    policies: Annotated[tuple[_Rule, ...], Field(min_length=1)]
    repeat_s: Annotated[float, Field(ge=30, le=86400)] = 300.0
    untouched_min: Annotated[float, Field(ge=1, le=1440)] = 15.0
    storm: _Storm = _Storm()


def read(path: Path, channels: Iterable[str], unsure: Collection[str] = ()) -> Policy:
    """Reads the escalation file (YAML). Raises `ConfigError` with every fault and its line.

    Whom a critical alert calls first must not hang on channels that are `unsure` (of the kind apprise) alone.
    """
    file, node = _read(path, channels)
    faults = [
        _said(path, node, ["policies", row, "tiers", step, "channels"], _UNSURE)
        for row, rule in enumerate(file.policies)
        for step, tier in enumerate(rule.tiers)
        if CRITICAL in rule.severities
        and tier.after_s == min(each.after_s for each in rule.tiers)
        and set(tier.channels) <= set(unsure)
    ]
    if faults:
        raise ConfigError(faults)
    return _policy(file)


def doubts(path: Path, channels: Iterable[str]) -> list[str]:
    """What is allowed in the escalation file and yet is hardly meant, each with its line. Raises `ConfigError`."""
    file, node = _read(path, channels)
    return [_said(path, node, where, sentence) for where, sentence in _doubts(file, set(channels))]


def _read(path: Path, channels: Iterable[str]) -> tuple[_File, yaml.Node | None]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: the escalation file cannot be read: {error}"]) from None
    file, node = yaml_file.read(_File, text, str(path))
    faults = [_said(path, node, where, sentence) for where, sentence in _faults(file, set(channels))]
    if faults:
        raise ConfigError(faults)
    return file, node


def _said(path: Path, node: yaml.Node | None, where: _Where, sentence: str) -> str:
    return f"{'.'.join(map(str, where))}: {sentence} ({path}:{yaml_file.line(node, where)})"


def _policy(file: _File) -> Policy:
    tiers: dict[int, tuple[Tier, ...]] = {}
    for rule in reversed(file.policies):  # the first that names a severity wins
        made = [Tier(tier.after_s, tier.channels, tier.people) for tier in rule.tiers]
        tiers |= dict.fromkeys(rule.severities, tuple(sorted(made, key=lambda tier: tier.after_s)))
    rotas = {
        name: Rota(
            rota.people,
            ZoneInfo(rota.time_zone or file.time_zone),
            rota.start,
            tuple(time.fromisoformat(at) for at in sorted(set(rota.handover))),
            rota.days,
        )
        for name, rota in file.rotas.items()
    }
    people = {key: Contact(**person.model_dump()) for key, person in file.people.items()}
    return Policy(
        tiers=tiers,
        people=people,
        rotas=rotas,
        zone=ZoneInfo(file.time_zone),
        repeat_s=file.repeat_s,
        untouched_s=file.untouched_min * 60,
        storm=Storm(file.storm.alerts, file.storm.within_s),
    )


def _faults(file: _File, channels: set[str]) -> Iterator[tuple[_Where, str]]:
    zones: list[tuple[_Where, str]] = [(["time_zone"], file.time_zone)]
    zones += [
        (["rotas", key, "time_zone"], rota.time_zone) for key, rota in file.rotas.items() if rota.time_zone
    ]
    for where, name in zones:
        if not _zone(name):
            yield where, f"there is no time zone {name!r}"
    for key, rota in file.rotas.items():
        for number, name in enumerate(rota.people):
            if name not in file.people:
                yield ["rotas", key, "people", number], f"{name} is nobody"
    known = {*file.people, *(f"rota:{name}" for name in file.rotas)}
    for row, rule in enumerate(file.policies):
        for step, tier in enumerate(rule.tiers):
            where = ["policies", row, "tiers", step]
            for name in tier.channels:
                if name not in channels:
                    yield [*where, "channels"], f"there is no channel {name} in alerts.channels"
            for name in tier.people:
                if name not in known:
                    yield [*where, "people"], f"{name} is neither a person nor a rota"
    covered = {severity for rule in file.policies for severity in rule.severities}
    missing = sorted({1, 2, 3, 4} - covered)
    if missing:
        yield (
            ["policies"],
            f"no policy for severity {', '.join(map(str, missing))}: nobody would be told",
        )


def _doubts(file: _File, channels: set[str]) -> Iterator[tuple[_Where, str]]:
    seen: set[int] = set()
    for row, rule in enumerate(file.policies):
        for severity in rule.severities:
            if severity in seen:
                yield (
                    ["policies", row, "severities"],
                    f"severity {severity} stands in a policy above already, which counts",
                )
        seen |= set(rule.severities)
        delays = [tier.after_s for tier in rule.tiers]
        if delays and min(delays) > 0:
            yield ["policies", row, "tiers"], f"nobody is told in the first {min(delays):g} s"
        if len(set(delays)) < len(delays):
            yield ["policies", row, "tiers"], "two tiers have the same after_s: they are told together"
    called = {name for rule in file.policies for tier in rule.tiers for name in tier.people}
    for name in file.rotas:
        if f"rota:{name}" not in called:
            yield ["rotas", name], "no tier calls this rota"
    for key, rota in file.rotas.items():
        if len(set(rota.handover)) < len(rota.handover):
            yield ["rotas", key, "handover"], "a time of day is given twice: it counts once"
        if len(set(rota.people)) == 1 and len(rota.people) * len(rota.handover) > 1:
            yield ["rotas", key, "people"], "one person has every turn: nobody ever hands over"
    used = {name for rule in file.policies for tier in rule.tiers for name in tier.channels}
    for name in sorted(channels - used):
        yield ["policies"], f"no tier uses the channel {name}"


def _zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
