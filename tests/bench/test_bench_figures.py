"""The figures of a long run: slopes that do not promise too much, percentiles with their uncertainty, peaks kept."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.reconcile import reconcile
from app.watch import Seen
from bench.fleet import followed, latency, pressed, ratio_of_p99, reached, unheard, without_sos
from bench.riders import scenario
from bench.sampling import thinned
from bench.trend import trend
from simulator.ledger import Crash, Ledger


@given(st.floats(-50, 50), st.floats(-1e4, 1e4))
def test_a_straight_line_has_its_slope_and_no_doubt(slope: float, start: float) -> None:
    t = np.linspace(0, 1, 100)
    found = trend(t, start + slope * t)
    assert found.slope == pytest.approx(slope, abs=1e-6)
    assert found.high - found.low < 1e-5


def test_flat_noise_is_called_flat_and_growth_of_its_own_size_is_not() -> None:
    rng = np.random.default_rng(1)
    t = np.linspace(0, 1, 600)
    flat = [trend(t, rng.normal(200, 1, 600)) for _ in range(300)]
    assert np.mean([found.flat for found in flat]) > 0.87
    assert not any(trend(t, 200 + 2 * t + rng.normal(0, 1, 600)).flat for _ in range(50))


@given(st.floats(-1e12, 1e12), st.integers(8, 800), st.floats(0.1, 100))
def test_what_never_changes_is_flat_whatever_its_sums_are_rounded_to(
    value: float, n: int, hours: float
) -> None:
    found = trend(np.linspace(1, 1 + hours, n), np.full(n, value))
    assert found.flat and not found.grows


def test_only_what_goes_up_grows() -> None:
    t = np.linspace(0, 1, 100)
    assert trend(t, 200 + 2 * t).grows and not trend(t, 200 - 2 * t).grows and not trend(t, 200 - 2 * t).flat


def test_steps_that_come_and_go_widen_the_interval() -> None:
    """Memory holds its level for minutes: the usual standard error takes such a series for much better known."""
    rng = np.random.default_rng(2)
    t = np.linspace(0, 1, 600)
    flat = [trend(t, np.repeat(rng.normal(200, 1, 20), 30)).flat for _ in range(300)]
    assert np.mean(flat) > 0.8


def test_a_trend_of_a_handful_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 8"):
        trend(np.arange(5.0), np.arange(5.0))


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=300))
def test_the_99th_percentile_lies_in_its_interval_and_no_longer_than_the_longest(ms: list[float]) -> None:
    found = latency(ms)
    assert found["n"] == len(ms) and found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]
    assert found["p99_low_ms"] <= found["p99_ms"] + 0.1
    assert found["p99_high_ms"] is None or found["p99_ms"] <= found["p99_high_ms"] + 0.1


def test_too_few_latencies_leave_the_upper_end_open() -> None:
    assert latency([1.0] * 50)["p99_high_ms"] is None
    assert latency(list(range(2000)))["p99_high_ms"] is not None


def test_half_a_minute_becomes_one_line_and_keeps_its_peak() -> None:
    samples = [{"t_s": 5.0 * k, "queue": 1000.0 if k == 2 else 0.0} for k in range(12)]
    lines = thinned(samples)
    assert [line["queue"] for line in lines] == [1000.0, 0.0]


def test_a_ratio_of_99th_percentiles_knows_how_little_it_knows() -> None:
    rng = np.random.default_rng(3)
    calm = rng.lognormal(4, 0.4, 700).tolist()
    ratio, low, high = ratio_of_p99([1.5 * x for x in rng.lognormal(4, 0.4, 500)], calm)
    assert low < 1.5 < high and low <= ratio <= high and high - low > 0.1
    assert ratio_of_p99(calm, calm)[0] == 1.0


def seen(kind: str, name: str, t_us: int, at_us: int) -> Seen:
    alert = {"id": name, "kind": kind, "occurred_us": t_us, "helmet": "SF-1", "boot": 1, "frame_seq": 7}
    return Seen("alert", {"alert": alert}, 0, at_us)


def test_calls_for_help_and_crashes_are_told_apart_and_each_call_is_heard() -> None:
    feed = [seen("sos", "a", 5_000, 55_000), seen("sos", "a", 5_000, 99_000), seen("fall", "b", 1, 9_000)]
    calls = pressed(feed)
    assert calls == [(5_000, 50.0)]
    presses = [Crash("SF-1", t_us, "sos", "cancel", 1, 7) for t_us in (5_400, 90_000, 990_000)]
    told = Ledger({("SF-1", 1, 7): (0, 2_000)}, set(), [*presses, Crash("SF-1", 1, "fall", "alert", 1, 7)])
    assert [a.ms for a in reached(feed, told)] == [7.0]
    assert unheard(calls, told, 500_000) == 1
    assert [c.kind for c in without_sos(told, [])[0].crashes] == ["fall"]


def test_a_bench_fleet_presses_as_often_as_asked_and_who_presses_does_not_crash() -> None:
    ride = scenario(200, 600, 3600, sos_per_s=5)
    presses = [h for h in ride.happenings if h.kind == "sos"]
    assert 0.9 < len(presses) / 600 / 5 < 1.1
    assert not {h.helmet for h in presses} & {h.helmet for h in ride.happenings if h.kind != "sos"}


def test_the_ratio_of_two_large_samples_is_known_to_a_tenth() -> None:
    """What the outage's run collects: 25 calls a second for 10 minutes, and for 24."""
    rng = np.random.default_rng(4)
    calm, outage = rng.lognormal(4, 0.4, 36_000).tolist(), rng.lognormal(4, 0.4, 15_000).tolist()
    _, low, high = ratio_of_p99(outage, calm)
    assert 0.9 < low < 1 < high < 1.1


def test_a_crash_whose_blow_was_never_sent_is_not_missed() -> None:
    crash = Crash("SF-1", 5, "car_hit", "alert", 1, 7)
    sent = {("SF-1", 1, 7): (0, 0), ("SF-1", 1, 8): (0, 0)}
    stopped = Ledger(sent, {("SF-1", 1, 7)}, [crash])
    rode_on = Ledger(sent, set(sent), [crash])
    assert [c.helmet for c in reconcile(followed(stopped), [], []).missed] == []
    assert [c.helmet for c in reconcile(followed(rode_on), [], []).missed] == ["SF-1"]


def test_what_a_trend_says_can_be_written_down() -> None:
    t = np.arange(60) / 60
    for values in (np.zeros(60), t, np.random.default_rng(1).normal(size=60)):
        found = trend(t, values)
        assert json.loads(json.dumps([found.flat, found.grows])) == [found.flat, found.grows]
