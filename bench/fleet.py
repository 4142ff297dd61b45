"""A simulated fleet beside a stack: started, accounted for, and how fast its crashes were on the feed."""

import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from app.stack import Stack
from app.watch import Seen
from bench.scrape import metrics
from core.model import Kind
from simulator.ledger import Ledger

_DECIDED_S = 12.0
"""After the last frame: the last decision about a crash is due 10 s after it."""


class Reached(NamedTuple):
    """An alert that reached the feed: when what it needed was sent, and how long it took from there."""

    sent_us: int
    ms: float


def start(
    stack: Stack, helmets: int, seconds: float, crashes_per_h: float, ledger: Path, sos_per_s: float = 0.0
) -> subprocess.Popen[bytes]:
    """Starts `bench.riders` for so long; its end is not an end of the stack."""
    command = [sys.executable, "-m", "bench.riders", str(stack.config), str(helmets), str(seconds)]
    command += [str(crashes_per_h), str(sos_per_s), str(ledger)]
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
    found = []
    for alert, at_us in _first(seen):
        if alert["kind"] == Kind.SOS:
            continue
        times = ledger.published.get((alert["helmet"], alert["boot"], alert["frame_seq"]))
        if times is not None:
            found.append(Reached(times[1], (at_us - times[1]) / 1e3))
    return sorted(found)


def pressed(seen: list[Seen]) -> list[Reached]:
    """From the press of an SOS button, by the helmet's clock, to the alert's first line on the feed.

    The simulator's own lateness in sending it is in there.
    """
    found = [(alert["occurred_us"], at_us) for alert, at_us in _first(seen) if alert["kind"] == Kind.SOS]
    return sorted(Reached(t_us, (at_us - t_us) / 1e3) for t_us, at_us in found)


def unheard(found: list[Reached], ledger: Ledger, until_us: int) -> int:
    """How many presses of SOS before a moment have no alert: one raised by the same millisecond, or the next."""
    heard = Counter(t_us // 1000 for t_us, _ in found)
    presses = [c.t_us // 1000 for c in ledger.crashes if c.kind == Kind.SOS and c.t_us < until_us]
    return sum(not (heard[ms - 1] or heard[ms] or heard[ms + 1]) for ms in presses)


def without_sos(ledger: Ledger, alerts: list[dict[str, Any]]) -> tuple[Ledger, list[dict[str, Any]]]:
    """The blows alone, and the alerts that may be about them."""
    blows = [crash for crash in ledger.crashes if crash.kind != Kind.SOS]
    return replace(ledger, crashes=blows), [alert for alert in alerts if alert["kind"] != Kind.SOS]


def _first(seen: list[Seen]) -> Iterable[tuple[dict[str, Any], int]]:
    """Each alert as it first came by the feed, and when."""
    first: dict[str, tuple[dict[str, Any], int]] = {}
    for event in seen:
        first.setdefault(event.data["alert"]["id"], (event.data["alert"], event.at_us))
    return first.values()


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
    """The 99th percentile of latencies by that of others, with its 95 % interval (bootstrap, 4,000 resamplings).

    What a resampled value's place is among the measured ones is drawn directly: the m-th of n uniform numbers has
    the distribution Beta(m, n - m + 1).
    """
    rng = np.random.default_rng(1)
    several = []
    for x in (np.sort(ms), np.sort(other)):
        n, m = len(x), math.ceil(0.99 * len(x))
        several.append(x[(n * rng.beta(m, n - m + 1, 4000)).astype(int).clip(0, n - 1)])
    low, high = np.percentile(several[0] / several[1], (2.5, 97.5))
    ratio = _percentile(np.sort(ms), 99) / _percentile(np.sort(other), 99)
    return round(ratio, 3), round(float(low), 3), round(float(high), 3)


def _percentile(ordered: npt.NDArray[np.float64], q: float) -> float:
    """One of the measured values: the smallest that so many per cent do not exceed."""
    return round(float(np.percentile(ordered, q, method="inverted_cdf")), 1)
