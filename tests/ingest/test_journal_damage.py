"""A bad disk: wherever the journal is cut or a bit of it flipped, the start goes on, and what is lost is counted."""

import contextlib
import itertools
import json
import os
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from frames import NOW_US
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import NOTHING, detection, left_by_kill, lost, rows, wal

from core.model import HelmetEvent, Reason, Rejected
from ingest.codec import Message
from ingest.journal import _DETECTION, Journal, JournalError, Tick
from ingest.journal_file import PAGE, open_file
from ingest.outbox import Outbox

COMMITS = 40
ROWS = 20
NOTED = b"seen" * 50
HARD = settings(max_examples=120, deadline=None)
WHOLE = [f"i{k}:{version}" for k in range(COMMITS) for version in (1, 2)] + [
    f"held{k}:1" for k in range(COMMITS)
]
LEARNED = {f"SF-{k}": bytes([k]) * 700 for k in range(COMMITS)}


def fill(journal: Journal) -> None:
    old = Message("helmets/3f/SF-1/motion", b"", NOW_US)
    journal.commit(Tick(NOW_US - 60_000_000, raw=[old], numbers=NOTED), NOTHING)
    for k in range(COMMITS):
        bad = (Message("t", b"\0" * 300, NOW_US), Rejected("t", Reason.SIZE, "short"))
        journal.commit(
            Tick(
                NOW_US + k,
                raw=[Message("helmets/3f/SF-1/motion", bytes([k]) * 700, NOW_US)],
                telemetry=[rows(ROWS, k * ROWS)],
                detections=[detection(f"i{k}"), detection(f"i{k}", 2)],
                rejected=[bad],
                numbers=b"a younger note" if k % 10 == 0 else b"",
                held=[detection(f"held{k}")],
                learned=[(f"SF-{k}", LEARNED[f"SF-{k}"])],
            ),
            NOTHING,
        )


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal whose worker was killed: everything is in the log."""
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder / "j.db")
    fill(journal)
    left = left_by_kill(folder / "j.db", folder / "killed")
    journal.close()
    return left


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal that was closed: everything is in the main file."""
    journal = Journal(tmp_path_factory.mktemp("journal") / "j.db")
    fill(journal)
    journal.close()
    return journal.path


@pytest.fixture(scope="module")
def salvage_calls(stopped: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """In how many steps a start saves what is in that journal."""
    path = left_by_kill(stopped, tmp_path_factory.mktemp("counted") / "copy")
    with path.open("r+b") as file:
        file.write(b"\xff" * PAGE)
    calls = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event == "c_call"

    sys.setprofile(count)
    open_file(path).close()
    sys.setprofile(None)
    return calls


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


class Found(NamedTuple):
    waiting: dict[str, str]
    """Undamaged detections that wait for the desk or for the end of a burst."""
    rows: list[int]
    raw: int
    """Raw messages kept with the note of the numbers seen before them."""
    learned: dict[str, bytes]


def start(path: Path) -> Found:
    """Starts on a journal and does a turn; what it finds."""
    journal, outbox = Journal(path), Outbox(path)
    try:
        held = {d.key: _DETECTION.dump_json(d).decode() for d, _ in journal.burst().held}
        journal.commit(Tick(NOW_US + COMMITS, detections=[detection("after")]), NOTHING)
        waiting = outbox.waiting(0, 10**6)
        assert json.loads(waiting[-1].body)["incident"] == "after"
        _, found = outbox.telemetry(0, 10**9)
        return Found(
            {key_of(w.body): w.body for w in waiting[:-1] if w.id not in outbox._damaged} | held,
            found["seq"].tolist(),
            sum(len(messages) for _, messages in journal.raw()) if journal.numbers() == NOTED else 0,
            dict(journal.learned()),
        )
    finally:
        outbox.close()
        journal.close()


def key_of(body: str) -> str:
    read = json.loads(body)
    return f"{read['incident']}:{read['version']}"


def flipped(path: Path, at: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def check(path: Path) -> None:
    """Starts, and holds what came of it against what was committed."""
    before = lost()
    found = start(path)
    whole = (set(WHOLE), list(range(COMMITS * ROWS)), COMMITS, LEARNED)
    assert found.waiting.keys() <= whole[0] and set(found.rows) <= set(whole[1])
    assert found.learned.items() <= LEARNED.items()
    for key, body in found.waiting.items():
        incident, version = key.split(":")
        assert body == body_of(incident, int(version))
    if (set(found.waiting), *found[1:]) != whole:
        assert lost() > before, "something is missing and was not counted"


def body_of(incident: str, version: int) -> str:
    return _DETECTION.dump_json(detection(incident, version)).decode()


@HARD
@given(data=st.data())
def test_a_flipped_bit_of_the_main_file(data: st.DataObject, stopped: Path) -> None:
    size = stopped.stat().st_size
    # The first page holds the header and the schema: as many tries there as everywhere else.
    at = data.draw(st.one_of(st.integers(0, size - 1), st.integers(0, 4095)), label="at")
    with tempfile.TemporaryDirectory() as name:
        path = left_by_kill(stopped, Path(name) / "copy")
        flipped(path, at, data.draw(st.integers(0, 7), label="bit"))
        check(path)


@pytest.mark.parametrize(
    "word",
    [
        b"sqlite_sequence(name,seq)",
        b"DEFAULT 'waiting'",
        b"(id) WHERE state = 'waiting'",
        b"key TEXT NOT NULL UNIQUE",
    ],
)
def test_a_flipped_bit_of_any_word_of_the_schema(word: bytes, stopped: Path, folder: Path) -> None:
    at = stopped.read_bytes().index(word) + len(word)
    for k, bit in itertools.product(range(1, len(word) + 1, 3), (0, 3)):
        path = left_by_kill(stopped, folder / f"{k}-{bit}")
        flipped(path, at - k, bit)
        check(path)


@HARD
@given(data=st.data())
def test_a_main_file_cut_short(data: st.DataObject, stopped: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = left_by_kill(stopped, Path(name) / "copy")
        os.truncate(path, data.draw(st.integers(1, path.stat().st_size - 1), label="length left"))
        check(path)


@HARD
@given(data=st.data())
def test_a_flipped_bit_of_the_log(data: st.DataObject, killed: Path) -> None:
    size = wal(killed).stat().st_size
    at = data.draw(st.one_of(st.integers(0, size - 1), st.integers(0, 31)), label="at")
    with tempfile.TemporaryDirectory() as name:
        path = left_by_kill(killed, Path(name) / "copy")
        flipped(wal(path), at, data.draw(st.integers(0, 7), label="bit"))
        check(path)


def test_most_of_a_damaged_file_is_saved_detections_among_it(stopped: Path, folder: Path) -> None:
    """A page of the telemetry is overwritten: everything else is in the new file, and the old one is kept."""
    path = left_by_kill(stopped, folder / "copy")
    with path.open("r+b") as file:
        place = file.read().rindex(rows(ROWS, 20 * ROWS).tobytes()[:200]) // 4096 * 4096
        file.seek(place)
        file.write(b"\xff" * 4096)
    before = lost("telemetry")
    found = start(path)
    assert list(found.waiting) == WHOLE
    assert len(found.rows) > COMMITS * ROWS * 0.8
    assert lost("telemetry") > before
    assert [p.name for p in path.parent.glob("j.db.broken-*")]


def test_a_flipped_log_says_how_many_commits_are_gone_and_keeps_the_log(killed: Path, folder: Path) -> None:
    path = left_by_kill(killed, folder / "copy")
    flipped(wal(path), wal(path).stat().st_size // 2, 3)
    before = lost("commits")
    gone = (len(WHOLE) - len(start(path).waiting)) / 3
    assert lost("commits") - before == gone > 5
    assert len(list(path.parent.glob("j.db.broken-*-wal"))) == 1
    before = lost("commits")
    start(path)
    assert lost("commits") == before, "a loss is counted once"


def killed_at(call: int, path: Path) -> int:
    """Starts in a process of its own that is killed before its call number `call` into SQLite or the system.

    Gives back 0 where the start was through before that.
    """
    process = os.fork()
    if process == 0:
        calls = itertools.count()

        def kill(_: object, event: str, __: object) -> None:
            if event == "c_call" and next(calls) == call:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.setprofile(kill)
            open_file(path)
            sys.setprofile(None)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(process, 0)[1]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.8, 0.995])
@pytest.mark.parametrize("torn", ["first page", "page of the telemetry"])
def test_a_start_that_is_killed_while_it_saves_loses_nothing(
    torn: str, share: float, stopped: Path, folder: Path, salvage_calls: int
) -> None:
    """Killed twice, at any of its steps: the next start that is left alone finds all there was."""
    path = left_by_kill(stopped, folder / "copy")
    page = (
        path.read_bytes().rindex(rows(ROWS, 20 * ROWS).tobytes()[:200]) // PAGE if "telemetry" in torn else 0
    )
    with path.open("r+b") as file:
        file.seek(page * PAGE)
        file.write(b"\xff" * PAGE)
    assert killed_at(round(share * salvage_calls), path) == signal.SIGKILL
    killed_at(round((1 - share) * salvage_calls), path)
    found = start(path)
    assert list(found.waiting) == WHOLE and found.learned == LEARNED and found.raw == COMMITS
    assert len(found.rows) > COMMITS * ROWS * 0.8
    kept = sorted(p.name.partition(".broken-")[2] for p in path.parent.glob("j.db.broken-*"))
    assert kept[0].isdigit() and not any(name.endswith(".new") for name in kept)


def test_a_full_disk_at_the_start_is_no_damage(stopped: Path, folder: Path) -> None:
    """The file stays where it is and the worker says what to do, instead of beginning a new journal."""
    path = left_by_kill(stopped, folder / "copy")
    path.chmod(0o400)
    holder = sqlite3.connect(path)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalError, match="cannot be opened"):
        Journal(path)
    holder.close()
    assert not list(path.parent.glob("*broken*"))
    assert list(start(path).waiting) == WHOLE


def test_a_journal_without_checksums_of_an_older_version_goes_on(folder: Path) -> None:
    path = folder / "j.db"
    with sqlite3.connect(path) as db:
        db.executescript(
            """CREATE TABLE raw (id INTEGER PRIMARY KEY, now_us INTEGER NOT NULL, block BLOB NOT NULL);
            CREATE TABLE telemetry (
                id INTEGER PRIMARY KEY AUTOINCREMENT, rows INTEGER NOT NULL, block BLOB NOT NULL);
            CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE,
                kind TEXT NOT NULL, body TEXT NOT NULL, at_us INTEGER NOT NULL,
                state TEXT NOT NULL DEFAULT 'waiting');"""
        )
        body = body_of("i0", 1)
        db.execute("INSERT INTO outbox (key, kind, body, at_us) VALUES ('i0:1', 'detection', ?, 0)", (body,))
    db.close()
    before = lost()
    assert start(path).waiting == {"i0:1": body} and lost() == before


def test_a_flipped_bit_in_the_kind_of_a_detection_holds_up_nothing(folder: Path) -> None:
    journal, outbox = Journal(folder / "j.db"), Outbox(folder / "j.db")
    event = HelmetEvent("SF-1", "ok", NOW_US, NOW_US)
    journal.commit(Tick(NOW_US, detections=[detection("a")], events=[event]), NOTHING)
    journal.close()
    with contextlib.closing(sqlite3.connect(folder / "j.db")) as db, db:
        db.execute("UPDATE outbox SET kind = 'd' || kind")
    before = lost()
    for _ in range(2):
        assert [w.kind for w in outbox.waiting(0)] == ["detection", "event"]
    assert lost() == before + 2


def test_a_destroyed_first_page_costs_nothing(stopped: Path, folder: Path) -> None:
    """Without it SQLite does not even know a database; every other page is as it was."""
    path = left_by_kill(stopped, folder / "copy")
    with path.open("r+b") as file:
        file.write(os.urandom(4096))
    found = start(path)
    assert (list(found.waiting), *found[1:]) == (WHOLE, list(range(COMMITS * ROWS)), COMMITS, LEARNED)


def test_a_kill_with_a_long_log_loses_nothing_and_says_so(folder: Path) -> None:
    """Longer than SQLite lets it become before it copies it into the file, as a large last turn leaves it."""
    journal = Journal(folder / "j.db")
    journal._db.execute("PRAGMA wal_autocheckpoint = 0")
    for k in range(15):
        journal.commit(Tick(NOW_US + k, telemetry=[rows(4000, k * 4000)], held=[detection(f"i{k}")]), NOTHING)
    path = left_by_kill(journal.path, folder / "killed")
    journal.close()
    assert wal(path).stat().st_size > 5 << 20
    before = lost()
    again = Journal(path)
    assert lost() == before and len(again.burst().held) == 15 and again.rows_waiting == 60_000
