"""Scores what the detector makes of recordings by events, with exact intervals."""

from dataclasses import dataclass
from math import inf, isinf
from typing import Any

import numpy as np

from app.intervals import clopper_pearson, poisson_rate
from core.config import Detection
from core.model import Stage
from detectors import Incident, detect_recording
from detectors.offline import impacts_s, seen_s
from simulator.recordings import CRASH_LABELS, Recording

BEFORE_S, WITHIN_S, FAST_WITHIN_S = 1.0, 10.0, 1.0
"""What is said from so long before a crash to so long after it is about the crash; a FAST must come sooner."""
AFTER_S = 30.0
"""Alerts so long after a known crash belong to its aftermath: somebody picks the vehicle up."""
STAGES = ("fast", "standard", "confirmed")
_ALERTS = (Stage.FAST, Stage.STANDARD, Stage.CONFIRMED)


@dataclass(frozen=True, slots=True)
class Event:
    """One crash, and after how many seconds it was reported; infinity where it was not, or not in time."""

    at_s: float | None
    """Its moment; None where neither the label names one nor an alert was given."""
    named: bool
    """Whether the recording names the moment; otherwise it is the first impact of the first alert."""
    first_s: float = inf
    """At whatever stage."""
    fast_s: float = inf
    standard_s: float = inf
    confirmed_s: float = inf
    stood: bool = False
    """Whether the alert was confirmed, or not taken back."""

    def reached(self, stage: str) -> bool:
        """Whether it counts as found: `standard` only where no `fast` came before, `alerted` where it stood."""
        if stage == "alerted":
            return self.stood and self.first_s < inf
        if stage == "standard":
            return self.standard_s < inf and isinf(self.fast_s)
        return float(getattr(self, f"{stage}_s")) < inf


@dataclass(frozen=True, slots=True)
class Scored:
    """One recording and what the detector made of it."""

    recording: Recording
    incidents: list[Incident]
    events: list[Event]
    """Crashes it holds."""
    false_alerts: list[Incident]
    quiet_s: float
    """How much of it could give a false alert: all but what surrounds a crash; nothing where no moment is named."""

    @property
    def missed(self) -> list[Event]:
        """Crashes that were not confirmed."""
        return [e for e in self.events if not e.reached("confirmed")]


def moments_s(r: Recording) -> list[float]:
    """When its crashes happen, by `crash_s`, else by `t_peak_s` of its meta.csv; empty where neither says."""
    return [float(x) for x in (r.meta.get("crash_s") or r.meta.get("t_peak_s") or "").split()]


def evaluate_recording(
    r: Recording, worn: bool | None, speed_mps: float | None, params: Detection | None = None
) -> Scored:
    """Detects and scores one recording.

    Each moment of a recording with a positive label is an event. What is said from 1 s before it to 10 s after it, of
    an impact in that time, is about it; an alert that is about no event, and in no event's aftermath, is false. A
    recording of a crash that names no moment is one event, any alert is about it and none is false.
    """
    incidents = detect_recording(
        r.acc_g,
        r.fs_hz,
        full_scale_g=r.full_scale_g,
        gyro_rad_s=r.gyro_rad_s,
        worn=worn,
        speed_mps=speed_mps,
        t_s=r.t_s,
        params=params,
    )
    return score(r, incidents)


def score(r: Recording, incidents: list[Incident]) -> Scored:
    """Matches what was reported with what a recording holds."""
    if r.label not in CRASH_LABELS:
        return Scored(r, incidents, [], incidents, r.duration_s)
    moments = moments_s(r)
    if not moments:
        first = min((i.t_s for i in incidents), default=None)
        return Scored(r, incidents, [_event(first, incidents, named=False)], [], 0.0)
    events = [_event(t, incidents, named=True) for t in moments]
    false = [
        i
        for i in incidents
        if not any(_words(i, t) for t in moments) and not any(0 <= i.t_s - t <= AFTER_S for t in moments)
    ]
    # Every moment of the recording by itself, at the precision that counts: tenths of a second.
    grid = np.arange(0, r.duration_s, 0.1)
    near = np.any([(grid >= t - BEFORE_S) & (grid <= t + AFTER_S) for t in moments], axis=0)
    return Scored(r, incidents, events, false, float(0.1 * np.count_nonzero(~near)))


def _words(incident: Incident, t: float) -> list[tuple[float, Stage]]:
    """What an incident said about a crash at `t`: seconds after it, and the stage; nothing but alerts."""
    near = [v for v in incident.versions if any(-BEFORE_S <= x - t <= WITHIN_S for x in impacts_s(v))]
    said = [(seen_s(v) - t, v.stage) for v in near if v.stage in _ALERTS]
    return [(s, stage) for s, stage in said if -BEFORE_S <= s <= WITHIN_S]


def _event(t: float | None, incidents: list[Incident], *, named: bool) -> Event:
    if t is None:
        return Event(None, named)
    if named:
        told = [(i, _words(i, t)) for i in incidents]
    else:
        told = [(i, [(seen_s(v) - t, v.stage) for v in i.versions if v.stage in _ALERTS]) for i in incidents]
    words = [word for _, said in told for word in said]

    def first(*stages: Stage, within_s: float = inf) -> float:
        return min((s for s, stage in words if stage in stages and s <= within_s), default=inf)

    # An incident that was confirmed before, by an earlier crash, is not FAST again.
    return Event(
        t,
        named,
        first(*_ALERTS),
        first(Stage.FAST, Stage.CONFIRMED, within_s=FAST_WITHIN_S),
        first(Stage.STANDARD),
        first(Stage.CONFIRMED),
        any(said and (i.confirmed_at_s is not None or i.cancelled_at_s is None) for i, said in told),
    )


def summarise(scored: list[Scored]) -> dict[str, Any]:
    """Counts, shares, times and rates of a list of recordings with 95 % intervals.

    Times are of all crashes, the missed ones included: a percentile that falls among those is None.
    """
    events = [e for s in scored for e in s.events]
    hours = sum(s.recording.duration_s for s in scored) / 3600
    quiet_hours = sum(s.quiet_s for s in scored) / 3600
    alerts = [i for s in scored for i in s.false_alerts]
    out: dict[str, Any] = {
        "recordings": len(scored),
        "hours": round(hours, 3),
        "quiet_hours": round(quiet_hours, 3),
        "events": len(events),
    }
    if events:
        out["without_moment"] = sum(not e.named for e in events)
        for name in ("alerted", *STAGES):
            hits = sum(e.reached(name) for e in events)
            out[name] = {
                "hits": hits,
                "share": hits / len(events),
                "interval_95": clopper_pearson(hits, len(events)),
            }
        out["latency_s"] = _percentiles([e.first_s for e in events])
        out["confirm_latency_s"] = _percentiles([e.confirmed_s for e in events])
    for name, count in (
        ("false_alerts", len(alerts)),
        *(
            (f"false_{stage}", sum(getattr(i, f"{stage}_at_s") is not None for i in alerts))
            for stage in STAGES
        ),
    ):
        out[name] = {
            "count": count,
            "per_hour": count / quiet_hours if quiet_hours else None,
            "interval_95": poisson_rate(count, quiet_hours) if quiet_hours else None,
        }
    return out


def _percentiles(times_s: list[float]) -> dict[str, float | None]:
    """The smallest time within which so many percent were reported; None where fewer ever were."""
    values = {f"p{q}": float(np.percentile(times_s, q, method="inverted_cdf")) for q in (50, 95, 99)}
    return {name: None if isinf(value) else round(value, 3) for name, value in values.items()}
