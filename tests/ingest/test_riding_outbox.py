"""Riding logs wait for the desk's word: what it did not keep goes again, before anything newer."""

import json
from datetime import UTC
from pathlib import Path

import numpy as np
from frames import NOW_US, frames
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.riding import Ridden, RidingBook
from core.config import Config
from core.model import RidingLog
from ingest.codec import Message, encode_motion, topic
from ingest.pipeline import Pipeline
from ingest.riding import BATCH, LOGS_MAX, RidingOutbox


def logs(first: int, many: int) -> list[RidingLog]:
    return [RidingLog(f"H-{k}", k * 1_000_000, "4") for k in range(first, first + many)]


def kept(n: object) -> bytes:
    return json.dumps({"prompts": [], "riding": n}).encode()


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["kept", "lost", "failed", "old desk"]))))
def test_every_log_arrives_in_order_however_often_the_desk_fails(
    turns: list[tuple[int, str]],
) -> None:
    outbox, made, taken = RidingOutbox(), 0, []
    for many, fate in [*turns, (0, "kept"), (0, "kept")]:
        outbox.put(logs(made, many))
        made += many
        sent = outbox.next()
        if fate == "kept":
            taken += sent
            outbox.answered(kept(len(sent)))
        elif fate == "failed":
            outbox.answered(kept(0))
        elif fate == "old desk":
            outbox.answered(b'{"prompts": []}')
    assert taken == logs(0, made)


def test_an_answer_that_makes_no_sense_strikes_nothing_out() -> None:
    outbox = RidingOutbox()
    outbox.put(logs(0, 3))
    outbox.next()
    for answer in (b"", b"[]", b"\xff", kept(2), kept("3"), kept(None), kept(-1)):
        outbox.answered(answer)
        assert outbox.next() == logs(0, 3)


def test_a_long_outage_costs_the_oldest_and_no_report_is_too_large() -> None:
    outbox, many = RidingOutbox(), LOGS_MAX + 10
    outbox.put(logs(0, many))
    sent = outbox.next()
    assert len(sent) == BATCH and sent[0] == logs(10, 1)[0]


def ride(helmet: str, second: int, worn: int) -> Message:
    acc = np.random.default_rng(second).normal([0, 0, 2048], 200, (1, 100, 3)).astype(np.int16)
    frame = frames(acc, helmet=helmet, boot=1, seq=second, t0_us=NOW_US + second * 1_000_000, worn=worn)
    return Message(topic(helmet, "motion"), encode_motion(frame)[0], NOW_US + (second + 1) * 1_000_000)


def test_from_a_helmets_bytes_to_the_days_sum_a_worker_that_starts_again_loses_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    first, second = Pipeline(Config()), Pipeline(Config())
    book = RidingBook(tmp_path / "riding", UTC)

    def live(pipeline: Pipeline, begin: int, end: int) -> None:
        for at in range(begin, end):
            pipeline.process([ride("SF-1", at, 2), ride("SF-2", at, 1)], NOW_US + (at + 1) * 1_000_000)
            logs = pipeline.riding.next()
            book.take(logs, NOW_US + at * 1_000_000)
            pipeline.riding.answered(kept(len(logs)))

    live(first, 0, 130)
    # The worker is killed; the next one replays what was open, and then what comes.
    live(second, 70, 200)
    late_us = NOW_US + 400 * 1_000_000
    second.process([], late_us)
    book.take(second.riding.next(), late_us)
    days = [book.ridden(day, "", 10) for day in book.days("2000-01-01", "2100-01-01")]
    assert days == [[Ridden("SF-1", 200, 0, 0), Ridden("SF-2", 0, 200, 0)]]
    book.close()
