"""The relay to the store: whatever the store does, rows wait in the journal and go on by themselves."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from frames import NOW_US
from journals import NOTHING, rows

from core import metrics
from core.config import Embedded
from core.model import TELEMETRY
from ingest.journal import Journal, Taken, Tick
from ingest.outbox import Outbox
from ingest.store_relay import StoreRelay
from ingest.telemetry import as_telemetry
from storage import SAMPLES, Outcome, Store
from storage.embedded import EmbeddedStore


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "j.db")
    for first in range(0, 30, 3):
        journal.commit(Tick(NOW_US, telemetry=[rows(3, first)]), NOTHING)
    yield journal
    journal.close()


def embedded(tmp_path: Path) -> EmbeddedStore:
    return EmbeddedStore(Embedded(path=str(tmp_path / "telemetry.db")))


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def relayed(journal: Journal, open_store: Callable[[], Store]) -> list[int]:
    """Runs a relay until it has moved all blocks; returns the blocks in the order in which they were struck off."""
    struck: list[int] = []
    relay = StoreRelay(open_store, journal.path, 5, lambda blocks, _: struck.extend(blocks))
    relay.start()
    until(lambda: len(struck) == 10)
    assert relay.alive()
    relay.leave()
    relay.join(10)
    return struck


def test_a_store_that_cannot_be_opened_is_opened_later(journal: Journal, tmp_path: Path) -> None:
    tries = 0

    def open_store() -> Store:
        nonlocal tries
        tries += 1
        if tries == 1:  # the way it really fails: something else lies at its path
            (tmp_path / "telemetry.db").mkdir()
        elif tries == 3:
            (tmp_path / "telemetry.db").rmdir()
        return embedded(tmp_path)

    assert relayed(journal, open_store) == list(range(1, 11))
    assert tries == 3
    store = embedded(tmp_path)
    assert store.count() == 30
    store.close()


class Moody(EmbeddedStore):
    """A real store that answers badly before it answers well."""

    def __init__(self, settings: Embedded) -> None:
        super().__init__(settings)
        self.moods = ["raise", "late", "retry", "refused", "raise"]

    def write(self, rows: np.ndarray) -> Outcome:
        mood = self.moods.pop(0) if self.moods else ""
        if mood == "raise":
            raise ZeroDivisionError("a driver's bug")
        if mood == "late":  # stored, but the answer never came
            super().write(rows)
            return Outcome("retry", 0, {}, "no answer in time")
        if mood:
            return Outcome(mood, 0, {}, mood)
        return super().write(rows)


def test_no_answer_of_the_store_ends_the_relay_or_loses_a_row(journal: Journal, tmp_path: Path) -> None:
    before = metrics.RELAY_ERRORS.labels("store")._value.get()
    moody = Moody(Embedded(path=str(tmp_path / "telemetry.db")))
    assert relayed(journal, lambda: moody) == list(range(1, 11))
    assert metrics.RELAY_ERRORS.labels("store")._value.get() - before == 2
    store = embedded(tmp_path)
    assert sorted(seq for _, _, seq in tuple(store.keys())) == list(range(30))
    store.close()


def test_a_block_that_cannot_be_read_does_not_stop_the_others(journal: Journal, tmp_path: Path) -> None:
    journal._db.execute("UPDATE telemetry SET block = zeroblob(length(block)) WHERE id = 4")
    outbox = Outbox(journal.path)
    ids, found = outbox.telemetry(0, 100)
    outbox.close()
    assert (len(ids), len(found)) == (10, 27)
    assert relayed(journal, lambda: embedded(tmp_path)) == list(range(1, 11))


class Hanging(EmbeddedStore):
    """A real store on a disk that takes its time."""

    def __init__(self, settings: Embedded) -> None:
        super().__init__(settings)
        self.asked, self.hold = threading.Event(), threading.Event()

    def write(self, rows: np.ndarray) -> Outcome:
        self.asked.set()
        self.hold.wait()
        return super().write(rows)


def test_a_store_that_hangs_does_not_hold_up_a_stop_and_gets_its_rows_the_next_time(
    journal: Journal, tmp_path: Path
) -> None:
    hanging = Hanging(Embedded(path=str(tmp_path / "telemetry.db")))
    relay = StoreRelay(lambda: hanging, journal.path, 5, lambda *_: None)
    relay.start()
    assert hanging.asked.wait(10)
    began = time.monotonic()
    relay.leave()
    relay.join(0.2)
    assert time.monotonic() - began < 2 and relay.alive()
    assert relayed(journal, lambda: embedded(tmp_path)) == list(range(1, 11))
    hanging.hold.set()
    relay.join(10)
    assert not relay.alive()
    store = embedded(tmp_path)
    assert sorted(seq for _, _, seq in store.keys()) == list(range(30))  # noqa: SIM118
    store.close()


class Picky(EmbeddedStore):
    """A real store that takes no odd sequence number, and at first no samples."""

    def __init__(self, settings: Embedded) -> None:
        super().__init__(settings)
        self.asked: list[str] = []

    def write(self, rows: np.ndarray) -> Outcome:
        kind = "samples" if rows.dtype == SAMPLES else "telemetry"
        self.asked.append(kind)
        if kind == "samples" and self.asked.count(kind) < 3:
            return Outcome("retry", 0, {}, "not now")
        odd = {k: f"odd: {row['seq']}" for k, row in enumerate(rows) if row["seq"] % 2}
        super().write(rows[rows["seq"] % 2 == 0])
        return Outcome("partial", len(rows) - len(odd), odd)


def test_a_row_that_the_store_refuses_is_set_aside_with_its_reason_and_nothing_is_counted_twice(
    tmp_path: Path,
) -> None:
    raw = np.zeros(40, SAMPLES)
    raw["helmet"], raw["t_us"], raw["seq"] = b"SF-1", NOW_US + np.arange(40), np.arange(40) // 10
    journal = Journal(tmp_path / "j.db")
    journal.commit(Tick(NOW_US, telemetry=[rows(6), as_telemetry(raw)]), NOTHING)
    before = metrics.ROWS_STORED._value.get(), metrics.ROWS_REFUSED._value.get()
    picky = Picky(Embedded(path=str(tmp_path / "telemetry.db")))
    taken: list[Taken] = []
    relay = StoreRelay(lambda: picky, journal.path, 1000, lambda ids, bad: taken.append(Taken([], ids, bad)))
    assert relay._move(0) is None and relay._move(0) is None
    last = relay._move(0)
    assert last is not None and relay._move(last) == last
    assert picky.asked == ["telemetry", "samples", "samples", "samples"], "telemetry is not written again"
    (struck,) = taken
    journal.commit(Tick(NOW_US + 1), struck)
    relay._outbox.close()
    outbox = Outbox(journal.path)
    assert journal.rows_waiting == outbox.count() == 0
    kept = outbox.rejected()[::-1]
    assert [(k["topic"], k["reason"], k["detail"]) for k in kept] == [
        *(("telemetry", "store", f"SF-000001 boot 3 frame {n}: odd: {n}") for n in (1, 3, 5)),
        *(("samples", "store", f"SF-1 boot 0 frame {n}: odd: {n}") for n in (1, 3)),
    ]
    assert [np.frombuffer(k["payload"], TELEMETRY)["seq"][0] for k in kept[:3]] == [1, 3, 5]
    assert metrics.ROWS_STORED._value.get() - before[0] == 3
    assert metrics.ROWS_REFUSED._value.get() - before[1] == 3 + 20
    outbox.close()
    journal.close()
