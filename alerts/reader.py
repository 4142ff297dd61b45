"""The reading side of the alert book: its own connection, so that a long list never delays an alert."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alerts.book import LIVE, NotFoundError
from alerts.database import connect
from alerts.model import Alert, Change, Entry, State, parse
from alerts.outbox import Delivery, ledger


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything the book knows of one alert."""

    alert: Alert
    timeline: list[Change]
    detections: list[dict[str, Any]]
    """Every version, oldest first, as it came, without its trace."""
    trace: dict[str, Any] | None
    """The newest version's that has one."""
    deliveries: list[Delivery]
    """Who was told, by which channel, and how it went."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The alerts that matter now, and the feed id up to which they are true."""

    seq: int
    alerts: list[Alert]


class Reader:
    """Questions to the alert book. Use it from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def alerts(
        self, states: Sequence[State], limit: int, before: int | None
    ) -> tuple[list[Alert], int | None]:
        """A page of alerts, newest first, and the cursor of the next page (None at the end).

        No states means all of them; `before` is the cursor that the page before gave out.
        """
        where, values = ["number < ?"], [before if before is not None else 2**62]
        if states:
            where.append(f"state IN ({', '.join('?' * len(states))})")
        rows = self._db.execute(
            f"SELECT body, seq, number FROM alerts WHERE {' AND '.join(where)} "  # noqa: S608  # constants
            "ORDER BY number DESC LIMIT ?",
            (*values, *states, limit + 1),
        ).fetchall()
        page = rows[:limit]
        return [parse(body, seq) for body, seq, _ in page], page[-1][2] if len(rows) > limit else None

    def alert(self, alert_id: str) -> Alert:
        """The alert as it stands. Raises `NotFoundError`."""
        row = self._db.execute("SELECT body, seq FROM alerts WHERE id = ?", (alert_id,)).fetchone()
        if row is None:
            raise NotFoundError(f"There is no alert {alert_id}.")
        return parse(*row)

    def detail(self, alert_id: str) -> Detail:
        """Everything about one alert. Raises `NotFoundError`."""
        self._db.execute("BEGIN")
        try:
            alert = self.alert(alert_id)
            timeline = self._changes("alert = ? ORDER BY seq", alert_id)
            versions = self._db.execute(
                "SELECT body, trace FROM detections WHERE incident = ? ORDER BY version", (alert_id,)
            ).fetchall()
            deliveries = ledger(self._db, "alert = ?", alert_id)
        finally:
            self._db.execute("COMMIT")
        traces = [trace for _, trace in versions if trace is not None]
        return Detail(
            alert,
            timeline,
            [json.loads(body) for body, _ in versions],
            json.loads(traces[-1]) if traces else None,
            deliveries,
        )

    def since(self, seq: int, limit: int) -> list[Change]:
        """The changes after a feed id, oldest first."""
        return self._changes("seq > ? ORDER BY seq LIMIT ?", seq, limit)

    def last_seq(self) -> int:
        """Feed id of the newest change; 0 in an empty book."""
        seq: int = self._db.execute("SELECT coalesce(max(seq), 0) FROM changes").fetchone()[0]
        return seq

    def snapshot(self, final_after_us: int) -> Snapshot:
        """All live alerts, and those that ended after `final_after_us`, newest first."""
        self._db.execute("BEGIN")
        try:
            seq = self.last_seq()
            rows = self._db.execute(
                "SELECT body, seq FROM alerts WHERE state IN (?, ?, ?) OR final_us >= ? ORDER BY number DESC",
                (*LIVE, final_after_us),
            ).fetchall()
        finally:
            self._db.execute("COMMIT")
        return Snapshot(seq, [parse(body, seq) for body, seq in rows])

    def _changes(self, where: str, *values: object) -> list[Change]:
        rows = self._db.execute(
            f"SELECT seq, at_us, type, actor, body, detail FROM changes WHERE {where}",  # noqa: S608
            values,
        ).fetchall()
        return [
            Change(seq, at_us, Entry(type_), actor, parse(body, seq), json.loads(detail))
            for seq, at_us, type_, actor, body, detail in rows
        ]
