"""Speed and wear of the last ten seconds are known at an impact, however short the frames they came in."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import crash, frames, lying, ride, to_counts

from detectors import Fleet
from detectors.ring import CONTEXT, CONTEXT_S

COUNTS = to_counts(ride(40, np.random.default_rng(1)))


def push(fleet, counts, lengths, speed_of, stop):
    """Frames of the given lengths in turn, of one helmet; `speed_of` gives the speed by second."""
    first = seq = 0
    said = []
    while first < stop:
        part = counts[first : first + lengths[seq % len(lengths)]]
        f = frames([("SF-1", seq, first, part)], speed_mps=speed_of(first / 100))
        said += fleet.push(f, np.array([1]), np.array([first]), int(f.received_us[0]))
        first, seq = first + len(part), seq + 1
    return said


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(5, 250), min_size=1, max_size=6))
def test_the_memory_reaches_back_ten_seconds_without_a_gap_and_has_a_bound(lengths):
    fleet = Fleet()
    push(fleet, COUNTS, lengths, lambda t: np.nan if int(t * 10) % 3 else t, 2000)
    (ring,) = fleet._places.rings.values()
    kept = ring.context(0)
    assert len(kept) <= CONTEXT
    assert kept[0][0] <= ring.head[0] - CONTEXT_S * 100 and kept[-1][1] == ring.head[0]
    for (_, end, *_), (start, _, *_) in pairwise(kept):
        assert start == end
    for start, end, speed, _ in kept:
        assert np.isnan(speed) or start / 100 - 0.01 <= speed <= end / 100


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(10, 60), min_size=1, max_size=3))
def test_a_ride_that_ended_seconds_before_the_blow_is_a_ride_for_short_frames_too(lengths):
    """At 6 m/s until 5 s before it: half of the last ten seconds; the newest 16 frames know nothing of it."""
    case = crash(1, before_s=16.0)

    def speed(t):
        return 6.0 if t < 11 else 0.0

    long = push(Fleet(), case.counts, [100], speed, 1900)
    short = push(Fleet(), case.counts, lengths, speed, 1900)
    assert [d.features["riding"] for d in long] == [1.0] * len(long) != []
    assert [(d.stage, d.features["riding"]) for d in short] == [(d.stage, 1.0) for d in long]


@settings(max_examples=6, deadline=None)
@given(st.integers(15, 94))
def test_one_wrong_speed_is_no_ride_however_often_short_frames_repeat_it(length):
    case = crash(1, before_s=16.0)
    # A receiver knows a new speed once a second.
    said = push(Fleet(), case.counts, [length], lambda t: 4.0 if int(t) == 15 else 0.0, 1700)
    assert all(d.features["riding"] == 0.0 for d in said)


def test_two_speeds_agree_also_where_the_impact_sent_the_second_frame_early():
    case = crash(1, before_s=16.0)
    lengths = [100] * 16 + [41] + [100] * 2
    said = push(Fleet(), case.counts, lengths, lambda t: {14: 2.0, 15: 3.0, 16: 4.0}.get(int(t), 0.0), 1700)
    assert said and all(d.features["riding"] == 1.0 for d in said)


def test_a_watch_ends_when_its_helmets_unit_turns_out_to_be_wrong():
    """Struck, and from then on in metres per second squared: nothing that can be believed will come."""
    rng = np.random.default_rng(1)
    counts = np.concatenate([crash(1).counts[:1000], to_counts(9.81 * lying(25, rng, 0.001))])
    fleet = Fleet()
    said = push(fleet, counts, [100], lambda t: 8.0, 1100)
    assert said and fleet._watches
    said += push(fleet, counts, [100], lambda t: 8.0, 3500)
    assert fleet.faults(1) == ["units"] and fleet._watches == {}
    (ring,) = fleet._places.rings.values()
    assert not ring.watched.any()
