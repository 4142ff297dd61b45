"""Workers that do not report, and many helmets gone at once: told until it is over, and not a moment less."""

from hypothesis import given
from hypothesis import strategies as st
from running_desk import START_US, helmet, report

from alerts.faults import Faults
from alerts.policy import default
from web.fleet import Fleet

HELMETS = 40
LEAST, WITHIN_S = 20, 60.0
STEPS = st.lists(
    st.tuples(st.integers(1, 30), st.sets(st.integers(0, HELMETS - 1)), st.booleans()), max_size=30
)


def said(fleet: Fleet, numbers: set[int], now_us: int, *, online: bool) -> None:
    helmets = (helmet(f"SF-{n:06}", online=online, received_us=now_us) for n in numbers)
    fleet.take(report(*helmets), now_us)


@given(STEPS)
def test_an_outage_begins_when_many_go_at_once_and_ends_only_when_most_of_them_are_back(
    steps: list[tuple[int, set[int], bool]],
) -> None:
    fleet, now_us, online = Fleet(100), START_US, set(range(HELMETS))
    said(fleet, online, now_us, online=True)
    struck: set[int] = set()
    went: dict[int, int] = {}
    for seconds, numbers, back in steps:
        now_us += seconds * 1_000_000
        said(fleet, numbers, now_us, online=back)
        went = {n: at_us for n, at_us in went.items() if not (back and n in numbers)}
        went |= {n: now_us for n in numbers if not back and n in online}
        online = online | numbers if back else online - numbers
        recent = {n for n, at_us in went.items() if at_us > now_us - WITHIN_S * 1e6}
        if len(recent) >= LEAST:
            struck |= recent
        if 2 * len(struck - online) < len(struck):
            struck = set()
        fault = fleet.faults(now_us, LEAST, WITHIN_S).get("helmets")
        assert (fault is not None) == bool(struck)
        if fault is not None:
            assert fault.en.startswith(f"{len(struck - online)} helmets")


def test_an_outage_outlives_a_restart_of_the_desk() -> None:
    fleet, everyone = Fleet(100), set(range(HELMETS))
    said(fleet, everyone, START_US, online=True)
    said(fleet, everyone, START_US + 1, online=False)
    assert "helmets" in fleet.faults(START_US + 2, LEAST, WITHIN_S)
    again = Fleet(100)
    later_us = START_US + 3600_000_000
    again.begin(fleet.memory(), ["helmets"], later_us)
    said(again, set(range(10)), later_us, online=True)
    assert "helmets" in again.faults(later_us, LEAST, WITHIN_S)
    said(again, set(range(10, 25)), later_us + 1, online=True)
    assert "helmets" not in again.faults(later_us + 2, LEAST, WITHIN_S)


def test_silenced_helmets_end_an_outage_that_is_theirs_alone() -> None:
    fleet, everyone = Fleet(100), set(range(HELMETS))
    said(fleet, everyone, START_US, online=True)
    said(fleet, everyone, START_US + 1, online=False)
    assert "helmets" in fleet.faults(START_US + 2, LEAST, WITHIN_S)
    fleet.excuse(lambda name: True)
    assert "helmets" not in fleet.faults(START_US + 3, LEAST, WITHIN_S)


def test_a_worker_that_does_not_come_back_with_the_desk_is_a_fault_after_a_minute() -> None:
    before = Fleet(10)
    before.take(report(worker="north"), START_US)
    before.take(report(worker="south"), START_US)
    fleet, second = Fleet(10), 1_000_000
    fleet.begin(before.memory(), [], START_US)
    fleet.take(report(worker="south"), START_US + 50 * second)
    assert fleet.faults(START_US + 59 * second, LEAST, WITHIN_S) == {}
    assert set(fleet.faults(START_US + 60 * second, LEAST, WITHIN_S)) == {"worker north"}
    fleet.take(report(worker="north"), START_US + 60 * second)
    assert fleet.faults(START_US + 60 * second, LEAST, WITHIN_S) == {}


def test_a_desk_that_hears_of_no_worker_at_all_says_so_and_one_out_of_service_is_forgotten_in_a_day() -> None:
    fleet, second = Fleet(10), 1_000_000
    fleet.begin({}, [], START_US)
    assert fleet.faults(START_US + 59 * second, LEAST, WITHIN_S) == {}
    assert set(fleet.faults(START_US + 60 * second, LEAST, WITHIN_S)) == {"workers"}
    fleet.take(report(worker="north"), START_US + 61 * second)
    assert fleet.faults(START_US + 61 * second, LEAST, WITHIN_S) == {}
    day_us = 86_400 * second
    later = Fleet(10)
    later.begin(fleet.memory(), ["worker north"], START_US + 2 * day_us)
    assert "worker north" not in later.faults(START_US + 2 * day_us, LEAST, WITHIN_S)


def test_a_fault_that_lasts_over_a_restart_is_told_to_be_over_and_not_told_anew() -> None:
    policy = default({"group": "webhook"}, set())
    before = Faults(policy, "")
    fleet = Fleet(10)
    fleet.take(report(worker="north"), START_US)
    late_us = START_US + 20_000_000
    told = before.due(fleet.faults(late_us, LEAST, WITHIN_S), late_us)
    again, faults = Fleet(10), Faults(policy, "")
    again.begin(fleet.memory(), before.memory(), late_us)
    faults.restore(before.memory())
    repeated = faults.due(again.faults(late_us, LEAST, WITHIN_S), late_us)
    assert [n.id for n in repeated] == [n.id for n in told]
    again.take(report(worker="north"), late_us)
    over = faults.due(again.faults(late_us, LEAST, WITHIN_S), late_us)
    assert [n.reason for n in over] == ["fault_over"]
    assert over[0].facts["dedup_key"] == told[0].facts["dedup_key"]
