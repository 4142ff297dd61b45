"""Sensors that lie are masked and counted; a burst over the whole fleet hides nothing severe.

Verification cases: V32, V33, V34, V35, V37.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import SCALE_G, crash, feed, frames, lying, ride, to_counts

from core.config import Detection as Params
from core.model import Stage
from detectors import Fleet
from detectors.burst import Breaker

QUIET = to_counts(lying(70, np.random.default_rng(0), 0.005))


def road(seconds=20, seed=3):
    return to_counts(ride(seconds, np.random.default_rng(seed)))


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


def detections(many):
    fleet = Fleet(Params(burst_alerts=10))
    cases = [crash(1, peak_g=60.0), crash(1, peak_g=5.0, width_s=0.25)]
    out = []
    for seq in range(20):
        rows = [
            (f"H{k}", seq, seq * 100, cases[k % 2].counts[seq * 100 : seq * 100 + 100]) for k in range(many)
        ]
        f = frames(rows, speed_mps=9.0)
        out.append(fleet.push(f, np.arange(many), np.full(many, seq * 100), int(f.received_us[0])))
    return fleet, out


def test_v37_every_helmet_struck_in_one_tick_trips_the_breaker_and_no_severe_alert_is_lost():
    fleet, said = detections(400)
    flat = [d for batch in said for d in batch]
    severe = {d.helmet for d in flat if d.severity >= 3}
    alone = Fleet()
    struck = feed(alone, crash(1, peak_g=60.0).counts, speed_mps=9.0)
    assert max(d.severity for d in struck) >= 3
    assert len(severe) == 200, "every second helmet had the strike"
    assert fleet.health()["bursts"] >= 1


def test_v37_what_was_held_comes_out_when_the_burst_is_over():
    fleet, said = detections(400)
    out = {d.helmet for batch in said for d in batch}
    held = fleet.health()["held"]
    assert held + len(out) >= 400
    later = fleet.advance(2_000_000_000_000_000)
    assert fleet.health()["held"] == 0
    confirmed = {
        d.helmet for d in [*later, *(d for batch in said for d in batch)] if d.stage == Stage.CONFIRMED
    }
    assert len(confirmed) == 400


def test_a_busy_day_does_not_trip_the_breaker():
    breaker = Breaker(200)
    (first, *_) = feed(Fleet(), crash().counts)
    for k in range(150):
        d = replace(first, incident=f"{k:016x}", severity=1)
        assert breaker.sift([d], 30_000, k * 60_000) == [d]
    assert breaker.trips == 0
