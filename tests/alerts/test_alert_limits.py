"""Rate limits: never more than the service takes, critical first, nothing forgotten."""

from hypothesis import given
from hypothesis import strategies as st
from vendor_servers import NOW_US, WANG, notice

from alerts.channels.limits import Limit, free, plan
from alerts.channels.robots import dingtalk
from alerts.notices import Notice, digest

LIMITS = st.sampled_from([(), (Limit(20, 60.0, kept=5),), (Limit(100, 60.0, kept=20), Limit(5, 1.0, kept=1))])
WAITING = st.lists(st.integers(1, 4), max_size=120).map(
    lambda severities: [notice(f"n{i}", s, at_us=NOW_US - i) for i, s in enumerate(severities)]
)
SENT = st.lists(st.integers(0, 70_000_000).map(lambda ago: NOW_US - ago), max_size=30).map(sorted)


@given(WAITING, LIMITS, SENT)
def test_what_is_planned_fits_and_carries_each_notice_at_most_once(
    waiting: list[Notice], limits: tuple[Limit, ...], sent: list[int]
) -> None:
    parcels = plan(waiting, limits, sent, NOW_US)
    for limit in limits:
        recent = sum(t > NOW_US - limit.within_s * 1e6 for t in sent)
        assert len(parcels) <= max(0, limit.most - recent)
    carried = [each.id for parcel in parcels for each in parcel.carries]
    assert len(carried) == len(set(carried))
    critical = {each.id for each in waiting if each.critical}
    if free(limits, sent, NOW_US, critical=True):
        assert critical <= set(carried), "every critical notice goes out as long as one message does"
    if critical and set(carried) - critical:
        first = [parcel.message.critical for parcel in parcels]
        assert first == sorted(first, reverse=True)


@given(WAITING)
def test_ordinary_notices_leave_the_slots_kept_for_critical_ones(waiting: list[Notice]) -> None:
    (limit,) = dingtalk("c", "https://x", "").limits
    ordinary = [each for each in waiting if not each.critical]
    parcels = plan(ordinary, (limit,), [], NOW_US)
    sent = [NOW_US] * len(parcels)
    assert free((limit,), sent, NOW_US, critical=True) >= limit.kept
    late = [notice("late", 4)]
    assert [p.message.id for p in plan(late, (limit,), sent, NOW_US)] == ["late"]


def test_a_storm_becomes_single_messages_and_one_digest_and_a_minute_later_there_is_room_again() -> None:
    limits = (Limit(20, 60.0, kept=5),)
    storm = [notice(f"n{i}", 2) for i in range(500)]
    parcels = plan(storm, limits, [], NOW_US)
    assert [len(parcel.carries) for parcel in parcels] == [1] * 14 + [486]
    assert "486" in parcels[-1].message.title
    sent = [NOW_US] * 15
    assert plan([notice("next", 2)], limits, sent, NOW_US + 59_000_000) == []
    assert len(plan([notice("next", 2)], limits, sent, NOW_US + 60_000_000)) == 1


def test_a_digest_names_the_severest_first_and_counts_the_rest() -> None:
    many = [notice(f"n{i}", 1 + i % 4, title=f"t{1 + i % 4}", people=(WANG,)) for i in range(30)]
    merged = digest(many)
    assert merged.lines[0] == "t4"
    assert len(merged.lines) == 22
    assert "10" in merged.lines[-2]
    assert merged.people == (WANG,), "nobody is called twice"
    assert merged.critical
    assert merged == digest(many[::-1]), "the same notices are the same digest, in whatever order"


def test_a_digest_of_drills_says_so_and_one_with_a_real_alert_does_not() -> None:
    drills = [notice(f"d{i}", test=True) for i in range(3)]
    assert "TEST" in digest(drills).title
    assert "TEST" not in digest([*drills, notice("real")]).title
