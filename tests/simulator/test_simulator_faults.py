"""Faults break what they say they break, as often as they say, and the same way every time."""

from collections import Counter
from dataclasses import fields

import numpy as np
import pytest

from core.model import Reason
from ingest.codec import Message, decode_motion, topic
from simulator.faults import Faults, FaultyStream, Sent
from simulator.helmet import Helmets
from simulator.scenario import Scenario

START_US = 1_790_000_000_000_000


def payloads(n: int) -> list[bytes]:
    helmets = Helmets(Scenario("one", 1), START_US)
    return [helmets.prepare(np.array([0]))[0].payload for _ in range(n)]


GOOD = payloads(200)


def outcome(payload: bytes) -> Reason | int:
    """The frame's number, or why it was rejected."""
    message = Message(topic("SF-000001", "motion"), payload, START_US + 200_000_000)
    frames, rejected = decode_motion([message])
    return rejected[0][1].reason if rejected else int(frames[0].seq[0])


def sent(faults: Faults, seed: int = 1) -> list[Sent]:
    stream = FaultyStream(faults, (seed,))
    return [out for payload in GOOD for out in stream.send(payload)]


@pytest.mark.parametrize(
    ("fault", "reasons"),
    [
        ("truncate", {Reason.SIZE}),
        ("checksum", {Reason.CHECKSUM}),
        ("version", {Reason.VERSION}),
        ("garbage", {Reason.SIZE, Reason.MAGIC, Reason.JSON}),
        ("foreign", {Reason.IDENTITY}),
    ],
)
def test_a_broken_frame_is_rejected_for_the_reason_it_was_broken(fault: str, reasons: set[Reason]) -> None:
    out = sent(Faults(**{fault: 1.0}))
    assert len(out) == len(GOOD)
    assert not any(intact for _, intact, _ in out)
    assert {outcome(payload) for payload, _, _ in out} <= reasons


def test_a_frame_dated_in_the_future_counts_as_of_its_arrival() -> None:
    assert [outcome(payload) for payload, _, _ in sent(Faults(future=1.0))] == list(range(len(GOOD)))


def test_lost_frames_are_missing_repeated_ones_are_equal_and_swapped_ones_change_places() -> None:
    assert sent(Faults(loss=1)) == []
    assert Counter(p for p, _, _ in sent(Faults(duplicate=1))) == dict.fromkeys(GOOD, 2)
    swapped = [outcome(p) for p, _, _ in sent(Faults(swap=1))]
    assert swapped[:6] == [1, 0, 3, 2, 5, 4]


def test_a_fault_is_as_frequent_as_its_probability_and_marked_as_not_intact() -> None:
    out = sent(Faults(loss=0.2, checksum=0.2))
    assert len(out) == pytest.approx(160, abs=25)
    assert all(isinstance(outcome(p), Reason) != intact for p, intact, _ in out)
    assert sum(not intact for _, intact, _ in out) == pytest.approx(32, abs=16)


def test_the_same_seed_breaks_the_same_frames() -> None:
    everything = Faults(**{f.name: 0.1 for f in fields(Faults)})
    assert sent(everything) == sent(everything)
    assert sent(everything) != sent(everything, seed=2)


def test_without_faults_everything_passes_unchanged() -> None:
    assert sent(Faults()) == [(p, True, 0.0) for p in GOOD]
    assert not Faults()
