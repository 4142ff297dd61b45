"""What must hold for every stream: chunking, batching, order and repetition change nothing.

Verification cases: V13, V15, V28, V29.
"""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import crash, essence, feed, frames, ride, to_counts

from detectors import Fleet

CASES = [
    crash(1),
    crash(2, after="ride"),
    crash(3, peak_g=6.0, width_s=0.2),
    crash(4, peak_g=40.0, before_s=2.0),
    crash(5, peak_g=5.0, width_s=0.3, after_s=3.0),
]


def whole(case):
    fleet = Fleet()
    return feed(fleet, case.counts) + fleet.forget(1)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(CASES), st.lists(st.integers(1, 190), min_size=1, max_size=30))
def test_v13_any_chunking_gives_the_same_incidents(case, cuts):
    fleet, got, first, k = Fleet(), [], 0, 0
    while first < len(case.counts):
        part = case.counts[first : first + cuts[k % len(cuts)]]
        f = frames([("SF-1", k, first, part)])
        got += fleet.push(f, np.array([1]), np.array([first]), int(f.received_us[0]))
        first, k = first + len(part), k + 1
    got += fleet.forget(1)
    assert essence(got) == essence(whole(case))
    assert got, "every one of these cases alerts, else this test shows nothing"


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(len(CASES))), st.integers(0, 2))
def test_v28_many_helmets_at_once_equal_each_alone_in_any_order(order, shift):
    shortest = min(len(c.counts) for c in CASES) // 100 * 100
    fleet = Fleet()
    got = {k: [] for k in order}
    for seq in range(shortest // 100):
        lag = [k for k in order if (k + seq) % 3 != shift]  # the others' frames come one turn later
        for group in (lag, [k for k in order if k not in lag]):
            if not group:
                continue
            rows = [(f"H{k}", seq, seq * 100, CASES[k].counts[seq * 100 : seq * 100 + 100]) for k in group]
            f = frames(rows)
            said = fleet.push(f, np.array(group), np.full(len(group), seq * 100), 0)
            for detection in said:
                got[int(detection.helmet[1:])].append(detection)
    for k in order:
        alone = feed(Fleet(), CASES[k].counts[:shortest], name=f"H{k}")
        assert essence(got[k]) == essence(alone)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(CASES), st.lists(st.integers(0, 12), max_size=12))
def test_v28_repeated_frames_change_nothing(case, again):
    fleet, got = Fleet(), []
    rows = [
        ("SF-1", k, k * 100, case.counts[k * 100 : k * 100 + 100]) for k in range(len(case.counts) // 100)
    ]
    for k in range(len(rows)):
        batch = [rows[k], *[rows[j] for j in again if j <= k]]
        f = frames(batch)
        got += fleet.push(f, np.ones(len(batch), np.int64), np.array([r[2] for r in batch]), 0)
    expected = feed(Fleet(), case.counts)
    assert essence(got) == essence(expected)


def test_one_push_with_all_frames_of_a_track_equals_one_push_each():
    case = CASES[0]
    rows = [
        ("SF-1", k, k * 100, case.counts[k * 100 : k * 100 + 100]) for k in range(len(case.counts) // 100)
    ]
    f = frames(rows)
    at_once = Fleet().push(f, np.ones(len(rows), np.int64), np.array([r[2] for r in rows]), 0)
    assert essence(at_once) == essence(feed(Fleet(), case.counts))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sets(st.integers(0, 29), max_size=12))
def test_v15_a_gap_raises_no_alarm(seed, lost):
    counts = to_counts(ride(30, np.random.default_rng(seed), 0.4))
    fleet = Fleet()
    assert feed(fleet, counts, skip=lost) + fleet.advance(10**18) + fleet.forget(1) == []


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 19), min_size=1, max_size=6))
def test_chunking_does_not_matter_around_gaps_either(lost):
    case = CASES[0]
    rough = feed(Fleet(), case.counts, skip=lost)
    fleet, fine = Fleet(), []
    for first in range(0, len(case.counts), 25):
        if first // 100 not in lost:
            f = frames([("SF-1", first // 25, first, case.counts[first : first + 25])])
            fine += fleet.push(f, np.array([1]), np.array([first]), 0)
    stages = [(d.stage, d.impacts_us) for d in rough]
    assert [(d.stage, d.impacts_us) for d in fine] == stages


def test_v29_a_restart_that_pushes_the_kept_frames_again_goes_on_with_the_same_ids():
    case = CASES[0]
    first = feed(Fleet(), case.counts[:1000])
    second = feed(Fleet(), case.counts)
    assert first
    assert [replace(d, detected_us=0) for d in second[: len(first)]] == [
        replace(d, detected_us=0) for d in first
    ]


def test_memory_per_helmet_stays_below_ten_kilobytes():
    fleet = Fleet()
    many = 512
    counts = to_counts(ride(1, np.random.default_rng(0)))
    f = frames([(f"H{k}", 0, 0, counts) for k in range(many)])
    fleet.push(f, np.arange(many), np.zeros(many, np.int64), 0)
    assert fleet.nbytes / many < 10_000


def test_a_forgotten_track_frees_its_place():
    fleet = Fleet()
    counts = to_counts(ride(2, np.random.default_rng(0)))
    for track in range(50):
        feed(fleet, counts, track=track)
        fleet.forget(track)
    (ring,) = fleet._places.rings.values()
    assert len(fleet) == 0
    assert len(ring.head) <= 4


def test_made_up_kinds_of_parts_do_not_fill_the_memory():
    fleet = Fleet()
    counts = to_counts(ride(1, np.random.default_rng(0)))
    for k in range(200):
        f = frames([("SF-1", k, k * 100, counts)])
        f = replace(f, full_scale_g=np.array([16 + k / 8], np.float32))
        fleet.push(f, np.array([1]), np.array([k * 100]), 0)
    assert len(fleet) == 1
    assert len(fleet._places.rings) <= 2
