"""The fatigue clock (docs/detection.md, Duty): what tires, what rests, and that the order of data does not matter.

Verification cases: V43, V44, V45.
"""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.duty import BRIDGE_S, LIMIT_S, WARN_S, Clock, Interval, Log, fold

T0_US = 1_700_000_000_000_000


def day(*parts):
    """Intervals of (seconds, "ride" | "rest" | "hole") one after another."""
    now_us, out = T0_US, []
    for seconds, what in parts:
        end_us = now_us + round(seconds * 1e6)
        if what != "hole":
            out.append(Interval(now_us, end_us, what == "ride"))
        now_us = end_us
    return out


def test_v43_a_break_of_19_59_only_pauses_four_hours_and_one_of_20_00_starts_them_again():
    short = fold(day((7200, "ride"), (19 * 60 + 59, "rest"), (7200, "ride")))
    whole = fold(day((7200, "ride"), (20 * 60, "rest"), (7200, "ride")))
    assert short.worked_s == LIMIT_S and short.since_us == T0_US
    assert whole.worked_s == 7200 and whole.since_us == T0_US + (7200 + 1200) * 1_000_000


def test_v43_the_warning_comes_a_quarter_of_an_hour_before_the_limit():
    assert LIMIT_S - WARN_S == 900


def test_v43_many_short_breaks_do_not_add_up_to_a_rest():
    assert fold(day(*[(600, "ride"), (900, "rest")] * 6)).worked_s == 3600


STREAM = st.lists(
    st.tuples(st.integers(1, 3000), st.sampled_from(["ride", "rest", "hole"])), min_size=1, max_size=30
)


@settings(max_examples=200, deadline=None)
@given(STREAM, st.randoms(use_true_random=False), st.integers(0, 30))
def test_v44_late_and_repeated_data_gives_the_same_clock_as_data_in_time(parts, random, repeats):
    intervals = day(*parts)
    order = [*intervals, *random.choices(intervals, k=repeats)] if intervals else []
    random.shuffle(order)
    log = Log()
    for interval in order:
        log.add(interval)
    assert log.intervals == sorted(intervals)
    assert log._clock == fold(intervals)


@settings(max_examples=100, deadline=None)
@given(STREAM, st.data())
def test_v44_forgetting_what_lies_before_a_rest_changes_nothing(parts, data):
    intervals = day(*parts)
    if not intervals:
        return
    log, plain = Log(), Log()
    cut = data.draw(st.integers(0, len(intervals)))
    for interval in intervals[:cut]:
        log.add(interval)
        plain.add(interval)
    log.forget_before(log._clock.end_us)
    for interval in intervals[cut:]:
        log.add(interval)
        plain.add(interval)
    refolded = fold(log.intervals)
    assert refolded.worked_s == plain._clock.worked_s and refolded.since_us == plain._clock.since_us


def test_v44_a_ride_that_comes_late_closes_the_hole_it_was_missing_from():
    parts = day((3600, "ride"), (1800, "ride"), (3600, "ride"))
    log = Log()
    log.add(parts[0])
    assert log.add(parts[2]).uncertain_s == 1800
    clock = log.add(parts[1])
    assert clock.worked_s == 9000 and clock.uncertain_s == 0


@pytest.mark.parametrize("before", ["ride", "rest"])
def test_a_hole_of_five_minutes_counts_as_what_was_before_it_and_a_longer_one_as_neither(before):
    short = fold(day((3600, "ride"), (60, before), (BRIDGE_S, "hole"), (60, before)))
    longer = fold(day((3600, "ride"), (60, before), (BRIDGE_S + 1, "hole"), (60, before)))
    bridged_s = short.worked_s + short.rest_s - longer.worked_s - longer.rest_s
    assert bridged_s == BRIDGE_S
    assert longer.uncertain_s == BRIDGE_S + 1 and short.uncertain_s == 0


def test_a_night_without_data_ends_the_session_and_three_hours_without_are_doubt():
    night = fold(day((7200, "ride"), (36_000, "hole"), (600, "ride")))
    assert night.worked_s == 600 and night.uncertain_s == 0
    afternoon = fold(day((7200, "ride"), (10_800, "hole"), (600, "ride")))
    assert afternoon.worked_s == 7800 and afternoon.uncertain_s == 10_800


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Europe/Berlin", "America/New_York"])
def test_v45_clocks_put_forward_and_back_and_time_zones_change_nothing(zone, monkeypatch):
    # Across 2026-03-29 01:00 UTC and 2026-10-25 01:00 UTC, when Europe changes its clocks.
    monkeypatch.setitem(os.environ, "TZ", zone)
    time.tzset()
    try:
        for change_us in (1_774_746_000_000_000, 1_792_890_000_000_000):
            around = [Interval(change_us - 3_600_000_000, change_us + 3_600_000_000, True)]
            assert fold(around).worked_s == 7200
    finally:
        monkeypatch.undo()
        time.tzset()


def test_before_anything_is_known_nothing_was_worked():
    assert fold([]) == Clock()
