"""The values of the alert book: an alert, and one change of it. Field names are those of `docs/api.md`."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from core.model import Kind, Position, Stage, Worn


class State(StrEnum):
    """Where an alert stands in its life."""

    PENDING = "pending"
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    CANCELLED = "cancelled"


class Entry(StrEnum):
    """What a line of an alert's timeline says."""

    DETECTED = "detected"
    UPDATED = "updated"
    IMPACT = "impact"
    OPENED = "opened"
    ACKNOWLEDGED = "acknowledged"
    TAKEN_OVER = "taken_over"
    """A person has it from another."""
    RESOLVED = "resolved"
    CANCELLED = "cancelled"
    REOPENED = "reopened"
    NOTED = "noted"
    WITHDRAWN = "withdrawn"
    HELP = "help"
    CONTACT = "contact"
    """The rider's emergency contact was opened."""


class Resolution(StrEnum):
    """Why a person closed an alert; also the label the detector learns from."""

    INJURED = "injured"
    UNHURT = "unhurt"
    HELMET_DROPPED = "helmet_dropped"
    ROAD_BUMP = "road_bump"
    TEST = "test"
    DEVICE_FAULT = "device_fault"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Rider:
    """Who rides with a helmet."""

    name: str
    phone: str
    first_aid: bool = False
    """Trained, and willing to be asked to help somebody nearby."""
    city: str = ""
    station: str = ""
    has_contact: bool = False
    """Whether an emergency contact is known; who it is, only the person who has the alert may ask."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """How an alert ended, in the words of the person who closed it."""

    reason: Resolution
    note: str
    by: str
    dispatched: bool | None = None
    """Whether somebody was sent to the rider; None where nobody said."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One incident as the desk sees it now; `docs/api.md` explains the fields."""

    id: str
    state: State
    seq: int
    """Feed id of the last change; 0 before the book has written it."""
    version: int
    helmet: str
    rider: Rider | None
    kind: Kind
    stage: Stage
    severity: int
    severity_basis: str
    quality: str
    worn: Worn
    late: bool
    signal_lost: bool
    reason_zh: str
    reason_en: str
    position: Position | None
    speed_mps: float | None
    impacts_us: list[int]
    boot: int | None
    frame_seq: int | None
    occurred_us: int
    received_us: int
    detected_us: int
    alerted_us: int
    opens_us: int | None
    opened_us: int | None = None
    acknowledged_us: int | None = None
    resolved_us: int | None = None
    cancelled_us: int | None = None
    owner: str | None = None
    resolution: Resolved | None = None
    test: bool = False
    """A drill: marked TEST wherever it is shown or sent."""
    touched_us: int | None = None
    """When a person last did something about it."""
    answer_by_us: int | None = None
    """Until when the rider was given to say "I'm OK"; stands also after the alert opened. None for an SOS."""
    forgotten: bool = False
    """Whose it was has been forgotten, as the configuration or the rider wanted; it still counts."""
    sent_us: int | None = None
    """When the helmet had it together, by its clock; None where it does not say."""

    @property
    def last_impact_us(self) -> int:
        """Device time of the newest impact; of the button press where there is none."""
        return max(self.impacts_us, default=self.occurred_us)


@dataclass(frozen=True, slots=True)
class Asked:
    """Where a person's request came from, and how to know it when it is sent again."""

    address: str = ""
    """Network address."""
    key: str = ""
    """The person's own name for the request (`Idempotency-Key`); empty where it has none."""
    request: str = ""
    """A hash of what was asked, so that a key that is used twice for different things is noticed."""


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the audit trail, which is one event of the feed."""

    seq: int
    at_us: int
    type: Entry
    actor: str
    """Display name of a person, or `detector`, `rider`, `desk`."""
    alert: Alert
    """As it stood after the change."""
    detail: dict[str, Any] = field(default_factory=dict)
    address: str = ""
    """Network address that a person's request came from; empty for machines."""

    @property
    def id(self) -> str:
        """Its name in the feed: its number, and a hash that another change of this number would not have.

        A book restored from a backup numbers anew what the backup did not hold.
        """
        said = f"{self.at_us} {self.alert.id} {self.type} {self.actor}"
        return f"{self.seq}-{blake2b(said.encode(), digest_size=6).hexdigest()}"

    def entry(self) -> dict[str, Any]:
        """The timeline's line, ready for JSON."""
        return {
            "seq": self.seq,
            "at_us": self.at_us,
            "type": self.type,
            "actor": self.actor,
            "address": self.address,
            "detail": self.detail,
        }


def dump(alert: Alert) -> str:
    """An alert as JSON text, the way the API gives it out and the book keeps it."""
    return json.dumps(asdict(alert), ensure_ascii=False, allow_nan=False)


def parse(text: str, seq: int) -> Alert:
    """The alert in JSON text that `dump` wrote, with the feed id of its last change."""
    body = json.loads(text)
    rider, position, resolution = body["rider"], body["position"], body["resolution"]
    body |= {
        "seq": seq,
        "state": State(body["state"]),
        "kind": Kind(body["kind"]),
        "stage": Stage(body["stage"]),
        "worn": Worn(body["worn"]),
        "rider": None if rider is None else Rider(**rider),
        "position": None if position is None else Position(**position),
        "resolution": None
        if resolution is None
        else Resolved(**resolution | {"reason": Resolution(resolution["reason"])}),
    }
    return Alert(**body)
