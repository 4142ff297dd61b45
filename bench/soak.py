"""`helmetwatch bench soak`: hours under load, and whether anything grows that should not."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from app.services import fail
from app.stack import Stack, StackError, running
from app.watch import Watcher
from bench import fleet
from bench.results import out_option, write_json
from bench.sampling import Sample, Sampler, thinned, write_csv
from bench.trend import Trend, trend

_ACKNOWLEDGE_S, _RESOLVE_S = 10.0, 40.0
_MUST_BE_FLAT = (
    "worker_rss_mb",
    "desk_rss_mb",
    "worker_fds",
    "desk_fds",
    "worker_threads",
    "desk_threads",
    "queue",
    "rows_waiting",
    "undelivered",
    "journal_mb",
)


@click.command()
@click.option("--minutes", default=60.0, show_default=True, type=click.FloatRange(1), help="How long.")
@click.option("--helmets", default=2000, show_default=True, type=click.IntRange(1), help="Riding, 1 frame/s.")
@click.option(
    "--crashes-per-hour", default=360.0, show_default=True, type=click.FloatRange(1), help="Of the fleet."
)
@out_option
def soak(minutes: float, helmets: int, crashes_per_hour: float, out: Path) -> None:
    """Run a stack under load for long and see whether memory, descriptors, queues or the journal grow.

    Writes soak.csv (a line for each half minute, the largest of six samples), soak.json and soak.png to --out and
    prints the ledger line. Somebody at the desk takes each alert after 10 s and resolves it 30 s later. The first
    sixth of the run, at most 10 minutes, is not part of the trends. Exit code 1 where anything acknowledged was lost,
    a collision was not alerted, or anything grows: its slope is above zero, with its whole 95 % interval.
    """
    console = Console(stderr=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="helmetwatch-soak-") as name,
            console.status(f"{helmets} helmets ride for {minutes:.0f} min"),
            running(Path(name), kind="mosquitto") as stack,
        ):
            samples = ride(stack, helmets, minutes * 60, crashes_per_hour)
            code, line = _reconcile(stack)
    except StackError as error:
        raise fail(str(error)) from None
    lines = thinned(samples)
    begins_s = min(600.0, minutes * 10)
    trends = trends_of(samples, begins_s)
    write_csv(out / "soak.csv", lines)
    plot(out / "soak.png", lines, trends, begins_s)
    report: dict[str, Any] = {"helmets": helmets, "minutes": minutes, "crashes_per_hour": crashes_per_hour}
    report |= {
        "samples": len(samples),
        "load_1min": _mean(samples, "load_1min"),
        "trends_begin_s": begins_s,
        "ledger": line,
        "per_hour": {},
    }
    for name, found in trends.items():
        values = [sample[name] for sample in samples if sample["t_s"] >= begins_s]
        report["per_hour"][name] = {
            "first": values[0],
            "last": values[-1],
            "max": max(values),
            "slope": round(found.slope, 3),
            "low": round(found.low, 3),
            "high": round(found.high, 3),
            "flat": found.flat,
        }
    write_json(out / "soak.json", report)
    click.echo(line)
    for name, row in report["per_hour"].items():
        click.echo(
            f"{name}: {row['slope']:+g} an hour ({row['low']:g} to {row['high']:g}), max {row['max']:g}"
        )
    growing = [name for name, found in trends.items() if found.grows]
    if growing:
        click.echo(f"grows: {', '.join(growing)}")
    raise SystemExit(code or bool(growing))


def ride(stack: Stack, helmets: int, seconds: float, crashes_per_h: float) -> list[Sample]:
    """A fleet in real time with somebody at the desk, sampled until its last frame."""
    sampler = Sampler(stack)
    with Watcher(stack.url, stack.name, stack.password) as desk:
        officer = _Officer(desk)
        riding = fleet.start(stack, helmets, seconds, crashes_per_h, stack.folder / "ledger.jsonl")
        try:
            while riding.poll() is None:
                sampler.turn()
                officer.turn()
                time.sleep(0.5)
        finally:
            riding.terminate()
            riding.wait()
        if riding.returncode:
            raise StackError(f"the fleet ended with code {riding.returncode}:\n{stack.said('fleet')}")
        fleet.settle(stack, fleet.acknowledged(stack.folder / "ledger.jsonl"))
    return sampler.samples


def _mean(samples: list[Sample], name: str) -> float:
    return round(sum(sample[name] for sample in samples) / len(samples), 2)


class _Officer:
    """Takes alerts and resolves them, so that the desk's work is a desk's work."""

    def __init__(self, desk: Watcher) -> None:
        self._desk = desk
        self._read = 0
        self._due: dict[tuple[str, str], float] = {}

    def turn(self) -> None:
        now = time.monotonic()
        seen, self._read = self._desk.seen[self._read :], len(self._desk.seen)
        for event in seen:
            if event.data["entry"]["type"] == "detected":
                alert = event.data["alert"]["id"]
                self._due[alert, "acknowledge"] = now + _ACKNOWLEDGE_S
                self._due[alert, "resolve"] = now + _RESOLVE_S
        for (alert, what), at in list(self._due.items()):
            if at <= now:
                del self._due[alert, what]
                body = {"reason": "unhurt", "note": ""} if what == "resolve" else {}
                try:
                    self._desk.post(f"/api/v1/alerts/{alert}/{what}", body)
                except aiohttp.ClientResponseError as error:
                    if error.status != 409:  # cancelled meanwhile
                        raise


def trends_of(samples: list[Sample], begins_s: float) -> dict[str, Trend]:
    """The growth an hour of everything that must not grow, from `begins_s` on."""
    kept = [sample for sample in samples if sample["t_s"] >= begins_s]
    t_h = np.array([sample["t_s"] for sample in kept]) / 3600
    return {name: trend(t_h, np.array([sample[name] for sample in kept])) for name in _MUST_BE_FLAT}


def _reconcile(stack: Stack) -> tuple[int, str]:
    """The ledger line, by the command that everybody has; a process of its own, for it takes memory."""
    command = [sys.executable, "-m", "app.cli", "reconcile", "--config", str(stack.config)]
    done = subprocess.run(
        [*command, "--ledger", str(stack.folder / "ledger.jsonl")],
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout:
        raise StackError(f"the run cannot be reconciled:\n{done.stderr[-1000:]}")
    return done.returncode, done.stdout.splitlines()[0]


def plot(path: Path, lines: list[Sample], trends: dict[str, Trend], begins_s: float) -> None:
    """Memory, descriptors, queues and the journal over time."""
    figure = Figure(figsize=(9, 9), layout="constrained")
    memory, descriptors, queues, disk = figure.subplots(4, 1, sharex=True)
    _draw(memory, lines, {"worker_rss_mb": "worker", "desk_rss_mb": "desk", "broker_rss_mb": "broker"})
    for name, colour in (("worker_rss_mb", "C0"), ("desk_rss_mb", "C1")):
        kept = [line for line in lines if line["t_s"] >= begins_s]
        t_h = np.array([line["t_s"] for line in kept]) / 3600
        middle = np.mean([line[name] for line in kept])
        found = trends[name]
        label = f"{found.slope:+.2f} MB/h ({found.low:.2f} to {found.high:.2f})"
        line_mb = middle + found.slope * (t_h - t_h.mean())
        memory.plot(t_h * 60, line_mb, "--", color=colour, label=label)
    _draw(descriptors, lines, {"worker_fds": "worker", "desk_fds": "desk"})
    queue_names = {"queue": "messages", "rows_waiting": "rows for the store", "undelivered": "for the desk"}
    _draw(queues, lines, queue_names)
    _draw(disk, lines, {"journal_mb": "journal"})
    for axes, name in (
        (memory, "resident MB"),
        (descriptors, "open descriptors"),
        (queues, "waiting"),
        (disk, "journal, MB"),
    ):
        axes.set_ylabel(name)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
        axes.axvspan(0, begins_s / 60, color="0.93")
    disk.set_xlabel("minutes; grey: not part of the trends")
    figure.savefig(path, dpi=100)


def _draw(axes: Axes, lines: list[Sample], names: dict[str, str]) -> None:
    for name, label in names.items():
        axes.plot([line["t_s"] / 60 for line in lines], [line[name] for line in lines], label=label)
