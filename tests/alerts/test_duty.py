"""The fatigue clock (docs/detection.md, Duty): what tires and what rests.

Verification cases: V43, V45; V44, that the order of data does not matter, is held by `test_alert_riding`.
"""

import os
import time

import pytest

from alerts.duty import BRIDGE_S, LIMIT_S, WARN_S, Clock, Interval, fold

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
