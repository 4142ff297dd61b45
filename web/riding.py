"""Riding times over HTTP: what workers tell of it is kept off the loop, and people ask for wear rates and duty."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
from aiohttp import web

from alerts import duty
from alerts.riding import OnDuty, Ridden, RidingBook, RidingError, beside
from core import metrics
from core.model import RidingLog
from web import wire
from web.access import DESK
from web.accounts import Person
from web.auditing import write_down
from web.export import lines
from web.problems import Problem
from web.state import Desk

T = TypeVar("T")

PAGE_MAX = 5000
DUTY_MAX = 1000
CSV_COLUMNS = ("day", "helmet", "rider", "city", "station", "worn_s", "not_worn_s", "unknown_s")
_BATCH = 500
"""Logs in one transaction: some hundredths of a second, in a thread of its own."""
_PRUNE_US = 3600 * 1_000_000
_LOOK_S = 5.0
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

_log = structlog.get_logger("desk")


class Keeping:
    """The book of riding times and the thread it lives in."""

    def __init__(self, desk: Desk) -> None:
        self._days = desk.config.alerts.riding_days
        self._book = RidingBook(beside(Path(desk.config.alerts.path)), desk.policy.zone)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="desk-riding")
        self._pruned_us = 0

    async def do(self, work: Callable[[RidingBook], T]) -> T:
        """Does something with the book. Raises `RidingError`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._book))

    async def keep(self, logs: Sequence[RidingLog], now_us: int) -> int:
        """Takes logs; how many the worker need not send again."""
        if not self._days:
            return len(logs)
        refused = 0
        try:
            for start in range(0, len(logs), _BATCH):
                part = logs[start : start + _BATCH]
                refused += await self.do(partial(RidingBook.take, logs=part, now_us=now_us))
        except RidingError as error:
            # It comes again with the next report: what was kept of it counts once.
            metrics.RIDING_LOGS.labels("failed").inc(len(logs))
            _log.warning("riding.not_kept", reason=str(error))
            return 0
        metrics.RIDING_LOGS.labels("kept").inc(len(logs) - refused)
        metrics.RIDING_LOGS.labels("refused").inc(refused)
        return len(logs)

    async def prune(self, now_us: int) -> None:
        """Once an hour forgets what has been kept for long enough."""
        if abs(now_us - self._pruned_us) < _PRUNE_US:
            return
        try:
            await self.do(partial(RidingBook.prune, now_us=now_us, keep_days=self._days))
        except RidingError as error:
            _log.warning("riding.not_pruned", reason=str(error))
            return
        self._pruned_us = now_us

    def close(self) -> None:
        """Finishes what was begun and closes the file."""
        self._thread.submit(self._book.close)
        self._thread.shutdown()


_KEEPING = web.AppKey("riding", Keeping)


def install(app: web.Application) -> None:
    """Gives an application its book of riding times, while it runs."""
    app.cleanup_ctx.append(_running)


async def _running(app: web.Application) -> AsyncIterator[None]:
    desk = app[DESK]
    keeping = app[_KEEPING] = Keeping(desk)

    async def prune() -> None:
        while True:
            await keeping.prune(desk.clock.now_us())
            await asyncio.sleep(_LOOK_S)

    pruning = asyncio.create_task(prune())
    yield
    pruning.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await pruning
    keeping.close()


async def keep(request: web.Request, desk: Desk, logs: Sequence[RidingLog]) -> int:
    """Keeps what a worker's report tells of riding; how many logs it need not send again."""
    return await request.app[_KEEPING].keep(logs, desk.clock.now_us())


async def _ask(request: web.Request, question: Callable[[RidingBook], T]) -> T:
    try:
        return await request.app[_KEEPING].do(question)
    except RidingError:
        raise Problem(503, "The riding times cannot be read now.") from None


async def show(request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """How long each helmet was ridden on a day, worn and not, and all of them together."""
    query, now_us = request.query, desk.clock.now_us()
    limit = wire.count(query.get("limit", "1000"), "limit", 1, PAGE_MAX)
    after = query.get("after", "")
    if len(after) > 24 or "\0" in after:
        raise Problem(400, "after: must be a helmet's id.")
    day = _day(query, "day", "")

    def question(book: RidingBook) -> dict[str, Any]:
        wanted = day or book.day(now_us)
        helmets = book.ridden(wanted, after, limit + 1)
        more = helmets[limit - 1].helmet if len(helmets) > limit else None
        return {
            "now_us": now_us,
            "day": wanted,
            "total": asdict(book.total(wanted)),
            "helmets": [asdict(each) for each in helmets[:limit]],
            "next": more,
        }

    return web.json_response(await _ask(request, question))


async def show_duty(request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """Who has ridden for how long without a real rest, the longest first."""
    query, now_us = request.query, desk.clock.now_us()
    limit = wire.count(query.get("limit", "200"), "limit", 1, DUTY_MAX)
    after = wire.count(query.get("after", "0"), "after", 0, 2**31)
    found, (near, over) = await _ask(
        request, lambda book: (book.duty(now_us, after, limit + 1), book.overdue(now_us))
    )
    return web.json_response(
        {
            "now_us": now_us,
            "warn_s": duty.WARN_S,
            "limit_s": duty.LIMIT_S,
            "rest_s": duty.REST_S,
            "warned": near,
            "over": over,
            "riders": [_on_duty(desk, each) for each in found[:limit]],
            "next": after + limit if len(found) > limit else None,
        }
    )


async def show_helmet(request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """The last fourteen days of one helmet, and its duty."""
    helmet, now_us = request.match_info["id"], desk.clock.now_us()
    days, on_duty = await _ask(request, lambda book: book.helmet(helmet, now_us))
    return web.json_response(
        {
            "helmet": helmet,
            "days": [{"day": day} | asdict(ridden) for day, ridden in days],
            "duty": None if on_duty is None else _on_duty(desk, on_duty),
        }
    )


async def export(request: web.Request, desk: Desk, by: Person) -> web.StreamResponse:
    """The riding times of some days as a table, streamed. Who takes it is written down first."""
    query, now_us = request.query, desk.clock.now_us()
    today = await _ask(request, lambda book: book.day(now_us))
    first = _day(query, "from", today)
    last = _day(query, "to", today)
    days = await _ask(request, lambda book: book.days(first, last))
    await write_down(request, desk, by, "riding", {"from": first, "to": last, "format": "csv"}, None)
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="riding-{first}-{last}.csv"',
        }
    )
    await response.prepare(request)
    # With a byte order mark: without one, Excel takes Chinese for something else.
    await response.write("\ufeff".encode() + lines([CSV_COLUMNS]))
    for day in days:
        after = ""
        while rows := await _ask(request, partial(RidingBook.ridden, day=day, after=after, limit=_BATCH)):
            await response.write(lines([_cells(desk, day, row) for row in rows]))
            after = rows[-1].helmet
    await response.write_eof()
    return response


def _cells(desk: Desk, day: str, row: Ridden) -> list[object]:
    rider = desk.registers.riders.get(row.helmet)
    who = ("", "", "") if rider is None else (rider.name, rider.city, rider.station)
    return [day, row.helmet, *who, row.worn_s, row.not_worn_s, row.unknown_s]


def _on_duty(desk: Desk, each: OnDuty) -> dict[str, Any]:
    rider = desk.registers.riders.get(each.helmet)
    return asdict(each) | {"rider": None if rider is None else rider.name}


def _day(query: Any, name: str, default: str) -> str:
    text = str(query.get(name, default))
    if text and not _DAY.fullmatch(text):
        raise Problem(400, f"{name}: must be a day as YYYY-MM-DD.")
    return text
