"""Riding logs wait for the desk's word: what it did not keep goes again, before anything newer."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from core.model import RidingLog
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
