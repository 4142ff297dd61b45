"""What workers send, as values of `core.model`, and fleet values back into JSON."""

import base64
import binascii
import math
import re
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import TypeAdapter

from core.model import Detection, HelmetEvent, HelmetReport, RidingLog, Trace, WorkerReport
from web.checked import LARGEST, checked, read_json
from web.problems import Problem

T = TypeVar("T")

_INCIDENT = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_HELMET = re.compile(r"[A-Za-z0-9_-]{1,24}")

_STATES = re.compile(r"[0-4]{0,60}")
_NO_LOG = RidingLog("-", 0, "")

_DETECTIONS = TypeAdapter(list[Detection])
_EVENTS = TypeAdapter(list[HelmetEvent])
_TRACE = TypeAdapter(Trace)
_REPORT = TypeAdapter(WorkerReport)
_HELMETS = TypeAdapter(list[HelmetReport])


def detections(body: bytes) -> list[Detection]:
    """Detections from a worker. Raises `Problem` 400.

    What an alert can do without never costs it: an unusable feature, position or trace is left out.
    """
    raw = read_json(body)
    if isinstance(raw, list):
        raw = [_forgive(each) if isinstance(each, dict) else each for each in raw]
    found = _python(_DETECTIONS, raw)
    for row, each in enumerate(found):
        fault = _detection_fault(each)
        if fault:
            raise Problem(400, f"{row}.{fault}")
    return found


def events(body: bytes, future_s: float) -> list[HelmetEvent]:
    """Events from a worker. Raises `Problem` 400.

    One dated more than `future_s` after its arrival happened then: an "I'm OK" of next year would cancel every crash
    until then, and no call for help is refused for a clock.
    """
    raw = read_json(body)
    found = _python(_EVENTS, raw)
    for row, each in enumerate(found):
        if not _HELMET.fullmatch(each.helmet):
            raise Problem(400, f"{row}.helmet: must be 1 to 24 characters of A-Z a-z 0-9 _ -.")
        if not 0 <= each.received_us <= LARGEST:
            raise Problem(400, f"{row}.received_us: must be 0 to 2^53.")
    return [_plausible(each, int(future_s * 1e6)) for each in found]


def report(body: bytes) -> WorkerReport:
    """A worker's report. Raises `Problem` 400.

    A riding log that cannot be used is as if it had been empty: nobody wants it again.
    """
    given = checked(lambda: _REPORT.validate_json(body))
    return replace(given, riding=[each if _usable(each) else _NO_LOG for each in given.riding])


def helmets_json(helmets: list[HelmetReport]) -> bytes:
    """Helmets as a JSON array; what is not a finite number is null."""
    return _HELMETS.dump_json(helmets)


def _usable(log: RidingLog) -> bool:
    return bool(
        _HELMET.fullmatch(log.helmet) and _STATES.fullmatch(log.states) and 0 <= log.start_us <= LARGEST
    )


def _python(adapter: TypeAdapter[T], raw: Any) -> T:
    return checked(lambda: adapter.validate_python(raw))


def _forgive(raw: dict[str, Any]) -> dict[str, Any]:
    raw = dict(raw)
    for name in ("features", "points", "options"):
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
    sent_us = raw.get("sent_us")
    if not (isinstance(sent_us, int) and 0 <= sent_us <= LARGEST):
        raw["sent_us"] = None
    if isinstance(raw.get("trace"), dict) and not _drawable(raw["trace"]):
        raw["trace"] = None
    return raw


def _drawable(trace: dict[str, Any]) -> bool:
    numbers = [trace.get(key) for key in ("t0_us", "period_ns", "g_per_count", "full_scale_g")]
    try:
        _TRACE.validate_python(trace)
        return all(map(_number, numbers)) and len(base64.b64decode(trace["acc"], validate=True)) % 6 == 0
    except (ValueError, binascii.Error):  # pydantic's is a ValueError too
        return False


def _number(x: object) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


def _plausible(event: HelmetEvent, future_us: int) -> HelmetEvent:
    if not 0 <= event.t_us <= min(event.received_us + future_us, LARGEST):
        event = replace(event, t_us=event.received_us)
    if not (_finite(event.lat_deg) and _finite(event.lon_deg)):
        event = replace(event, lat_deg=None, lon_deg=None)
    return event


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
