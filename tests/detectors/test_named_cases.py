"""Verification cases of filters, wear and health that need a whole fleet or a physical drop, by their numbers.

Verification cases: V9, V22, V35, V37, V40, V42.
"""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import SCALE_G, blow, crash, feed, frames, lying, ride, to_counts
from scipy import signal

from core.model import Worn
from detectors import Breaker, Fleet, injury

G0 = 9.80665


@settings(max_examples=40, deadline=None)
@given(st.floats(0.004, 0.012), st.floats(10, 100), st.floats(50, 400), st.integers(0, 2**16))
def test_v9_an_unclipped_change_of_velocity_survives_any_low_pass_within_two_percent(
    base_s, peak_g, cutoff_hz, seed
):
    # A Bessel low-pass: a Butterworth's step response itself overshoots by 4.3 %.
    rng = np.random.default_rng(seed)
    direction = rng.normal(0, 1, 3)
    t = np.arange(round(base_s * 10_000))
    acc = np.zeros((4000, 3))
    pulse = peak_g * np.sin(np.pi * t / len(t))
    acc[1500 : 1500 + len(t)] = pulse[:, None] * direction / np.linalg.norm(direction)
    low = signal.sosfilt(signal.bessel(2, cutoff_hz, fs=10_000, output="sos", norm="mag"), acc, axis=0)
    true, got = (float(injury.dv_mps(a, 10_000.0, 0.05)) for a in (acc, low))
    assert got == pytest.approx(true, rel=0.02)


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0.9, 1.1),
    st.sampled_from([(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.6, 0.6, 0.5), (-0.6, 0.5, 0.6)]),
    st.sampled_from([-0.3, 0.3]),
    st.sampled_from([1, 2, 3]),
)
def test_v35_gain_of_ten_percent_and_offset_of_0_3_g_do_not_change_the_outcome(gain, direction, size_g, seed):
    for case in (
        crash(seed),
        crash(seed, peak_g=6.0, width_s=0.2),
        crash(seed, peak_g=7.0, width_s=0.06, after="ride"),
    ):
        off = to_counts(case.counts * SCALE_G * gain + size_g * np.array(direction))
        before, after = ([d.stage for d in feed(Fleet(), c)][-1:] for c in (case.counts, off))
        assert before == after


def drop(height_m, rng):
    """Free fall from a height and a blow of the speed it gives, after which the helmet lies."""
    fall_s = np.sqrt(2 * height_m / G0)
    rest = np.array([0.0, 0.0, 1.0]) + rng.normal(0, 0.002, (300, 3))
    acc = np.concatenate([rest, rng.normal(0, 0.05, (round(100 * fall_s), 3)), lying(12, rng, 0.002)])
    at = 300 + round(100 * fall_s)
    # 1.3 times the impact speed within two samples: a bounce.
    acc[at : at + 2] += 1.3 * np.sqrt(2 * G0 * height_m) / (0.02 * G0) * np.array([0.6, 0.64, 0.48])
    return to_counts(acc)


@pytest.fixture(scope="module")
def shelved():
    """A fleet whose helmet's bit said "worn" through two half hours on a shelf."""
    fleet, first = Fleet(), 0
    rng = np.random.default_rng(4)
    for _ in range(2):
        table = to_counts(np.array([0.0, 0.0, 1.0]) + rng.normal(0, 0.002, (185_000, 3)))
        carried = to_counts(ride(20, rng))
        for counts in (table, carried):
            for at in range(0, len(counts), 200):
                f = frames([("SF-1", first // 200, first, counts[at : at + 200])], worn=int(Worn.YES))
                fleet.push(f, np.array([1]), np.array([first]), 0)
                first += 200
    table = to_counts(np.array([0.0, 0.0, 1.0]) + rng.normal(0, 0.002, (15_000, 3)))
    for at in range(0, len(table), 200):
        f = frames([("SF-1", first // 200, first, table[at : at + 200])], worn=int(Worn.YES))
        fleet.push(f, np.array([1]), np.array([first]), 0)
        first += 200
    return fleet, first


@pytest.mark.parametrize("height_m", [0.1, 0.3, 0.7, 1.2, 1.8, 2.5])
def test_v22_a_drop_is_quiet_also_where_the_bit_is_stuck_on_once_that_is_known(shelved, height_m):
    fleet, first = copy.deepcopy(shelved)
    assert fleet.health()["wear_stuck"] == 1
    said = []
    counts = drop(height_m, np.random.default_rng(round(100 * height_m)))
    for at in range(0, len(counts), 100):
        f = frames([("SF-1", first // 100, first + at, counts[at : at + 100])], worn=int(Worn.YES))
        said += fleet.push(f, np.array([1]), np.array([first + at]), 0)
    assert said == []


def test_v22_the_same_drop_with_a_bit_that_nobody_could_know_to_be_wrong_is_reported():
    counts = drop(1.8, np.random.default_rng(180))
    assert feed(Fleet(), counts, worn=int(Worn.YES), speed_mps=6.0) != []


def test_v37_thirty_thousand_helmets_struck_in_one_tick_lose_no_severe_alert():
    many = 30_000
    hard, gentle = (
        crash(1, peak_g=60.0, before_s=2.5).counts,
        crash(1, peak_g=5.0, width_s=0.25, before_s=2.5).counts,
    )
    fleet, breaker = Fleet(), Breaker(200)
    for seq in range(3):
        part = slice(seq * 100, seq * 100 + 100)
        rows = [(f"H{k}", seq, seq * 100, (hard, gentle)[k % 2][part]) for k in range(many)]
        f = frames(rows, speed_mps=9.0)
        said = fleet.push(f, np.arange(many), np.full(many, seq * 100), int(f.received_us[0]))
        turn = breaker.sift(said, len(fleet), int(f.received_us[0]))
    severe = {d.helmet for d in turn.go if d.severity >= 3}
    assert len(severe) == many // 2, "every second helmet had the strike"
    assert breaker.trips == 1
    assert len(fleet) == many and fleet.nbytes / many < 10_000


def test_v40_a_bit_stuck_off_is_never_an_unworn_ride_once_it_is_known():
    counts = to_counts(ride(720, np.random.default_rng(2)))
    fleet = Fleet()
    feed(fleet, counts, worn=int(Worn.NO), speed_mps=6.0, chunk=200)
    assert fleet.health()["wear_stuck"] == 1 and fleet.faults(1) == ["wear_stuck"]
    opened = fleet.health()["unworn_rides"]
    more = to_counts(ride(720, np.random.default_rng(3)))
    feed(
        fleet, np.concatenate([counts, more]), start=len(counts), worn=int(Worn.NO), speed_mps=6.0, chunk=200
    )
    assert fleet.health()["unworn_rides"] == opened


def test_v42_a_hat_under_the_helmet_hides_no_crash_and_opens_no_unworn_ride():
    rng = np.random.default_rng(5)
    acc = np.concatenate([ride(300, rng), lying(14, rng)])
    hit = blow(22.0, 0.05)
    acc[30_000 : 30_000 + len(hit)] += hit
    counts, fleet, said = to_counts(acc), Fleet(), []
    for k in range(len(counts) // 100):
        bit = Worn.NO if rng.random() < 0.05 else Worn.YES
        f = frames([("SF-1", k, k * 100, counts[k * 100 : k * 100 + 100])], worn=int(bit), speed_mps=6.0)
        f.speed_mps[:] = 6.0 if k < 300 else 0.0
        said += fleet.push(f, np.array([1]), np.array([k * 100]), int(f.received_us[0]))
    assert said and fleet.health()["unworn_rides"] == 0
