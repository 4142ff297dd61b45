"""Frames made by hand, for the tests of ingestion."""

import numpy as np

from core.model import Flag, Frames

NOW_US = 1_790_000_000_000_000


def frames(
    acc: np.ndarray, gyro: np.ndarray | None = None, helmet: str = "SF-000001", **columns: float
) -> Frames:
    known = {
        "boot": 3, "seq": 41, "t0_us": NOW_US, "received_us": NOW_US + 1_000_000, "period_ns": 10_000_000,
        "full_scale_g": 16, "g_per_count": 1 / 2048, "rad_s_per_count": 0.001 if gyro is not None else 0,
        "flags": Flag.POSITION | (0 if gyro is None else Flag.GYRO), "worn": 2, "strap": 1, "battery_pct": 87,
        "lat_deg": 22.5431, "lon_deg": 114.0579, "accuracy_m": 4.5, "position_age_s": 0.4, "speed_mps": 6.1,
    }  # fmt: skip
    return Frames.of([helmet] * len(acc), acc, gyro, **(known | columns))
