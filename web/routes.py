"""The desk's addresses: what each one does. `docs/api.md` is the contract."""

import math
import secrets
from dataclasses import asdict
from functools import partial
from pathlib import Path

import prometheus_client
from aiohttp import web

from alerts.book import BATCH, Book
from alerts.model import Alert, Change
from alerts.notices import test_notice
from alerts.reader import Reader
from core import metrics
from web import help_nearby, openapi, packs, wire
from web.access import COOKIE, address, anyone, over_https, person, worker
from web.accounts import Accounts, Person, normal
from web.feed import Client, follow, last_id
from web.fleet import STALE_S
from web.problems import Problem, read_body
from web.state import Desk

STATIC = Path(__file__).parent / "static"

WORKER_BODY_MAX = 32 * 2**20
"""A first report may hold a hundred thousand helmets, a batch of detections some traces."""

PERSON_BODY_MAX = 64 * 2**10
LIST_MAX = 1000
TEST_WAIT_S = 8.0
MONTH_US = 30 * 86_400 * 1_000_000


def routes() -> list[web.RouteDef]:
    """Every address of the desk, but for the page's static parts."""
    alert = "/api/v1/alerts/{id}"
    return [
        web.post("/api/v1/session", anyone(sign_in)),
        web.get("/api/v1/session", person(who)),
        web.delete("/api/v1/session", person(sign_out)),
        web.post("/api/v1/detections", worker(take_detections)),
        web.post("/api/v1/events", worker(take_events)),
        web.post("/api/v1/report", worker(take_report)),
        web.get("/api/v1/alerts", person(list_alerts)),
        web.get(alert, person(show_alert)),
        web.post(f"{alert}/acknowledge", person(acknowledge)),
        web.post(f"{alert}/resolve", person(resolve)),
        web.post(f"{alert}/reopen", person(reopen)),
        web.post(f"{alert}/note", person(note)),
        web.get(f"{alert}/pack", person(packs.make), allow_head=False),
        web.post("/api/v1/packs/verify", person(packs.verify)),
        web.get(f"{alert}/nearby", person(help_nearby.show)),
        web.post(f"{alert}/help", person(help_nearby.record)),
        web.post("/api/v1/drill", person(drill)),
        web.get("/api/v1/statistics", person(statistics)),
        web.get("/api/v1/fleet", person(show_fleet)),
        web.get("/api/v1/escalation", person(show_escalation)),
        web.get("/api/v1/channels", person(show_channels)),
        web.post("/api/v1/channels/{name}/test", person(test_channel)),
        web.get("/api/v1/feed", person(feed), allow_head=False),
        web.get("/api/v1/openapi.json", anyone(show_openapi)),
        web.get("/api/v1/docs", anyone(show_docs)),
        web.get("/healthz", anyone(healthz)),
        web.get("/readyz", anyone(readyz)),
        web.get("/metrics", anyone(show_metrics)),
        web.get("/", anyone(page)),
    ]


async def sign_in(request: web.Request, desk: Desk) -> web.Response:
    """Checks a password and starts a session."""
    given = wire.sign_in(await read_body(request, PERSON_BODY_MAX))
    now_us, name, peer = desk.clock.now_us(), normal(given.name), address(request)
    wait_s = desk.throttle.attempt(name, peer, now_us)
    if wait_s:
        raise Problem(
            429,
            f"Too many wrong tries; try again in {math.ceil(wait_s)} seconds.",
            headers={"Retry-After": str(math.ceil(wait_s))},
        )
    account = await desk.people(lambda accounts: accounts.secret(name))
    if not await desk.verify(account[2] if account else None, given.password) or account is None:
        raise Problem(401, "The name or the password is wrong.")
    desk.throttle.succeeded(name, peer)
    expires_us = now_us + round(desk.config.web.session_h * 3600e6)
    token = await desk.people(lambda accounts: accounts.open_session(account[0], expires_us, now_us))
    response = web.json_response(_session(desk, account[0], account[1]))
    response.set_cookie(
        COOKIE,
        token,
        max_age=round(desk.config.web.session_h * 3600),
        path="/",
        httponly=True,
        samesite="Strict",
        secure=over_https(request),
    )
    return response


async def who(_request: web.Request, desk: Desk, by: Person) -> web.Response:
    """Says who is signed in."""
    return web.json_response(_session(desk, by.name, by.display_name))


async def sign_out(_request: web.Request, desk: Desk, by: Person) -> web.Response:
    """Ends the session and its feeds."""
    await desk.people(partial(Accounts.close_session, key=by.session))
    desk.hub.end_session(by.session)
    response = web.Response(status=204)
    response.del_cookie(COOKIE, path="/")
    return response


async def take_detections(request: web.Request, desk: Desk) -> web.Response:
    """Takes detections; the answer comes after the commit."""
    found = wire.detections(await read_body(request, WORKER_BODY_MAX))
    now_us = desk.clock.now_us()
    for start in range(0, len(found), BATCH):
        part = found[start : start + BATCH]
        await desk.change(partial(Book.take, detections=part, now_us=now_us))
    metrics.TAKEN.labels("detection").inc(len(found))
    return web.json_response({"taken": len(found)})


async def take_events(request: web.Request, desk: Desk) -> web.Response:
    """Takes what riders say; the answer comes after the commit."""
    found = wire.events(await read_body(request, WORKER_BODY_MAX))
    now_us = desk.clock.now_us()
    for start in range(0, len(found), BATCH):
        part = found[start : start + BATCH]
        await desk.change(partial(Book.take_events, events=part, now_us=now_us))
    metrics.TAKEN.labels("event").inc(len(found))
    return web.json_response({"taken": len(found)})


async def take_report(request: web.Request, desk: Desk) -> web.Response:
    """Takes a worker's report and tells the pages what changed."""
    report = wire.report(await read_body(request, WORKER_BODY_MAX))
    now_us = desk.clock.now_us()
    changed = desk.fleet.take(report, now_us)
    desk.hub.fleet(changed, partial(desk.fleet.view, now_us))
    return web.Response(status=204)


async def list_alerts(request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """A page of alerts."""
    query = request.query
    limit = wire.count(query.get("limit", "200"), "limit", 1, LIST_MAX)
    before = wire.moment(query, "before")
    question = partial(Reader.alerts, wanted=wire.wanted(query), limit=limit, before=before)
    alerts, cursor = await desk.ask(question)
    return web.json_response(
        {"alerts": [asdict(alert) for alert in alerts], "next": None if cursor is None else str(cursor)}
    )


async def show_alert(request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """Everything about one alert."""
    found = await desk.ask(partial(Reader.detail, alert_id=request.match_info["id"]))
    newest = found.detections[-1] if found.detections else {}
    return web.json_response(
        asdict(found.alert)
        | {
            "timeline": [change.entry() for change in found.timeline],
            "detections": found.detections,
            "features": newest.get("features", {}),
            "points": newest.get("points", {}),
            "detector": newest.get("detector", ""),
            "trace": found.trace,
            "deliveries": [asdict(delivery) for delivery in found.deliveries],
        }
    )


async def acknowledge(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A person takes an alert."""
    wire.empty(await read_body(request, PERSON_BODY_MAX))
    alert, now_us = request.match_info["id"], desk.clock.now_us()
    changes = await desk.change(lambda book: book.acknowledge(alert, by.display_name, now_us))
    return await _after(desk, alert, changes)


async def resolve(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A person closes an alert."""
    given = wire.close(await read_body(request, PERSON_BODY_MAX))
    alert, now_us = request.match_info["id"], desk.clock.now_us()
    changes = await desk.change(
        lambda book: book.resolve(alert, by.display_name, given.reason, given.note, now_us)
    )
    return await _after(desk, alert, changes)


async def reopen(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A person takes a closed alert back."""
    text = wire.remark(await read_body(request, PERSON_BODY_MAX), needed=False)
    alert, now_us = request.match_info["id"], desk.clock.now_us()
    changes = await desk.change(lambda book: book.reopen(alert, by.display_name, text, now_us))
    return await _after(desk, alert, changes)


async def note(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A person writes into an alert's timeline."""
    text = wire.remark(await read_body(request, PERSON_BODY_MAX), needed=True)
    alert, now_us = request.match_info["id"], desk.clock.now_us()
    changes = await desk.change(lambda book: book.note(alert, by.display_name, text, now_us))
    return await _after(desk, alert, changes)


async def drill(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """Raises an alert marked TEST that goes the way of all alerts."""
    severity = wire.drill(await read_body(request, PERSON_BODY_MAX))
    now_us, unique = desk.clock.now_us(), secrets.token_hex(8)
    changes = await desk.change(lambda book: book.drill(severity, by.display_name, unique, now_us))
    return web.json_response(asdict(changes[-1].alert))


async def statistics(request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """How alerts were dealt with; without a time the last 30 days."""
    now_us = desk.clock.now_us()
    to_us = wire.moment(request.query, "to_us")
    to_us = now_us + 1 if to_us is None else to_us
    from_us = wire.moment(request.query, "from_us")
    from_us = max(0, to_us - MONTH_US) if from_us is None else from_us
    found = await desk.ask(partial(Reader.statistics, from_us=from_us, to_us=to_us, now_us=now_us))
    return web.json_response({"from_us": from_us, "to_us": to_us} | found)


async def show_fleet(_request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """All workers and helmets."""
    return web.Response(body=desk.fleet.view(desk.clock.now_us()), content_type="application/json")


async def show_escalation(_request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """Who is told when, by severity, with the people on duty now."""
    now_us, policy = desk.clock.now_us(), desk.policy
    tiers = {
        str(severity): [
            {
                "after_s": tier.after_s,
                "channels": tier.channels,
                "people": [contact.name for _, contact in policy.contacts(tier, now_us)],
            }
            for tier in policy.tiers[severity]
        ]
        for severity in sorted(policy.tiers)
    }
    return web.json_response({"tiers": tiers, "repeat_s": policy.repeat_s, "untouched_s": policy.untouched_s})


async def show_channels(_request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """How the channels fare."""
    return web.json_response({"channels": await desk.channels()})


async def test_channel(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """Sends a message marked TEST, and says what came of the first try."""
    wire.empty(await read_body(request, PERSON_BODY_MAX))
    name = request.match_info["name"]
    if name not in desk.dispatcher.channels:
        raise Problem(404, f"There is no channel {name}.")
    notice = test_notice(name, by.display_name, desk.clock.now_us(), secrets.token_hex(8))
    return web.json_response(asdict(await desk.dispatcher.tried(notice, TEST_WAIT_S)))


async def feed(request: web.Request, desk: Desk, by: Person) -> web.StreamResponse:
    """The live feed, until somebody ends it."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    )

    def cut() -> None:
        if request.transport is not None:
            request.transport.abort()

    client = Client(by.session, by.expires_us, cut)
    desk.hub.join(client)
    try:
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")
        await follow(client, response.write, desk.ask, last_id(request), desk.clock.now_us())
    except ConnectionError:
        pass  # The page is gone; it comes back with its last id.
    finally:
        desk.hub.leave(client)
    return response


async def show_openapi(_request: web.Request, _desk: Desk) -> web.Response:
    """The addresses for machines."""
    return web.json_response(openapi.document())


async def show_docs(_request: web.Request, _desk: Desk) -> web.Response:
    """The addresses for people."""
    return web.Response(text=openapi.page(), content_type="text/html", charset="utf-8")


async def healthz(_request: web.Request, _desk: Desk) -> web.Response:
    """Says that the process is alive."""
    return web.Response(text="The desk is alive.\n")


async def readyz(_request: web.Request, desk: Desk) -> web.Response:
    """Says whether alerts would get through."""
    age_s = desk.fleet.newest_age_s(desk.clock.now_us())
    if trouble := desk.trouble():
        raise Problem(503, trouble)
    if age_s is None:
        raise Problem(503, "No worker has reported yet.")
    if age_s > STALE_S:
        raise Problem(503, f"No worker has reported for {age_s:.0f} s.")
    return web.Response(text="The desk is ready.\n")


async def show_metrics(_request: web.Request, _desk: Desk) -> web.Response:
    """Prometheus text."""
    return web.Response(
        body=prometheus_client.generate_latest(),
        headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST},
    )


async def page(_request: web.Request, _desk: Desk) -> web.StreamResponse:
    """The page."""
    index = STATIC / "index.html"
    if not index.is_file():
        raise Problem(404, "The page is not installed: web/static/index.html is missing.")
    return web.FileResponse(index)


async def _after(desk: Desk, alert_id: str, changes: list[Change]) -> web.Response:
    alert: Alert = (
        changes[-1].alert if changes else (await desk.ask(partial(Reader.alert, alert_id=alert_id)))
    )
    return web.json_response(asdict(alert))


def _session(desk: Desk, name: str, display_name: str) -> dict[str, str]:
    return {"name": name, "display_name": display_name, "tiles_url": desk.config.web.tiles_url}
