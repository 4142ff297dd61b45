"""The desk's addresses: which is served by what, and who may call it. `docs/api.md` is the contract."""

from aiohttp import web

from web import (
    export,
    help_nearby,
    incidents,
    intake,
    observing,
    packs,
    serving,
    sessions,
    shift,
    silencing,
    telling,
)
from web.access import anyone, person, worker


def routes() -> list[web.RouteDef]:
    """Every address of the desk, but for the page's static parts."""
    alert = "/api/v1/alerts/{id}"
    return [
        web.post("/api/v1/session", anyone(sessions.sign_in)),
        web.get("/api/v1/session", person(sessions.who)),
        web.delete("/api/v1/session", person(sessions.sign_out)),
        web.post("/api/v1/detections", worker(intake.take_detections)),
        web.post("/api/v1/events", worker(intake.take_events)),
        web.post("/api/v1/report", worker(intake.take_report)),
        web.get("/api/v1/alerts", person(incidents.list_alerts)),
        web.get("/api/v1/alerts.csv", person(export.history), allow_head=False),
        web.post("/api/v1/alerts/acknowledge", person(incidents.acknowledge_many)),
        web.get(alert, person(incidents.show_alert)),
        web.post(f"{alert}/acknowledge", person(incidents.acknowledge)),
        web.post(f"{alert}/resolve", person(incidents.resolve)),
        web.post(f"{alert}/reopen", person(incidents.reopen)),
        web.post(f"{alert}/note", person(incidents.note)),
        web.post(f"{alert}/contact", person(incidents.contact)),
        web.get(f"{alert}/pack", person(packs.make), allow_head=False),
        web.post("/api/v1/packs/verify", person(packs.verify)),
        web.get(f"{alert}/nearby", person(help_nearby.show)),
        web.post(f"{alert}/help", person(help_nearby.record)),
        web.post("/api/v1/drill", person(incidents.drill)),
        web.get("/api/v1/statistics", person(incidents.statistics)),
        web.get("/api/v1/storms", person(shift.storms)),
        web.get("/api/v1/handover", person(shift.handover)),
        web.get("/api/v1/people", person(shift.people)),
        web.get("/api/v1/places", person(shift.places)),
        web.get("/api/v1/registers", person(shift.registers)),
        web.get("/api/v1/silences", person(silencing.show)),
        web.post("/api/v1/silences", person(silencing.begin)),
        web.post("/api/v1/silences/preview", person(silencing.preview)),
        web.post("/api/v1/silences/{id}/end", person(silencing.end)),
        web.get("/api/v1/fleet", person(serving.show_fleet)),
        web.get("/api/v1/observations", worker(observing.tell)),
        web.get("/api/v1/helmets/{id}/observation", person(observing.show)),
        web.post("/api/v1/helmets/{id}/observation", person(observing.begin)),
        web.delete("/api/v1/helmets/{id}/observation", person(observing.end)),
        web.get("/api/v1/helmets/{id}/samples", person(observing.samples), allow_head=False),
        web.get("/api/v1/escalation", person(telling.show_escalation)),
        web.get("/api/v1/deliveries", person(telling.show_told)),
        web.get("/api/v1/channels", person(telling.show_channels)),
        web.post("/api/v1/channels/{name}/test", person(telling.test_channel)),
        web.get("/api/v1/feed", person(serving.feed), allow_head=False),
        web.get("/api/v1/openapi.json", anyone(serving.show_openapi)),
        web.get("/api/v1/docs", anyone(serving.show_docs)),
        web.get("/healthz", anyone(serving.healthz)),
        web.get("/readyz", anyone(serving.readyz)),
        web.get("/metrics", anyone(serving.show_metrics)),
        web.get("/", anyone(serving.page)),
    ]
