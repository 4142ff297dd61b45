"""Nearby help: who could go, who was asked, who goes."""

import math
from dataclasses import asdict
from functools import partial
from typing import Any

from aiohttp import web

from alerts.messages import Heard, Messages, message_id
from alerts.model import Alert, Change, Entry
from alerts.nearby import Helper, direction, distance_m, nearby
from alerts.reader import Reader
from core.model import Position
from web import wire
from web.accounts import Person
from web.asking import wish
from web.incidents import after
from web.problems import Problem
from web.state import Desk

AGE_MAX_S = 900.0
"""A rider who was heard of longer ago is somewhere else by now."""


async def show(request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """Who is near an alert, nearest first, and what was written down about each."""
    found = await desk.ask(partial(Reader.detail, alert_id=request.match_info["id"]))
    position = _position(desk, found.alert)
    if position is None:
        return web.json_response({"position": None, "helpers": []})
    said, asked = _said(found.timeline), _asked(found.timeline)
    near = nearby(position.lat_deg, position.lon_deg, [*_riders(desk, found.alert), *desk.registers.places])
    now_us = desk.clock.now_us()
    ids = {helper: message_id(seq) for helper, seq in asked.items()}
    stands = await desk.messages(partial(Messages.stands, ids=ids.values(), now_us=now_us))
    helpers = [
        asdict(each.helper)
        | {"distance_m": each.distance_m}
        | said.get(each.helper.id, {"status": None, "status_us": None})
        | {"prompt": stands.get(ids.get(each.helper.id, ""))}
        for each in near
    ]
    return web.json_response({"position": asdict(position), "helpers": helpers})


async def record(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """Writes down that somebody was asked, goes, has arrived or cannot; a rider who is asked is told so."""
    wished = await wish(request)
    given = wire.help_(wished.body)
    kind, name = _who(desk, given.helper)
    id_, now_us = request.match_info["id"], desk.clock.now_us()
    detail = {"helper": given.helper, "kind": kind, "name": name, "status": given.status, "note": given.note}
    heard = None
    if kind == "rider" and given.status == "asked":
        helmet = given.helper.removeprefix("rider:")
        alert = await desk.ask(partial(Reader.alert, alert_id=id_))
        heard = Heard(helmet, _request(desk, alert, helmet))
    changes = await desk.change(
        lambda book: book.help(id_, by.display_name, detail, now_us, heard, wished.asked)
    )
    return await after(desk, id_, changes)


def _request(desk: Desk, alert: Alert, helmet: str) -> str:
    """What the helmet reads to the rider who is asked; the person who may be hurt is not named."""
    place, asked = _position(desk, alert), desk.fleet.helmet(helmet)
    test = "演练 TEST。" if alert.test else ""
    zh, en = "附近", "nearby"
    if place is not None and asked is not None and asked.lat_deg is not None and asked.lon_deg is not None:
        here = (asked.lat_deg, asked.lon_deg)
        there = (place.lat_deg, place.lon_deg)
        wind_zh, wind_en = direction(here, there)
        metres = round(distance_m(here, there), -2)
        zh = f"您{wind_zh}面约 {metres:.0f} 米处"
        en = f"about {metres:.0f} m to the {wind_en} of you"
    return (
        f"{test}{zh}有骑手可能摔倒，需要帮助。请先安全停车，再联系报警台。"
        f"A rider {en} may have fallen and needs help. Stop safely, then call the desk."
    )


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
    for name, rider in desk.registers.riders.items():
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
        if change.type is Entry.HELP and "helper" in change.detail
    }


def _asked(timeline: list[Change]) -> dict[str, int]:
    """The line at which each helper was last asked."""
    lines = [line for line in timeline if line.type is Entry.HELP and line.detail.get("status") == "asked"]
    return {line.detail.get("helper", ""): line.seq for line in lines}


def _who(desk: Desk, helper: str) -> tuple[str, str]:
    """Kind and name of a helper. Raises `Problem` 404."""
    kind, _, name = helper.partition(":")
    rider = desk.registers.riders.get(name)
    if kind == "rider" and rider is not None and rider.first_aid:
        return kind, rider.name
    for place in desk.registers.places:
        if place.id == helper:
            return place.kind, place.name
    raise Problem(404, "There is no helper with this id.")
