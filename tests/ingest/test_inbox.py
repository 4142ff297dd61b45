"""The queue before the detector is bounded in number and in bytes, and keeps the order."""

import queue
from collections import deque

import pytest
from frames import NOW_US
from hypothesis import given
from hypothesis import strategies as st

from ingest.codec import Message
from ingest.inbox import Delivery, Inbox

MOST, MOST_BYTES = 5, 1000
steps = st.lists(
    st.one_of(st.tuples(st.just("put"), st.integers(0, 1500)), st.tuples(st.just("take"), st.integers(1, 8)))
)


def delivery(number: int, size: int) -> Delivery:
    return Delivery(Message("t", bytes(size), NOW_US), number, 1, 1)


@given(steps)
def test_it_holds_no_more_than_it_may_in_order_of_arrival(steps: list[tuple[str, int]]) -> None:
    inbox, model = Inbox(MOST, MOST_BYTES), deque[Delivery]()
    for number, (step, n) in enumerate(steps):
        if step == "put":
            one = delivery(number, n)
            held = sum(len(d.message.payload) for d in model)
            if not model or (len(model) < MOST and held + n <= MOST_BYTES):
                inbox.put(one, 0)
                model.append(one)
            else:
                with pytest.raises(queue.Full):
                    inbox.put(one, 0)
        else:
            assert inbox.take(n) == [model.popleft() for _ in range(min(n, len(model)))]
        assert len(inbox) == len(model)
