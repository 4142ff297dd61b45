"""`helmetwatch demo`: broker, worker, desk and a simulated fleet on this machine, until Ctrl-C."""

import csv
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import click
from rich.console import Console
from rich.panel import Panel

from app.services import fail
from app.stack import Stack, StackError, listens, running
from simulator.scenario import Scenario
from simulator.scenario import demo as demo_scenario

_SURNAMES = "王李张刘陈杨黄赵周吴徐孙马朱胡林郭何高罗"
_GIVEN = [
    "伟",
    "强",
    "磊",
    "军",
    "勇",
    "杰",
    "涛",
    "明",
    "超",
    "刚",
    "平",
    "辉",
    "鹏",
    "华",
    "飞",
    "敏",
    "静",
    "丽",
    "建国",
    "志强",
]


@click.command()
@click.option(
    "--helmets", default=100, show_default=True, type=click.IntRange(1, 5000), help="How many ride."
)
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Of the page; 0 for any."
)
@click.option("--seed", default=1, show_default=True, help="Same seed, same rides and crashes.")
@click.option("--for", "duration_s", type=click.FloatRange(1), help="Seconds; without it until Ctrl-C.")
def demo(helmets: int, port: int, seed: int, duration_s: float | None) -> None:
    """See it work: a simulated fleet rides, crashes, and the desk hears of it.

    Everything runs on the loopback address in a temporary folder and leaves nothing behind.
    """
    console = Console(stderr=True)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if port and listens(port):
        console.print(f"port {port} is taken; using another")
        port = 0
    with tempfile.TemporaryDirectory(prefix="helmetwatch-demo-") as name:
        folder = Path(name)
        _write_riders(folder / "riders.csv", demo_scenario(helmets, seed))
        options = {"alerts": {"riders_file": str(folder / "riders.csv")}}
        try:
            console.print("starting broker, desk and worker")
            with running(folder, port=port, options=options) as stack:
                _ride(stack, console, stop, ["--helmets", str(helmets), "--seed", str(seed)], duration_s)
                console.print("stopping")
        except StackError as error:
            raise fail(str(error)) from None
    console.print("stopped")


def _ride(
    stack: Stack, console: Console, stop: threading.Event, fleet: list[str], duration_s: float | None
) -> None:
    command = [sys.executable, "-m", "app.cli", "simulate", "--config", str(stack.config), *fleet]
    stack.start("fleet", command)
    console.print(
        Panel(
            f"the desk   [bold]{stack.url}[/]\n"
            f"name       [bold]{stack.name}[/]\n"
            f"password   [bold]{stack.password}[/]   (made for this run)\n\n"
            f"{fleet[1]} helmets ride. The first rider crashes in about half a minute; something happens every "
            "minute or so after that.\nCtrl-C stops all of it.",
            title="Helmetwatch",
            width=100,
        ),
        highlight=False,
    )
    ends = None if duration_s is None else time.monotonic() + duration_s
    while not stop.wait(0.5):
        for name, process in stack.processes.items():
            if process.poll() is not None:
                raise StackError(f"{name} ended with code {process.returncode}:\n{stack.said(name)}")
        if ends is not None and time.monotonic() > ends:
            return


def _write_riders(path: Path, scenario: Scenario) -> None:
    """Invented names and numbers that belong to nobody, so that alerts speak of persons."""
    rng = random.Random(scenario.seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["helmet", "name", "phone"])
        for i in range(scenario.helmets):
            phone = f"+86 100 0000 {i % 10000:04d}"
            rows.writerow([scenario.helmet_id(i), rng.choice(_SURNAMES) + rng.choice(_GIVEN), phone])
