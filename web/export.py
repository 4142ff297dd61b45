"""The history as a table for people's spreadsheets, written page by page so that no book is too large."""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

from aiohttp import web

from alerts.model import Alert
from alerts.reader import Reader
from web import wire
from web.accounts import Person
from web.auditing import write_down
from web.state import Desk

PAGE = 250

COLUMNS = (
    "id", "test", "state", "kind", "severity", "helmet", "rider", "city", "station",
    "occurred_utc", "alerted_utc", "opened_utc", "acknowledged_utc", "resolved_utc", "cancelled_utc",
    "seconds_to_acknowledge", "owner", "resolution", "dispatched", "note",
    "lat_deg", "lon_deg", "late", "signal_lost", "reason_zh", "reason_en",
)  # fmt: skip


async def history(request: web.Request, desk: Desk, by: Person) -> web.StreamResponse:
    """Every alert that fits the filters, newest first; no telephone numbers. Who takes it is written down first."""
    wanted = wire.wanted(request.query)
    rows = await desk.search(partial(Reader.count, wanted=wanted))
    await write_down(request, desk, by, "history", dict(request.query) | {"format": "csv"}, rows)
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": 'attachment; filename="alerts.csv"',
        }
    )
    alerts, before = await desk.search(partial(Reader.alerts, wanted=wanted, limit=PAGE, before=None))
    await response.prepare(request)
    # With a byte order mark: without one, Excel takes Chinese for something else.
    await response.write("\ufeff".encode() + lines([COLUMNS]) + lines(map(_cells, alerts)))
    while before is not None:
        alerts, before = await desk.search(partial(Reader.alerts, wanted=wanted, limit=PAGE, before=before))
        await response.write(lines(map(_cells, alerts)))
    await response.write_eof()
    return response


def _cells(alert: Alert) -> Iterable[object]:
    rider, position, end = alert.rider, alert.position, alert.resolution
    taken_s = None
    if alert.acknowledged_us is not None and alert.opened_us is not None:
        taken_s = round(max(0, alert.acknowledged_us - alert.opened_us) / 1e6, 1)
    moments = (
        alert.occurred_us,
        alert.alerted_us,
        alert.opened_us,
        alert.acknowledged_us,
        alert.resolved_us,
        alert.cancelled_us,
    )
    return [
        alert.id,
        alert.test,
        alert.state,
        alert.kind,
        alert.severity,
        alert.helmet,
        rider.name if rider else "",
        rider.city if rider else "",
        rider.station if rider else "",
        *map(_moment, moments),
        taken_s,
        alert.owner,
        end.reason if end else "",
        {None: "", True: "yes", False: "no"}[end.dispatched if end else None],
        end.note if end else "",
        position.lat_deg if position else "",
        position.lon_deg if position else "",
        alert.late,
        alert.signal_lost,
        alert.reason_zh,
        alert.reason_en,
    ]


def _moment(at_us: int | None) -> str:
    """ISO 8601 in UTC, as spreadsheets understand it."""
    return "" if at_us is None else datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")


def lines(rows: Iterable[Iterable[object]]) -> bytes:
    """Rows as CSV, harmless to spreadsheets."""
    out = io.StringIO()
    writer = csv.writer(out)
    for row in rows:
        writer.writerow([_harmless(cell) for cell in row])
    return out.getvalue().encode()


def _harmless(cell: object) -> object:
    """A text that a spreadsheet would run as a formula gets an apostrophe before it (OWASP, CSV injection)."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{cell}"
    return cell
