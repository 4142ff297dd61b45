"""Where the sensor sits, how an unworn helmet rides along, and what kinds of parts there are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model import G0, Flag, Worn
from ingest.codec import Message, decode_motion, topic
from simulator import impacts
from simulator.everyday import PENDULUM_SHOWS
from simulator.helmet import Helmets
from simulator.motion import FINE_HZ
from simulator.pulses import SENSOR_FROM_PIVOT_M
from simulator.scenario import Group, Scenario
from simulator.sensor import PARTS, Part

START_US = 1_790_000_000_000_000
GYRO = Part(200, 32, 0.004, gyro_rad_s=35.0)


def ridden(group: Group, seconds: int = 120) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray]:
    """Acceleration in g, angular rate in rad/s, wear and speed of one riding helmet."""
    helmets = Helmets(Scenario("m", 1, 3, groups=(group,), rough_spots_per_h=0), START_US)
    acc, gyro, worn, speed = [], [], [], []
    for _ in range(seconds):
        frame = helmets.prepare(np.array([0]))[0]
        row = decode_motion([Message(topic(helmets.ids[0], "motion"), frame.payload, frame.due_us)]).frames[0]
        acc.append(row.acc[0] * row.g_per_count[0])
        if row.gyro is not None:
            gyro.append(row.gyro[0] * row.rad_s_per_count[0])
        worn.append(row.worn[0])
        speed.append(row.speed_mps[0])
    rates = np.concatenate(gyro) if gyro else None
    return np.concatenate(acc), rates, np.array(worn), np.array(speed)


def power(x: np.ndarray, fs: float, low_hz: float, high_hz: float) -> float:
    f = np.fft.rfftfreq(len(x), 1 / fs)
    density = np.square(np.abs(np.fft.rfft(x - x.mean(0), axis=0))) / len(x)
    return float(density[(f >= low_hz) & (f < high_hz)].sum())


def tilt_deg(acc: np.ndarray) -> float:
    up = acc.mean(0) / np.linalg.norm(acc.mean(0))
    return float(np.degrees(np.arccos(up[2])))


@pytest.mark.parametrize("how", ["hangs", "boxed"])
def test_a_helmet_that_rides_along_unworn_lies_outside_the_cone_of_heads_and_is_shaken_harder(
    how: str,
) -> None:
    base = Group(1, GYRO, riding=True, vehicle="ebike", position=True, wear_sensor=True)
    on_head, _, yes, _ = ridden(base)
    acc, _, worn, speed = ridden(
        Group(**{**{f: getattr(base, f) for f in base.__dataclass_fields__}, how: True})
    )
    assert (yes == Worn.YES).all()
    assert (worn == Worn.NO).all()
    assert speed.max() > 4
    assert tilt_deg(on_head) < 20
    assert tilt_deg(acc) > 60
    # No seat, body and neck between the road and the helmet.
    assert power(acc, 200, 12, 60) > 5 * power(on_head, 200, 12, 60)


def test_a_helmet_on_its_strap_swings_as_a_pendulum_and_gravity_shows_a_third_of_it() -> None:
    acc, gyro, _, _ = ridden(Group(1, GYRO, riding=True, position=True, hangs=True))
    assert gyro is not None
    assert power(gyro, 200, 0.8, 2.0) > 0.7 * power(gyro, 200, 0.1, 5.0)
    # Angle from the gyroscope, and from gravity, in the band of the swinging.
    f = np.fft.rfftfreq(len(acc), 1 / 200)
    band = (f > 0.9) & (f < 1.9)
    turned = np.abs(np.fft.rfft(gyro, axis=0))[band] / (2 * np.pi * f[band, None])
    shown = np.abs(np.fft.rfft(acc, axis=0))[band]
    seen = np.sqrt(np.square(shown).sum() / np.square(turned[:, :2]).sum())
    assert PENDULUM_SHOWS * 0.4 < seen < PENDULUM_SHOWS * 2.2


def test_a_sensor_on_the_shell_rattles_above_30_hz_and_shakes_alike_below() -> None:
    base = {"part": GYRO, "riding": True, "vehicle": "ebike", "position": True}
    liner, shell = (ridden(Group(1, sensor=at, **base))[0] for at in ("liner", "shell"))  # type: ignore[arg-type]
    assert power(shell, 200, 35, 85) > 3 * power(liner, 200, 35, 85)
    assert power(shell, 200, 0.5, 20) == pytest.approx(power(liner, 200, 0.5, 20), rel=0.05)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(2, 8))
def test_the_spin_of_a_strike_is_one_motion_to_gyroscope_and_accelerometer(seed: int, v_mps: float) -> None:
    n, at = FINE_HZ, 640
    f, omega, carried = np.zeros((n, 3)), np.zeros((n, 3)), np.tile([0.0, 0.0, 1.0], (n, 1))
    impacts.twist(np.random.default_rng(seed), f, omega, carried, at / FINE_HZ, v_mps)
    rate = np.linalg.norm(omega, axis=1)
    assert 0.05 * v_mps / 0.1 < rate.max() < 0.31 * v_mps / 0.1
    assert 4 < rate[: at + 224].argmax() - at < 40, "up within 10 ms"
    up, expected = np.array([0.0, 0.0, 1.0]), np.zeros((n, 3))
    alpha = np.gradient(omega, 1 / FINE_HZ, axis=0)
    for k in range(n):  # gravity turned by the gyroscope's rates alone, and the sensor carried around
        up = up - np.cross(omega[k], up) / FINE_HZ
        up /= np.linalg.norm(up)
        inward = np.cross(omega[k], np.cross(omega[k], SENSOR_FROM_PIVOT_M))
        expected[k] = up - [0, 0, 1] + (np.cross(alpha[k], SENSOR_FROM_PIVOT_M) + inward) / G0
    assert np.abs(f - expected).max() < 0.05 + 0.05 * np.abs(expected).max()
    assert np.degrees(np.arccos(np.clip(up[2], -1, 1))) < 2, "the neck turns the head back"


@pytest.mark.parametrize("name", sorted(PARTS))
def test_every_part_sends_frames_of_its_rate_range_and_kind(name: str) -> None:
    part = PARTS[name]
    helmets = Helmets(Scenario("p", 2, groups=(Group(2, part, riding=True),), rough_spots_per_h=0), START_US)
    noise = []
    for _ in range(3):
        for frame in helmets.prepare(np.arange(2)):
            message = Message(topic(helmets.ids[frame.index], "motion"), frame.payload, frame.due_us)
            row = decode_motion([message]).frames[0]
            assert row.acc.shape[1] == part.rate_hz
            assert int(row.period_ns[0]) == round(1e9 / part.rate_hz)
            assert row.full_scale_g[0] == part.full_scale_g
            assert abs(32768 * row.g_per_count[0] - part.full_scale_g) < 1e-3 * part.full_scale_g
            assert bool(row.flags[0] & Flag.GYRO) == (part.gyro_rad_s > 0)
            assert np.isfinite(row.peak_g[0]) == (part.peak_g > 0)
            g = row.acc[0] * row.g_per_count[0]
            assert 0.7 < np.linalg.norm(g.mean(0)) < 1.3
            noise.append(np.diff(g, axis=0).std())
    assert np.median(noise) > 0.5 * part.noise_g


def test_the_parts_reach_from_50_hz_16_g_to_3200_hz_200_g() -> None:
    rates = sorted(p.rate_hz for p in PARTS.values())
    assert (rates[0], rates[-1]) == (50, 3200)
    assert {p.full_scale_g for p in PARTS.values()} >= {16, 32, 200}
    assert all(FINE_HZ % rate == 0 for rate in rates)
