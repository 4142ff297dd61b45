"""The escalation file: who is told by which channel, how long after an alert opened, until somebody takes it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from alerts.notices import Contact
from alerts.rota import Rota
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


def default(channels: Iterable[str]) -> Policy:
    """Without a file: every channel at each of `DELAYS_S`, nobody by name."""
    tiers = tuple(Tier(after_s, tuple(channels)) for after_s in DELAYS_S) if channels else ()
    here = datetime.now().astimezone().tzinfo or UTC
    return Policy(dict.fromkeys(range(1, 5), tiers), {}, {}, here)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Person(_Part):
    name: Annotated[str, Field(min_length=1, max_length=80)]
    phone: str = ""
    email: str = ""
    wecom: str = ""
    feishu: str = ""


class _Rota(_Part):
    people: Annotated[tuple[str, ...], Field(min_length=1)]
    start: date
    # Text: YAML 1.1 would read 20:00 as a number in base 60.
    handover: Annotated[
        tuple[Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")], ...], Field(min_length=1)
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


def read(path: Path, channels: Iterable[str]) -> Policy:
    """Reads the escalation file (YAML). Raises `ConfigError` with every fault."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: the escalation file cannot be read: {error}"]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError([f"{path}{f':{mark.line + 1}' if mark else ''}: not YAML"]) from None
    try:
        file = _File.model_validate(raw)
    except ValidationError as error:
        raise ConfigError([_fault(path, detail) for detail in error.errors()]) from None
    faults = _faults(file, set(channels))
    if faults:
        raise ConfigError([f"{path}: {fault}" for fault in faults])
    return _policy(file)


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


def _faults(file: _File, channels: set[str]) -> list[str]:
    faults = [
        f"{where}: there is no time zone {name!r}"
        for where, name in [
            ("time_zone", file.time_zone),
            *((f"rotas.{key}.time_zone", rota.time_zone) for key, rota in file.rotas.items()),
        ]
        if (name or where == "time_zone") and not _zone(name)
    ]
    for key, rota in file.rotas.items():
        faults += [f"rotas.{key}.people: {name} is nobody" for name in rota.people if name not in file.people]
    for row, rule in enumerate(file.policies):
        for step, tier in enumerate(rule.tiers):
            where = f"policies.{row}.tiers.{step}"
            faults += [
                f"{where}.channels: there is no channel {name} in alerts.channels"
                for name in tier.channels
                if name not in channels
            ]
            known = {*file.people, *(f"rota:{name}" for name in file.rotas)}
            faults += [
                f"{where}.people: {name} is neither a person nor a rota"
                for name in tier.people
                if name not in known
            ]
    covered = {severity for rule in file.policies for severity in rule.severities}
    missing = sorted({1, 2, 3, 4} - covered)
    if missing:
        faults.append(
            f"policies: no policy for severity {', '.join(map(str, missing))}: nobody would be told"
        )
    return faults


def _zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _fault(path: Path, detail: Any) -> str:
    where = ".".join(str(part) for part in detail["loc"]) or "file"
    message = detail["msg"][:1].lower() + detail["msg"][1:]
    hint = (
        ' (put it into quotes: "08:00", "13800000000")'
        if detail["type"] in ("string_type", "time_type")
        else ""
    )
    return f"{path}: {where}: {message}{hint}"
