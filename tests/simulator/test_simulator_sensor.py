"""The sensor chain clips, filters, samples and quantises, in this order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model import G0
from simulator.impacts import half_sine
from simulator.motion import FINE_HZ
from simulator.sensor import FAST, HIGH_G, SLOW, STANDARD, Part, counts, sampled

parts = st.sampled_from([SLOW, STANDARD, FAST, HIGH_G])
phases = st.floats(0, 1)


@given(parts, phases, st.floats(-10, 10))
def test_a_constant_passes_unchanged_and_without_a_transient(part: Part, phase: float, value: float) -> None:
    out = sampled(np.full((3200, 3), value), part, phase)
    np.testing.assert_allclose(out, value, atol=1e-4)
    assert len(out) in (part.rate_hz, part.rate_hz + 1)


@given(parts, phases, st.integers(0, 1000))
def test_nothing_beyond_the_range_comes_out(part: Part, phase: float, seed: int) -> None:
    f = np.random.default_rng(seed).normal(0, 500, (640, 3))
    out = counts(sampled(f, part, phase), part.full_scale_g, part.g_per_count)
    assert out.dtype == np.int16
    assert np.abs(out.astype(int)).max() <= 32768


@given(phases, st.floats(0.006, 0.014), st.floats(1, 2))
def test_an_unclipped_pulse_keeps_its_change_of_speed(phase: float, contact_s: float, delta_v: float) -> None:
    f = np.zeros((3200, 3))
    pulse = half_sine(delta_v, contact_s)
    f[1600 : 1600 + len(pulse), 0] = pulse
    seen = sampled(f, HIGH_G, phase)[:, 0].sum() / HIGH_G.rate_hz * G0
    assert seen == pytest.approx(delta_v, rel=0.05)


def test_a_clipped_pulse_loses_change_of_speed() -> None:
    f = np.zeros((3200, 3))
    pulse = half_sine(6.0, 0.008)
    f[1600 : 1600 + len(pulse), 0] = pulse
    seen = sampled(f, STANDARD, 0.3)[:, 0].sum() / STANDARD.rate_hz * G0
    assert seen < 0.5 * 6.0


@given(phases)
def test_what_is_far_above_half_the_rate_is_filtered_out(phase: float) -> None:
    t = np.arange(FINE_HZ) / FINE_HZ
    f = np.repeat(np.sin(2 * np.pi * 610 * t)[:, None], 3, 1)
    assert np.abs(sampled(f, STANDARD, phase)[10:]).max() < 0.02


def test_counts_times_resolution_is_the_value_to_half_a_count() -> None:
    values = np.random.default_rng(1).uniform(-15.9, 15.9, (500, 3))
    back = counts(values, 16, STANDARD.g_per_count) * STANDARD.g_per_count
    assert np.abs(back - values).max() <= STANDARD.g_per_count / 2 + 1e-12
