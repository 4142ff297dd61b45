"""Faults of the system itself: told while they last, and once when they end."""

from alert_story import START_US
from hypothesis import given
from hypothesis import strategies as st
from night_shift import POLICY

from alerts.faults import Fault, Faults

SILENT = {"worker w": Fault("采集进程 w 没有消息", "The worker w is silent")}


def story(seconds_down: int, until_s: int) -> list[str]:
    faults, told = Faults(POLICY, "https://desk"), {}
    for second in range(until_s):
        for notice in faults.due(SILENT if second < seconds_down else {}, START_US + second * 1_000_000):
            told.setdefault(notice.id, f"{second} {notice.channel} {notice.reason}")
    return list(told.values())


def test_a_fault_climbs_the_tiers_and_its_end_is_told_to_whoever_was_told() -> None:
    assert story(200, 1000) == [
        "0 group fault_opened",
        "60 group fault_escalated",
        "180 pager fault_escalated",
        "200 group fault_over",
        "200 pager fault_over",
    ]


@given(st.integers(0, 1500))
def test_however_long_it_lasts_its_end_is_told_last_and_once(seconds_down: int) -> None:
    told = story(seconds_down, 1600)
    over = [line for line in told if line.endswith("fault_over")]
    assert told[len(told) - len(over) :] == over
    assert len(over) == len({line.split()[1] for line in told})
