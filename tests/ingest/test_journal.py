"""The journal: what is committed survives, what is taken goes, nothing is delivered twice by repetition."""

import contextlib
import itertools
import multiprocessing
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from frames import NOW_US
from hypothesis import given
from hypothesis import strategies as st
from journals import NOTHING, detection, rows

from core import metrics
from core.model import HelmetEvent, Reason, Rejected
from ingest.backlog import Backlog, Block
from ingest.codec import Message
from ingest.journal import Journal, JournalError, Taken, Tick
from ingest.outbox import Outbox
from ingest.telemetry import as_telemetry, split
from storage import SAMPLES


def tick(now_us: int = NOW_US, **content: Any) -> Tick:
    return Tick(now_us, **content)


def test_what_is_committed_is_there_after_the_process_is_gone(tmp_path: Path) -> None:
    def die() -> None:
        journal = Journal(tmp_path / "j.db")
        journal.commit(
            tick(raw=[Message("t", b"x", 5)], detections=[detection("a")], telemetry=[rows()]), NOTHING
        )
        os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=die)
    process.start()
    process.join(20)
    assert process.exitcode == -signal.SIGKILL
    journal, outbox = Journal(tmp_path / "j.db"), Outbox(tmp_path / "j.db")
    assert list(journal.raw()) == [(NOW_US, [Message("t", b"x", 5)])]
    assert [w.kind for w in outbox.waiting(0)] == ["detection"]
    assert len(outbox.telemetry(0, 100)[1]) == 3


def test_the_same_detection_twice_is_delivered_once_even_after_the_desk_took_it(tmp_path: Path) -> None:
    journal, outbox = Journal(tmp_path / "j.db"), Outbox(tmp_path / "j.db")
    journal.commit(tick(detections=[detection("a"), detection("a", 2)]), NOTHING)
    waiting = outbox.waiting(0)
    assert len(waiting) == 2
    journal.commit(tick(detections=[detection("a")]), Taken([("taken", w.id) for w in waiting], []))
    journal.commit(tick(detections=[detection("a", 2), detection("a", 3)]), NOTHING)
    assert ['"version":3' in w.body for w in outbox.waiting(0)] == [True]


def test_of_what_the_desk_took_only_the_key_is_kept_and_of_what_it_refused_all(tmp_path: Path) -> None:
    journal, outbox = Journal(tmp_path / "j.db"), Outbox(tmp_path / "j.db")
    journal.commit(tick(detections=[detection("a"), detection("b")]), NOTHING)
    taken, refused = outbox.waiting(0)
    journal.commit(tick(), Taken([("taken", taken.id), ("refused", refused.id)], []))
    with contextlib.closing(sqlite3.connect(tmp_path / "j.db")) as db:
        kept = db.execute("SELECT key, body FROM outbox ORDER BY id").fetchall()
    assert kept == [("a:1", ""), ("b:1", refused.body)]


def test_a_turn_costs_no_more_however_much_the_desk_has_taken(tmp_path: Path) -> None:
    """In steps of SQLite's machine, which no other work on this one changes."""
    journal, outbox = Journal(tmp_path / "j.db"), Outbox(tmp_path / "j.db")
    costs = []
    for total in (100, 3000):
        journal.commit(tick(detections=[detection(f"{total}-{k}") for k in range(total)]), NOTHING)
        *most, last = outbox.waiting(0, total)
        journal.commit(tick(), Taken([("taken", each.id) for each in most], []))
        steps = itertools.count()
        journal._db.set_progress_handler(lambda steps=steps: next(steps) < 0, 1)
        journal.commit(tick(detections=[detection(f"new-{total}")]), Taken([("taken", last.id)], []))
        journal._db.set_progress_handler(None, 1)
        costs.append(next(steps))
        journal.commit(tick(), Taken([("taken", each.id) for each in outbox.waiting(0)], []))
    assert costs[1] < 1.2 * costs[0], costs


def test_events_wait_for_the_desk_in_order_with_detections(tmp_path: Path) -> None:
    journal, outbox = Journal(tmp_path / "j.db"), Outbox(tmp_path / "j.db")
    journal.commit(
        tick(detections=[detection("a")], events=[HelmetEvent("SF-1", "ok", NOW_US, NOW_US)]), NOTHING
    )
    assert [w.kind for w in outbox.waiting(0)] == ["detection", "event"]
    assert outbox.count() == 2


def test_telemetry_leaves_when_the_store_has_it(tmp_path: Path) -> None:
    journal, outbox = Journal(tmp_path / "j.db"), Outbox(tmp_path / "j.db")
    journal.commit(tick(telemetry=[rows(3)]), NOTHING)
    journal.commit(tick(telemetry=[rows(4)]), NOTHING)
    ids, got = outbox.telemetry(0, 3)
    assert len(got) == 3 and journal.rows_waiting == 7
    journal.commit(tick(), Taken([], ids))
    assert journal.rows_waiting == 4
    assert len(outbox.telemetry(ids[-1], 100)[1]) == 4


def test_raw_frames_are_kept_for_their_time_and_until_a_note_of_the_numbers_covers_them(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "j.db", raw_s=30)
    for second in range(58):
        note = b"up to %d" % second if second % 10 == 5 else b""
        now_us = NOW_US + second * 1_000_000
        journal.commit(tick(now_us, raw=[Message("t", bytes([second]), 0)], numbers=note), NOTHING)
    kept = [messages[0].payload[0] for _, messages in journal.raw()]
    assert journal.numbers() == b"up to 25" and kept == list(range(26, 58))


def test_a_full_journal_gives_up_the_oldest_telemetry_and_no_detection(tmp_path: Path) -> None:
    journal, outbox = Journal(tmp_path / "j.db", max_mb=1), Outbox(tmp_path / "j.db")
    journal.commit(tick(detections=[detection("a")]), NOTHING)
    for second in range(40):
        block = rows(500)
        block["t_us"] = second
        journal.commit(tick(telemetry=[block]), NOTHING)
    _, left = outbox.telemetry(0, 10**9)
    assert left.nbytes <= 1 << 20 and left["t_us"].max() == 39 and left["t_us"].min() > 0
    assert len(outbox.waiting(0)) == 1


def test_a_full_journal_gives_up_samples_last_also_after_a_restart_and_says_so_once_a_minute(
    tmp_path: Path,
) -> None:
    raw = np.zeros(200, SAMPLES)
    raw["helmet"], raw["t_us"] = b"SF-1", np.arange(200)
    with structlog.testing.capture_logs() as logs:
        for life in range(2):
            journal = Journal(tmp_path / "j.db", max_mb=1)
            for second in range(70):
                content = [rows(500), as_telemetry(raw)] if life == second == 0 else [rows(500)]
                journal.commit(tick(NOW_US + (70 * life + second) * 1_000_000, telemetry=content), NOTHING)
            journal.close()
    outbox = Outbox(tmp_path / "j.db")
    telemetry, samples = split(outbox.telemetry(0, 10**9)[1])
    assert len(samples) == 200 and 0 < len(telemetry) < 140 * 500
    said = [entry["telemetry_rows_dropped"] for entry in logs if entry["event"] == "journal.full"]
    assert len(said) in (3, 4) and sum(said) <= 140 * 500 - len(telemetry)
    outbox.close()


blocks = st.lists(st.builds(Block, st.integers(1, 50), st.integers(1, 9), st.booleans()), max_size=30)


@given(blocks, st.integers(0, 200))
def test_the_backlog_keeps_its_bound_and_gives_up_samples_when_no_telemetry_is_left(
    content: list[Block], most: int
) -> None:
    backlog, waiting = Backlog(most), dict[int, Block]()
    for number, block in enumerate(content):
        gone = backlog.excess({number: block})
        for each in gone:
            assert backlog.strike_off(each) == waiting.pop(each).rows and not backlog.strike_off(each)
        backlog.add({number: block})
        waiting[number] = block
        assert backlog.rows == sum(b.rows for b in waiting.values())
        assert sum(b.size for b in waiting.values()) <= max(most, block.size)
        routine = [n for n, b in waiting.items() if not b.samples and n != number]
        assert not routine or not any(content[n].samples for n in gone)


def test_of_what_the_desk_refused_the_newest_are_kept_and_shown_by_a_gauge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.journal._REFUSED_KEPT", 3)
    journal, outbox = Journal(tmp_path / "j.db"), Outbox(tmp_path / "j.db")
    for k in range(5):
        journal.commit(tick(detections=[detection(f"i{k}"), detection(f"waits{k}")]), NOTHING)
        first = next(w for w in outbox.waiting(0) if f'"i{k}"' in w.body)
        journal.commit(tick(), Taken([("refused", first.id)], []))
        assert metrics.DETECTIONS_REFUSED._value.get() == min(k + 1, 3)
    with contextlib.closing(sqlite3.connect(tmp_path / "j.db")) as db:
        kept = db.execute("SELECT key FROM outbox WHERE state = 'refused' ORDER BY id").fetchall()
    assert kept == [("i2:1",), ("i3:1",), ("i4:1",)] and outbox.count() == 5


def test_rejected_input_is_kept_for_a_look(tmp_path: Path) -> None:
    journal, outbox = Journal(tmp_path / "j.db"), Outbox(tmp_path / "j.db")
    bad = (Message("t", b"garbage", 5), Rejected("t", Reason.SIZE, "7 bytes"))
    journal.commit(tick(rejected=[bad]), NOTHING)
    (kept,) = outbox.rejected()
    assert (kept["reason"], kept["payload"]) == ("size", b"garbage")


def test_a_second_worker_on_one_journal_is_refused_with_what_to_do(tmp_path: Path) -> None:
    first = Journal(tmp_path / "j.db")
    with pytest.raises(JournalError, match="another worker uses the journal"):
        Journal(tmp_path / "j.db")
    first.close()
    Journal(tmp_path / "j.db").close()


def test_a_journal_that_is_not_one_is_set_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    (tmp_path / "j.db").write_bytes(b"not a database" * 1000)
    journal = Journal(tmp_path / "j.db")
    journal.commit(tick(detections=[detection("a")]), NOTHING)
    (kept,) = tmp_path.glob(f"j.db.broken-{os.getpid()}.first-page")
    assert kept.read_bytes().startswith(b"not a database")


def test_the_journal_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    Journal(tmp_path / "j.db")
    assert (tmp_path / "j.db").stat().st_mode & 0o077 == 0


messages = st.lists(
    st.tuples(st.text(max_size=40), st.binary(max_size=300), st.integers(-(2**62), 2**62)), max_size=20
)


@given(messages)
def test_raw_messages_come_back_as_they_were(content: list[tuple[str, bytes, int]]) -> None:
    from ingest.journal import _pack, _unpack

    sent = [Message(*m) for m in content]
    assert _unpack(_pack(sent)) == sent
