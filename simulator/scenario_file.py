"""Scenarios in YAML (`docs/scenarios.md`): what rides, what befalls it, what goes wrong, and what must come of it."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from core import yaml_file
from core.config import ConfigError, Section
from simulator.faults import ClockFault, Faults, Flat, Reboot, SensorFault, Spell
from simulator.scenario import EXPECTED, Group, Happening, Kind, Outage, Scenario
from simulator.sensor import PARTS

LIBRARY = Path(__file__).with_name("scenarios")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_AXES = ("x", "y", "z")


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        found = re.fullmatch(r"([0-9]*\.?[0-9]+) ?(ms|s|m|h)", value)
        if not found:
            raise ValueError("write a duration as 20s, 2m or 1h")
        return float(found[1]) * _UNITS[found[2]]
    return value


def _chosen(value: Any) -> Any:
    """Numbers of helmets, counting from 1: `all`, 3, `1-6`, `1,3,5-7` or a list of these."""
    if value == "all":
        return None
    numbers: list[int] = []
    for part in value if isinstance(value, list) else str(value).split(","):
        found = re.fullmatch(r" *([1-9][0-9]*)(?:-([1-9][0-9]*))? *", str(part))
        if not found:
            raise ValueError("write helmets as all, 3, 1-6 or 1,3,5-7, counting from 1")
        numbers += range(int(found[1]), int(found[2] or found[1]) + 1)
    return tuple(numbers)


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
Chosen = Annotated[tuple[int, ...] | None, BeforeValidator(_chosen)]
Share = Annotated[float, Field(ge=0, le=1)]
_FRAME_FAULTS = tuple(Faults.__dataclass_fields__)


class GroupFile(Section):
    """Helmets of one kind."""

    helmets: Annotated[int, Field(ge=1, le=200_000)]
    """How many."""
    part: str = "100hz-16g"
    """Kind of accelerometer, one of the table in docs/scenarios.md."""
    riding: bool | None = None
    """Whether they ride at the start; without it 85 of 100 do."""
    vehicle: Literal["ebike", "scooter"] | None = None
    """What they ride; without it either."""
    position: bool | None = True
    """Whether the helmet knows where it is and how fast."""
    wear_sensor: bool | None = True
    """Whether the helmet knows that it is worn."""
    hangs: bool = False
    """Whether it hangs on the handlebar, not worn."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.part not in PARTS:
            raise ValueError(f"part {self.part!r} is not one of {', '.join(PARTS)}")
        return self


class EventFile(Section):
    """Something that befalls helmets, at a time or at a rate."""

    event: Kind
    helmets: Chosen = None
    at: Seconds | None = None
    """When, from the start; or else `per_hour`."""
    spread: Seconds = 0.0
    """Each further helmet this much later."""
    per_hour: Annotated[float, Field(gt=0)] | None = None
    """How often in an hour of each helmet, at random times from `from` to `until`."""
    from_: Seconds = Field(default=5.0, alias="from")
    until: Seconds | None = None
    ok_after: Seconds | None = None
    """When the rider says "I'm OK"."""
    up_after: Seconds | None = None
    """When one who fell stands up again."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.at is None) == (self.per_hour is None):
            raise ValueError("give either at or per_hour")
        return self


class FaultFile(Section):
    """Something that goes wrong with helmets or their connections."""

    fault: str
    helmets: Chosen = None
    probability: Share = 1.0
    """Of each frame, for faults of frames."""
    from_: Seconds = Field(default=0.0, alias="from")
    until: Seconds | None = None
    at: Seconds = 0.0
    axis: Literal["x", "y", "z"] = "z"
    step: Annotated[float, BeforeValidator(_seconds)] = 0.0
    """How far a clock is set ahead; negative (in seconds) back."""
    drift_ppm: float = 0.0
    down: Seconds = 4.0
    """How long a reboot takes."""
    every: Seconds = 6.0
    """Period of flapping."""
    gone: Seconds = 2.0
    """How long of each period the connection is gone."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.fault not in FAULTS:
            raise ValueError(f"fault {self.fault!r} is not one of {', '.join(FAULTS)}")
        return self


_SENSOR_FAULTS = ("stuck", "rail", "frozen", "spikes")
FAULTS = (*_FRAME_FAULTS, *_SENSOR_FAULTS, "clock", "reboot", "battery", "outage", "flapping")
"""Names of everything that can go wrong."""


class ExpectedAlert(Section):
    """Every true `event` must have one alert like this."""

    event: Kind
    helmets: Chosen = None
    within: Seconds = 2.0
    """How far an impact of the alert may be from the true one."""
    kind: list[Literal["head_strike", "fall", "helmet_lost", "sos"]] | None = None
    state: list[Literal["pending", "open", "acknowledged", "resolved", "cancelled"]] | None = None
    stage: list[Literal["fast", "standard", "confirmed", "downgraded", "cancelled"]] | None = None
    severity_at_least: Annotated[int, Field(ge=1, le=4)] | None = None
    late: bool | None = None
    alerted_within: Seconds | None = None
    """Time from the true impact to the alert in the book, by the run's own clock."""
    optional: bool = False
    """Whether no alert is right as well; one that comes must still be as described."""
    at_least: Annotated[int, Field(ge=0)] | None = None
    """How many of the events must have their alert; without it all."""


class Expect(Section):
    """What must come of it."""

    alerts: tuple[ExpectedAlert, ...] = ()
    other_alerts: Annotated[int, Field(ge=0)] = 0
    """Most alerts that belong to none of the above."""
    lost_frames: Annotated[int, Field(ge=0)] = 0
    """Most frames that the broker acknowledged and nobody has."""
    rejected_at_least: Annotated[int, Field(ge=0)] = 0
    """Fewest messages that the worker must have counted as unusable."""


class ScenarioFile(Section):
    """A scenario file."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    about: str = ""
    """One or two sentences for a person."""
    seed: int = 7
    duration: Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
    fleet: tuple[GroupFile, ...]
    connections: Literal["shared", "own"] = "shared"
    """Whether each helmet signs in by itself."""
    answers: bool = True
    """Whether riders who are asked and did not crash say "I'm OK"."""
    rough_spots_per_hour: Annotated[float, Field(ge=0)] = 12.0
    events: tuple[EventFile, ...] = ()
    faults: tuple[FaultFile, ...] = ()
    expect: Expect = Expect()

    @model_validator(mode="after")
    def _somebody_rides(self) -> Self:
        if not self.fleet:
            raise ValueError("fleet is empty")
        return self

    @property
    def helmets(self) -> int:
        """Helmets of all groups."""
        return sum(group.helmets for group in self.fleet)

    @property
    def duration_s(self) -> float:
        """Length in simulated seconds."""
        return self.duration

    @property
    def own_connections(self) -> int:
        """How many connections the fleet opens."""
        return self.helmets if self.connections == "own" else 4

    def scenario(self, seed: int | None = None, prefix: str = "SF-") -> Scenario:
        """What the simulator runs."""
        seed = self.seed if seed is None else seed
        return Scenario(
            name=self.name,
            helmets=self.helmets,
            seed=seed,
            prefix=prefix,
            rough_spots_per_h=self.rough_spots_per_hour,
            groups=tuple(_group(group) for group in self.fleet),
            happenings=tuple(h for k, e in enumerate(self.events) for h in self._happenings(e, k, seed)),
            answers=self.answers,
            **self._faults(),
        )

    def _indices(self, chosen: tuple[int, ...] | None) -> list[int]:
        return list(range(self.helmets)) if chosen is None else [n - 1 for n in chosen]

    def _happenings(self, e: EventFile, number: int, seed: int) -> list[Happening]:
        out = []
        for k, helmet in enumerate(self._indices(e.helmets)):
            times = [(e.at or 0.0) + k * e.spread]
            if e.per_hour is not None:
                rng = np.random.default_rng((seed, 19, number, helmet))
                until = self.duration if e.until is None else e.until
                length = max(0.0, until - e.from_)
                times = np.sort(
                    e.from_ + length * rng.random(rng.poisson(e.per_hour * length / 3600))
                ).tolist()
            out += [Happening(t_s, e.event, helmet, e.ok_after, e.up_after) for t_s in times]
        return out

    def _faults(self) -> dict[str, Any]:
        out: dict[str, list[Any]] = {
            name: [] for name in ("outages", "spells", "sensor_faults", "clock_faults", "reboots", "flats")
        }
        for f in self.faults:
            end_s = float("inf") if f.until is None else f.until
            if f.fault in _FRAME_FAULTS:
                helmets = None if f.helmets is None else frozenset(self._indices(f.helmets))
                out["spells"].append(Spell(Faults(**{f.fault: f.probability}), helmets, f.from_, end_s))
                continue
            for helmet in self._indices(f.helmets):
                if f.fault in _SENSOR_FAULTS:
                    kind: Any = f.fault
                    out["sensor_faults"].append(
                        SensorFault(helmet, kind, _AXES.index(f.axis), f.from_, end_s)
                    )
                elif f.fault == "clock":
                    out["clock_faults"].append(ClockFault(helmet, f.at, f.step, f.drift_ppm))
                elif f.fault == "reboot":
                    out["reboots"].append(Reboot(helmet, f.at, f.down))
                elif f.fault == "battery":
                    out["flats"].append(Flat(helmet, f.at))
                else:
                    out["outages"] += _outages(f, helmet, min(end_s, self.duration))
        return {name: tuple(values) for name, values in out.items()}


def _group(group: GroupFile) -> Group:
    return Group(
        group.helmets,
        PARTS[group.part],
        group.riding,
        group.vehicle,
        group.position,
        group.wear_sensor,
        group.hangs,
    )


def _outages(f: FaultFile, helmet: int, end_s: float) -> list[Outage]:
    if f.fault == "outage":
        return [Outage(helmet, f.from_, end_s)]
    return [Outage(helmet, float(t), float(t) + f.gone) for t in np.arange(f.from_, end_s - f.gone, f.every)]


def find_scenario(name: str) -> ScenarioFile:
    """A scenario file by its path, or one of the library by its name. Raises `ConfigError` with every fault."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = LIBRARY / f"{name}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in LIBRARY.glob("*.yaml")))
            raise ConfigError([f"{name}: neither a YAML file nor one of {known}"])
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from None
    return parse_scenario(text, path.name)


def parse_scenario(text: str, name: str = "scenario.yaml") -> ScenarioFile:
    """Makes a scenario of YAML text, or raises `ConfigError` with every fault and its line."""
    found, node = yaml_file.read(ScenarioFile, text, name)
    faults = [f"{what} ({name}:{yaml_file.line(node, path)})" for what, path in _misfits(found)]
    if faults:
        raise ConfigError(faults)
    return found


def _misfits(found: ScenarioFile) -> list[tuple[str, list[Any]]]:
    """What fits by itself but not with the rest."""
    out: list[tuple[str, list[Any]]] = []
    parts: list[tuple[list[Any], Any]] = [(["events", k], e) for k, e in enumerate(found.events)]
    parts += [(["faults", k], f) for k, f in enumerate(found.faults)]
    parts += [(["expect", "alerts", k], a) for k, a in enumerate(found.expect.alerts)]
    for path, part in parts:
        for number in part.helmets or ():
            if number > found.helmets:
                where = ".".join(map(str, path))
                out.append(
                    (f"{where}.helmets: there is no helmet {number} of {found.helmets}", [*path, "helmets"])
                )
        at_s = getattr(part, "at", None) or 0.0
        if at_s > found.duration:
            where = ".".join(map(str, path))
            out.append((f"{where}.at: {at_s:g} s is after the end at {found.duration:g} s", [*path, "at"]))
    happening = {e.event for e in found.events}
    for k, expected in enumerate(found.expect.alerts):
        if expected.event not in happening or expected.event not in EXPECTED:
            what = f"expect.alerts.{k}.event: there is no event {expected.event!r} to expect an alert for"
            out.append((what, ["expect", "alerts", k, "event"]))
    return out
