"""What each address of the desk takes and gives; `web.openapi` makes a document of it."""

from dataclasses import dataclass
from typing import Any

from alerts.model import State
from core.model import Kind

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


def ref(name: str) -> dict[str, Any]:
    """A named schema of the document."""
    return {"$ref": REF.format(model=name)}


def array(of: dict[str, Any]) -> dict[str, Any]:
    """The schema of a list."""
    return {"type": "array", "items": of}


def record(**properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object with these members."""
    return {"type": "object", "properties": properties}


TEXT, NUMBER, INTEGER = {"type": "string"}, {"type": "number"}, {"type": "integer", "minimum": 0}
_EMPTY: dict[str, Any] = {"type": "object", "maxProperties": 0}
_SESSION = record(
    name=TEXT,
    display_name=TEXT,
    tiles_url=TEXT,
    tiles_datum={"enum": ["wgs84", "gcj02"]},
    tiles_attribution=TEXT,
)
_TAKEN = record(taken=INTEGER)
_FROM = ("from_us", INTEGER, "alerted_us from here on")
_TO = ("to_us", INTEGER, "alerted_us before this")
_CHANNEL = record(
    name=TEXT, kind=TEXT, failing={"type": "boolean"}, waiting=INTEGER, code=TEXT, sentence=TEXT
)
_REFUSED = record(id=TEXT, status=INTEGER, detail=TEXT, owner={"type": ["string", "null"]})
_STORM = record(
    id=TEXT,
    severity=INTEGER,
    since_us=INTEGER,
    opened_us={"type": ["integer", "null"]},
    open=INTEGER,
    ids=array(TEXT),
)
_SILENCE = record(
    id=TEXT,
    helmets=array(TEXT),
    city=TEXT,
    station=TEXT,
    reason=TEXT,
    by=TEXT,
    from_us=INTEGER,
    until_us=INTEGER,
    count=INTEGER,
    ended_us={"type": ["integer", "null"]},
    ended_by={"type": ["string", "null"]},
)
_REGISTERS = record(
    riders=INTEGER,
    places=INTEGER,
    faults=array(TEXT),
    more_faults=INTEGER,
    files=array({"enum": ["riders", "places"]}),
    trail=array(
        record(at_us=INTEGER, by=TEXT, what=TEXT, rows=INTEGER, added=INTEGER, changed=INTEGER, gone=INTEGER)
    ),
)
_FILTERS = (
    ("state", TEXT, f"some of {', '.join(State)}, with commas between"),
    ("severity", TEXT, "some of 1, 2, 3, 4"),
    ("kind", TEXT, f"some of {', '.join(Kind)}"),
    ("helmet", TEXT, "exactly"),
    ("rider", TEXT, "part of the name"),
    ("owner", TEXT, "exactly"),
    ("city", TEXT, "exactly; the rider's"),
    ("station", TEXT, "exactly; the rider's"),
    _FROM,
    _TO,
    ("test", {"enum": ["true", "false"]}, "drills alone, or none"),
    ("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 200}, "alerts on a page"),
    ("before", INTEGER, "`next` of the page before"),
)
_PACK = record(schema=TEXT, made=record(at=TEXT, by=TEXT), content={"type": "object"}, content_sha256=TEXT)
_OBSERVATION = record(
    helmet=TEXT,
    observed_until_us={"type": ["integer", "null"]},
    trail=array(record(helmet=TEXT, at_us=INTEGER, until_us=INTEGER, by=TEXT)),
)
_FINE = TEXT | {"description": "one sentence"}
_ALERT_ERRORS = (400, 404, 409)

OPERATIONS: dict[str, Operation] = {
    "POST /api/v1/session": Operation("Sign in", "anyone", ref("SignIn"), _SESSION, errors=(400, 401, 429)),
    "GET /api/v1/session": Operation("Who is signed in", answer=_SESSION),
    "DELETE /api/v1/session": Operation("Sign out"),
    "POST /api/v1/detections": Operation(
        "Take detections; idempotent", "worker", array(ref("Detection")), _TAKEN, errors=(400,)
    ),
    "POST /api/v1/events": Operation(
        "Take what riders say; idempotent",
        "worker",
        array(ref("HelmetEvent")),
        _TAKEN,
        errors=(400,),
    ),
    "POST /api/v1/report": Operation(
        "Take a report; the answer names what helmets are to be told",
        "worker",
        ref("WorkerReport"),
        record(prompts=array(record(id=TEXT, helmet=TEXT, text=TEXT))),
        errors=(400,),
    ),
    "GET /api/v1/alerts": Operation(
        "Alerts, newest first",
        answer=record(alerts=array(ref("Alert")), next={"type": ["string", "null"]}),
        errors=(400,),
        query=_FILTERS,
    ),
    "GET /api/v1/alerts.csv": Operation(
        "The same as a table for spreadsheets, all of it, without telephone numbers",
        answer=TEXT,
        media="text/csv",
        errors=(400,),
        query=_FILTERS[:-2],
    ),
    "POST /api/v1/alerts/acknowledge": Operation(
        "Take many alerts, or a whole storm; idempotent",
        body=ref("Many"),
        answer=record(taken=array(TEXT), problems=array(_REFUSED)),
        errors=(400, 404),
    ),
    "GET /api/v1/alerts/{id}": Operation(
        "Everything about one alert", answer=ref("AlertDetail"), errors=(404,)
    ),
    "POST /api/v1/alerts/{id}/acknowledge": Operation(
        "Take an alert", body=_EMPTY, answer=ref("Alert"), errors=_ALERT_ERRORS
    ),
    "POST /api/v1/alerts/{id}/resolve": Operation(
        "Close an alert", body=ref("Close"), answer=ref("Alert"), errors=_ALERT_ERRORS
    ),
    "POST /api/v1/alerts/{id}/reopen": Operation(
        "Take a closed alert back", body=ref("Remark"), answer=ref("Alert"), errors=_ALERT_ERRORS
    ),
    "POST /api/v1/alerts/{id}/note": Operation(
        "Write into the timeline", body=ref("Remark"), answer=ref("Alert"), errors=_ALERT_ERRORS
    ),
    "POST /api/v1/alerts/{id}/contact": Operation(
        "The rider's emergency contact, for the person who has the alert; the timeline says so",
        body=_EMPTY,
        answer=record(name=TEXT, phone=TEXT),
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
        answer=record(genuine={"type": "boolean"}),
        errors=(),
    ),
    "GET /api/v1/alerts/{id}/nearby": Operation(
        "Who could help, nearest first",
        answer=record(position={"type": ["object", "null"]}, helpers=array(ref("Helper"))),
        errors=(404,),
    ),
    "POST /api/v1/alerts/{id}/help": Operation(
        "Write down that a helper was asked, goes, has arrived or cannot",
        body=ref("Help"),
        answer=ref("Alert"),
        errors=_ALERT_ERRORS,
    ),
    "POST /api/v1/drill": Operation(
        "Raise an alert marked TEST", body=ref("Drill"), answer=ref("Alert"), errors=(400,)
    ),
    "GET /api/v1/statistics": Operation(
        "How alerts were dealt with", answer={"type": "object"}, errors=(400,), query=(_FROM, _TO)
    ),
    "GET /api/v1/storms": Operation(
        "Many helmets that fell silent at once", answer=record(storms=array(_STORM))
    ),
    "GET /api/v1/handover": Operation(
        "Live alerts that have escalated",
        answer=record(
            now_us=INTEGER,
            escalated=array(record(id=TEXT, tier=INTEGER, told_us=INTEGER, people=array(TEXT))),
        ),
    ),
    "GET /api/v1/people": Operation("Who may sign in, by display name", answer=record(people=array(TEXT))),
    "GET /api/v1/places": Operation(
        "The cities and stations of the riders",
        answer=record(cities=array(TEXT), stations=array(record(city=TEXT, station=TEXT))),
    ),
    "GET /api/v1/registers": Operation(
        "The files of riders and places, and what is wrong with them",
        answer=_REGISTERS,
    ),
    "POST /api/v1/registers/{name}": Operation(
        "Take a file of riders or places into use, as its preview has shown it",
        body=ref("RegisterFile"),
        answer=_REGISTERS,
        errors=(400, 404, 409, 503),
    ),
    "POST /api/v1/registers/{name}/preview": Operation(
        "What a file of riders or places would change, and every fault in it; nothing is replaced",
        body=ref("RegisterFile"),
        answer=record(
            rows=INTEGER,
            added=INTEGER,
            changed=INTEGER,
            gone=INTEGER,
            same=INTEGER,
            lines=record(added=array(TEXT), changed=array(TEXT), gone=array(TEXT)),
            encoding=TEXT,
            faults=array(TEXT),
            more_faults=INTEGER,
            of=TEXT,
        ),
        errors=(400, 404, 409, 503),
    ),
    "GET /api/v1/silences": Operation(
        "Silences of today and those that last", answer=record(silences=array(_SILENCE))
    ),
    "POST /api/v1/silences": Operation(
        "Silence helmets for a time", body=ref("Hush"), answer=_SILENCE, errors=(400,)
    ),
    "POST /api/v1/silences/preview": Operation(
        "What a silence would cover",
        body=ref("Where"),
        answer=record(
            helmets=INTEGER, names=array(TEXT), alerts_live=INTEGER, alerts_silenced=INTEGER, never=TEXT
        ),
        errors=(400,),
    ),
    "POST /api/v1/silences/{id}/end": Operation(
        "End a silence before its time", body=_EMPTY, answer=_SILENCE, errors=(400, 404)
    ),
    "GET /api/v1/fleet": Operation("All workers and helmets", answer={"type": "object"}),
    "GET /api/v1/observations": Operation(
        "The helmets under observation, and until when", "worker", answer=record(observed={"type": "object"})
    ),
    "GET /api/v1/helmets/{id}/observation": Operation(
        "Until when a helmet is under observation, and who said so", answer=_OBSERVATION
    ),
    "POST /api/v1/helmets/{id}/observation": Operation(
        "Keep every raw sample of a helmet for a time",
        body=record(for_s={"type": "integer", "minimum": 60, "maximum": 86400, "default": 7200}),
        answer=_OBSERVATION,
        errors=(400, 409),
    ),
    "DELETE /api/v1/helmets/{id}/observation": Operation("End an observation"),
    "GET /api/v1/helmets/{id}/samples": Operation(
        "Raw samples, at most 60,000; of the last ten minutes unless a time is given",
        answer=record(
            helmet=TEXT, from_us=INTEGER, to_us=INTEGER, columns=array(TEXT), rows=array(array({}))
        ),
        errors=(400, 404, 503),
        query=(
            ("from_us", INTEGER, "time of a sample, from here on"),
            ("to_us", INTEGER, "before this"),
            ("format", {"enum": ["json", "csv"]}, "json unless given"),
        ),
    ),
    "GET /api/v1/escalation": Operation(
        "Who is told when, with the people on duty now",
        answer=record(tiers={"type": "object"}, repeat_s=NUMBER, untouched_s=NUMBER),
    ),
    "GET /api/v1/deliveries": Operation(
        "How the messages about some alerts fare, in numbers",
        answer=record(told={"type": "object"}),
        errors=(400,),
        query=(("alerts", TEXT, "1 to 100 ids, with commas between"),),
    ),
    "GET /api/v1/channels": Operation("How the channels fare", answer=record(channels=array(_CHANNEL))),
    "POST /api/v1/channels/{name}/test": Operation(
        "Send a message marked TEST", body=_EMPTY, answer=ref("Delivery"), errors=(400, 404)
    ),
    "GET /api/v1/feed": Operation(
        "What happens, live (docs/feed.asyncapi.yaml)",
        answer=TEXT,
        media="text/event-stream",
        query=(("after", INTEGER, "id of the last event seen; or the header Last-Event-ID"),),
    ),
    "GET /api/v1/openapi.json": Operation("This document", "anyone", answer={"type": "object"}),
    "GET /api/v1/docs": Operation("This document, to read", "anyone", answer=TEXT, media="text/html"),
    "GET /healthz": Operation("Whether the process lives", "anyone", answer=_FINE, media="text/plain"),
    "GET /readyz": Operation(
        "Whether alerts would get through", "anyone", answer=_FINE, media="text/plain", errors=(503,)
    ),
    "GET /metrics": Operation("Prometheus text", "anyone", answer=TEXT, media="text/plain"),
    "GET /": Operation("The page", "anyone", answer=TEXT, media="text/html"),
}
