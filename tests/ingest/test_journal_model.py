"""Journal and outbox against a model of dictionaries, through commits, kills, torn logs, deliveries and refusals."""

import json
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from frames import NOW_US
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from journals import detection, left_by_kill, lost, rows, wal

from core import metrics
from core.model import TELEMETRY, Kind, Reason, Rejected, Stage
from detectors.burst import Held
from ingest.codec import Message
from ingest.journal import Journal, Taken, Tick
from ingest.numbers import Numbers
from ingest.outbox import Outbox
from ingest.store_relay import _set_aside

MAX_MB = 1
KEPT = 6
"""Small bounds, so that they are reached: of telemetry, and of what was refused and rejected each."""
BESIDE = 300_000
"""Bytes for what is bounded by other numbers: raw frames, what waits for the desk, keys that it took, empty pages."""
WAL_MAX = 2 << 20
"""The log is torn only while it was never restarted: then its length says which commits it holds."""


class Model:
    """What a journal must hold, in plain dictionaries."""

    def __init__(self) -> None:
        self.outbox: dict[str, str] = {}
        self.telemetry: dict[int, set[int]] = {}
        """Blocks by their number of commit, oldest first, with the sequence numbers of their rows."""
        self.dropped: set[int] = set()
        self.raw: list[tuple[int, int]] = []
        """Every raw message that was ever committed: when, and its number."""
        self.now_us = NOW_US
        self.rows: set[int] = set()
        """Every row that was ever committed."""
        self.rejected: list[int | None] = []
        """Row that the store refused, None for a message."""
        self.no_more: set[int] = set()
        """Rows that were refused so long ago that the journal kept others."""
        self.held: list[str] = []
        """Keys of what a burst holds back, in that order."""
        self.withheld: set[str] = set()

    def copy(self) -> "Model":
        other = Model()
        other.outbox, other.telemetry = dict(self.outbox), dict(self.telemetry)
        other.dropped, other.raw, other.rejected = set(self.dropped), list(self.raw), list(self.rejected)
        other.rows, other.no_more = set(self.rows), set(self.no_more)
        other.now_us = self.now_us
        other.held, other.withheld = list(self.held), set(self.withheld)
        return other

    def reject(self, row: int | None) -> None:
        self.rejected.append(row)
        while len(self.rejected) > KEPT:
            if (gone := self.rejected.pop(0)) is not None:
                self.no_more.add(gone)


class JournalMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("ingest.journal._REJECTED_KEPT", KEPT)
        self.patch.setattr("ingest.journal._REFUSED_KEPT", KEPT)
        self.folder = Path(tempfile.mkdtemp(prefix="journal-model-"))
        self.life = 0
        self.path = self.folder / "0" / "j.db"
        self.journal = Journal(self.path, max_mb=MAX_MB)
        self.outbox = Outbox(self.path)
        self.model = Model()
        self.history: list[tuple[int, Model]] = [(0, self.model.copy())]
        """Length of the log after each commit of this life, and what the journal held then."""
        self.next_row = self.next_incident = self.next_raw = 0
        self.numbers = Numbers(10)
        self.desk: list[str] = []
        """What the desk has taken, in order; repeats are allowed, gaps are not."""
        self.store: set[int] = set()
        self.forgotten: set[str] = set()
        self.last_outbox = self.last_telemetry = 0
        self.taken_outbox: list[tuple[str, int, str]] = []
        self.taken_telemetry: list[tuple[int, set[int]]] = []
        self.refused_rows: list[tuple[Message, Rejected]] = []

    def commit(self, tick: Tick) -> None:
        taken = Taken(
            [(state, i) for state, i, _ in self.taken_outbox],
            [i for i, _ in self.taken_telemetry],
            self.refused_rows,
        )
        self.journal.commit(tick, taken)
        for part in tick.telemetry:
            self.model.rows |= {int(n) for n in part["seq"]}
        for _ in tick.rejected:
            self.model.reject(None)
        for message, _ in self.refused_rows:
            self.model.reject(int(np.frombuffer(message.payload, TELEMETRY)["seq"][0]))
        for state, _, key in self.taken_outbox:
            self.model.outbox[key] = state
        for _, numbers in self.taken_telemetry:
            self.model.telemetry = {k: v for k, v in self.model.telemetry.items() if v != numbers}
        self.taken_outbox, self.taken_telemetry, self.refused_rows = [], [], []
        self.history.append((wal(self.path).stat().st_size, self.model.copy()))

    @rule(
        versions=st.integers(0, 3),
        count=st.integers(0, 5),
        again=st.booleans(),
        reject=st.booleans(),
        later_s=st.integers(-5, 20),
        note=st.booleans(),
    )
    def publish(self, versions: int, count: int, again: bool, reject: bool, later_s: int, note: bool) -> None:
        """A turn of the loop; sometimes the detector repeats itself, or the numbers seen are noted."""
        self.model.now_us += later_s * 1_000_000
        tick = Tick(self.model.now_us)
        if again and self.next_incident:
            tick.detections.append(detection(f"i{self.next_incident - 1}", 1))
            self.model.outbox.setdefault(f"i{self.next_incident - 1}:1", "waiting")
        for version in range(1, versions + 1):
            tick.detections.append(detection(f"i{self.next_incident}", version))
            self.model.outbox[f"i{self.next_incident}:{version}"] = "waiting"
        self.next_incident += versions > 0
        if count:
            tick.telemetry.append(rows(count, self.next_row))
            self.model.telemetry[self.next_row] = set(range(self.next_row, self.next_row + count))
            self.next_row += count
            tick.raw.append(Message("t", b"%d" % self.next_raw, NOW_US))
            self.model.raw.append((tick.now_us, self.next_raw))
            assert self.numbers.is_new("SF-1", 1, self.next_raw)
            self.next_raw += 1
            if note:
                tick.numbers = self.numbers.dump()
        if reject:
            tick.rejected.append((Message("t", b"x", NOW_US), Rejected("t", Reason.SIZE, "1 byte")))
        self.commit(tick)

    @rule(new=st.integers(0, 3), gone=st.integers(0, 4), never=st.integers(0, 2), again=st.booleans())
    def a_burst_holds_back_and_lets_go(self, new: int, gone: int, never: int, again: bool) -> None:
        """Sometimes a restart detects again what is held, or what never goes on: both stay where they are."""
        held, model = self.model.held, self.model
        tick = Tick(model.now_us, released=[_held(key) for key in held[:gone]])
        tick.withheld = held[gone : gone + never]
        if again:
            tick.detections = [detection(*_named(key)) for key in [*held[gone:], *sorted(model.withheld)]]
        model.outbox |= dict.fromkeys(held[:gone], "waiting")
        model.withheld |= set(tick.withheld)
        tick.held = [detection(f"h{self.next_incident + k}") for k in range(new)]
        self.next_incident += new
        model.held = [*held[gone + never :], *(d.key for d in tick.held)]
        self.commit(tick)

    @rule()
    def outage_fills_the_journal(self) -> None:
        """More telemetry than the bound allows: the oldest goes, counted."""
        before = metrics.ROWS_DROPPED._value.get()
        block = rows(4000, self.next_row)
        self.model.telemetry[self.next_row] = set(range(self.next_row, self.next_row + 4000))
        self.next_row += 4000
        # The model must know what goes before the commit notes its state.
        gone = set(self.model.telemetry) - self.fitting(block.itemsize)
        dropped = set[int]().union(*(self.model.telemetry.pop(k) for k in gone), set())
        self.model.dropped |= dropped
        self.taken_telemetry, self.refused_rows = [], []
        self.last_telemetry = 0
        self.commit(Tick(NOW_US, telemetry=[block]))
        assert metrics.ROWS_DROPPED._value.get() - before == len(dropped)

    def fitting(self, row_bytes: int) -> set[int]:
        kept: set[int] = set()
        size = 0
        for k, numbers in reversed(self.model.telemetry.items()):
            size += len(numbers) * row_bytes
            if size > MAX_MB << 20:
                break
            kept.add(k)
        return kept

    @rule(outcome=st.sampled_from(["taken", "refused", "timeout"]), limit=st.integers(1, 4))
    def desk_answers(self, outcome: str, limit: int) -> None:
        """The relay hands over what waits; what the desk took is struck off by the next commit, not before."""
        waiting = self.outbox.waiting(self.last_outbox, limit)
        if not waiting:
            return
        keys = [key_of(w.body) for w in waiting]
        if outcome == "taken" or outcome == "timeout":  # a desk may take and be too slow to say so
            self.desk += keys
        if outcome != "timeout":
            self.last_outbox = waiting[-1].id
            self.taken_outbox += [(outcome, w.id, key) for w, key in zip(waiting, keys, strict=True)]
            self.forgotten |= set(keys) if outcome == "refused" else set()

    @rule(accepted=st.booleans(), bad=st.sets(st.integers(0, 4)))
    def store_answers(self, accepted: bool, bad: set[int]) -> None:
        """Some rows may be bad: the store has the others, and the journal keeps these with the reason."""
        ids, found = self.outbox.telemetry(self.last_telemetry, 1)
        if not ids:
            return
        numbers = {int(n) for n in found["seq"]}
        aside = _set_aside(found, {k: "bad" for k in sorted(bad) if k < len(found)})
        self.store |= {
            int(n) for k, n in enumerate(found["seq"]) if k not in bad
        }  # also where it answers too late
        if accepted:
            self.refused_rows += aside
            self.last_telemetry = ids[-1]
            self.taken_telemetry.append((ids[0], numbers))

    @rule()
    def killed_and_started_again(self) -> None:
        self.reopen(cut=None)

    @precondition(lambda self: 32 < self.history[-1][0] < WAL_MAX)
    @rule(data=st.data())
    def power_cut_tears_the_log(self, data: st.DataObject) -> None:
        """The end of the log is missing: whole commits are gone, never half of one."""
        self.reopen(cut=data.draw(st.integers(0, self.history[-1][0]), label="length left"))

    def reopen(self, cut: int | None) -> None:
        self.life += 1
        before = lost()
        path = left_by_kill(self.path, self.folder / str(self.life))
        self.journal.close()
        self.outbox.close()
        if cut is not None:
            with wal(path).open("r+b") as file:
                file.truncate(cut)
            self.model = [model for size, model in self.history if size <= cut][-1].copy()
        self.path = path
        self.journal, self.outbox = Journal(path, max_mb=MAX_MB), Outbox(path)
        self.last_outbox = self.last_telemetry = 0
        self.taken_outbox, self.taken_telemetry, self.refused_rows = [], [], []
        self.history = [(0, self.model.copy())]
        assert lost() == before, "a log that ends early is no damage: what it held was never acknowledged"
        self.knows_every_number_that_was_committed()

    def knows_every_number_that_was_committed(self) -> None:
        """The note and the raw messages after it are all that was seen, each once; 30 s of them are raw."""
        self.numbers = Numbers(10)
        if noted := self.journal.numbers():
            self.numbers.load(noted)
        kept = [int(m.payload) for _, messages in self.journal.raw() for m in messages]
        for number in kept:
            assert self.numbers.is_new("SF-1", 1, number), "in the note and to be replayed as well"
        numbers = [number for _, number in self.model.raw]
        assert not any(self.numbers.is_new("SF-1", 1, number) for number in numbers)
        assert kept == numbers[len(numbers) - len(kept) :]
        newest_us = max((at_us for at_us, _ in self.model.raw), default=0)
        since_us = newest_us
        for at_us, number in reversed(self.model.raw):
            # A message is as old as the oldest after it, where somebody set the clock back in between.
            since_us = min(since_us, at_us)
            assert since_us <= newest_us - 30_000_000 or number in kept

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        assert [d.key for d, _ in self.journal.burst().held] == self.model.held
        waiting = [key_of(w.body) for w in self.outbox.waiting(0, 10**6)]
        assert waiting == [key for key, state in self.model.outbox.items() if state == "waiting"]
        _, found = self.outbox.telemetry(0, 10**9)
        assert found["seq"].tolist() == [
            n for numbers in self.model.telemetry.values() for n in sorted(numbers)
        ]
        assert self.journal.rows_waiting == len(found)
        assert found.nbytes <= MAX_MB << 20
        assert [_refused_row(entry) for entry in self.outbox.rejected(10**6)[::-1]] == self.model.rejected

    @invariant()
    def no_bigger_than_its_bounds(self) -> None:
        db = self.outbox._db
        pages, free = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count")
        )
        refused = [key for (key,) in db.execute("SELECT key FROM outbox WHERE state = 'refused' ORDER BY id")]
        assert (pages - free) * 4096 <= (MAX_MB << 20) + BESIDE
        assert len(refused) <= KEPT and set(refused) <= self.forgotten

    @invariant()
    def nothing_committed_is_unaccounted_for(self) -> None:
        """Every committed entry waits, was taken or was refused; every row waits, is stored or was dropped."""
        for key, state in self.model.outbox.items():
            assert state == "waiting" or key in self.desk or key in self.forgotten
        waiting = set[int]().union(*self.model.telemetry.values())
        rejected = {row for row in self.model.rejected if row is not None}
        assert self.model.rows <= waiting | self.store | self.model.dropped | rejected | self.model.no_more

    def teardown(self) -> None:
        self.journal.close()
        self.outbox.close()
        shutil.rmtree(self.folder)
        self.patch.undo()


def _refused_row(entry: dict[str, object]) -> int | None:
    payload = entry["payload"]
    assert isinstance(payload, bytes)
    return int(np.frombuffer(payload, TELEMETRY)["seq"][0]) if entry["reason"] == "store" else None


def _named(key: str) -> tuple[str, int]:
    incident, _, version = key.partition(":")
    return incident, int(version)


def _held(key: str) -> Held:
    incident, version = _named(key)
    return Held(incident, key, "SF-1", Kind.FALL, Stage.CONFIRMED, version, False, False, NOW_US)


def key_of(body: str) -> str:
    read = json.loads(body)
    return f"{read['incident']}:{read['version']}"


JournalMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestJournalAgainstTheModel = JournalMachine.TestCase
