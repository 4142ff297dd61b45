"""Scenarios in YAML (`docs/scenarios.md`): what rides, what befalls it, what goes wrong, and what must come of it."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from core import yaml_file
from core.config import ConfigError, Section
from simulator.day import Shift
from simulator.faults import ClockFault, Faults, Flat, Reboot, SensorFault, Spell
from simulator.recordings import RecordingError
from simulator.scenario import EXPECTED, Group, Happening, Outage, Scenario
from simulator.scenario_sections import (
    FRAME_FAULTS,
    SENSOR_FAULTS,
    Duration,
    EventFile,
    Expect,
    ExpectedAlert,
    FaultFile,
    GroupFile,
    Rate,
)
from simulator.sensor import PARTS
from simulator.splice import Splice, find_recording, splice_of

__all__ = ["LIBRARY", "ExpectedAlert", "ScenarioFile", "find_scenario", "parse_scenario"]

LIBRARY = Path(__file__).with_name("scenarios")
_AXES = ("x", "y", "z")


class ScenarioFile(Section):
    """A scenario file."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    about: str = ""
    """One or two sentences for a person."""
    seed: Annotated[int, Field(ge=0)] = 7
    duration: Duration
    fleet: tuple[GroupFile, ...]
    connections: Literal["shared", "own"] = "shared"
    """Whether each helmet signs in by itself."""
    answers: bool = True
    """Whether riders who are asked and did not crash say "I'm OK"."""
    rough_spots_per_hour: Rate = 12.0
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
    def shared_connections(self) -> int | None:
        """How many connections the fleet shares; None where each helmet has its own."""
        return None if self.connections == "own" else 4

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

    def indices(self, chosen: tuple[int, ...] | None) -> list[int]:
        """Places in the fleet of the helmets that were chosen."""
        return list(range(self.helmets)) if chosen is None else [n - 1 for n in chosen]

    def _happenings(self, e: EventFile, number: int, seed: int) -> list[Happening]:
        out = []
        for k, helmet in enumerate(self.indices(e.helmets)):
            times = [(e.at or 0.0) + k * e.spread]
            if e.per_hour is not None:
                rng = np.random.default_rng((seed, 19, number, helmet))
                until = self.duration if e.until is None else e.until
                length = max(0.0, until - e.from_)
                times = np.sort(
                    e.from_ + length * rng.random(rng.poisson(e.per_hour * length / 3600))
                ).tolist()
            splice = _splice(e)
            out += [
                Happening(
                    t, e.event, helmet, e.ok_after, e.up_after, e.answer, e.per_hour is not None, splice
                )
                for t in times
            ]
        return out

    def _faults(self) -> dict[str, Any]:
        out: dict[str, list[Any]] = {
            name: [] for name in ("outages", "spells", "sensor_faults", "clock_faults", "reboots", "flats")
        }
        for f in self.faults:
            end_s = float("inf") if f.until is None else f.until
            if f.fault in FRAME_FAULTS:
                helmets = None if f.helmets is None else frozenset(self.indices(f.helmets))
                out["spells"].append(Spell(Faults(**{f.fault: f.probability}), helmets, f.from_, end_s))
                continue
            for helmet in self.indices(f.helmets):
                if f.fault in SENSOR_FAULTS:
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
        group.boxed,
        group.sensor,
        Shift(group.day.begins / 3600, group.day.compress) if group.day else None,
    )


def _splice(e: EventFile) -> Splice | None:
    if not e.recording:
        return None
    return splice_of(find_recording(Path(e.recording)), e.into, e.then, e.expected)


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
    return parse_scenario(text, path.name, path.parent)


def parse_scenario(text: str, name: str = "scenario.yaml", folder: Path = Path()) -> ScenarioFile:
    """Makes a scenario of YAML text, or raises `ConfigError` with every fault and its line.

    Recordings are looked for from `folder` on.
    """
    found, node = yaml_file.read(ScenarioFile, text, name)
    located = [
        e.model_copy(update={"recording": str(folder / e.recording)}) if e.recording else e
        for e in found.events
    ]
    found = found.model_copy(update={"events": tuple(located)})
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
        at_s, where = getattr(part, "at", None) or 0.0, ".".join(map(str, path))
        if at_s > found.duration:
            out.append((f"{where}.at: {at_s:g} s is after the end at {found.duration:g} s", [*path, "at"]))
        spread = getattr(part, "spread", 0.0)
        last_s = at_s + spread * (len(found.indices(part.helmets)) - 1)
        if at_s <= found.duration < last_s:
            what = f"{where}.spread: the last helmet's turn is at {last_s:g} s, after the end at {found.duration:g} s"
            out.append((what, [*path, "spread"]))
    for k, e in enumerate(found.events):
        try:
            _splice(e)
        except RecordingError as error:
            out.append((f"events.{k}.recording: {error}", ["events", k, "recording"]))
    happening = {e.event for e in found.events}
    for k, expected in enumerate(found.expect.alerts):
        if expected.event not in happening or expected.event not in (*EXPECTED, "splice"):
            what = f"expect.alerts.{k}.event: there is no event {expected.event!r} to expect an alert for"
            out.append((what, ["expect", "alerts", k, "event"]))
    return out
