"""The audit over HTTP: writing down before anything is given out, and reading it."""

import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial

from aiohttp import web

from web import wire
from web.accounts import Person
from web.audit import Audit
from web.peer import address
from web.problems import Problem
from web.state import Desk

LINES_MAX = 1000
TEXT_MAX = 100
"""Characters of what somebody asked for that are kept."""


async def write_down(
    request: web.Request,
    desk: Desk,
    by: Person,
    what: str,
    detail: Mapping[str, str],
    rows: int | None,
    *,
    needed: bool = True,
) -> None:
    """Writes down who takes what out, or was refused.

    Raises `Problem` 503 where that cannot be done and is `needed`.
    """
    short = {name: text[:TEXT_MAX] for name, text in detail.items() if text}
    line = (desk.clock.now_us(), by.display_name, address(request)[:TEXT_MAX], what, short, rows)
    try:
        await desk.audit(lambda audit: audit.add(*line))
    except sqlite3.Error:
        if needed:
            raise Problem(503, "This cannot be written down now, so it is not done.") from None


async def show(request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """Who took what out, and who was refused what, newest first."""
    limit = wire.count(request.query.get("limit", "100"), "limit", 1, LINES_MAX)
    before = wire.moment(request.query, "before")
    lines = await desk.audit(partial(Audit.newest, limit=limit, before=before))
    return web.json_response(
        {
            "audit": [asdict(line) for line in lines],
            "next": str(lines[-1].seq) if len(lines) == limit else None,
        }
    )
