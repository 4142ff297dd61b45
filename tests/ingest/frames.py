"""Frames made by hand, for the tests of ingestion."""

import math

import numpy as np

from core.model import Flag, Frames

NOW_US = 1_790_000_000_000_000


def frames(
    acc: np.ndarray, gyro: np.ndarray | None = None, helmet: str = "SF-000001", **columns: float
) -> Frames:
    k = len(acc)
    given_columns = {
        "boot": 3, "seq": 41, "t0_us": NOW_US, "received_us": NOW_US + 1_000_000, "period_ns": 10_000_000,
        "full_scale_g": 16, "g_per_count": 1 / 2048, "rad_s_per_count": 0.001 if gyro is not None else 0,
        "flags": Flag.POSITION | (0 if gyro is None else Flag.GYRO), "worn": 2, "strap": 1, "battery_pct": 87,
        "peak_g": math.nan, "lat_deg": 22.5431, "lon_deg": 114.0579, "accuracy_m": 4.5, "position_age_s": 0.4,
        "speed_mps": 6.1,
    } | columns  # fmt: skip
    hints = {
        "boot": np.uint32, "seq": np.uint32, "t0_us": np.int64, "received_us": np.int64, "period_ns": np.uint32,
        "flags": np.uint8, "worn": np.uint8, "strap": np.uint8, "battery_pct": np.uint8,
        "lat_deg": np.float64, "lon_deg": np.float64,
    }  # fmt: skip
    made = {name: np.full(k, value, hints.get(name, np.float32)) for name, value in given_columns.items()}
    return Frames(helmet=[helmet] * k, acc=acc, gyro=gyro, **made)
