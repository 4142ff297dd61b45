"""Scenario files: every fault at once with its line; what is drawn depends on the seed alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import ConfigError
from simulator.scenario_file import parse_scenario

GOOD = """\
name: small
duration: 1m
fleet:
  - {helmets: 3, part: 200hz-32g}
  - {helmets: 2, hangs: true}
events:
  - {event: fall, at: 10s, helmets: "1,3", spread: 2s}
  - {event: pothole, per_hour: 600, helmets: 2-3}
faults:
  - {fault: loss, probability: 0.5, helmets: 4}
  - {fault: flapping, helmets: 5, from: 10s, until: 40s, every: 10s, gone: 3s}
  - {fault: stuck, axis: y, helmets: 1}
expect:
  alerts:
    - {event: fall, kind: [fall]}
"""


def test_a_file_becomes_what_the_simulator_runs() -> None:
    file = parse_scenario(GOOD)
    scenario = file.scenario()
    assert (file.helmets, file.duration_s, scenario.helmets) == (5, 60, 5)
    falls = [(h.t_s, h.helmet) for h in scenario.happenings if h.kind == "fall"]
    assert falls == [(10, 0), (12, 2)]
    holes = [h for h in scenario.happenings if h.kind == "pothole"]
    assert {h.helmet for h in holes} == {1, 2}
    assert 8 < len(holes) < 32
    assert [(o.start_s, o.end_s) for o in scenario.outages] == [(10, 13), (20, 23), (30, 33)]
    assert scenario.sensor_faults[0].axis == 1
    assert [scenario.group(i).hangs for i in range(5)] == [False] * 3 + [True] * 2  # type: ignore[union-attr]


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    file = parse_scenario(GOOD)
    assert file.scenario(3) == file.scenario(3)
    assert file.scenario(3).happenings != file.scenario(4).happenings


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("duration: 1m", [("duration: 1 minute", "20s, 2m or 1h", 2)]),
        ("part: 200hz-32g", [("part: fast", "is not one of 50hz-16g", 4)]),
        ("event: fall, at", [("event: fell, at", "events.0.event", 7)]),
        ('helmets: "1,3"', [('helmets: "1,9"', "no helmet 9 of 5", 7)]),
        ("fault: stuck", [("fault: stick", "'stick' is not one of", 12)]),
        ("at: 10s", [("at: 90s", "after the end at 60 s", 7)]),
        ("spread: 2s", [("spread: 51s", "last helmet's turn is at 61 s, after the end at 60 s", 7)]),
        ("event: fall, kind", [("event: drop, kind", "no event 'drop'", 15)]),
        ("hangs: true", [("hang: true", "unknown option", 5)]),
        ("duration: 1m", [("duration: .inf", "less than or equal to", 2)]),
        ("duration: 1m", [("duration: 1m\nseed: -1", "greater than or equal to 0", 3)]),
        ("duration: 1m", [("duration: 1m\nrough_spots_per_hour: .inf", "less than or equal to", 3)]),
        ("per_hour: 600", [("per_hour: 1e20", "less than or equal to", 8)]),
        ("helmets: 2-3", [("helmets: 3-2", "smaller number first", 8)]),
        ("every: 10s", [("every: 0s", "greater than or equal to 0.1", 11)]),
        ("gone: 3s", [("gone: 10s", "an outage", 11)]),
        ("until: 40s", [("until: 4s", "until 4 s is before from 10 s", 11)]),
        ("probability: 0.5", [("at: 10s", "loss has no at, but probability, from, until", 10)]),
        ("fault: stuck, axis: y", [("fault: reboot, from: 10s", "reboot has no from, but at, down", 12)]),
        ("fault: stuck, axis: y", [("fault: clock, step: .nan", "faults.2.step", 12)]),
        ("fault: stuck, axis: y", [("fault: clock, step: 1.0e+30", "less than or equal to", 12)]),
        ("name: small", [("name: small\nname: other", "given twice", 2)]),
    ],
)
def test_a_fault_is_named_with_its_line(change: str, said: list[tuple[str, str, int]]) -> None:
    for wrong, message, line in said:
        with pytest.raises(ConfigError) as error:
            parse_scenario(GOOD.replace(change, wrong, 1), "x.yaml")
        assert any(message in fault and f"(x.yaml:{line})" in fault for fault in error.value.faults), (
            error.value
        )


def test_all_faults_come_at_once() -> None:
    wrong = GOOD.replace("1m", "soon").replace("part:", "parts:").replace("fault: stuck", "fault: stick")
    with pytest.raises(ConfigError) as error:
        parse_scenario(wrong)
    assert len(error.value.faults) == 3


@given(st.text(max_size=200))
def test_any_text_gives_a_scenario_or_faults(text: str) -> None:
    try:
        parse_scenario(text)
    except ConfigError as error:
        assert error.faults
