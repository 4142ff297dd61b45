"""Journals for the tests: content for them, and what a kill, a power cut or a bad disk leaves of one."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from frames import NOW_US, frames

from core import metrics
from core.model import Detection, Kind, Stage
from ingest.journal import Taken
from ingest.telemetry import summarise

NOTHING = Taken([], [])


def detection(incident: str, version: int = 1) -> Detection:
    return Detection(
        incident, version, "SF-1", Kind.FALL, Stage.CONFIRMED, 1, "context", "C", NOW_US, [NOW_US], NOW_US, NOW_US,
        1, 2, "跌倒", "fall",
    )  # fmt: skip


def rows(count: int = 3, first: int = 0) -> Any:
    """Telemetry rows, each with a sequence number of its own."""
    made = summarise(frames(np.ones((count, 2, 3), np.int16)))
    made["seq"] = np.arange(first, first + count)
    return made


def left_by_kill(path: Path, folder: Path) -> Path:
    """What kill -9 leaves at this moment: the files as they are, without anybody's lock."""
    folder.mkdir()
    for suffix in ("", "-wal"):
        file = path.with_name(path.name + suffix)
        if file.exists():
            shutil.copyfile(file, folder / file.name)
    return folder / path.name


def wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def lost(what: str | None = None) -> float:
    """Entries counted as lost so far, of one kind or of all."""
    samples = [s for m in metrics.JOURNAL_LOST.collect() for s in m.samples if s.name.endswith("_total")]
    return sum(s.value for s in samples if what in (None, s.labels["what"]))
