"""Silences hold back small messages and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
from alert_story import HELMET, START_US, ZHANG, version
from hypothesis import given
from hypothesis import strategies as st
from night_shift import Shift

from alerts.model import Alert, Resolution, Rider
from alerts.silences import Scope, Silence, Silences, silenceable, until_us
from core.model import Detection, Kind, Stage, Worn

MINUTE_US = 60_000_000


def silence(minutes: int = 30, scope: Scope = Scope((HELMET,)), id_: str = "s") -> Silence:  # noqa: B008
    return Silence(id_, scope, "lab", "王芳", START_US, START_US + minutes * MINUTE_US, 1)


@pytest.fixture
def shift(tmp_path: Path) -> Shift:
    return Shift(tmp_path)


def small(**changes: object) -> Detection:
    return replace(version(stage=Stage.CONFIRMED, severity=2), **{"worn": Worn.NO} | changes)  # type: ignore[arg-type]


def test_what_is_small_calls_nobody_while_the_silence_lasts_and_everybody_after(shift: Shift) -> None:
    shift.watch.silence([silence(minutes=10)])
    shift.tell(shift.detect(small()))
    shift.at(599)
    assert shift.told() == []
    assert shift.alert().state == "open", "the page shows it"
    shift.at(602)
    reasons = [line.split()[1] for line in shift.told()]
    assert reasons[:2] == ["opened", "escalated"]


def test_what_becomes_severe_calls_at_once(shift: Shift) -> None:
    shift.watch.silence([silence()])
    shift.tell(shift.detect(small()))
    shift.at(30)
    shift.tell(shift.detect(small(version=2, severity=3)))
    shift.at(31)
    assert [line.split()[1] for line in shift.told()] == ["opened"]


@pytest.mark.parametrize(
    "changes",
    [
        {"severity": 3},
        {"severity": 4},
        {"severity_basis": "lower_bound"},
        {"signal_lost": True},
        {"worn": Worn.YES},
        {"worn": Worn.UNKNOWN, "kind": Kind.FALL},
    ],
)
def test_what_is_severe_or_may_be_is_never_silenced(shift: Shift, changes: dict[str, object]) -> None:
    shift.watch.silence([silence()])
    shift.tell(shift.detect(small(**changes)))
    shift.at(2)
    assert [line.split()[1] for line in shift.told()] == ["opened"]


def test_sos_and_drills_are_never_silenced(shift: Shift) -> None:
    shift.watch.silence([silence(scope=Scope((HELMET, "DRILL")))])
    shift.tell(shift.says("sos"))
    shift.tell(shift.book.drill(1, "王芳", "x", shift.clock.now_us()))
    shift.at(2)
    assert len(shift.told()) == 2


def test_a_silence_that_somebody_ends_lets_the_channels_speak_at_once(shift: Shift) -> None:
    shift.watch.silence([silence()])
    shift.tell(shift.detect(small()))
    shift.at(5)
    shift.watch.silence([])
    shift.at(6)
    assert [line.split()[1] for line in shift.told()] == ["opened"]


ALERT = st.builds(
    lambda severity, basis, lost, kind, test: (severity, basis, lost, kind, test),
    st.integers(1, 4),
    st.sampled_from(["kinematic", "lower_bound", "context"]),
    st.booleans(),
    st.sampled_from(Kind),
    st.booleans(),
)


@given(ALERT)
def test_no_silence_ever_covers_what_could_be_severe(given_: tuple[int, str, bool, Kind, bool]) -> None:
    severity, basis, lost, kind, test = given_
    alert = _alert(severity=severity, severity_basis=basis, signal_lost=lost, kind=kind, test=test)
    held = until_us([silence()], alert, START_US) is not None
    assert held == silenceable(alert)
    assert not held or (severity <= 2 and basis != "lower_bound" and not lost and kind is not Kind.SOS)


def _alert(**changes: object) -> Alert:
    from alerts import lifecycle

    (step, *_) = lifecycle.detected(version(), ZHANG, START_US, 30_000_000, None)
    return replace(step.alert, **changes)


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        (Scope(("a",)), "a"),
        (Scope(city="深圳"), "bc"),
        (Scope(station="南山"), "bd"),
        (Scope(city="深圳", station="南山"), "b"),
        (Scope(("a",), "深圳", "南山"), "ab"),
        (Scope(), ""),
    ],
)
def test_a_scope_is_named_helmets_and_those_of_a_city_or_a_station(scope: Scope, covered: str) -> None:
    riders = {
        "a": None,
        "b": Rider("B", "", city="深圳", station="南山"),
        "c": Rider("C", "", city="深圳"),
        "d": Rider("D", "", city="广州", station="南山"),
    }
    assert "".join(name for name, rider in riders.items() if scope.covers(name, rider)) == covered


def test_silences_outlive_the_desk_and_end_once(tmp_path: Path) -> None:
    kept = Silences(tmp_path / "alerts.db")
    one = silence(scope=Scope((HELMET,), "深圳", "南山"))
    kept.add(one)
    kept.add(silence(minutes=1, id_="short"))
    kept.close()
    again = Silences(tmp_path / "alerts.db")
    assert again.since(START_US + 2 * MINUTE_US) == [one]
    ended = again.end("s", "李明", START_US + MINUTE_US)
    assert ended == replace(one, ended_us=START_US + MINUTE_US, ended_by="李明")
    assert again.end("s", "陈六", START_US + 2 * MINUTE_US) == ended
    assert not ended.lasts(START_US + MINUTE_US)
    assert again.end("gone", "李明", START_US) is None
    again.close()


def test_whoever_was_called_before_a_silence_began_learns_how_it_went_on(shift: Shift) -> None:
    shift.tell(shift.detect(small()))
    shift.at(2)
    shift.watch.silence([silence()])
    shift.at(3)
    shift.tell(shift.take("王芳"))
    shift.at(5)
    shift.tell(shift.book.resolve("crash", "王芳", Resolution.UNHURT, "", shift.clock.now_us()))
    shift.at(7)
    assert [line.split()[1] for line in shift.told()] == ["opened", "acknowledged", "resolved"]


def test_who_took_it_is_no_news_to_those_whom_a_silence_kept_from_being_called(shift: Shift) -> None:
    shift.watch.silence([silence()])
    shift.tell(shift.detect(small()))
    shift.at(2)
    shift.tell(shift.take("王芳"))
    shift.watch.silence([])
    shift.at(4)
    shift.tell(shift.book.resolve("crash", "王芳", Resolution.UNHURT, "", shift.clock.now_us()))
    shift.at(6)
    assert shift.told() == []
