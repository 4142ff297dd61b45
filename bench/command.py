"""`helmetwatch bench`: a worker behind a real mosquitto, its rate, its cost by stage, and its latency."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from rich.console import Console
from rich.table import Table

from app.reconcile import reconcile
from app.services import fail
from app.stack import Stack, StackError, print_json, running
from app.watch import Watcher
from bench import fleet
from bench.desk import desk
from bench.outage import outage
from bench.page import page
from bench.scrape import metrics as metrics
from bench.soak import soak
from core.config import load
from ingest.codec import topic
from simulator.helmet import Helmets
from simulator.ledger import read_ledger
from simulator.scenario import load as load_scenario
from storage import open_store


@click.group(invoke_without_command=True)
@click.pass_context
@click.option(
    "--helmets", default=2000, show_default=True, type=click.IntRange(1), help="Riding at 1 frame/s."
)
@click.option("--quick", is_flag=True, help="Under a minute: 15 s of load and 15,000 frames of backlog.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench(context: click.Context, helmets: int, quick: bool, as_json: bool) -> None:
    """Measure a worker behind a real mosquitto on this machine; `soak`, `outage`, `page` and `desk` are others.

    First a fleet rides in real time and crashes: latency from the publication of the frame that completed the
    decision to the alert on the feed. Then a backlog is drained twice, by a client that only counts and by the
    worker: frames a second and processor time by stage. Everything shares this machine's cores.
    """
    # Without it the parts of the stack would outlive us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if context.invoked_subcommand:
        return
    seconds, backlog = (15.0, 15_000) if quick else (60.0, 60_000)
    console = Console(stderr=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="helmetwatch-bench-") as name,
            console.status("starting") as status,
            running(Path(name), kind="mosquitto") as stack,
        ):
            status.update(f"{helmets} helmets ride for {seconds:.0f} s")
            report = ride(stack, helmets, seconds)
            status.update(f"draining {backlog} frames, twice")
            report |= drain(stack, backlog)
    except StackError as error:
        raise fail(str(error)) from None
    if as_json:
        print_json(report)
    else:
        _print(report)


def ride(stack: Stack, helmets: int, seconds: float) -> dict[str, Any]:
    """A fleet in real time, with crashes: nothing lost, no growing queue, and how fast alerts are there."""
    ledger_file = stack.folder / "ledger.jsonl"
    queue = []
    with Watcher(stack.url, stack.name, stack.password) as desk:
        riding = fleet.start(stack, helmets, seconds, 3600 * 4, ledger_file)
        while riding.poll() is None:
            time.sleep(0.5)
            queue.append(metrics(stack)["helmetwatch_queue_messages"])
        if riding.returncode:
            raise StackError(f"the fleet ended with code {riding.returncode}:\n{stack.said('fleet')}")
        fleet.settle(stack, fleet.acknowledged(ledger_file))
        alerts, seen = desk.alerts(), desk.seen
    ledger = read_ledger(ledger_file)
    store = open_store(load(stack.config).storage)
    account = reconcile(ledger, set(store.keys()), alerts)
    store.close()
    sent = [alert.ms for alert in fleet.reached(seen, ledger)]
    return {
        "helmets": helmets,
        "seconds": seconds,
        "frames": len(ledger.published),
        "acknowledged": account.acknowledged,
        "lost": len(account.lost),
        "collisions": account.collisions,
        "alerted": account.collisions - len(account.missed),
        "false": len(account.false),
        "queue_max": max(queue, default=0),
        "queue_end": queue[-1] if queue else 0,
        "latency": fleet.latency(sent),
    }


def drain(stack: Stack, frames: int) -> dict[str, Any]:
    """The same backlog through a client that only counts, and through the worker."""
    counting = [sys.executable, "-m", "bench.counting", str(stack.broker_port), stack.broker_user]
    _count(counting, stack, 0)
    stack.stop("worker")
    _publish(stack, frames)
    counted = _count(counting, stack, frames)
    stack.start_worker()
    stack.wait("the worker answers", lambda: bool(metrics(stack)))
    # The restart itself replays the journal; what counts is what comes from the broker after it.
    began, before = time.perf_counter(), metrics(stack)
    while (now := metrics(stack)).get("helmetwatch_messages_acknowledged_total", 0) < frames:
        if time.perf_counter() - began > 300:
            raise StackError("the worker did not drain the backlog in 300 s")
        if not now.get("helmetwatch_messages_acknowledged_total"):
            began, before = time.perf_counter(), now
        time.sleep(0.02)
    took_s = time.perf_counter() - began
    cpu = {
        key[len(_STAGE) : -2]: round((value - before.get(key, 0)) / frames * 1e6, 2)
        for key, value in now.items()
        if key.startswith(_STAGE)
    }
    cpu["process"] = round(
        (now["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / frames * 1e6, 2
    )
    return {
        "backlog": frames,
        "paho_counting_frames_per_s": round(counted["frames_per_s"]),
        "worker_frames_per_s": round(frames / took_s),
        "worker_to_paho": round(frames / took_s / counted["frames_per_s"], 3),
        "cpu_us_per_frame": cpu,
        "paho_counting_cpu_us_per_frame": round(counted["cpu_s"] / frames * 1e6, 2),
    }


_STAGE = 'helmetwatch_stage_cpu_seconds_total{stage="'


def _count(command: list[str], stack: Stack, expected: int) -> dict[str, float]:
    done = subprocess.run(
        [*command, str(expected)], input=stack.broker_password, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StackError(f"the counting client failed: {done.stderr[-500:]}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _publish(stack: Stack, frames: int) -> None:
    """Puts a backlog of a fleet's frames into the sessions of those who are away."""
    helmets = Helmets(load_scenario(2000, 1.0, 0.0), time.time_ns() // 1000 - frames // 2000 * 1_000_000)
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set(stack.broker_user, stack.broker_password)
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", stack.broker_port)
    client.loop_start()
    sent = 0
    last = None
    while sent < frames:
        for frame in helmets.prepare(np.arange(2000))[: frames - sent]:
            last = client.publish(topic(helmets.ids[frame.index], "motion"), frame.payload, 1)
            sent += 1
    if last is not None:
        last.wait_for_publish(120)
    client.disconnect()


def _print(report: dict[str, Any]) -> None:
    table = Table("measured here, now", "", box=None)
    for name, value in report.items():
        table.add_row(name.replace("_", " "), json.dumps(value) if isinstance(value, dict) else str(value))
    Console().print(table)


bench.add_command(soak)
bench.add_command(outage)
bench.add_command(page)
bench.add_command(desk)
