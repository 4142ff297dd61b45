"""After a rider was forgotten the helmet's id stands nowhere: not in a table, not in the file, not in its log."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from alert_story import START_US, version
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.book import Book
from alerts.messages import Heard, Messages
from alerts.model import Resolution, Rider
from alerts.notices import Notice
from alerts.outbox import Outbox
from alerts.reader import Reader
from alerts.retention import DAY_US, Retention
from alerts.rules import RefusedError
from alerts.silences import Scope, Silence, Silences
from core.model import HelmetEvent, Stage, Trace
from web.audit import Audit
from web.observations import Observations

MINE, THEIRS, LONGER = "SF-7QZX9", "SF-000002", "SF-7QZX95"
ZHANG, LI = Rider("张三", "+8613800000000"), Rider("李四", "+8613900000000")
RIDERS = {MINE: ZHANG, THEIRS: LI}
WORDS = st.sampled_from(
    [
        f"{MINE} is broken",
        f"look at\n{MINE}",
        f"({MINE})",
        f"头盔{MINE}坏了",
        f"\t{MINE}\x07{MINE}",
        "rang twice",
    ]
)


class Traces:
    """Everything of the desk that writes a helmet's id down."""

    def __init__(self, path: Path) -> None:
        self.path, self.now_us, self.number = path, START_US, 0
        self.book, self.outbox = Book(path, 30.0, RIDERS), Outbox(path)
        self.silences, self.observations, self.audit = Silences(path), Observations(path), Audit(path)
        self.reader = Reader(path)
        self.crash(THEIRS, "rang twice", 0)
        self.theirs = "i1"

    def crash(self, helmet: str, note: str, size: int) -> None:
        """An alert that was told, noted and closed."""
        self.number += 1
        id_ = f"i{self.number}"
        trace = Trace(START_US, 10_000_000, 0.001, 16.0, "A" * size)
        found = replace(version(incident=id_, stage=Stage.CONFIRMED), helmet=helmet, trace=trace)
        (*_, last) = self.book.take([found], self.now_us)
        facts = {"helmet": helmet}
        told = Notice(
            id_, id_, "group", "opened", "open", 2, self.now_us, "t", (helmet,), tier=0, facts=facts
        )
        self.outbox.put([told], self.now_us)
        self.book.note(id_, "王芳", note, self.now_us)
        if last.alert.state != "cancelled":  # as by the rider's "I'm OK"
            self.book.acknowledge(id_, "王芳", self.now_us)
            self.book.resolve(id_, "王芳", Resolution.OTHER, note, self.now_us)

    def does(self, what: str, words: str, size: int) -> None:
        self.now_us += 1_000_000
        now_us = self.now_us
        match what:
            case "crash":
                self.crash(MINE, words, size)
            case "other":
                self.crash(THEIRS, words, size)
            case "ok":
                self.book.take_events([HelmetEvent(MINE, "ok", now_us, now_us)], now_us)
            case "sos":
                (*_, last) = self.book.take_events([HelmetEvent(MINE, "sos", now_us, now_us)], now_us)
                self.book.acknowledge(last.alert.id, "王芳", now_us)
                self.book.resolve(last.alert.id, "王芳", Resolution.TEST, words, now_us)
            case "note":
                self.book.note(self.theirs, "王芳", words, now_us)
            case "help":
                self.book.reopen(self.theirs, "王芳", words, now_us)
                helper = {
                    "helper": f"rider:{MINE}",
                    "kind": "rider",
                    "name": "张三",
                    "status": "asked",
                    "note": words,
                }
                self.book.help(self.theirs, "王芳", helper, now_us, Heard(MINE, "come"))
                self.book.acknowledge(self.theirs, "王芳", now_us)
                self.book.resolve(self.theirs, "王芳", Resolution.OTHER, words, now_us)
            case "silence":
                scope = Scope((THEIRS, MINE, LONGER))
                self.silences.add(Silence(f"s{now_us}", scope, words, "王芳", now_us, now_us + DAY_US, 3))
            case "observe":
                self.observations.begin(MINE, now_us + 3_600_000_000, "王芳", now_us)
            case "audit":
                self.audit.add(now_us, "王芳", "127.0.0.1", "samples", {"helmet": MINE, "rider": "张"}, 7)

    def bytes(self) -> bytes:
        files = [self.path, self.path.with_name(self.path.name + "-wal")]
        return b"".join(path.read_bytes() for path in files if path.exists())

    def close(self) -> None:
        for each in (self.book, self.outbox, self.silences, self.observations, self.audit, self.reader):
            each.close()


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["crash", "other", "ok", "sos", "note", "help", "silence", "observe", "audit"]),
        WORDS,
        st.integers(0, 6000),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(ACTS)
def test_the_id_of_a_forgotten_riders_helmet_is_nowhere_in_the_file_and_its_log(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, str, int]]
) -> None:
    traces = Traces(tmp_path_factory.mktemp("book") / "alerts.db")
    for what, words, size in acts:
        traces.does(what, words, size)
    forget = Retention(traces.path)
    found = forget.person(ZHANG.name, ZHANG.phone, [MINE])
    assert (found.live, found.helmets, found.shared) == ([], [MINE], [])
    assert forget.settle()
    left = traces.bytes().replace(LONGER.encode(), b"")
    assert MINE.encode() not in left
    assert traces.reader.alert(traces.theirs).rider == LI, "everybody else is remembered"
    forget.close()
    traces.close()


def test_a_longer_id_and_what_others_wrote_stay(tmp_path: Path) -> None:
    traces = Traces(tmp_path / "alerts.db")
    traces.does("silence", f"not {LONGER} but\n{MINE}", 0)
    traces.does("note", f"{MINE}, and {LONGER}", 0)
    forget = Retention(traces.path)
    assert forget.person(ZHANG.name, ZHANG.phone, [MINE]).helmets == [MINE]
    (silence,) = traces.silences.since(0)
    assert silence.scope.helmets == (THEIRS, "FORGOTTEN", LONGER)
    assert silence.reason == f"not {LONGER} but\nFORGOTTEN"
    assert traces.reader.detail(traces.theirs).timeline[-1].detail["note"] == f"FORGOTTEN, and {LONGER}"
    forget.close()
    traces.close()


def test_a_helmet_that_somebody_else_rode_with_too_keeps_what_is_known_by_it_alone(tmp_path: Path) -> None:
    traces = Traces(tmp_path / "alerts.db")
    traces.does("crash", "x", 0)
    traces.book.know({MINE: LI})
    traces.does("crash", "x", 0)
    traces.does("observe", "x", 0)
    forget = Retention(traces.path)
    found = forget.person(ZHANG.name, ZHANG.phone)
    assert (found.alerts, found.helmets, found.shared) == (1, [MINE], [MINE])
    assert len(traces.observations.trail(MINE)) == 1
    assert forget.person(LI.name, LI.phone).shared == []
    assert traces.observations.trail(MINE) == []
    forget.close()
    traces.close()


def test_time_forgets_observations_messages_and_the_audit_as_well(tmp_path: Path) -> None:
    traces = Traces(tmp_path / "alerts.db")
    for what in ("crash", "ok", "help", "silence", "observe", "audit"):
        traces.does(what, "x", 0)
    forget = Retention(traces.path)
    assert forget.age(traces.now_us + 2 * DAY_US) == 2
    assert not forget.owed
    assert MINE.encode() not in traces.bytes()
    assert Messages(traces.path).waiting(traces.now_us) == []
    assert traces.audit.newest(10, None) == []
    forget.close()
    traces.close()


def test_the_last_word_about_an_observation_outlives_the_first(tmp_path: Path) -> None:
    """Else an observation that was ended would begin again."""
    traces = Traces(tmp_path / "alerts.db")
    hour_us = 3_600_000_000
    traces.observations.begin(MINE, START_US + 24 * hour_us, "王芳", START_US)
    traces.observations.end(MINE, "王芳", START_US + hour_us)
    forget = Retention(traces.path)
    for hours in range(0, 60, 5):
        forget.age(START_US + hours * hour_us)
        assert traces.observations.current(START_US + 2 * hour_us) == []
    assert traces.observations.trail(MINE) == []
    forget.close()
    traces.close()


def test_nothing_can_be_written_on_what_was_forgotten(tmp_path: Path) -> None:
    traces = Traces(tmp_path / "alerts.db")
    traces.does("crash", "x", 100)
    sos = HelmetEvent(MINE, "sos", START_US, START_US)
    traces.does("sos", "x", 0)
    press = HelmetEvent(MINE, "sos", traces.now_us, traces.now_us)
    forget = Retention(traces.path)
    assert forget.person(ZHANG.name, ZHANG.phone).alerts == 2
    with pytest.raises(RefusedError, match="forgotten"):
        traces.book.note("i2", "王芳", f"{MINE} again", traces.now_us)
    with pytest.raises(RefusedError, match="forgotten"):
        traces.book.reopen("i2", "王芳", "", traces.now_us)
    late = replace(version(incident="i2", number=2, stage=Stage.CONFIRMED), helmet=MINE)
    assert traces.book.take([late], traces.now_us) == []
    assert traces.book.take_events([press], traces.now_us) == [], "the same press once more"
    assert forget.settle()
    assert MINE.encode() not in traces.bytes()
    assert traces.book.take_events([sos], traces.now_us), "another press is another alert"
    forget.close()
    traces.close()


def test_a_reader_in_the_way_is_said_and_waited_for_and_the_log_is_emptied_once_it_has_gone(
    tmp_path: Path,
) -> None:
    traces = Traces(tmp_path / "alerts.db")
    traces.does("crash", "x", 100)
    slow = sqlite3.connect(traces.path)
    slow.execute("BEGIN")
    slow.execute("SELECT * FROM alerts").fetchall()
    forget = Retention(traces.path)
    assert forget.age(traces.now_us + DAY_US) == 2
    assert forget.owed, "the reader still sees what was there"
    assert MINE.encode() in traces.bytes()
    assert forget.age(traces.now_us + DAY_US) == 0
    assert forget.owed
    slow.execute("COMMIT")
    slow.close()
    assert forget.age(traces.now_us + DAY_US) == 0
    assert not forget.owed
    assert MINE.encode() not in traces.bytes()
    forget.close()
    traces.close()
