"""Runs a scenario against a broker, worker and desk of its own, and says whether it came out as expected."""

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from app.reconcile import account_for
from app.services import fail
from app.simulate_plot import draw
from app.simulate_verdict import Outcome, judge
from app.simulate_view import fleet_table
from app.stack import Stack, StackError, print_json, running
from app.watch import Watcher
from core.clock import SystemClock
from core.config import load
from simulator.fleet import Broker, Progress, run_fleet
from simulator.ledger import read_ledger
from simulator.scenario_file import LIBRARY, ScenarioFile, find_scenario

_SETTLE_S = 14.0
"""Simulated time after the last frame: the last decision is due 10 s after an impact, silence 3 s."""
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
    scenario = file.scenario(seed, prefix)
    summary = run_fleet(
        scenario,
        Broker("127.0.0.1", stack.broker_port, stack.broker_user, stack.broker_password),
        clock,
        connections=file.shared_connections,
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
    outcome = Outcome(file, summary, truth, alerts, account, clock.scale, scenario.happenings)
    return replace(outcome, report=judge(outcome))


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
