"""`helmetwatch replay`: recorded motion through a real broker, worker and desk, and what came out as alerts."""

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from app import replay_picture
from app.services import fail
from app.stack import Stack, StackError, print_json, running
from app.watch import Seen, Watcher
from core.clock import SystemClock
from core.model import Worn
from simulator.fleet import Broker
from simulator.recordings import Recording, RecordingError, read
from simulator.replay import ReplayResult, run_replay

_SETTLE_S = 16.0
"""Time on the replay's clock after the last frame: the last decision is due 10 s after an impact, silence 3 s."""
_WORN = {"yes": Worn.YES, "no": Worn.NO, "unknown": Worn.UNKNOWN}


@click.command()
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--speed", default=1.0, show_default=True, type=click.FloatRange(0.1, 100), help="Times real time."
)
@click.option(
    "--worn",
    default="yes",
    show_default=True,
    type=click.Choice(list(_WORN)),
    help="What the wear sensor says.",
)
@click.option("--riding-mps", type=click.FloatRange(0, 60), help="Speed over ground; without it unknown.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw recordings and alerts into this file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--stay", is_flag=True, help="Keep the desk open afterwards, until Ctrl-C.")
def replay(
    folders: tuple[Path, ...],
    speed: float,
    worn: str,
    riding_mps: float | None,
    plot: Path | None,
    as_json: bool,
    stay: bool,
) -> None:
    """Play recordings of real motion (docs/recordings.md) through broker, worker and desk.

    Each recording rides as a helmet of its own. The alerts that come out are listed with the second of the
    recording at which they happened.
    """
    console = Console(stderr=True)
    try:
        recordings = [recording for folder in folders for recording in read(folder)]
    except RecordingError as error:
        raise fail(str(error)) from None
    if not recordings:
        raise fail("there is no recording in these folders")
    with tempfile.TemporaryDirectory(prefix="helmetwatch-replay-") as folder:
        clock = SystemClock(speed, time.time_ns() // 1000)
        options: dict[str, Any] = {
            "time": {"scale": speed, "origin_us": clock.origin_us},
            # The loop turns as often as ever by the machine's clock; frames come faster.
            "ingest": {"tick_ms": 20},
        }
        try:
            with (
                running(Path(folder), options=options) as stack,
                Watcher(stack.url, stack.name, stack.password) as desk,
            ):
                if stay:
                    console.print(f"desk: {stack.url}  name: {stack.name}  password: {stack.password}")
                result = _play(stack, clock, recordings, _WORN[worn], riding_mps, console)
                time.sleep(clock.wall_s(_SETTLE_S) + 1.0)
                report = summarise(result, desk.alerts(), desk.seen)
                _print(report, as_json, console)
                if plot:
                    replay_picture.draw(recordings, report["alerts"], plot)
                if stay:
                    console.print("Ctrl-C ends it.")
                    threading.Event().wait()
        except StackError as error:
            raise fail(str(error)) from None
        except KeyboardInterrupt:
            console.print("stopped")


def _play(
    stack: Stack,
    clock: SystemClock,
    recordings: list[Recording],
    worn: Worn,
    riding_mps: float | None,
    console: Console,
) -> ReplayResult:
    broker = Broker("127.0.0.1", stack.broker_port, stack.broker_user, stack.broker_password)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} s"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        total_s = sum(recording.duration_s for recording in recordings)
        task = progress.add_task(f"{len(recordings)} recordings", total=total_s)
        return run_replay(
            recordings,
            broker,
            clock,
            worn=worn,
            speed_mps=riding_mps,
            stop=threading.Event(),
            on_progress=lambda played_s, _: progress.update(task, completed=played_s),
        )


def summarise(result: ReplayResult, alerts: list[dict[str, Any]], seen: list[Seen]) -> dict[str, Any]:
    """The object that `--json` prints.

    `latency_ms` runs from the publication of the frame that completed the first decision to the arrival of the
    alert on the desk's feed.
    """
    first: dict[str, Seen] = {}
    for event in seen:
        first.setdefault(event.data["alert"]["id"], event)
    out = []
    for alert in alerts:
        recording, t0_us = result.helmets[alert["helmet"]], result.t0_us[alert["helmet"]]
        event = first[alert["id"]]
        shown = event.data["alert"]
        published_ns = result.published.get((shown["helmet"], shown["boot"], shown["frame_seq"]))
        out.append(
            {
                "helmet": alert["helmet"],
                "recording": recording.name,
                "occurred_s": round((alert["occurred_us"] - t0_us) / 1e6, 3),
                "impacts_s": [round((t - t0_us) / 1e6, 3) for t in alert["impacts_us"]],
                "kind": alert["kind"],
                "severity": alert["severity"],
                "state": alert["state"],
                "stage": alert["stage"],
                "reason": alert["reason_en"],
                "latency_ms": None if published_ns is None else round((event.at_ns - published_ns) / 1e6, 1),
            }
        )
    return {"recordings": len(result.helmets), "frames": result.frames, "alerts": out}


def _print(report: dict[str, Any], as_json: bool, console: Console) -> None:
    if as_json:
        print_json(report)
        return
    console.print(
        f"{report['recordings']} recordings, {report['frames']} frames, {len(report['alerts'])} alerts"
    )
    for alert in report["alerts"]:
        impacts = ", ".join(f"{t:.2f}" for t in alert["impacts_s"])
        console.print(
            f"[bold]{alert['recording']}[/] at {alert['occurred_s']:.2f} s: {alert['kind']}, severity "
            f"{alert['severity']}, {alert['state']}; impacts at {impacts} s; {alert['latency_ms']} ms\n"
            f"  {alert['reason']}",
            highlight=False,
        )
