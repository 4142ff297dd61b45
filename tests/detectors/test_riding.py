"""Riding logs: what each second of a helmet is taken for, whoever cuts the data into frames, calls or tracks."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import T0_US, frames, ride, to_counts

from core.model import Riding, Worn
from detectors import Fleet
from detectors.riding import LOG_S, Book, begin_us, states

COUNTS = to_counts(ride(2.0, np.random.default_rng(1)))
SECOND_US = 1_000_000
LATER_US = T0_US + 7200 * SECOND_US


def frame(helmet, seq, first, n, worn, speed_mps):
    made = frames([(helmet, seq, first, COUNTS[:n])], worn=worn, speed_mps=speed_mps)
    return replace(made, accuracy_m=np.full(1, 3, np.float32))


def seconds(logs):
    """What logs say of each helmet, by second since 1970; of two words the higher."""
    found = {}
    for log in logs:
        assert log.start_us % SECOND_US == 0 and len(log.states) == LOG_S
        for k, state in enumerate(log.states):
            key = (log.helmet, log.start_us // SECOND_US + k)
            if state != "0":
                found[key] = max(found.get(key, 0), int(state))
    return found


STATE = st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from([0.0, 6.0, np.nan]))
FRAMES = st.lists(st.tuples(st.integers(5, 200), STATE), min_size=1, max_size=60)


def fed(fleet, parts, calls, repeat=0):
    """Pushes frames of one helmet in some calls; the last `repeat` of each call come again with the next."""
    rows, first = [], 0
    for seq, (n, (worn, speed_mps)) in enumerate(parts):
        rows.append((first, frame("SF-1", seq, first, n, worn, speed_mps)))
        first += n
    logs, begin = [], 0
    for end in [*sorted(calls), len(rows)]:
        for first, each in rows[max(0, begin - repeat) : end]:
            fleet.push(each, np.array([1]), np.array([first]), LATER_US)
        logs += fleet.riding(T0_US)
        begin = end
    return logs + fleet.riding(LATER_US)


@settings(max_examples=60, deadline=None)
@given(FRAMES, st.data())
def test_a_second_is_what_the_frame_in_its_middle_says(parts, data):
    calls = data.draw(st.lists(st.integers(0, len(parts)), max_size=4))
    found = seconds(fed(Fleet(), parts, calls, repeat=data.draw(st.integers(0, 3))))
    first, expected = 0, {}
    for n, (worn, speed_mps) in parts:
        start_us, end_us = T0_US + first * 10_000, T0_US + (first + n) * 10_000
        for second in range(start_us // SECOND_US - 1, end_us // SECOND_US + 1):
            if start_us <= second * SECOND_US + 500_000 < end_us:
                expected["SF-1", second] = worn, speed_mps
        first += n
    assert set(found) == set(expected)
    riding = {Worn.YES: Riding.WORN, Worn.NO: Riding.BARE}
    for key, (worn, speed_mps) in expected.items():
        if speed_mps == 0:
            assert found[key] == Riding.NOT
        elif np.isnan(speed_mps):
            # Whether it moves depends on how much of the road is in a frame; that it rides is never claimed.
            assert found[key] in (Riding.NOT, Riding.UNKNOWN)
        elif worn in riding:
            # A bit that goes off on the road is not believed at once.
            slipped = worn == Worn.NO and any(before == Worn.YES for _, (before, _) in parts)
            assert found[key] in ({riding[worn], Riding.UNKNOWN} if slipped else {riding[worn]})


@settings(max_examples=25, deadline=None)
@given(FRAMES, st.data())
def test_a_worker_that_starts_again_with_its_last_frames_says_nothing_else(parts, data):
    whole = seconds(fed(Fleet(), parts, []))
    cut = data.draw(st.integers(0, len(parts)))
    before = fed(Fleet(), parts[:cut], [])
    again = fed(Fleet(), parts, [])
    assert seconds(again + before) == seconds(before + again) == whole


def test_many_helmets_keep_apart_and_their_logs_do_not_all_end_at_once():
    fleet, ends = Fleet(), []
    for seq in range(130):
        rows = [(f"SF-{k}", seq, seq * 100, COUNTS[:100]) for k in range(60)]
        pushed = replace(frames(rows, speed_mps=6.0), accuracy_m=np.full(60, 3, np.float32))
        pushed = replace(pushed, worn=np.arange(60, dtype=np.uint8) % 2 + 1)
        fleet.push(pushed, np.arange(60), np.full(60, seq * 100), LATER_US)
        logs = fleet.riding(T0_US)
        ends += [seq] * len(logs)
        for log in logs:
            expected = Riding.WORN if int(log.helmet[3:]) % 2 else Riding.BARE
            assert set(log.states) <= {"0", str(int(expected))}
    assert len(ends) >= 60 and max(np.bincount(ends)) <= 2


def test_a_helmet_that_ends_hands_over_what_it_had():
    fleet = Fleet()
    for seq in range(10):
        fleet.push(frame("SF-1", seq, seq * 100, 100, 2, 6.0), np.array([7]), np.array([seq * 100]), LATER_US)
    assert fleet.riding(T0_US) == []
    fleet.forget(7)
    assert len(seconds(fleet.riding(T0_US))) == 10


def test_an_old_run_beside_the_live_one_is_of_the_same_helmet():
    fleet = Fleet()
    for seq in range(100, 105):
        fleet.push(frame("SF-1", seq, seq * 100, 100, 2, 6.0), np.array([1]), np.array([seq * 100]), LATER_US)
    for seq in range(5):
        fleet.push(frame("SF-1", seq, seq * 100, 100, 1, 6.0), np.array([2]), np.array([seq * 100]), LATER_US)
    found = seconds(fleet.riding(LATER_US))
    assert sorted(found.values()) == [Riding.BARE] * 5 + [Riding.WORN] * 5


def said(worn, rides, *, carried=False, speed=True, faults=0):
    one = [np.array([each]) for each in (worn, rides, carried, speed, faults)]
    return int(states(*one)[0])


def test_what_is_carried_by_a_train_does_not_ride_and_what_is_worn_is_never_carried():
    assert said(Worn.NO, True, carried=True) == Riding.NOT
    assert said(Worn.YES, True, carried=True) == Riding.WORN


def test_without_a_speed_a_ride_is_not_told_from_a_walk_and_a_blind_sensor_not_from_either():
    assert said(Worn.YES, True, speed=False) == Riding.UNKNOWN
    assert said(Worn.YES, False, speed=False) == Riding.NOT
    assert said(Worn.YES, False, speed=False, faults=1) == Riding.UNKNOWN
    assert said(Worn.YES, False, speed=True, faults=1) == Riding.NOT


def test_a_clock_that_was_set_counts_from_then_on_and_drift_does_not():
    counted = np.array([10_000_000, 10_000_000])
    claimed = np.array([11_900_000, 3_610_000_000])
    assert begin_us(counted, claimed).tolist() == [10_000_000, 3_610_000_000]


def test_a_frame_however_long_costs_no_more_than_a_minute():
    book, start = Book(), np.array([T0_US])
    logs = book.note(np.array([0]), start, start + 10**12, np.array([4], np.uint8), 1)
    assert sum(int((each.states > 0).sum()) for each in [*logs, book.close(np.array([0]))]) == 60
