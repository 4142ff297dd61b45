"""A simulated fleet beside a stack: started, accounted for, and how fast its crashes were on the feed."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from app.stack import Stack
from app.watch import Seen
from bench.scrape import metrics
from simulator.ledger import Ledger

_DECIDED_S = 12.0
"""After the last frame: the last decision about a crash is due 10 s after it."""


class Reached(NamedTuple):
    """An alert that reached the feed: when the frame was sent that completed its decision, and how long it took."""

    sent_us: int
    ms: float


def start(
    stack: Stack, helmets: int, seconds: float, crashes_per_h: float, ledger: Path
) -> subprocess.Popen[bytes]:
    """Starts `bench.riders` for so long; its end is not an end of the stack."""
    command = [sys.executable, "-m", "bench.riders", str(stack.config), str(helmets), str(seconds)]
    command += [str(crashes_per_h), str(ledger)]
    stack.start("fleet", command)
    return stack.processes.pop("fleet")


def acknowledged(ledger: Path) -> int:
    """How often the broker acknowledged a frame; an hour's ledger need not be held in memory to know."""
    with ledger.open(encoding="utf-8") as file:
        return sum(line.startswith('["acked"') for line in file)


def followed(ledger: Ledger) -> Ledger:
    """The ledger of a fleet that was stopped in mid-ride: a crash counts by the frame after the one it begins in.

    Stopped between the two, the frame may hold a hundredth of a second of it, and its blow was never sent.
    """
    return replace(ledger, crashes=[replace(crash, seq=crash.seq + 1) for crash in ledger.crashes])


def settle(stack: Stack, acknowledged: int) -> None:
    """Waits until the worker has had so many frames, has decided and has stored everything.

    Raises `StackError` where that takes more than 10 minutes.
    """

    def frames() -> float:
        return sum(n for name, n in metrics(stack).items() if name.startswith("helmetwatch_frames_total"))

    stack.wait("every frame has come to the worker", lambda: frames() >= acknowledged, 600)
    time.sleep(_DECIDED_S)
    stack.wait("everything is stored", lambda: metrics(stack)["helmetwatch_telemetry_rows_waiting"] == 0, 600)
    stack.wait("the desk has it", lambda: metrics(stack)["helmetwatch_detections_undelivered"] == 0, 600)


def reached(seen: list[Seen], ledger: Ledger) -> list[Reached]:
    """From the publication of the frame that completed an alert's first decision to its first line on the feed."""
    first: dict[str, tuple[dict[str, Any], int]] = {}
    for event in seen:
        first.setdefault(event.data["alert"]["id"], (event.data["alert"], event.at_us))
    found = []
    for alert, at_us in first.values():
        times = ledger.published.get((alert["helmet"], alert["boot"], alert["frame_seq"]))
        if times is not None:
            found.append(Reached(times[1], (at_us - times[1]) / 1e3))
    return sorted(found)


def latency(ms: list[float]) -> dict[str, Any]:
    """Median, 99th percentile and longest of latencies, with the 95 % confidence interval of the 99th.

    The interval is that of order statistics (no distribution assumed); its upper end is null where too few were
    measured to bound it.
    """
    if not ms:
        return {"n": 0}
    ordered = np.sort(ms)
    n = len(ordered)
    low, high = (int(stats.binom.ppf(q, n, 0.99)) for q in (0.025, 0.975))
    return {
        "n": n,
        "p50_ms": _percentile(ordered, 50),
        "p99_ms": _percentile(ordered, 99),
        "p99_low_ms": round(float(ordered[max(low - 1, 0)]), 1),
        "p99_high_ms": round(float(ordered[high]), 1) if high < n else None,
        "max_ms": round(float(ordered[-1]), 1),
    }


def ratio_of_p99(ms: list[float], other: list[float]) -> tuple[float, float, float]:
    """The 99th percentile of latencies by that of others, with its 95 % interval (bootstrap of percentiles, 4,000)."""
    rng = np.random.default_rng(1)
    several = [np.percentile(rng.choice(x, (4000, len(x))), 99, axis=1) for x in (ms, other)]
    low, high = np.percentile(several[0] / several[1], (2.5, 97.5))
    ratio = np.percentile(ms, 99) / np.percentile(other, 99)
    return round(float(ratio), 3), round(float(low), 3), round(float(high), 3)


def _percentile(ordered: npt.NDArray[np.float64], q: float) -> float:
    """One of the measured values: the smallest that so many per cent do not exceed."""
    return round(float(np.percentile(ordered, q, method="inverted_cdf")), 1)
