"""The reading side of the alert book: its own connection, so that a long list never delays an alert."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alerts.book import LIVE, NotFoundError
from alerts.database import connect
from alerts.model import Alert, Change, Entry, State, dump, parse
from alerts.outbox import Delivery, ledger
from alerts.statistics import cases, summary

_WHOLE = f'"{list(Alert.__dataclass_fields__)[-1]}":'
"""Stands in every alert that was written with all the fields there are."""


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
    shown_us: int | None
    """When the first page showed it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The alerts that matter now, and the feed id up to which they are true."""

    seq: int
    alerts: list[Alert]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which alerts a list holds: those that fit everything that is given; empty or None means any."""

    states: Sequence[State] = ()
    severities: Sequence[int] = ()
    kinds: Sequence[str] = ()
    helmet: str = ""
    rider: str = ""
    """Part of the rider's name."""
    city: str = ""
    station: str = ""
    owner: str = ""
    from_us: int | None = None
    """`alerted_us` from here on."""
    to_us: int | None = None
    """`alerted_us` before this."""
    test: bool | None = None

    def sql(self) -> tuple[str, list[object]]:
        """A condition on the table `alerts`, and its values."""
        parts: list[tuple[str, Sequence[object]]] = []
        for expression, values in (
            ("state", self.states),
            ("json_extract(body, '$.severity')", self.severities),
            ("json_extract(body, '$.kind')", self.kinds),
        ):
            if values:
                parts.append((f"{expression} IN ({', '.join('?' * len(values))})", values))
        if self.helmet:
            parts.append(("helmet = ?", [self.helmet]))
        if self.rider:
            parts.append(("instr(lower(json_extract(body, '$.rider.name')), lower(?))", [self.rider]))
        for path, wanted in (
            ("rider.city", self.city),
            ("rider.station", self.station),
            ("owner", self.owner),
        ):
            if wanted:
                parts.append((f"json_extract(body, '$.{path}') = ?", [wanted]))
        if self.from_us is not None:
            parts.append(("alerted_us >= ?", [self.from_us]))
        if self.to_us is not None:
            parts.append(("alerted_us < ?", [self.to_us]))
        if self.test is not None:
            parts.append(("coalesce(json_extract(body, '$.test'), 0) = ?", [int(self.test)]))
        condition = " AND ".join(part for part, _ in parts) or "true"
        return condition, [value for _, values in parts for value in values]


class Reader:
    """Questions to the alert book. Use it from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def alerts(self, wanted: Filter, limit: int, before: int | None) -> tuple[list[Alert], int | None]:
        """A page of alerts, newest first, and the cursor of the next page (None at the end).

        `before` is the cursor that the page before gave out.
        """
        condition, values = wanted.sql()
        rows = self._db.execute(
            f"SELECT body, seq, number FROM alerts WHERE number < ? AND {condition} "  # noqa: S608  # constants
            "ORDER BY number DESC LIMIT ?",
            (before if before is not None else 2**62, *values, limit + 1),
        ).fetchall()
        page = rows[:limit]
        return [parse(body, seq) for body, seq, _ in page], page[-1][2] if len(rows) > limit else None

    def count(self, wanted: Filter) -> int:
        """How many alerts there are of the wanted ones."""
        condition, values = wanted.sql()
        found: int = self._db.execute(
            f"SELECT count(*) FROM alerts WHERE {condition}",  # noqa: S608  # constants
            values,
        ).fetchone()[0]
        return found

    def live(self) -> list[Alert]:
        """All alerts that somebody still has to do something about, oldest first."""
        rows = self._db.execute(
            "SELECT body, seq FROM alerts WHERE state IN (?, ?, ?) ORDER BY number", LIVE
        ).fetchall()
        return [parse(body, seq) for body, seq in rows]

    def escalated(self) -> list[dict[str, Any]]:
        """Live alerts about which a later tier than the first was called since they opened, and whom it called."""
        rows = self._db.execute(
            """
            SELECT a.id, d.tier, d.queued_us, d.body, max(d.number) FROM alerts a JOIN deliveries d ON d.alert = a.id
            WHERE a.state IN ('open', 'acknowledged') AND d.tier > 0
                AND d.queued_us >= json_extract(a.body, '$.opened_us')
            GROUP BY a.id ORDER BY a.number
            """
        ).fetchall()
        return [
            {
                "id": id_,
                "tier": tier,
                "told_us": queued_us,
                "people": [person["name"] for person in json.loads(body)["people"]],
            }
            for id_, tier, queued_us, body, _ in rows
        ]

    def told(self, ids: Iterable[str]) -> dict[str, dict[str, int]]:
        """Of each alert, how many messages were delivered, wait for their first try, and have failed so far."""
        rows = self._db.execute(
            """
            SELECT alert, sum(state = 'delivered'), sum(state = 'waiting' AND tries = 0),
                sum(state IN ('refused', 'given_up') OR (state = 'waiting' AND tries > 0))
            FROM deliveries WHERE alert IN (SELECT value FROM json_each(?)) GROUP BY alert
            """,
            (json.dumps(list(ids)),),
        ).fetchall()
        counts = {alert: numbers for alert, *numbers in rows}
        return {
            id_: dict(zip(("delivered", "waiting", "failed"), counts.get(id_, (0, 0, 0)), strict=True))
            for id_ in ids
        }

    def statistics(self, from_us: int, to_us: int, now_us: int) -> dict[str, Any]:
        """How alerts that came in from one moment up to another were dealt with."""
        return summary(cases(self._db, from_us, to_us), now_us)

    def judged(self) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """The reason of each alert that a person resolved, oldest first, and its newest version with a trace.

        None where no version has one. Drills are left out.
        """
        rows = self._db.execute(
            """
            SELECT json_extract(a.body, '$.resolution.reason'), d.body, d.trace FROM alerts a
            LEFT JOIN detections d ON d.incident = a.id AND d.version = (SELECT max(version) FROM detections
                WHERE incident = a.id AND trace IS NOT NULL)
            WHERE a.state = 'resolved' AND NOT coalesce(json_extract(a.body, '$.test'), 0) ORDER BY a.number
            """
        )
        for reason, body, trace in rows:
            yield reason, None if body is None else json.loads(body) | {"trace": json.loads(trace)}

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
            shown = self._db.execute("SELECT at_us FROM shown WHERE alert = ?", (alert_id,)).fetchone()
        finally:
            self._db.execute("COMMIT")
        traces = [trace for _, trace in versions if trace is not None]
        return Detail(
            alert,
            timeline,
            [json.loads(body) for body, _ in versions],
            json.loads(traces[-1]) if traces else None,
            deliveries,
            None if shown is None else shown[0],
        )

    def since(self, seq: int, limit: int) -> list[Change]:
        """The changes after a feed id, oldest first."""
        return self._changes("seq > ? ORDER BY seq LIMIT ?", seq, limit)

    def last_seq(self) -> int:
        """Feed id of the newest change; 0 in an empty book."""
        seq: int = self._db.execute("SELECT coalesce(max(seq), 0) FROM changes").fetchone()[0]
        return seq

    def feed_id(self, seq: int) -> str:
        """The name in the feed of the change with this number; the number alone where there is none."""
        found = self._changes("seq = ?", seq)
        return found[0].id if found else str(seq)

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

    def snapshot_json(self, final_after_us: int) -> tuple[int, bytes]:
        """The same as `snapshot`, the alerts as one JSON array: what the book holds is JSON already."""
        self._db.execute("BEGIN")
        try:
            seq = self.last_seq()
            rows = self._db.execute(
                "SELECT json_set(body, '$.seq', seq), seq FROM alerts "
                "WHERE state IN (?, ?, ?) OR final_us >= ? ORDER BY number DESC",
                (*LIVE, final_after_us),
            ).fetchall()
        finally:
            self._db.execute("COMMIT")
        texts = (body if _WHOLE in body else dump(parse(body, number)) for body, number in rows)
        return seq, f"[{','.join(texts)}]".encode()

    def _changes(self, where: str, *values: object) -> list[Change]:
        rows = self._db.execute(
            f"SELECT seq, at_us, type, actor, body, detail, address FROM changes WHERE {where}",  # noqa: S608
            values,
        ).fetchall()
        return [
            Change(seq, at_us, Entry(type_), actor, parse(body, seq), json.loads(detail), address)
            for seq, at_us, type_, actor, body, detail, address in rows
        ]
