"""The worker's loop: one message that makes it raise costs nothing but itself."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from frames import NOW_US, frames
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import NOTHING

from core.clock import ManualClock
from core.config import Config
from core.model import HelmetEvent, Prompt
from ingest.codec import Message, encode_event, encode_motion, topic
from ingest.inbox import Delivery
from ingest.journal import Tick
from ingest.outbox import Outbox
from ingest.pipeline import Pipeline
from ingest.telemetry import split
from ingest.worker import Worker

HELMETS = ("SF-1", "SF-2", "SF-3")
NEVER = threading.Event()


def frame(helmet: str, seq: int) -> Message:
    """A second of rest, sent on impact so that its helmet hears `received`."""
    acc = np.tile(np.array([0, 0, 2048], np.int16), (1, 10, 1))
    made = frames(
        acc, helmet=helmet, boot=1, seq=seq, t0_us=NOW_US + seq * 1_000_000, period_ns=100_000_000, flags=8
    )
    return Message(topic(helmet, "motion"), encode_motion(made)[0], NOW_US + (seq + 1) * 1_000_000)


def sos(helmet: str, number: int) -> Message:
    event = HelmetEvent(helmet, "sos", NOW_US + number, NOW_US + number)
    return Message(topic(helmet, "event"), encode_event(event), NOW_US + number)


@contextmanager
def made(folder: Path, clock: ManualClock) -> Iterator[Worker]:
    """A worker that nobody has started: its turns are the test's."""
    worker = Worker(config(folder), clock, "t" * 32)
    try:
        yield worker
    finally:
        worker._journal.close()


def config(folder: Path) -> Config:
    return Config.model_validate(
        {"ingest": {"worker": folder.name, "journal": {"path": str(folder / "j.db")}}}
    )


class PoisonError(Exception):
    """Nobody has thought of it."""


def poison(bad: set[Message]) -> object:
    """A fault that shows at the end of a turn, when sequence and detector have taken in all of it."""
    process = Pipeline.process

    def process_and_raise(self: Pipeline, messages: list[Message], now_us: int) -> object:
        found = process(self, messages, now_us)
        if bad & set(messages):
            raise PoisonError(f"lat 22.5431: {messages[0].payload!r}")
        return found

    return patch.object(Pipeline, "process", process_and_raise)


class Broker:
    """Takes the worker's side of the broker: what was acknowledged, and told to whom."""

    def __init__(self, worker: Worker) -> None:
        self.acknowledged: list[int] = []
        self.told: list[tuple[str, Prompt]] = []
        self._worker = worker
        worker._subscriber.acknowledge = lambda ds: self.acknowledged.extend(d.mid for d in ds)  # type: ignore[method-assign]
        worker._tell = self.told.extend  # type: ignore[method-assign]

    def send(self, messages: list[Message]) -> None:
        for mid, message in enumerate(messages):
            self._worker._subscriber.inbox.put(Delivery(message, mid, 1, 1), 0)


turns = st.lists(
    st.lists(st.tuples(st.sampled_from(HELMETS), st.booleans(), st.booleans()), max_size=12),
    min_size=1,
    max_size=6,
)
"""By turn: (helmet, a call for help instead of a frame, makes the worker raise)."""


@settings(max_examples=40)
@given(turns)
def test_a_message_that_makes_the_worker_raise_is_set_aside_and_every_other_counts_once(
    drawn: list[list[tuple[str, bool, bool]]],
) -> None:
    clock = ManualClock(NOW_US + 60_000_000)
    with tempfile.TemporaryDirectory() as name, made(Path(name), clock) as worker:
        broker, number, bad, good = Broker(worker), 0, set[Message](), list[Message]()
        for turn in drawn:
            messages = []
            for helmet, calls, raises in turn:
                number += 1
                message = (sos if calls else frame)(helmet, number)
                messages.append(message)
                (bad.add if raises else good.append)(message)
            broker.acknowledged.clear()
            broker.send(messages)
            with poison(bad):
                assert worker.turn(NEVER) == len(messages)
            assert broker.acknowledged == list(range(len(messages)))
            clock.advance(1)
        outbox = Outbox(worker._journal.path)
        rejected, waiting = outbox.rejected(), outbox.waiting(0)
        rows, _ = split(outbox.telemetry(0, 10**6)[1])
        outbox.close()
        assert {(row["topic"], row["payload"]) for row in rejected} == {(m.topic, m.payload) for m in bad}
        assert {row["reason"] for row in rejected} <= {"error"} and len(rejected) == len(bad)
        assert not any("22.5431" in str(row["detail"]) for row in rejected)
        calls = [m for m in good if m.topic.endswith("event")]
        assert len([w for w in waiting if w.kind == "event"]) == len(calls)
        assert len(rows) == len(good) - len(calls), "none was taken for a duplicate of what was undone"
        assert len(broker.told) == len(rows) and worker._pipeline.rejected == len(bad)


def test_what_no_message_causes_still_ends_the_worker(tmp_path: Path) -> None:
    """Setting messages aside would not help, and a supervisor starts it anew."""
    with (
        made(tmp_path, ManualClock(NOW_US)) as worker,
        patch.object(Pipeline, "process", side_effect=PoisonError),
    ):
        broker = Broker(worker)
        broker.send([frame("SF-1", 1)])
        with pytest.raises(PoisonError):
            worker.turn(NEVER)
        assert not broker.acknowledged


def test_a_kept_turn_that_cannot_be_taken_up_again_does_not_stop_a_start(tmp_path: Path) -> None:
    with made(tmp_path, ManualClock(NOW_US)) as worker:
        for seq in range(3):
            worker._journal.commit(Tick(NOW_US + seq * 1_000_000, raw=[frame("SF-1", seq)]), NOTHING)
    replay = Pipeline.replay

    def raises_once(self: Pipeline, messages: list[Message], now_us: int) -> Tick:
        if now_us == NOW_US + 1_000_000:
            raise PoisonError
        return replay(self, messages, now_us)

    with patch.object(Pipeline, "replay", raises_once), made(tmp_path, ManualClock(NOW_US)) as worker:
        assert worker._pipeline.frames == 2
