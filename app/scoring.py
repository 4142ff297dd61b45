"""Scores what the detector makes of recordings by events, with exact intervals."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.intervals import clopper_pearson, poisson_rate
from core.config import Detection
from detectors import Incident, detect_recording
from simulator.recordings import CRASH_LABELS, Recording

_MATCH_S = 1.0
_AFTER_S = 30.0
"""Alerts so long after a known crash belong to its aftermath: somebody picks the vehicle up."""
STAGES = ("fast", "standard", "confirmed")


@dataclass(frozen=True, slots=True)
class Scored:
    """One recording and what the detector made of it."""

    recording: Recording
    incidents: list[Incident]
    events: int
    """Crashes it holds."""
    alerted: int
    """Of these, reported at any stage, not counting what was taken back before it was confirmed."""
    fast: int
    """Reported by FAST, at 0.35 s after an impact."""
    standard: int
    """Reported by STANDARD, at 0.85 s, without a FAST."""
    confirmed: int
    false_alerts: list[Incident]
    latency_s: list[float]
    """From the first impact to the first alert, one for each crash that was reported."""
    confirm_latency_s: list[float] = field(default_factory=list)

    @property
    def wrong(self) -> bool:
        """Whether somebody should look at it."""
        return bool(self.false_alerts) or self.confirmed < self.events


def evaluate_recording(
    r: Recording, worn: bool | None, speed_mps: float | None, params: Detection | None = None
) -> Scored:
    """Detects and scores one recording.

    Where `crash_s` in its meta.csv names the moments (seconds, separated by blanks), each is an event; otherwise a
    recording with a positive label is one event. Any alert that belongs to no event is false.
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
    if r.label not in CRASH_LABELS:
        return Scored(r, incidents, 0, 0, 0, 0, 0, incidents, [])
    crashes_s = [float(x) for x in r.meta.get("crash_s", "").split()]
    if not crashes_s:
        return _score(r, [incidents], [])
    matched = [[i for i in incidents if _near(i, t_s)] for t_s in crashes_s]
    hits = {id(i) for found in matched for i in found}
    false = [
        i
        for i in incidents
        if id(i) not in hits and not any(0 <= i.t_s - t_s <= _AFTER_S for t_s in crashes_s)
    ]
    return _score(r, matched, false)


def _near(incident: Incident, t_s: float) -> bool:
    return any(abs(impact_s - t_s) <= _MATCH_S for impact_s in incident.impacts_s)


def _score(r: Recording, matched: list[list[Incident]], false: list[Incident]) -> Scored:
    stood = [
        [i for i in found if i.confirmed_at_s is not None or i.cancelled_at_s is None] for found in matched
    ]
    return Scored(
        recording=r,
        incidents=list({id(i): i for found in matched for i in found}.values()) + false,
        events=len(matched),
        alerted=sum(bool(found) for found in stood),
        fast=sum(_reached(found, "fast_at_s") for found in matched),
        standard=sum(
            _reached(found, "standard_at_s") and not _reached(found, "fast_at_s") for found in matched
        ),
        confirmed=sum(_reached(found, "confirmed_at_s") for found in matched),
        false_alerts=false,
        latency_s=[_first_s(found) for found in matched if found],
        confirm_latency_s=[
            min(i.confirmed_at_s - i.t_s for i in found if i.confirmed_at_s is not None)
            for found in matched
            if any(i.confirmed_at_s is not None for i in found)
        ],
    )


def _reached(found: list[Incident], stage: str) -> bool:
    return any(getattr(i, stage) is not None for i in found)


def _first_s(found: list[Incident]) -> float:
    return min(i.alerted_at_s - i.t_s for i in found if i.alerted_at_s is not None)


def summarise(scored: list[Scored]) -> dict[str, Any]:
    """Counts, shares and rates of a list of recordings with 95 % intervals."""
    events = sum(s.events for s in scored)
    hours = sum(s.recording.duration_s for s in scored) / 3600
    quiet_hours = sum(s.recording.duration_s for s in scored if not s.events) / 3600
    alerts = [i for s in scored for i in s.false_alerts]
    out: dict[str, Any] = {"recordings": len(scored), "hours": round(hours, 3), "events": events}
    if events:
        for name in ("alerted", *STAGES):
            hits = sum(getattr(s, name) for s in scored)
            out[name] = {
                "hits": hits,
                "share": hits / events,
                "interval_95": clopper_pearson(hits, events),
            }
        for name in ("latency_s", "confirm_latency_s"):
            values = [v for s in scored for v in getattr(s, name)]
            out[name] = (
                {f"p{q}": round(float(np.percentile(values, q)), 3) for q in (50, 95)} if values else None
            )
    for name, count in (
        ("false_alerts", len(alerts)),
        *((f"false_{stage}", sum(_reached([i], f"{stage}_at_s") for i in alerts)) for stage in STAGES),
    ):
        # Recordings of crashes alone still say how often they alert besides; no time at all says nothing.
        exposure = quiet_hours or hours
        out[name] = {
            "count": count,
            "per_hour": count / exposure if exposure else None,
            "interval_95": poisson_rate(count, exposure) if exposure else None,
        }
    return out
