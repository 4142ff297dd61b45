"""Simulated helmets keep the device contract and do the same thing every time."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model import Flag, Frames, Worn
from ingest.codec import Message, decode_motion, topic
from simulator.helmet import FLUSH_S, Frame, Helmets, frame_length
from simulator.scenario import EXPECTED, Happening, Kind, Scenario, demo, load
from simulator.sensor import FAST, HIGH_G, SLOW, STANDARD

START_US = 1_790_000_000_000_000
ALL_PARTS = ((STANDARD, 0.4), (FAST, 0.2), (HIGH_G, 0.2), (SLOW, 0.2))


def run(scenario: Scenario, seconds: float, start_us: int = START_US) -> list[list[Frame]]:
    """Every helmet's frames that begin within the first seconds."""
    helmets = Helmets(scenario, start_us)
    out: list[list[Frame]] = [[] for _ in range(scenario.helmets)]
    rows = np.arange(scenario.helmets)
    while len(rows):
        for frame in helmets.prepare(rows):
            out[frame.index].append(frame)
        ends_us = np.array([frames[-1].due_us for frames in out])
        rows = np.flatnonzero(ends_us < start_us + seconds * 1e6)
    return out


def decoded(scenario: Scenario, frames: list[Frame]) -> list[Frames]:
    name = scenario.helmet_id(frames[0].index)
    out = []
    for frame in frames:
        result = decode_motion([Message(topic(name, "motion"), frame.payload, frame.due_us)])
        assert not result.rejected
        out.append(result.frames[0])
    return out


def mixed(**changes: object) -> Scenario:
    happenings = tuple(
        Happening(8 + 2 * i, kind, i) for i, kind in enumerate(sorted(k for k in EXPECTED if k != "sos"))
    )
    base = Scenario("mixed", 12, parts=ALL_PARTS, happenings=happenings, rough_spots_per_h=200)
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    first, second = run(mixed(), 25), run(mixed(), 25)
    assert [[f.payload for f in h] for h in first] == [[f.payload for f in h] for h in second]
    other = run(mixed(seed=2), 5)
    assert all(a[0].payload[88:] != b[0].payload[88:] for a, b in zip(first, other, strict=True))


def test_adding_helmets_changes_nothing_for_the_others() -> None:
    few, many = run(mixed(), 25), run(mixed(helmets=20), 25)
    for a, b in zip(few, many, strict=False):
        assert [f.payload for f in a] == [f.payload for f in b]


def test_a_later_start_moves_time_and_boot_and_nothing_else() -> None:
    early, late = run(mixed(), 10), run(mixed(), 10, START_US + 5_000_000)
    for a, b in zip(early, late, strict=True):
        assert [f.t0_us + 5_000_000 for f in a] == [f.t0_us for f in b]
        assert [f.payload[88:-4] for f in a] == [f.payload[88:-4] for f in b]
        assert a[0].payload[28:32] != b[0].payload[28:32]


def test_frames_adjoin_and_are_counted_without_holes() -> None:
    scenario = mixed()
    for frames in run(scenario, 25):
        rows = decoded(scenario, frames)
        assert [int(r.seq[0]) for r in rows] == list(range(len(rows)))
        for a, b in itertools.pairwise(rows):
            end_us = int(a.t0_us[0]) + a.acc.shape[1] * int(a.period_ns[0]) // 1000
            assert abs(int(b.t0_us[0]) - end_us) <= 1
        seconds = [r.acc.shape[1] * int(r.period_ns[0]) / 1e9 for r in rows]
        assert all(0.25 <= s <= 2 for s in seconds)


def test_a_frame_is_sent_on_impact_if_and_only_if_it_holds_six_g_and_ends_on_time() -> None:
    scenario, flushed = mixed(), 0
    for frames in run(scenario, 25):
        for frame, row in zip(frames, decoded(scenario, frames), strict=True):
            resultant = np.linalg.norm(row.acc[0] * row.g_per_count[0], axis=1)
            rate = 1e9 / int(row.period_ns[0])
            hits = np.flatnonzero(resultant[: round(rate)] >= 6.0)
            assert frame.on_impact == bool(len(hits)) == bool(row.flags[0] & Flag.ON_IMPACT)
            if len(hits):
                flushed += 1
                left_s = (len(resultant) - 1 - hits[0]) / rate
                assert left_s == pytest.approx(FLUSH_S, abs=1.01 / rate)
            else:
                assert len(resultant) == round(rate)
            assert frame.due_us == pytest.approx(frame.t0_us + len(resultant) / rate * 1e6, abs=2)
    assert flushed >= 4


@given(st.integers(0, 99), st.sampled_from([50, 100, 200, 400]))
def test_frames_end_four_tenths_of_a_second_after_the_first_six_g(at_percent: int, rate: int) -> None:
    resultant = np.ones(rate)
    at = at_percent * rate // 100
    resultant[at] = 6.0
    n, on_impact = frame_length(resultant, rate)
    assert on_impact
    assert (n - 1 - at) / rate == pytest.approx(0.4)
    assert frame_length(np.full(rate, 5.99), rate) == (rate, False)


def test_each_happening_comes_true_once_at_its_time_and_in_its_frame() -> None:
    scenario = mixed()
    for happening, frames in zip(scenario.happenings, run(scenario, 40), strict=False):
        found = [(t, f) for f in frames for t in f.truths]
        assert [t.kind for t, _ in found] == [happening.kind]
        truth, frame = found[0]
        assert happening.t_s <= truth.t_s < happening.t_s + 3
        assert truth.expected == EXPECTED[happening.kind]
        origin_us = frames[0].t0_us
        assert frame.t0_us <= origin_us + truth.t_s * 1e6 < frame.due_us


def one(kind: Kind, seed: int) -> tuple[Scenario, list[Frames]]:
    scenario = Scenario(
        "one", 1, seed, happenings=(Happening(15, kind, 0),), without_position=0, without_wear_sensor=0,
        rough_spots_per_h=0,
    )  # fmt: skip
    return scenario, decoded(scenario, run(scenario, 30)[0])


@pytest.mark.parametrize("kind", ["head_strike", "fall", "car_hit"])
@pytest.mark.parametrize("seed", range(4))
def test_a_crash_takes_a_worn_rider_from_speed_to_a_stand(kind: Kind, seed: int) -> None:
    _, rows = one(kind, seed)
    assert all(r.worn[0] == Worn.YES for r in rows)
    assert rows[14].speed_mps[0] > 4
    assert rows[-1].speed_mps[0] == 0


@pytest.mark.parametrize("seed", range(4))
def test_who_rides_on_has_speed_after_the_strike(seed: int) -> None:
    _, rows = one("ride_on", seed)
    assert max(np.linalg.norm(r.acc[0] * r.g_per_count[0], axis=1).max() for r in rows[14:17]) > 8
    assert rows[-5].speed_mps[0] > 2.2


@pytest.mark.parametrize("seed", range(4))
def test_a_dropped_helmet_is_not_worn_and_stands_still(seed: int) -> None:
    _, rows = one("drop", seed)
    assert all(r.worn[0] == Worn.NO and r.speed_mps[0] == 0 for r in rows[5:])


def test_positions_move_as_fast_as_the_speed_says_and_stay_in_the_city() -> None:
    scenario = Scenario("ride", 20, without_position=0, riding=1.0)
    for frames in run(scenario, 90):
        rows = decoded(scenario, frames)
        north = np.array([r.lat_deg[0] for r in rows]) * 111_320
        east = np.array([r.lon_deg[0] for r in rows]) * 111_320 * np.cos(np.radians(22.5431))
        moved = np.hypot(np.diff(north), np.diff(east))
        told = np.array([r.speed_mps[0] for r in rows])
        np.testing.assert_allclose(moved, (told[1:] + told[:-1]) / 2, atol=1.2)
        assert told.max() <= 40 / 3.6
        assert abs(rows[0].lat_deg[0] - 22.5431) < 0.05


def test_the_demo_begins_with_a_crash_after_twenty_seconds_and_shows_every_kind() -> None:
    scenario = demo()
    first = scenario.happenings[:10]
    assert (first[0].kind, first[0].t_s) == ("head_strike", 20.0)
    assert {h.kind for h in first} >= {"head_strike", "drop", "fall", "car_hit", "sos", "ride_on"}
    gaps = np.diff([h.t_s for h in first])
    assert gaps.min() >= 60
    assert gaps.max() <= 90
    riding = [f for f in run(Scenario("d", 300), 3) if f[-1].index >= 0]
    assert len(riding) == 300
    truth = run(demo(hours=0.02), 24)[first[0].helmet]
    assert [t.t_s for f in truth for t in f.truths] == [pytest.approx(20, abs=1)]


def test_most_of_a_fleet_rides_and_some_helmets_know_neither_place_nor_wear() -> None:
    scenario = load(300, 60, crashes_per_h=0)
    last = [decoded(scenario, frames)[-1] for frames in run(scenario, 12)]
    worn = np.array([r.worn[0] for r in last])
    assert 0.5 < np.mean([r.speed_mps[0] > 0 for r in last]) < 0.95
    assert 0.005 < np.mean(worn == Worn.UNKNOWN) < 0.15
    assert np.isnan([r.lat_deg[0] for r in last]).any()


def test_a_load_has_the_crashes_it_was_asked_for() -> None:
    scenario = load(100, 3600, crashes_per_h=200)
    assert len(scenario.happenings) == pytest.approx(200, rel=0.3)
    assert {h.kind for h in scenario.happenings} == {"head_strike", "fall", "car_hit"}


@pytest.mark.parametrize("kind", ["head_strike", "drop"])
def test_a_helmet_that_lay_on_the_road_is_picked_up_without_a_jolt(kind: Kind) -> None:
    scenario = Scenario(
        "up", 3, happenings=tuple(Happening(5, kind, i) for i in range(3)), rough_spots_per_h=0,
        without_position=0,
    )  # fmt: skip
    for frames in run(scenario, 400):
        late = [f for f in frames if f.t0_us > START_US + 25_000_000]
        tilts = []
        for row in decoded(scenario, late):
            if row.speed_mps[0] > 0:
                continue  # on the road again, where joints and covers may be sharper than this
            f = row.acc[0] * row.g_per_count[0]
            resultant = np.linalg.norm(f, axis=1)
            tilts.append(np.degrees(np.arccos(np.clip(f.mean(0)[2] / np.linalg.norm(f.mean(0)), -1, 1))))
            assert resultant.max() < 3.5
            assert np.linalg.norm(np.diff(f, axis=0), axis=1).max() < 1.5
        assert tilts[0] > 20
        assert min(tilts) < 15
