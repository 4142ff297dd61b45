"""A worker that is killed knows afterwards what it knew before: what came twice stays a duplicate, however old."""

import tempfile
from pathlib import Path

import numpy as np
from frames import NOW_US, frames
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import NOTHING, left_by_kill

from core.config import Config
from ingest.codec import Message, encode_motion, topic
from ingest.journal import Journal, Tick
from ingest.pipeline import Pipeline

SECONDS = 100
HELMETS = ("SF-1", "SF-2")


def message(helmet: str, second: int, received_s: int) -> Message:
    """A second of rest, as its helmet sends it, in the second it is received in."""
    acc = np.tile(np.array([0, 0, 2048], np.int16), (1, 10, 1))
    frame = frames(
        acc,
        helmet=helmet,
        boot=1,
        seq=second,
        t0_us=NOW_US + second * 1_000_000,
        period_ns=100_000_000,
    )
    return Message(topic(helmet, "motion"), encode_motion(frame)[0], NOW_US + (received_s + 1) * 1_000_000)


class Life:
    """A pipeline and its journal, turned once a second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal, self.pipeline = Journal(path), Pipeline(Config())
        self.pipeline.remember(self.journal.numbers(), self.journal.learned())
        for now_us, block in self.journal.raw():
            self.pipeline.replay(block, now_us)
        self.pipeline.go_on(self.journal.burst())

    def turn(self, messages: list[Message], second: int) -> list[tuple[bytes, int]]:
        """Which frames were taken for new in this second."""
        tick: Tick = self.pipeline.process(messages, NOW_US + (second + 1) * 1_000_000)[0]
        self.journal.commit(tick, NOTHING)
        return sorted((row["helmet"], int(row["seq"])) for rows in tick.telemetry for row in rows)


again = st.lists(
    st.tuples(st.integers(0, SECONDS - 1), st.sampled_from(HELMETS), st.integers(0, SECONDS - 1)), max_size=60
)


@settings(max_examples=15, deadline=None)
@given(
    repeats=again,
    lost=st.sets(st.integers(0, SECONDS - 1), max_size=20),
    kills=st.sets(st.integers(1, 99), max_size=3),
)
def test_each_frame_is_taken_once_whatever_is_repeated_and_whenever_the_worker_is_killed(
    repeats: list[tuple[int, str, int]], lost: set[int], kills: set[int]
) -> None:
    """`repeats` are (when, helmet, which second's frame): also frames that were lost at first and come late."""
    with tempfile.TemporaryDirectory() as name:
        life = Life(Path(name) / "0" / "j.db")
        seen = set[tuple[bytes, int]]()
        for second in range(SECONDS):
            if second in kills:
                path = left_by_kill(life.path, Path(name) / f"after-{second}")
                life.journal.close()
                life = Life(path)
            sent = [(helmet, second) for helmet in HELMETS if helmet == "SF-2" or second not in lost]
            sent += [(helmet, old) for when, helmet, old in repeats if when == second and old < second]
            new = {(helmet.encode(), number) for helmet, number in sent} - seen
            taken = life.turn([message(helmet, number, second) for helmet, number in sent], second)
            assert taken == sorted(new)
            seen |= new
        life.journal.close()
