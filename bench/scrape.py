"""What the processes of a stack say of themselves: the worker's metrics, and what the kernel knows."""

import os
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from app.stack import Stack, StackError
from core.config import load

_MB = 1 << 20


def metrics(stack: Stack) -> dict[str, float]:
    """The worker's metrics by name and labels; empty where it does not answer yet."""
    port = load(stack.config).ingest.metrics_port
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    values = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{k}="{v}"' for k, v in sample.labels.items())
            values[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return values


def process(pid: int) -> dict[str, float]:
    """Resident memory, open file descriptors, threads and processor time of a process (Linux).

    Raises `StackError` where it is gone.
    """
    folder = Path(f"/proc/{pid}")
    try:
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        # utime and stime, counted after the name, which may hold spaces (proc_pid_stat(5)).
        times = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
        descriptors = len(list((folder / "fd").iterdir()))
        resident_kb = int(status["VmRSS"].split()[0])
    except (FileNotFoundError, ProcessLookupError, KeyError):
        # A process that has ended and was not waited for has no memory.
        raise StackError(f"process {pid} has ended") from None
    return {
        "rss_mb": resident_kb / 1024,
        "fds": descriptors,
        "threads": int(status["Threads"]),
        "cpu_s": sum(map(int, times)) / os.sysconf("SC_CLK_TCK"),
    }


def size_mb(path: Path) -> float:
    """Size of a SQLite database with its log; what is not there has none."""
    files = (path.with_name(path.name + suffix) for suffix in ("", "-wal"))
    return sum(file.stat().st_size for file in files if file.exists()) / _MB
