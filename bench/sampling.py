"""Samples of a running stack: every few seconds, thinned to the largest of half a minute, as CSV."""

import csv
import os
import time
from pathlib import Path

from app.stack import Stack, StackError
from bench import scrape

EVERY_S = 5.0
LINE_S = 30.0

Sample = dict[str, float]
"""Values by column; `t_s` is the time since the start."""

_WORKER = {
    "queue": "helmetwatch_queue_messages",
    "rows_waiting": "helmetwatch_telemetry_rows_waiting",
    "rows_stored": "helmetwatch_telemetry_rows_stored_total",
    "undelivered": "helmetwatch_detections_undelivered",
    "acknowledged": "helmetwatch_messages_acknowledged_total",
    "helmets": "helmetwatch_helmets",
}
_FILES = {"journal_mb": "journal.db", "telemetry_mb": "telemetry.db", "alerts_mb": "alerts.db"}


class Sampler:
    """Takes a sample whenever one is due."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._began = time.monotonic()
        self.samples: list[Sample] = []

    def turn(self) -> Sample | None:
        """The sample taken, or None where none was due; raises `StackError` where a process has ended."""
        t_s = time.monotonic() - self._began
        if self.samples and t_s < self.samples[-1]["t_s"] + EVERY_S:
            return None
        # What else the machine does, without which no latency can be judged.
        sample = {"t_s": round(t_s, 2), "load_1min": round(os.getloadavg()[0], 2)}
        for name in ("worker", "desk", "broker"):
            try:
                found = scrape.process(self._stack.processes[name].pid)
            except StackError as error:
                raise StackError(f"{name}: {error}\n{self._stack.said(name)}") from None
            sample |= {f"{name}_{key}": round(value, 2) for key, value in found.items()}
        said = scrape.metrics(self._stack)
        sample |= {column: said.get(name, float("nan")) for column, name in _WORKER.items()}
        for column, file in _FILES.items():
            sample[column] = round(scrape.size_mb(self._stack.folder / file), 2)
        self.samples.append(sample)
        return sample


def thinned(samples: list[Sample]) -> list[Sample]:
    """For each half minute the largest value of each column: a queue's peak must not be averaged away."""
    lines: dict[int, Sample] = {}
    for sample in samples:
        line = lines.setdefault(int(sample["t_s"] // LINE_S), dict(sample))
        for column, value in sample.items():
            line[column] = max(line[column], value)
    return list(lines.values())


def write_csv(path: Path, lines: list[Sample]) -> None:
    """Writes one line each, with a first line of names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.10g}" for k, v in line.items()} for line in lines)
