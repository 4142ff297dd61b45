"""How a shift did: how soon alerts were taken, and how many of them were none, per version of the detector."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from alerts.model import Resolution

TARGET_S = 60.0
"""Lone-worker monitoring rooms promise that 99 % of alerts are taken within a minute (Blackline Safety)."""

REAL = (Resolution.INJURED, Resolution.UNHURT)
FALSE = (Resolution.HELMET_DROPPED, Resolution.ROAD_BUMP, Resolution.DEVICE_FAULT)
"""`test` and `other` are neither."""


@dataclass(frozen=True, slots=True)
class Case:
    """What statistics need to know of one alert."""

    state: str
    test: bool
    opened_us: int | None
    """When it first opened; None where it was taken or cancelled during the countdown."""
    taken_us: int | None
    """When a person first took it."""
    reason: str | None
    """The resolution."""
    cancelled_by: str | None
    """`rider` or `detector`."""
    detector: str


def cases(db: sqlite3.Connection, from_us: int, to_us: int) -> list[Case]:
    """The alerts that came in from `from_us` up to `to_us`; reminders to wear the helmet are none."""
    rows = db.execute(
        """
        SELECT a.state, coalesce(json_extract(a.body, '$.test'), 0),
            (SELECT min(at_us) FROM changes WHERE alert = a.id AND type = 'opened'),
            (SELECT min(at_us) FROM changes WHERE alert = a.id AND type = 'acknowledged'),
            json_extract(a.body, '$.resolution.reason'),
            (SELECT actor FROM changes WHERE alert = a.id AND type = 'cancelled' ORDER BY seq DESC LIMIT 1),
            (SELECT json_extract(body, '$.detector') FROM detections WHERE incident = a.id
                ORDER BY version DESC LIMIT 1)
        FROM alerts a WHERE a.alerted_us >= ? AND a.alerted_us < ?
            AND json_extract(a.body, '$.kind') <> 'not_worn'
        """,
        (from_us, to_us),
    )
    return [
        Case(
            state,
            bool(test),
            opened_us,
            taken_us,
            reason,
            by if state == "cancelled" else None,
            detector or "",
        )
        for state, test, opened_us, taken_us, reason, by, detector in rows
    ]


def summary(found: Iterable[Case], now_us: int) -> dict[str, Any]:
    """The figures, ready for JSON. Drills are counted and left out of everything else."""
    every = list(found)
    real = [case for case in every if not case.test]
    waits_s = sorted(_wait_s(case) for case in real if case.taken_us is not None)
    overdue = sum(
        case.taken_us is None
        and case.state == "open"
        and case.opened_us is not None
        and now_us - case.opened_us > TARGET_S * 1e6
        for case in real
    )
    timely = sum(wait_s <= TARGET_S for wait_s in waits_s)
    versions = sorted({case.detector for case in real})
    return {
        "alerts": len(real),
        "drills": len(every) - len(real),
        "states": dict(Counter(case.state for case in real)),
        "time_to_acknowledge_s": {
            "count": len(waits_s),
            "p50": _quantile(waits_s, 0.5),
            "p90": _quantile(waits_s, 0.9),
            "max": waits_s[-1] if waits_s else None,
        },
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


def _wait_s(case: Case) -> float:
    """From opening to the first acknowledgement; 0 where somebody was quicker than the countdown."""
    if case.taken_us is None or case.opened_us is None:
        return 0.0
    return max(0, case.taken_us - case.opened_us) / 1e6


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _quantile(ordered: Sequence[float], q: float) -> float | None:
    """The smallest value that at least this share of all does not exceed."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, max(0, -int(-q * len(ordered) // 1) - 1))]
