"""Alerts: the list, one of them, and what people do about it."""

import secrets
from dataclasses import asdict
from functools import partial
from hashlib import blake2b

from aiohttp import web

from alerts.book import BATCH, Book, NotFoundError
from alerts.model import Alert, Asked, Change, State
from alerts.reader import Reader
from alerts.rules import RefusedError
from web import wire
from web.accounts import Accounts, Person
from web.asking import wish
from web.auditing import write_down
from web.peer import address
from web.problems import Problem, read_body
from web.state import Desk

LIST_MAX = 1000
MANY_BODY_MAX = 512 * 2**10
MONTH_US = 30 * 86_400 * 1_000_000


async def list_alerts(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A page of alerts; who looked through what is written down, where that can be done."""
    query = request.query
    limit = wire.count(query.get("limit", "200"), "limit", 1, LIST_MAX)
    before = wire.moment(query, "before")
    question = partial(Reader.alerts, wanted=wire.wanted(query), limit=limit, before=before)
    alerts, cursor = await desk.search(question)
    asked = dict(query) | {"format": "json"}
    await write_down(request, desk, by, "history", asked, len(alerts), needed=False)
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
            "shown_us": found.shown_us,
            "deliveries": [asdict(delivery) for delivery in found.deliveries],
        }
    )


async def acknowledge(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A person takes an alert, also from whom they name."""
    wished = await wish(request)
    owner = wire.take(wished.body)
    alert, now_us = request.match_info["id"], desk.clock.now_us()
    changes = await desk.change(
        lambda book: book.acknowledge(alert, by.display_name, now_us, owner=owner, asked=wished.asked)
    )
    return await after(desk, alert, changes)


async def acknowledge_many(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A person takes many alerts, or a whole storm; says for each that could not be taken why."""
    given = wire.many(await read_body(request, MANY_BODY_MAX))
    ids = list(dict.fromkeys(given.ids)) or _untaken(desk, given.storm)
    now_us = desk.clock.now_us()
    refused: dict[str, NotFoundError | RefusedError] = {}
    asked = Asked(address(request))

    def take(book: Book, part: list[str]) -> list[Change]:
        changes, not_taken = book.acknowledge_many(part, by.display_name, now_us, len(ids), asked)
        refused.update(not_taken)
        return changes

    for start in range(0, len(ids), BATCH):
        await desk.change(partial(take, part=ids[start : start + BATCH]))
    problems = [
        {
            "id": id_,
            "status": 404 if isinstance(error, NotFoundError) else 409,
            "detail": str(error),
            "owner": getattr(error, "owner", None),
        }
        for id_, error in refused.items()
    ]
    return web.json_response({"taken": [id_ for id_ in ids if id_ not in refused], "problems": problems})


def _untaken(desk: Desk, storm: str) -> list[str]:
    for found in desk.storms:
        if found.id == storm:
            return [alert.id for alert in found.members if alert.state in (State.PENDING, State.OPEN)]
    raise Problem(404, f"There is no storm {storm}.")


async def shown(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A person's page has painted some alerts."""
    await desk.shown(wire.seen(await read_body(request, MANY_BODY_MAX)), by.display_name)
    return web.Response(status=204)


async def contact(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """The rider's emergency contact, for the person who has the alert; the timeline says who looked it up."""
    wished = await wish(request)
    wire.empty(wished.body)
    id_, now_us = request.match_info["id"], desk.clock.now_us()
    alert = await desk.ask(partial(Reader.alert, alert_id=id_))
    found = desk.registers.contacts.get(alert.helmet)
    # The helmet may have changed hands since: then the contact is somebody else's.
    if found is None or alert.rider is None or alert.rider.name != desk.registers.riders[alert.helmet].name:
        raise Problem(404, "No emergency contact is known for this rider.")
    await desk.change(lambda book: book.contact(id_, by.display_name, now_us, wished.asked))
    return web.json_response({"name": found.name, "phone": found.phone})


async def resolve(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A person closes an alert."""
    wished = await wish(request)
    given = wire.close(wished.body)
    alert, now_us = request.match_info["id"], desk.clock.now_us()
    changes = await desk.change(
        lambda book: book.resolve(
            alert,
            by.display_name,
            given.reason,
            given.note,
            now_us,
            given.dispatched,
            owner=given.owner,
            asked=wished.asked,
        )
    )
    return await after(desk, alert, changes)


async def reopen(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A person takes a closed alert back."""
    wished = await wish(request)
    text = wire.remark(wished.body, needed=False)
    alert, now_us = request.match_info["id"], desk.clock.now_us()
    changes = await desk.change(lambda book: book.reopen(alert, by.display_name, text, now_us, wished.asked))
    return await after(desk, alert, changes)


async def note(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A person writes into an alert's timeline."""
    wished = await wish(request)
    text = wire.remark(wished.body, needed=True)
    alert, now_us = request.match_info["id"], desk.clock.now_us()
    mentions = mentioned(text, await desk.people(Accounts.names))
    changes = await desk.change(
        lambda book: book.note(alert, by.display_name, text, now_us, mentions, wished.asked)
    )
    return await after(desk, alert, changes)


def mentioned(text: str, names: list[str]) -> list[str]:
    """The display names that a note calls with an @; of names that begin alike, the longest."""
    found = []
    for part in text.split("@")[1:]:
        fits = [name for name in names if part.startswith(name)]
        if fits:
            found.append(max(fits, key=len))
    return list(dict.fromkeys(found))


async def drill(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """Raises an alert marked TEST that goes the way of all alerts."""
    wished = await wish(request)
    severity = wire.drill(wished.body)
    unique = secrets.token_hex(8)
    if wished.asked.key:
        unique = blake2b(f"{by.name}\n{wished.asked.key}".encode(), digest_size=8).hexdigest()
    now_us = desk.clock.now_us()
    changes = await desk.change(
        lambda book: book.drill(severity, by.display_name, unique, now_us, wished.asked)
    )
    return await after(desk, f"drill-{unique}", changes)


async def statistics(request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """How alerts were dealt with; without a time the last 30 days."""
    now_us = desk.clock.now_us()
    to_us = wire.moment(request.query, "to_us")
    to_us = now_us + 1 if to_us is None else to_us
    from_us = wire.moment(request.query, "from_us")
    from_us = max(0, to_us - MONTH_US) if from_us is None else from_us
    found = await desk.search(partial(Reader.statistics, from_us=from_us, to_us=to_us, now_us=now_us))
    return web.json_response({"from_us": from_us, "to_us": to_us} | found)


async def after(desk: Desk, alert_id: str, changes: list[Change]) -> web.Response:
    """The alert after what was asked for, also where that had been done before."""
    alert: Alert = (
        changes[-1].alert if changes else (await desk.ask(partial(Reader.alert, alert_id=alert_id)))
    )
    return web.json_response(asdict(alert))
