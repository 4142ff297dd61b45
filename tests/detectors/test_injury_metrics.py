"""Injury metrics against brute force, closed forms (docs/detection.md) and implementations known to be wrong.

Verification cases: V1, V2, V3, V4, V5, V6, V7, V8, V9, V10.
"""

import itertools

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from motion_cases import blow
from scipy import signal

from detectors import features, gravity, injury
from detectors.window import Window

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
def test_v1_at_ten_kilohertz_one_percent_is_left(peak_g, base_s, window_s, expected):
    got = [float(injury.hic(pulse(s, peak_g, base_s, 1e4), 1e4, window_s)) for s in PULSES]
    assert got == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("peak_g", "base_s", "window_s", "expected"), TABLE)
def test_v1_hic_of_textbook_pulses_equals_the_closed_forms(peak_g, base_s, window_s, expected):
    got = [float(injury.hic(pulse(s, peak_g, base_s), FS_HZ, window_s)) for s in PULSES]
    assert got == pytest.approx(expected, rel=2e-5)


@settings(max_examples=60, deadline=None)
@given(signals, st.sampled_from([400.0, 1000.0, 3200.0]), st.sampled_from([0.015, 0.036]))
def test_v2_hic_equals_brute_force_over_all_pairs(a, fs_hz, window_s):
    assert float(injury.hic(a, fs_hz, window_s)) == pytest.approx(reference.hic(a, fs_hz, window_s), rel=1e-9)


def test_v4_hic_finds_the_inner_window_of_a_non_negative_pulse():
    # A known wrong program takes the widest window where the signal has one sign: 176.02.
    assert float(injury.hic(pulse("half_sine", 100, 0.010), FS_HZ)) == pytest.approx(414.64565, rel=1e-5)


def test_v7_hic_of_a_vendor_s_published_example():
    t = np.arange(0, 0.05 + 1e-9, 1e-4)
    assert float(injury.hic(np.sin(20 * np.pi * t), 1e4, 0.03)) == pytest.approx(0.02048, abs=1e-5)


@pytest.mark.parametrize("side", ["first", "last"])
def test_v5_hic_sees_a_pulse_that_touches_the_edge_of_the_record(side):
    quiet = np.zeros(200)
    half = pulse("rectangle", 50, 0.01, 1000.0)
    record = np.concatenate([half, quiet] if side == "first" else [quiet, half])
    assert float(injury.hic(record, 1000.0)) >= 50**2.5 * 0.01 * 0.999


def test_v6_hic_at_fifty_hertz_is_coarse_but_not_zero():
    record = np.concatenate([np.zeros(10), pulse("half_sine", 40, 0.08, 50.0), np.zeros(10)])
    assert 40**2.5 * 0.015 * 0.5 < float(injury.hic(record, 50.0)) < 40**2.5 * 0.015
    assert injury.is_coarse(50.0) and injury.is_coarse(100.0) and not injury.is_coarse(400.0)


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, 60, elements=st.floats(0, 200, width=32)))
def test_v3_hic_keeps_its_laws(a):
    hic15, hic36 = float(injury.hic(a, 1000.0, 0.015)), float(injury.hic(a, 1000.0, 0.036))
    assert hic36 >= hic15
    assert float(injury.hic(2 * a, 1000.0, 0.015)) == pytest.approx(2**2.5 * hic15, rel=1e-9)
    assert float(injury.hic(a[::-1], 1000.0, 0.015)) == pytest.approx(hic15, rel=1e-9)
    padded = np.concatenate([a, np.zeros(30)])
    assert float(injury.hic(padded, 1000.0, 0.015)) >= hic15 * (1 - 1e-12)


def test_v8_severity_index_of_textbook_pulses():
    for shape, k in [
        ("rectangle", 1),
        ("half_sine", 0.45765586),
        ("triangle", 2 / 7),
        ("parabola", 0.49087385),
        ("haversine", 0.33953055),
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


@pytest.mark.parametrize(("window_s", "base_s"), [(1.0, 0.010), (0.015, 0.030)])
def test_v3_the_ends_of_the_best_window_lie_at_six_tenths_of_its_mean(window_s, base_s):
    a = np.concatenate([np.zeros(200), pulse("half_sine", 100, base_s, 1e4), np.zeros(200)])
    total = np.concatenate([[0.0], np.cumsum((a[1:] + a[:-1]) / 2e4)])
    best, ends = 0.0, (0, 0)
    for i in range(len(a)):
        for j in range(i + 1, min(len(a), i + round(window_s * 1e4) + 1)):
            value = (total[j] - total[i]) ** 2.5 * ((j - i) / 1e4) ** -1.5
            if value > best:
                best, ends = value, (i, j)
    mean = (total[ends[1]] - total[ends[0]]) * 1e4 / (ends[1] - ends[0])
    assert best == pytest.approx(float(injury.hic(a, 1e4, window_s)), rel=1e-9)
    if window_s == 1.0:
        assert a[list(ends)] == pytest.approx(0.6 * mean, rel=0.03)
    else:
        assert a[ends[0]] == pytest.approx(a[ends[1]], rel=0.02) and a[ends[0]] >= 0.6 * mean


@settings(max_examples=30, deadline=None)
@given(st.floats(0.004, 0.012), st.floats(10, 100), st.integers(0, 2**16))
def test_v9_change_of_velocity_survives_the_low_pass_and_is_a_lower_bound_when_clipped(base_s, peak_g, seed):
    rng = np.random.default_rng(seed)
    acc = np.zeros((4000, 3))
    hit = pulse("half_sine", peak_g, base_s, 10_000.0)
    direction = rng.normal(0, 1, 3)
    acc[1500 : 1500 + len(hit)] = hit[:, None] * direction / np.linalg.norm(direction)
    true = float(injury.dv_mps(acc, 10_000.0, 0.05))
    low = signal.sosfilt(signal.butter(2, 100, fs=10_000, output="sos"), acc, axis=0)
    assert float(injury.dv_mps(low, 10_000.0, 0.05)) == pytest.approx(true, rel=0.05)
    clipped = [float(injury.dv_mps(np.clip(acc, -c, c), 10_000.0, 0.05)) for c in (4, 8, 16, 32, 200)]
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(clipped))
    assert clipped[-1] == pytest.approx(true)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16))
def test_v10_gravity_is_taken_off_as_a_vector_whatever_the_attitude(seed):
    rng = np.random.default_rng(seed)
    up, direction = (v / np.linalg.norm(v) for v in rng.normal(0, 1, (2, 3)))
    acc = up + rng.normal(0, 0.002, (1200, 3))  # a real part shows noise; equal samples are a frozen one
    acc[800:806] += blow(25.0, 0.06, direction)
    window = Window(0, np.round(acc * 1000).astype(np.int16), np.zeros(1200, bool), 100.0, 1e-3)
    before = gravity.posture(window.g(350, 680), 100.0)
    at = 800 + int(np.linalg.norm(acc[800:806], axis=1).argmax())
    shock = features.shock(window, at, 1200, before, 200.0)
    assert shock["helmet_pla_g"] == pytest.approx(
        float(np.linalg.norm(blow(25.0, 0.06, direction), axis=1).max()), abs=0.02
    )
