"""Who is told when, how the channels fare, and a test of one."""

import secrets
from dataclasses import asdict

from aiohttp import web

from alerts.notices import test_notice
from web import wire
from web.accounts import Person
from web.problems import PERSON_BODY_MAX, Problem, read_body
from web.state import Desk

TEST_WAIT_S = 8.0
TOLD_MAX = 100
"""What an address has room for."""


async def show_escalation(_request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """Who is told when, by severity, with the people on duty now."""
    now_us, policy = desk.clock.now_us(), desk.policy
    tiers = {
        str(severity): [
            {
                "after_s": tier.after_s,
                "channels": tier.channels,
                "people": [contact.name for _, contact in policy.contacts(tier, now_us)],
            }
            for tier in policy.tiers[severity]
        ]
        for severity in sorted(policy.tiers)
    }
    return web.json_response({"tiers": tiers, "repeat_s": policy.repeat_s, "untouched_s": policy.untouched_s})


async def show_channels(_request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """How the channels fare."""
    return web.json_response({"channels": await desk.channels()})


async def show_told(request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """How the messages about some alerts fare, in numbers; the alert itself has each of them."""
    ids = list(dict.fromkeys(filter(None, request.query.get("alerts", "").split(","))))
    if not 1 <= len(ids) <= TOLD_MAX or any(len(id_) > 64 for id_ in ids):
        raise Problem(400, f"alerts: must be 1 to {TOLD_MAX} ids with commas between.")
    return web.json_response({"told": await desk.told(ids)})


async def test_channel(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """Sends a message marked TEST, and says what came of the first try."""
    wire.empty(await read_body(request, PERSON_BODY_MAX))
    name = request.match_info["name"]
    if name not in desk.dispatcher.channels:
        raise Problem(404, f"There is no channel {name}.")
    notice = test_notice(name, by.display_name, desk.clock.now_us(), secrets.token_hex(8))
    return web.json_response(asdict(await desk.dispatcher.tried(notice, TEST_WAIT_S)))
