"""What people send: the bodies and the questions in addresses, checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Literal, TypeVar

from pydantic import Field, TypeAdapter

from alerts.model import Resolution, State
from alerts.reader import Filter
from alerts.silences import Scope
from core.model import Kind
from web.checked import LARGEST, checked, read_json
from web.problems import Problem

E = TypeVar("E", bound=StrEnum)

NOTE_MAX = 2000
MANY_MAX = 5000
HUSH_MAX_MIN = 7 * 24 * 60
"""A silence of more than a week is forgotten by those who made it."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a person sends to sign in."""

    name: str
    password: str


Owner = Annotated[str, Field(alias="from")]
"""Display name of the person who has the alert, from whom it is taken knowingly."""


@dataclass(frozen=True, slots=True)
class Take:
    """What a person sends to take an alert: nothing, or whom they take it from."""

    owner: Owner = ""


@dataclass(frozen=True, slots=True)
class Close:
    """What a person sends to resolve an alert."""

    reason: Resolution
    note: str = ""
    dispatched: bool | None = None
    """Whether somebody was sent to the rider."""
    owner: Owner = ""


@dataclass(frozen=True, slots=True)
class Remark:
    """What a person sends to reopen an alert or to note something."""

    note: str = ""


@dataclass(frozen=True, slots=True)
class Drill:
    """What a person sends to practise."""

    severity: int = 3


@dataclass(frozen=True, slots=True)
class Help:
    """What a person sends when somebody nearby is asked, or has answered."""

    helper: str
    status: Literal["asked", "going", "arrived", "cannot"]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Many:
    """What a person sends to take many alerts at once: their ids, or the id of a storm."""

    ids: list[str] = field(default_factory=list)
    storm: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a page sends that has painted some alerts."""

    ids: list[str]


@dataclass(frozen=True, slots=True)
class Where:
    """Which helmets a silence is about: named ones, and those of a city, or of a station."""

    helmets: list[str] = field(default_factory=list)
    city: str = ""
    station: str = ""


@dataclass(frozen=True, slots=True)
class Hush(Where):
    """What a person sends to silence helmets."""

    minutes: int = 60
    reason: str = ""


_MANY = TypeAdapter(Many)
_SEEN = TypeAdapter(Seen)
_WHERE = TypeAdapter(Where)
_HUSH = TypeAdapter(Hush)
_DRILL = TypeAdapter(Drill)
_HELP = TypeAdapter(Help)
_SIGN_IN = TypeAdapter(SignIn)
_TAKE = TypeAdapter(Take)
_CLOSE = TypeAdapter(Close)
_REMARK = TypeAdapter(Remark)


def sign_in(body: bytes) -> SignIn:
    """Name and password. Raises `Problem` 400."""
    given = checked(lambda: _SIGN_IN.validate_json(body))
    if len(given.name) > 100 or len(given.password) > 200:
        raise Problem(400, "name, password: too long.")
    return given


def take(body: bytes) -> str:
    """Whom an alert is taken from; empty where nobody is named. Raises `Problem` 400."""
    return checked(lambda: _TAKE.validate_json(body)).owner


def close(body: bytes) -> Close:
    """Reason and note. Raises `Problem` 400."""
    given = checked(lambda: _CLOSE.validate_json(body))
    given = replace(given, note=_note(given.note))
    if given.reason is Resolution.OTHER and not given.note:
        raise Problem(400, "note: the reason other needs a note.")
    return given


def many(body: bytes) -> Many:
    """Which alerts to take. Raises `Problem` 400."""
    given = checked(lambda: _MANY.validate_json(body))
    if bool(given.ids) == bool(given.storm):
        raise Problem(400, "ids, storm: exactly one of them must be given.")
    if len(given.ids) > MANY_MAX:
        raise Problem(400, f"ids: must hold at most {MANY_MAX} ids, holds {len(given.ids)}.")
    if any(len(id_) > 64 for id_ in given.ids):
        raise Problem(400, "ids: an id has at most 64 characters.")
    return given


def seen(body: bytes) -> list[str]:
    """Which alerts a page shows. Raises `Problem` 400."""
    ids = checked(lambda: _SEEN.validate_json(body)).ids
    if len(ids) > MANY_MAX or any(len(id_) > 64 for id_ in ids):
        raise Problem(400, f"ids: must be at most {MANY_MAX} ids of at most 64 characters.")
    return ids


def scope(body: bytes) -> Scope:
    """Which helmets a silence would be about. Raises `Problem` 400."""
    return _scope(checked(lambda: _WHERE.validate_json(body)))


def hush(body: bytes) -> tuple[Scope, int, str]:
    """Which helmets to silence, for how many minutes and why. Raises `Problem` 400."""
    given = checked(lambda: _HUSH.validate_json(body))
    if not 1 <= given.minutes <= HUSH_MAX_MIN:
        raise Problem(400, f"minutes: must be 1 to {HUSH_MAX_MIN}.")
    reason = given.reason.strip()
    if not 1 <= len(reason) <= 200:
        raise Problem(400, "reason: must have 1 to 200 characters.")
    return _scope(given), given.minutes, reason


def _scope(given: Where) -> Scope:
    if len(given.helmets) > 1000 or any(not 1 <= len(name) <= 24 for name in given.helmets):
        raise Problem(400, "helmets: must be at most 1000 ids of 1 to 24 characters.")
    if len(given.city) > 80 or len(given.station) > 80:
        raise Problem(400, "city, station: must have at most 80 characters.")
    if not (given.helmets or given.city or given.station):
        raise Problem(400, "helmets, city, station: at least one of them must be given.")
    return Scope(tuple(dict.fromkeys(given.helmets)), given.city, given.station)


def remark(body: bytes, *, needed: bool) -> str:
    """A note. Raises `Problem` 400."""
    note = _note(checked(lambda: _REMARK.validate_json(body)).note)
    if needed and not note:
        raise Problem(400, "note: must not be empty.")
    return note


def drill(body: bytes) -> int:
    """The severity of a drill. Raises `Problem` 400."""
    severity = checked(lambda: _DRILL.validate_json(body)).severity
    if not 1 <= severity <= 4:
        raise Problem(400, "severity: must be 1 to 4.")
    return severity


def help_(body: bytes) -> Help:
    """Who is asked, or what they answered. Raises `Problem` 400."""
    given = checked(lambda: _HELP.validate_json(body))
    return replace(given, note=_note(given.note))


def empty(body: bytes) -> None:
    """The body of a request that says everything by its address. Raises `Problem` 400."""
    if not isinstance(read_json(body), dict):
        raise Problem(400, "The body must be a JSON object, for example {}.")


def wanted(query: Mapping[str, str]) -> Filter:
    """Which alerts a list's address asks for. Raises `Problem` 400."""
    severities = [count(part, "severity", 1, 4) for part in _parts(query, "severity")]
    for name in ("helmet", "rider", "owner", "city", "station"):
        if len(query.get(name, "")) > 100 or "\0" in query.get(name, ""):
            raise Problem(400, f"{name}: must be at most 100 characters.")
    test = query.get("test", "")
    if test not in ("", "true", "false"):
        raise Problem(400, "test: must be true or false.")
    return Filter(
        states=_some(State, query, "state"),
        severities=severities,
        kinds=_some(Kind, query, "kind"),
        helmet=query.get("helmet", ""),
        rider=query.get("rider", ""),
        owner=query.get("owner", ""),
        city=query.get("city", ""),
        station=query.get("station", ""),
        from_us=moment(query, "from_us"),
        to_us=moment(query, "to_us"),
        test=None if not test else test == "true",
    )


def moment(query: Mapping[str, str], name: str) -> int | None:
    """A moment in an address, None where there is none. Raises `Problem` 400."""
    return count(query[name], name, 0, LARGEST) if query.get(name) else None


_DIGITS_MAX = 19
"""SQLite holds no more."""


def count(text: str, name: str, least: int, most: int) -> int:
    """A whole number in an address. Raises `Problem` 400."""
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX and least <= int(text) <= most:
        return int(text)
    raise Problem(400, f"{name}: must be a whole number from {least} to {most}.")


def _some(words: type[E], query: Mapping[str, str], name: str) -> list[E]:
    try:
        return [words(part) for part in _parts(query, name)]
    except ValueError:
        raise Problem(400, f"{name}: must be some of {', '.join(words)}, with commas between.") from None


def _parts(query: Mapping[str, str], name: str) -> list[str]:
    return [part for part in query.get(name, "").split(",") if part][:20]


def _note(text: str) -> str:
    text = text.strip()
    if len(text) > NOTE_MAX:
        raise Problem(400, f"note: must have at most {NOTE_MAX} characters, has {len(text)}.")
    return text
