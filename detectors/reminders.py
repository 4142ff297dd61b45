"""Rides without the helmet on, as messages to the desk: filed at once (stage cancelled), so they never call anybody.

The rider is reminded by the helmet; the desk finds the ride in its history, with a second version when it is over.
"""

import hashlib
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.model import Detection, Frames, Kind, Stage, Worn
from detectors.report import position
from detectors.ring import Ring
from detectors.severity import quality
from detectors.unworn import UNWORN_S, Unworn


class Author(NamedTuple):
    """Who says so, and when."""

    now_us: int
    late_us: int
    detector: str


def not_worn(
    ring: Ring, slot: npt.NDArray[np.int64], frames: Frames, rides: Unworn, author: Author
) -> list[Detection]:
    """What to say about the rides that were opened or are over with these frames."""
    out = []
    for k in np.flatnonzero(rides.opened).tolist():
        zh = f"未戴头盔骑行满 {UNWORN_S:.0f} 秒，已提醒骑手；没有撞击"
        en = f"has ridden for {UNWORN_S:.0f} s without the helmet on, the rider is reminded; no impact"
        out.append(_detection(ring, int(slot[k]), frames, k, 1, (zh, en), author))
    for k in np.flatnonzero(rides.over & ~rides.opened).tolist():
        row = ring.wear[slot[k]]
        minutes = max(1, round((int(row["end_us"]) - int(row["opened_us"])) / 60e6 + UNWORN_S / 60))
        zh = f"未戴头盔骑行约 {minutes} 分钟，已结束；没有撞击"
        en = f"rode for about {minutes} min without the helmet on; it is over; no impact"
        out.append(_detection(ring, int(slot[k]), frames, k, 2, (zh, en), author))
    return out


def _detection(
    ring: Ring, slot: int, frames: Frames, k: int, version: int, reason: tuple[str, str], author: Author
) -> Detection:
    row = ring.wear[slot]
    opened_us, helmet = int(row["opened_us"]), frames.helmet[k]
    began_us = opened_us - round(UNWORN_S * 1e6)
    speed, received_us = float(frames.speed_mps[k]), int(frames.received_us[k])
    return Detection(
        incident=hashlib.blake2b(f"{helmet}/not_worn/{opened_us}".encode(), digest_size=8).hexdigest(),
        version=version,
        helmet=helmet,
        kind=Kind.NOT_WORN,
        stage=Stage.CANCELLED,
        severity=1,
        severity_basis="context",
        quality=quality(ring.fs_hz, ring.full_scale_g),
        occurred_us=began_us,
        impacts_us=[],
        received_us=received_us,
        detected_us=author.now_us,
        boot=int(frames.boot[k]),
        seq=int(frames.seq[k]),
        reason_zh=reason[0],
        reason_en=reason[1],
        worn=Worn.NO,
        late=received_us - int(row["end_us"]) > author.late_us,
        speed_mps=None if math.isnan(speed) else speed,
        position=position(frames, k),
        features={"wear_logodds": round(float(row["logodds"]), 2)},
        detector=author.detector,
    )
