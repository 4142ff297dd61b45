"""What a helmet's next track takes over from its last, whatever the helmet's clock says meanwhile."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import T0_US, frames, ride, to_counts

from core.model import Worn
from detectors import Fleet, wear

STILL = np.tile(to_counts([[0.0, 0.0, 1.0]]), (100, 1))
WORN, OFF, UNKNOWN = int(Worn.YES), int(Worn.NO), int(Worn.UNKNOWN)


def live(fleet, seconds, *, track, boot, start_us, step_us=1_000_000, counts=None):
    """Frames of 100 samples at 100 Hz, dated `step_us` apart; says when the last ended by that clock."""
    rng = np.random.default_rng(boot)
    for seq in range(seconds):
        f = frames([("SF-1", seq, seq * 100, to_counts(ride(1, rng)) if counts is None else counts)])
        t0_us = np.array([start_us + seq * step_us], np.int64)
        f = replace(f, boot=np.array([boot], np.uint32), t0_us=t0_us, received_us=t0_us + 1_200_000)
        fleet.push(f, np.array([track]), np.array([seq * 100]), int(f.received_us[0]))
    return start_us + seconds * step_us


def state(fleet, track):
    place = fleet._places.find(track)
    return int(fleet._places.rings[place.kind].wear["state"][place.slot])


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([980_000, 1_000_000, 1_020_000]), st.integers(-4_000, 4_000))
def test_a_reboot_is_the_same_helmet_whether_its_clock_drifts_or_is_set(step_us, set_s):
    fleet = Fleet()
    end_us = live(fleet, 40, track=1, boot=7, start_us=T0_US, step_us=step_us)
    live(fleet, 3, track=2, boot=8, start_us=end_us + set_s * 1_000_000, counts=STILL)
    assert fleet.faulty() == {"SF-1": ["frozen"]}
    fleet.forget(1)
    assert fleet.faulty() == {"SF-1": ["frozen"]}


@pytest.mark.parametrize("step_us", [980_000, 1_000_000, 1_020_000])
def test_the_wear_state_outlives_a_short_reboot_although_counted_time_drifts(step_us):
    fleet = Fleet()
    end_us = live(fleet, 400, track=1, boot=7, start_us=T0_US, step_us=step_us)
    assert state(fleet, 1) == WORN
    live(fleet, 1, track=2, boot=8, start_us=end_us + 3_000_000)
    assert state(fleet, 2) == WORN
    live(fleet, 1, track=3, boot=9, start_us=end_us + 100_000_000)
    assert state(fleet, 3) == UNKNOWN


def test_a_clock_that_was_set_back_leaves_no_wear_state_and_no_time_ahead():
    fleet = Fleet()
    live(fleet, 30, track=1, boot=7, start_us=T0_US)
    live(fleet, 1, track=2, boot=8, start_us=T0_US - 3_600_000_000)
    assert state(fleet, 2) == UNKNOWN
    place = fleet._places.find(2)
    row = fleet._places.rings[place.kind].wear[place.slot]
    assert all(row[name] <= row["end_us"] for name in wear.WEAR.names if name.endswith("_us"))


def test_a_shelf_of_before_the_clock_was_set_back_hides_no_crash():
    s = np.zeros(1, wear.WEAR)
    s["state"], s["end_us"], s["shelf_us"] = OFF, T0_US, T0_US
    assert wear.effective(s, np.array([UNKNOWN], np.uint8), np.array([False])) == OFF
    wear.resumed(s, T0_US - 3_600_000_000, -3_600_000_000)
    s["end_us"] = T0_US - 3_599_000_000
    assert wear.effective(s, np.array([UNKNOWN], np.uint8), np.array([False])) == UNKNOWN


def test_an_open_ride_keeps_its_number():
    s = np.zeros(1, wear.WEAR)
    s["end_us"], s["opened_us"], s["open"] = T0_US, T0_US - 5_000_000, True
    wear.resumed(s, T0_US - 1_000_000, 2_000_000)
    assert s["opened_us"] == T0_US - 5_000_000
    assert s["end_us"] == T0_US - 3_000_000
