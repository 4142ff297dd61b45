"""The parts of a scenario file: groups of helmets, events, faults, expectations (`docs/scenarios.md`)."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from core.config import Section
from simulator.faults import Faults
from simulator.scenario import Answer, Kind
from simulator.sensor import PARTS
from simulator.splice import Expected, Situation, Then

_MOST_HELMETS = 200_000
_MOST_S = 31 * 86_400.0
"""The longest run: a month."""
_YEARS_S = 10 * 366 * 86_400.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: Any) -> Any:
    """Seconds of `400ms`, `20s`, `2m` or `1h`; anything else as it is."""
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
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise ValueError(f"{first}-{last} are no helmets: write the smaller number first")
        numbers += range(first, min(last, _MOST_HELMETS + 1) + 1)
    return tuple(numbers)


Seconds = Annotated[float, BeforeValidator(seconds), Field(ge=0, le=_MOST_S)]
Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=_MOST_S)]
Rate = Annotated[float, Field(ge=0, le=36_000)]
"""An hour; ten a second is more than any helmet lives through."""
Chosen = Annotated[tuple[int, ...] | None, BeforeValidator(_chosen)]
Share = Annotated[float, Field(ge=0, le=1)]
FRAME_FAULTS = tuple(Faults.__dataclass_fields__)


class DayFile(Section):
    """Which part of a working day a run lives through."""

    begins: Annotated[Seconds, Field(lt=86_400)] = 9 * 3600.0
    """Hour of the day at the start, as 11h or 16.5h; shifts begin between 9:30 and 11:30, meals are at 11 and 17."""
    compress: Annotated[float, Field(ge=1, le=60)] = 1.0
    """How many hours of the day pass in one: waits, walks, breaks, ways and battery shrink, motion does not."""


class GroupFile(Section):
    """Helmets of one kind."""

    helmets: Annotated[int, Field(ge=1, le=_MOST_HELMETS)]
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
    boxed: bool = False
    """Whether it lies in the delivery box of a vehicle that rides, not worn."""
    sensor: Literal["liner", "shell"] = "liner"
    """Where the accelerometer sits."""
    day: DayFile | None = None
    """Riders who work a day of orders, breaks and battery, instead of riding on and on."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.part not in PARTS:
            raise ValueError(f"part {self.part!r} is not one of {', '.join(PARTS)}")
        if self.hangs + self.boxed + (self.day is not None) > 1:
            raise ValueError("a helmet hangs, is boxed or has a day: only one of these")
        return self


class EventFile(Section):
    """Something that befalls helmets, at a time or at a rate."""

    event: Kind
    helmets: Chosen = None
    at: Seconds | None = None
    """When, from the start; or else `per_hour`."""
    spread: Seconds = 0.0
    """Each further helmet this much later."""
    per_hour: Annotated[Rate, Field(gt=0)] | None = None
    """How often in an hour of each helmet, at random times from `from` to `until`."""
    from_: Seconds = Field(default=5.0, alias="from")
    until: Seconds | None = None
    ok_after: Seconds | None = None
    """When the rider says "I'm OK"."""
    up_after: Seconds | None = None
    """When one who fell stands up again."""
    answer: Answer | None = None
    """What the rider says when asked; without it who has crashed is silent and all others say "I'm OK"."""
    recording: str = ""
    """For a `splice`: the recording's folder and number, as in `my_rides/3`, from the scenario file on."""
    into: Situation | None = None
    """For a `splice`: what the helmet must be doing; without it what the recording's label suggests."""
    then: Then | None = None
    """For a `splice`: how it goes on; without it what the recording's label suggests."""
    expected: Expected | None = None
    """For a `splice`: what should come of it; without it an alert for the labels of crashes, else none."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.at is None) == (self.per_hour is None):
            raise ValueError("give either at or per_hour")
        _ordered(self.from_, self.until)
        if (self.event == "splice") != bool(self.recording):
            raise ValueError("a splice needs a recording, and no other event has one")
        if not self.recording and (self.into or self.then or self.expected):
            raise ValueError("into, then and expected belong to a splice")
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
    step: Annotated[float, BeforeValidator(seconds), Field(ge=-_YEARS_S, le=_YEARS_S)] = 0.0
    """How far a clock is set ahead; negative (in seconds) back."""
    drift_ppm: Annotated[float, Field(ge=-100_000, le=100_000)] = 0.0
    down: Seconds = 4.0
    """How long a reboot takes."""
    every: Annotated[Seconds, Field(ge=0.1)] = 6.0
    """Period of flapping."""
    gone: Seconds = 2.0
    """How long of each period the connection is gone."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.fault not in FAULTS:
            raise ValueError(f"fault {self.fault!r} is not one of {', '.join(FAULTS)}")
        others = self.model_fields_set - {"fault", "helmets", *_KEYS[self.fault]}
        if others:
            names = ", ".join(sorted(name.rstrip("_") for name in others))
            own = ", ".join(name.rstrip("_") for name in _KEYS[self.fault])
            raise ValueError(f"{self.fault} has no {names}, but {own}")
        _ordered(self.from_, self.until)
        if self.gone >= self.every:
            raise ValueError(
                f"gone for {self.gone:g} s of every {self.every:g} s is gone for good: an outage"
            )
        return self


def _ordered(from_s: float, until_s: float | None) -> None:
    if until_s is not None and until_s < from_s:
        raise ValueError(f"until {until_s:g} s is before from {from_s:g} s")


SENSOR_FAULTS = ("stuck", "rail", "frozen", "spikes")
_KEYS = {
    **dict.fromkeys(FRAME_FAULTS, ("probability", "from_", "until")),
    **dict.fromkeys(SENSOR_FAULTS, ("axis", "from_", "until")),
    "clock": ("at", "step", "drift_ppm"),
    "reboot": ("at", "down"),
    "battery": ("at",),
    "outage": ("from_", "until"),
    "flapping": ("from_", "until", "every", "gone"),
}
"""What each fault can be told, beside its helmets."""
FAULTS = tuple(_KEYS)
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
