"""What a helmet's sensors have taught outlives the worker: noise, calibration, health and wear go on where they were."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import T0_US, frames, lying, ride, to_counts

from detectors import Fleet
from detectors.past import LASTING, PAST, pack, unpack

SECONDS = 130
HELMETS = ("SF-1", "SF-2")


def life(seed):
    """Two minutes: on the road, laid down in some attitudes, on the road again; an offset on one axis."""
    rng = np.random.default_rng(seed)
    parts = [ride(20, rng)]
    for _ in range(14):
        up = rng.normal(size=3)
        parts.append(up / np.linalg.norm(up) + rng.normal(0, 0.002, (600, 3)))
    parts.append(lying(40, rng, 0.001))
    return to_counts(np.concatenate(parts)[: SECONDS * 100] + np.array([0.08, 0, 0]))


MOTION = {name: life(k) for k, name in enumerate(HELMETS)}


def push(fleet, first, last, track, boot=1):
    """Seconds `first` to `last` of both helmets, in tracks that start with the first."""
    for second in range(first, last):
        rows = [(name, second, second * 100, MOTION[name][second * 100 :][:100]) for name in HELMETS]
        f = frames(rows, speed_mps=np.nan)
        f.boot[:] = boot
        f.worn[:] = 1 + (second // 25 + np.arange(2)) % 2
        index = np.full(2, (second - first) * 100)
        fleet.push(f, track + np.arange(2), index, int(f.received_us[0]))


def rows(fleet):
    told = dict(fleet.learned(1))
    return {name: unpack(told[name]) for name in HELMETS}


def assert_alike(one, other):
    for name in HELMETS:
        for part in LASTING:
            for column in LASTING[part].names:
                np.testing.assert_array_equal(
                    one[name][part][column], other[name][part][column], f"{part}.{column}"
                )


whole = Fleet()
push(whole, 0, SECONDS, 1)
WHOLE = rows(whole)


def test_these_two_minutes_teach_something():
    for name in HELMETS:
        assert WHOLE[name]["calibration"]["known"] and WHOLE[name]["noise"]["floor_g"] > 0
        assert WHOLE[name]["calibration"]["offset_g"][0] == pytest.approx(0.08, abs=0.01)
        assert WHOLE[name]["wear"]["state"] and WHOLE[name]["wear"]["still_s"] > 30


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_restart_that_repeats_the_kept_frames_knows_what_it_would_have_known_without(data):
    """Noted at any second; the raw frames kept since any second up to then come again; nothing counts twice."""
    noted = data.draw(st.integers(1, SECONDS - 1), label="noted")
    since = data.draw(st.integers(max(0, noted - 40), noted), label="repeated since")
    first = Fleet()
    push(first, 0, noted, 1)
    second = Fleet()
    assert second.remember(first.learned(1)) == 0
    push(second, since, SECONDS, 7)
    assert_alike(rows(second), WHOLE)


def test_what_is_repeated_still_tells_who_rode():
    first, second = Fleet(), Fleet()
    push(first, 0, 100, 1)
    second.remember(first.learned(1))
    push(second, 70, SECONDS, 1)
    logs = second.riding(T0_US + 10**12)
    told = {
        (log.helmet, log.start_us // 10**6 + k) for log in logs for k in range(60) if log.states[k] != "0"
    }
    assert told >= {(name, T0_US // 10**6 + k) for name in HELMETS for k in range(70, SECONDS)}


def test_a_second_restart_within_the_kept_frames_counts_nothing_twice_either():
    first, second, third = Fleet(), Fleet(), Fleet()
    push(first, 0, 100, 1)
    second.remember(first.learned(1))
    push(second, 70, 90, 1)
    assert_alike(rows(second), rows(first))
    third.remember(second.learned(1))
    push(third, 70, SECONDS, 1)
    assert_alike(rows(third), WHOLE)


def test_frames_between_the_note_and_the_kept_ones_are_missed_and_nothing_else():
    first, second = Fleet(), Fleet()
    push(first, 0, 110, 1)
    second.remember(first.learned(1))
    push(second, 120, SECONDS, 1)
    for name, row in rows(second).items():
        assert row["calibration"]["offset_g"] == pytest.approx(WHOLE[name]["calibration"]["offset_g"])
        assert row["noise"]["bins"].sum() == pytest.approx(WHOLE[name]["noise"]["bins"].sum(), abs=1.5)


def test_a_reboot_within_the_repeated_frames_costs_nothing():
    """The repeated frames are of the boot before; the state was noted after the reboot."""
    first, second = Fleet(), Fleet()
    push(first, 0, 100, 1)
    push(first, 100, 110, 3, boot=2)
    second.remember(first.learned(1))
    push(second, 90, 100, 1)
    assert second.learned(1) == [], "the past says more than a track from before it"
    push(second, 100, SECONDS, 3, boot=2)
    push(first, 110, 111, 3, boot=2)
    for name, row in rows(second).items():
        assert row["calibration"]["known"] and row["noise"]["bins"].sum() > 9, name


def test_a_boot_counter_that_began_anew_learns_again():
    first, second = Fleet(), Fleet()
    push(first, 0, 50, 1, boot=9)
    second.remember(first.learned(1))
    push(second, 0, 60, 1, boot=1)
    push(second, 60, SECONDS, 3, boot=2)
    assert all(row["noise"]["bins"].sum() > 9 for row in rows(second).values())


def test_every_helmet_is_told_once_a_round_whatever_comes_and_goes():
    fleet, many = Fleet(), 100
    f = frames([(f"H{k}", 0, 0, MOTION["SF-1"][:100]) for k in range(many)])
    fleet.push(f, np.arange(many), np.zeros(many, np.int64), 0)
    fleet.forget(*range(5))
    told = [name for _ in range(10) for name, _ in fleet.learned(0.1)]
    assert sorted(told) == sorted(f"H{k}" for k in range(5, many))
    assert all(len(block) < 900 for _, block in fleet.learned(1))


@given(st.binary(max_size=2000))
def test_what_another_version_has_told_is_refused(junk):
    (good,) = pack(np.zeros(1, PAST))
    assert unpack(good) is not None
    assert unpack(junk) is None and unpack(good[:-1]) is None and unpack(b"\0\0\0\0" + good[4:]) is None
    assert Fleet().remember([("SF-1", junk), ("SF-2", good)]) == 1


def test_old_data_of_a_helmet_that_was_heard_since_is_not_judged_by_what_was_learned_later():
    """The shelf it lies on now says nothing about the ride it was on then."""
    first, second = Fleet(), Fleet()
    quiet = np.tile(to_counts([[0.0, 0.0, 1.0]]), (100, 1)) + np.array([1, 0, 0], np.int16) * (
        np.arange(100)[:, None] % 2
    ).astype(np.int16)
    for second_ in range(200):
        f = frames([("SF-1", second_, second_ * 100, quiet)], worn=0)
        first.push(f, np.array([1]), np.array([second_ * 100]), T0_US)
    second.remember(first.learned(1))
    f = frames([("SF-1", 10, 1000, quiet)], worn=0)
    second.push(f, np.array([1]), np.array([0]), T0_US)
    ring, slot = next(iter(second._places.rings.values())), 0
    assert ring.frame_worn[slot, 0] == 0, "unknown"
