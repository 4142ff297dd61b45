"""The small bodies that addresses of the desk take and give, and the filters of the list, as JSON Schema."""

from typing import Any

from alerts.model import State
from core.model import Kind
from web.accounts import Role
from web.describing import BEFORE, INTEGER, NUMBER, TEXT, array, limit, record

EMPTY: dict[str, Any] = {"type": "object", "maxProperties": 0}
SESSION = record(
    name=TEXT,
    display_name=TEXT,
    role={"enum": list(Role)},
    tiles_url=TEXT,
    tiles_datum={"enum": ["wgs84", "gcj02"]},
    tiles_attribution=TEXT,
)
TAKEN = record(taken=INTEGER)
FROM = ("from_us", INTEGER, "alerted_us from here on")
TO = ("to_us", INTEGER, "alerted_us before this")
CHANNEL = record(name=TEXT, kind=TEXT, failing={"type": "boolean"}, waiting=INTEGER, code=TEXT, sentence=TEXT)
REFUSED = record(id=TEXT, status=INTEGER, detail=TEXT, owner={"type": ["string", "null"]})
STORM = record(
    id=TEXT,
    severity=INTEGER,
    since_us=INTEGER,
    opened_us={"type": ["integer", "null"]},
    open=INTEGER,
    ids=array(TEXT),
)
SILENCE = record(
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
REGISTERS = record(
    riders=INTEGER,
    places=INTEGER,
    faults=array(TEXT),
    more_faults=INTEGER,
    files=array({"enum": ["riders", "places"]}),
    trail=array(
        record(at_us=INTEGER, by=TEXT, what=TEXT, rows=INTEGER, added=INTEGER, changed=INTEGER, gone=INTEGER)
    ),
)
FILTERS = (
    ("state", TEXT, f"some of {', '.join(State)}, with commas between"),
    ("severity", TEXT, "some of 1, 2, 3, 4"),
    ("kind", TEXT, f"some of {', '.join(Kind)}"),
    ("helmet", TEXT, "exactly"),
    ("rider", TEXT, "part of the name"),
    ("owner", TEXT, "exactly"),
    ("city", TEXT, "exactly; the rider's"),
    ("station", TEXT, "exactly; the rider's"),
    FROM,
    TO,
    ("test", {"enum": ["true", "false"]}, "drills alone, or none"),
    limit("alerts", 200),
    BEFORE,
)
PACK = record(schema=TEXT, made=record(at=TEXT, by=TEXT), content={"type": "object"}, content_sha256=TEXT)
OBSERVATION = record(
    helmet=TEXT,
    observed_until_us={"type": ["integer", "null"]},
    trail=array(record(helmet=TEXT, at_us=INTEGER, until_us=INTEGER, by=TEXT)),
)
FINE = TEXT | {"description": "one sentence"}
AUDIT = record(
    seq=INTEGER,
    at_us=INTEGER,
    by=TEXT,
    address=TEXT,
    what=TEXT,
    detail={"type": "object"},
    rows={"type": ["integer", "null"]},
)
ENTRY = record(seq=INTEGER, at_us=INTEGER, type=TEXT, actor=TEXT, address=TEXT, detail={"type": "object"})
SECONDS = {"worn_s": INTEGER, "not_worn_s": INTEGER, "unknown_s": INTEGER}
DAY = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"}
ON_DUTY = record(
    helmet=TEXT,
    rider={"type": ["string", "null"]},
    worked_s=NUMBER,
    since_us=INTEGER,
    heard_us=INTEGER,
    works={"type": "boolean"},
    rest_s=NUMBER,
    uncertain_s=NUMBER,
)
