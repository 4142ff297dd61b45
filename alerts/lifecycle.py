"""The life of an alert: what detections, riders, the clock and people do to it, by the rules of `alerts.rules`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from alerts.model import Alert, Entry, Resolution, Rider, State
from alerts.rules import Input, RefusedError, Step, apply, ask
from core.model import Detection, HelmetEvent, Kind, Position, Stage, Worn

DETECTOR, RIDER, DESK = "detector", "rider", "desk"
"""Actors that are not persons; no account may have one of these names."""

# `seq` is the frame's number there and the feed's id here.
COPIED = (Detection.__dataclass_fields__.keys() & Alert.__dataclass_fields__.keys()) - {"seq"}
"""What an alert takes over from a detection as it is."""
NEWEST = COPIED - {"sent_us", "received_us", "detected_us"}
"""What of it follows newer versions; when a crash was first sent, received and detected does not change."""


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
        yield from apply(alert, Input.WITHDRAWN, DETECTOR, now_us, _finding(detection))
    elif ok_us is not None and ok_us >= alert.last_impact_us:
        yield from apply(alert, Input.OK, RIDER, now_us)
    elif detection.stage is Stage.CONFIRMED:
        yield from apply(alert, Input.CONFIRMED, DETECTOR, now_us, _finding(detection))


def updated(alert: Alert, detection: Detection, now_us: int, ok_us: int | None) -> Iterator[Step]:
    """What a newer version of an alert's incident changes; an older or equal version changes nothing."""
    if detection.version <= alert.version:
        return
    inputs = _inputs(alert, detection, ok_us)
    alert = replace(alert, frame_seq=detection.seq, **{name: getattr(detection, name) for name in NEWEST})
    for given in inputs:
        for step in apply(alert, given, DETECTOR, now_us, _finding(detection)):
            alert = step.alert
            yield step


def sos_id(event: HelmetEvent) -> str:
    """Id of the alert that an SOS makes: the same press of the button is the same alert."""
    return blake2b(f"sos {event.helmet} {event.t_us}".encode(), digest_size=16).hexdigest()


def sos(
    event: HelmetEvent, rider: Rider | None, now_us: int, ok_us: int | None, late_us: int
) -> Iterator[Step]:
    """The first steps of an alert that a rider raised by the button: it needs no countdown.

    What took longer than `late_us` to arrive is late, as a crash is.
    """
    position = None
    if event.lat_deg is not None and event.lon_deg is not None:
        position = Position(event.lat_deg, event.lon_deg, None, None)
    alert = Alert(
        id=sos_id(event),
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
        late=event.received_us - event.t_us > late_us,
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
        yield from apply(alert, Input.OK, RIDER, now_us)
    else:
        yield from apply(alert, Input.SOS, RIDER, now_us)


def pressed(alert: Alert, event: HelmetEvent, now_us: int, ok_us: int | None) -> Iterator[Step]:
    """The rider presses again while somebody still has to do something about the first time: that calls again."""
    news = event.t_us > alert.last_impact_us and (ok_us is None or ok_us < event.t_us)
    alert = replace(alert, impacts_us=sorted({alert.occurred_us, *alert.impacts_us, event.t_us}))
    yield from apply(alert, Input.IMPACT if news else Input.MORE, RIDER, now_us)


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
    yield from apply(alert, Input.DRILL, person, now_us)


def rider_ok(alert: Alert, ok_us: int, now_us: int) -> Iterator[Step]:
    """The rider says "I'm OK" at `ok_us` (device time): an answer to what happened before, not after."""
    if ok_us >= alert.last_impact_us:
        yield from apply(alert, Input.OK, RIDER, now_us)


def countdown_over(alert: Alert, now_us: int) -> Iterator[Step]:
    """The rider did not answer in time."""
    if alert.opens_us is not None and alert.opens_us <= now_us:
        yield from apply(alert, Input.COUNTDOWN, DESK, now_us)


def untouched(alert: Alert, now_us: int) -> Iterator[Step]:
    """Nobody has done anything about an acknowledged alert: it comes back."""
    yield from apply(alert, Input.UNTOUCHED, DESK, now_us)


def acknowledge(alert: Alert, person: str, now_us: int, owner: str = "", together: int = 1) -> Iterator[Step]:
    """A person takes the alert, one of `together`; taking it twice changes nothing.

    What somebody has is taken from them only by naming them as its `owner`. Raises `RefusedError`.
    """
    if alert.state is State.ACKNOWLEDGED and alert.owner == person:
        return
    if alert.state is State.ACKNOWLEDGED and alert.owner != owner:
        raise RefusedError(f"{alert.owner} has already taken this alert.", alert.owner)
    if alert.state is State.ACKNOWLEDGED:
        yield from ask(replace(alert, owner=person), Input.TAKE_OVER, person, now_us, {"from": owner})
    else:
        detail = {"together": together} if together > 1 else {}
        yield from ask(alert, Input.ACKNOWLEDGE, person, now_us, detail)


def resolve(
    alert: Alert,
    person: str,
    reason: Resolution,
    note: str,
    now_us: int,
    dispatched: bool | None = None,
    owner: str = "",
) -> Iterator[Step]:
    """A person closes an acknowledged alert and says whether help was sent.

    What somebody else has is closed only by naming them as its `owner`. Raises `RefusedError`.
    """
    detail: dict[str, Any] = {"reason": reason, "note": note, "dispatched": dispatched}
    if alert.state is State.ACKNOWLEDGED and alert.owner != person:
        if alert.owner != owner:
            raise RefusedError(f"{alert.owner} has this alert.", alert.owner)
        detail["from"] = owner
    yield from ask(alert, Input.RESOLVE, person, now_us, detail)


def reopen(alert: Alert, person: str, note: str, now_us: int) -> Iterator[Step]:
    """A person takes a closed alert back. Raises `RefusedError`."""
    yield from ask(alert, Input.REOPEN, person, now_us, {"note": note})


def note(alert: Alert, person: str, text: str, now_us: int, mentions: Sequence[str] = ()) -> Iterator[Step]:
    """A person writes something into the timeline, with the display names of those it is meant for."""
    detail = {"note": text} | ({"mentions": list(mentions)} if mentions else {})
    yield from ask(alert, Input.NOTE, person, now_us, detail)


def contact(alert: Alert, person: str, now_us: int) -> Iterator[Step]:
    """A person looks up the rider's emergency contact: only who has the alert may. Raises `RefusedError`."""
    if alert.state is State.ACKNOWLEDGED and alert.owner != person:
        sentence = f"{alert.owner} has this alert; the emergency contact is for the person who has it."
        raise RefusedError(sentence, alert.owner)
    yield from ask(alert, Input.CONTACT, person, now_us, {})


def help_(alert: Alert, person: str, helper: dict[str, str], now_us: int) -> Iterator[Step]:
    """A person asks somebody nearby to help, or writes down their answer. Raises `RefusedError`."""
    yield from ask(alert, Input.HELP, person, now_us, dict(helper))


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
