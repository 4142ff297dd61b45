"""The alert book against a small model, over restarts and repetitions of everything."""

import sqlite3
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from alert_story import START_US, Story, version
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from alerts.book import Book, NotFoundError
from alerts.database import BookError
from alerts.model import Alert, Entry, State
from alerts.reader import Filter
from alerts.rules import RefusedError
from core.model import Detection, HelmetEvent, Stage, Trace

INCIDENTS = st.sampled_from(["a", "b"])
PEOPLE = st.sampled_from(["王芳", "李明"])

MOVES = {
    (None, State.PENDING): {Entry.DETECTED},
    (State.PENDING, State.OPEN): {Entry.OPENED},
    (State.PENDING, State.ACKNOWLEDGED): {Entry.ACKNOWLEDGED},
    (State.PENDING, State.CANCELLED): {Entry.CANCELLED},
    (State.OPEN, State.ACKNOWLEDGED): {Entry.ACKNOWLEDGED},
    (State.OPEN, State.CANCELLED): {Entry.CANCELLED},
    (State.ACKNOWLEDGED, State.RESOLVED): {Entry.RESOLVED},
    (State.ACKNOWLEDGED, State.OPEN): {Entry.REOPENED},
    (State.RESOLVED, State.OPEN): {Entry.REOPENED},
    (State.CANCELLED, State.OPEN): {Entry.REOPENED},
}
"""The whole picture of `docs/api.md`: which way an alert can go, and what its timeline then says."""


class BookMachine(RuleBasedStateMachine):
    """Does anything in any order; what must hold, holds after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.story = Story(Path(self.folder.name))
        self.detections: list[Detection] = []
        self.events: list[HelmetEvent] = []

    def teardown(self) -> None:
        self.story.book.close()
        self.story.reader.close()
        self.folder.cleanup()

    @rule(
        incident=INCIDENTS,
        number=st.integers(1, 8),
        stage=st.sampled_from(Stage),
        severity=st.integers(1, 4),
        impacts=st.integers(1, 3),
    )
    def detect(self, incident: str, number: int, stage: Stage, severity: int, impacts: int) -> None:
        found = version(number, stage, severity, tuple(10.0 * k for k in range(impacts)), incident)
        self.detections.append(found)
        self.story.detect(found)

    @rule(type_=st.sampled_from(["ok", "sos", "worn"]), at_s=st.integers(0, 30))
    def press(self, type_: str, at_s: int) -> None:
        event = HelmetEvent("SF-000001", type_, START_US + at_s * 1_000_000, START_US)  # type: ignore[arg-type]
        self.events.append(event)
        self.story.book.take_events([event], self.story.clock.now_us())

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self.story.clock.advance(seconds)
        self.story.book.advance(self.story.clock.now_us())

    @rule(incident=INCIDENTS, person=PEOPLE, verb=st.sampled_from(["take", "close", "back"]))
    def ask(self, incident: str, person: str, verb: str) -> None:
        with suppress(RefusedError, NotFoundError):
            getattr(self.story, verb)(person, alert=incident)

    @rule()
    def repeat_everything_that_machines_sent(self) -> None:
        before = self.story.reader.last_seq()
        assert self.story.detect(*self.detections) == []
        assert self.story.book.take_events(self.events, self.story.clock.now_us()) == []
        assert self.story.reader.last_seq() == before

    @rule()
    def the_desk_dies_and_starts_again(self) -> None:
        before = self.story.reader.snapshot(0)
        self.story.reopen_file()
        assert self.story.reader.snapshot(0) == before

    @invariant()
    def the_feed_retold_gives_the_book(self) -> None:
        told: dict[str, Alert] = {}
        last = 0
        for change in self.story.reader.since(0, 10_000):
            assert change.seq > last
            last = change.seq
            known = told.get(change.alert.id)
            before, after = (known.state if known else None), change.alert.state
            if before is not after:
                assert change.type in MOVES[(before, after)]
            else:
                assert change.type not in {entry for entries in MOVES.values() for entry in entries}
            told[change.alert.id] = change.alert
        assert told == {alert.id: alert for alert in self.story.reader.snapshot(0).alerts}

    @invariant()
    def the_fields_fit_the_state(self) -> None:
        for alert in self.story.reader.snapshot(0).alerts:
            assert (alert.opens_us is not None) == (alert.state is State.PENDING)
            assert (alert.owner is not None) == (alert.state in (State.ACKNOWLEDGED, State.RESOLVED))
            assert (alert.resolution is not None) == (alert.state is State.RESOLVED)
            assert (alert.cancelled_us is not None) == (alert.state is State.CANCELLED)


BookMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestBookMachine = BookMachine.TestCase


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def test_the_file_is_for_its_owner_alone(story: Story) -> None:
    story.detect(version())
    for path in story.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_the_audit_trail_cannot_be_rewritten(story: Story) -> None:
    story.detect(version())
    db = sqlite3.connect(story.path)
    for statement in ("UPDATE changes SET actor = 'x'", "DELETE FROM changes"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(statement)
    db.close()


def test_a_batch_is_taken_whole_or_not_at_all(story: Story) -> None:
    bad = replace(version(incident="bad"), features={"x": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        story.detect(version(), bad)
    assert story.reader.snapshot(0).alerts == []
    assert len(story.detect(version())) == 1


def test_pages_of_alerts_join_without_gap_while_new_ones_come(story: Story) -> None:
    story.detect(*(version(incident=f"i{n}") for n in range(7)))
    seen, cursor = story.reader.alerts(Filter(), 3, None)
    story.detect(version(incident="new"))
    while cursor is not None:
        page, cursor = story.reader.alerts(Filter(), 3, cursor)
        seen += page
    assert [alert.id for alert in seen] == [f"i{n}" for n in range(6, -1, -1)]


def test_a_list_can_be_of_some_states_only(story: Story) -> None:
    story.detect(
        version(), version(1, Stage.CONFIRMED, incident="sure"), version(1, Stage.CANCELLED, incident="no")
    )
    pages = story.reader.alerts(Filter(states=[State.OPEN, State.CANCELLED]), 10, None)
    assert [alert.id for alert in pages[0]] == ["no", "sure"]
    assert pages[1] is None


def test_the_newest_trace_is_shown_and_versions_come_without_theirs(story: Story) -> None:
    old, new = (Trace(START_US, 10_000_000, 0.001, 16.0, acc) for acc in ("AAAAAAAA", "AQABAAEA"))
    story.detect(replace(version(1), trace=old), replace(version(2), trace=new), version(3))
    detail = story.detail()
    assert detail.trace is not None
    assert detail.trace["acc"] == "AQABAAEA"
    assert all("trace" not in each for each in detail.detections)


def test_a_snapshot_holds_what_lives_and_what_ended_lately(story: Story) -> None:
    story.detect(version(1, Stage.CANCELLED, incident="old"), version(incident="live"))
    story.at(60).detect(version(1, Stage.CANCELLED, incident="late"))
    snapshot = story.reader.snapshot(START_US + 30_000_000)
    assert {alert.id for alert in snapshot.alerts} == {"live", "late"}
    assert snapshot.seq == story.reader.last_seq()


def test_a_book_of_a_newer_version_is_left_alone(story: Story) -> None:
    story.book.close()
    db = sqlite3.connect(story.path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(BookError, match="newer Helmetwatch"):
        Book(story.path, 30)


def test_a_file_that_is_no_database_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("not a database, but some notes" * 50)
    with pytest.raises(BookError, match=r"notes\.db"):
        Book(path, 30)
