"""The verdict on a run: nothing to say where all came as expected, and one line for each thing that did not."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from app.reconcile import Account
from app.simulate_options import Duration
from app.simulate_verdict import Outcome, judge
from app.simulate_view import fleet_table
from simulator.fleet import Progress, Summary
from simulator.ledger import Crash, Ledger
from simulator.scenario import Happening
from simulator.scenario_file import parse_scenario

START_US = 1_767_225_600_000_000
FILE = parse_scenario("""
name: two falls
duration: 60s
fleet: [{helmets: 3}]
events:
  - {event: fall, at: 10s, helmets: 1-2, spread: 10s}
expect:
  alerts:
    - {event: fall, kind: [fall], state: [open], severity_at_least: 2, alerted_within: 5s, late: false}
""")
PROGRESS = Progress(60, 180, 180, 0, 0, 2, 3, 0, 0, 0, 0.0, (1.0, 2.0), {"loss": 3})


def alert(helmet: int, at_s: float, **changes: Any) -> dict[str, Any]:
    at_us = START_US + round(at_s * 1e6)
    given = {
        "id": f"{helmet}-{at_s}", "helmet": f"SF-{helmet:06d}", "occurred_us": at_us, "impacts_us": [at_us],
        "alerted_us": at_us + 1_000_000, "kind": "fall", "state": "open", "stage": "confirmed", "severity": 2,
        "late": False, "reason_en": "fall 9 g",
    }  # fmt: skip
    return given | changes


def outcome(alerts: list[dict[str, Any]], **account: Any) -> Outcome:
    truths = [Crash(f"SF-{k:06d}", START_US + k * 10_000_000, "fall", "alert", 1, 10) for k in (1, 2)]
    good = Account(180, [], 0, 0, 2, [], [], [])
    return Outcome(
        FILE, Summary(1, START_US, PROGRESS), Ledger({}, set(), truths), alerts, replace(good, **account)
    )


GOOD = [alert(1, 10.2), alert(2, 19.9)]


def test_what_came_as_expected_needs_no_words() -> None:
    assert judge(outcome(GOOD)) == []


@pytest.mark.parametrize(
    ("alerts", "said"),
    [
        (GOOD[:1], ["- SF-000002 fall at 20.0 s: no alert"]),
        (
            [GOOD[0], alert(2, 23)],
            ["- SF-000002 fall at 20.0 s: no alert", "+ SF-000002 at 23.0 s, at a fall"],
        ),
        ([*GOOD, alert(3, 30)], ["+ SF-000003 at 30.0 s: fall, severity 2, open, not expected: fall 9 g"]),
        ([*GOOD, alert(1, 10.9)], ["- SF-000001 fall at 10.0 s: 2 alerts, expected one"]),
        ([alert(1, 10, kind="sos"), GOOD[1]], ["- SF-000001 fall at 10.0 s: kind is sos, expected fall"]),
        ([alert(1, 10, state="cancelled"), GOOD[1]], ["state is cancelled, expected open"]),
        ([alert(1, 10, severity=1), GOOD[1]], ["severity is 1, expected at least 2"]),
        ([alert(1, 10, late=True), GOOD[1]], ["late is True, expected False"]),
        ([alert(1, 10, alerted_us=START_US + 17_000_000), GOOD[1]], ["alerted after 7.0 s"]),
    ],
)
def test_each_difference_is_a_line(alerts: list[dict[str, Any]], said: list[str]) -> None:
    report = judge(outcome(alerts))
    assert len(report) == len(said)
    assert all(words in line for words, line in zip(said, report, strict=True))


def test_a_lost_frame_and_a_fault_that_nobody_counted_are_differences() -> None:
    assert judge(outcome(GOOD, lost=[("SF-000003", 1, 7)])) == ["- frame 7 of SF-000003 (boot 1) is lost"]
    strict = replace(
        outcome(GOOD),
        file=FILE.model_copy(update={"expect": FILE.expect.model_copy(update={"rejected_at_least": 4})}),
    )
    assert judge(strict) == ["- rejected messages: 0, expected at least 4"]


def test_a_machine_that_is_too_slow_for_the_speed_is_said_beside_the_differences() -> None:
    late = [alert(1, 10, alerted_us=START_US + 40_000_000), GOOD[1]]
    report = judge(replace(outcome(late, latency_ms=[2500.0, 3000.0]), speed=10.0))
    assert "alerted after 30.0 s" in report[0]
    assert "up to 27.5 simulated seconds late" in report[1]
    assert len(judge(replace(outcome(late, latency_ms=[25.0]), speed=10.0))) == 1
    assert judge(replace(outcome(GOOD, latency_ms=[2500.0]), speed=10.0)) == []
    sent = Ledger({("SF-000001", 1, 10): (START_US, START_US + 9_500_000)}, set(), outcome([]).ledger.crashes)
    assert replace(outcome(GOOD), ledger=sent).slow_s == 8.0


def test_an_event_that_never_happened_does_not_pass_in_silence() -> None:
    empty = replace(outcome([]), ledger=Ledger())
    assert judge(empty) == ["- fall: it never happened, so nothing could be expected"]


def test_each_happening_that_was_asked_for_and_never_came_is_a_line() -> None:
    asked = tuple(Happening(10.0 * (k + 1), "fall", k) for k in range(3))
    report = judge(replace(outcome(GOOD), asked=asked))
    assert report == ["- helmet 3: fall at 30.0 s never happened: it was in no position for it"]
    twice = (*asked[:2], Happening(50, "fall", 1), Happening(55, "ok", 1))
    assert [line[:24] for line in judge(replace(outcome(GOOD), asked=twice))] == ["- helmet 2: fall at 50.0"]
    assert judge(replace(outcome(GOOD), asked=asked[:2])) == []
    rate = tuple(Happening(t, "pothole", 2, by_rate=True) for t in range(10, 20))
    assert judge(replace(outcome(GOOD), asked=rate)) == ["- pothole: only 0 of 10 happened"]
    holes = [Crash("SF-000003", START_US + t, "pothole", "none", 1, 10) for t in range(9)]
    enough = replace(outcome(GOOD), asked=rate)
    enough.ledger.crashes.extend(holes)
    assert judge(enough) == []


@pytest.mark.parametrize(("text", "seconds"), [("20", 20), ("20s", 20), ("2m", 120), ("1.5h", 5400)])
def test_durations_are_written_as_people_write_them(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


def test_the_live_view_shows_rates_acknowledgements_latency_and_faults() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(fleet_table(FILE.scenario(), PROGRESS, 30.0, 90.0))
    text = console.export_text()
    for words in (
        "two falls",
        "60 of 90 s",
        "180 (100.0 %)",
        "a real second",
        "PUBACK, median",
        "2.0 ms",
        "faults: loss 3",
    ):
        assert words in text
