"""JSON from workers and people into the values of `core.model`, and fleet values back into JSON."""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from alerts.model import Resolution, State
from alerts.reader import Filter
from core.model import Detection, HelmetEvent, HelmetReport, Kind, WorkerReport
from web.problems import Problem

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

LARGEST = 2**53
"""Largest integer that a browser's numbers hold exactly (ECMA-262)."""

NOTE_MAX = 2000

_INCIDENT = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_HELMET = re.compile(r"[A-Za-z0-9_-]{1,24}")


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a person sends to sign in."""

    name: str
    password: str


@dataclass(frozen=True, slots=True)
class Close:
    """What a person sends to resolve an alert."""

    reason: Resolution
    note: str = ""


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


_DRILL = TypeAdapter(Drill)
_HELP = TypeAdapter(Help)
_DETECTIONS = TypeAdapter(list[Detection])
_EVENTS = TypeAdapter(list[HelmetEvent])
_REPORT = TypeAdapter(WorkerReport)
_HELMETS = TypeAdapter(list[HelmetReport])
_SIGN_IN = TypeAdapter(SignIn)
_CLOSE = TypeAdapter(Close)
_REMARK = TypeAdapter(Remark)


def detections(body: bytes) -> list[Detection]:
    """Detections from a worker. Raises `Problem` 400.

    What an alert can do without never costs it: an unusable feature, position or trace is left out.
    """
    raw = _json(body)
    if isinstance(raw, list):
        raw = [_forgive(each) if isinstance(each, dict) else each for each in raw]
    found = _python(_DETECTIONS, raw)
    for row, each in enumerate(found):
        fault = _detection_fault(each)
        if fault:
            raise Problem(400, f"{row}.{fault}")
    return found


def events(body: bytes) -> list[HelmetEvent]:
    """Events from a worker. Raises `Problem` 400."""
    raw = _json(body)
    found = _python(_EVENTS, raw)
    for row, each in enumerate(found):
        if not _HELMET.fullmatch(each.helmet):
            raise Problem(400, f"{row}.helmet: must be 1 to 24 characters of A-Z a-z 0-9 _ -.")
        if not (0 <= each.t_us <= LARGEST and 0 <= each.received_us <= LARGEST):
            raise Problem(400, f"{row}.t_us, received_us: must be 0 to 2^53.")
    return [
        each if _finite(each.lat_deg) and _finite(each.lon_deg) else replace(each, lat_deg=None, lon_deg=None)
        for each in found
    ]


def report(body: bytes) -> WorkerReport:
    """A worker's report. Raises `Problem` 400."""
    return _checked(lambda: _REPORT.validate_json(body))


def sign_in(body: bytes) -> SignIn:
    """Name and password. Raises `Problem` 400."""
    given = _checked(lambda: _SIGN_IN.validate_json(body))
    if len(given.name) > 100 or len(given.password) > 200:
        raise Problem(400, "name, password: too long.")
    return given


def close(body: bytes) -> Close:
    """Reason and note. Raises `Problem` 400."""
    given = _checked(lambda: _CLOSE.validate_json(body))
    given = replace(given, note=_note(given.note))
    if given.reason is Resolution.OTHER and not given.note:
        raise Problem(400, "note: the reason other needs a note.")
    return given


def remark(body: bytes, *, needed: bool) -> str:
    """A note. Raises `Problem` 400."""
    note = _note(_checked(lambda: _REMARK.validate_json(body)).note)
    if needed and not note:
        raise Problem(400, "note: must not be empty.")
    return note


def drill(body: bytes) -> int:
    """The severity of a drill. Raises `Problem` 400."""
    severity = _checked(lambda: _DRILL.validate_json(body)).severity
    if not 1 <= severity <= 4:
        raise Problem(400, "severity: must be 1 to 4.")
    return severity


def help_(body: bytes) -> Help:
    """Who is asked, or what they answered. Raises `Problem` 400."""
    given = _checked(lambda: _HELP.validate_json(body))
    return replace(given, note=_note(given.note))


def wanted(query: Mapping[str, str]) -> Filter:
    """Which alerts a list's address asks for. Raises `Problem` 400."""
    severities = [count(part, "severity", 1, 4) for part in _parts(query, "severity")]
    for name in ("helmet", "rider", "owner"):
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
        from_us=moment(query, "from_us"),
        to_us=moment(query, "to_us"),
        test=None if not test else test == "true",
    )


def moment(query: Mapping[str, str], name: str) -> int | None:
    """A moment in an address, None where there is none. Raises `Problem` 400."""
    return count(query[name], name, 0, LARGEST) if query.get(name) else None


def count(text: str, name: str, least: int, most: int) -> int:
    """A whole number in an address. Raises `Problem` 400."""
    if text.isascii() and text.isdigit() and least <= int(text[:20]) <= most:
        return int(text)
    raise Problem(400, f"{name}: must be a whole number from {least} to {most}.")


def _some(words: type[E], query: Mapping[str, str], name: str) -> list[E]:
    try:
        return [words(part) for part in _parts(query, name)]
    except ValueError:
        raise Problem(400, f"{name}: must be some of {', '.join(words)}, with commas between.") from None


def _parts(query: Mapping[str, str], name: str) -> list[str]:
    return [part for part in query.get(name, "").split(",") if part][:20]


def helmets_json(helmets: list[HelmetReport]) -> bytes:
    """Helmets as a JSON array; what is not a finite number is null."""
    return _HELMETS.dump_json(helmets)


def empty(body: bytes) -> None:
    """The body of a request that says everything by its address. Raises `Problem` 400."""
    if not isinstance(_json(body), dict):
        raise Problem(400, "The body must be a JSON object, for example {}.")


def _note(text: str) -> str:
    text = text.strip()
    if len(text) > NOTE_MAX:
        raise Problem(400, f"note: must have at most {NOTE_MAX} characters, has {len(text)}.")
    return text


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        where = (
            f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        )
        raise Problem(400, f"The body is not JSON{where}.") from None


def _python(adapter: TypeAdapter[T], raw: Any) -> T:
    return _checked(lambda: adapter.validate_python(raw))


def _checked(validate: Callable[[], T]) -> T:
    try:
        return validate()
    except ValidationError as error:
        # Never the input itself: an error message may end in a log.
        details = error.errors(include_input=False, include_context=False, include_url=False)
        first = details[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise Problem(400, f"{field}: {message}{more}.") from None


def _forgive(raw: dict[str, Any]) -> dict[str, Any]:
    raw = dict(raw)
    for name in ("features", "points"):
        if isinstance(raw.get(name), dict):
            raw[name] = {key: x for key, x in raw[name].items() if _number(x)}
    if not _number(raw.get("speed_mps")):
        raw["speed_mps"] = None
    position = raw.get("position")
    if isinstance(position, dict):
        if _number(position.get("lat_deg")) and _number(position.get("lon_deg")):
            rest = {key: position.get(key) for key in ("accuracy_m", "age_s")}
            raw["position"] = position | {key: x if _number(x) else None for key, x in rest.items()}
        else:
            raw["position"] = None
    if isinstance(raw.get("trace"), dict) and not _drawable(raw["trace"]):
        raw["trace"] = None
    return raw


def _drawable(trace: dict[str, Any]) -> bool:
    numbers = [trace.get(key) for key in ("t0_us", "period_ns", "g_per_count", "full_scale_g")]
    try:
        return all(map(_number, numbers)) and len(base64.b64decode(trace["acc"], validate=True)) % 6 == 0
    except (KeyError, TypeError, ValueError, binascii.Error):
        return False


def _number(x: object) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


def _finite(x: float | None) -> bool:
    return x is None or math.isfinite(x)


def _detection_fault(each: Detection) -> str:
    if not _INCIDENT.fullmatch(each.incident):
        return "incident: must be 1 to 64 characters of A-Z a-z 0-9 _ . : -."
    if not _HELMET.fullmatch(each.helmet):
        return "helmet: must be 1 to 24 characters of A-Z a-z 0-9 _ -."
    if not 1 <= each.severity <= 4:
        return "severity: must be 1 to 4."
    if not 1 <= each.version <= LARGEST:
        return "version: must be 1 or more."
    times = [each.occurred_us, each.received_us, each.detected_us, *each.impacts_us]
    if not all(0 <= t <= LARGEST for t in times):
        return "occurred_us, received_us, detected_us, impacts_us: must be 0 to 2^53."
    if len(each.impacts_us) > 1000:
        return "impacts_us: must hold at most 1000 impacts."
    return ""
