"""Incident packs: made, and checked whether they are genuine."""

import asyncio
import json
from functools import partial

from aiohttp import web

from alerts.reader import Detail, Reader
from alerts.signing import Signer
from web.accounts import Person
from web.auditing import write_down
from web.problems import Problem, read_body
from web.state import Desk

PACK_MAX = 32 * 2**20
TYPES = {"json": "application/json", "pdf": "application/pdf", "zip": "application/zip"}


async def make(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """Everything about one alert as one file: a signed archive, or what is in it as JSON or PDF.

    Who makes it is written down first.
    """
    form = request.query.get("format", "json")
    if form not in TYPES:
        raise Problem(400, f"format: must be one of {', '.join(TYPES)}.")
    alert = request.match_info["id"]
    found = await desk.ask(partial(Reader.detail, alert_id=alert))
    await write_down(request, desk, by, "pack", {"alert": alert, "format": form}, 1)
    work = partial(_file, found, by.display_name, desk.clock.now_us(), desk.signer, form)
    body = await asyncio.get_running_loop().run_in_executor(desk.paper, work)
    return web.Response(
        body=body,
        content_type=TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="incident-{alert.replace(":", "-")}.{form}"'},
    )


async def verify(request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """Whether a pack comes from this desk, unchanged."""
    body = await read_body(request, PACK_MAX)
    return web.json_response(
        {"genuine": await asyncio.get_running_loop().run_in_executor(desk.paper, _genuine, body, desk.signer)}
    )


async def key(_request: web.Request, desk: Desk) -> web.Response:
    """The public key that packs are signed with, for whoever wants to verify one."""
    return web.Response(text=desk.signer.public_pem, content_type="text/plain")


def _file(found: Detail, person: str, now_us: int, signer: Signer, form: str) -> bytes:
    from alerts import pack, paper  # matplotlib takes a second to load: not at the start of every desk

    made = pack.make(found, person, now_us, signer)
    if form == "zip":
        return pack.archive(made, signer)
    return paper.pdf(made) if form == "pdf" else pack.plain(made)


def _genuine(body: bytes, signer: Signer) -> bool:
    from alerts import pack

    try:
        return pack.genuine(json.loads(body), signer)
    except (ValueError, RecursionError):
        return False
