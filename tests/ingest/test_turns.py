"""A helmet that sends its past does not keep the others waiting, and acknowledgements keep the order of arrival."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.codec import Message
from ingest.inbox import Delivery, Inbox
from ingest.turns import SHARE, Turns


def delivery(mid: int, topic: str) -> Delivery:
    return Delivery(Message(topic, b"x", 0), mid, 1, 1)


def inbox(topics: list[str]) -> Inbox:
    box = Inbox(10_000, 10_000)
    for mid, topic in enumerate(topics):
        box.put(delivery(mid, topic), 0)
    return box


def test_behind_an_hour_of_one_helmet_another_has_its_turn_at_once() -> None:
    turns = Turns(inbox(["flush"] * 3600 + ["crash"]), 4000)
    turn = turns.take()
    assert [d.message.topic for d in turn] == ["flush"] * SHARE + ["crash"]
    acknowledged = turns.done(turn)
    assert [d.mid for d in acknowledged] == list(range(SHARE)), (
        "the crash is taken, its word waits for its elders"
    )
    assert len(turns) == 3600 - SHARE


@given(st.lists(st.sampled_from("abc"), max_size=200), st.integers(1, 60))
def test_everything_has_its_turn_once_each_topic_in_order_and_is_acknowledged_as_it_came(
    topics: list[str], most: int
) -> None:
    turns = Turns(inbox(topics), most)
    worked: list[Delivery] = []
    acknowledged: list[int] = []
    while turn := turns.take():
        assert len(turn) <= most
        worked += turn
        acknowledged += [d.mid for d in turns.done(turn)]
        assert set(acknowledged) <= {d.mid for d in worked}, "nothing is acknowledged before it is durable"
    assert acknowledged == list(range(len(topics)))
    for topic in "abc":
        mids = [d.mid for d in worked if d.message.topic == topic]
        assert mids == [mid for mid, each in enumerate(topics) if each == topic]


def test_what_is_not_done_is_never_acknowledged() -> None:
    turns = Turns(inbox(["a", "b"]), 10)
    first = turns.take()
    assert turns.done(first[1:]) == []
    assert turns.done(first[:1]) == first
