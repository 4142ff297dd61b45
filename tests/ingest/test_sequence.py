"""Where frames belong: order is by (boot, sequence number), whatever clocks and networks do."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from frames import NOW_US, frames
from hypothesis import given
from hypothesis import strategies as st

from core.model import Frames
from ingest.sequence import Sequence

N = 100


def frame(seq: int, *, helmet: str = "SF-1", boot: int = 1, jump_us: int = 0, late_s: float = 0) -> Frames:
    """One second of samples, numbered and dated as a helmet would."""
    t0_us = NOW_US + seq * 1_000_000 + jump_us
    received_us = t0_us + 1_000_000 + int(late_s * 1e6) - jump_us
    acc = np.zeros((1, N, 3), np.int16)
    return frames(acc, helmet=helmet, boot=boot, seq=seq, t0_us=t0_us, received_us=received_us)


def places(sequence: Sequence, *batches: list[Frames]) -> list[tuple[str, int, int, int]]:
    """(helmet, seq, track, index) of everything placed, in the order the detector sees it."""
    out = []
    for batch in batches:
        for placed in sequence.place(batch).placed:
            columns = (placed.frames.helmet, placed.frames.seq, placed.track, placed.index)
            out += [(h, int(s), int(t), int(i)) for h, s, t, i in zip(*columns, strict=True)]
    return out


def test_frames_in_order_adjoin() -> None:
    got = places(Sequence(), [frame(0)], [frame(1)], [frame(2)])
    assert [(seq, index) for _, seq, _, index in got] == [(0, 0), (1, N), (2, 2 * N)]
    assert len({track for _, _, track, _ in got}) == 1


def test_a_duplicate_is_placed_once() -> None:
    got = places(Sequence(), [frame(0)], [frame(0), frame(1)], [frame(1)])
    assert [seq for _, seq, _, _ in got] == [0, 1]


def test_a_gap_leaves_a_hole_of_its_length() -> None:
    got = places(Sequence(), [frame(0)], [frame(4)])
    assert got[1][3] == 4 * N and got[0][2] == got[1][2]


def test_a_clock_jump_between_adjoining_frames_leaves_no_hole() -> None:
    for jump_us in (-3_600_000_000, 86_400_000_000, 700_000):
        got = places(
            Sequence(ancient_s=1e9), [frame(0)], [frame(1, jump_us=jump_us)], [frame(2, jump_us=jump_us)]
        )
        assert [index for *_, index in got] == [0, N, 2 * N]


def test_a_clock_jump_over_a_gap_assumes_frames_like_its_neighbours() -> None:
    got = places(Sequence(ancient_s=1e9), [frame(0)], [frame(3, jump_us=-3_600_000_000)])
    assert got[1][3] == 3 * N


def test_a_reboot_starts_a_new_track_and_ends_the_old_one() -> None:
    sequence = Sequence()
    (first,) = places(sequence, [frame(7)])
    placed = sequence.place([frame(0, boot=2)])
    assert placed.ended == [first[2]]
    assert placed.placed[0].track[0] != first[2] and placed.placed[0].index[0] == 0


def test_a_long_silence_starts_a_new_track() -> None:
    got = places(Sequence(), [frame(0)], [frame(100)])
    assert got[0][2] != got[1][2]


def test_the_past_after_the_present_gets_a_track_of_its_own_and_the_present_goes_on() -> None:
    sequence = Sequence()
    got = places(
        sequence,
        [frame(0)],
        [frame(30)],
        [frame(1, late_s=30)],
        [frame(2, late_s=30)],
        [frame(31)],
        [frame(2)],
    )
    live = [index for _, seq, track, index in got if track == got[0][2]]
    past = [(seq, index) for _, seq, track, index in got if track != got[0][2]]
    assert live == [0, 30 * N, 31 * N]
    assert past == [(1, 0), (2, N)]


def test_a_frame_that_was_overtaken_goes_where_it_was_missed() -> None:
    for order in ((0, 2, 1, 3), (0, 3, 2, 1, 4), (0, 4, 1, 3, 2)):
        got = places(Sequence(), *([frame(seq)] for seq in order))
        assert [(seq, index) for _, seq, _, index in got] == [(seq, seq * N) for seq in order]
        assert len({track for _, _, track, _ in got}) == 1


def test_a_frame_that_was_overtaken_by_more_than_five_seconds_is_the_past() -> None:
    got = places(Sequence(), [frame(0)], [frame(2)], [frame(7)], [frame(1)])
    assert got[3][2] != got[0][2]


def test_a_backlog_that_reaches_the_present_stays_in_one_run() -> None:
    got = places(Sequence(), [frame(0)], [frame(12)], *([frame(seq)] for seq in range(1, 12)))
    assert len({track for _, seq, track, _ in got if 0 < seq < 12}) == 1


def test_a_frame_that_does_not_fit_where_it_was_missed_is_judged_by_itself() -> None:
    (first, _, third) = places(Sequence(), [frame(0)], [frame(3)], [frame(1, jump_us=-7_000_000)])
    assert third[2] != first[2]


def test_frames_older_than_a_day_are_archived_and_not_placed() -> None:
    result = Sequence().place([frame(0, late_s=90_000), frame(1)])
    assert [int(f.seq[0]) for f in result.archive] == [0]
    assert [int(p.frames.seq[0]) for p in result.placed] == [1]


def test_a_forgotten_helmet_ends_its_track() -> None:
    sequence = Sequence(helmets_max=2)
    result = sequence.place([frame(0, helmet=f"SF-{i}") for i in range(3)])
    assert len(result.ended) == 1 and len(sequence) == 2
    assert len(sequence.expire(NOW_US + 10**10)) == 2 and len(sequence) == 0


numbers = st.lists(st.integers(0, 12), min_size=1, max_size=30)


@given(numbers, st.data())
def test_however_a_stream_is_cut_into_batches_each_frame_is_placed_once_and_in_order(
    seqs: list[int], data: st.DataObject
) -> None:
    sequence = Sequence()
    got = []
    left = [frame(seq, helmet=data.draw(st.sampled_from(["SF-1", "SF-2"]))) for seq in seqs]
    sent = {(f.helmet[0], int(f.seq[0])) for f in left}
    while left:
        cut = data.draw(st.integers(1, len(left)))
        got += places(sequence, left[:cut])
        left = left[cut:]
    assert sorted((helmet, seq) for helmet, seq, *_ in got) == sorted(sent)
    for helmet in ("SF-1", "SF-2"):
        for track in {t for h, _, t, _ in got if h == helmet}:
            run = [(seq, index) for h, seq, t, index in got if (h, t) == (helmet, track)]
            assert all(b[1] - a[1] == (b[0] - a[0]) * N for a, b in pairwise(run))


def test_a_city_that_falls_silent_together_is_forgotten_some_at_a_time() -> None:
    sequence = Sequence()
    many = 1201
    together = frames(np.zeros((many, 2, 3), np.int16))
    sequence.place([replace(together, helmet=[f"SF-{k}" for k in range(many)])])
    turns = [len(sequence.expire(NOW_US + 10**10)) for _ in range(4)]
    assert turns == [500, 500, 201, 0] and len(sequence) == 0
