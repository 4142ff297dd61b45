"""What takes hours, with the time injected: a store that is busy for an hour, a helmet that comes back with its past."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from bad_influx import BadInflux

from core import config
from core.clock import ManualClock
from core.config import Config
from core.model import TELEMETRY, Detection
from ingest import store_relay
from ingest.codec import Message
from ingest.journal import Journal, Taken, Tick
from ingest.pipeline import Pipeline
from ingest.store_relay import StoreRelay
from simulator.fleet import run_fleet
from simulator.ledger import Ledger, read_ledger
from simulator.scenario import Happening, Outage, Scenario
from simulator.tape import Tape
from storage import open_store

START_US = 1_790_000_000_000_000
HELMETS = 2
HOUR_S, TURN_S = 3600, 10


def rows_of(turn: int) -> np.ndarray:
    """A row of each helmet for each second of a turn of the worker's loop, which are long ones here."""
    seconds = turn * TURN_S + np.repeat(np.arange(TURN_S), HELMETS)
    rows = np.zeros(len(seconds), TELEMETRY)
    rows["helmet"] = [b"SF-%06d" % k for k in range(HELMETS)] * TURN_S
    rows["t_us"] = START_US + seconds * 1_000_000
    rows["seq"] = seconds
    return rows


class Stopping(threading.Event):
    """The relay's event to wait for a while, and its clock: time passes nowhere else."""

    def __init__(self, each_turn: Callable[[int], bool]) -> None:
        super().__init__()
        self.now_s = self.longest_s = 0.0
        self._each_turn = each_turn
        self._turns = 0

    def monotonic(self) -> float:
        return self.now_s

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.now_s += timeout
        self.longest_s = max(self.longest_s, timeout)
        while self._turns * TURN_S < self.now_s and not self.is_set():
            if self._each_turn(self._turns):
                self.set()
            self._turns += 1
        return self.is_set()


class News(threading.Event):
    """The relay's other event, by the same clock."""

    def __init__(self, stopping: Stopping) -> None:
        super().__init__()
        self._stopping = stopping

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set() or self._stopping.wait(timeout)


def test_a_store_that_answers_503_for_an_hour_gets_every_row_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay's own loop; rows come in all the time, wait in the journal, and the store has each once."""
    with BadInflux() as influx:
        settings = config.Storage(
            kind="influxdb", influxdb=config.Influx(url=f"http://127.0.0.1:{influx.port}"), batch_rows=100
        )
        journal = Journal(tmp_path / "j.db", max_mb=64)
        taken: list[int] = []
        tries: list[int] = []

        def each_turn(turn: int) -> bool:
            """Rows come for an hour and a minute; True when all of them are stored."""
            second = turn * TURN_S
            if second == HOUR_S:
                tries.append(influx.writes)
                assert not taken and not influx.points and journal.rows_waiting == HOUR_S * HELMETS
                influx.forever = ""
            come = [rows_of(turn)] if second < HOUR_S + 60 else []
            now_us = START_US + second * 1_000_000
            journal.commit(Tick(now_us, telemetry=come), Taken([], [taken.pop() for _ in taken[:]]))
            relay.wake(sum(map(len, come)))
            return not come and not journal.rows_waiting

        stopping = Stopping(each_turn)
        monkeypatch.setattr(store_relay, "time", stopping)
        relay = StoreRelay(
            lambda: open_store(settings),
            tmp_path / "j.db",
            settings.batch_rows,
            lambda ids, _: taken.extend(ids),
        )
        monkeypatch.setattr(relay, "_stopping", stopping)
        monkeypatch.setattr(relay, "_news", News(stopping))
        influx.forever = "503"
        relay._deliver()
        relay._outbox.close()
        journal.close()
    assert stopping.longest_s <= 5 and HOUR_S / 5 < tries[0] < HOUR_S, (
        "it asked all the time, and not too often"
    )
    assert sorted(influx.points.values()) == sorted(
        (0, s) for s in range(HOUR_S + 60) for _ in range(HELMETS)
    )


AWAY, OTHER = "R-000001", "R-000002"
ANCIENT_S, LATE_S, LIVE_S = 150.0, 750.0, 1760.0
"""When the helmet that is out of coverage crashes, long ago and not so long ago, and the other while it catches up."""


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ledger, Tape]]:
    """A helmet without coverage for 29 minutes, and one beside it; a day at one forty-eighth."""
    folder = tmp_path_factory.mktemp("day")
    scenario = Scenario(
        "day",
        2,
        5,
        prefix="R-",
        riding=1.0,
        rough_spots_per_h=0.0,
        outages=(Outage(0, 10.0, 1750.0),),
        happenings=(
            Happening(ANCIENT_S, "head_strike", 0),
            Happening(LATE_S, "head_strike", 0),
            Happening(LIVE_S, "head_strike", 1),
        ),
    )
    run_fleet(
        scenario,
        None,
        ManualClock(START_US),
        ledger=folder / "ledger",
        record=folder / "tape",
        duration_s=1800.0,
        stop=threading.Event(),
    )
    yield read_ledger(folder / "ledger"), Tape(folder / "tape")


def test_a_helmets_day_that_comes_at_once_is_stored_whole_alerts_late_and_delays_nobody(
    day: tuple[Ledger, Tape],
) -> None:
    """18 minutes are the day here (`ingest.ancient_h`): what is older is stored and alerts no more."""
    ledger, tape = day
    pipeline = Pipeline(Config.model_validate({"ingest": {"ancient_h": 0.3}}))
    stored: list[tuple[str, int, int]] = []
    said: list[Detection] = []

    def turn(messages: list[Message], now_us: int) -> None:
        tick, _ = pipeline.process(messages, now_us)
        said.extend(tick.detections)
        for rows in tick.telemetry:
            stored.extend((r["helmet"].decode(), int(r["boot"]), int(r["seq"])) for r in rows)

    waiting: list[Message] = []
    due_us = START_US
    for recorded in tape:
        at_us = tape.start_us + recorded.offset_us
        while at_us >= due_us + 500_000:
            due_us += 500_000
            turn(waiting, due_us)
            waiting = []
        waiting.append(Message(recorded.topic, recorded.payload, at_us))
    turn(waiting, due_us + 500_000)
    for k in range(30):
        turn([], due_us + (k + 2) * 500_000)

    assert sorted(stored) == sorted(ledger.published), "each frame is stored once"
    crashes = {c.helmet: c for c in ledger.crashes}
    assert set(crashes) == {AWAY, OTHER}
    about = {d.incident: d for d in said}.values()
    away = [d for d in about if d.helmet == AWAY]
    long_ago, lately = sorted(c.t_us for c in ledger.crashes if c.helmet == AWAY)
    assert [abs(d.occurred_us - lately) < 2_000_000 and d.late for d in away] == [True]
    assert not any(abs(d.occurred_us - long_ago) < 60_000_000 for d in away)
    first = next(d for d in said if d.helmet == OTHER)
    assert not first.late and first.detected_us - crashes[OTHER].t_us < 2_500_000
