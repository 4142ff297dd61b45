"""Reconciling: every way in which a run can fall short is seen, and a run that did not is told so in one line."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from alerts.book import Book
from alerts.channels.limits import Parcel
from alerts.channels.outcome import Outcome, Result
from alerts.notices import Notice
from alerts.outbox import Outbox
from alerts.reader import Filter, Reader
from app.cli import main
from app.reconcile import Account, reconcile
from core.config import Embedded
from core.model import TELEMETRY, Detection, Kind, Reason, Rejected, Stage
from ingest.codec import Message
from ingest.journal import Journal, Taken, Tick
from ingest.store_relay import _set_aside
from simulator.ledger import Crash, Key, Ledger, LedgerWriter
from storage import SAMPLES
from storage.embedded import EmbeddedStore

NOW_US = time.time_ns() // 1000
KEYS: list[Key] = [("SF-1", 1, seq) for seq in range(8)]
CRASH = Crash("SF-1", NOW_US, "fall", "alert", 1, 3)
NOTHING = Taken([], [])


def ledger(crashes: list[Crash] | None = None, acked: set[Key] | None = None) -> Ledger:
    return Ledger(
        dict.fromkeys(KEYS, (NOW_US, NOW_US)), acked if acked is not None else set(KEYS), crashes or []
    )


def alert(id_: str, t_us: int = NOW_US, helmet: str = "SF-1", kind: str = "fall") -> dict[str, Any]:
    return {"id": id_, "helmet": helmet, "kind": kind, "occurred_us": t_us, "impacts_us": []}


@given(st.sets(st.sampled_from(KEYS)), st.lists(st.sampled_from(KEYS)), st.sets(st.sampled_from(KEYS)))
def test_lost_is_what_was_acknowledged_and_is_neither_stored_nor_rejected(
    acked: set[Key], stored: list[Key], rejected: set[Key]
) -> None:
    account = reconcile(ledger(acked=acked), stored, [], [*rejected, None])
    assert set(account.lost) == acked - set(stored) - rejected
    assert account.duplicated == sum(stored.count(key) - 1 for key in set(stored) & acked)
    assert account.rejected == len(rejected) + 1


@pytest.mark.parametrize("after_s", [4, 25])
def test_the_sos_of_a_rider_who_was_asked_is_neither_repeated_nor_false(after_s: int) -> None:
    pressed = alert("b", NOW_US + after_s * 1_000_000, kind="sos")
    account = reconcile(ledger([CRASH]), KEYS, [alert("a"), pressed])
    assert (account.repeated, account.false, account.kept) == ([], [], True)
    assert reconcile(ledger(), KEYS, [pressed]).false == ["b"], "nobody had asked"
    asked_for = Crash("SF-1", NOW_US, "sos", "alert", 1, 3)
    twice = [alert("a", kind="sos"), alert("b", NOW_US + 4_000_000, kind="sos")]
    assert reconcile(ledger([asked_for]), KEYS, twice).repeated == ["b"]


def test_a_crash_whose_frame_was_acknowledged_must_be_alerted_and_another_need_not() -> None:
    unacknowledged = Crash("SF-1", NOW_US + 60_000_000, "fall", "alert", 1, 7)
    account = reconcile(ledger([CRASH, unacknowledged], acked=set(KEYS[:5])), KEYS, [])
    assert (account.collisions, account.missed) == (1, [CRASH])
    assert not account.kept
    assert reconcile(ledger([CRASH]), KEYS, [alert("a")]).kept


def test_a_second_alert_about_one_crash_is_a_repetition_and_one_about_nothing_is_false() -> None:
    drop = Crash("SF-1", NOW_US + 100_000_000, "drop", "none", 1, 5)
    alerts = [
        alert("a"),
        alert("b", NOW_US + 5_000_000),
        alert("c", NOW_US + 50_000_000),
        alert("d", drop.t_us),
    ]
    account = reconcile(ledger([CRASH, drop]), KEYS, [*alerts, alert("e", helmet="SF-2")])
    assert (account.repeated, account.false) == (["b"], ["c", "d", "e"])


def test_one_alert_may_hold_two_crashes() -> None:
    second = Crash("SF-1", NOW_US + 20_000_000, "fall", "alert", 1, 6)
    both = alert("a") | {"impacts_us": [NOW_US, second.t_us]}
    account = reconcile(ledger([CRASH, second]), KEYS, [both])
    assert account.kept and not account.repeated


def test_the_line_is_the_one_that_is_promised() -> None:
    account = Account(9, [], 1, 2, 3, [], ["a"], [], [10.0, 20.0, 40.0])
    assert str(account) == (
        "acknowledged 9, lost 0, duplicated 1, rejected 2; collisions 3, alerted 3, repeated 1, false 0; "
        "latency 20/40/40 ms"
    )


def telemetry(keys: list[Key]) -> np.ndarray:
    rows = np.zeros(len(keys), TELEMETRY)
    for row, (helmet, boot, seq) in zip(rows, keys, strict=True):
        row["helmet"], row["boot"], row["seq"], row["t_us"] = helmet.encode(), boot, seq, NOW_US + seq
    return rows


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The files of a run: half of the frames stored, one of these also waiting, one rejected, one crash alerted."""
    settings = {
        "ingest": {"journal": {"path": str(tmp_path / "j.db")}},
        "storage": {"embedded": {"path": str(tmp_path / "t.db")}},
        "alerts": {"path": str(tmp_path / "a.db")},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    store = EmbeddedStore(Embedded(path=str(tmp_path / "t.db")))
    store.write(telemetry(KEYS[:4]))
    store.close()
    journal = Journal(tmp_path / "j.db")
    header = b"HW\x07\x00" + b"SF-1".ljust(24, b"\0") + (1).to_bytes(4, "little") + (7).to_bytes(4, "little")
    bad = Message("t", header.ljust(200, b"\0"), NOW_US)
    tick = Tick(
        NOW_US, telemetry=[telemetry(KEYS[3:7])], rejected=[(bad, Rejected("t", Reason.VERSION, "7"))]
    )
    journal.commit(tick, NOTHING)
    journal.close()
    book = Book(tmp_path / "a.db", 30)
    fall = Detection(
        "i", 1, "SF-1", Kind.FALL, Stage.STANDARD, 2, "context", "B", NOW_US, [NOW_US], NOW_US, NOW_US, 1, 3, "", ""
    )  # fmt: skip
    book.take([fall], NOW_US + 70_000)
    book.close()
    with LedgerWriter(tmp_path / "ledger.jsonl") as writer:
        writer.run("test", 1, NOW_US)
        for key in KEYS:
            writer.frame(*key, NOW_US, NOW_US)
            writer.acked(*key)
        writer.crash(CRASH)
    return tmp_path


def reconciled(folder: Path, *more: str) -> Any:
    paths = ["--config", str(folder / "config.yaml"), "--ledger", str(folder / "ledger.jsonl")]
    return CliRunner().invoke(main, ["reconcile", *paths, *more])


def test_the_command_reads_journal_store_and_book(run: Path) -> None:
    done = reconciled(run)
    assert done.stdout == (
        "acknowledged 8, lost 0, duplicated 0, rejected 1; collisions 1, alerted 1, repeated 0, false 0; "
        "latency 70/70/70 ms\n"
    )
    assert done.exit_code == 0
    assert "4 rows still wait for the store" in done.stderr


@given(st.lists(st.sampled_from(["delivered", "waiting", "failed"]), max_size=6))
def test_a_collision_was_told_where_a_channel_took_a_notice_about_it(states: list[str]) -> None:
    told = {state: states.count(state) for state in ("delivered", "waiting", "failed")}
    account = reconcile(ledger([CRASH]), KEYS, [alert("a") | {"told": told}, alert("b", helmet="SF-2")])
    assert account.told == ("delivered" in states) and account.notices == told
    assert reconcile(ledger([CRASH]), KEYS, [alert("a")]).told == 0


def test_the_command_says_what_channels_made_of_it(run: Path) -> None:
    notices = [
        Notice(name, "", "desk phones", "test", "open", 2, NOW_US, "fall") for name in ("n1", "n2", "n3")
    ]
    (found,) = Reader(run / "a.db").alerts(Filter(), 10, None)[0]
    outbox = Outbox(run / "a.db")
    notices = [replace(notice, alert=found.id) for notice in notices]
    outbox.put(notices, NOW_US)
    for notice, result in zip(notices, (Result.DELIVERED, Result.REFUSED), strict=False):
        outbox.record(Parcel(notice, (notice,)), Outcome(result), NOW_US, 0)
    outbox.close()
    lines = reconciled(run).stdout.splitlines()
    assert lines[1:] == ["channels: of 1 collisions 1 told; notices: 1 delivered, 1 waiting, 1 failed"]


@contextmanager
def more(run: Path) -> Iterator[LedgerWriter]:
    """A ledger is of one run: what is written here is put behind it."""
    with LedgerWriter(run / "more.jsonl") as writer:
        yield writer
    with (run / "ledger.jsonl").open("a") as ledger:
        ledger.write((run / "more.jsonl").read_text())


def test_a_row_that_the_store_refused_is_rejected_and_not_lost(run: Path) -> None:
    with more(run) as writer:
        writer.frame("SF-1", 1, 8, NOW_US, NOW_US)
        writer.acked("SF-1", 1, 8)
    assert "lost 1, duplicated 0, rejected 1;" in reconciled(run).stdout
    journal = Journal(run / "j.db")
    samples = np.zeros(1, SAMPLES)
    refused = [*_set_aside(telemetry([("SF-1", 1, 8)]), {0: "no"}), *_set_aside(samples, {0: "no"})]
    journal.commit(Tick(NOW_US), Taken([], [], refused))
    journal.close()
    assert "lost 0, duplicated 0, rejected 2;" in reconciled(run).stdout


def test_the_command_ends_with_1_and_names_what_is_missing(run: Path) -> None:
    with more(run) as writer:
        writer.frame("SF-2", 1, 0, NOW_US, NOW_US)
        writer.acked("SF-2", 1, 0)
        writer.crash(Crash("SF-2", NOW_US, "head_strike", "alert", 1, 0))
    done = reconciled(run)
    assert done.exit_code == 1
    assert "lost 1," in done.stdout and "collisions 2, alerted 1" in done.stdout
    assert "lost: SF-2 boot 1 frame 0" in done.stderr and "missed: SF-2 head_strike" in done.stderr


def test_the_command_says_in_one_sentence_what_it_cannot_read(run: Path) -> None:
    (run / "ledger.jsonl").write_text("nonsense\n")
    assert "not a ledger" in reconciled(run).stderr
    (run / "ledger.jsonl").write_text("")
    (run / "j.db").unlink()
    done = reconciled(run)
    assert done.exit_code == 1 and "cannot be reconciled" in done.stderr


def test_the_account_as_json_has_every_number(run: Path) -> None:
    done = reconciled(run, "--json")
    assert set(asdict(Account(0, [], 0, 0, 0, [], [], []))) | {"kept"} == set(json.loads(done.stdout))


DESK = """
import sys
from pathlib import Path
from alerts.book import Book
from alerts.reader import Filter, Reader
from core.model import HelmetEvent
book, reader = Book(Path(sys.argv[1]), 30), Reader(Path(sys.argv[1]))
for line in sys.stdin:
    book.take_events([HelmetEvent(line.strip(), "sos", 1, 1)], 1)
    print(len(reader.alerts(Filter(), 100, None)[0]), flush=True)
"""


def test_somebody_who_reads_the_book_does_not_take_the_log_away_from_the_desk(tmp_path: Path) -> None:
    """The desk opens its file several times; each time must leave its locks on it as they are."""
    path = tmp_path / "alerts.db"
    desk = subprocess.Popen(
        [sys.executable, "-c", DESK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert desk.stdin and desk.stdout
    for count in (1, 2, 3):
        desk.stdin.write(f"SF-{count}\n")
        desk.stdin.flush()
        assert int(desk.stdout.readline()) == count
        reader = Reader(path)
        assert len(reader.alerts(Filter(), 100, None)[0]) == count
        reader.close()  # had the desk no lock, this would delete its log
    desk.kill()
    desk.wait()
