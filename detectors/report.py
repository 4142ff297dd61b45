"""From a decision to the message that crosses to the desk."""

import base64
import hashlib
import math
from typing import NamedTuple

from core.model import Detection, Frames, Position, Trace, Worn
from detectors.features import HORIZONS_S, Frame, Head
from detectors.ring import CONTEXT_S, PRE_S
from detectors.severity import knows, quality
from detectors.watch import Decision
from detectors.window import Window
from detectors.words import reason


class Stamp(NamedTuple):
    """What a message says about its helmet's part, its arrival and its author."""

    period_ns: int
    full_scale_g: float
    g_per_count: float
    last: Head
    """The frame that completed the decision."""
    now_us: int
    late_us: int
    detector: str
    options: dict[str, float]


def detection(decision: Decision, window: Window, frames: list[Frame], stamp: Stamp) -> Detection:
    """Words, severity, times and trace of one version of an incident."""
    incident, f = decision.incident, decision.features
    start, onset = incident.start, incident.onset
    grade = quality(window.fs_hz, stamp.full_scale_g)
    zh, en = reason(decision, grade)

    def time_us(sample: int) -> int:
        return onset.t0_us + (sample - start) * stamp.period_ns // 1000

    impacts_us = [time_us(impact.at) for impact in incident.impacts]
    speed = f["speed_mps"]
    return Detection(
        incident=incident_id(onset),
        version=incident.version,
        helmet=onset.helmet,
        kind=incident.kind,
        stage=incident.stage,
        severity=incident.severity,
        severity_basis=incident.severity_basis,
        quality=grade,
        occurred_us=impacts_us[0],
        impacts_us=impacts_us,
        received_us=stamp.last.received_us,
        detected_us=stamp.now_us,
        boot=stamp.last.boot,
        seq=stamp.last.seq,
        reason_zh=zh,
        reason_en=en,
        worn=Worn(int(f["worn"])),
        late=onset.received_us - impacts_us[0] > stamp.late_us,
        signal_lost=incident.lost,
        speed_mps=None if math.isnan(speed) else speed,
        position=onset.position,
        features={name: round(v, 4) for name, v in f.items() if not math.isnan(v) and knows(grade, name)},
        points=decision.points,
        detector=stamp.detector,
        options=stamp.options,
        trace=_trace(decision, window, frames, stamp, time_us(0)),
        sent_us=next((time_us(f.end) for f in reversed(frames) if f.head == stamp.last), None),
    )


def position(frames: Frames, row: int) -> Position | None:
    """Where a frame was sent from, if it says so."""
    lat = float(frames.lat_deg[row])
    if math.isnan(lat):
        return None
    accuracy_m, age_s = float(frames.accuracy_m[row]), float(frames.position_age_s[row])
    return Position(
        lat,
        float(frames.lon_deg[row]),
        None if math.isnan(accuracy_m) else accuracy_m,
        None if math.isnan(age_s) else age_s,
    )


def incident_id(onset: Head) -> str:
    """16 hex digits that stay the same whatever is repeated, restarted or delivered twice."""
    key = f"{onset.helmet}/{onset.boot}/{onset.seq}".encode()
    return hashlib.blake2b(key, digest_size=8).hexdigest()


def _trace(decision: Decision, window: Window, frames: list[Frame], stamp: Stamp, zero_us: int) -> Trace:
    """From 10 s before the first impact to 10 s after the last, as far as the decision saw, with what it rests on."""
    impacts = decision.incident.impacts
    start = max(impacts[0].at - math.ceil(PRE_S * window.fs_hz), window.base)
    stop = min(decision.end, impacts[-1].at + math.ceil(HORIZONS_S[-1] * window.fs_hz))
    since = impacts[0].at - math.ceil(CONTEXT_S * window.fs_hz)
    fix = window.fix
    return Trace(
        t0_us=zero_us + start * stamp.period_ns // 1000,
        period_ns=stamp.period_ns,
        g_per_count=stamp.g_per_count,
        full_scale_g=stamp.full_scale_g,
        acc=base64.b64encode(window.counts(start, stop).astype("<i2").tobytes()).decode(),
        missing=window.missing(start, stop),
        frames=[
            (f.start - start, f.end - start, None if math.isnan(f.speed_mps) else f.speed_mps, Worn(f.worn))
            for f in frames
            if f.end >= since and f.start < stop
        ],
        correction=[] if fix is None else [*fix.offset_g.tolist(), *fix.gain.tolist()],
    )
