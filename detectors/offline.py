"""A whole recording through the fleet's own code: for evaluation, tests and replays."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.config import Detection as Params
from core.model import Detection, Frames, Kind, Stage, Worn
from detectors.fleet import Fleet
from detectors.recording import samples

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

    `worn` None is unknown; `speed_mps` is a number, one per sample (NaN where unknown), or None. What is not finite in
    `acc_g` was not measured: the sample is missing, as one that a helmet never sent; what exceeds `full_scale_g` is
    clipped to it. With `t_s`, seconds per sample, an irregular recording is laid on an even grid at `fs_hz` first;
    where three or more are missing it has a hole. `chunks` gives the lengths of the frames in samples,
    repeated until the recording ends; by default each is one second, and none is longer than two. `gyro_rad_s` (n, 3)
    decides no impact: it adds the largest angular rate, BrIC and, from 1 kHz on, DAMAGE to the features, and helps to
    tell whether it is worn. Raises `ValueError` where an argument cannot be what it should be.
    """
    if not (worn is None or isinstance(worn, bool | np.bool_)):
        raise ValueError(f"worn is {worn!r}, not True, False or None")
    if not 0 < full_scale_g < np.inf:
        raise ValueError(f"full_scale_g is {full_scale_g}, not a range in g")
    if chunks is not None and (not chunks or min(chunks) < 1):
        raise ValueError(f"chunks is {chunks}, not a list of lengths of one sample or more")
    s = samples(acc_g, fs_hz, gyro_rad_s, speed_mps, t_s)
    part = _Part(round(1e9 / fs_hz), full_scale_g, full_scale_g / _COUNTS)
    rates, rate_scale = _rates(s.gyro_rad_s)
    wear = Worn.UNKNOWN if worn is None else Worn.YES if worn else Worn.NO
    fleet = Fleet(params)
    detections: list[Detection] = []
    for seq, piece in enumerate(s.frames(chunks or [max(1, round(_STEP_S * fs_hz))])):
        frames = part.frame(s.acc_g[piece], seq, piece.start, wear, s.speed_at(piece.start))
        if rates is not None:
            turned = np.array([rate_scale], np.float32)
            frames = replace(frames, gyro=rates[None, piece], rad_s_per_count=turned)
        # A hole is a helmet that falls silent: what is open is decided with what has come.
        detections += fleet.advance(int(frames.t0_us[0]))
        now_us = int(frames.received_us[0])
        detections += fleet.push(frames, np.zeros(1, np.int64), np.array([piece.start], np.int64), now_us)
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
    largest = float(np.abs(gyro_rad_s).max(initial=0.0))
    scale = _GYRO_RAD_S / _COUNTS if largest <= _GYRO_RAD_S else largest / 32_000
    return np.round(gyro_rad_s / scale).astype(np.int16), scale


class _Part(NamedTuple):
    """The accelerometer that a recording is taken to come from."""

    period_ns: int
    full_scale_g: float
    g_per_count: float

    def frame(
        self, acc_g: npt.NDArray[np.float64], seq: int, start: int, worn: Worn, speed_mps: float
    ) -> Frames:
        """(n, 3) finite samples, the first of them number `start`."""
        t0_us = _T0_US + start * self.period_ns // 1000
        counts = np.clip(np.round(acc_g / self.g_per_count), -32768, 32767).astype(np.int16)
        return Frames.of(
            ["recording"],
            counts[None],
            seq=seq,
            t0_us=t0_us,
            received_us=t0_us + len(counts) * self.period_ns // 1000,
            period_ns=self.period_ns,
            full_scale_g=self.full_scale_g,
            g_per_count=self.g_per_count,
            worn=worn,
            speed_mps=speed_mps,
        )


def _incident(versions: list[Detection]) -> Incident:
    def decided_s(stages: tuple[Stage, ...]) -> float | None:
        found = [v for v in versions if v.stage in stages]
        return None if not found else seen_s(found[0])

    last = versions[-1]
    withdrawn = last.stage in (Stage.CANCELLED, Stage.DOWNGRADED)
    return Incident(
        t_s=impacts_s(last)[0],
        impacts_s=impacts_s(last),
        alerted_at_s=decided_s((Stage.FAST, Stage.STANDARD, Stage.CONFIRMED)),
        fast_at_s=decided_s((Stage.FAST,)),
        standard_at_s=decided_s((Stage.STANDARD,)),
        confirmed_at_s=decided_s((Stage.CONFIRMED,)),
        cancelled_at_s=seen_s(last) if withdrawn else None,
        kind=last.kind,
        severity=last.severity,
        quality=last.quality,
        features=last.features,
        reason=last.reason_en,
        versions=versions,
    )


def impacts_s(detection: Detection) -> list[float]:
    """The impacts that one version of an `Incident` knows of, in seconds into its recording."""
    return [(t - _T0_US) / 1e6 for t in detection.impacts_us]


def seen_s(detection: Detection) -> float:
    """How far into its recording, in seconds, one version of an `Incident` has seen: its trace ends there."""
    trace = detection.trace
    if trace is None:
        return float("nan")
    samples = len(trace.acc) * 3 // 4 // 6
    return (trace.t0_us - _T0_US) / 1e6 + samples * trace.period_ns / 1e9
