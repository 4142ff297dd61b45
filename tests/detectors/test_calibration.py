"""Offset and gain of a part from lying about: nine quiet attitudes and a good fit, or nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import SCALE_G, crash, feed, to_counts

from detectors import Fleet, calibration

SIDES = np.array(
    [(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) != (0, 0, 0)]
)
SIDES = SIDES / np.linalg.norm(SIDES, axis=1)[:, None]


def rest(ups, offset_g=(0.0, 0.0, 0.0), gain=(1.0, 1.0, 1.0), noise_g=0.003, seed=0):
    """Two seconds of rest in each attitude as a part with this offset and gain reads it."""
    rng = np.random.default_rng(seed)
    true = np.repeat(ups, 200, axis=0) + rng.normal(0, noise_g, (200 * len(ups), 3))
    return to_counts(true * np.array(gain) + np.array(offset_g))


def learned(counts):
    fleet = Fleet()
    feed(fleet, counts)
    (ring,) = fleet._places.rings.values()
    return fleet, ring.calibration[0]


OFFSETS = st.tuples(*[st.floats(-0.3, 0.3)] * 3)
GAINS = st.tuples(*[st.floats(0.92, 1.08)] * 3)


@settings(max_examples=25, deadline=None)
@given(OFFSETS, GAINS, st.integers(0, 100))
def test_lying_on_all_sides_finds_offset_and_gain(offset_g, gain, seed):
    _, found = learned(rest(SIDES, offset_g, gain, seed=seed))
    assert found["known"]
    assert np.abs(found["offset_g"] - offset_g).max() < 0.02
    assert np.abs(found["gain"] * np.array(gain) - 1).max() < 0.02


@settings(max_examples=25, deadline=None)
@given(OFFSETS, st.permutations(range(26)))
def test_eight_attitudes_are_never_enough(offset_g, order):
    _, found = learned(rest(SIDES[list(order)[:8]], offset_g))
    assert not found["known"]


def test_attitudes_on_one_side_say_nothing_about_the_other():
    upper = SIDES[SIDES[:, 2] > 0]
    assert len(upper) >= 9
    _, found = learned(rest(upper, (0.1, 0.0, 0.2)))
    assert not found["known"]


def test_a_fit_that_leaves_more_than_fifteen_milligrams_is_not_applied():
    # A part that reads 6 % too much or too little by the attitude is no ellipsoid.
    _, found = learned(rest(SIDES * np.where(np.arange(26) % 2, 0.94, 1.06)[:, None]))
    assert not found["known"]


def test_a_part_that_has_drifted_is_named_and_one_that_has_not_is_not():
    fleet, _ = learned(rest(SIDES, (0.2, 0.0, -0.1)))
    assert fleet.faults(1) == ["drift"] and fleet.health()["drift"] == 1
    fleet, _ = learned(rest(SIDES))
    assert fleet.faults(1) == [] and fleet.health()["drift"] == 0


def test_a_drifted_part_that_was_learned_measures_a_crash_as_a_good_one_does():
    offset_g, gain = np.array([0.25, -0.2, 0.3]), np.array([1.06, 0.95, 1.04])
    blow = crash(peak_g=9.0, width_s=0.12).counts * SCALE_G

    def measured(counts, learn):
        fleet = Fleet()
        first = len(learn)
        if first:
            feed(fleet, learn)
        return feed(fleet, np.concatenate([learn, counts]), start=first)[-1].features

    none = np.zeros((0, 3), np.int16)
    good = measured(to_counts(blow), none)
    spoiled = to_counts(blow * gain + offset_g)
    raw, right = measured(spoiled, none), measured(spoiled, rest(SIDES, offset_g, gain))
    for name in ("helmet_pla_g", "tilt_deg", "rest_g"):
        assert right[name] == pytest.approx(good[name], rel=0.03, abs=0.03)
    assert abs(raw["tilt_deg"] - good["tilt_deg"]) > 5


def test_readings_at_the_end_of_the_range_stay_there():
    fix = calibration.Fix(np.array([0.3, 0.0, 0.0]), np.array([0.9, 1.0, 1.0]), 15.5)
    assert fix.apply(np.array([[16.0, 1.0, 1.0]])).tolist() == [[16.0, 1.0, 1.0]]


def test_what_was_learned_outlives_the_track_but_not_the_helmet():
    fleet = Fleet()
    counts = rest(SIDES, (0.2, 0.0, 0.0))
    feed(fleet, counts, track=1)
    fleet.forget(1)
    later = np.concatenate([counts, rest(SIDES[:1])])
    feed(fleet, later, track=2, start=len(counts))
    assert fleet.faults(2) == ["drift"]
    feed(fleet, later, track=3, start=len(counts), name="SF-2")
    assert fleet.faults(3) == []


def test_old_data_beside_the_live_stream_takes_over_nothing():
    fleet = Fleet()
    counts = rest(SIDES, (0.2, 0.0, 0.0))
    feed(fleet, counts, track=1)
    feed(fleet, counts[:300], track=2)
    assert fleet.faults(1) == ["drift"] and fleet.faults(2) == []
    assert fleet.faulty() == {"SF-1": ["drift"]}
    fleet.forget(2)
    feed(fleet, np.concatenate([counts, counts[:200]]), track=3, start=len(counts))
    assert fleet.faults(3) == ["drift"]


def test_a_calibration_costs_little():
    assert calibration.CALIBRATION.itemsize <= 400
