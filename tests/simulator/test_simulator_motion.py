"""Everyday motion has the strength the literature gives it, however it is asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.everyday import STATE, everyday, loops
from simulator.motion import EBIKE, ROUGHNESS_M3, SCOOTER, head_psd, obstacle, turned, vibration, walking

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


@pytest.mark.parametrize(
    ("kind", "height_m", "length_m", "kmh", "peak_g"),
    [
        ("pothole", 0.04, 0.4, 10, 4.2),
        ("pothole", 0.04, 0.4, 20, 3.4),
        ("pothole", 0.08, 0.6, 10, 6.4),
        ("pothole", 0.08, 0.6, 20, 8.6),
        ("bump", 0.075, 3.7, 45, 3.9),
        ("kerb", 0.15, 0.1, 15, 10.0),
    ],
)
def test_obstacles_hit_as_hard_as_the_linear_chain_predicts(
    kind: str, height_m: float, length_m: float, kmh: float, peak_g: float
) -> None:
    z = obstacle(kind, height_m, length_m, kmh / 3.6, EBIKE)  # type: ignore[arg-type]
    assert z.max() == pytest.approx(peak_g, rel=0.2)
    assert z.min() >= -1


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
    state["leg_end_s"], state["speed_up"], state["slow_down"], state["halt_s"] = 1e6, 1, 2, np.inf
    return state


@pytest.mark.parametrize("rate_hz", [50, 100, 200, 400])
def test_the_cheap_loops_shake_like_the_road_they_stand_for(rate_hz: int) -> None:
    f, _ = everyday(rate_hz, riding(1), np.array([0]), loops(rate_hz).samples)
    vertical = f[0, :, 2] - 1
    assert vertical.std() == pytest.approx(0.21, rel=0.2)
    assert np.linalg.norm(f[0], axis=1).mean() == pytest.approx(1, abs=0.1)


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
