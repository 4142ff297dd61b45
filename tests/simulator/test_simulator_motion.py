"""Everyday motion has the strength the literature gives it, however it is asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from simulator.everyday import STATE, everyday, loops
from simulator.motion import (
    EBIKE,
    ROUGHNESS_M3,
    SCOOTER,
    Obstacle,
    head_psd,
    obstacle,
    turned,
    vibration,
    walking,
)

# RMS of the head's vertical acceleration in g, by road class, at 10, 15, 25 and 45 km/h on a rigid e-bike.
HEAD_RMS_G = {
    "A": (0.06, 0.08, 0.10, 0.14),
    "B": (0.13, 0.16, 0.21, 0.28),
    "C": (0.25, 0.31, 0.41, 0.56),
    "D": (0.50, 0.63, 0.82, 1.11),
}
F_HZ = np.linspace(0.05, 200, 8000)


@pytest.mark.parametrize("road", "ABCD")
def test_a_rough_road_shakes_the_head_as_much_as_iso_8608_and_the_body_say(road: str) -> None:
    for kmh, expected in zip((10, 15, 25, 45), HEAD_RMS_G[road], strict=True):
        psd = head_psd(F_HZ, kmh / 3.6, ROUGHNESS_M3[road], EBIKE)
        assert np.sqrt(np.trapezoid(psd, F_HZ)) == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize(("road", "expected"), [("B", 0.09), ("C", 0.18), ("D", 0.36)])
def test_a_suspended_scooter_shakes_less(road: str, expected: float) -> None:
    psd = head_psd(F_HZ, 25 / 3.6, ROUGHNESS_M3[road], SCOOTER)
    assert np.sqrt(np.trapezoid(psd, F_HZ)) == pytest.approx(expected, rel=0.2)


def test_noise_made_from_a_density_has_its_power() -> None:
    x = vibration(np.random.default_rng(0), 80_000, 400, lambda f: head_psd(f, 25 / 3.6, 64e-6, EBIKE))
    assert x.std() == pytest.approx(0.21, rel=0.1)


@pytest.mark.parametrize("road", "BCD")
def test_a_road_made_in_time_has_the_strength_of_its_spectrum_and_no_heavier_tails_than_noise(
    road: str,
) -> None:
    expected = {"B": 0.206, "C": 0.412, "D": 0.825}[road]
    rng = np.random.default_rng(0)
    x = vibration(rng, 160_000, 400, lambda f: head_psd(f, 25 / 3.6, ROUGHNESS_M3[road], EBIKE))
    assert x.std() == pytest.approx(expected, rel=0.1)
    assert stats.kurtosis(x, fisher=False) == pytest.approx(3, abs=0.3)


@pytest.mark.parametrize(
    ("kind", "height_m", "length_m", "kmh", "peak_g"),
    [
        ("bump", 0.075, 3.7, 20, 0.5), ("bump", 0.075, 3.7, 30, 1.5), ("bump", 0.075, 3.7, 45, 3.9),
        ("bump", 0.05, 0.35, 10, 5.3), ("bump", 0.05, 0.35, 20, 3.8),
        ("pothole", 0.04, 0.4, 10, 4.2), ("pothole", 0.04, 0.4, 20, 3.4),
        ("pothole", 0.08, 0.6, 10, 6.4), ("pothole", 0.08, 0.6, 20, 8.6), ("pothole", 0.08, 0.6, 30, 6.8),
        ("kerb", 0.15, 0.1, 15, 10.0),
    ],
)  # fmt: skip
def test_obstacles_hit_as_hard_as_the_linear_chain_predicts(
    kind: Obstacle, height_m: float, length_m: float, kmh: float, peak_g: float
) -> None:
    # The study's figures are the largest departure either way, before the wheel's unloading is clamped at 1 g: a
    # rubber bump's 5.3 g point downwards, and a wheel cannot be pulled down.
    linear = obstacle(kind, height_m, length_m, kmh / 3.6, EBIKE, glued=True)
    assert np.abs(linear).max() == pytest.approx(peak_g, rel=0.07)
    felt = obstacle(kind, height_m, length_m, kmh / 3.6, EBIKE)
    assert felt.min() >= -1
    assert felt.max() == linear.max()


def test_a_scooter_halves_what_obstacles_do() -> None:
    ratios = []
    for kind, height_m, length_m, kmh in (
        ("bump", 0.05, 0.35, 20),
        ("pothole", 0.08, 0.6, 20),
        ("kerb", 0.15, 0.1, 15),
    ):
        rigid, soft = (
            np.abs(obstacle(kind, height_m, length_m, kmh / 3.6, v, glued=True)).max()  # type: ignore[arg-type]
            for v in (EBIKE, SCOOTER)
        )
        ratios.append(soft / rigid)
    assert np.mean(ratios) == pytest.approx(0.5, abs=0.12)


def test_walking_is_a_line_near_two_steps_a_second() -> None:
    x = walking(np.random.default_rng(1), 6000, 100)
    spectrum = np.abs(np.fft.rfft(x)) ** 2
    strongest_hz = np.fft.rfftfreq(6000, 0.01)[spectrum.argmax()]
    assert x.std() == pytest.approx(0.2, rel=0.05)
    assert 1.4 <= strongest_hz <= 2.6


def test_turning_by_a_right_angle_puts_gravity_on_another_axis() -> None:
    up = turned(np.array([1.0, 0.0, 0.0]), np.array([0.0, np.pi / 2]))
    assert up[0] == pytest.approx([0, 0, 1])
    assert abs(up[1][1]) == pytest.approx(1)


def riding(n: int) -> np.ndarray:
    state = np.zeros(n, STATE)
    state["offset"] = np.random.default_rng(5).integers(0, 10**6, n)
    state["rough"], state["up"], state["sway"], state["stir_g"] = 1, (0, 0, 1), 0.05, 0.02
    state["v_in"] = state["v_cruise"] = state["v_out"] = 25 / 3.6
    state["halt_down"] = 6
    state["leg_end_s"], state["speed_up"], state["slow_down"], state["halt_s"] = 1e6, 1, 2, np.inf
    return state


@pytest.mark.parametrize("rate_hz", [50, 100, 200, 400])
def test_the_cheap_loops_shake_like_the_road_they_stand_for(rate_hz: int) -> None:
    f, _ = everyday(rate_hz, riding(1), np.array([0]), loops(rate_hz).samples)
    vertical = f[0, :, 2] - 1
    assert vertical.std() == pytest.approx(0.21, rel=0.2)
    assert np.linalg.norm(f[0], axis=1).mean() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("rough", [1.0, 2.0])
def test_fore_and_aft_and_sideways_the_head_gets_a_third_of_a_class_b_road(rough: float) -> None:
    state = riding(1)
    state["rough"], state["sway"], state["stir_g"] = rough, 0, 0
    f, _ = everyday(200, state, np.array([0]), loops(200).samples)
    vertical = (f[0, :, 2] - 1).std() / rough
    assert f[0, :, 0].std() / vertical == pytest.approx(0.35, rel=0.1)
    assert f[0, :, 1].std() / vertical == pytest.approx(0.35, rel=0.1)


@pytest.mark.parametrize(
    ("activity", "low_g", "high_g"), [("ride", 0.15, 0.35), ("walk", 0.12, 0.25), ("park", 0, 0.02)]
)
def test_before_an_event_a_helmet_is_shaken_as_the_study_says(
    activity: str, low_g: float, high_g: float
) -> None:
    # "ride g" of its last table: 0.23 to 0.30 riding, 0.17 walking, 0.02 on a table.
    shaken = []
    for k in range(40):
        rng = np.random.default_rng(k)
        state = riding(1)
        state["offset"] = rng.integers(0, 2**30)
        v = rng.uniform(4, 10.5) if activity == "ride" else 0
        state["v_in"] = state["v_cruise"] = state["v_out"] = v
        state["rough"] = np.clip(np.exp(rng.normal(0, 0.4)), 0.4, 3)
        state["walk"] = rng.uniform(0.6, 1.3) if activity == "walk" else 0
        if activity == "park":
            state["sway"] = state["stir_g"] = 0
        f, _ = everyday(100, state, np.array([0]), 600)
        shaken.append(np.linalg.norm(f[0], axis=1).std())
    assert low_g <= np.median(shaken) <= high_g


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**7), st.integers(1, 150), st.integers(1, 150))
def test_motion_is_the_same_in_one_piece_or_two_alone_or_in_company(first: int, a: int, b: int) -> None:
    state = riding(3)
    whole, v = everyday(100, state, np.full(3, first), a + b)
    left, _ = everyday(100, state[1:2], np.array([first]), a)
    right, _ = everyday(100, state[1:2], np.array([first + a]), b)
    np.testing.assert_array_equal(whole[1], np.concatenate([left[0], right[0]]))
    assert v.shape == (3, a + b)
    assert not np.array_equal(whole[0], whole[1])
