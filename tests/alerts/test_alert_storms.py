"""Storms: one incident from its first alert to its end, whatever becomes of single members."""

from dataclasses import replace
from pathlib import Path

import pytest
from alert_story import START_US, version
from hypothesis import given, settings
from hypothesis import strategies as st
from night_shift import Shift

from alerts.channels.outcome import delivered, retry
from core.model import Detection, Stage


@pytest.fixture
def shift(tmp_path: Path) -> Shift:
    return Shift(tmp_path)


def silent(n: int, at_s: float = 0.0, severity: int = 2) -> Detection:
    at_us = START_US + round(at_s * 1e6)
    found = version(stage=Stage.CONFIRMED, severity=severity, incident=f"i{n:04}", helmet=f"SF-{n:06}")
    return replace(found, signal_lost=True, occurred_us=at_us, impacts_us=[at_us], detected_us=at_us)


def storms_told(shift: Shift, name: str = "group") -> list[str]:
    return [line for line in shift.told(name) if "storm" in line]


def take_all(shift: Shift, person: str) -> None:
    ids = [a.id for storm in shift.watch.storms(shift.clock.now_us()) for a in storm.members]
    for start in range(0, len(ids), 250):
        part = ids[start : start + 250]
        changes, _ = shift.book.acknowledge_many(part, person, shift.clock.now_us(), len(ids))
        shift.tell(changes)


@given(oks=st.lists(st.integers(0, 29), unique=True, max_size=20), restarts=st.sets(st.integers(1, 20)))
@settings(max_examples=15, deadline=None)
def test_whoever_says_i_am_ok_the_storm_stays_the_same_also_over_restarts(
    oks: list[int], restarts: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    shift = Shift(tmp_path_factory.mktemp("shift"))
    shift.tell(shift.detect(*(silent(n) for n in range(30))))
    shift.at(1)
    (first,) = shift.watch.storms(shift.clock.now_us())
    for turn, n in enumerate(oks, 1):
        shift.at(1 + turn)
        shift.tell(shift.says("ok", helmet=f"SF-{n:06}"))
        if turn in restarts:
            shift.restart_watch()
    shift.at(59)
    (last,) = shift.watch.storms(shift.clock.now_us())
    assert (last.id, last.opened_us) == (first.id, first.opened_us)
    assert storms_told(shift) == ["1 storm_opened wang"]


def test_take_all_is_one_message_and_the_end_of_the_storm_another(shift: Shift) -> None:
    shift.tell(shift.detect(*(silent(n) for n in range(300))))
    shift.at(5)
    take_all(shift, "王芳")
    shift.at(10)
    assert shift.told() == ["1 storm_opened wang", "6 storm_acknowledged"]
    assert "王芳" in shift.channels["group"].log[1][1].title
    shift.restart_watch()
    for n in range(300):
        shift.tell(shift.close("王芳", alert=f"i{n:04}"))
    shift.at(1000)
    assert shift.told() == ["1 storm_opened wang", "6 storm_acknowledged", "11 storm_over"]
    keys = {notice.facts["dedup_key"] for _, notice in shift.channels["group"].log}
    assert keys == {"helmetwatch/storm/i0000"}, "the same incident to machines"
    assert [notice.ended for _, notice in shift.channels["group"].log] == [False, False, True]


def test_a_queued_call_to_a_storm_that_somebody_took_never_goes_out(shift: Shift) -> None:
    group = shift.channels["group"]
    group.answer = lambda _: retry("unreachable", "down")
    shift.tell(shift.detect(*(silent(n) for n in range(10))))
    shift.at(70)
    take_all(shift, "王芳")
    shift.at(80)
    group.answer = lambda _: delivered()
    shift.at(300)
    assert [line.split()[1] for line in shift.told()] == ["storm_acknowledged"]


def test_what_joins_a_storm_after_somebody_took_it_calls_and_so_does_what_is_given_back(shift: Shift) -> None:
    shift.tell(shift.detect(*(silent(n) for n in range(10))))
    shift.at(5)
    shift.tell(shift.take("王芳", "i0003"))
    shift.at(20)
    assert storms_told(shift) == ["1 storm_opened wang", "6 storm_acknowledged"]
    shift.tell(shift.detect(silent(77, at_s=20, severity=3)))
    shift.at(22)
    assert storms_told(shift)[2:] == ["21 storm_opened wang"]
    shift.tell(shift.take("王芳", "i0077"))
    shift.at(30)
    assert storms_told(shift)[3:] == ["23 storm_acknowledged"]
    shift.restart_watch()
    for alert in ("i0003", "i0077"):
        shift.tell(shift.close("王芳", alert=alert))
    shift.at(100)
    assert storms_told(shift)[4:] == ["31 storm_opened wang", "91 storm_escalated lead"], "nobody has it now"
