"""What a gyroscope adds: rotation in the features of a crash, evidence of wear, and nothing where it is dead.

Verification cases: V13, V14, V15.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import SCALE_G, crash, feed, frames, lying, ride, to_counts

from core.model import Worn
from detectors import Fleet, detect_recording, gyro, rotation

RAD_S_PER_COUNT = np.radians(2000) / 32768
CASE = crash()
SECONDS = len(CASE.counts) / 100


def spin_counts(seed=0):
    """A head that turns a little all the time, and fast about all axes during the blow."""
    rng = np.random.default_rng(seed)
    omega = rng.normal(0, 0.1, CASE.counts.shape)
    omega[CASE.impact - 3 : CASE.impact + 4] += np.array([12.0, -9.0, 6.0])
    return np.round(omega / RAD_S_PER_COUNT).astype(np.int16)


def push(counts, rates, cuts=(100,), without=()):
    fleet, out, first, k = Fleet(), [], 0, 0
    while first < len(counts):
        stop = min(first + cuts[k % len(cuts)], len(counts))
        f = frames([("SF-1", k, first, counts[first:stop])])
        if k not in without:
            scale = np.full(1, RAD_S_PER_COUNT, np.float32)
            f = replace(f, gyro=rates[None, first:stop], rad_s_per_count=scale)
        out += fleet.push(f, np.array([1]), np.array([first]), int(f.received_us[0]))
        first, k = stop, k + 1
    return fleet, out


def test_a_crash_of_a_helmet_with_a_gyro_carries_its_rotation_from_the_first_version_on():
    rates = spin_counts()
    _, said = push(CASE.counts, rates)
    around = rates[CASE.impact - 60 : CASE.impact + 36].astype(float) * RAD_S_PER_COUNT
    assert said
    for version in said:
        assert version.features["helmet_bric"] == pytest.approx(float(rotation.bric(around)), rel=1e-3)
        assert version.features["omega_max_rad_s"] == pytest.approx(16.1, abs=1.5)
        assert "helmet_damage" not in version.features, "100 Hz cannot give an angular acceleration"


def test_the_gyro_decides_no_impact():
    _, with_gyro = push(CASE.counts, spin_counts())
    without = feed(Fleet(), CASE.counts)
    assert [(d.stage, d.severity, d.points, d.impacts_us) for d in with_gyro] == [
        (d.stage, d.severity, d.points, d.impacts_us) for d in without
    ]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 190), min_size=1, max_size=20))
def test_v13_any_chunking_gives_the_same_rotation(cuts):
    def turned(said):
        return [(d.stage, d.features["helmet_bric"], d.features["omega_max_rad_s"]) for d in said]

    assert turned(push(CASE.counts, spin_counts(), cuts)[1]) == turned(push(CASE.counts, spin_counts())[1])


def test_a_frame_without_its_gyro_leaves_a_hole_not_a_guess():
    at = CASE.impact // 100
    _, said = push(CASE.counts, spin_counts(), without={at - 1, at, at + 1})
    assert said and all("helmet_bric" not in d.features for d in said)


def test_the_fleet_and_the_offline_door_measure_the_same_rotation():
    rates = spin_counts()
    _, said = push(CASE.counts, rates)
    (incident,) = detect_recording(
        CASE.counts * SCALE_G, 100.0, full_scale_g=16, gyro_rad_s=rates * RAD_S_PER_COUNT
    )
    for name in ("helmet_bric", "omega_max_rad_s"):
        assert incident.features[name] == pytest.approx(said[-1].features[name], abs=2e-3)


def test_damage_is_there_from_one_kilohertz_on_and_clipped_rates_say_so():
    acc = np.repeat(CASE.counts * SCALE_G, 16, axis=0)
    omega = np.repeat(spin_counts() * RAD_S_PER_COUNT, 16, axis=0)
    omega[CASE.impact * 16 : CASE.impact * 16 + 30, 0] = np.radians(2000)
    (incident,) = detect_recording(acc, 1600.0, full_scale_g=200, gyro_rad_s=omega)
    assert incident.features["helmet_damage"] > 0 and incident.features["gyro_clipped"] == 1


def test_memory_of_a_helmet_with_a_gyro_stays_below_ten_kilobytes():
    fleet, many = Fleet(), 512
    f = frames([(f"H{k}", 0, 0, CASE.counts[:100]) for k in range(many)])
    f = replace(f, gyro=np.stack([spin_counts()[:100]] * many))
    fleet.push(f, np.arange(many), np.zeros(many, np.int64), 0)
    assert fleet.nbytes / many < 10_000


def turning_over(seconds, rates):
    """Lies on one side, then on the other."""
    rng = np.random.default_rng(0)
    acc = np.concatenate([lying(seconds / 2, rng), ride(seconds / 2, rng, 0.01)])
    return push(to_counts(acc), rates)


def test_a_gyro_that_reads_nothing_while_the_helmet_turns_over_is_dead_and_named():
    fleet, _ = turning_over(20, np.zeros((2000, 3), np.int16))
    assert fleet.health()["gyro_dead"] == 1 and fleet.faults(1) == ["gyro_dead"]
    assert fleet.faulty() == {"SF-1": ["gyro_dead"]}


def test_a_gyro_that_reads_nothing_while_nothing_turns_is_not_dead():
    fleet, _ = push(to_counts(lying(30, np.random.default_rng(0))), np.zeros((3000, 3), np.int16))
    assert fleet.health()["gyro_dead"] == 0


def test_a_dead_gyro_adds_nothing_to_a_crash():
    _, said = push(CASE.counts, np.zeros_like(CASE.counts))
    assert said and all("helmet_bric" not in d.features for d in said)


def follow(rate_of, seconds=40, joins=True):
    """What one second frames of 100 Hz say at the end, for rates (n, 3) rad/s as a function of time."""
    row = np.zeros(1, gyro.GYRO)
    up = np.array([[0.0, 0.0, 1.0]], np.float32)
    for k in range(seconds):
        counts = np.round(rate_of(k + np.arange(100) / 100) / RAD_S_PER_COUNT).astype(np.int16)
        scale, one = np.full(1, RAD_S_PER_COUNT, np.float32), np.ones(1, np.float32)
        said = gyro.step(row, counts[None], scale, 100.0, one, up, np.array([joins]))
    return said


def about(axis, hz, amplitude_rad_s, bias_rad_s=0.0):
    def rate(t):
        out = np.full((len(t), 3), bias_rad_s)
        out[:, axis] += amplitude_rad_s * np.sin(2 * np.pi * hz * t)
        return out

    return rate


@pytest.mark.parametrize("hz", [0.3, 0.5, 1.0, 2.0])
def test_a_head_that_looks_around_yaws_whatever_the_gyro_s_bias(hz):
    assert follow(about(2, hz, 0.4, bias_rad_s=0.1)).yaws[0]


def test_v14_a_gyro_s_bias_leaves_no_transient_from_the_first_sample():
    assert not follow(lambda t: np.full((len(t), 3), 0.8), seconds=1).yaws[0]


def test_v15_after_a_gap_the_filters_begin_anew():
    turned_away = about(2, 0.02, 3.0)
    assert not follow(lambda t: turned_away(t // 7 * 7), seconds=7, joins=False).yaws[0]
    steps = lambda t: np.where(t[:, None] // 1 % 2 == 0, 0.8, -0.8) * np.ones(3)  # noqa: E731
    assert follow(steps).yaws[0], "the same steps in one piece are a head that turns"
    assert not follow(steps, joins=False).yaws[0], "each beside a hole, nobody knows"


@pytest.mark.parametrize("rate", [about(2, 0.02, 0.4), about(2, 15.0, 0.4), about(0, 1.0, 0.4)])
def test_slow_turns_of_the_road_engines_and_nods_are_no_yaw(rate):
    assert not follow(rate).yaws[0]


@pytest.mark.parametrize("hz", [0.9, 1.2, 1.8])
def test_a_helmet_that_hangs_and_swings_is_known_after_twenty_seconds(hz):
    assert follow(about(1, hz, 1.5)).swings[0]
    assert not follow(about(1, hz, 1.5), seconds=15).swings[0]


@pytest.mark.parametrize("rate", [about(1, 1.2, 0.3), about(1, 0.3, 1.5), about(1, 2.9, 1.5)])
def test_small_slow_or_fast_tilting_is_no_pendulum(rate):
    assert not follow(rate).swings[0]


def worn_after(rate_of, seconds):
    """What the fleet believes of a helmet without a wear bit that shakes upright on a road and turns so."""
    acc = ride(seconds, np.random.default_rng(1))
    counts = to_counts(acc)
    rates = np.round(rate_of(np.arange(len(counts)) / 100) / RAD_S_PER_COUNT).astype(np.int16)
    fleet = Fleet()
    for k in range(seconds):
        part = slice(k * 100, k * 100 + 100)
        f = frames([("SF-1", k, k * 100, counts[part])], worn=0)
        f = replace(f, gyro=rates[None, part], rad_s_per_count=np.full(1, RAD_S_PER_COUNT, np.float32))
        fleet.push(f, np.array([1]), np.array([k * 100]), 0)
    (ring,) = fleet._places.rings.values()
    return int(ring.wear["state"][0])


def test_on_a_ride_without_a_wear_bit_looking_around_means_worn_and_swinging_not_worn():
    assert worn_after(about(2, 0.5, 0.4), 20) == Worn.YES
    assert worn_after(about(1, 1.2, 1.5), 60) == Worn.NO
    assert worn_after(about(1, 1.2, 0.05), 60) == Worn.UNKNOWN
