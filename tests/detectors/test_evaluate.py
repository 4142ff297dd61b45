"""`helmetwatch evaluate`: exact intervals, events scored as people count them, one JSON object."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from motion_cases import SCALE_G, crash, ride, to_counts

from app.evaluate import evaluate
from app.intervals import clopper_pearson, poisson_rate


@pytest.mark.parametrize(
    ("hits", "trials", "expected"),
    [(95, 100, (0.887, 0.984)), (190, 200, (0.910, 0.976)), (59, 59, (0.939, 1.0)), (0, 0, (0.0, 1.0))],
)
def test_v46_clopper_pearson_gives_the_published_values(hits, trials, expected):
    confidence = 0.9 if hits == trials > 0 else 0.95  # the all-hit row is quoted one-sided
    assert clopper_pearson(hits, trials, confidence) == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize(
    ("events", "hours", "expected"),
    [(0, 30_000, (0, 1.23e-4)), (3, 1e5, (6.2e-6, 8.8e-5)), (24, 240_000, (6.4e-5, 1.49e-4))],
)
def test_v46_poisson_intervals_give_the_published_values(events, hours, expected):
    assert poisson_rate(events, hours) == pytest.approx(expected, rel=0.01)


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
    assert len(json.loads(result.stdout)["wrong"]) == 2
    assert {p.name for p in out.iterdir()} == {"wrong-01.png", "sensitivity.png"}


def test_evaluate_refuses_a_folder_that_holds_no_recordings(tmp_path):
    result = CliRunner().invoke(evaluate, [str(tmp_path)])
    assert result.exit_code == 1
    assert "does not exist" in result.output
