"""Which frames were seen: a repeated one is known, whatever the order, the loss and the number of restarts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.numbers import Numbers

frames = st.lists(
    st.tuples(st.sampled_from(["SF-1", "SF-2"]), st.sampled_from([1, 2, 2**32 - 1]), st.integers(0, 40)),
    max_size=120,
)


@given(frames, st.integers(0, 120))
def test_a_frame_is_new_once_whatever_the_order_and_whenever_it_is_dumped_and_loaded(
    sent: list[tuple[str, int, int]], restart: int
) -> None:
    numbers, model = Numbers(10), set[tuple[str, int, int]]()
    for k, frame in enumerate(sent):
        if k == restart:
            dumped = numbers.dump()
            numbers = Numbers(10)
            numbers.load(dumped)
            assert numbers.dump() == dumped
        assert numbers.is_new(*frame) is (frame not in model)
        model.add(frame)


@given(st.lists(st.integers(0, 300), max_size=300))
def test_with_too_many_holes_the_oldest_numbers_are_looked_at_again_and_no_new_frame_is_refused(
    seqs: list[int],
) -> None:
    numbers, model = Numbers(1), set[int]()
    for seq in seqs:
        if seq not in model:
            assert numbers.is_new("SF-1", 1, seq)
        else:
            numbers.is_new("SF-1", 1, seq)
        model.add(seq)


def test_ten_hours_in_order_are_remembered_whole_in_40_bytes() -> None:
    numbers = Numbers(1)
    for seq in range(36_000):
        assert numbers.is_new("SF-1", 1, seq)
    assert not any(numbers.is_new("SF-1", 1, seq) for seq in range(36_000))
    assert len(numbers.dump()) == 8 + 32 + 8


def test_a_helmet_that_leaves_holes_on_purpose_takes_no_more_room_than_its_share() -> None:
    numbers = Numbers(2)
    for helmet in ("SF-1", "SF-2", "SF-3"):
        for boot in range(9):
            for seq in range(0, 4000, 2):
                numbers.is_new(helmet, boot, seq)
    assert len(numbers.dump()) == 8 + 2 * 4 * (32 + 32 * 8)


@given(st.binary(max_size=200))
def test_what_is_no_dump_is_refused_whole(junk: bytes) -> None:
    numbers = Numbers(3)
    numbers.is_new("SF-1", 1, 1)
    before = numbers.dump()
    if (
        len(junk) >= 8
        and int.from_bytes(junk[:4], "little") * 32 + int.from_bytes(junk[4:8], "little") * 4 == len(junk) - 8
    ):
        return  # by chance the right length; the journal's checksum stands before this
    with pytest.raises(ValueError):
        numbers.load(junk)
    assert numbers.dump() == before
