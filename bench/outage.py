"""`helmetwatch bench outage`: the telemetry store is gone for minutes; alerts must not notice, nothing may be lost."""

import itertools
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import click
from matplotlib.figure import Figure
from rich.console import Console

from app.reconcile import Account, reconcile
from app.services import fail
from app.stack import Stack, StackError, running
from app.watch import Seen, Watcher
from bench import fleet
from bench.results import out_option, write_json
from bench.sampling import Sample, Sampler, thinned, write_csv
from bench.victoria import Victoria
from simulator.ledger import Ledger, read_ledger

_DRAINED_ROWS_S = 2.0
"""Fewer rows waiting than come in this time: the backlog is gone."""
_DRAIN_MAX_S = 1800.0
PHASES = ("before", "outage", "draining", "after")


class Run(NamedTuple):
    """What a run left behind."""

    began: dict[str, float]
    """When each phase began, by `time.time`."""
    ends: float
    start: float
    """When sampling began."""
    samples: list[Sample]
    seen: list[Seen]
    alerts: list[dict[str, Any]]
    ledger: Ledger


@click.command()
@click.option(
    "--minutes", default=10.0, show_default=True, type=click.FloatRange(0.2), help="Without a store."
)
@click.option(
    "--around", default=5.0, show_default=True, type=click.FloatRange(0.2), help="Minutes before and after."
)
@click.option("--helmets", default=2000, show_default=True, type=click.IntRange(1), help="Riding, 1 frame/s.")
@click.option(
    "--crashes-per-hour", default=7200.0, show_default=True, type=click.FloatRange(1), help="Of the fleet."
)
@out_option
def outage(minutes: float, around: float, helmets: int, crashes_per_hour: float, out: Path) -> None:
    """Stop the telemetry store (a real VictoriaMetrics) for minutes under load, and start it again.

    Prints and writes (outage.json, outage.csv, outage.png) the latency from publication to the feed before, during
    and after and while the backlog drains, how fast it drains as a multiple of the live rate, and the ledger line.
    Exit code 1 where anything acknowledged was lost or a collision not alerted.
    """
    console = Console(stderr=True)
    try:
        with tempfile.TemporaryDirectory(prefix="helmetwatch-outage-") as name, console.status("") as status:
            folder = Path(name)
            store = Victoria(folder)
            store.start()
            try:
                options = {"storage": {"kind": "influxdb", "influxdb": {"url": store.url}}}
                with running(folder / "stack", kind="mosquitto", options=options) as stack:
                    run = _ride(
                        stack, store, helmets, (around * 60, minutes * 60), crashes_per_hour, status.update
                    )
                    account = reconcile(fleet.followed(run.ledger), store.keys(), run.alerts)
            finally:
                store.stop()
    except (StackError, subprocess.TimeoutExpired) as error:
        raise fail(str(error)) from None
    report: dict[str, Any] = {
        "helmets": helmets,
        "outage_minutes": minutes,
        "crashes_per_hour": crashes_per_hour,
    }
    report |= _judged(run, account, helmets)
    write_csv(out / "outage.csv", thinned(run.samples))
    write_json(out / "outage.json", report)
    _plot(out / "outage.png", run, fleet.reached(run.seen, run.ledger))
    click.echo(account)
    for phase, found in report["latency"].items():
        click.echo(f"{phase}: {found}")
    click.echo(f"drain: {report['drain']}")
    raise SystemExit(0 if account.kept else 1)


def _ride(
    stack: Stack,
    store: Victoria,
    helmets: int,
    lasts_s: tuple[float, float],
    crashes_per_h: float,
    say: Any,
) -> Run:
    """A fleet in real time through the four phases."""
    around_s, outage_s = lasts_s
    began: dict[str, float] = {}
    with Watcher(stack.url, stack.name, stack.password) as desk:
        ledger = stack.folder / "ledger.jsonl"
        # Longer than it can take: it is stopped when the last phase is over.
        riding = fleet.start(stack, helmets, 2 * around_s + outage_s + _DRAIN_MAX_S, crashes_per_h, ledger)
        start, sampler = time.time(), Sampler(stack)
        try:
            time.sleep(min(15.0, around_s / 2))  # everybody rides
            for phase in PHASES:
                began[phase] = time.time()
                say(f"{helmets} helmets ride: {phase}")
                if phase == "outage":
                    store.stop()
                elif phase == "draining":
                    store.start()
                lasts = {"before": around_s, "outage": outage_s, "after": around_s}.get(phase, _DRAIN_MAX_S)
                while time.time() < began[phase] + lasts:
                    if riding.poll() is not None:
                        raise StackError(f"the fleet ended too soon:\n{stack.said('fleet')}")
                    sample = sampler.turn()
                    if phase == "draining" and sample and sample["rows_waiting"] < _DRAINED_ROWS_S * helmets:
                        break
                    time.sleep(0.2)
        finally:
            riding.terminate()
            riding.wait(60)
        ends = time.time()
        fleet.settle(stack, fleet.acknowledged(ledger))
        return Run(began, ends, start, sampler.samples, list(desk.seen), desk.alerts(), read_ledger(ledger))


def _judged(run: Run, account: Account, helmets: int) -> dict[str, Any]:
    edges = [*(run.began[phase] for phase in PHASES), run.ends]
    found = fleet.reached(run.seen, run.ledger)
    latency, ms = {}, {}
    for phase, (begins, ends) in zip(PHASES, itertools.pairwise(edges), strict=True):
        ms[phase] = [a.ms for a in found if begins <= a.sent_us / 1e6 < ends]
        latency[phase] = fleet.latency(ms[phase])
        loads = [s["load_1min"] for s in run.samples if begins <= run.start + s["t_s"] < ends]
        latency[phase]["load_1min"] = round(sum(loads) / max(len(loads), 1), 2)
    # A 99th percentile of a few hundred is worth little: both calm phases together are twice as many.
    calm = ms["before"] + ms["after"]
    latency["calm"] = fleet.latency(calm)
    for phase in ("outage", "draining"):
        if calm and ms[phase]:
            latency[phase]["p99_to_calm"] = fleet.ratio_of_p99(ms[phase], calm)
    return {
        "phases_s": {phase: round(run.began[phase] - run.start, 1) for phase in PHASES},
        "ledger": str(account),
        "latency": latency,
        "drain": _drain(run, helmets),
        "missed": [
            {"helmet": c.helmet, "kind": c.kind, "t_s": round(c.t_us / 1e6 - run.start, 1)}
            for c in account.missed
        ],
        "repeated": account.repeated,
        "false": account.false,
    }


def _drain(run: Run, helmets: int) -> dict[str, float]:
    """How fast the backlog went, beside what came in meanwhile."""
    back = run.began["draining"] - run.start
    after = [s for s in run.samples if s["t_s"] >= back]
    first = max((s for s in run.samples if s["t_s"] <= back), key=lambda s: s["t_s"])
    # From the sample before the server came back to the first without a backlog; the start of the server is in it.
    last = next(s for s in after if s["rows_waiting"] < _DRAINED_ROWS_S * helmets)
    took_s = last["t_s"] - back
    stored = last["rows_stored"] - first["rows_stored"]
    live = last["acknowledged"] - first["acknowledged"]
    live_per_s = live / (last["t_s"] - first["t_s"])
    return {
        "backlog_rows": max(s["rows_waiting"] for s in run.samples),
        "took_s": round(took_s, 1),
        "stored_per_s": round(stored / took_s),
        "live_per_s": round(live_per_s),
        "stored_to_live": round(stored / took_s / live_per_s, 2),
        "journal_mb_max": max(s["journal_mb"] for s in run.samples),
    }


def _plot(path: Path, run: Run, found: list[fleet.Reached]) -> None:
    figure = Figure(figsize=(9, 6), layout="constrained")
    latency, backlog = figure.subplots(2, 1, sharex=True)
    minutes = [(a.sent_us / 1e6 - run.start) / 60 for a in found]
    latency.plot(minutes, [a.ms for a in found], ".", markersize=3)
    latency.set_ylabel("publish to feed, ms")
    latency.set_yscale("log")
    backlog.plot([s["t_s"] / 60 for s in run.samples], [s["rows_waiting"] for s in run.samples])
    backlog.set_ylabel("rows waiting for the store")
    backlog.set_xlabel("minutes; red: the store is gone, yellow: the backlog drains")
    edges = [(run.began[phase] - run.start) / 60 for phase in PHASES]
    for axes in (latency, backlog):
        axes.axvspan(edges[1], edges[2], color="C3", alpha=0.12)
        axes.axvspan(edges[2], edges[3], color="C8", alpha=0.3)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)
