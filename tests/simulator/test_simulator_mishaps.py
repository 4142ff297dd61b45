"""Lesser motions stay lesser: nothing without a fall shakes a head like one, and each turns as it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model import G0, Flag
from ingest.codec import Message, decode_motion, topic
from simulator import mishaps
from simulator.helmet import Helmets
from simulator.legs import HARD_MPS2
from simulator.motion import FINE_HZ
from simulator.scenario import Group, Happening, Kind, Scenario
from simulator.sensor import PARTS, Part, sampled

START_US = 1_790_000_000_000_000


def total(kind: str, seed: int) -> np.ndarray:
    motion = mishaps.KINDS[kind](np.random.default_rng(seed))
    return np.asarray(motion.f + motion.keep[:, None] * [0, 0, 1])


@pytest.mark.parametrize(
    ("kind", "low_g", "high_g"),
    [("low_side", 5, 60), ("handlebar", 3, 45), ("washing", 1.2, 40), ("brake", 0.99, 1.7), ("head_turn", 1.0, 2.2),
     ("stand_up", 1.15, 2.2)],
)  # fmt: skip
def test_each_motion_stays_within_its_range(kind: str, low_g: float, high_g: float) -> None:
    peaks = [np.linalg.norm(total(kind, seed), axis=1).max() for seed in range(40)]
    assert low_g < min(peaks)
    assert max(peaks) < high_g


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["low_side", "head_strike", "fall", "car_hit", "drop"]))
def test_the_turn_a_gyroscope_integrates_is_the_turn_gravity_shows(seed: int, kind: str) -> None:
    motion = mishaps.KINDS[kind](np.random.default_rng(seed))
    assert motion.omega is not None
    up = np.array([0.0, 0.0, 1.0])
    for step in motion.omega:
        up = up - np.cross(step, up) / FINE_HZ
        up /= np.linalg.norm(up)
    off = np.degrees(np.arccos(np.clip(up @ motion.up, -1, 1)))
    assert off < 6  # what everyday motion still blends in


@pytest.mark.parametrize("kind", ["head_turn", "stand_up", "jump", "brake"])
def test_no_act_of_daily_life_goes_beyond_what_heads_were_measured_to_do(kind: str) -> None:
    # 9.55 g and 9.03 rad/s in 700 trials of 18 people; 9.54 g in a vertical leap of others.
    for seed in range(80):
        motion = mishaps.KINDS[kind](np.random.default_rng(seed))
        seen = sampled(total(kind, seed), PARTS["400hz-200g"], 0.4)
        assert np.linalg.norm(seen, axis=1).max() < 9.6
        assert motion.omega is not None
        assert np.linalg.norm(motion.omega, axis=1).max() < 9.03


def test_braking_hard_is_half_to_nine_tenths_of_a_g() -> None:
    happenings = tuple(Happening(20, "brake", i) for i in range(60))
    scenario = Scenario("b", 60, groups=(Group(60, riding=True),), happenings=happenings, rough_spots_per_h=0)
    helmets = Helmets(scenario, START_US)
    for _ in range(25):
        helmets.prepare(np.arange(60))
    harder = helmets.state["halt_down"][helmets.state["halt_v"] > 0] / G0
    assert len(harder) > 40
    assert harder.min() >= 0.49 and harder.max() <= 0.9
    assert np.median(harder) == pytest.approx(0.7, abs=0.08)
    assert np.array(HARD_MPS2) / G0 == pytest.approx([0.5, 0.9], rel=0.01)


def test_a_low_side_slides_for_as_long_as_friction_needs() -> None:
    for seed in range(20):
        f = np.linalg.norm(total("low_side", seed), axis=1)
        shaking = np.abs(np.diff(f)).reshape(-1)[FINE_HZ:]
        assert (shaking > 0.005).sum() / FINE_HZ > 0.3


def frames(part: Part, kind: Kind, seconds: int = 26) -> list:
    scenario = Scenario("p", 1, groups=(Group(1, part, riding=True),), happenings=(Happening(12, kind, 0),),
                        rough_spots_per_h=0)  # fmt: skip
    helmets, out = Helmets(scenario, START_US), []
    for _ in range(seconds):
        frame = helmets.prepare(np.array([0]))[0]
        result = decode_motion([Message(topic("SF-000001", "motion"), frame.payload, frame.due_us)])
        assert not result.rejected
        out += result.frames
    return out


@pytest.mark.parametrize("name", sorted(PARTS))
def test_every_part_sees_a_head_strike_as_its_rate_and_range_allow(name: str) -> None:
    part = PARTS[name]
    rows = frames(part, "head_strike")
    peak = max(np.linalg.norm(r.acc[0] * r.g_per_count[0], axis=1).max() for r in rows)
    assert 6 < peak < np.sqrt(3) * part.full_scale_g * 1.01
    assert all((r.gyro is not None) == (part.gyro_rad_s > 0) for r in rows)
    assert all(int(r.flags[0] & Flag.GYRO) == (part.gyro_rad_s > 0) for r in rows)


def test_a_gyroscope_is_quiet_in_everyday_riding_and_not_in_a_fall() -> None:
    rows = frames(PARTS["100hz-16g-gyro"], "head_strike")
    rate = np.array([np.linalg.norm(r.gyro[0] * r.rad_s_per_count[0], axis=1).max() for r in rows])
    assert rate[2:9].max() < 3
    assert rate.max() > 2


def test_an_on_chip_peak_shows_what_the_slow_samples_miss() -> None:
    rows = frames(PARTS["100hz-16g-peak200g"], "head_strike")
    sampled_g = max(np.linalg.norm(r.acc[0] * r.g_per_count[0], axis=1).max() for r in rows)
    on_chip_g = max(float(r.peak_g[0]) for r in rows)
    assert on_chip_g > sampled_g
    for r in rows:
        seen = np.linalg.norm(r.acc[0] * r.g_per_count[0], axis=1).max()
        assert r.peak_g[0] > 0.85 * seen - 0.3


@pytest.mark.parametrize(
    ("part", "low_g", "high_g"), [("100hz-16g", 12, 29), ("400hz-200g", 36, 140), ("3200hz-200g", 36, 170)]
)
def test_parts_see_head_strikes_as_the_literature_study_computed(
    part: str, low_g: float, high_g: float
) -> None:
    seen = [
        np.linalg.norm(sampled(total("head_strike", seed), PARTS[part], 0.4), axis=1).max()
        for seed in range(60)
    ]
    low, high = np.percentile(seen, (5, 95))
    assert low_g * 0.8 < low
    assert high < high_g * 1.2


def test_who_brakes_hard_stops_and_rides_on() -> None:
    rows = frames(PARTS["100hz-16g"], "brake", 40)
    speed = np.array([r.speed_mps[0] for r in rows])
    assert speed[11] > 4
    assert speed[14:19].min() == 0
    assert speed[20:].max() > 3


def test_braking_at_any_moment_is_no_harder_than_brakes_are() -> None:
    happenings = tuple(Happening(8 + 6 * k + i / 7, "brake", i) for i in range(30) for k in range(6))
    scenario = Scenario("b", 30, groups=(Group(30, riding=True),), happenings=happenings, rough_spots_per_h=0)
    helmets = Helmets(scenario, START_US)
    for _ in range(60):
        for frame in helmets.prepare(np.arange(30)):
            name = helmets.ids[frame.index]
            f = decode_motion([Message(topic(name, "motion"), frame.payload, frame.due_us)]).frames[0]
            acc = f.acc[0] * f.g_per_count[0]
            assert np.linalg.norm(acc, axis=1).max() < 8  # joints of the road, no step of the speed
            assert abs(acc[:, 0].mean()) < 1.3
