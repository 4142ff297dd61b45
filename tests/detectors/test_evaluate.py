"""`helmetwatch evaluate`: exact intervals, events scored as people count them, one JSON object."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure
from motion_cases import SCALE_G, crash, ride, to_counts

from app.contact_sheets import draw_curve, panels
from app.evaluate import evaluate
from app.intervals import clopper_pearson, poisson_rate
from app.scoring import score, summarise
from core.model import Stage
from detectors import detect_recording
from simulator.recordings import Recording


@pytest.mark.parametrize(
    ("hits", "trials", "confidence", "expected"),
    [
        (95, 100, 0.95, (0.8872, 0.9836)),
        (190, 200, 0.95, (0.9100, 0.9758)),
        (59, 59, 0.95, (0.9394, 1.0)),
        (59, 59, 0.90, (0.9505, 1.0)),
        (299, 299, 0.95, (0.9877, 1.0)),
        (299, 299, 0.90, (0.9900, 1.0)),
        (0, 0, 0.95, (0.0, 1.0)),
    ],
)
def test_v46_clopper_pearson_gives_the_published_values(hits, trials, confidence, expected):
    assert clopper_pearson(hits, trials, confidence) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("events", "hours", "expected"),
    [(0, 30_000, (0, 1.23e-4)), (3, 1e5, (6.2e-6, 8.8e-5)), (24, 240_000, (6.4e-5, 1.49e-4))],
)
def test_v46_poisson_intervals_give_the_published_values(events, hours, expected):
    assert poisson_rate(events, hours) == pytest.approx(expected, rel=0.01)


def recording(label, seconds=200.0, **meta):
    acc_g = np.tile(np.float32([0, 0, 1]), (round(seconds * 10), 1))
    return Recording("made_up", 0, label, "", 10.0, acc_g, 16.0, meta=meta)


def incident(impacts_s, *said):
    """An incident whose versions say (stage, when they have seen, how many of the impacts they know)."""
    (plain,) = detect_recording(crash(1).counts * SCALE_G, 100, full_scale_g=16)
    (first, *_) = plain.versions
    start_us = first.impacts_us[0] - round(plain.t_s * 1e6)
    versions = []
    for stage, seen, known in said:
        # Where a trace ends is what a version has seen.
        trace = replace(first.trace, t0_us=start_us + round(seen * 1e6), acc="")
        at = [start_us + round(t * 1e6) for t in impacts_s[:known]]
        versions.append(replace(first, stage=stage, trace=trace, impacts_us=at))

    def at(*stages):
        return next((seen for stage, seen, _ in said if stage in stages), None)

    return replace(
        plain,
        t_s=impacts_s[0],
        impacts_s=list(impacts_s),
        alerted_at_s=at(Stage.FAST, Stage.STANDARD, Stage.CONFIRMED),
        fast_at_s=at(Stage.FAST),
        standard_at_s=at(Stage.STANDARD),
        confirmed_at_s=at(Stage.CONFIRMED),
        cancelled_at_s=said[-1][1] if said[-1][0] in (Stage.CANCELLED, Stage.DOWNGRADED) else None,
        versions=versions,
    )


def counted(label, incidents, **meta):
    """(events, alerted, fast, standard, confirmed, false alerts) of one recording."""
    total = summarise([score(recording(label, **meta), incidents)])
    stages = ("alerted", "fast", "standard", "confirmed")
    return total["events"], *(total[n]["hits"] for n in stages), total["false_alerts"]["count"]


def once(at_s, fast_s=0.35, confirmed_s=2.0):
    return incident([at_s], (Stage.FAST, at_s + fast_s, 1), (Stage.CONFIRMED, at_s + confirmed_s, 1))


FAST, STANDARD, CONFIRMED = Stage.FAST, Stage.STANDARD, Stage.CONFIRMED


@pytest.mark.parametrize(
    ("incidents", "expected"),
    [
        ([], (1, 0, 0, 0, 0, 0)),
        ([once(100)], (1, 1, 1, 0, 1, 0)),
        ([once(100), once(103)], (1, 1, 1, 0, 1, 0)),
        ([once(99), once(101)], (1, 1, 1, 0, 1, 0)),
        ([once(100), once(129.9)], (1, 1, 1, 0, 1, 0)),
        ([once(100), once(130.1)], (1, 1, 1, 0, 1, 1)),
        ([once(60)], (1, 0, 0, 0, 0, 1)),
        ([once(60), once(100)], (1, 1, 1, 0, 1, 1)),
        ([incident([98.9], (FAST, 99.3, 1))], (1, 0, 0, 0, 0, 1)),
        ([incident([99.0], (FAST, 99.35, 1))], (1, 1, 1, 0, 0, 0)),
        ([incident([100.0], (FAST, 101.0, 1))], (1, 1, 1, 0, 0, 0)),
        ([incident([100.0], (FAST, 101.01, 1))], (1, 1, 0, 0, 0, 0)),
        ([incident([100.0], (STANDARD, 100.85, 1))], (1, 1, 0, 1, 0, 0)),
        ([incident([100.0], (CONFIRMED, 110.0, 1))], (1, 1, 0, 0, 1, 0)),
        ([incident([100.0], (CONFIRMED, 110.1, 1))], (1, 0, 0, 0, 0, 0)),
        ([incident([100.0], (FAST, 100.35, 1), (Stage.CANCELLED, 102.0, 1))], (1, 0, 1, 0, 0, 0)),
        ([incident([90.0, 100.0], (FAST, 90.35, 1), (CONFIRMED, 92.0, 1))], (1, 0, 0, 0, 0, 1)),
        ([incident([90.0, 100.0], (CONFIRMED, 92.0, 1), (CONFIRMED, 100.35, 2))], (1, 1, 1, 0, 1, 0)),
    ],
)
def test_v47_one_crash_at_100_s_is_scored_as_people_count_it(incidents, expected):
    assert counted("crash", incidents, crash_s="100") == expected
    assert counted("fall", incidents, t_peak_s="100") == expected


def test_v47_two_crashes_in_one_incident_are_both_found():
    joined = incident([80.0, 99.0], (FAST, 80.35, 1), (CONFIRMED, 82.0, 1), (CONFIRMED, 99.35, 2))
    assert counted("crash", [joined], crash_s="80 99") == (2, 2, 2, 0, 2, 0)
    assert counted("crash", [once(80)], crash_s="80 99") == (2, 1, 1, 0, 1, 0)


def test_v47_crash_s_goes_before_the_largest_peak_and_without_either_any_alert_is_a_hit():
    assert counted("fall", [once(100)], crash_s="100", t_peak_s="20")[-1] == 0
    assert counted("fall", [once(100)], t_peak_s="20") == (1, 0, 0, 0, 0, 1)
    unplaced = summarise([score(recording("fall"), [once(100), once(170)])])
    assert (unplaced["without_moment"], unplaced["confirmed"]["hits"]) == (1, 1)
    assert unplaced["false_alerts"] == {"count": 0, "per_hour": None, "interval_95": None}


def test_false_alerts_are_per_hour_of_the_time_in_which_they_could_have_been():
    quiet = summarise([score(recording("fall", t_peak_s="100"), [])])
    assert quiet["quiet_hours"] == pytest.approx((200 - 31) / 3600, abs=1e-3)
    assert summarise([score(recording("ride"), [])])["quiet_hours"] == pytest.approx(200 / 3600, abs=1e-3)


def test_a_missed_crash_is_one_that_is_reported_after_for_ever():
    found = [score(recording("fall", t_peak_s="100"), [once(100)]) for _ in range(95)]
    missed = [score(recording("fall", t_peak_s="100"), []) for _ in range(5)]
    assert summarise(found + missed)["latency_s"] == {"p50": 0.35, "p95": 0.35, "p99": None}
    assert summarise(found + missed)["confirm_latency_s"] == {"p50": 2.0, "p95": 2.0, "p99": None}


@pytest.fixture
def folder(tmp_path):
    """Two crashes 60 s apart, a fall, and a quiet ride."""
    twice = np.concatenate([crash(1).counts, to_counts(ride(40, np.random.default_rng(1))), crash(2).counts])
    parts = [twice, crash(3).counts, to_counts(ride(60, np.random.default_rng(2)))]
    where = tmp_path / "made_up"
    where.mkdir()
    np.savez(
        where / "made_up.npz",
        counts=np.concatenate(parts),
        scale_g=SCALE_G,
        offset=np.cumsum([0, *map(len, parts)]),
        fs=np.full(3, 100.0),
    )
    with (where / "meta.csv").open("w", newline="") as file:
        rows = [[0, "crash_rides", "a", "8.02 68.02", 16], [1, "fall", "b", "", 16], [2, "ride", "c", "", 16]]
        csv.writer(file).writerows([["rec", "label", "subject", "crash_s", "full_scale_g"], *rows])
    return where


def test_v47_evaluate_counts_events_and_prints_one_json_object(folder):
    result = CliRunner().invoke(evaluate, [str(folder), "--json"])
    assert result.exit_code == 0, result.output
    total = json.loads(result.stdout)["total"]
    assert total["events"] == 3
    assert total["fast"]["hits"] == total["confirmed"]["hits"] == 3
    assert total["false_alerts"]["count"] == 0
    assert total["latency_s"]["p95"] == pytest.approx(0.35, abs=0.02)


def test_evaluate_draws_every_miss(folder, tmp_path):
    out = tmp_path / "pictures"
    result = CliRunner().invoke(evaluate, [str(folder), "--worn", "no", "--json", "--plots", str(out)])
    assert result.exit_code == 0, result.output
    wrong = json.loads(result.stdout)["wrong"]
    assert [[m["at_s"] for m in w["missed"]] for w in wrong] == [[8.02, 68.02], [None]]
    assert not any(w["false"] or m["confirmed"] for w in wrong for m in w["missed"])
    assert {p.name for p in out.iterdir()} == {"missed-001.png", "sensitivity.png"}


def test_a_false_alert_is_told_with_its_times_and_a_pulse_without_gravity_is_left_out(tmp_path):
    where = tmp_path / "quiet"
    where.mkdir()
    counts = crash(3).counts
    offset = [0, len(counts), len(counts) + 200]
    samples = np.concatenate([counts, counts[800:1000]])
    np.savez(where / "quiet.npz", counts=samples, scale_g=SCALE_G, offset=offset, fs=np.full(2, 100.0))
    (where / "meta.csv").write_text("rec,label,subject\n0,ride,a\n1,head_impact,b\n")
    result = CliRunner().invoke(evaluate, [str(where), "--json"])
    said = json.loads(result.stdout)
    assert "left out: 1 pulse" in result.stderr and said["left_out"] == 1
    assert said["total"]["recordings"] == 1
    ((alert,),) = [w["false"] for w in said["wrong"]]
    assert alert["at_s"] == pytest.approx(8.02, abs=0.03)
    assert (alert["fast"], alert["confirmed"]) == pytest.approx((8.37, 10.02), abs=0.03)


def test_each_false_alert_each_miss_and_each_crash_without_a_fast_has_a_panel():
    fast_missed = incident([100.0], (STANDARD, 100.85, 1), (CONFIRMED, 102.0, 1))
    scored = [
        score(recording("crash", crash_s="40 100"), [once(5), once(160), fast_missed]),
        score(recording("ride"), [once(20), once(90)]),
    ]
    shown = {name: [p.at_s for p in found] for name, found in panels(scored).items()}
    assert shown == {"false": [5, 160, 20, 90], "missed": [40], "not-fast": [100]}


def test_the_curve_draws_both_stages_and_an_arrow_where_no_false_alert_was_seen(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    found, quiet = score(recording("fall", t_peak_s="100"), [once(100)]), score(recording("ride"), [])
    loud = score(recording("ride"), [once(50)])
    points = [{"strictness": k, **summarise([found, r])} for k, r in ((0.5, loud), (1.0, quiet))]
    draw_curve(points, tmp_path / "curve.png")
    (axes,) = drawn[0].axes
    assert axes.get_xscale() == "log"
    marked = [line for line in axes.lines if len(line.get_xdata()) == 1]
    at = {(line.get_color(), line.get_marker()): float(line.get_xdata()[0]) for line in marked}
    for colour in ("#d55e00", "#0072b2"):
        hours = points[0]["quiet_hours"]
        assert at[colour, "o"] == pytest.approx(1 / hours, rel=0.01)
        assert at[colour, "$\\leftarrow$"] == pytest.approx(poisson_rate(0, hours)[1], rel=0.01)


def test_evaluate_refuses_a_folder_that_holds_no_recordings(tmp_path):
    result = CliRunner().invoke(evaluate, [str(tmp_path)])
    assert result.exit_code == 1
    assert "does not exist" in result.output
