"""Helmets under observation over HTTP: beginning it, ending it, what workers ask, and the samples that come of it."""

import asyncio
import csv
import io
import json
import math
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from web import wire
from web.access import DESK
from web.accounts import Person
from web.auditing import write_down
from web.observations import HOURS_MAX, ObservationError, Observations, TooManyError
from web.problems import PERSON_BODY_MAX, Problem, read_body
from web.state import Desk

SAMPLES_MAX = 60_000
"""Most samples in one answer: ten minutes at 100 Hz."""
SPAN_US = 600_000_000

COLUMNS = ("t_us", "boot", "seq", "x_g", "y_g", "z_g", "x_rad_s", "y_rad_s", "z_rad_s")

ReadSamples = Callable[[str, int, int, int], Iterable[tuple[Any, ...]]]
"""Helmet, start_us, end_us and limit to rows of `COLUMNS`; raises `SamplesError`."""


class SamplesError(Exception):
    """The telemetry store cannot be read now; the message says why."""


class NotHereError(SamplesError):
    """There is no telemetry store that this desk could read."""


class _Kept:
    """What an application keeps for these addresses: the table, opened when it starts, and the way to samples."""

    observations: Observations

    def __init__(self, read: ReadSamples) -> None:
        self.read = read


@dataclass(frozen=True, slots=True)
class Watch:
    """What a person sends to put a helmet under observation."""

    for_s: int = 7200


_KEPT = web.AppKey("observing", _Kept)
_WATCH = TypeAdapter(Watch)


def nowhere(*_: object) -> Iterable[tuple[Any, ...]]:
    """Stands in where nobody said how samples are read."""
    raise NotHereError("This desk does not know where the telemetry store is.")


def install(app: web.Application, read: ReadSamples) -> None:
    """Gives an application its observations, while it runs, and its way to the samples."""
    app[_KEPT] = _Kept(read)
    app.cleanup_ctx.append(_running)


async def _running(app: web.Application) -> AsyncIterator[None]:
    desk = app[DESK]
    app[_KEPT].observations = Observations(Path(desk.config.alerts.path))
    await _refresh(app, desk)
    yield
    app[_KEPT].observations.close()


async def _refresh(app: web.Application, desk: Desk) -> dict[str, int]:
    """Reads what is observed now; the pages hear of it where it has changed."""
    now_us = desk.clock.now_us()
    entries = await asyncio.to_thread(app[_KEPT].observations.current, now_us)
    observed = {entry.helmet: entry.until_us for entry in entries}
    if observed != desk.fleet.observed:
        desk.fleet.observed = observed
        desk.hub.fleet([], partial(desk.fleet.view, now_us))
    return observed


async def tell(request: web.Request, desk: Desk) -> web.Response:
    """Tells a worker whose samples to keep; it asks after each report."""
    return web.json_response({"observed": await _refresh(request.app, desk)})


async def begin(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A person puts a helmet under observation, or changes until when it is."""
    body = await read_body(request, PERSON_BODY_MAX)
    try:
        for_s = _WATCH.validate_json(body).for_s
    except ValidationError:
        for_s = 0
    if not 60 <= for_s <= HOURS_MAX * 3600:
        raise Problem(400, f"for_s: must be a whole number of seconds from 60 to {HOURS_MAX * 3600}.")
    helmet, now_us = request.match_info["id"], desk.clock.now_us()
    observations = request.app[_KEPT].observations
    try:
        await asyncio.to_thread(
            observations.begin, helmet, now_us + for_s * 1_000_000, by.display_name, now_us
        )
    except ObservationError as error:
        raise Problem(409 if isinstance(error, TooManyError) else 400, str(error)) from None
    await _refresh(request.app, desk)
    return await _answer(request, desk)


async def end(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A person ends an observation; 204 as well where there is none."""
    now_us = desk.clock.now_us()
    await asyncio.to_thread(
        request.app[_KEPT].observations.end, request.match_info["id"], by.display_name, now_us
    )
    await _refresh(request.app, desk)
    return web.Response(status=204)


async def show(request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """Until when a helmet is observed, and who said what about it when."""
    return await _answer(request, desk)


async def _answer(request: web.Request, desk: Desk) -> web.Response:
    helmet = request.match_info["id"]
    trail = await asyncio.to_thread(request.app[_KEPT].observations.trail, helmet)
    now_us = desk.clock.now_us()
    until_us = trail[0].until_us if trail and trail[0].until_us > now_us else None
    return web.json_response(
        {"helmet": helmet, "observed_until_us": until_us, "trail": [asdict(entry) for entry in trail]}
    )


async def samples(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """The raw samples of a helmet, of the last ten minutes unless a time is given."""
    query, helmet = request.query, request.match_info["id"]
    kind = query.get("format", "json")
    if kind not in ("json", "csv"):
        raise Problem(400, "format: must be json or csv.")
    to_us = wire.moment(query, "to_us")
    to_us = desk.clock.now_us() + 1 if to_us is None else to_us
    from_us = wire.moment(query, "from_us")
    from_us = max(0, to_us - SPAN_US) if from_us is None else from_us
    try:
        read = partial(request.app[_KEPT].read, helmet, from_us, to_us, SAMPLES_MAX + 1)
        rows = await asyncio.to_thread(lambda: [_plain(row) for row in read()])
    except SamplesError as error:
        raise Problem(404 if isinstance(error, NotHereError) else 503, str(error)) from None
    if len(rows) > SAMPLES_MAX:
        raise Problem(400, f"There are more than {SAMPLES_MAX} samples in this time; ask for a shorter one.")
    # Raw samples show how a person moves: who looked at them is written down.
    asked = {"helmet": helmet, "from_us": str(from_us), "to_us": str(to_us), "format": kind}
    await write_down(request, desk, by, "samples", asked, len(rows))
    # Tens of thousands of rows take tenths of a second to write out: not in the loop that tells of alerts.
    if kind == "csv":
        return await asyncio.to_thread(_csv, f"{helmet}-{from_us}.csv", rows)
    found = {"helmet": helmet, "from_us": from_us, "to_us": to_us, "columns": COLUMNS, "rows": rows}
    return web.json_response(text=await asyncio.to_thread(json.dumps, found))


def _plain(row: tuple[Any, ...]) -> list[Any]:
    """What is unknown is null."""
    return [None if isinstance(x, float) and not math.isfinite(x) else x for x in row]


def _csv(name: str, rows: list[list[Any]]) -> web.Response:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    return web.Response(
        text=text.getvalue(),
        content_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{safe}"'},
    )
