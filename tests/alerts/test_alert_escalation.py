"""Who is called when: an hour of the desk's life in milliseconds of injected time."""

from dataclasses import replace
from pathlib import Path

import pytest
from alert_story import START_US, version
from hypothesis import given, settings
from hypothesis import strategies as st
from night_shift import POLICY, Shift

from alerts import escalation, lifecycle
from alerts.channels.limits import Limit
from alerts.channels.outcome import delivered, refused, retry
from alerts.escalation import climb
from alerts.model import Alert, State
from alerts.policy import Storm, Tier
from alerts.storms import groups
from alerts.watch import BATCH
from core.model import Stage

CRASH = version(stage=Stage.CONFIRMED)


@pytest.fixture
def shift(tmp_path: Path) -> Shift:
    return Shift(tmp_path)


def test_nobody_takes_it_so_it_climbs_and_never_stops(shift: Shift) -> None:
    shift.tell(shift.detect(version()))
    shift.at(940)
    assert shift.told("group") == [
        "30 opened wang",
        "90 escalated lead",
        "330 escalated manager",
        "630 repeated manager",
        "930 repeated manager",
    ]
    assert shift.told("pager") == [
        "210 escalated lead",
        "330 escalated manager",
        "630 repeated manager",
        "930 repeated manager",
    ]


def test_an_acknowledgement_stops_it_and_whoever_was_called_learns_who_has_it(shift: Shift) -> None:
    shift.tell(shift.detect(CRASH))
    shift.at(70)
    shift.tell(shift.take("王芳"))
    shift.at(880)
    shift.tell(shift.close("王芳"))
    shift.at(3600)
    assert shift.told("group") == ["1 opened wang", "60 escalated lead", "71 acknowledged", "881 resolved"]
    assert shift.told("pager") == [], "who was not called need not be told"
    assert "王芳" in "".join(shift.channels["group"].log[2][1].lines)


def test_a_rider_who_answers_in_time_disturbs_nobody_and_one_who_answers_later_ends_it(shift: Shift) -> None:
    shift.tell(shift.detect(version()))
    shift.at(10)
    shift.tell(shift.says("ok"))
    shift.at(120)
    assert shift.told() == []
    shift.tell(shift.detect(version(incident="other", impacts_s=(120,))))
    shift.at(160)
    shift.tell(shift.says("ok"))
    shift.at(600)
    # That detection was made at 0 s by the worker's clock, so its countdown is over at once.
    assert shift.told() == ["121 opened wang", "161 cancelled"]


def test_critical_is_told_while_the_countdown_runs_and_other_severities_are_not(shift: Shift) -> None:
    shift.tell(shift.detect(version(severity=4), version(incident="less", severity=3)))
    shift.at(29)
    assert shift.told() == ["1 countdown wang"]
    shift.at(31)
    assert shift.told() == ["1 countdown wang", "30 opened wang", "30 opened wang"]


def test_what_turns_critical_while_it_is_open_is_told_anew(shift: Shift) -> None:
    shift.tell(shift.detect(CRASH))
    shift.at(10)
    shift.tell(shift.detect(replace(CRASH, version=2, severity=3)))
    shift.at(20)
    shift.tell(shift.detect(replace(CRASH, version=3, severity=4)))
    shift.at(30)
    assert shift.told() == ["1 opened wang", "21 opened wang"]


def test_a_second_crash_after_the_acknowledgement_calls_again_from_the_first_tier(shift: Shift) -> None:
    shift.tell(shift.detect(CRASH))
    shift.at(5)
    shift.tell(shift.take("王芳"))
    shift.at(100)
    shift.tell(shift.detect(version(2, Stage.CONFIRMED, impacts_s=(0, 99))))
    shift.at(165)
    assert shift.told() == ["1 opened wang", "6 acknowledged", "101 opened wang", "160 escalated lead"]


def test_an_acknowledged_alert_that_nobody_touches_comes_back_and_one_that_is_worked_on_does_not(
    shift: Shift,
) -> None:
    shift.tell(shift.detect(CRASH))
    shift.at(10)
    shift.tell(shift.take("王芳"))
    shift.at(800)
    shift.tell(shift.book.note("crash", "王芳", "打电话没人接", shift.clock.now_us()))
    shift.at(1699)
    assert shift.alert().state is State.ACKNOWLEDGED
    shift.at(1701)
    assert shift.alert().state is State.OPEN
    entry = shift.detail().timeline[-1]
    assert (entry.actor, entry.detail) == (lifecycle.DESK, {"because": "untouched", "owner": "王芳"})
    shift.at(1761)
    # At 06:30 the duty went from wang to li.
    assert shift.told()[2:] == ["1700 opened li", "1760 escalated lead"]


def test_whoever_comes_on_duty_is_told_of_what_nobody_has_taken(shift: Shift) -> None:
    shift.at(900)
    shift.tell(shift.detect(replace(CRASH, detected_us=shift.clock.now_us())))
    shift.at(1010)  # 06:30 in Shanghai is second 1000
    assert shift.told() == ["901 opened wang", "960 escalated lead", "1000 handover li"]


def test_a_desk_that_was_down_calls_what_is_due_once_and_does_not_make_up_for_every_repetition(
    shift: Shift,
) -> None:
    shift.tell(shift.detect(CRASH))
    shift.at(61)
    shift.sleep(3000)
    group, pager = shift.told("group"), shift.told("pager")
    assert group[:2] == ["1 opened wang", "60 escalated lead"]
    assert sorted(group[2:]) == ["3000 escalated manager", "3000 handover li", "3000 repeated manager"]
    assert sorted(pager) == ["3000 escalated lead", "3000 escalated manager", "3000 repeated manager"]


@given(restarts=st.sets(st.integers(1, 700), max_size=6), taken_s=st.integers(1, 700))
@settings(max_examples=15, deadline=None)
def test_restarts_change_nothing_of_what_is_told(
    restarts: set[int], taken_s: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def told(restarts: set[int]) -> dict[str, list[str]]:
        shift = Shift(tmp_path_factory.mktemp("shift"))
        shift.tell(shift.detect(version()))
        for second in sorted({*restarts, taken_s}):
            shift.at(second)
            if second == taken_s:
                shift.tell(shift.take("王芳"))
            if second in restarts:
                shift.restart_watch()
        shift.at(720)
        return {name: shift.told(name) for name in shift.channels}

    assert told(restarts) == told(set())


def test_a_channel_that_is_out_for_ten_minutes_holds_up_no_other_and_calls_nobody_to_what_is_taken(
    shift: Shift,
) -> None:
    group = shift.channels["group"]
    group.answer = lambda _: retry("unreachable", "down")
    shift.tell(shift.detect(CRASH, version(1, Stage.CONFIRMED, incident="second")))
    shift.at(200)
    shift.tell(shift.take("王芳"))
    shift.at(600)
    group.answer = lambda _: delivered()
    shift.at(700)
    assert [n.alert for _, n in shift.channels["pager"].log][:2] == ["crash", "second"]
    called = {n.alert for _, n in group.log if n.episode_us is not None}
    assert called == {"second"}, "the first was taken while the channel was out"
    assert "acknowledged" in {n.reason for _, n in group.log if n.alert == "crash"}
    ledger = {(line.channel, line.reason, line.state) for line in shift.detail().deliveries}
    assert ("group", "opened", "overtaken") in ledger
    assert ("pager", "escalated", "delivered") in ledger


@pytest.mark.parametrize(("severity", "expected"), [(4, ["2 escalated lead"]), (3, ["60 escalated lead"])])
def test_a_tier_that_reaches_nobody_does_not_hold_a_critical_alert_up(
    shift: Shift, severity: int, expected: list[str]
) -> None:
    shift.policy = replace(
        POLICY,
        tiers=dict.fromkeys(
            range(1, 5),
            (Tier(0, ("pager",), ("wang",)), Tier(60, ("group",), ("lead",)), Tier(600, ("group",))),
        ),
    )
    shift.restart_watch()
    shift.channels["pager"].answer = lambda _: refused("400", "no such robot")
    shift.tell(shift.detect(version(stage=Stage.CONFIRMED, severity=severity)))
    shift.at(1)
    shift.watch.stuck("crash", 0, "pager")
    shift.at(590)
    assert shift.told() == expected, "called once, also when its time comes"
    assert shift.watch.passed_over("crash") == (1 if severity == 4 else 0)


def test_where_no_later_tier_calls_otherwise_their_calls_are_kept_for_their_times(shift: Shift) -> None:
    tiers = (Tier(0, ("group",)), Tier(60, ("group",)), Tier(180, ("group",)))
    shift.policy = replace(POLICY, tiers=dict.fromkeys(range(1, 5), tiers))
    shift.restart_watch()
    shift.channels["group"].answer = lambda _: refused("310000", "sign not match")
    shift.tell(shift.detect(version(stage=Stage.CONFIRMED, severity=4)))
    shift.at(1)
    shift.watch.stuck("crash", 0, "group")
    shift.at(50)
    shift.channels["group"].answer = lambda _: delivered()
    shift.at(200)
    assert shift.told() == ["60 escalated", "180 escalated"], "the robot was mended after 50 s"


def test_sos_pressed_again_calls_again_and_does_not_hold_the_tiers_up(shift: Shift) -> None:
    for second in (1, 20, 40, 55):
        shift.at(second)
        shift.tell(shift.says("sos"))
    shift.at(65)
    assert shift.told() == [
        "2 opened wang",
        "21 pressed wang",
        "41 pressed wang",
        "56 pressed wang",
        "61 escalated lead",
    ]
    (alert,) = shift.reader.live()
    shift.tell(shift.take("王芳", alert.id))
    shift.at(70)
    shift.tell(shift.says("sos"))
    shift.at(75)
    assert "71 opened wang" in shift.told()


def silent(n: int, severity: int = 2, at_s: float = 0.0) -> object:
    lost = replace(version(stage=Stage.CONFIRMED, severity=severity), signal_lost=True)
    occurred_us = START_US + round(at_s * 1e6)
    return replace(
        lost, incident=f"i{n:04}", helmet=f"SF-{n:06}", occurred_us=occurred_us, impacts_us=[occurred_us]
    )


def test_five_thousand_helmets_silent_at_once_are_one_incident_and_a_critical_one_still_stands_out(
    shift: Shift,
) -> None:
    shift.channels["group"].limits = (Limit(20, 60.0, kept=5),)
    shift.at(10)
    for start in range(0, 5000, 500):
        shift.tell(shift.detect(*(silent(n) for n in range(start, start + 500))))  # type: ignore[arg-type]
    shift.tell(shift.detect(silent(9999, severity=4)))  # type: ignore[arg-type]
    shift.at(20)
    assert shift.told() == ["11 opened wang", "11 storm_opened wang"]
    assert shift.channels["group"].log[0][1].alert == "i9999"
    assert "5000" in shift.channels["group"].log[1][1].title
    shift.at(75)
    assert shift.told()[2:] == ["70 escalated lead", "70 storm_escalated lead"]
    shift.tell(shift.take("王芳", "i0007"))
    shift.at(340)
    assert [reason for reason in shift.told() if "storm" in reason][2:] == ["76 storm_acknowledged"]


def test_what_is_left_of_a_storm_stands_for_itself_again(shift: Shift) -> None:
    shift.tell(shift.detect(*(silent(n) for n in range(6))))  # type: ignore[arg-type]
    shift.at(5)
    assert shift.told() == ["1 storm_opened wang"]
    for n in range(4):
        shift.tell(shift.take("王芳", f"i{n:04}"))
        shift.tell(shift.close("王芳", alert=f"i{n:04}"))
    shift.at(6)
    assert {n.alert for _, n in shift.channels["group"].log if n.reason == "opened"} == {"i0004", "i0005"}


def test_many_alerts_at_once_are_looked_at_in_turns_and_none_is_left_out(shift: Shift) -> None:
    crashes = [replace(CRASH, incident=f"c{n}", helmet=f"SF-{n}") for n in range(2 * BATCH + 7)]
    shift.tell(shift.detect(*crashes))
    sizes = []
    while shift.watch.behind(START_US):
        sizes.append(len(shift.watch.due(START_US)))
    assert sizes == [BATCH, BATCH, 7]


ALERTS = st.lists(
    st.tuples(st.integers(0, 600), st.booleans(), st.integers(1, 4), st.booleans()), max_size=60
)


@given(ALERTS, st.integers(2, 8), st.integers(1, 120))
def test_a_storm_holds_exactly_the_alerts_that_lie_in_a_dense_enough_minute(
    given_: list[tuple[int, bool, int, bool]], count: int, within_s: int
) -> None:
    alerts = [an_alert(n, *values) for n, values in enumerate(given_)]
    quiet = [a for a in alerts if a.signal_lost and a.severity < 4 and not a.test]
    expected = {
        a.id
        for a in quiet
        for b in quiet
        if 0 <= a.alerted_us - b.alerted_us <= within_s * 1e6
        and sum(0 <= c.alerted_us - b.alerted_us <= within_s * 1e6 for c in quiet) >= count
    }
    members = [a.id for group in groups(alerts, Storm(count, within_s)) for a in group]
    assert len(members) == len(set(members))
    assert set(members) == expected


def an_alert(n: int, at_s: int, signal_lost: bool, severity: int, test: bool) -> Alert:
    (step,) = lifecycle.detected(
        version(severity=severity, incident=f"i{n}"), None, START_US, 30_000_000, None
    )
    return replace(step.alert, alerted_us=START_US + at_s * 1_000_000, signal_lost=signal_lost, test=test)


@given(ages=st.lists(st.integers(0, 4000), min_size=1, max_size=40), severity=st.integers(1, 4))
def test_looking_only_when_told_to_finds_the_same_as_looking_all_the_time(
    ages: list[int], severity: int
) -> None:
    """`next_us` is a promise: before it, no call comes due."""
    for age_s in ages:
        now_us = START_US + age_s * 1_000_000
        found = climb(START_US, severity, POLICY, now_us)
        assert found.next_us is not None and found.next_us > now_us
        known = {call.key for call in found.due}
        assert {call.key for call in climb(START_US, severity, POLICY, found.next_us - 1).due} == known


def test_an_hour_of_everything(shift: Shift) -> None:
    """Escalation, rota change, storm, restart and outage in one hour; nothing is told twice, nothing is lost."""
    group = shift.channels["group"]
    group.limits = (Limit(20, 60.0, kept=5),)
    shift.tell(shift.detect(CRASH))
    shift.at(130)
    shift.tell(shift.take("王芳"))
    shift.at(600)
    shift.tell(shift.close("王芳"))
    shift.tell(
        shift.detect(*(replace(silent(n, at_s=600), detected_us=shift.clock.now_us()) for n in range(200)))
    )  # type: ignore[type-var,call-overload]
    shift.at(700)
    group.answer = lambda _: retry("130101", "too fast")
    shift.tell(shift.detect(replace(version(1, incident="during"), detected_us=shift.clock.now_us())))
    shift.at(900)
    shift.reopen_file()
    group.answer = lambda _: delivered()
    shift.at(1800).sleep(2000).at(2100)
    shift.tell(shift.take("李明", "during"))
    shift.tell(shift.take("李明", "i0000"))
    shift.at(3600)
    for name, channel in shift.channels.items():
        ids = [notice.id for _, notice in channel.log]
        assert len(ids) == len(set(ids)), name
    rows = shift.outbox._db.execute("SELECT state, count(*) FROM deliveries GROUP BY state")
    assert set(dict(rows)) <= {"delivered", "overtaken"}
    reasons = {line.split()[1] for line in shift.told()}
    assert {"opened", "escalated", "acknowledged", "resolved", "storm_opened", "storm_escalated"} <= reasons
    assert any(reason.endswith("handover li") for reason in shift.told())
    minutes = [int(at_s // 60) for at_s, _ in group.log]
    assert max(minutes.count(m) for m in minutes) <= 20
    assert not any(
        at_s > 2110 and n.episode_us is not None and n.alert in ("during", "i0000") and at_s < 2900
        for at_s, n in group.log
    ), "what somebody has calls nobody"
    assert escalation.plan(shift.alert(), POLICY, shift.clock.now_us()).next_us is None
