"""Any counts at any rate give detections or none, never an exception or a warning."""

import warnings
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import frames

from detectors import Fleet

PERIODS_NS = [312_500, 2_500_000, 5_000_000, 10_000_000, 20_000_000, 100_000_000]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(PERIODS_NS),
    st.lists(st.tuples(st.integers(1, 120), st.integers(0, 400)), min_size=1, max_size=25),
    st.sampled_from([2.0, 16.0, 200.0]),
)
def test_no_counts_break_the_fleet(seed, period_ns, steps, full_scale_g):
    rng = np.random.default_rng(seed)
    fleet, index = Fleet(), 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seq, (many, hole) in enumerate(steps):
            size = int(rng.choice([0, 50, 5000, 32767]))
            counts = rng.integers(-size - 1, size + 1, (many, 3)).astype(np.int16)
            counts[:, 2] = np.clip(counts[:, 2].astype(int) + 2043, -32768, 32767)
            f = frames([("SF-1", seq, index, counts)])
            f = replace(
                f,
                period_ns=np.array([period_ns], np.uint32),
                full_scale_g=np.array([full_scale_g], np.float32),
                g_per_count=np.array([full_scale_g / 32700], np.float32),
            )
            fleet.push(f, np.array([1]), np.array([index]), 0)
            index += many + (hole if seq % 3 == 2 else 0)
            if seq % 5 == 4:
                fleet.advance(10**18)
        fleet.forget(1)
