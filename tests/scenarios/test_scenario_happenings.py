"""Happenings drawn close together do not make motion that mechanics forbids."""

import threading
from pathlib import Path

import numpy as np
import pytest

from core.clock import ManualClock
from ingest.codec import Message, decode_motion
from simulator.fleet import run_fleet
from simulator.ledger import read_ledger
from simulator.scenario import Happening, Kind, Scenario
from simulator.tape import Tape

START_US = 1_767_225_600_000_000


def ridden(folder: Path, scenario: Scenario, seconds: float) -> tuple[list[tuple[str, float]], float]:
    """What happened when, and the largest resultant in g."""
    folder.mkdir()
    run_fleet(
        scenario, None, ManualClock(START_US), record=folder / "t", ledger=folder / "l", duration_s=seconds,
        stop=threading.Event(),
    )  # fmt: skip
    motion = [Message(r.topic, r.payload, START_US * 2) for r in Tape(folder / "t") if "motion" in r.topic]
    found = decode_motion(motion).frames
    peak = max(float(np.linalg.norm(f.acc * f.g_per_count[:, None, None], axis=2).max()) for f in found)
    return [(c.kind, (c.t_us - START_US) / 1e6) for c in read_ledger(folder / "l").crashes], peak


@pytest.mark.parametrize("second", ["brake", "fall"])
def test_who_brakes_comes_to_a_stand_before_braking_or_falling_again(tmp_path: Path, second: Kind) -> None:
    for seed in range(3):
        happenings = (Happening(10, "brake", 0), Happening(10.4, second, 0))
        scenario = Scenario("twice", 1, seed, riding=1.0, rough_spots_per_h=0, happenings=happenings)
        happened, peak = ridden(tmp_path / str(seed), scenario, 40)
        (_, first_s), (_, second_s) = happened
        assert second_s > first_s + 3
        # A speed that jumps within a sample reads 14 g and more; a fall on the body stays below.
        assert peak < (6 if second == "brake" else 14.5)


def test_two_potholes_of_one_moment_are_ridden_through_one_after_the_other(tmp_path: Path) -> None:
    happenings = (Happening(10, "pothole", 0), Happening(10.001, "bump", 0))
    for seed in range(3):
        happened, _ = ridden(
            tmp_path / str(seed), Scenario("two", 1, seed, riding=1.0, happenings=happenings), 20
        )
        (_, first_s), (_, second_s) = happened
        assert second_s >= first_s + 1
