"""`helmetwatch replay`: recorded motion through a real broker, worker and desk, as a newcomer would run it."""

import csv
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.helmet import Helmets
from simulator.scenario import Happening, Scenario

CRASHES = Path(__file__).resolve().parents[2] / "../shared/data/ridesafeum_escooter"
if not CRASHES.is_dir():
    warnings.warn(f"{CRASHES} is not here: the real crashes are not replayed", stacklevel=1)


def replayed(folder: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "app.cli", "replay", str(folder), "--speed", "10", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_a_recording_of_ones_own_is_replayed_and_its_crash_comes_out_at_the_right_second(
    tmp_path: Path,
) -> None:
    """Two simulated helmets, written down in the format of docs/recordings.md: one crashes, one rides."""
    fleet = Helmets(
        Scenario("two", 2, happenings=(Happening(8.0, "head_strike", 0),), rough_spots_per_h=60), 0
    )
    parts: list[list[np.ndarray]] = [[], []]
    crash_s = None
    for _ in range(26):
        for frame in fleet.prepare(np.arange(2)):
            count = int.from_bytes(frame.payload[48:50], "little")
            parts[frame.index].append(np.frombuffer(frame.payload[88 : 88 + 6 * count], "<i2").reshape(-1, 3))
            crash_s = next((t.t_s for t in frame.truths if frame.index == 0), crash_s)
    counts = [np.concatenate(p) for p in parts]
    folder = tmp_path / "mine"
    folder.mkdir()
    offset = np.cumsum([0, *map(len, counts)])
    scale_g = fleet.parts[0].g_per_count
    np.savez(
        folder / "mine.npz", counts=np.concatenate(counts), scale_g=scale_g, offset=offset, fs=[100.0, 100.0]
    )
    with (folder / "meta.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["rec", "label"], [0, "crash"], [1, "ride"]])
    picture = tmp_path / "picture.png"
    report = replayed(folder, "--plot", str(picture))
    assert report["recordings"] == 2
    (alert,) = report["alerts"]
    assert alert["recording"] == "mine/0"
    assert crash_s is not None and abs(alert["occurred_s"] - crash_s) < 1.5
    assert alert["latency_ms"] is not None and alert["severity"] in (1, 2, 3, 4)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("folder", [CRASHES] if CRASHES.is_dir() else [])
def test_two_real_crashes_alert_and_the_kerbs_before_them_do_not(folder: Path) -> None:
    report = replayed(folder)
    impacts = sorted(t for alert in report["alerts"] for t in alert["impacts_s"])
    for crash_s in (92.96, 111.69):
        assert any(abs(t - crash_s) < 1.0 for t in impacts), f"no impact at {crash_s} s"
    assert all(91.9 < t < 111.69 + 30 for t in impacts)
    assert {a["recording"] for a in report["alerts"]} == {"ridesafeum_escooter/0"}


def test_a_folder_that_holds_no_recordings_is_refused_with_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app.cli", "replay", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "meta.csv does not exist" in done.stderr and "Traceback" not in done.stderr
