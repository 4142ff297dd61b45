"""Who may call what, and the headers that keep a browser from being turned against its user."""

import hmac
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from web.accounts import Person, Role
from web.auditing import write_down
from web.problems import Handler, Problem
from web.state import Desk

DESK = web.AppKey("desk", Desk)
COOKIE = "helmetwatch_session"

PersonHandler = Callable[[web.Request, Desk, Person], Awaitable[web.StreamResponse]]
DeskHandler = Callable[[web.Request, Desk], Awaitable[web.StreamResponse]]

_CHANGING = ("POST", "PUT", "PATCH", "DELETE")


def anyone(handler: DeskHandler) -> Handler:
    """Everyone may call."""

    async def call(request: web.Request) -> web.StreamResponse:
        _same_origin(request)
        return await handler(request, request.app[DESK])

    return call


def worker(handler: DeskHandler) -> Handler:
    """Workers may call: whoever has the token."""

    async def call(request: web.Request) -> web.StreamResponse:
        desk = request.app[DESK]
        if not _is_worker(request, desk):
            if await _person(request, desk) is not None:
                raise Problem(403, "This is for workers; a person's session does not open it.")
            raise Problem(401, "This needs the worker's token.", headers={"WWW-Authenticate": "Bearer"})
        return await handler(request, desk)

    return call


def person(handler: PersonHandler) -> Handler:
    """Signed-in people may call."""

    async def call(request: web.Request) -> web.StreamResponse:
        desk = request.app[DESK]
        found = await _person(request, desk)
        if found is None:
            if _is_worker(request, desk):
                raise Problem(403, "This is for people; a worker's token does not open it.")
            raise Problem(401, "Please sign in.")
        _same_origin(request)
        return await handler(request, desk, found)

    return call


def supervisor(handler: PersonHandler) -> Handler:
    """Signed-in supervisors may call; that anybody else tried is written down."""

    async def call(request: web.Request, desk: Desk, by: Person) -> web.StreamResponse:
        if by.role is not Role.SUPERVISOR:
            resource = request.match_info.route.resource
            tried = f"{request.method} {resource.canonical if resource else request.path}"
            await write_down(request, desk, by, "refused", {"tried": tried, **request.match_info}, None)
            raise Problem(403, f"This is for supervisors; {by.display_name} is an operator.")
        return await handler(request, desk, by)

    return person(call)


def headers(tiles_url: str) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """What every answer carries; `tiles_url` is the one foreign place the page may load images from."""
    policy = (
        f"default-src 'self'; img-src 'self' data:{_tiles(tiles_url)}; style-src 'self' 'unsafe-inline'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )

    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers.pop("Server", None)
        page = request.path == "/" or request.path.startswith("/static/")
        response.headers["Cache-Control"] = "no-cache" if page else "no-store"

    return prepare


def _tiles(tiles_url: str) -> str:
    if not tiles_url:
        return ""
    # Some tile servers are a family of hosts, written {s}.example.org.
    parts = urlsplit(tiles_url.replace("{s}", "*"))
    return f" {parts.scheme}://{parts.netloc}"


def _is_worker(request: web.Request, desk: Desk) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    right = hmac.compare_digest(token.strip().encode(errors="replace"), desk.token.encode())
    return scheme.lower() == "bearer" and right


async def _person(request: web.Request, desk: Desk) -> Person | None:
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    now_us = desk.clock.now_us()
    return await desk.people(lambda accounts: accounts.person(token, now_us))


def _same_origin(request: web.Request) -> None:
    """A browser says where a changing request comes from; other pages may not make any."""
    if request.method not in _CHANGING:
        return
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise Problem(
            403, "This request comes from another page. A proxy in front must pass the Host header on."
        )
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise Problem(403, "This request comes from another page.")
