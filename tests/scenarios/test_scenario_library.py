"""Every scenario of the library rides against a real broker, worker and desk, and what it expects comes true."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from written_recordings import write

from app.simulate_scenario import run_scenario, scaled_stack
from app.simulate_verdict import SLOW_S, Outcome
from simulator.scenario_file import LIBRARY, find_scenario, parse_scenario

SPLICED = """
name: spliced
duration: 60s
rough_spots_per_hour: 0
fleet: [{helmets: 2}, {helmets: 1, part: 200hz-32g}, {helmets: 1, riding: false}]
events:
  - {event: splice, recording: made/1, at: 5s, helmets: 2-3}
  - {event: splice, recording: made/0, at: 20s, helmets: 1}
  - {event: splice, recording: made/2, at: 20s, helmets: 2-3}
  - {event: splice, recording: made/3, at: 20s, helmets: 4}
expect:
  alerts:
    - {event: splice, helmets: 1, kind: [fall], state: [pending, open], within: 3s}
    - {event: splice, helmets: 2-3, kind: [head_strike, fall], state: [pending, open], within: 3s}
"""
NAMES = sorted(path.stem for path in LIBRARY.glob("*.yaml"))
SPEED = 5.0
"""A dozen scenarios ride at once, on a machine that others use too."""


@pytest.fixture(scope="module")
def rides() -> Iterator[dict[str, Future[Outcome]]]:
    """All scenarios at once against one stack, each with helmets of its own."""
    with (
        tempfile.TemporaryDirectory() as name,
        scaled_stack(Path(name) / "stack", SPEED, "mosquitto") as (stack, desk, clock),
        ThreadPoolExecutor(len(NAMES) + 1) as pool,
    ):
        write(Path(name) / "made")
        files = {scenario: find_scenario(scenario) for scenario in NAMES}
        files["spliced"] = parse_scenario(SPLICED, folder=Path(name))
        yield {
            scenario: pool.submit(
                run_scenario,
                file,
                stack,
                desk,
                clock,
                ledger=Path(name) / f"{scenario}.jsonl",
                prefix=f"S{k}-",
            )
            for k, (scenario, file) in enumerate(files.items())
        }


@pytest.mark.parametrize("name", [*NAMES, "spliced"])
def test_a_scenario_meets_its_expectations(
    rides: dict[str, Future[Outcome]], name: str, tmp_path: Path
) -> None:
    outcome = rides[name].result(120)
    assert outcome.summary.end.frames > 0
    if not outcome.met and outcome.slow_s > SLOW_S:
        # A machine that cannot keep up says nothing about the system: once more, alone and slower.
        with scaled_stack(tmp_path / "stack", SPEED / 2, "mosquitto") as (stack, desk, clock):
            outcome = run_scenario(outcome.file, stack, desk, clock, ledger=tmp_path / "ledger.jsonl")
    assert outcome.met, f"{outcome.account}\n" + "\n".join(outcome.report)


def test_the_library_has_the_scenarios_people_asked_for() -> None:
    assert set(NAMES) >= {
        "pothole-street", "kerb-drop", "helmet-dropped", "low-side-slide", "car-hit", "rider-stands-up",
        "tunnel-then-flush", "reconnect-storm", "firmware-gone-wrong", "evening-peak",
    }  # fmt: skip
