"""Incident packs: made, and checked whether they are genuine."""

import asyncio
import json
from functools import partial

from aiohttp import web

from alerts.reader import Detail, Reader
from web.accounts import Person
from web.auditing import write_down
from web.problems import Problem, read_body
from web.state import Desk

PACK_MAX = 32 * 2**20


async def make(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """Everything about one alert as one signed file: JSON, or PDF where the address asks for it.

    Who makes it is written down first.
    """
    form = request.query.get("format", "json")
    if form not in ("json", "pdf"):
        raise Problem(400, "format: must be json or pdf.")
    alert = request.match_info["id"]
    found = await desk.ask(partial(Reader.detail, alert_id=alert))
    await write_down(request, desk, by, "pack", {"alert": alert, "format": form}, 1)
    work = partial(_file, found, by.display_name, desk.clock.now_us(), desk.pack_key, form)
    body = await asyncio.get_running_loop().run_in_executor(desk.paper, work)
    return web.Response(
        body=body,
        content_type="application/pdf" if form == "pdf" else "application/json",
        headers={"Content-Disposition": f'attachment; filename="incident-{alert.replace(":", "-")}.{form}"'},
    )


async def verify(request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """Whether a pack comes from this desk, unchanged."""
    body = await read_body(request, PACK_MAX)
    return web.json_response(
        {
            "genuine": await asyncio.get_running_loop().run_in_executor(
                desk.paper, _genuine, body, desk.pack_key
            )
        }
    )


def _file(found: Detail, person: str, now_us: int, key: str, form: str) -> bytes:
    from alerts import pack  # matplotlib takes a second to load: not at the start of every desk

    made = pack.make(found, person, now_us, key)
    return pack.pdf(made) if form == "pdf" else json.dumps(made, ensure_ascii=False, indent=1).encode()


def _genuine(body: bytes, key: str) -> bool:
    from alerts import pack

    try:
        return pack.genuine(json.loads(body), key)
    except (ValueError, RecursionError):
        return False
