"""Nearby help: who could go, who was asked, who goes."""

import math
from dataclasses import asdict
from functools import partial
from typing import Any

from aiohttp import web

from alerts.model import Alert, Change, Entry
from alerts.nearby import Helper, nearby
from alerts.reader import Reader
from core.model import Position
from web import wire
from web.accounts import Person
from web.problems import PERSON_BODY_MAX, Problem, read_body
from web.state import Desk

AGE_MAX_S = 900.0
"""A rider who was heard of longer ago is somewhere else by now."""


async def show(request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """Who is near an alert, nearest first, and what was written down about each."""
    found = await desk.ask(partial(Reader.detail, alert_id=request.match_info["id"]))
    position = _position(desk, found.alert)
    if position is None:
        return web.json_response({"position": None, "helpers": []})
    said = _said(found.timeline)
    near = nearby(position.lat_deg, position.lon_deg, [*_riders(desk, found.alert), *desk.places])
    helpers = [
        asdict(each.helper)
        | {"distance_m": each.distance_m}
        | said.get(each.helper.id, {"status": None, "status_us": None})
        for each in near
    ]
    return web.json_response({"position": asdict(position), "helpers": helpers})


async def record(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """Writes down that somebody was asked, goes, has arrived or cannot."""
    given = wire.help_(await read_body(request, PERSON_BODY_MAX))
    kind, name = _who(desk, given.helper)
    alert, now_us = request.match_info["id"], desk.clock.now_us()
    detail = {"helper": given.helper, "kind": kind, "name": name, "status": given.status, "note": given.note}
    changes = await desk.change(lambda book: book.help(alert, by.display_name, detail, now_us))
    return web.json_response(asdict(changes[-1].alert))


def _position(desk: Desk, alert: Alert) -> Position | None:
    if alert.position is not None:
        return alert.position
    helmet = desk.fleet.helmet(alert.helmet)
    if helmet is None or helmet.lat_deg is None or helmet.lon_deg is None:
        return None
    age_s = max(0, desk.clock.now_us() - helmet.received_us) / 1e6
    return Position(helmet.lat_deg, helmet.lon_deg, helmet.accuracy_m, age_s)


def _riders(desk: Desk, alert: Alert) -> list[Helper]:
    now_us, helpers = desk.clock.now_us(), []
    for name, rider in desk.riders.items():
        helmet = desk.fleet.helmet(name) if rider.first_aid and name != alert.helmet else None
        if helmet is None or helmet.lat_deg is None or helmet.lon_deg is None:
            continue
        age_s = max(0, now_us - helmet.received_us) / 1e6
        if age_s <= AGE_MAX_S and math.isfinite(helmet.lat_deg) and math.isfinite(helmet.lon_deg):
            place = (helmet.lat_deg, helmet.lon_deg, age_s)
            helpers.append(Helper(f"rider:{name}", "rider", rider.name, rider.phone, name, *place))
    return helpers


def _said(timeline: list[Change]) -> dict[str, dict[str, Any]]:
    return {
        change.detail["helper"]: {"status": change.detail["status"], "status_us": change.at_us}
        for change in timeline
        if change.type is Entry.HELP
    }


def _who(desk: Desk, helper: str) -> tuple[str, str]:
    """Kind and name of a helper. Raises `Problem` 404."""
    kind, _, name = helper.partition(":")
    rider = desk.riders.get(name)
    if kind == "rider" and rider is not None and rider.first_aid:
        return kind, rider.name
    for place in desk.places:
        if place.id == helper:
            return place.kind, place.name
    raise Problem(404, "There is no helper with this id.")
