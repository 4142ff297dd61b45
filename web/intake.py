"""What workers deliver: detections, what riders say, reports."""

from dataclasses import asdict
from functools import partial

from aiohttp import web

from alerts.book import BATCH, Book
from alerts.messages import Message, Messages
from core import metrics
from web import riding, worker_wire
from web.problems import read_body
from web.state import Desk

WORKER_BODY_MAX = 32 * 2**20
"""A first report may hold a hundred thousand helmets, a batch of detections some traces."""


async def take_detections(request: web.Request, desk: Desk) -> web.Response:
    """Takes detections; the answer comes after the commit."""
    found = worker_wire.detections(await read_body(request, WORKER_BODY_MAX))
    now_us = desk.clock.now_us()
    for start in range(0, len(found), BATCH):
        part = found[start : start + BATCH]
        await desk.change(partial(Book.take, detections=part, now_us=now_us))
    metrics.TAKEN.labels("detection").inc(len(found))
    return web.json_response({"taken": len(found)})


async def take_events(request: web.Request, desk: Desk) -> web.Response:
    """Takes what riders say; the answer comes after the commit."""
    body = await read_body(request, WORKER_BODY_MAX)
    found = worker_wire.events(body, desk.config.ingest.future_s)
    now_us = desk.clock.now_us()
    for start in range(0, len(found), BATCH):
        part = found[start : start + BATCH]
        await desk.change(partial(Book.take_events, events=part, now_us=now_us))
    metrics.TAKEN.labels("event").inc(len(found))
    return web.json_response({"taken": len(found)})


async def take_report(request: web.Request, desk: Desk) -> web.Response:
    """Takes a worker's report, tells the pages what changed, and the worker which helmets are to be told what.

    The answer comes after what it says of riding is kept.
    """
    report = worker_wire.report(await read_body(request, WORKER_BODY_MAX))
    now_us = desk.clock.now_us()
    changed = desk.fleet.take(report, now_us, desk.silenced)
    desk.hub.fleet(changed, partial(desk.fleet.view, now_us))

    def struck_off(messages: Messages) -> list[Message]:
        messages.sent(report.prompted, now_us)
        return messages.waiting(now_us)

    prompts = [
        asdict(each)
        for each in await desk.messages(struck_off)
        if desk.fleet.worker_of(each.helmet) in (None, report.worker)
    ]
    kept = await riding.keep(request, desk, report.riding)
    return web.json_response({"prompts": prompts, "riding": kept})
