"""What each address of the desk takes and gives; `web.openapi` makes a document of it."""

from web.bodies import (
    AUDIT,
    CHANNEL,
    DAY,
    EMPTY,
    FILTERS,
    FINE,
    FROM,
    OBSERVATION,
    ON_DUTY,
    PACK,
    REFUSED,
    REGISTERS,
    SECONDS,
    SESSION,
    SILENCE,
    STORM,
    TAKEN,
    TO,
)
from web.describing import BEFORE, INTEGER, NUMBER, TEXT, Operation, array, limit, record, ref

_ALERT_ERRORS = (400, 404, 409)

OPERATIONS: dict[str, Operation] = {
    "POST /api/v1/session": Operation("Sign in", "anyone", ref("SignIn"), SESSION, errors=(400, 401, 429)),
    "GET /api/v1/session": Operation("Who is signed in", answer=SESSION),
    "DELETE /api/v1/session": Operation("Sign out"),
    "POST /api/v1/detections": Operation(
        "Take detections; idempotent", "worker", array(ref("Detection")), TAKEN, errors=(400,)
    ),
    "POST /api/v1/events": Operation(
        "Take what riders say; idempotent",
        "worker",
        array(ref("HelmetEvent")),
        TAKEN,
        errors=(400,),
    ),
    "POST /api/v1/report": Operation(
        "Take a report; the answer names what helmets are to be told",
        "worker",
        ref("WorkerReport"),
        record(prompts=array(record(id=TEXT, helmet=TEXT, text=TEXT)), riding=INTEGER),
        errors=(400,),
    ),
    "GET /api/v1/alerts": Operation(
        "Alerts, newest first",
        answer=record(alerts=array(ref("Alert")), next={"type": ["string", "null"]}),
        errors=(400,),
        query=FILTERS,
    ),
    "GET /api/v1/alerts.csv": Operation(
        "The same as a table for spreadsheets, all of it, without telephone numbers",
        "supervisor",
        answer=TEXT,
        media="text/csv",
        errors=(400, 503),
        query=FILTERS[:-2],
    ),
    "POST /api/v1/alerts/acknowledge": Operation(
        "Take many alerts, or a whole storm; idempotent",
        body=ref("Many"),
        answer=record(taken=array(TEXT), problems=array(REFUSED)),
        errors=(400, 404),
    ),
    "POST /api/v1/alerts/shown": Operation(
        "A page says which alerts it has painted; the first page of all counts",
        body=ref("Seen"),
        errors=(400,),
    ),
    "GET /api/v1/alerts/{id}": Operation(
        "Everything about one alert", answer=ref("AlertDetail"), errors=(404,)
    ),
    "POST /api/v1/alerts/{id}/acknowledge": Operation(
        "Take an alert, also from the person named in `from`",
        body=ref("Take"),
        answer=ref("Alert"),
        errors=_ALERT_ERRORS,
        keyed=True,
    ),
    "POST /api/v1/alerts/{id}/resolve": Operation(
        "Close an alert; somebody else's by naming them in `from`",
        body=ref("Close"),
        answer=ref("Alert"),
        errors=_ALERT_ERRORS,
        keyed=True,
    ),
    "POST /api/v1/alerts/{id}/reopen": Operation(
        "Take a closed alert back", body=ref("Remark"), answer=ref("Alert"), errors=_ALERT_ERRORS, keyed=True
    ),
    "POST /api/v1/alerts/{id}/note": Operation(
        "Write into the timeline", body=ref("Remark"), answer=ref("Alert"), errors=_ALERT_ERRORS, keyed=True
    ),
    "POST /api/v1/alerts/{id}/contact": Operation(
        "The rider's emergency contact, for the person who has the alert; the timeline says so",
        body=EMPTY,
        answer=record(name=TEXT, phone=TEXT),
        errors=_ALERT_ERRORS,
        keyed=True,
    ),
    "GET /api/v1/alerts/{id}/pack": Operation(
        "The incident pack, signed",
        answer=PACK,
        errors=(400, 404, 503),
        query=(("format", {"enum": ["json", "pdf", "zip"]}, "json unless given"),),
    ),
    "POST /api/v1/packs/verify": Operation(
        "Whether a pack is genuine",
        body=PACK,
        answer=record(genuine={"type": "boolean"}),
        errors=(),
    ),
    "GET /api/v1/packs/key": Operation(
        "The public key of the packs, in PEM", "anyone", answer=TEXT, media="text/plain"
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
        keyed=True,
    ),
    "POST /api/v1/drill": Operation(
        "Raise an alert marked TEST",
        "supervisor",
        body=ref("Drill"),
        answer=ref("Alert"),
        errors=(400, 409),
        keyed=True,
    ),
    "GET /api/v1/statistics": Operation(
        "How alerts were dealt with", answer={"type": "object"}, errors=(400,), query=(FROM, TO)
    ),
    "GET /api/v1/storms": Operation(
        "Many helmets that fell silent at once", answer=record(storms=array(STORM))
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
        answer=record(
            cities=array(TEXT),
            stations=array(record(city=TEXT, station=TEXT)),
            known=array(record(name=TEXT, lat_deg=NUMBER, lon_deg=NUMBER)),
        ),
    ),
    "GET /api/v1/registers": Operation(
        "The files of riders and places, and what is wrong with them",
        answer=REGISTERS,
    ),
    "POST /api/v1/registers/{name}": Operation(
        "Take a file of riders or places into use, as its preview has shown it",
        "supervisor",
        body=ref("RegisterFile"),
        answer=REGISTERS,
        errors=(400, 404, 409, 503),
    ),
    "POST /api/v1/registers/{name}/preview": Operation(
        "What a file of riders or places would change, and every fault in it; nothing is replaced",
        "supervisor",
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
        "Silences of today and those that last", answer=record(silences=array(SILENCE))
    ),
    "POST /api/v1/silences": Operation(
        "Silence helmets for a time", "supervisor", body=ref("Hush"), answer=SILENCE, errors=(400,)
    ),
    "POST /api/v1/silences/preview": Operation(
        "What a silence would cover",
        "supervisor",
        body=ref("Where"),
        answer=record(
            helmets=INTEGER, names=array(TEXT), alerts_live=INTEGER, alerts_silenced=INTEGER, never=TEXT
        ),
        errors=(400,),
    ),
    "POST /api/v1/silences/{id}/end": Operation(
        "End a silence before its time", "supervisor", body=EMPTY, answer=SILENCE, errors=(400, 404)
    ),
    "GET /api/v1/audit": Operation(
        "Who took what out, and who was refused what, newest first",
        "supervisor",
        answer=record(audit=array(AUDIT), next={"type": ["string", "null"]}),
        errors=(400,),
        query=(limit("lines", 100), BEFORE),
    ),
    "GET /api/v1/fleet": Operation("All workers and helmets", answer={"type": "object"}),
    "GET /api/v1/riding": Operation(
        "How long each helmet was ridden on a day, worn and not, and all of them together",
        answer=record(
            now_us=INTEGER,
            day=TEXT,
            total=record(helmets=INTEGER, **SECONDS),
            helmets=array(record(helmet=TEXT, **SECONDS)),
            next={"type": ["string", "null"]},
        ),
        errors=(400, 503),
        query=(
            ("day", DAY, "today, in the desk's time zone, unless given"),
            limit("helmets", 1000, most=5000),
            ("after", TEXT, "`next` of the page before"),
        ),
    ),
    "GET /api/v1/riding.csv": Operation(
        "The riding times of some days as a table for spreadsheets, streamed",
        "supervisor",
        answer=TEXT,
        media="text/csv",
        errors=(400, 503),
        query=(("from", DAY, "first day; today unless given"), ("to", DAY, "last day; today unless given")),
    ),
    "GET /api/v1/duty": Operation(
        "Who has ridden for how long without a real rest, the longest first",
        answer=record(
            now_us=INTEGER,
            warn_s=NUMBER,
            limit_s=NUMBER,
            rest_s=NUMBER,
            warned=INTEGER,
            over=INTEGER,
            riders=array(ON_DUTY),
            next={"type": ["integer", "null"]},
        ),
        errors=(400, 503),
        query=(limit("riders", 200), ("after", INTEGER, "`next` of the page before")),
    ),
    "GET /api/v1/helmets/{id}/riding": Operation(
        "The last fourteen days of one helmet, and its duty",
        answer=record(
            helmet=TEXT,
            days=array(record(day=TEXT, helmet=TEXT, **SECONDS)),
            duty=ON_DUTY | {"type": ["object", "null"]},
        ),
        errors=(503,),
    ),
    "GET /api/v1/observations": Operation(
        "The helmets under observation, and until when", "worker", answer=record(observed={"type": "object"})
    ),
    "GET /api/v1/helmets/{id}/observation": Operation(
        "Until when a helmet is under observation, and who said so", answer=OBSERVATION
    ),
    "POST /api/v1/helmets/{id}/observation": Operation(
        "Keep every raw sample of a helmet for a time",
        "supervisor",
        body=record(for_s={"type": "integer", "minimum": 60, "maximum": 86400, "default": 7200}),
        answer=OBSERVATION,
        errors=(400, 409),
    ),
    "DELETE /api/v1/helmets/{id}/observation": Operation("End an observation", "supervisor"),
    "GET /api/v1/helmets/{id}/samples": Operation(
        "Raw samples, at most 60,000; of the last ten minutes unless a time is given",
        "supervisor",
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
    "GET /api/v1/channels": Operation("How the channels fare", answer=record(channels=array(CHANNEL))),
    "POST /api/v1/channels/{name}/test": Operation(
        "Send a message marked TEST", "supervisor", body=EMPTY, answer=ref("Delivery"), errors=(400, 404)
    ),
    "GET /api/v1/feed": Operation(
        "What happens, live (docs/feed.asyncapi.yaml)",
        answer=TEXT,
        media="text/event-stream",
        query=(("after", TEXT, "id of the last event seen; or the header Last-Event-ID"),),
    ),
    "GET /api/v1/openapi.json": Operation("This document", "anyone", answer={"type": "object"}),
    "GET /api/v1/docs": Operation("This document, to read", "anyone", answer=TEXT, media="text/html"),
    "GET /healthz": Operation("Whether the process lives", "anyone", answer=FINE, media="text/plain"),
    "GET /readyz": Operation(
        "Whether alerts would get through", "anyone", answer=FINE, media="text/plain", errors=(503,)
    ),
    "GET /metrics": Operation("Prometheus text", "anyone", answer=TEXT, media="text/plain"),
    "GET /": Operation("The page", "anyone", answer=TEXT, media="text/html"),
}
