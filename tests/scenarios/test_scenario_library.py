"""Every scenario of the library rides against a real broker, worker and desk, and what it expects comes true."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from app.simulate_scenario import Outcome, run_scenario, scaled_stack
from simulator.scenario_file import LIBRARY, find_scenario

NAMES = sorted(path.stem for path in LIBRARY.glob("*.yaml"))
SPEED = 5.0
"""Ten scenarios ride at once, on a machine that others use too."""


@pytest.fixture(scope="module")
def rides() -> Iterator[dict[str, Future[Outcome]]]:
    """All scenarios at once against one stack, each with helmets of its own."""
    with (
        tempfile.TemporaryDirectory() as name,
        scaled_stack(Path(name) / "stack", SPEED, "mosquitto") as (stack, desk, clock),
        ThreadPoolExecutor(len(NAMES)) as pool,
    ):
        yield {
            scenario: pool.submit(
                run_scenario,
                find_scenario(scenario),
                stack,
                desk,
                clock,
                ledger=Path(name) / f"{scenario}.jsonl",
                prefix=f"S{k}-",
            )
            for k, scenario in enumerate(NAMES)
        }


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_meets_its_expectations(rides: dict[str, Future[Outcome]], name: str) -> None:
    outcome = rides[name].result(120)
    assert outcome.summary.end.frames > 0
    assert outcome.met, f"{outcome.account}\n" + "\n".join(outcome.report)


def test_the_library_has_the_scenarios_people_asked_for() -> None:
    assert set(NAMES) >= {
        "pothole-street", "kerb-drop", "helmet-dropped", "low-side-slide", "car-hit", "rider-stands-up",
        "tunnel-then-flush", "reconnect-storm", "firmware-gone-wrong", "evening-peak",
    }  # fmt: skip
