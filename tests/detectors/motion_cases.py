"""Motion made for tests, exact and simple: a ride, a blow, a fall, what follows. Not a model of a rider."""

from dataclasses import dataclass, replace

import numpy as np

from core.model import Frames

SCALE_G = 16 / 32700
T0_US = 1_700_000_000_000_000


@dataclass(frozen=True)
class Case:
    """A crash or a ride of one helmet in counts, 100 Hz and ±16 g."""

    counts: np.ndarray
    impact: int
    """Sample of the blow."""


def ride(seconds, rng, vibration_g=0.12):
    """Upright on a road."""
    n = round(seconds * 100)
    return np.array([0.0, 0.0, 1.0]) + rng.normal(0, vibration_g, (n, 3)) * [0.3, 0.3, 1.0]


def lying(seconds, rng, noise_g=0.01):
    """On the side, breathing."""
    return np.array([1.0, 0.0, 0.05]) + rng.normal(0, noise_g, (round(seconds * 100), 3))


def blow(peak_g, width_s, direction=(0.6, 0.64, 0.48)):
    """A half-sine with a unit direction."""
    n = round(width_s * 100)
    return peak_g * np.sin(np.pi * np.arange(1, n + 1) / (n + 1))[:, None] * np.array(direction)


def crash(seed=0, peak_g=22.0, width_s=0.05, before_s=8.0, after_s=12.0, after="lying"):
    """A ride, a blow, then lying or riding on."""
    rng = np.random.default_rng(seed)
    tail = lying(after_s, rng) if after == "lying" else ride(after_s, rng)
    acc = np.concatenate([ride(before_s, rng), tail])
    at = round(before_s * 100)
    hit = blow(peak_g, width_s)
    acc[at : at + len(hit)] += hit
    return Case(to_counts(acc), at + len(hit) // 2)


def thrown(case):
    """The same blow, of somebody whose body goes with it: unloaded before, shaken after."""
    acc = case.counts * SCALE_G
    acc[case.impact - 28 : case.impact - 3] *= 0.4
    acc[case.impact + 3 : case.impact + 12] += 0.6
    return Case(to_counts(acc), case.impact)


def to_counts(acc_g):
    return np.clip(np.round(np.asarray(acc_g) / SCALE_G), -32700, 32700).astype(np.int16)


def frames(rows, worn=2, speed_mps=np.nan, received_delay_us=200_000):
    """Frames of (helmet name, seq, first sample, counts) rows of equal length."""
    n = len(rows[0][3])
    t0 = np.array([T0_US + r[2] * 10_000 for r in rows], np.int64)

    return Frames.of(
        [r[0] for r in rows],
        np.stack([r[3] for r in rows]),
        boot=1,
        seq=[r[1] for r in rows],
        t0_us=t0,
        received_us=t0 + n * 10_000 + received_delay_us,
        period_ns=10_000_000,
        full_scale_g=16,
        g_per_count=SCALE_G,
        worn=worn,
        lat_deg=31.2,
        lon_deg=121.4,
        accuracy_m=5,
        position_age_s=0.5,
        speed_mps=speed_mps,
    )


def feed(fleet, counts, *, chunk=100, track=1, start=0, name="SF-1", skip=(), **context):
    """Pushes one helmet's samples in frames of `chunk`, without the frames numbered in `skip`."""
    out = []
    for first in range(start, len(counts), chunk):
        seq = first // chunk
        part = counts[first : first + chunk]
        if seq not in skip and len(part):
            f = frames([(name, seq, first, part)], **context)
            now_us = int(f.received_us[0])
            out += fleet.push(f, np.array([track]), np.array([first]), now_us)
    return out


def essence(detections):
    """What must not depend on frames: everything but identity, arrival and the frame's own columns."""
    skip = {"incident", "sent_us", "received_us", "detected_us", "boot", "seq", "helmet", "late"}
    alike = [d if d.trace is None else replace(d, trace=replace(d.trace, frames=[])) for d in detections]
    return [
        tuple((name, repr(getattr(d, name))) for name in d.__dataclass_fields__ if name not in skip)
        for d in alike
    ]
