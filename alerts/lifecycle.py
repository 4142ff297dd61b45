"""The life of an alert, as rules without storage: what stands in `RULES` is the specification.

An input meets an alert in a state; the rule names the line the timeline gets and the state that follows.
Where a machine's input has no rule it is ignored; where a person's has none it is refused with a sentence.
We would rather alert twice than not at all: nothing but the rider, the detector's own withdrawal
or a named person ever quiets an alert.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from alerts.model import Alert, Entry, Resolution, Resolved, Rider, State
from core.model import Detection, HelmetEvent, Kind, Position, Stage, Worn

DETECTOR, RIDER, DESK = "detector", "rider", "desk"
"""Actors that are not persons; no account may have one of these names."""

# `seq` is the frame's number there and the feed's id here.
COPIED = (Detection.__dataclass_fields__.keys() & Alert.__dataclass_fields__.keys()) - {"seq"}
"""What an alert takes over from a detection as it is."""
NEWEST = COPIED - {"received_us", "detected_us"}
"""What of it follows newer versions; when a crash was first received and detected does not change."""


class Input(StrEnum):
    """What can happen to an alert."""

    MORE = "more"
    """A newer version that changes none of what follows."""
    IMPACT = "impact"
    """A newer version with an impact that the rider has not answered with "I'm OK"."""
    WORSE = "severity"
    """A newer version with a higher severity."""
    CONFIRMED = "confirmed"
    """A version in stage confirmed, while the countdown runs."""
    WITHDRAWN = "detector"
    """A version in stage cancelled."""
    RETURNED = "returned"
    """A version in another stage after one in stage cancelled."""
    SOS = "sos"
    OK = "ok"
    COUNTDOWN = "countdown"
    """The rider's time to answer is over."""
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    REOPEN = "person"
    NOTE = "note"
    UNTOUCHED = "untouched"
    """Who has it has done nothing about it for too long."""
    DRILL = "drill"
    HELP = "help"
    """Somebody nearby is asked to help, or says what they do."""


P, O, A, R, C = State  # noqa: E741  # the five columns of the table below

RULES: dict[tuple[State, Input], tuple[Entry, State]] = {
    (P, Input.MORE): (Entry.UPDATED, P),
    (O, Input.MORE): (Entry.UPDATED, O),
    (A, Input.MORE): (Entry.UPDATED, A),
    (R, Input.MORE): (Entry.UPDATED, R),
    (C, Input.MORE): (Entry.UPDATED, C),
    (P, Input.IMPACT): (Entry.IMPACT, P),
    (O, Input.IMPACT): (Entry.IMPACT, O),
    (A, Input.IMPACT): (Entry.REOPENED, O),
    (R, Input.IMPACT): (Entry.REOPENED, O),
    (C, Input.IMPACT): (Entry.REOPENED, O),
    (P, Input.WORSE): (Entry.UPDATED, P),
    (O, Input.WORSE): (Entry.UPDATED, O),
    (A, Input.WORSE): (Entry.REOPENED, O),
    (R, Input.WORSE): (Entry.REOPENED, O),
    (C, Input.WORSE): (Entry.REOPENED, O),
    (P, Input.CONFIRMED): (Entry.OPENED, O),
    (P, Input.WITHDRAWN): (Entry.CANCELLED, C),
    (O, Input.WITHDRAWN): (Entry.CANCELLED, C),
    (A, Input.WITHDRAWN): (Entry.WITHDRAWN, A),
    (R, Input.WITHDRAWN): (Entry.UPDATED, R),
    (C, Input.WITHDRAWN): (Entry.UPDATED, C),
    (P, Input.RETURNED): (Entry.UPDATED, P),
    (O, Input.RETURNED): (Entry.UPDATED, O),
    (A, Input.RETURNED): (Entry.UPDATED, A),
    (R, Input.RETURNED): (Entry.UPDATED, R),
    (C, Input.RETURNED): (Entry.REOPENED, O),
    (A, Input.UNTOUCHED): (Entry.REOPENED, O),
    (P, Input.DRILL): (Entry.OPENED, O),
    (P, Input.SOS): (Entry.OPENED, O),
    (P, Input.OK): (Entry.CANCELLED, C),
    (O, Input.OK): (Entry.CANCELLED, C),
    (A, Input.OK): (Entry.WITHDRAWN, A),
    (P, Input.COUNTDOWN): (Entry.OPENED, O),
    (P, Input.ACKNOWLEDGE): (Entry.ACKNOWLEDGED, A),
    (O, Input.ACKNOWLEDGE): (Entry.ACKNOWLEDGED, A),
    (A, Input.RESOLVE): (Entry.RESOLVED, R),
    (R, Input.REOPEN): (Entry.REOPENED, O),
    (C, Input.REOPEN): (Entry.REOPENED, O),
    (P, Input.HELP): (Entry.HELP, P),
    (O, Input.HELP): (Entry.HELP, O),
    (A, Input.HELP): (Entry.HELP, A),
    (P, Input.NOTE): (Entry.NOTED, P),
    (O, Input.NOTE): (Entry.NOTED, O),
    (A, Input.NOTE): (Entry.NOTED, A),
    (R, Input.NOTE): (Entry.NOTED, R),
    (C, Input.NOTE): (Entry.NOTED, C),
}


class RefusedError(Exception):
    """The alert's state does not allow what a person asked for; the message is one sentence for them."""

    def __init__(self, sentence: str, owner: str | None = None) -> None:
        super().__init__(sentence)
        self.owner = owner


@dataclass(frozen=True, slots=True)
class Step:
    """One change that the book has yet to write down."""

    type: Entry
    actor: str
    alert: Alert
    detail: dict[str, Any] = field(default_factory=dict)


def detected(
    detection: Detection, rider: Rider | None, now_us: int, countdown_us: int, ok_us: int | None
) -> Iterator[Step]:
    """The first steps of a new alert. `ok_us` is when its rider last said "I'm OK", in device time.

    The countdown runs from the detection, when the rider was asked: a desk that was away does not wait again.
    A worker whose clock is ahead of ours cannot make it longer.
    """
    answer_by_us = min(now_us, detection.detected_us) + countdown_us
    alert = Alert(
        id=detection.incident,
        state=State.PENDING,
        seq=0,
        rider=rider,
        frame_seq=detection.seq,
        alerted_us=now_us,
        opens_us=answer_by_us,
        answer_by_us=answer_by_us,
        **{name: getattr(detection, name) for name in COPIED},
    )
    yield Step(Entry.DETECTED, DETECTOR, alert, _finding(detection))
    if detection.stage is Stage.CANCELLED:
        yield from _apply(alert, Input.WITHDRAWN, DETECTOR, now_us, _finding(detection))
    elif ok_us is not None and ok_us >= alert.last_impact_us:
        yield from _apply(alert, Input.OK, RIDER, now_us)
    elif detection.stage is Stage.CONFIRMED:
        yield from _apply(alert, Input.CONFIRMED, DETECTOR, now_us, _finding(detection))


def updated(alert: Alert, detection: Detection, now_us: int, ok_us: int | None) -> Iterator[Step]:
    """What a newer version of an alert's incident changes; an older or equal version changes nothing."""
    if detection.version <= alert.version:
        return
    inputs = _inputs(alert, detection, ok_us)
    alert = replace(alert, frame_seq=detection.seq, **{name: getattr(detection, name) for name in NEWEST})
    for given in inputs:
        for step in _apply(alert, given, DETECTOR, now_us, _finding(detection)):
            alert = step.alert
            yield step


def sos(event: HelmetEvent, rider: Rider | None, now_us: int, ok_us: int | None) -> Iterator[Step]:
    """The first steps of an alert that a rider raised by the button: it needs no countdown."""
    position = None
    if event.lat_deg is not None and event.lon_deg is not None:
        position = Position(event.lat_deg, event.lon_deg, None, None)
    alert = Alert(
        id=blake2b(f"sos {event.helmet} {event.t_us}".encode(), digest_size=16).hexdigest(),
        state=State.PENDING,
        seq=0,
        version=1,
        helmet=event.helmet,
        rider=rider,
        kind=Kind.SOS,
        stage=Stage.CONFIRMED,
        severity=4,
        severity_basis="context",
        quality="A",
        worn=Worn.UNKNOWN,
        late=False,
        signal_lost=False,
        reason_zh="骑手按下了求救按钮",
        reason_en="The rider pressed the SOS button",
        position=position,
        speed_mps=None,
        impacts_us=[],
        boot=None,
        frame_seq=None,
        occurred_us=event.t_us,
        received_us=event.received_us,
        detected_us=event.received_us,
        alerted_us=now_us,
        opens_us=now_us,
    )
    yield Step(Entry.DETECTED, RIDER, alert)
    if ok_us is not None and ok_us >= event.t_us:
        yield from _apply(alert, Input.OK, RIDER, now_us)
    else:
        yield from _apply(alert, Input.SOS, RIDER, now_us)


def drill(severity: int, person: str, unique: str, now_us: int) -> Iterator[Step]:
    """The first steps of an alert that a person raises to practise: open at once, marked TEST for ever."""
    alert = Alert(
        id=f"drill-{unique}",
        state=State.PENDING,
        seq=0,
        version=1,
        helmet="DRILL",
        rider=None,
        kind=Kind.HEAD_STRIKE,
        stage=Stage.CONFIRMED,
        severity=severity,
        severity_basis="context",
        quality="D",
        worn=Worn.UNKNOWN,
        late=False,
        signal_lost=False,
        reason_zh=f"演练 TEST：{person} 发起，没有人受伤",
        reason_en=f"TEST, a drill: raised by {person}, nobody is hurt",
        position=None,
        speed_mps=None,
        impacts_us=[],
        boot=None,
        frame_seq=None,
        occurred_us=now_us,
        received_us=now_us,
        detected_us=now_us,
        alerted_us=now_us,
        opens_us=now_us,
        test=True,
    )
    yield Step(Entry.DETECTED, person, alert)
    yield from _apply(alert, Input.DRILL, person, now_us)


def rider_ok(alert: Alert, ok_us: int, now_us: int) -> Iterator[Step]:
    """The rider says "I'm OK" at `ok_us` (device time): an answer to what happened before, not after."""
    if ok_us >= alert.last_impact_us:
        yield from _apply(alert, Input.OK, RIDER, now_us)


def countdown_over(alert: Alert, now_us: int) -> Iterator[Step]:
    """The rider did not answer in time."""
    if alert.opens_us is not None and alert.opens_us <= now_us:
        yield from _apply(alert, Input.COUNTDOWN, DESK, now_us)


def untouched(alert: Alert, now_us: int) -> Iterator[Step]:
    """Nobody has done anything about an acknowledged alert: it comes back."""
    yield from _apply(alert, Input.UNTOUCHED, DESK, now_us)


def acknowledge(alert: Alert, person: str, now_us: int) -> Iterator[Step]:
    """A person takes the alert; taking it twice changes nothing. Raises `RefusedError`."""
    if alert.state is State.ACKNOWLEDGED and alert.owner == person:
        return
    if alert.state is State.ACKNOWLEDGED:
        raise RefusedError(f"{alert.owner} has already taken this alert.", alert.owner)
    yield from _ask(alert, Input.ACKNOWLEDGE, person, now_us, {})


def resolve(alert: Alert, person: str, reason: Resolution, note: str, now_us: int) -> Iterator[Step]:
    """A person closes an acknowledged alert. Raises `RefusedError`."""
    yield from _ask(alert, Input.RESOLVE, person, now_us, {"reason": reason, "note": note})


def reopen(alert: Alert, person: str, note: str, now_us: int) -> Iterator[Step]:
    """A person takes a closed alert back. Raises `RefusedError`."""
    yield from _ask(alert, Input.REOPEN, person, now_us, {"note": note})


def note(alert: Alert, person: str, text: str, now_us: int) -> Iterator[Step]:
    """A person writes something into the timeline."""
    yield from _ask(alert, Input.NOTE, person, now_us, {"note": text})


def help_(alert: Alert, person: str, helper: dict[str, str], now_us: int) -> Iterator[Step]:
    """A person asks somebody nearby to help, or writes down their answer. Raises `RefusedError`."""
    yield from _ask(alert, Input.HELP, person, now_us, dict(helper))


def _inputs(alert: Alert, detection: Detection, ok_us: int | None) -> list[Input]:
    """What a newer version means to the alert as it stands."""
    if detection.stage is Stage.CANCELLED:
        return [Input.WITHDRAWN]
    last_us = max(detection.impacts_us, default=detection.occurred_us)
    answered = ok_us is not None and ok_us >= last_us
    if last_us > alert.last_impact_us and not answered:
        news = Input.IMPACT
    elif detection.severity > alert.severity:
        news = Input.WORSE
    elif alert.stage is Stage.CANCELLED:
        news = Input.RETURNED
    else:
        news = Input.MORE
    if detection.stage is Stage.CONFIRMED and alert.state is State.PENDING:
        return [news, Input.CONFIRMED] if news is Input.IMPACT else [Input.CONFIRMED]
    return [news]


def _ask(alert: Alert, given: Input, person: str, now_us: int, detail: dict[str, Any]) -> Iterator[Step]:
    if (alert.state, given) not in RULES:
        wanted = {
            Input.ACKNOWLEDGE: "taken",
            Input.RESOLVE: "resolved",
            Input.REOPEN: "reopened",
            Input.HELP: "helped",
        }[given]
        first = {
            (Input.ACKNOWLEDGE, R): " Reopen it first.",
            (Input.ACKNOWLEDGE, C): " Reopen it first.",
            (Input.HELP, R): " Reopen it first.",
            (Input.HELP, C): " Reopen it first.",
            (Input.RESOLVE, P): " Take it first.",
            (Input.RESOLVE, O): " Take it first.",
        }.get((given, alert.state), "")
        raise RefusedError(f"This alert is {alert.state} and cannot be {wanted}.{first}")
    yield from _apply(replace(alert, touched_us=now_us), given, person, now_us, detail)


def _apply(
    alert: Alert, given: Input, actor: str, now_us: int, detail: dict[str, Any] | None = None
) -> Iterator[Step]:
    """One row of `RULES`: the timeline's line, and the fields that follow from the new state."""
    rule = RULES.get((alert.state, given))
    if rule is None:
        return
    entry, state = rule
    detail = dict(detail or {})
    if entry in (Entry.OPENED, Entry.CANCELLED, Entry.REOPENED, Entry.WITHDRAWN):
        detail["because"] = given
    if entry is Entry.REOPENED and alert.owner is not None:
        detail["owner"] = alert.owner
    if state is not alert.state:
        alert = replace(alert, state=state, opens_us=None, **_fields(state, actor, now_us, detail))
    yield Step(entry, actor, alert, detail)


def _fields(state: State, actor: str, now_us: int, detail: dict[str, Any]) -> dict[str, Any]:
    match state:
        case State.OPEN:
            return {
                "opened_us": now_us,
                "acknowledged_us": None,
                "resolved_us": None,
                "cancelled_us": None,
                "owner": None,
                "resolution": None,
            }
        case State.ACKNOWLEDGED:
            return {"acknowledged_us": now_us, "owner": actor}
        case State.RESOLVED:
            resolution = Resolved(detail["reason"], detail["note"], actor)
            return {"resolved_us": now_us, "resolution": resolution}
        case State.CANCELLED:
            return {"cancelled_us": now_us}
        case State.PENDING:
            raise AssertionError("no rule leads back to pending")


def _finding(detection: Detection) -> dict[str, Any]:
    """What the timeline keeps of a version: enough to see what was known when."""
    return {
        "version": detection.version,
        "stage": detection.stage,
        "severity": detection.severity,
        "impacts": len(detection.impacts_us),
        "reason_zh": detection.reason_zh,
        "reason_en": detection.reason_en,
    }
