"""The noise floor of a part: the fifth percentile of its ten-second deviations over a day."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import noise


def follow(deviations_g):
    s, slot, one = np.zeros(1, noise.NOISE), np.zeros(1, np.int64), np.ones(1, np.float32)
    for deviation_g in deviations_g:
        noise.step(s, slot, np.full(1, deviation_g, np.float32), 10 * one, one > 0)
    return float(s["floor_g"][0])


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0005, 0.012), st.floats(0.06, 0.9), st.integers(0, 99))
def test_whoever_rests_six_percent_of_the_time_shows_the_floor(floor_g, rest, seed):
    rng = np.random.default_rng(seed)
    still = rng.permutation(400) < 400 * rest
    got = follow(np.where(still, floor_g, rng.uniform(0.03, 0.2, 400)))
    assert got == pytest.approx(floor_g, rel=0.12)


def test_a_few_lucky_windows_are_no_floor():
    assert follow([0.002] * 300 + [0.0004] * 3) == pytest.approx(0.002, rel=0.12)


def test_a_part_that_has_become_noisier_is_believed_within_a_day_or_two():
    assert follow([0.001] * 200 + [0.003] * 8640) == pytest.approx(0.003, rel=0.12)


def test_nothing_is_known_before_ten_seconds():
    s, slot, one = np.zeros(1, noise.NOISE), np.zeros(1, np.int64), np.ones(1, np.float32)
    for _ in range(9):
        assert noise.step(s, slot, 0.002 * one, one, one > 0)[0] == 0
    assert noise.step(s, slot, 0.002 * one, one, one > 0)[0] > 0
