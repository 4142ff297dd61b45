"""The life of an alert, told as timelines: `second type state actor`."""

from dataclasses import replace
from pathlib import Path

import pytest
from alert_story import COUNTDOWN_S, START_US, ZHANG, Story, version
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.model import Entry, Resolution, State
from alerts.rules import RULES, Input, RefusedError
from core.model import Stage


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def test_a_crash_nobody_answers_opens_when_the_countdown_is_over(story: Story) -> None:
    story.detect(version())
    assert story.alert().state is State.PENDING
    assert story.alert().opens_us == START_US + COUNTDOWN_S * 1e6
    story.at(29.75)
    assert story.alert().state is State.PENDING
    story.at(31)
    assert story.timeline() == ["0 detected pending detector", "30 opened open desk"]
    assert story.alert().opens_us is None
    assert story.alert().opened_us == START_US + 30_000_000
    assert story.detail().timeline[-1].detail == {"because": "countdown"}


@pytest.mark.parametrize("ahead_s", [0, 3600])
def test_the_countdown_runs_from_the_detection_not_from_the_delivery(story: Story, ahead_s: int) -> None:
    detected_us = START_US + round(ahead_s * 1e6)
    story.at(20).detect(replace(version(), detected_us=detected_us))
    story.at(60)
    opened_s = 30 if ahead_s == 0 else 50
    assert story.timeline() == ["20 detected pending detector", f"{opened_s} opened open desk"]


def test_what_was_detected_while_the_desk_was_away_opens_at_once(story: Story) -> None:
    story.at(600).detect(version())
    story.at(600.25)
    assert story.alert().state is State.OPEN


def test_the_alert_names_its_rider(story: Story) -> None:
    story.detect(version(), version(incident="other", helmet="SF-000002"))
    assert story.alert().rider == ZHANG
    assert story.alert("other").rider is None


def test_a_confirmed_crash_opens_at_once(story: Story) -> None:
    story.detect(version())
    story.at(2).detect(version(2, Stage.CONFIRMED))
    assert story.timeline() == ["0 detected pending detector", "2 opened open detector"]
    story.detect(version(1, Stage.CONFIRMED, incident="sure"))
    assert story.timeline("sure") == ["2 detected pending detector", "2 opened open detector"]


def test_i_am_ok_cancels_while_the_countdown_runs_and_after(story: Story) -> None:
    story.detect(version())
    story.at(9).says("ok")
    assert story.timeline() == ["0 detected pending detector", "9 cancelled cancelled rider"]
    story.detect(version(1, Stage.CONFIRMED, incident="open"))
    story.at(10).says("ok")
    assert story.alert("open").state is State.CANCELLED
    story.at(100)
    assert story.alert().state is State.CANCELLED


def test_i_am_ok_leaves_other_helmets_and_later_crashes_alone(story: Story) -> None:
    story.detect(
        version(), version(incident="other", helmet="SF-000002"), version(incident="later", impacts_s=(5,))
    )
    story.at(9).says("ok", at_s=4)
    assert [story.alert(i).state for i in ("crash", "other", "later")] == ["cancelled", "pending", "pending"]


def test_i_am_ok_before_the_second_impact_is_no_answer_to_it(story: Story) -> None:
    story.detect(version(impacts_s=(0, 6)))
    story.at(9).says("ok", at_s=3)
    assert story.alert().state is State.PENDING


def test_i_am_ok_that_overtakes_its_crash_still_counts(story: Story) -> None:
    story.says("ok", at_s=5)
    story.at(8).detect(version())
    assert story.timeline() == ["8 detected pending detector", "8 cancelled cancelled rider"]
    story.detect(version(incident="later", impacts_s=(6,)))
    assert story.alert("later").state is State.PENDING


def test_riding_on_cancels_and_a_detector_that_changes_its_mind_opens_again(story: Story) -> None:
    story.detect(version())
    story.at(6).detect(version(2, Stage.CANCELLED))
    story.at(8).detect(version(3, Stage.STANDARD))
    assert story.timeline() == [
        "0 detected pending detector",
        "6 cancelled cancelled detector",
        "8 reopened open detector",
    ]


@pytest.mark.parametrize("quiet", ["the rider", "the detector"])
def test_an_acknowledged_alert_stays_with_its_owner_when_it_is_taken_back(story: Story, quiet: str) -> None:
    story.detect(version())
    story.at(5).take("王芳")
    if quiet == "the rider":
        story.at(9).says("ok")
    else:
        story.at(9).detect(version(2, Stage.CANCELLED))
    assert story.timeline()[-1].startswith("9 withdrawn acknowledged")
    assert story.alert().owner == "王芳"
    story.at(100)
    assert story.alert().state is State.ACKNOWLEDGED


@pytest.mark.parametrize(
    ("before", "news"),
    [
        ("acknowledged", {"impacts_s": (0, 12)}),
        ("resolved", {"impacts_s": (0, 12)}),
        ("cancelled", {"impacts_s": (0, 12)}),
        ("resolved", {"severity": 4}),
        ("cancelled", {"severity": 4}),
    ],
)
def test_a_second_crash_alerts_again(story: Story, before: str, news: dict[str, object]) -> None:
    story.detect(version())
    if before == "cancelled":
        story.at(9).says("ok")
    else:
        story.at(5).take("王芳")
    if before == "resolved":
        story.close("王芳")
    story.at(13).detect(version(2, **news))  # type: ignore[arg-type]
    assert story.timeline()[-1] == "13 reopened open detector"
    alert = story.alert()
    assert (alert.owner, alert.acknowledged_us, alert.resolved_us, alert.cancelled_us) == (None,) * 4
    assert story.detail().timeline[-1].detail.get("owner") == (None if before == "cancelled" else "王芳")


def test_a_second_impact_does_not_stop_the_countdown_of_the_first(story: Story) -> None:
    story.detect(version())
    story.at(4).detect(version(2, impacts_s=(0, 3)))
    story.at(31)
    assert story.timeline() == [
        "0 detected pending detector",
        "4 impact pending detector",
        "30 opened open desk",
    ]


def test_a_confirmed_second_impact_is_both(story: Story) -> None:
    story.detect(version())
    story.at(4).detect(version(2, Stage.CONFIRMED, impacts_s=(0, 3)))
    assert story.timeline()[1:] == ["4 impact pending detector", "4 opened open detector"]


def test_sos_opens_at_once_and_ok_takes_it_back(story: Story) -> None:
    (made, opened) = story.at(3).says("sos")
    alert = story.alert(made.alert.id)
    assert (alert.kind, alert.severity, alert.state, alert.frame_seq) == ("sos", 4, "open", None)
    assert [made.type, opened.type] == ["detected", "opened"]
    assert alert.rider == ZHANG
    story.at(6).says("ok")
    assert story.alert(alert.id).state is State.CANCELLED


def test_an_older_version_that_comes_late_is_kept_but_changes_nothing(story: Story) -> None:
    story.detect(version(3, Stage.DOWNGRADED, severity=1))
    assert story.detect(version(2, Stage.CONFIRMED, severity=4, impacts_s=(0, 9))) == []
    assert story.alert().version == 3
    assert story.alert().severity == 1
    assert [d["version"] for d in story.detail().detections] == [2, 3]


def test_only_one_person_takes_an_alert_and_taking_it_twice_changes_nothing(story: Story) -> None:
    story.detect(version())
    assert len(story.take("王芳")) == 1
    assert story.take("王芳") == []
    with pytest.raises(RefusedError, match="王芳 has already taken this alert") as refused:
        story.take("李明")
    assert refused.value.owner == "王芳"


def test_an_alert_is_resolved_by_whoever_closes_it_and_can_be_taken_back(story: Story) -> None:
    story.detect(version())
    with pytest.raises(RefusedError, match="pending and cannot be resolved"):
        story.close("李明")
    story.at(1).take("王芳")
    now_us = story.at(2).clock.now_us()
    with pytest.raises(RefusedError, match="王芳 has this alert") as refused:
        story.close("李明")
    assert refused.value.owner == "王芳"
    story.book.resolve("crash", "李明", Resolution.INJURED, "", now_us, owner="王芳")
    assert story.detail().timeline[-1].detail["from"] == "王芳"
    resolution = story.alert().resolution
    assert resolution is not None
    assert (resolution.reason, resolution.by) == ("injured", "李明")
    with pytest.raises(RefusedError, match="Reopen it first"):
        story.take("王芳")
    story.at(3).back("王芳")
    assert story.alert().resolution is None
    with pytest.raises(RefusedError, match="open and cannot be reopened"):
        story.back("王芳")
    assert [line.split()[1] for line in story.timeline()] == [
        "detected",
        "acknowledged",
        "resolved",
        "reopened",
    ]


def test_who_has_an_alert_keeps_it_when_the_rider_still_lies_there_and_not_when_a_second_blow_comes(
    story: Story,
) -> None:
    story.detect(version())
    story.at(1).take("王芳")
    story.at(9).detect(replace(version(2, Stage.CONFIRMED), severity=4))
    assert (story.alert().state, story.alert().owner, story.alert().severity) == (
        State.ACKNOWLEDGED,
        "王芳",
        4,
    )
    second_us = story.alert().last_impact_us + 8_000_000
    blows = [story.alert().impacts_us[0], second_us]
    story.at(10).detect(replace(version(3, Stage.CONFIRMED), severity=4, impacts_us=blows))
    assert (story.alert().state, story.alert().owner) == (State.OPEN, None)


def test_every_newer_version_has_a_rule_in_every_state() -> None:
    news = {Input.MORE, Input.IMPACT, Input.WORSE, Input.RETURNED, Input.WITHDRAWN, Input.NOTE}
    assert {(state, given) for state in State for given in news} <= RULES.keys()


def test_nothing_quiets_an_alert_but_the_rider_the_detector_or_a_person() -> None:
    quiet = {given for (_, given), (_, after) in RULES.items() if after is State.CANCELLED} - {
        Input.MORE,
        Input.NOTE,
    }
    moved = {
        given
        for (before, given), (_, after) in RULES.items()
        if before in (State.PENDING, State.OPEN) and after not in (State.PENDING, State.OPEN)
    }
    assert quiet == {Input.OK, Input.WITHDRAWN}
    assert moved == {Input.OK, Input.WITHDRAWN, Input.ACKNOWLEDGE}


def test_the_state_changes_only_with_an_entry_that_says_so() -> None:
    says = {
        State.OPEN: {Entry.OPENED, Entry.REOPENED},
        State.ACKNOWLEDGED: {Entry.ACKNOWLEDGED},
        State.RESOLVED: {Entry.RESOLVED},
        State.CANCELLED: {Entry.CANCELLED},
    }
    for (before, _), (entry, after) in RULES.items():
        assert (entry in says.get(after, set())) == (before is not after)


def test_the_times_of_the_first_version_stand_whatever_is_learnt_later(story: Story) -> None:
    story.detect(version(1))
    later = START_US + 3_000_000
    story.at(3).detect(replace(version(2, Stage.CONFIRMED), received_us=later, detected_us=later))
    alert = story.alert()
    assert alert.version == 2
    assert alert.occurred_us <= alert.received_us <= alert.detected_us <= alert.alerted_us


def test_an_alert_is_taken_over_only_from_whoever_has_it_at_that_moment(story: Story) -> None:
    story.detect(version())
    story.at(1).take("王芳")
    now_us = story.at(5).clock.now_us()
    with pytest.raises(RefusedError, match="王芳 has already taken"):
        story.book.acknowledge("crash", "李明", now_us, owner="赵六")
    (change,) = story.book.acknowledge("crash", "李明", now_us, owner="王芳")
    assert (change.type, change.detail) == (Entry.TAKEN_OVER, {"from": "王芳"})
    assert (change.alert.owner, change.alert.acknowledged_us) == ("李明", START_US + 1_000_000)
    with pytest.raises(RefusedError, match="李明 has already taken") as refused:
        story.book.acknowledge("crash", "陈七", now_us, owner="王芳")
    assert refused.value.owner == "李明"
    story.book.contact("crash", "李明", now_us)
    with pytest.raises(RefusedError):
        story.book.contact("crash", "王芳", now_us)


@pytest.mark.parametrize(("delay_s", "late"), [(0, False), (59, False), (61, True), (3600, True)])
def test_an_sos_that_took_long_to_arrive_says_so(story: Story, delay_s: int, late: bool) -> None:
    story.clock.advance(delay_s)
    story.says("sos", at_s=0)
    (alert,) = story.reader.live()
    assert (alert.late, alert.state) == (late, State.OPEN)


@settings(max_examples=20, deadline=None)
@given(presses=st.lists(st.integers(1, 100), min_size=1, max_size=8, unique=True), taken=st.booleans())
def test_however_often_sos_is_pressed_it_is_one_alert_that_nothing_quiets(
    presses: list[int], taken: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    story = Story(tmp_path_factory.mktemp("sos"))
    story.says("sos", at_s=0)
    (first,) = story.reader.live()
    if taken:
        story.take("王芳", first.id)
    for at_s in presses:
        story.says("sos", at_s=at_s)
        story.says("sos", at_s=at_s)
    (alert,) = story.reader.live()
    assert alert.id == first.id
    assert alert.impacts_us == [START_US + at_s * 1_000_000 for at_s in sorted([0, *presses])]
    assert alert.state is State.OPEN


def test_an_sos_after_the_last_one_was_closed_is_another_alert(story: Story) -> None:
    story.says("sos", at_s=0)
    (first,) = story.reader.live()
    story.take("王芳", first.id)
    story.close("王芳", alert=first.id)
    story.at(100).says("sos")
    (second,) = story.reader.live()
    assert second.id != first.id
