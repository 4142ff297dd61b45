"""Injury metrics against brute force, closed forms (docs/detection.md) and implementations known to be wrong."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detectors import injury

FS_HZ = 100_000.0
PULSES = {
    "rectangle": lambda u: np.ones_like(u),
    "triangle": lambda u: 1 - np.abs(2 * u - 1),
    "half_sine": lambda u: np.sin(np.pi * u),
    "haversine": lambda u: np.sin(np.pi * u) ** 2,
    "parabola": lambda u: 4 * u * (1 - u),
}
TABLE = [
    # peak g, base s, window s, HIC of rectangle, triangle, half-sine, haversine, parabola
    (100, 0.010, 0.015, (1000.0, 246.40066, 414.64565, 302.93885, 448.26196)),
    (60, 0.030, 0.015, (418.28220, 203.76169, 321.70454, 253.37507, 336.51001)),
    (60, 0.030, 0.036, (836.56440, 206.13002, 346.87779, 253.42786, 375.0)),
    (20, 0.100, 0.015, (26.83282, 22.08109, 26.21812, 25.62194, 26.33253)),
    (20, 0.100, 0.036, (64.39876, 39.21138, 56.28370, 49.48910, 57.66740)),
]
signals = arrays(np.float64, st.integers(2, 60), elements=st.floats(-50, 200, width=32))


def pulse(shape, peak_g, base_s, fs_hz=FS_HZ):
    return peak_g * PULSES[shape](np.linspace(0, 1, round(base_s * fs_hz) + 1))


@pytest.mark.parametrize(("peak_g", "base_s", "window_s", "expected"), TABLE)
def test_hic_of_textbook_pulses_equals_the_closed_forms(peak_g, base_s, window_s, expected):
    got = [float(injury.hic(pulse(s, peak_g, base_s), FS_HZ, window_s)) for s in PULSES]
    assert got == pytest.approx(expected, rel=2e-5)


@settings(max_examples=60, deadline=None)
@given(signals, st.sampled_from([400.0, 1000.0, 3200.0]), st.sampled_from([0.015, 0.036]))
def test_hic_equals_brute_force_over_all_pairs(a, fs_hz, window_s):
    assert float(injury.hic(a, fs_hz, window_s)) == pytest.approx(reference.hic(a, fs_hz, window_s), rel=1e-9)


def test_hic_finds_the_inner_window_of_a_non_negative_pulse():
    # A known wrong program takes the widest window where the signal has one sign: 176.02.
    assert float(injury.hic(pulse("half_sine", 100, 0.010), FS_HZ)) == pytest.approx(414.64565, rel=1e-5)


def test_hic_of_a_vendor_s_published_example():
    t = np.arange(0, 0.05 + 1e-9, 1e-4)
    assert float(injury.hic(np.sin(20 * np.pi * t), 1e4, 0.03)) == pytest.approx(0.02048, abs=1e-5)


@pytest.mark.parametrize("side", ["first", "last"])
def test_hic_sees_a_pulse_that_touches_the_edge_of_the_record(side):
    quiet = np.zeros(200)
    half = pulse("rectangle", 50, 0.01, 1000.0)
    record = np.concatenate([half, quiet] if side == "first" else [quiet, half])
    assert float(injury.hic(record, 1000.0)) >= 50**2.5 * 0.01 * 0.999


def test_hic_at_fifty_hertz_is_coarse_but_not_zero():
    record = np.concatenate([np.zeros(10), pulse("half_sine", 40, 0.08, 50.0), np.zeros(10)])
    assert 40**2.5 * 0.015 * 0.5 < float(injury.hic(record, 50.0)) < 40**2.5 * 0.015


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, 60, elements=st.floats(0, 200, width=32)))
def test_hic_keeps_its_laws(a):
    hic15, hic36 = float(injury.hic(a, 1000.0, 0.015)), float(injury.hic(a, 1000.0, 0.036))
    assert hic36 >= hic15
    assert float(injury.hic(2 * a, 1000.0, 0.015)) == pytest.approx(2**2.5 * hic15, rel=1e-9)
    assert float(injury.hic(a[::-1], 1000.0, 0.015)) == pytest.approx(hic15, rel=1e-9)
    padded = np.concatenate([a, np.zeros(30)])
    assert float(injury.hic(padded, 1000.0, 0.015)) >= hic15 * (1 - 1e-12)


def test_severity_index_of_textbook_pulses():
    for shape, k in [
        ("rectangle", 1),
        ("half_sine", 0.45765586),
        ("triangle", 2 / 7),
        ("parabola", 0.49087385),
    ]:
        got = float(injury.si(pulse(shape, 100, 0.010), FS_HZ))
        assert got == pytest.approx(k * 100**2.5 * 0.010, rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (25, 3), elements=st.floats(-200, 200, width=32)), st.sampled_from([100.0, 400.0]))
def test_change_of_velocity_equals_brute_force(acc_g, fs_hz):
    for window_s in (0.02, 0.05):
        expected = reference.dv_mps(acc_g, fs_hz, window_s)
        assert float(injury.dv_mps(acc_g, fs_hz, window_s)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_change_of_velocity_of_a_half_sine_is_its_area():
    acc_g = np.zeros((3000, 3))
    acc_g[500:1501] = pulse("half_sine", 60, 0.010)[:, None] * np.array([0.6, 0.0, 0.8])
    assert float(injury.dv_mps(acc_g, FS_HZ, 0.02)) == pytest.approx(
        2 * 60 * 0.010 / np.pi * 9.80665, rel=1e-5
    )


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, 40, elements=st.floats(0, 200, width=32)))
def test_three_millisecond_clip_equals_brute_force(a):
    assert float(injury.clip3ms_g(a, 1000.0)) == reference.clip3ms_g(a, 1000.0)


def test_metrics_of_many_impacts_equal_those_of_each():
    rng = np.random.default_rng(0)
    many = rng.normal(0, 20, (5, 80, 3))
    size = np.sqrt((many**2).sum(-1))
    for k in range(5):
        assert injury.pla_g(many)[k] == injury.pla_g(many[k])
        assert injury.hic(size, 400.0)[k] == pytest.approx(float(injury.hic(size[k], 400.0)))
        assert injury.dv_mps(many, 400.0, 0.02)[k] == pytest.approx(
            float(injury.dv_mps(many[k], 400.0, 0.02))
        )
