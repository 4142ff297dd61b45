"""`helmetwatch bench outage`: the telemetry store is gone for minutes; alerts must not notice, nothing may be lost."""

import itertools
import subprocess
import tempfile
import time
from collections.abc import Iterator
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
_UNDER_WAY_S = 5.0
"""A call for help in the last seconds of the fleet may not have been sent."""
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
    "--around", default=12.0, show_default=True, type=click.FloatRange(0.2), help="Minutes before and after."
)
@click.option("--helmets", default=2000, show_default=True, type=click.IntRange(1), help="Riding, 1 frame/s.")
@click.option(
    "--crashes-per-hour", default=3600.0, show_default=True, type=click.FloatRange(1), help="Of the fleet."
)
@click.option(
    "--sos-per-second",
    default=25.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Calls for help besides, of a few helmets: enough for a 99th percentile known to 10 %.",
)
@out_option
def outage(
    minutes: float, around: float, helmets: int, crashes_per_hour: float, sos_per_second: float, out: Path
) -> None:
    """Stop the telemetry store (a real VictoriaMetrics) for minutes under load, and start it again.

    Prints and writes (outage.json, outage.csv, outage.png) the latency from publication to the feed before, during
    and after and while the backlog drains, how fast it drains as a multiple of the live rate, and the ledger line.
    Crashes and calls for help are reported apart. A 99th percentile is compared with that of the calm phases, before
    and after, by a bootstrap interval of their ratio; the minutes' own say whether it wandered. Exit code 1 where
    anything acknowledged was lost, or a collision or a call not alerted.
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
                        stack,
                        store,
                        helmets,
                        (around * 60, minutes * 60),
                        (crashes_per_hour, sos_per_second),
                        status.update,
                    )
                    ledger, alerts = fleet.without_sos(run.ledger, run.alerts)
                    account = reconcile(fleet.followed(ledger), store.keys(), alerts)
            finally:
                store.stop()
    except (StackError, subprocess.TimeoutExpired) as error:
        raise fail(str(error)) from None
    report: dict[str, Any] = {
        "helmets": helmets,
        "outage_minutes": minutes,
        "crashes_per_hour": crashes_per_hour,
        "sos_per_second": sos_per_second,
    }
    report |= _judged(run, account, helmets)
    write_csv(out / "outage.csv", thinned(run.samples))
    write_json(out / "outage.json", report)
    _plot(out / "outage.png", run, fleet.reached(run.seen, run.ledger))
    click.echo(account)
    for what in ("latency", "sos_latency"):
        for phase, found in report[what].items():
            click.echo(f"{what}, {phase}: {found}")
    click.echo(f"drain: {report['drain']}; calls for help without an alert: {report['sos_unheard']}")
    raise SystemExit(0 if account.kept and not report["sos_unheard"] else 1)


def _ride(
    stack: Stack,
    store: Victoria,
    helmets: int,
    lasts_s: tuple[float, float],
    rates: tuple[float, float],
    say: Any,
) -> Run:
    """A fleet in real time through the four phases."""
    around_s, outage_s = lasts_s
    crashes_per_h, sos_per_s = rates
    began: dict[str, float] = {}
    with Watcher(stack.url, stack.name, stack.password) as desk:
        ledger = stack.folder / "ledger.jsonl"
        # Longer than it can take: it is stopped when the last phase is over.
        seconds = 2 * around_s + outage_s + _DRAIN_MAX_S
        riding = fleet.start(stack, helmets, seconds, crashes_per_h, ledger, sos_per_s)
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
    calls = fleet.pressed(run.seen)
    return {
        "phases_s": {phase: round(run.began[phase] - run.start, 1) for phase in PHASES},
        "ledger": str(account),
        "latency": _latency(run, fleet.reached(run.seen, run.ledger)),
        "sos_latency": _latency(run, calls),
        "sos_unheard": fleet.unheard(calls, run.ledger, round((run.ends - _UNDER_WAY_S) * 1e6)),
        "load_1min": {
            phase: _mean([s["load_1min"] for s in run.samples if begins <= run.start + s["t_s"] < ends])
            for phase, begins, ends in _phases(run)
        },
        "drain": _drain(run, helmets),
        "missed": [
            {"helmet": c.helmet, "kind": c.kind, "t_s": round(c.t_us / 1e6 - run.start, 1)}
            for c in account.missed
        ],
        "repeated": account.repeated,
        "false": account.false,
    }


def _phases(run: Run) -> Iterator[tuple[str, float, float]]:
    """Each phase with its beginning and end."""
    edges = [*(run.began[phase] for phase in PHASES), run.ends]
    for phase, (begins, ends) in zip(PHASES, itertools.pairwise(edges), strict=True):
        yield phase, begins, ends


def _latency(run: Run, found: list[fleet.Reached]) -> dict[str, Any]:
    """Latencies of each phase, the 99th percentile of each of its minutes, and what it is to that of the calm ones."""
    latency, ms = {}, {}
    for phase, begins, ends in _phases(run):
        inside = [a for a in found if begins <= a.sent_us / 1e6 < ends]
        ms[phase] = [a.ms for a in inside]
        latency[phase] = fleet.latency(ms[phase])
        minutes: dict[int, list[float]] = {}
        for a in inside:
            minutes.setdefault(int((a.sent_us / 1e6 - begins) // 60), []).append(a.ms)
        latency[phase]["minutes_p99_ms"] = [fleet.latency(minutes[k])["p99_ms"] for k in sorted(minutes)]
    # Both calm phases together: a 99th percentile of few is worth little, and what drifts by itself is in both.
    calm = ms["before"] + ms["after"]
    latency["calm"] = fleet.latency(calm)
    for phase in ("outage", "draining"):
        if calm and ms[phase]:
            latency[phase]["p99_to_calm"] = fleet.ratio_of_p99(ms[phase], calm)
    return latency


def _mean(values: list[float]) -> float:
    return round(sum(values) / max(len(values), 1), 2)


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
