"""Riding times: sums of days and duty clocks that the order of data, repeats and restarts cannot change.

Verification case V44: late data closes a gap and gives the total that data in time would have given.
"""

import sqlite3
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.duty import Clock, Interval, fold
from alerts.riding import AHEAD_S, KEPT_S, OnDuty, Ridden, RidingBook, RidingError, Total
from core.model import Riding, RidingLog

CHINA = ZoneInfo("Asia/Shanghai")
NOON_S = int(datetime(2026, 11, 24, 12, tzinfo=CHINA).timestamp())
NOW_US = NOON_S * 1_000_000


def logs(start_s: int, states: str, helmet: str = "SF-1", step: int = 60) -> list[RidingLog]:
    """Logs of one helmet from a second on."""
    return [
        RidingLog(helmet, (start_s + k) * 1_000_000, states[k : k + step])
        for k in range(0, len(states), step)
    ]


def book(folder: Path, zone: ZoneInfo = CHINA) -> RidingBook:
    return RidingBook(folder / "alerts.db.riding", zone)


def known(opened: RidingBook, now_us: int = NOW_US) -> tuple[list[Ridden], list[OnDuty]]:
    return opened.ridden(opened.day(now_us), "", 100), opened.duty(now_us)


RUNS = st.lists(st.tuples(st.sampled_from("01234"), st.integers(1, 900)), min_size=1, max_size=12)
DAY = RUNS.map(lambda runs: "".join(state * many for state, many in runs))


def clock_of(start_s: int, states: str) -> Clock:
    """The duty clock of seconds, one by one."""
    return fold(
        Interval((start_s + k) * 1_000_000, (start_s + k + 1) * 1_000_000, state == "4")
        for k, state in enumerate(states)
        if state in "14"
    )


@settings(max_examples=40, deadline=None)
@given(DAY, st.integers(1, 60), st.data())
def test_v44_in_any_order_in_any_parts_and_twice_gives_what_the_whole_in_time_gives(
    tmp_path_factory: pytest.TempPathFactory, states: str, step: int, data: st.DataObject
) -> None:
    start_s = NOON_S - len(states)
    parts = logs(start_s, states, step=step)
    again = data.draw(st.lists(st.sampled_from(parts), max_size=5))
    order = data.draw(st.permutations(parts + again))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=4)))
    opened = book(tmp_path_factory.mktemp("riding"))
    for begin, end in zip([0, *cuts], [*cuts, len(order)], strict=True):
        assert opened.take(order[begin:end], NOW_US) == 0
    ridden, duty = known(opened)
    opened.close()
    counts = [states.count(str(int(each))) for each in (Riding.WORN, Riding.BARE, Riding.UNKNOWN)]
    assert ridden == ([Ridden("SF-1", *counts)] if any(counts) else [])
    clock = clock_of(start_s, states)
    since, end, works, worked, rest, uncertain = clock
    expected = [OnDuty("SF-1", worked, since, end, works, rest, uncertain)] if worked else []
    assert duty == expected


def test_v44_a_ride_that_comes_late_closes_the_hole_it_was_missing_from(tmp_path: Path) -> None:
    opened, parts = book(tmp_path), logs(NOON_S - 9000, "4" * 9000)
    opened.take(parts[:60] + parts[90:], NOW_US)
    (before,) = opened.duty(NOW_US)
    assert (before.worked_s, before.uncertain_s) == (7200, 1800)
    opened.take(parts[60:90], NOW_US)
    (after,) = opened.duty(NOW_US)
    assert (after.worked_s, after.uncertain_s, after.since_us) == (9000, 0, (NOON_S - 9000) * 1_000_000)
    opened.close()


def test_riding_with_the_helmet_off_is_neither_duty_nor_rest(tmp_path: Path) -> None:
    opened = book(tmp_path)
    opened.take(logs(NOON_S - 6000, "4" * 3000 + "3" * 1800 + "4" * 1200), NOW_US)
    (found,) = opened.duty(NOW_US)
    assert (found.worked_s, found.uncertain_s) == (4200, 1800)
    opened.close()


@pytest.mark.parametrize(
    "zone", ["Asia/Shanghai", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York"]
)
def test_a_day_ends_at_midnight_of_the_desks_zone(tmp_path: Path, zone: str) -> None:
    opened = book(tmp_path, ZoneInfo(zone))
    midnight = datetime(2026, 11, 24, tzinfo=ZoneInfo(zone))
    opened.take(logs(int(midnight.timestamp()) - 90, "4" * 240), int(midnight.timestamp() + 200) * 1_000_000)
    assert opened.days("2026-11-01", "2026-11-30") == ["2026-11-23", "2026-11-24"]
    assert opened.total("2026-11-23") == Total(1, 90, 0, 0)
    assert opened.total("2026-11-24") == Total(1, 150, 0, 0)
    opened.close()


def test_a_desk_that_starts_again_goes_on_where_it_was(tmp_path: Path) -> None:
    opened = book(tmp_path)
    opened.take(logs(NOON_S - 8000, "4" * 4000), NOW_US)
    opened.close()
    assert stat.S_IMODE((tmp_path / "alerts.db.riding").stat().st_mode) == 0o600
    opened = book(tmp_path)
    opened.take(logs(NOON_S - 4030, "4" * 4030), NOW_US)
    ridden, (duty,) = known(opened)
    assert ridden == [Ridden("SF-1", 8000, 0, 0)] and duty.worked_s == 8000
    assert opened.helmet("SF-1", NOW_US) == ([("2026-11-24", Ridden("SF-1", 8000, 0, 0))], duty)
    opened.close()


def test_what_is_too_old_or_ahead_of_time_is_refused_and_said_so(tmp_path: Path) -> None:
    opened = book(tmp_path)
    told = [
        *logs(NOON_S - KEPT_S - 1, "4"),
        *logs(NOON_S - KEPT_S, "4"),
        *logs(NOON_S + AHEAD_S, "4"),
        *logs(NOON_S + AHEAD_S + 1, "4"),
    ]
    assert opened.take(told, NOW_US) == 2
    opened.close()


def test_pages_of_helmets_follow_one_another(tmp_path: Path) -> None:
    opened = book(tmp_path)
    opened.take([log for k in range(7) for log in logs(NOON_S - 10, "43210", f"SF-{k}")], NOW_US)
    names, after = [], ""
    while page := opened.ridden("2026-11-24", after, 3):
        names += [each.helmet for each in page]
        after = page[-1].helmet
    assert names == [f"SF-{k}" for k in range(7)]
    assert opened.total("2026-11-24") == Total(7, 7, 7, 7)
    opened.close()


def test_a_clock_that_nobody_has_heard_for_four_hours_is_over(tmp_path: Path) -> None:
    opened = book(tmp_path)
    opened.take(logs(NOON_S - 600, "4" * 600), NOW_US)
    assert len(opened.duty(NOW_US + 4 * 3600_000_000 - 1)) == 1
    assert opened.duty(NOW_US + 4 * 3600_000_000) == []
    assert opened.helmet("SF-1", NOW_US + 4 * 3600_000_000)[1] is None
    opened.close()


def test_pruning_leaves_sums_and_in_time_takes_them_too(tmp_path: Path) -> None:
    opened = book(tmp_path)
    opened.take(logs(NOON_S - 600, "4" * 600), NOW_US)
    day_us = 86_400 * 1_000_000
    opened.prune(NOW_US + day_us, 31)
    assert len(opened.duty(NOW_US)) == 1
    opened.prune(NOW_US + 3 * day_us, 31)
    assert opened.duty(NOW_US) == [] and opened.total("2026-11-24").worn_s == 600
    opened.prune(NOW_US + 31 * day_us, 31)
    assert opened.total("2026-11-24").worn_s == 600
    opened.prune(NOW_US + 32 * day_us, 31)
    assert opened.total("2026-11-24").worn_s == 0
    opened.take(logs(NOON_S - 600, "4" * 600), NOW_US)
    opened.prune(NOW_US, 0)
    assert known(opened) == ([], [])
    opened.close()


def test_what_is_forgotten_is_not_in_the_file_any_more(tmp_path: Path) -> None:
    opened = book(tmp_path)
    opened.take(logs(NOON_S - 10, "4" * 10, "SF-SECRET") + logs(NOON_S - 10, "4" * 10, "SF-OTHER"), NOW_US)
    assert opened.forget(["SF-SECRET", "SF-UNKNOWN"]) == 1
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"SF-OTHER" in files and b"SF-SECRET" not in files
    assert [each.helmet for each in known(opened)[0]] == ["SF-OTHER"]
    opened.close()


def test_a_file_that_cannot_be_used_says_so_and_is_used_once_it_can(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db.riding"
    path.mkdir()
    opened = book(tmp_path)
    with pytest.raises(RidingError, match="riding"):
        opened.take(logs(NOON_S - 10, "4"), NOW_US)
    path.rmdir()
    assert opened.take(logs(NOON_S - 10, "4"), NOW_US) == 0
    opened.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(RidingError, match="newer"):
        opened.duty(NOW_US)


def test_a_damaged_quarter_costs_itself_alone(tmp_path: Path) -> None:
    opened = book(tmp_path)
    opened.take(logs(NOON_S - 60, "4" * 60), NOW_US)
    opened.close()
    with sqlite3.connect(tmp_path / "alerts.db.riding") as db:
        db.execute("UPDATE quarters SET states = x'00'")
    assert opened.take(logs(NOON_S, "4" * 60), NOW_US) == 0
    assert known(opened)[0] == [Ridden("SF-1", 120, 0, 0)]
    opened.close()


def test_the_last_fourteen_days_of_a_helmet_newest_first(tmp_path: Path) -> None:
    opened = book(tmp_path)
    for back in range(20):
        start = datetime.fromtimestamp(NOON_S, UTC) - timedelta(days=back)
        opened.take(logs(int(start.timestamp()), "43"), int(start.timestamp()) * 1_000_000)
    days, _ = opened.helmet("SF-1", NOW_US)
    assert [day for day, _ in days] == [f"2026-11-{24 - back}" for back in range(14)]
    opened.close()
