"""A whole recording through the fleet's own code: for evaluation, tests and replays."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from core.config import Detection as Params
from core.model import Detection, Frames, Kind, Stage, Worn
from detectors.fleet import Fleet

_STEP_S = 1.0
_T0_US = 1_700_000_000_000_000
_COUNTS = 32700
_GYRO_RAD_S = float(np.radians(2000))
"""The usual range of a gyroscope."""


@dataclass(frozen=True, slots=True)
class Incident:
    """What the detector said about one incident of a recording; all times in seconds from its start."""

    t_s: float
    """The first impact."""
    impacts_s: list[float]
    alerted_at_s: float | None
    """When it was first reported, at whatever stage."""
    fast_at_s: float | None
    """When it was first FAST; None where it was first STANDARD or CONFIRMED."""
    standard_at_s: float | None
    confirmed_at_s: float | None
    cancelled_at_s: float | None
    """When it was last cancelled or downgraded, where it stayed so."""
    kind: Kind
    severity: int
    quality: str
    features: dict[str, float]
    reason: str
    versions: list[Detection] = field(default_factory=list, repr=False)


def detect_recording(
    acc_g: npt.ArrayLike,
    fs_hz: float,
    *,
    full_scale_g: float,
    gyro_rad_s: npt.ArrayLike | None = None,
    worn: bool | None = True,
    speed_mps: float | npt.ArrayLike | None = None,
    t_s: npt.ArrayLike | None = None,
    params: Params | None = None,
    chunks: list[int] | None = None,
) -> list[Incident]:
    """Detects crashes in (n, 3) g at `fs_hz`, frame by frame as a helmet would send them.

    `worn` None is unknown; `speed_mps` is a number, one per sample, or None. With `t_s`, seconds per sample, an
    irregular recording is interpolated to `fs_hz` first. `chunks` gives the lengths of the frames in samples,
    repeated until the recording ends; by default each is one second. `gyro_rad_s` (n, 3) decides no impact: it adds
    the largest angular rate, BrIC and, from 1 kHz on, DAMAGE to the features, and helps to tell whether it is worn.
    """
    acc = np.asarray(acc_g, dtype=np.float64)
    speed = None if speed_mps is None else np.broadcast_to(np.asarray(speed_mps, float), len(acc))
    gyro = None if gyro_rad_s is None else np.asarray(gyro_rad_s, dtype=np.float64)
    if t_s is not None:
        t = np.asarray(t_s, dtype=np.float64)
        grid = np.arange(t[0], t[-1], 1 / fs_hz)
        acc = _interpolate(grid, t, acc)
        gyro = None if gyro is None else _interpolate(grid, t, gyro)
        speed = None if speed is None else np.interp(grid, t, speed)
    scale = full_scale_g / _COUNTS
    counts = np.clip(np.round(acc / scale), -32768, 32767).astype(np.int16)
    rates, rate_scale = _rates(gyro)
    fleet = Fleet(params)
    detections: list[Detection] = []
    start, step = 0, 0
    lengths = chunks or [max(1, round(_STEP_S * fs_hz))]
    while start < len(counts):
        stop = min(start + lengths[step % len(lengths)], len(counts))
        part = slice(start, stop)
        frames = _frame(counts[part], fs_hz, full_scale_g, scale, step, start, worn, speed)
        if rates is not None:
            turned = np.array([rate_scale], np.float32)
            frames = replace(frames, gyro=rates[None, part], rad_s_per_count=turned)
        now_us = int(frames.received_us[0])
        detections += fleet.push(frames, np.zeros(1, np.int64), np.array([start], np.int64), now_us)
        start, step = stop, step + 1
    detections += fleet.forget(0)
    by_id: dict[str, list[Detection]] = {}
    for detection in detections:
        if detection.kind is Kind.NOT_WORN:
            continue
        by_id.setdefault(detection.incident, []).append(detection)
    return [_incident(versions) for versions in by_id.values()]


def _rates(gyro_rad_s: npt.NDArray[np.float64] | None) -> tuple[npt.NDArray[np.int16] | None, float]:
    """Angular rate as counts, and rad/s per count; a part of ±2000 °/s at its rail stays at the rail."""
    if gyro_rad_s is None:
        return None, 0.0
    gyro_rad_s = np.nan_to_num(gyro_rad_s)
    largest = float(np.abs(gyro_rad_s).max(initial=0.0))
    scale = _GYRO_RAD_S / _COUNTS if largest <= _GYRO_RAD_S else largest / 32_000
    return np.round(gyro_rad_s / scale).astype(np.int16), scale


def _interpolate(
    grid: npt.NDArray[np.float64], t: npt.NDArray[np.float64], x: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    return np.stack([np.interp(grid, t, x[:, axis]) for axis in range(3)], axis=1)


def _frame(
    counts: npt.NDArray[np.int16],
    fs_hz: float,
    full_scale_g: float,
    scale: float,
    seq: int,
    start: int,
    worn: bool | None,
    speed: npt.NDArray[np.float64] | None,
) -> Frames:
    period_ns = round(1e9 / fs_hz)
    t0_us = _T0_US + start * period_ns // 1000
    wear = Worn.UNKNOWN if worn is None else Worn.YES if worn else Worn.NO
    return Frames.of(
        ["recording"],
        counts[None],
        seq=seq,
        t0_us=t0_us,
        received_us=t0_us + len(counts) * period_ns // 1000,
        period_ns=period_ns,
        full_scale_g=full_scale_g,
        g_per_count=scale,
        worn=wear,
        speed_mps=np.nan if speed is None else speed[start],
    )


def _incident(versions: list[Detection]) -> Incident:
    def decided_s(stages: tuple[Stage, ...]) -> float | None:
        found = [v for v in versions if v.stage in stages]
        return None if not found else _seen_s(found[0])

    last = versions[-1]
    withdrawn = last.stage in (Stage.CANCELLED, Stage.DOWNGRADED)
    impacts_s = [(t - _T0_US) / 1e6 for t in last.impacts_us]
    return Incident(
        t_s=impacts_s[0],
        impacts_s=impacts_s,
        alerted_at_s=decided_s((Stage.FAST, Stage.STANDARD, Stage.CONFIRMED)),
        fast_at_s=decided_s((Stage.FAST,)),
        standard_at_s=decided_s((Stage.STANDARD,)),
        confirmed_at_s=decided_s((Stage.CONFIRMED,)),
        cancelled_at_s=_seen_s(last) if withdrawn else None,
        kind=last.kind,
        severity=last.severity,
        quality=last.quality,
        features=last.features,
        reason=last.reason_en,
        versions=versions,
    )


def _seen_s(detection: Detection) -> float:
    """How far into the recording a decision has seen: its trace ends there."""
    trace = detection.trace
    if trace is None:
        return float("nan")
    samples = len(trace.acc) * 3 // 4 // 6
    return (trace.t0_us - _T0_US) / 1e6 + samples * trace.period_ns / 1e9
