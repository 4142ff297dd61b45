"""The live feed, the page, and what machines ask of the process itself."""

from pathlib import Path
from socket import SO_SNDBUF, SOL_SOCKET

import prometheus_client
from aiohttp import web

from web import openapi
from web.accounts import Person
from web.feed import SEND_BUFFER, Client, follow, last_id
from web.fleet import STALE_S
from web.problems import Problem
from web.state import Desk

STATIC = Path(__file__).parent / "static"


async def feed(request: web.Request, desk: Desk, by: Person) -> web.StreamResponse:
    """The live feed, until somebody ends it."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    )

    def cut() -> None:
        if request.transport is not None:
            request.transport.abort()

    client = Client(by.session, by.expires_us, cut)
    if request.transport is not None:
        request.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER)
    desk.hub.join(client)
    try:
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")
        await follow(client, response.write, desk.ask, desk.beginning, last_id(request), desk.clock.now_us())
    except ConnectionError:
        pass  # The page is gone; it comes back with its last id.
    finally:
        desk.hub.leave(client)
    return response


async def show_fleet(_request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """All workers and helmets."""
    return web.Response(body=desk.fleet.view(desk.clock.now_us()), content_type="application/json")


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
