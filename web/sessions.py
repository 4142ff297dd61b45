"""Signing in and out."""

import math
from functools import partial

from aiohttp import web

from web import wire
from web.access import COOKIE
from web.accounts import Accounts, Person, Role, normal
from web.peer import address, over_https
from web.problems import PERSON_BODY_MAX, Problem, read_body
from web.state import Desk


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
    if not await desk.verify(account[3] if account else None, given.password) or account is None:
        raise Problem(401, "The name or the password is wrong.")
    desk.throttle.succeeded(name, peer)
    expires_us = now_us + round(desk.config.web.session_h * 3600e6)
    token = await desk.people(lambda accounts: accounts.open_session(account[0], expires_us, now_us))
    response = web.json_response(_session(desk, *account[:3]))
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
    return web.json_response(_session(desk, by.name, by.display_name, by.role))


async def sign_out(_request: web.Request, desk: Desk, by: Person) -> web.Response:
    """Ends the session and its feeds."""
    await desk.people(partial(Accounts.close_session, key=by.session))
    desk.hub.end_session(by.session)
    response = web.Response(status=204)
    response.del_cookie(COOKIE, path="/")
    return response


def _session(desk: Desk, name: str, display_name: str, role: Role) -> dict[str, str]:
    given = desk.config.web
    return {
        "name": name,
        "display_name": display_name,
        "role": role,
        "tiles_url": given.tiles_url,
        "tiles_datum": given.tiles_datum,
        "tiles_attribution": given.tiles_attribution,
    }
