"""The figures of a shift, against counting by hand."""

from pathlib import Path

import pytest
from alert_story import START_US, Story, version
from hypothesis import given
from hypothesis import strategies as st

from alerts.model import Resolution
from alerts.reader import Filter
from alerts.statistics import Case, Episode, summary
from core.model import Stage


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def figures(story: Story) -> dict:
    now_us = story.clock.now_us()
    return story.reader.statistics(START_US - 1, now_us + 1, now_us)


def test_an_evening_at_the_desk(story: Story) -> None:
    for name in ("quick", "slow", "early", "gone"):
        story.detect(version(incident=name, helmet=f"SF-{name}"))
    story.at(10).take("王芳", "early")
    story.at(50).take("王芳", "quick")  # opened at 30
    story.at(130).take("李明", "slow")
    story.close("王芳", Resolution.UNHURT, "early")
    story.close("王芳", Resolution.ROAD_BUMP, "quick")
    story.close("李明", Resolution.OTHER, "slow")
    story.says("ok", helmet="SF-gone")
    story.detect(version(incident="waits", stage=Stage.CONFIRMED, helmet="SF-9"))
    story.book.drill(3, "王芳", "1", story.clock.now_us())
    story.at(200)
    found = figures(story)
    assert (found["alerts"], found["drills"]) == (5, 1)
    assert found["states"] == {"resolved": 3, "cancelled": 1, "open": 1}
    assert found["time_to_acknowledge_s"] == {"count": 3, "p50": 20.0, "p90": 100.0, "max": 100.0}
    assert found["within_target"] == 0.4, (
        "two of five: one was slow, one waits, one rider answered after 100 s"
    )
    assert found["untaken_beyond_target"] == 2
    assert (found["judged"], found["false_alarms"], found["false_alarm_share"]) == (2, 1, 0.5)
    assert found["false_alarm_share_by_reason"] == {"road_bump": 0.5}
    assert found["cancelled"] == {"rider": 1}
    assert [each["count"] for each in found["detectors"]] == [5]


def test_every_time_that_an_alert_wants_somebody_counts(story: Story) -> None:
    story.detect(version(stage=Stage.CONFIRMED))
    story.at(10).take("王芳")
    story.at(20).detect(version(2, Stage.CONFIRMED, impacts_s=(0, 20)))
    story.clock.advance(1500)
    found = figures(story)
    assert (found["within_target"], found["untaken_beyond_target"]) == (0.5, 1), (
        "the second crash still waits"
    )
    story.take("王芳")
    story.at(1580).close("王芳", Resolution.INJURED)
    found = figures(story)
    assert found["time_to_acknowledge_s"] == {"count": 2, "p50": 10.0, "p90": 1500.0, "max": 1500.0}
    assert found["time_to_resolve_s"] == {"count": 1, "p50": 1560.0, "p90": 1560.0, "max": 1560.0}
    assert (found["within_target"], found["untaken_beyond_target"]) == (0.5, 0)


@pytest.mark.parametrize(("after_s", "missed"), [(30, 0), (300, 1)])
def test_what_the_rider_took_back_before_anybody_came_counts_where_it_was_too_late(
    story: Story, after_s: int, missed: int
) -> None:
    story.detect(version(stage=Stage.CONFIRMED))
    story.at(after_s).says("ok")
    story.clock.advance(5000)
    found = figures(story)
    assert found["untaken_beyond_target"] == missed
    assert found["within_target"] == (0.0 if missed else None)


def test_an_empty_month_has_no_shares() -> None:
    found = summary([], START_US)
    assert (found["within_target"], found["false_alarm_share"]) == (None, None)
    assert found["time_to_acknowledge_s"] == {"count": 0, "p50": None, "p90": None, "max": None}


EPISODES = st.lists(
    st.builds(
        Episode, begin_us=st.integers(0, 10**6), taken_us=st.one_of(st.none(), st.integers(10**6, 10**9))
    ),
    max_size=3,
).map(tuple)

CASES = st.lists(
    st.builds(
        Case,
        state=st.sampled_from(["open", "resolved", "acknowledged"]),
        test=st.booleans(),
        episodes=EPISODES,
        reason=st.one_of(st.none(), st.sampled_from(Resolution)),
        cancelled_by=st.none(),
        detector=st.sampled_from(["a", "b"]),
    )
)


@given(CASES)
def test_shares_lie_between_none_and_all_and_versions_add_up(cases: list[Case]) -> None:
    found = summary(cases, 10**9)
    for share in (found["within_target"], found["false_alarm_share"]):
        assert share is None or 0 <= share <= 1
    assert sum(each["count"] for each in found["detectors"]) == found["alerts"]
    assert sum(each["false_alarms"] for each in found["detectors"]) == found["false_alarms"]
    times = found["time_to_acknowledge_s"]
    assert times["count"] == 0 or times["p50"] <= times["p90"] <= times["max"]


def test_the_history_holds_what_fits_everything_asked_for(story: Story) -> None:
    story.detect(version(incident="a"), version(incident="b", severity=4, helmet="SF-2"))
    story.at(40)
    story.take("王芳", "a")
    story.detect(version(incident="c", helmet="SF-3"))
    story.book.drill(2, "李明", "x", story.clock.now_us())

    def ids(**wanted: object) -> list[str]:
        return [alert.id for alert in story.reader.alerts(Filter(**wanted), 10, None)[0]]  # type: ignore[arg-type]

    assert ids() == ["drill-x", "c", "b", "a"]
    assert ids(severities=[4]) == ["b"]
    assert ids(owner="王芳") == ["a"]
    assert ids(rider="张") == ["a"]
    assert ids(rider="%") == [], "no wildcard"
    assert ids(helmet="SF-3") == ["c"]
    assert ids(kinds=["sos"]) == []
    assert ids(from_us=START_US + 1) == ["drill-x", "c"]
    assert ids(to_us=START_US + 1) == ["b", "a"]
    assert ids(test=True) == ["drill-x"]
    assert ids(test=False, severities=[2]) == ["c", "a"]
