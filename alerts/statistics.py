"""How a shift did: how soon alerts were taken, and how many of them were none, per version of the detector."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from alerts.model import Resolution

TARGET_S = 60.0
"""Lone-worker monitoring rooms promise that 99 % of alerts are taken within a minute (Blackline Safety)."""

REAL = (Resolution.INJURED, Resolution.UNHURT)
FALSE = (Resolution.HELMET_DROPPED, Resolution.ROAD_BUMP, Resolution.DEVICE_FAULT)
"""`test` and `other` are neither."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One time that an alert wanted somebody: from when it opened, or opened again."""

    begin_us: int
    taken_us: int | None = None
    """When a person took it."""
    cancelled_us: int | None = None
    """When rider or detector took it back before anybody had taken it."""
    resolved_us: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """What statistics need to know of one alert."""

    state: str
    test: bool
    episodes: tuple[Episode, ...]
    """None where it was cancelled during the countdown."""
    reason: str | None
    """The resolution."""
    cancelled_by: str | None
    """`rider` or `detector`."""
    detector: str


_WANTED = "a.alerted_us >= ? AND a.alerted_us < ? AND json_extract(a.body, '$.kind') <> 'not_worn'"


def cases(db: sqlite3.Connection, from_us: int, to_us: int) -> list[Case]:
    """The alerts that came in from `from_us` up to `to_us`; reminders to wear the helmet are none."""
    rows = db.execute(
        f"""
        SELECT a.id, a.state, coalesce(json_extract(a.body, '$.test'), 0),
            json_extract(a.body, '$.resolution.reason'),
            (SELECT actor FROM changes WHERE alert = a.id AND type = 'cancelled' ORDER BY seq DESC LIMIT 1),
            (SELECT json_extract(body, '$.detector') FROM detections WHERE incident = a.id
                ORDER BY version DESC LIMIT 1)
        FROM alerts a WHERE {_WANTED}
        """,  # noqa: S608  # a constant
        (from_us, to_us),
    ).fetchall()
    lines = db.execute(
        f"""
        SELECT a.id, c.type, c.at_us FROM alerts a JOIN changes c ON c.alert = a.id
        WHERE {_WANTED} AND c.type IN ('opened', 'reopened', 'acknowledged', 'cancelled', 'resolved')
        ORDER BY a.number, c.seq
        """,  # noqa: S608  # a constant
        (from_us, to_us),
    )
    said = {
        id_: episodes((type_, at_us) for _, type_, at_us in group)
        for id_, group in groupby(lines, key=itemgetter(0))
    }
    return [
        Case(
            state,
            bool(test),
            said.get(id_, ()),
            reason,
            by if state == "cancelled" else None,
            detector or "",
        )
        for id_, state, test, reason, by, detector in rows
    ]


def episodes(lines: Iterable[tuple[str, int]]) -> tuple[Episode, ...]:
    """The episodes of one alert, from types and times of its timeline, oldest first.

    Whoever takes an alert during its countdown was quicker than its opening: that episode begins with the taking.
    """
    found: list[Episode] = []
    for type_, at_us in lines:
        if type_ in ("opened", "reopened"):
            found.append(Episode(at_us))
        elif type_ == "acknowledged" and (not found or found[-1].taken_us is not None):
            found.append(Episode(at_us, taken_us=at_us))
        elif found:
            found[-1] = replace(found[-1], **{_ENDS[type_]: at_us})
    return tuple(found)


_ENDS: dict[str, Any] = {
    "acknowledged": "taken_us",
    "cancelled": "cancelled_us",
    "resolved": "resolved_us",
}


def summary(found: Iterable[Case], now_us: int) -> dict[str, Any]:
    """The figures, ready for JSON. Drills are counted and left out of everything else."""
    every = list(found)
    real = [case for case in every if not case.test]
    every_time = [episode for case in real for episode in case.episodes]
    waits_s = sorted((e.taken_us - e.begin_us) / 1e6 for e in every_time if e.taken_us is not None)
    overdue = sum(
        e.taken_us is None and (e.cancelled_us or now_us) - e.begin_us > TARGET_S * 1e6 for e in every_time
    )
    timely = sum(wait_s <= TARGET_S for wait_s in waits_s)
    lasted_s = sorted((e.resolved_us - e.begin_us) / 1e6 for e in every_time if e.resolved_us is not None)
    versions = sorted({case.detector for case in real})
    return {
        "alerts": len(real),
        "drills": len(every) - len(real),
        "states": dict(Counter(case.state for case in real)),
        "time_to_acknowledge_s": _times(waits_s),
        "time_to_resolve_s": _times(lasted_s),
        "target_s": TARGET_S,
        "within_target": _share(timely, len(waits_s) + overdue),
        "untaken_beyond_target": overdue,
        **_verdicts(real),
        "detectors": [
            {"detector": version} | _verdicts([case for case in real if case.detector == version])
            for version in versions
        ],
    }


def _verdicts(found: Sequence[Case]) -> dict[str, Any]:
    reasons = Counter(case.reason for case in found if case.reason)
    real, false = (sum(reasons[reason] for reason in group) for group in (REAL, FALSE))
    return {
        "count": len(found),
        "resolved": {reason: reasons[reason] for reason in Resolution if reasons[reason]},
        "cancelled": dict(Counter(case.cancelled_by for case in found if case.cancelled_by)),
        "judged": real + false,
        "false_alarms": false,
        "false_alarm_share": _share(false, real + false),
        "false_alarm_share_by_reason": {
            reason: _share(reasons[reason], real + false) for reason in FALSE if reasons[reason]
        },
    }


def _times(ordered_s: Sequence[float]) -> dict[str, float | None]:
    return {
        "count": len(ordered_s),
        "p50": _quantile(ordered_s, 0.5),
        "p90": _quantile(ordered_s, 0.9),
        "max": ordered_s[-1] if ordered_s else None,
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _quantile(ordered: Sequence[float], q: float) -> float | None:
    """The smallest value that at least this share of all does not exceed."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, max(0, -int(-q * len(ordered) // 1) - 1))]
