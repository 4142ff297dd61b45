"""Sensors that lie are masked and counted; a burst over the whole fleet hides nothing severe.

Verification cases: V32, V33, V34, V35, V37.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import SCALE_G, crash, feed, frames, lying, ride, to_counts

from core.model import Kind, Stage
from detectors import Breaker, Fleet, burst

QUIET = to_counts(lying(70, np.random.default_rng(0), 0.005))


def road(seconds=20, seed=3):
    return to_counts(ride(seconds, np.random.default_rng(seed)))


def bowed(seed=3):
    """Riding, bent over by 45 degrees for some seconds, riding again."""
    acc = ride(20, np.random.default_rng(seed))
    acc[800:1400] += np.array([0.7, 0.0, -0.3])
    return to_counts(acc)


def spoiled(kind):
    counts = road()
    if kind == "frozen":
        counts[900:1200] = counts[900]
    elif kind == "stuck_axis":
        counts[900:1300, 1] = counts[900, 1]
    elif kind == "rail":
        counts[900:1100, 0] = 32700
    elif kind == "spikes":
        for at in range(300, 1800, 200):
            counts[at] = to_counts([0.0, 9.0, 1.0])
    elif kind == "gain":
        return np.round(QUIET * 0.9).astype(np.int16)
    elif kind == "units":
        return np.clip(QUIET.astype(int) * 9.81, -32700, 32700).astype(np.int16)
    return counts


@pytest.mark.parametrize("kind", ["frozen", "stuck_axis", "rail", "gain", "units", "spikes"])
def test_each_fault_is_counted_once_named_and_raises_no_alarm(kind):
    fleet = Fleet()
    counts = spoiled(kind)
    assert feed(fleet, counts) == []
    assert {n: c for n, c in fleet.health().items() if c} == {kind: 1}


@pytest.mark.parametrize("kind", ["frozen", "stuck_axis", "rail"])
def test_a_fault_that_has_passed_is_no_longer_named(kind):
    fleet = Fleet()
    counts = spoiled(kind)
    feed(fleet, counts[:1100])
    assert fleet.faults(1) == [kind]
    feed(fleet, counts, start=1100)
    assert fleet.faults(1) == []
    assert fleet.faults(99) == []


@pytest.mark.parametrize("stuck_g", [0.0, 0.9, -5.0, 16.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_that_is_stuck_hides_no_crash_and_turns_nobody_who_rides_on(axis, stuck_g):
    crashed, rode = crash().counts.copy(), crash(peak_g=5.0, after="ride").counts.copy()
    bent = bowed()
    for counts in (crashed, rode, bent):
        counts[:, axis] = to_counts(stuck_g)
    assert feed(Fleet(), crashed)[-1].stage == Stage.CONFIRMED
    assert feed(Fleet(), rode) == feed(Fleet(), bent) == []


def test_a_healthy_ride_has_no_fault():
    fleet = Fleet()
    feed(fleet, road(60))
    assert not any(fleet.health().values())


def test_v32_a_sensor_that_freezes_after_a_crash_is_not_motionless():
    case = crash()
    counts = case.counts.copy()
    counts[case.impact + 40 :] = counts[case.impact + 40]
    fleet = Fleet()
    said = feed(fleet, counts) + fleet.forget(1)
    assert said and all(d.features.get("still_s", 0.0) == 0.0 for d in said)
    assert fleet.health()["frozen"] == 1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_v33_samples_out_of_range_are_masked_also_during_an_impact(axis):
    # ±8 g sent with room up to ±16 g: what lies beyond 8.16 g is no measurement.
    case = crash(peak_g=6.0, width_s=0.2)
    counts = case.counts.copy()
    counts[case.impact + 3, axis] = 32000

    def run(c):
        fleet, out = Fleet(), []
        for first in range(0, len(c), 100):
            f = frames([("SF-1", first // 100, first, c[first : first + 100])])
            f = replace(f, full_scale_g=np.array([8], np.float32))
            out += fleet.push(f, np.array([1]), np.array([first]), 0)
        return fleet, out

    fleet, said = run(counts)
    _, clean = run(case.counts)
    assert fleet.health()["out_of_range"] == 1
    assert [d.stage for d in said] == [d.stage for d in clean]
    assert max(d.features["helmet_pla_g"] for d in said) < 8.2


def test_v34_a_crash_before_the_unit_is_known_to_be_wrong_is_no_alarm_either():
    counts = np.clip(crash().counts.astype(int) * 9.81, -32700, 32700).astype(np.int16)
    assert feed(Fleet(), counts) == []


@settings(max_examples=25, deadline=None)
@given(st.floats(0.9, 1.1), st.tuples(*[st.floats(-0.17, 0.17)] * 3), st.sampled_from([1, 2, 3]))
def test_v35_gain_and_offset_within_reason_do_not_change_the_outcome(gain, offset_g, seed):
    for case in (
        crash(seed),
        crash(seed, peak_g=6.0, width_s=0.2),
        crash(seed, peak_g=7.0, width_s=0.06, after="ride"),
    ):
        off = to_counts(case.counts * SCALE_G * gain + np.array(offset_g))
        before, after = ([d.stage for d in feed(Fleet(), c)][-1:] for c in (case.counts, off))
        assert before == after


def test_repeats_and_gaps_are_counted():
    fleet = Fleet()
    counts = road()
    feed(fleet, counts, skip={5, 6, 11})
    feed(fleet, counts[:300])
    assert fleet.health()["gaps"] == 2 and fleet.health()["repeats"] == 3


def sifted(many):
    """What goes on in each second, when every other helmet is struck hard and the rest falls gently."""
    fleet, breaker = Fleet(), Breaker(10)
    cases = [crash(1, peak_g=60.0), crash(1, peak_g=5.0, width_s=0.25)]
    out = []
    for seq in range(20):
        rows = [
            (f"H{k}", seq, seq * 100, cases[k % 2].counts[seq * 100 : seq * 100 + 100]) for k in range(many)
        ]
        f = frames(rows, speed_mps=9.0)
        now_us = int(f.received_us[0])
        said = fleet.push(f, np.arange(many), np.full(many, seq * 100), now_us)
        out.append(breaker.sift(said, len(fleet), now_us))
    return breaker, out


def test_v37_every_helmet_struck_in_one_tick_trips_the_breaker_and_no_severe_alert_is_lost():
    breaker, turns = sifted(400)
    severe = {d.helmet for turn in turns for d in turn.go if d.severity >= 3}
    alone = Fleet()
    struck = feed(alone, crash(1, peak_g=60.0).counts, speed_mps=9.0)
    assert max(d.severity for d in struck) >= 3
    assert len(severe) == 200, "every second helmet had the strike"
    assert breaker.trips >= 1


def test_v37_what_was_held_comes_out_when_the_burst_is_over():
    breaker, turns = sifted(400)
    assert sum(len(turn.held) for turn in turns) >= 200, "every second helmet fell gently"
    turns.append(breaker.sift([], 400, 2_000_000_000_000_000))
    assert breaker.held == 0
    said = [(d.helmet, d.stage) for turn in turns for d in (*turn.go, *turn.released)]
    assert len({helmet for helmet, stage in said if stage == Stage.CONFIRMED}) == 400


def test_a_busy_day_does_not_trip_the_breaker():
    breaker = Breaker(200)
    (first, *_) = feed(Fleet(), crash().counts)
    for k in range(150):
        d = replace(first, incident=f"{k:016x}", severity=1)
        assert breaker.sift([d], 30_000, k * 60_000).go == [d]
    assert breaker.trips == 0


def test_a_shift_that_begins_everywhere_at_once_is_no_burst():
    (first, *_) = feed(Fleet(), crash().counts)
    said = [replace(first, incident=f"{k}", kind=Kind.NOT_WORN, stage=Stage.CANCELLED) for k in range(500)]
    breaker = Breaker(10)
    assert breaker.sift(said, 500, 0).go == said and breaker.trips == 0


def test_a_long_burst_fills_no_memory_and_its_end_is_no_burst_of_writing(monkeypatch):
    """Beyond so many incidents the oldest goes on; only some keep their trace; they come out some at a time."""
    monkeypatch.setattr(burst, "_MOST", 3000)
    (first, *_) = feed(Fleet(), crash().counts)
    breaker, gone, traced = Breaker(10), [], 0
    for second in range(50):
        said = [replace(first, incident=f"{second}-{k}", severity=1) for k in range(100)]
        turn = breaker.sift(said, 30_000 // 100, second * 1_000_000)
        assert turn.go == [] and breaker.held <= 3100
        gone += turn.released
        traced += sum(d.trace is not None for d in turn.held) - sum(h.traced for h in turn.released)
        assert traced <= 1000
    assert [h.incident for h in gone[:2]] == ["0-0", "0-1"], "the one held for longest first"
    held = breaker.held
    assert len(gone) + held == 5000, "nothing is dropped"
    for turns in range(1, 100):
        turn = breaker.sift([], 300, 100_000_000 + turns)
        assert len(turn.released) <= 500
        if not breaker.held:
            break
    assert turns == -(-held // 500)
