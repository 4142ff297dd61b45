"""Runs a scenario against a broker, worker and desk of its own and holds what came out against what was expected."""

import contextlib
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from app.reconcile import Account, account_for
from app.services import fail
from app.simulate_plot import draw
from app.simulate_view import fleet_table
from app.stack import Stack, StackError, print_json, running
from app.watch import Watcher
from core.clock import SystemClock
from core.config import load
from simulator.fleet import Broker, Progress, Summary, run_fleet
from simulator.ledger import Crash, Ledger, read_ledger
from simulator.scenario_file import LIBRARY, ExpectedAlert, ScenarioFile, find_scenario

_SETTLE_S = 14.0
"""Simulated time after the last frame: the last decision is due 10 s after an impact, silence 3 s."""
_LOST_SHOWN = 5
_SLOW_S = 2.0
"""Simulated time from frame to alert above which times say more about the machine than about the system."""
_DELIVERED_S = 20.0
"""Real seconds that store and desk may need to take everything."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run a scenario."""

    speed: float = 10.0
    seed: int | None = None
    plot: Path | None = None
    record: Path | None = None
    ledger: Path | None = None
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    file: ScenarioFile
    summary: Summary
    ledger: Ledger
    alerts: list[dict[str, Any]]
    """Of the scenario's helmets, each with its `detections`."""
    account: Account
    speed: float = 1.0
    """How many times as fast as real time it ran."""
    report: list[str] = field(default_factory=list)
    """One line for each expectation that was not met; empty where all were."""

    @property
    def met(self) -> bool:
        """Whether everything came as expected."""
        return not self.report


@contextlib.contextmanager
def scaled_stack(
    folder: Path, speed: float, kind: Literal["embedded", "mosquitto"] = "embedded"
) -> Iterator[tuple[Stack, Watcher, SystemClock]]:
    """Broker, worker and desk whose time runs `speed` times as fast, and somebody at the desk."""
    clock = SystemClock(speed, time.time_ns() // 1000)
    options: dict[str, Any] = {
        "time": {"scale": speed, "origin_us": clock.origin_us},
        # The loop turns as often as ever by the machine's clock; frames come faster.
        "ingest": {"tick_ms": 20},
    }
    with (
        running(folder, kind=kind, options=options) as stack,
        Watcher(stack.url, stack.name, stack.password) as desk,
    ):
        yield stack, desk, clock


def run_scenario(
    file: ScenarioFile,
    stack: Stack,
    desk: Watcher,
    clock: SystemClock,
    *,
    ledger: Path,
    prefix: str = "SF-",
    seed: int | None = None,
    record: Path | None = None,
    stop: threading.Event | None = None,
    on_progress: Any = None,
) -> Outcome:
    """Rides a scenario against a running stack; helmets are named by `prefix`, so that several can share one."""
    summary = run_fleet(
        file.scenario(seed, prefix),
        Broker("127.0.0.1", stack.broker_port, stack.broker_user, stack.broker_password),
        clock,
        connections=file.own_connections,
        ledger=ledger,
        record=record,
        duration_s=file.duration_s,
        stop=stop or threading.Event(),
        on_progress=on_progress,
    )
    time.sleep(clock.wall_s(_SETTLE_S) + 0.5)
    truth = read_ledger(ledger)
    config = load(stack.config)
    deadline = time.monotonic() + _DELIVERED_S
    while True:
        account = account_for(config, truth)
        if not (account.undelivered or account.rows_waiting) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    alerts = [a for a in desk.alerts() if a["helmet"].startswith(prefix)]
    for alert in alerts:
        alert["detections"] = desk.get(f"/api/v1/alerts/{alert['id']}")["detections"]
    outcome = Outcome(file, summary, truth, alerts, account, clock.scale)
    return replace(outcome, report=judge(outcome))


def judge(outcome: Outcome) -> list[str]:
    """Holds a run against its file's expectations: one line for each that was not met, `-` missing, `+` too much."""
    expect, start_us = outcome.file.expect, outcome.summary.start_us
    report: list[str] = []
    matched: set[str] = set()
    for expected in expect.alerts:
        chosen = None if expected.helmets is None else set(expected.helmets)
        truths = [
            c
            for c in outcome.ledger.crashes
            if _is(c, expected) and (chosen is None or int(c.helmet[-6:]) in chosen)
        ]
        missing = []
        for truth in truths:
            near = [a for a in outcome.alerts if _distance_s(a, truth) <= expected.within]
            matched |= {a["id"] for a in near}
            wrong = "" if expected.optional and not near else _differences(near, truth, expected)
            if wrong:
                at_s = (truth.t_us - start_us) / 1e6
                missing.append(f"- {truth.helmet} {truth.kind} at {at_s:.1f} s: {wrong}")
        least = len(truths) if expected.at_least is None else expected.at_least
        if not truths:
            report.append(f"- {expected.event}: it never happened, so nothing could be expected")
        elif len(truths) - len(missing) < least:
            report += missing
    others = [a for a in outcome.alerts if a["id"] not in matched]
    if len(others) > expect.other_alerts:
        report += [_unexpected(a, outcome) for a in others]
    account = outcome.account
    slow_s = statistics.median(account.latency_ms) / 1000 if account.latency_ms else 0.0
    if report and slow_s * outcome.speed > _SLOW_S:
        report.append(
            f"  (this machine took {slow_s:.1f} real seconds from frame to alert: too slow for {outcome.speed:g} times "
            "real time; try a lower --speed)"
        )
    if len(account.lost) > expect.lost_frames:
        shown = account.lost[:_LOST_SHOWN]
        report += [f"- frame {seq} of {helmet} (boot {boot}) is lost" for helmet, boot, seq in shown]
        if len(account.lost) > len(shown):
            report.append(f"- {len(account.lost) - len(shown)} more frames are lost")
    if account.rejected < expect.rejected_at_least:
        report.append(
            f"- rejected messages: {account.rejected}, expected at least {expect.rejected_at_least}"
        )
    return report


def _is(truth: Crash, expected: ExpectedAlert) -> bool:
    """Whether a truth is of the expected kind; spliced recordings go by their names, and a spliced ride is no crash."""
    if expected.event == "splice":
        return "/" in truth.kind and truth.expected != "none"
    return truth.kind == expected.event


def _distance_s(alert: dict[str, Any], truth: Crash) -> float:
    if alert["helmet"] != truth.helmet:
        return float("inf")
    nearest_us = min(abs(int(t_us) - truth.t_us) for t_us in (alert["occurred_us"], *alert["impacts_us"]))
    return nearest_us / 1e6


def _differences(near: list[dict[str, Any]], truth: Crash, expected: ExpectedAlert) -> str:
    """What is wrong with the alerts about one truth; empty where nothing is."""
    if len(near) != 1:
        return "no alert" if not near else f"{len(near)} alerts, expected one"
    alert = near[0]
    wrong = []
    for name in ("kind", "state", "stage"):
        wanted = getattr(expected, name)
        if wanted is not None and alert[name] not in wanted:
            wrong.append(f"{name} is {alert[name]}, expected {' or '.join(wanted)}")
    if expected.severity_at_least is not None and alert["severity"] < expected.severity_at_least:
        wrong.append(f"severity is {alert['severity']}, expected at least {expected.severity_at_least}")
    if expected.late is not None and alert["late"] != expected.late:
        wrong.append(f"late is {alert['late']}, expected {expected.late}")
    if expected.alerted_within is not None:
        took_s = (alert["alerted_us"] - truth.t_us) / 1e6
        if took_s > expected.alerted_within:
            wrong.append(f"alerted after {took_s:.1f} s, expected within {expected.alerted_within:g} s")
    return "; ".join(wrong)


def _unexpected(alert: dict[str, Any], outcome: Outcome) -> str:
    at_s = (alert["occurred_us"] - outcome.summary.start_us) / 1e6
    truth = [c for c in outcome.ledger.crashes if _distance_s(alert, c) <= 10]
    cause = f", at a {truth[0].kind}" if truth else ""
    return (
        f"+ {alert['helmet']} at {at_s:.1f} s{cause}: {alert['kind']}, severity {alert['severity']}, {alert['state']}, "
        f"not expected: {alert['reason_en']}"
    )


def command(name: str, options: Options, stop: threading.Event) -> None:
    """`helmetwatch simulate SCENARIO`: runs, reports, and exits with 1 where expectations are not met."""
    file = find_scenario(name)
    console = Console(stderr=True)
    if console.is_terminal:
        console.print(f"{file.name}: starting a broker, a worker and a desk of its own", style="dim")
    with tempfile.TemporaryDirectory(prefix="helmetwatch-scenario-") as made:
        folder = Path(made)
        record = options.record or (folder / "run.tape" if options.plot else None)
        try:
            with (
                scaled_stack(folder / "stack", options.speed) as (stack, desk, clock),
                Live(console=console, transient=True, auto_refresh=False) as live,
            ):
                scenario, began = file.scenario(options.seed), time.monotonic()

                def show(progress: Progress) -> None:
                    if console.is_terminal:
                        live.update(
                            fleet_table(scenario, progress, time.monotonic() - began, file.duration_s),
                            refresh=True,
                        )

                outcome = run_scenario(
                    file,
                    stack,
                    desk,
                    clock,
                    ledger=options.ledger or folder / "ledger.jsonl",
                    seed=options.seed,
                    record=record,
                    stop=stop,
                    on_progress=show,
                )
        except StackError as error:
            raise fail(str(error)) from None
        if options.plot and record:
            draw(scenario, outcome.ledger, outcome.alerts, outcome.summary.start_us, record, options.plot)
    _print(outcome, options.as_json)
    if stop.is_set():
        raise fail("stopped before the end: nothing can be said about the expectations")
    if not outcome.met:
        raise SystemExit(1)


def _print(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "scenario": outcome.file.name,
                "met": outcome.met,
                "report": outcome.report,
                "frames": outcome.summary.end.frames,
                "alerts": [
                    {k: a[k] for k in ("helmet", "kind", "severity", "state", "stage", "reason_en")}
                    for a in outcome.alerts
                ],
            }
        )
        return
    verdict = "as expected" if outcome.met else "NOT as expected"
    click.echo(f"{outcome.file.name}: {verdict}. {outcome.account}")
    for line in outcome.report:
        click.echo(line)


def show_library() -> None:
    """Lists the scenarios that come with the program."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for path in sorted(LIBRARY.glob("*.yaml")):
        table.add_row(f"[bold]{path.stem}[/]", find_scenario(str(path)).about.strip())
    Console(width=110).print(table)
