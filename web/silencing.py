"""Silences over HTTP: what one would cover, beginning and ending it."""

import secrets
from dataclasses import asdict
from typing import Any

from aiohttp import web

from alerts.reader import Reader
from alerts.silences import NEVER, Scope, Silence, silenceable
from web import wire
from web.accounts import Person
from web.problems import PERSON_BODY_MAX, Problem, read_body
from web.state import Desk

NAMES_SHOWN = 50
DAY_US = 86_400 * 1_000_000


async def show(_request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """The silences that last, and those that were to last within the past day."""
    found = await desk.silences_since(desk.clock.now_us() - DAY_US)
    return web.json_response({"silences": [_plain(each) for each in found]})


async def preview(request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """What a silence would cover now, and what it would never."""
    scope = wire.scope(await read_body(request, PERSON_BODY_MAX))
    names = _covered(desk, scope)
    live = [alert for alert in await desk.ask(Reader.live) if scope.covers(alert.helmet, alert.rider)]
    return web.json_response(
        {
            "helmets": len(names),
            "names": names[:NAMES_SHOWN],
            "alerts_live": len(live),
            "alerts_silenced": sum(map(silenceable, live)),
            "never": NEVER,
        }
    )


async def begin(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A person silences helmets for a time."""
    scope, minutes, reason = wire.hush(await read_body(request, PERSON_BODY_MAX))
    now_us = desk.clock.now_us()
    silence = Silence(
        id=secrets.token_hex(8),
        scope=scope,
        reason=reason,
        by=by.display_name,
        from_us=now_us,
        until_us=now_us + minutes * 60_000_000,
        count=len(_covered(desk, scope)),
    )
    await desk.silence(lambda silences: silences.add(silence))
    return web.json_response(_plain(silence))


async def end(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A person ends a silence before its time."""
    wire.empty(await read_body(request, PERSON_BODY_MAX))
    id_, now_us = request.match_info["id"], desk.clock.now_us()
    ended = await desk.silence(lambda silences: silences.end(id_, by.display_name, now_us))
    if ended is None:
        raise Problem(404, f"There is no silence {id_}.")
    return web.json_response(_plain(ended))


def _covered(desk: Desk, scope: Scope) -> list[str]:
    """Helmets in the scope, of all that have a rider or were heard of."""
    riders = desk.registers.riders
    known = {*riders, *desk.fleet.names, *scope.helmets}
    return sorted(name for name in known if scope.covers(name, riders.get(name)))


def _plain(silence: Silence) -> dict[str, Any]:
    body: dict[str, Any] = asdict(silence)
    scope: dict[str, Any] = body.pop("scope")
    return body | scope
