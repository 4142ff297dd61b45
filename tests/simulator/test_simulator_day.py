"""A working day adds up: time, way, speed, wear, battery and network tell the same story, on streets that exist."""

import itertools
import threading
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import ManualClock
from core.config import ConfigError
from core.model import Frames, Worn
from ingest.codec import Message, decode_motion, topic
from simulator import city, handling
from simulator.day import Battery, Day, Shift
from simulator.fleet import run_fleet
from simulator.helmet import Frame, Helmets
from simulator.ledger import read_ledger
from simulator.motion import FINE_HZ
from simulator.scenario import Group, Happening, Scenario
from simulator.scenario_file import parse_scenario
from simulator.working import WorkingRider

START_US = 1_790_000_000_000_000
M_PER_DEG = 111_320.0
RIDERS, SECONDS, COMPRESS = 4, 2100, 20.0
"""35 minutes in which 11 hours and 40 minutes pass, from nine in the morning on."""


@dataclass(frozen=True)
class Second:
    """One frame, and what its rider was about when it began."""

    frame: Frame
    row: Frames
    what: str
    activity: str
    worn: bool
    charging: bool
    battery_pct: float


def working(
    riders: int = RIDERS, compress: float = COMPRESS, begins_h: float = 9.0, **group: object
) -> Scenario:
    shift = Shift(begins_h, compress)
    what = Group(riders, position=True, wear_sensor=True, day=shift, **group)  # type: ignore[arg-type]
    return Scenario("day", riders, 7, groups=(what,))


def lived(scenario: Scenario, seconds: int) -> list[list[Second]]:
    helmets = Helmets(scenario, START_US)
    out: list[list[Second]] = [[] for _ in range(scenario.helmets)]
    while any(not s or s[-1].frame.due_us < START_US + seconds * 1_000_000 for s in out):
        frames = helmets.prepare(np.arange(scenario.helmets))
        for frame in frames:
            rider = helmets.riders[frame.index]
            assert isinstance(rider, WorkingRider)
            message = Message(topic(helmets.ids[frame.index], "motion"), frame.payload, frame.due_us)
            row = decode_motion([message]).frames[0]
            t_s = (frame.t0_us - int(helmets.origin_us[frame.index])) / 1e6
            out[frame.index].append(
                Second(frame, row, rider.task.what, rider.activity, rider.worn, rider.task.charging, rider.battery_pct(t_s))
            )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def days() -> list[list[Second]]:
    return lived(working(), SECONDS)


def metres(seconds: list[Second]) -> tuple[np.ndarray, np.ndarray]:
    north = np.array([s.row.lat_deg[0] - 22.5431 for s in seconds]) * M_PER_DEG
    east = np.array([s.row.lon_deg[0] - 114.0579 for s in seconds]) * M_PER_DEG * np.cos(np.radians(22.5431))
    return east, north


def test_every_rider_waits_fetches_delivers_and_rests(days: list[list[Second]]) -> None:
    for seconds in days:
        done = [what for what, _ in itertools.groupby(s.what for s in seconds)]
        assert done[0] == "before the shift"
        assert done.count("to the customer") >= 4
        assert "long break" in done
        for k, what in enumerate(done[:-1]):
            if what == "to the customer":
                assert done[k - 1] == "out of the restaurant"
                assert done[k + 1] == "to the door"
        share = np.mean([s.activity == "ride" for s in seconds])
        assert 0.15 < share < 0.75


def test_the_way_is_what_the_speed_says_it_is(days: list[list[Second]]) -> None:
    for seconds in days:
        east, north = metres(seconds)
        # Along a grid the way is the sum of both directions, also round a corner.
        moved = np.abs(np.diff(east)) + np.abs(np.diff(north))
        speed = np.array([s.row.speed_mps[0] for s in seconds])
        lasts = np.array([s.row.acc.shape[1] * s.row.period_ns[0] / 1e9 for s in seconds])[:-1]
        np.testing.assert_allclose(moved, (speed[1:] + speed[:-1]) / 2 * lasts, atol=2.5)
        assert moved.sum() == pytest.approx(((speed[1:] + speed[:-1]) / 2 * lasts).sum(), rel=0.02)
        assert 2000 < moved.sum() < 25_000
        assert (np.diff(speed) / lasts).max() < 1.6
        assert (np.diff(speed) / lasts).min() > -6.6
        assert speed.max() <= 10.8


def test_positions_lie_on_streets_and_stops_are_at_crossings(days: list[list[Second]]) -> None:
    for seconds in days:
        east, north = metres(seconds)
        assert max(city.off_street_m(e, n) for e, n in zip(east, north, strict=True)) < 0.5
        waits = [
            (e, n) for s, e, n in zip(seconds, east, north, strict=True)
            if s.activity == "ride" and s.row.speed_mps[0] == 0
        ]  # fmt: skip
        for e, n in waits:
            assert abs(e - city.BLOCK_EAST_M * round(e / city.BLOCK_EAST_M)) < 3
            assert abs(n - city.BLOCK_NORTH_M * round(n / city.BLOCK_NORTH_M)) < 3


def test_the_wear_bit_follows_putting_on_and_taking_off_which_turn_the_helmet(
    days: list[list[Second]],
) -> None:
    edges = 0
    for seconds in days:
        worn = np.array([s.row.worn[0] == Worn.YES for s in seconds])
        assert (worn == [s.worn for s in seconds]).all()
        for k in np.flatnonzero(worn[1:] != worn[:-1]).tolist():
            near = np.concatenate(
                [s.row.acc[0] * s.row.g_per_count[0] for s in seconds[max(0, k - 4) : k + 6]]
            )
            up = near[: len(near) // 20 * 20].reshape(-1, 20, 3).mean(1)  # a fifth of a second
            up /= np.linalg.norm(up, axis=1, keepdims=True)
            turned = max(
                float(np.degrees(np.arccos(np.clip(up[i] @ up[j], -1, 1))))
                for i in range(len(up)) for j in range(i, min(i + 15, len(up)))
            )  # fmt: skip
            assert turned > 60, "within 3 s"
            edges += 1
    assert edges >= 4 * RIDERS


def test_the_battery_falls_between_charges_and_a_helmet_without_power_starts_anew(
    days: list[list[Second]],
) -> None:
    died = 0
    for seconds in days:
        for a, b in itertools.pairwise(seconds):
            assert b.battery_pct <= a.battery_pct or a.charging or b.charging
            if not a.frame.powered and b.frame.powered:
                assert b.charging
                assert (int(b.row.seq[0]), int(b.row.boot[0]) > int(a.row.boot[0])) == (0, True)
            elif a.frame.powered:
                assert int(b.row.seq[0]) == int(a.row.seq[0]) + 1
            died += a.frame.powered and not b.frame.powered
            if not b.frame.powered:
                assert b.battery_pct < 0.5
    told = [int(s.row.battery_pct[0]) for s in days[0]]
    assert told == [int(s.battery_pct) for s in days[0]]


def test_streets_and_lifts_without_network_are_left_again(days: list[list[Second]]) -> None:
    covered = [np.array([s.frame.covered for s in seconds]) for seconds in days]
    assert 0.6 < np.concatenate(covered).mean() < 1
    assert sum((c[1:] != c[:-1]).sum() for c in covered) >= 4


def test_a_day_is_the_same_bytes_alone_or_in_company_and_in_any_chunks() -> None:
    alone, company = working(2), working(3)
    few, many = Helmets(alone, START_US), Helmets(company, START_US)
    a: list[list[bytes]] = [[], []]
    b: list[list[bytes]] = [[], [], []]
    for k in range(300):
        for frame in few.prepare(np.arange(2)):
            a[frame.index].append(frame.payload)
        for row in range(3):  # one after the other, and in another order
            for frame in many.prepare(np.array([(row + k) % 3])):
                b[frame.index].append(frame.payload)
    assert a == b[:2]
    assert a[0] != a[1]


def test_a_day_needs_no_more_memory_the_longer_it_lasts() -> None:
    helmets = Helmets(working(1), START_US)
    tracemalloc.start()
    marks = []
    for k in range(900):
        helmets.prepare(np.array([0]))
        if k in (299, 899):
            marks.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert marks[1] - marks[0] < 100_000


def test_who_crashes_at_work_lies_gets_up_and_delivers() -> None:
    scenario = working(1, begins_h=11.6)
    crash = Happening(30, "head_strike", 0, up_after_s=20)
    seconds = lived(Scenario("c", 1, 7, groups=scenario.groups, happenings=(crash,)), 400)[0]
    truths = [t for s in seconds for t in s.frame.truths]
    assert [t.kind for t in truths] == ["head_strike"]
    lay = [k for k, s in enumerate(seconds) if s.activity == "lie"]
    assert lay
    assert "to the door" in [s.what for s in seconds[lay[-1] :]]
    east, north = metres(seconds)
    assert max(city.off_street_m(e, n) for e, n in zip(east, north, strict=True)) < 0.5


def test_what_a_working_fleet_keeps_without_network_is_sent_later_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    ledger = tmp_path / "l.jsonl"
    scenario = working(10, 60.0, 12.0)
    end = run_fleet(
        scenario, None, ManualClock(START_US), duration_s=480, stop=threading.Event(), connections=None, ledger=ledger
    ).end  # fmt: skip
    truth = read_ledger(ledger)
    assert end.injected["battery"] > 0
    late = [key for key in truth.published if key in truth.acked]
    # The rest was still kept in a helmet that had no network, or no power, at the end.
    assert len(late) > 0.97 * len(truth.published)
    boots = {(helmet, boot) for helmet, boot, _ in truth.published}
    for helmet, boot in boots:
        seqs = sorted(seq for h, b, seq in truth.published if (h, b) == (helmet, boot))
        assert seqs == list(range(len(seqs)))


@given(st.integers(-16, 16), st.integers(-16, 16), st.floats(0, 1e5))
def test_a_light_turns_green_when_it_says_and_never_for_both_ways(east: int, north: int, t_s: float) -> None:
    along, across = city.red_s((east, north), (0, 1), t_s), city.red_s((east, north), (1, 0), t_s)
    if along == across == 0:
        assert all(city.red_s((east, north), (0, 1), t_s + k) == 0 for k in range(120)), "no light at all"
    for red_s, way in ((along, (0, 1)), (across, (1, 0))):
        assert red_s < 70
        if red_s:
            assert city.red_s((east, north), way, t_s + red_s + 0.01) == 0


@given(st.integers(0, 2**32 - 1), st.integers(-16, 16), st.integers(-16, 16), st.integers(1, 10))
def test_every_way_to_a_corner_is_as_long_as_it_is_far(seed: int, east: int, north: int, blocks: int) -> None:
    goal = city.near(np.random.default_rng(seed), (east, north), blocks)
    assert abs(goal[0] - east) + abs(goal[1] - north) == blocks
    assert max(map(abs, goal)) <= city.BLOCKS
    at, ahead, ridden = (east, north), (1, 0), 0
    while at != goal:
        ahead = city.towards(at, goal, ahead)
        at, ridden = (at[0] + ahead[0], at[1] + ahead[1]), ridden + 1
    assert ridden == blocks


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_putting_on_and_taking_off_turn_the_helmet_as_gyroscope_and_gravity_agree(
    seed: int, on: bool
) -> None:
    rng = np.random.default_rng(seed)
    lay = handling.lying(rng)
    motion = handling.don(rng, lay) if on else handling.doff(rng, lay)
    up, turned = (lay, np.zeros(len(motion.f))) if on else (np.array([0, 0, 1.0]), np.zeros(len(motion.f)))
    start = up
    assert motion.omega is not None
    for k, step in enumerate(motion.omega):
        up = up - np.cross(step, up) / FINE_HZ
        turned[k] = np.degrees(np.arccos(np.clip(up @ start / np.linalg.norm(up), -1, 1)))
    assert np.degrees(np.arccos(np.clip(up @ motion.up / np.linalg.norm(up), -1, 1))) < 1
    assert (turned[3 * FINE_HZ :] - turned[: -3 * FINE_HZ]).max() > 60
    assert np.linalg.norm(motion.f, axis=1).max() < 20


@given(st.floats(1, 100), st.floats(1, 20), st.floats(20, 80), st.lists(st.floats(1, 20_000), max_size=6))
def test_a_battery_never_leaves_nought_to_a_hundred(
    level: float, drain: float, charge: float, steps: list[float]
) -> None:
    battery, t_s = Battery(level, drain, charge), 0.0
    for k, step in enumerate(steps):
        before = battery.level_pct(t_s)
        t_s += step
        after = battery.level_pct(t_s)
        assert 0 <= after <= 100
        assert after >= before if k % 2 else after <= before
        battery.plug(t_s, k % 2 == 0)


def test_a_run_that_begins_at_dinner_time_finds_riders_at_work() -> None:
    tasks = [Day(Shift(18.0), np.random.default_rng(seed)).next(0.0, (0, 0)).what for seed in range(20)]
    assert set(tasks) == {"waiting for an order"}


def test_a_scenario_file_gives_its_helmets_a_day_a_box_or_a_place_on_the_shell() -> None:
    text = """
name: d
duration: 1h
fleet:
  - {helmets: 2, day: {begins: 11.5h, compress: 20}, sensor: shell}
  - {helmets: 1, boxed: true}
"""
    scenario = parse_scenario(text).scenario()
    worker, boxed = scenario.group(1), scenario.group(2)
    assert worker is not None
    assert boxed is not None
    assert (worker.day, worker.sensor, worker.boxed) == (Shift(11.5, 20.0), "shell", False)
    assert (boxed.day, boxed.sensor, boxed.boxed) == (None, "liner", True)
    with pytest.raises(ConfigError, match="only one of these"):
        parse_scenario(text.replace("boxed: true", "boxed: true, day: {}"))
