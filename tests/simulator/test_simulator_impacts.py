"""Impacts obey mechanics: what hits harder changes the speed more, and what falls is weightless first."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model import G0
from simulator import impacts, mishaps
from simulator.motion import FINE_HZ, VEHICLES
from simulator.sensor import HIGH_G, STANDARD, sampled

seeds = st.integers(0, 2**32 - 1)


@given(st.floats(0.5, 12), st.floats(0.004, 0.1))
def test_a_pulse_changes_the_speed_by_exactly_what_was_asked(delta_v: float, contact_s: float) -> None:
    for pulse in (impacts.half_sine(delta_v, contact_s), impacts.haversine(delta_v, contact_s)):
        assert pulse.sum() / FINE_HZ * G0 == pytest.approx(delta_v)


@pytest.mark.parametrize(
    ("v", "e", "contact_s", "peak_g"), [(5.42, 0.3, 0.00564, 200), (6.2, 0.3, 0.00516, 250)]
)
def test_peak_follows_from_speed_restitution_and_contact_time(
    v: float, e: float, contact_s: float, peak_g: float
) -> None:
    assert impacts.half_sine(v * (1 + e), contact_s).max() == pytest.approx(peak_g, rel=0.05)


@pytest.mark.parametrize(
    ("height_m", "falls_s"), [(0.3, 0.2474), (0.5, 0.3193), (1.0, 0.4516), (1.5, 0.5531), (2.0, 0.6387)]
)
def test_a_dropped_helmet_is_weightless_for_as_long_as_it_falls(height_m: float, falls_s: float) -> None:
    for seed in range(5):
        motion = impacts.drop(np.random.default_rng(seed), height_m)
        total = np.linalg.norm(motion.f + motion.keep[:, None] * [0, 0, 1], axis=1)
        before = total[: round(motion.impact_s * FINE_HZ) - 2]
        # 0.45 g admits the spin of the shell around the sensor.
        assert (before < 0.45).sum() / FINE_HZ == pytest.approx(falls_s, abs=0.01)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_bounces_get_smaller(seed: int) -> None:
    motion = impacts.drop(np.random.default_rng(seed), 1.0)
    f = np.linalg.norm(motion.f, axis=1)
    first = round(motion.impact_s * FINE_HZ)
    main = f[first : first + 30].sum()
    assert f[first + 30 : first + 30 + FINE_HZ].reshape(-1, 32).sum(1).max() < main


@pytest.mark.parametrize(
    ("kind", "low_g", "high_g"),
    [("head_strike", 25, 220), ("fall", 4, 18), ("car_hit", 40, 280), ("drop", 60, 900)],
)
def test_each_kind_stays_within_the_range_published_for_it(kind: str, low_g: float, high_g: float) -> None:
    peaks = [
        np.linalg.norm(mishaps.KINDS[kind](np.random.default_rng(seed)).f, axis=1).max() for seed in range(60)
    ]
    assert low_g < min(peaks)
    assert max(peaks) < high_g


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(["head_strike", "fall", "car_hit"]))
def test_after_a_crash_the_rider_lies_tilted_and_carries_exactly_one_g(seed: int, kind: str) -> None:
    motion = mishaps.KINDS[kind](np.random.default_rng(seed))
    assert motion.then == "lie"
    assert np.linalg.norm(motion.up) == pytest.approx(1)
    assert np.degrees(np.arccos(motion.up[2])) >= 40
    late = motion.f[-5 * FINE_HZ : -FINE_HZ]
    assert np.linalg.norm(late.mean(0)) == pytest.approx(1, abs=0.1)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(sorted(mishaps.KINDS)))
def test_a_motion_begins_and_ends_without_a_seam(seed: int, kind: str) -> None:
    motion = mishaps.KINDS[kind](np.random.default_rng(seed))
    assert motion.keep[0] == pytest.approx(1, abs=1e-6)
    assert motion.keep[-1] == pytest.approx(1, abs=1e-6)
    for end in (motion.f[:10], motion.f[-10:]):
        assert np.abs(end).max() < 0.05


def test_a_car_throws_the_rider_into_flight_before_the_head_strikes() -> None:
    for seed in range(20):
        f = np.linalg.norm(impacts.car_hit(np.random.default_rng(seed)).f, axis=1)
        strike = int(f.argmax())
        flight = (f[int(0.35 * FINE_HZ) : strike] < 0.7).sum() / FINE_HZ
        assert flight >= 0.2


def test_rough_spots_shake_a_rigid_bike_like_bumps_and_a_scooter_half_as_much() -> None:
    medians = []
    for vehicle in VEHICLES:
        peaks = []
        for seed in range(60):
            rng = np.random.default_rng(seed)
            f = impacts.rough_spot(rng, rng.uniform(3, 10), vehicle).f + np.array([0, 0, 1.0])
            peaks.append(np.linalg.norm(sampled(f, STANDARD, 0.5), axis=1).max())
        assert max(peaks) < 12
        medians.append(np.median(peaks))
    assert 3.5 < medians[0] < 8
    assert medians[1] < 0.7 * medians[0]


def test_a_sixteen_g_part_sees_a_fifth_of_a_head_strike_and_a_two_hundred_g_part_most_of_it() -> None:
    # Medians from the Monte-Carlo in the literature study: about 20 g and about 70 g.
    seen = {16: [], 200: []}
    for seed in range(60):
        f = impacts.head_strike(np.random.default_rng(seed)).f
        for part in (STANDARD, HIGH_G):
            seen[int(part.full_scale_g)].append(np.linalg.norm(sampled(f, part, seed / 60), axis=1).max())
    assert np.median(seen[16]) == pytest.approx(20, rel=0.25)
    assert np.median(seen[200]) == pytest.approx(71, rel=0.4)
