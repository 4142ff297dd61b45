"""What the simulator itself can do on this machine: `python -m bench.simulator [--json]`.

A crowd of 30,000 helmets in real time, and 5,000 connections from one process, against a mosquitto of its own.
"""

import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import click

from app.stack import free_port, listens, print_json
from core.clock import SystemClock
from simulator.connections import Broker
from simulator.crowd import run_crowd
from simulator.crowd_frames import Crowd
from simulator.fleet import Progress, run_fleet
from simulator.scenario import Scenario

_MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
max_inflight_messages 65000
max_queued_messages 100000
"""


def crowd(port: int, helmets: int, seconds: float) -> dict[str, Any]:
    """Frames of a crowd, made alone and published in real time."""
    made = Crowd(helmets, 1, 1_767_225_600_000_000)
    began = time.process_time()
    for part in range(20):
        made.frames(slice(part * helmets // 20, (part + 1) * helmets // 20), 3)
    generated_s = time.process_time() - began
    broker = Broker("127.0.0.1", port)
    run = run_crowd(helmets, 1, broker, SystemClock(), duration_s=seconds, stop=threading.Event())
    return {
        "crowd_helmets": helmets,
        "crowd_generated_core_share": round(generated_s, 3),
        "crowd_core_share": round(run.cpu_s / run.seconds, 3),
        "crowd_frames_per_s": round(run.sent / run.seconds),
        "crowd_lost": run.sent - run.acknowledged,
        "crowd_behind_s": round(run.behind_s, 3),
    }


def connected(port: int, helmets: int, seconds: float) -> dict[str, Any]:
    """A fleet whose helmets each sign in, subscribe and leave a Last Will."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    seen: list[Progress] = []
    began, cpu = time.monotonic(), time.process_time()
    stop = threading.Event()
    summary = run_fleet(
        Scenario("connections", helmets),
        Broker("127.0.0.1", port),
        SystemClock(),
        connections=None,
        duration_s=seconds,
        stop=stop,
        on_progress=seen.append,
    )
    return {
        "connections": max((p.connected for p in seen), default=0),
        "connections_frames": summary.end.frames,
        "connections_acknowledged": summary.end.acked,
        "connections_ack_ms": [round(ms, 1) for ms in summary.end.ack_ms],
        "connections_behind_s": round(max((p.behind_s for p in seen[3:]), default=0.0), 2),
        "connections_took_s": round(time.monotonic() - began, 1),
        "connections_core_share": round((time.process_time() - cpu) / (time.monotonic() - began), 2),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


@click.command()
@click.option("--helmets", default=30_000, show_default=True, help="Of the crowd.")
@click.option("--connections", default=5000, show_default=True, help="Of the fleet with a connection each.")
@click.option("--seconds", default=20.0, show_default=True, help="Of each measurement.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(helmets: int, connections: int, seconds: float, as_json: bool) -> None:
    """Measure the simulator against a local mosquitto."""
    if shutil.which("mosquitto") is None:
        sys.exit("mosquitto is not installed: apt-get install mosquitto")
    with tempfile.TemporaryDirectory(prefix="helmetwatch-bench-") as folder:
        port = free_port()
        settings = Path(folder) / "mosquitto.conf"
        settings.write_text(_MOSQUITTO.format(port=port))
        broker = subprocess.Popen(["mosquitto", "-c", str(settings)], stderr=subprocess.DEVNULL)
        try:
            while not listens(port):
                time.sleep(0.05)
            report = crowd(port, helmets, seconds) | connected(port, connections, seconds)
        finally:
            broker.terminate()
            broker.wait(10)
    if as_json:
        print_json(report)
        return
    for name, value in report.items():
        click.echo(f"{name:32} {value}")


if __name__ == "__main__":
    main()
