"""The rules of an alert's life, without storage: what stands in `RULES` is the specification.

An input meets an alert in a state; the rule names the line the timeline gets and the state that follows.
Where a machine's input has no rule it is ignored; where a person's has none it is refused with a sentence.
We would rather alert twice than not at all: nothing but the rider, the detector's own withdrawal
or a named person ever quiets an alert.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from alerts.model import Alert, Entry, Resolved, State


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
    TAKE_OVER = "take_over"
    """A person takes it from whom they name."""
    RESOLVE = "resolve"
    REOPEN = "person"
    NOTE = "note"
    UNTOUCHED = "untouched"
    """Who has it has done nothing about it for too long."""
    DRILL = "drill"
    HELP = "help"
    """Somebody nearby is asked to help, or says what they do."""
    CONTACT = "contact"
    """Who has the alert looks up the rider's emergency contact."""


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
    (A, Input.WORSE): (Entry.UPDATED, A),
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
    (A, Input.TAKE_OVER): (Entry.TAKEN_OVER, A),
    (A, Input.RESOLVE): (Entry.RESOLVED, R),
    (R, Input.REOPEN): (Entry.REOPENED, O),
    (C, Input.REOPEN): (Entry.REOPENED, O),
    (P, Input.HELP): (Entry.HELP, P),
    (O, Input.HELP): (Entry.HELP, O),
    (A, Input.HELP): (Entry.HELP, A),
    (A, Input.CONTACT): (Entry.CONTACT, A),
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


def apply(
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
            resolution = Resolved(detail["reason"], detail["note"], actor, detail["dispatched"])
            return {"resolved_us": now_us, "resolution": resolution}
        case State.CANCELLED:
            return {"cancelled_us": now_us}
        case State.PENDING:
            raise AssertionError("no rule leads back to pending")


def ask(alert: Alert, given: Input, person: str, now_us: int, detail: dict[str, Any]) -> Iterator[Step]:
    """What a person asks for, by `RULES`. Raises `RefusedError` with what to do first."""
    if (alert.state, given) not in RULES:
        wanted = {
            Input.ACKNOWLEDGE: "taken",
            Input.RESOLVE: "resolved",
            Input.REOPEN: "reopened",
            Input.HELP: "helped",
            Input.CONTACT: "asked for its emergency contact",
        }[given]
        first = {
            (Input.ACKNOWLEDGE, R): " Reopen it first.",
            (Input.ACKNOWLEDGE, C): " Reopen it first.",
            (Input.HELP, R): " Reopen it first.",
            (Input.HELP, C): " Reopen it first.",
            (Input.CONTACT, P): " Take it first.",
            (Input.CONTACT, O): " Take it first.",
            (Input.CONTACT, R): " Reopen it first.",
            (Input.CONTACT, C): " Reopen it first.",
            (Input.RESOLVE, P): " Take it first.",
            (Input.RESOLVE, O): " Take it first.",
        }.get((given, alert.state), "")
        raise RefusedError(f"This alert is {alert.state} and cannot be {wanted}.{first}")
    yield from apply(replace(alert, touched_us=now_us), given, person, now_us, detail)
