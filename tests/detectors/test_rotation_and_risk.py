"""Rotational metrics and risk curves against the tables of the literature (docs/detection.md)."""

import itertools

import numpy as np
import pytest

from detectors import risk, rotation

HIC_TABLE = {
    100: (0.052650, 0.017863, 0.006574, 0.001430, 0.000083, 0.000001, 0.002672, 0.000060, 0.000000),
    250: (0.328495, 0.110809, 0.036969, 0.007982, 0.000527, 0.000009, 0.044258, 0.004536, 0.000213),
    500: (0.787513, 0.383433, 0.126751, 0.028059, 0.002294, 0.000055, 0.188194, 0.047202, 0.008670),
    700: (0.938445, 0.646865, 0.255077, 0.061300, 0.006043, 0.000190, 0.313076, 0.111629, 0.034077),
    1000: (0.991507, 0.894731, 0.532454, 0.169384, 0.023431, 0.001124, 0.473742, 0.230894, 0.108375),
    1500: (0.999689, 0.990259, 0.886620, 0.557659, 0.179707, 0.019873, 0.660213, 0.425452, 0.285727),
    2400: (0.999999, 0.999879, 0.995742, 0.968952, 0.916266, 0.774983, 0.833524, 0.672632, 0.583138),
}
COLUMNS = [
    *(f"prasad_mertz_{x}" for x in ("ais1", "ais2", "ais3", "ais4", "ais5", "fatal")),
    *(f"log_normal_{x}" for x in ("ais2", "ais3", "ais4")),
]


def spin(peak, base_s, axis, fs_hz=10_000.0):
    alpha = np.zeros((round((base_s + 0.1) * fs_hz), 3))
    n = round(base_s * fs_hz)
    alpha[: n + 1, axis] = peak * np.sin(np.pi * np.arange(n + 1) / n)
    return alpha


def test_v16_bric_of_the_example_by_each_set_of_critical_velocities():
    omega = np.diag([30.0, 25.0, 20.0])
    assert float(rotation.bric(omega)) == pytest.approx(0.786661, abs=1e-6)
    assert float(rotation.bric(omega, "mps")) == pytest.approx(0.808042, abs=1e-6)


def test_v16_bric_depends_on_the_axes():
    # A known wrong program feeds the first axis three times.
    omega = np.diag([30.0, 25.0, 20.0])
    values = {round(float(rotation.bric(omega[:, list(p)])), 6) for p in ((0, 1, 2), (1, 2, 0), (2, 0, 1))}
    assert len(values) == 3


@pytest.mark.parametrize(
    ("base_s", "expected"),
    [
        (0.010, (0.251544, 0.335624, 0.402966)),
        (0.005, (0.133415, 0.174927, 0.208152)),
        (0.020, (0.400593, 0.567769, 0.706224)),
    ],
)
def test_v17_damage_of_half_sine_spins(base_s, expected):
    got = rotation.damage(np.stack([spin(5000.0, base_s, axis) for axis in range(3)]), 10_000.0)
    assert got == pytest.approx(expected, abs=2e-6)


def test_v17_damage_of_a_step_overshoots_the_static_strain():
    step = np.zeros((20_000, 3))
    step[1:, 1] = 1000.0
    peak = float(rotation.damage(step, 10_000.0))
    assert peak == pytest.approx(0.153043, abs=2e-6)
    assert peak > 0.127285 == pytest.approx(2.9903 * 1000 / 23493, abs=1e-6)


def test_rotational_hic_of_a_half_sine_spin():
    assert float(rotation.ric36(spin(5000.0, 0.010, 0, 100_000.0), 100_000.0)) == pytest.approx(
        7.32997e6, rel=1e-5
    )


def test_gambit_has_two_scales_that_are_not_interchangeable():
    assert float(rotation.gambit_linear(150, 8000)) == pytest.approx(1.4)
    assert float(rotation.gambit_kramer(150, 8000)) == pytest.approx(0.644918, abs=1e-6)


def test_angular_acceleration_is_refused_below_a_kilohertz():
    with pytest.raises(ValueError, match="1 kHz"):
        rotation.alpha_rad_s2(np.zeros((10, 3)), 400.0)
    turning = np.arange(10.0)[:, None] * np.array([1.0, 0.0, 0.0])
    assert rotation.alpha_rad_s2(turning, 1000.0)[:, 0] == pytest.approx(1000.0)


@pytest.mark.parametrize("hic", HIC_TABLE)
def test_v18_risk_of_hic_equals_the_table(hic):
    assert [float(risk.CURVES[name](hic)) for name in COLUMNS] == pytest.approx(HIC_TABLE[hic], abs=6e-7)


def test_v18_risk_grows_with_hic_and_falls_with_severity():
    hic = np.linspace(1, 2500, 2000)
    for family in ("prasad_mertz", "log_normal"):
        curves = [risk.CURVES[name](hic) for name in COLUMNS if name.startswith(family)]
        assert all((np.diff(p) >= 0).all() for p in curves)
        assert all((mild >= grave - 1e-12).all() for mild, grave in itertools.pairwise(curves))


def test_v19_strain_damage_risk_is_nothing_up_to_its_threshold():
    assert risk.bric_csdm(np.array([0.0, 0.3, 0.523]), "ais2").tolist() == [0, 0, 0]
    assert float(risk.bric_csdm(1.0, "ais2")) > 0.8


def test_risk_of_bric_by_strain():
    assert risk.bric_mps(np.array([0.5, 1.0]), "ais2") == pytest.approx([0.445800, 0.985392], abs=1e-6)
    assert risk.bric_mps(np.array([0.5, 1.0]), "ais3") == pytest.approx([0.134933, 0.645789], abs=1e-6)


def test_risk_of_damage_is_the_published_weibull():
    assert float(risk.damage(0.459 / 0.957 - 0.017 / 0.957, "ais2")) == pytest.approx(1 - np.exp(-1))


def test_v20_combined_probability_of_concussion():
    got = risk.vt_concussion(np.array([60, 100, 150]), np.array([3000, 5000, 8000]))
    assert got == pytest.approx([0.005774, 0.122927, 0.897982], abs=1e-6)


def test_every_curve_gives_probabilities():
    for name, curve in risk.CURVES.items():
        x = np.linspace(0, 3000, 50)
        p = curve(x, x) if name == "vt_concussion" else curve(x)
        assert ((p >= 0) & (p <= 1)).all(), name
