"""The desk's addresses as an OpenAPI 3.1 document, and as a page to read. `docs/api.md` has the meaning."""

import html
import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from alerts.model import Alert, State
from alerts.nearby import Helper
from alerts.outbox import Delivery
from core.model import Detection, HelmetEvent, Kind, WorkerReport
from web.wire import Close, Drill, Help, Hush, Many, Remark, SignIn, Where

REF = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class Operation:
    """What one address does."""

    summary: str
    who: str = "person"
    """`person`, `worker` or `anyone`."""
    body: Any = None
    """Schema of the request's body."""
    answer: Any = None
    """Schema of a 200's body; None for 204."""
    media: str = "application/json"
    errors: tuple[int, ...] = ()
    query: tuple[tuple[str, dict[str, Any], str], ...] = ()


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": REF.format(model=name)}


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


_TEXT, _NUMBER, _INTEGER = {"type": "string"}, {"type": "number"}, {"type": "integer", "minimum": 0}
_EMPTY: dict[str, Any] = {"type": "object", "maxProperties": 0}
_SESSION = _object(
    name=_TEXT,
    display_name=_TEXT,
    tiles_url=_TEXT,
    tiles_datum={"enum": ["wgs84", "gcj02"]},
    tiles_attribution=_TEXT,
)
_TAKEN = _object(taken=_INTEGER)
_FROM = ("from_us", _INTEGER, "alerted_us from here on")
_TO = ("to_us", _INTEGER, "alerted_us before this")
_CHANNEL = _object(
    name=_TEXT, kind=_TEXT, failing={"type": "boolean"}, waiting=_INTEGER, code=_TEXT, sentence=_TEXT
)
_REFUSED = _object(id=_TEXT, status=_INTEGER, detail=_TEXT, owner={"type": ["string", "null"]})
_STORM = _object(
    id=_TEXT,
    severity=_INTEGER,
    since_us=_INTEGER,
    opened_us={"type": ["integer", "null"]},
    open=_INTEGER,
    ids=_list(_TEXT),
)
_SILENCE = _object(
    id=_TEXT,
    helmets=_list(_TEXT),
    city=_TEXT,
    station=_TEXT,
    reason=_TEXT,
    by=_TEXT,
    from_us=_INTEGER,
    until_us=_INTEGER,
    count=_INTEGER,
    ended_us={"type": ["integer", "null"]},
    ended_by={"type": ["string", "null"]},
)
_FILTERS = (
    ("state", _TEXT, f"some of {', '.join(State)}, with commas between"),
    ("severity", _TEXT, "some of 1, 2, 3, 4"),
    ("kind", _TEXT, f"some of {', '.join(Kind)}"),
    ("helmet", _TEXT, "exactly"),
    ("rider", _TEXT, "part of the name"),
    ("owner", _TEXT, "exactly"),
    ("city", _TEXT, "exactly; the rider's"),
    ("station", _TEXT, "exactly; the rider's"),
    _FROM,
    _TO,
    ("test", {"enum": ["true", "false"]}, "drills alone, or none"),
    ("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 200}, "alerts on a page"),
    ("before", _INTEGER, "`next` of the page before"),
)
_PACK = _object(
    schema=_TEXT, made=_object(at=_TEXT, by=_TEXT), content={"type": "object"}, content_sha256=_TEXT
)
_OBSERVATION = _object(
    helmet=_TEXT,
    observed_until_us={"type": ["integer", "null"]},
    trail=_list(_object(helmet=_TEXT, at_us=_INTEGER, until_us=_INTEGER, by=_TEXT)),
)
_FINE = _TEXT | {"description": "one sentence"}
_ALERT_ERRORS = (400, 404, 409)

OPERATIONS: dict[str, Operation] = {
    "POST /api/v1/session": Operation("Sign in", "anyone", _ref("SignIn"), _SESSION, errors=(400, 401, 429)),
    "GET /api/v1/session": Operation("Who is signed in", answer=_SESSION),
    "DELETE /api/v1/session": Operation("Sign out"),
    "POST /api/v1/detections": Operation(
        "Take detections; idempotent", "worker", _list(_ref("Detection")), _TAKEN, errors=(400,)
    ),
    "POST /api/v1/events": Operation(
        "Take what riders say; idempotent",
        "worker",
        _list(_ref("HelmetEvent")),
        _TAKEN,
        errors=(400,),
    ),
    "POST /api/v1/report": Operation(
        "Take a report; the answer names what helmets are to be told",
        "worker",
        _ref("WorkerReport"),
        _object(prompts=_list(_object(id=_TEXT, helmet=_TEXT, text=_TEXT))),
        errors=(400,),
    ),
    "GET /api/v1/alerts": Operation(
        "Alerts, newest first",
        answer=_object(alerts=_list(_ref("Alert")), next={"type": ["string", "null"]}),
        errors=(400,),
        query=_FILTERS,
    ),
    "GET /api/v1/alerts.csv": Operation(
        "The same as a table for spreadsheets, all of it, without telephone numbers",
        answer=_TEXT,
        media="text/csv",
        errors=(400,),
        query=_FILTERS[:-2],
    ),
    "POST /api/v1/alerts/acknowledge": Operation(
        "Take many alerts, or a whole storm; idempotent",
        body=_ref("Many"),
        answer=_object(taken=_list(_TEXT), problems=_list(_REFUSED)),
        errors=(400, 404),
    ),
    "GET /api/v1/alerts/{id}": Operation(
        "Everything about one alert", answer=_ref("AlertDetail"), errors=(404,)
    ),
    "POST /api/v1/alerts/{id}/acknowledge": Operation(
        "Take an alert", body=_EMPTY, answer=_ref("Alert"), errors=_ALERT_ERRORS
    ),
    "POST /api/v1/alerts/{id}/resolve": Operation(
        "Close an alert", body=_ref("Close"), answer=_ref("Alert"), errors=_ALERT_ERRORS
    ),
    "POST /api/v1/alerts/{id}/reopen": Operation(
        "Take a closed alert back", body=_ref("Remark"), answer=_ref("Alert"), errors=_ALERT_ERRORS
    ),
    "POST /api/v1/alerts/{id}/note": Operation(
        "Write into the timeline", body=_ref("Remark"), answer=_ref("Alert"), errors=_ALERT_ERRORS
    ),
    "POST /api/v1/alerts/{id}/contact": Operation(
        "The rider's emergency contact, for the person who has the alert; the timeline says so",
        body=_EMPTY,
        answer=_object(name=_TEXT, phone=_TEXT),
        errors=_ALERT_ERRORS,
    ),
    "GET /api/v1/alerts/{id}/pack": Operation(
        "The incident pack, signed",
        answer=_PACK,
        errors=(400, 404),
        query=(("format", {"enum": ["json", "pdf"]}, "json unless given"),),
    ),
    "POST /api/v1/packs/verify": Operation(
        "Whether a pack is genuine",
        body=_PACK,
        answer=_object(genuine={"type": "boolean"}),
        errors=(),
    ),
    "GET /api/v1/alerts/{id}/nearby": Operation(
        "Who could help, nearest first",
        answer=_object(position={"type": ["object", "null"]}, helpers=_list(_ref("Helper"))),
        errors=(404,),
    ),
    "POST /api/v1/alerts/{id}/help": Operation(
        "Write down that a helper was asked, goes, has arrived or cannot",
        body=_ref("Help"),
        answer=_ref("Alert"),
        errors=_ALERT_ERRORS,
    ),
    "POST /api/v1/drill": Operation(
        "Raise an alert marked TEST", body=_ref("Drill"), answer=_ref("Alert"), errors=(400,)
    ),
    "GET /api/v1/statistics": Operation(
        "How alerts were dealt with", answer={"type": "object"}, errors=(400,), query=(_FROM, _TO)
    ),
    "GET /api/v1/storms": Operation(
        "Many helmets that fell silent at once", answer=_object(storms=_list(_STORM))
    ),
    "GET /api/v1/handover": Operation(
        "Live alerts that have escalated",
        answer=_object(
            now_us=_INTEGER,
            escalated=_list(_object(id=_TEXT, tier=_INTEGER, told_us=_INTEGER, people=_list(_TEXT))),
        ),
    ),
    "GET /api/v1/people": Operation("Who may sign in, by display name", answer=_object(people=_list(_TEXT))),
    "GET /api/v1/places": Operation(
        "The cities and stations of the riders",
        answer=_object(cities=_list(_TEXT), stations=_list(_object(city=_TEXT, station=_TEXT))),
    ),
    "GET /api/v1/registers": Operation(
        "The files of riders and places, and what is wrong with them",
        answer=_object(riders=_INTEGER, places=_INTEGER, faults=_list(_TEXT), more_faults=_INTEGER),
    ),
    "GET /api/v1/silences": Operation(
        "Silences of today and those that last", answer=_object(silences=_list(_SILENCE))
    ),
    "POST /api/v1/silences": Operation(
        "Silence helmets for a time", body=_ref("Hush"), answer=_SILENCE, errors=(400,)
    ),
    "POST /api/v1/silences/preview": Operation(
        "What a silence would cover",
        body=_ref("Where"),
        answer=_object(
            helmets=_INTEGER, names=_list(_TEXT), alerts_live=_INTEGER, alerts_silenced=_INTEGER, never=_TEXT
        ),
        errors=(400,),
    ),
    "POST /api/v1/silences/{id}/end": Operation(
        "End a silence before its time", body=_EMPTY, answer=_SILENCE, errors=(400, 404)
    ),
    "GET /api/v1/fleet": Operation("All workers and helmets", answer={"type": "object"}),
    "GET /api/v1/observations": Operation(
        "The helmets under observation, and until when", "worker", answer=_object(observed={"type": "object"})
    ),
    "GET /api/v1/helmets/{id}/observation": Operation(
        "Until when a helmet is under observation, and who said so", answer=_OBSERVATION
    ),
    "POST /api/v1/helmets/{id}/observation": Operation(
        "Keep every raw sample of a helmet for a time",
        body=_object(for_s={"type": "integer", "minimum": 60, "maximum": 86400, "default": 7200}),
        answer=_OBSERVATION,
        errors=(400, 409),
    ),
    "DELETE /api/v1/helmets/{id}/observation": Operation("End an observation"),
    "GET /api/v1/helmets/{id}/samples": Operation(
        "Raw samples, at most 60,000; of the last ten minutes unless a time is given",
        answer=_object(
            helmet=_TEXT, from_us=_INTEGER, to_us=_INTEGER, columns=_list(_TEXT), rows=_list(_list({}))
        ),
        errors=(400, 404, 503),
        query=(
            ("from_us", _INTEGER, "time of a sample, from here on"),
            ("to_us", _INTEGER, "before this"),
            ("format", {"enum": ["json", "csv"]}, "json unless given"),
        ),
    ),
    "GET /api/v1/escalation": Operation(
        "Who is told when, with the people on duty now",
        answer=_object(tiers={"type": "object"}, repeat_s=_NUMBER, untouched_s=_NUMBER),
    ),
    "GET /api/v1/channels": Operation("How the channels fare", answer=_object(channels=_list(_CHANNEL))),
    "POST /api/v1/channels/{name}/test": Operation(
        "Send a message marked TEST", body=_EMPTY, answer=_ref("Delivery"), errors=(400, 404)
    ),
    "GET /api/v1/feed": Operation(
        "What happens, live (docs/feed.asyncapi.yaml)",
        answer=_TEXT,
        media="text/event-stream",
        query=(("after", _INTEGER, "id of the last event seen; or the header Last-Event-ID"),),
    ),
    "GET /api/v1/openapi.json": Operation("This document", "anyone", answer={"type": "object"}),
    "GET /api/v1/docs": Operation("This document, to read", "anyone", answer=_TEXT, media="text/html"),
    "GET /healthz": Operation("Whether the process lives", "anyone", answer=_FINE, media="text/plain"),
    "GET /readyz": Operation(
        "Whether alerts would get through", "anyone", answer=_FINE, media="text/plain", errors=(503,)
    ),
    "GET /metrics": Operation("Prometheus text", "anyone", answer=_TEXT, media="text/plain"),
    "GET /": Operation("The page", "anyone", answer=_TEXT, media="text/html"),
}


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for key, operation in OPERATIONS.items():
        method, path = key.split()
        paths.setdefault(path, {})[method.lower()] = _operation(path, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Helmetwatch alert desk",
            "version": "1",
            "description": "Times are microseconds since 1970 UTC and end in _us. Errors are problem+json.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "person": {"type": "apiKey", "in": "cookie", "name": "helmetwatch_session"},
                "worker": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def page() -> str:
    """The document for people: plain HTML, no scripts."""
    rows = []
    for key, operation in OPERATIONS.items():
        asks = ", ".join(f"<code>{name}</code> ({html.escape(text)})" for name, _, text in operation.query)
        cells = (f"<code>{html.escape(key)}</code>", operation.who, html.escape(operation.summary), asks)
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    schemas = "".join(
        f"<details><summary><code>{name}</code></summary><pre>{html.escape(json.dumps(body, indent=1))}</pre></details>"
        for name, body in document()["components"]["schemas"].items()
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<title>Helmetwatch API</title><style>body{font:16px/1.5 system-ui;margin:2rem;max-width:70rem}"
        "td,th{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0}pre{overflow:auto}</style>"
        "<h1>Helmetwatch API</h1><p>The same for machines: <a href='/api/v1/openapi.json'>openapi.json</a>.</p>"
        "<table><tr><th>address<th>who<th>what<th>query</tr>" + "".join(rows) + "</table>"
        f"<h2>Values</h2>{schemas}</html>"
    )


def _operation(path: str, operation: Operation) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT}
        for name in re.findall(r"{(\w+)}", path)
    ] + [
        {"name": name, "in": "query", "schema": schema, "description": text}
        for name, schema, text in operation.query
    ]
    found: dict[str, Any] = {"summary": operation.summary, "parameters": parameters}
    if operation.answer is None:
        found["responses"] = {"204": {"description": "Done"}}
    else:
        content = {operation.media: {"schema": operation.answer}}
        found["responses"] = {"200": {"description": operation.summary, "content": content}}
    if operation.body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": operation.body}}}
    errors = set(operation.errors) | ({408, 413, 415} if operation.body is not None else set())
    if operation.who != "anyone":
        found["security"] = [{operation.who: []}]
        errors |= {401, 403}
    problem = {"application/problem+json": {"schema": _ref("Problem")}}
    for status in sorted(errors):
        found["responses"][str(status)] = {"description": "A problem, in one sentence", "content": problem}
    return found


def _schemas() -> dict[str, Any]:
    models = (
        Alert,
        Close,
        Delivery,
        Detection,
        Drill,
        Help,
        Helper,
        HelmetEvent,
        Hush,
        Many,
        Remark,
        SignIn,
        Where,
        WorkerReport,
    )
    inputs = [(model, "validation", TypeAdapter(model)) for model in models]
    _, definitions = TypeAdapter.json_schemas(inputs, ref_template=REF)  # type: ignore[arg-type]
    schemas: dict[str, Any] = dict(definitions["$defs"])
    status = {"type": "integer"}
    schemas["Problem"] = _object(type=_TEXT, status=status, title=_TEXT, detail=_TEXT)
    more = _object(
        timeline=_list(
            _object(seq=_INTEGER, at_us=_INTEGER, type=_TEXT, actor=_TEXT, detail={"type": "object"})
        ),
        detections=_list({"type": "object"}),
        features={"type": "object"},
        points={"type": "object"},
        detector=_TEXT,
        trace={"type": ["object", "null"]},
        deliveries=_list(_ref("Delivery")),
    )
    schemas["AlertDetail"] = {"allOf": [_ref("Alert"), more]}
    schemas["Helper"]["properties"] |= {
        "distance_m": _NUMBER,
        "status": {"type": ["string", "null"]},
        "status_us": {"type": ["integer", "null"]},
    }
    return schemas
