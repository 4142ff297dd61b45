"""What the simulator itself can do on this machine: `python -m bench.simulator`, against a mosquitto of its own.

A crowd of 30,000 helmets in real time, without and with its ledger; 5,000 connections from one process, also over a
broker that is killed; 2,000 helmets that share four connections. Written to `simulator.json`.
"""

import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from app.stack import free_port, listens
from bench.results import out_option, write_json
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
persistence true
persistence_location {folder}/
"""
_DOWN_S = 2.0
"""So long a killed broker is away."""


class Mosquitto:
    """A broker that can be killed and come back on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._settings = folder / "mosquitto.conf"
        self._settings.write_text(_MOSQUITTO.format(port=self.port, folder=folder))
        self.start()

    def start(self) -> None:
        """Starts it and waits until it listens."""
        self._process = subprocess.Popen(["mosquitto", "-c", str(self._settings)], stderr=subprocess.DEVNULL)
        while not listens(self.port):
            time.sleep(0.05)

    def stop(self, kill: bool = False) -> None:
        """Ends it, with SIGKILL or in order."""
        (self._process.kill if kill else self._process.terminate)()
        self._process.wait(10)


@contextmanager
def mosquitto() -> Iterator[Mosquitto]:
    """A broker for one measurement."""
    with tempfile.TemporaryDirectory(prefix="helmetwatch-bench-") as folder:
        broker = Mosquitto(Path(folder))
        try:
            yield broker
        finally:
            broker.stop()


def crowd(helmets: int, seconds: float, with_ledger: bool) -> dict[str, Any]:
    """Frames of a crowd, made alone and published in real time."""
    made = Crowd(helmets, 1, 1_767_225_600_000_000)
    began = time.process_time()
    for part in range(20):
        made.frames(slice(part * helmets // 20, (part + 1) * helmets // 20), 3)
    generated_s = time.process_time() - began
    with mosquitto() as broker, tempfile.TemporaryDirectory() as folder:
        run = run_crowd(
            helmets,
            1,
            Broker("127.0.0.1", broker.port),
            SystemClock(),
            duration_s=seconds,
            ledger=Path(folder) / "ledger.jsonl" if with_ledger else None,
            stop=threading.Event(),
        )
    return {
        "helmets": helmets,
        "core_share_of_making_frames": round(generated_s, 3),
        "core_share": round(run.cpu_s / run.seconds, 3),
        "frames_per_s": round(run.sent / run.seconds),
        "frames": run.sent,
        "without_puback": run.sent - run.acknowledged,
        "most_behind_s": round(run.behind_s, 3),
    }


def fleet(helmets: int, seconds: float, connections: int | None, killed_after_s: float = 0) -> dict[str, Any]:
    """A fleet with full physics; without `connections` each helmet signs in, subscribes and leaves a Last Will."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    seen: list[tuple[float, Progress]] = []
    with mosquitto() as broker, tempfile.TemporaryDirectory() as folder:
        began, cpu = time.monotonic(), time.process_time()
        killer = threading.Thread(target=_kill, args=(broker, killed_after_s))
        killer.start()
        summary = run_fleet(
            Scenario("bench", helmets),
            Broker("127.0.0.1", broker.port),
            SystemClock(),
            ledger=Path(folder) / "ledger.jsonl",
            connections=connections,
            duration_s=seconds,
            stop=threading.Event(),
            on_progress=lambda progress: seen.append((time.monotonic() - began, progress)),
        )
        took_s = time.monotonic() - began
        killer.join()
    most = max((p.connected for _, p in seen), default=0)
    report = {
        "helmets": helmets,
        "connections": most,
        "frames": summary.end.frames,
        "without_puback": summary.end.frames - summary.end.acked,
        "puback_ms_50_99": [round(ms, 1) for ms in summary.end.ack_ms],
        "most_behind_s": round(max((p.behind_s for _, p in seen[3:]), default=0.0), 2),
        "took_s": round(took_s, 1),
        "core_share": round((time.process_time() - cpu) / took_s, 2),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if killed_after_s:
        back = next((at for at, p in seen if at > killed_after_s + _DOWN_S and p.connected == most), None)
        report["all_back_after_s"] = None if back is None else round(back - killed_after_s - _DOWN_S, 1)
    return report


def _kill(broker: Mosquitto, after_s: float) -> None:
    if after_s:
        time.sleep(after_s)
        broker.stop(kill=True)
        time.sleep(_DOWN_S)
        broker.start()


@click.command()
@click.option("--helmets", default=30_000, show_default=True, help="Of the crowd.")
@click.option("--connections", default=5000, show_default=True, help="Of the fleet with a connection each.")
@click.option("--seconds", default=30.0, show_default=True, help="Of each measurement.")
@out_option
def main(helmets: int, connections: int, seconds: float, out: Path) -> None:
    """Measure the simulator against a local mosquitto."""
    if shutil.which("mosquitto") is None:
        sys.exit("mosquitto is not installed: apt-get install mosquitto")
    # The peak of memory is of all so far, so what needs less comes first.
    report = {
        "shared_connections": fleet(2000, seconds, 4),
        "own_connections": fleet(connections, seconds, None),
        "own_connections_broker_killed": fleet(connections, 2 * seconds, None, killed_after_s=seconds / 2),
        "crowd": crowd(helmets, seconds, with_ledger=False),
        "crowd_with_ledger": crowd(helmets, seconds, with_ledger=True),
    }
    write_json(out / "simulator.json", report)
    for part, found in report.items():
        for name, value in found.items():
            click.echo(f"{part:30} {name:28} {value}")


if __name__ == "__main__":
    main()
