"""Stage 1 of the detector alone: samples a second and core, bytes a helmet, and cost from 100 to 100,000 helmets.

`python -m bench.detection`; ObsPy's compiled recursive STA/LTA runs over the same traces beside it where it is
installed (`pip install --group bench`). One thread, processor time, best of the rounds: a shared machine slows
wall clocks, not the count of what was done.
"""

import importlib
import json
import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from core.model import Frames, Strap, Worn
from detectors import Fleet

_RATE_HZ = 100
_SCALE_G = 16 / 32768
_BLOCK = 1000
"""Helmets that get the same second: what matters is how many there are, not that all differ."""
_SIZES = (100, 1_000, 10_000, 100_000)
_STA_S, _LTA_S = 0.05, 10.0


def _second(helmets: int, seq: int, counts: npt.NDArray[np.int16]) -> Frames:
    """One frame of a second of each helmet: a worn helmet on a road, nothing past the gate."""
    t0_us = 1_700_000_000_000_000 + seq * 1_000_000
    return Frames.of(
        [""] * helmets,
        counts,
        seq=seq,
        t0_us=t0_us,
        received_us=t0_us + 1_000_000,
        period_ns=1_000_000_000 // _RATE_HZ,
        full_scale_g=16,
        g_per_count=_SCALE_G,
        worn=Worn.YES,
        strap=Strap.CLOSED,
        speed_mps=6,
    )


def _road(helmets: int) -> npt.NDArray[np.int16]:
    """(helmets, 100, 3) counts of riding at 0.12 g RMS."""
    rng = np.random.default_rng(1)
    g = np.array([0.0, 0.0, 1.0]) + rng.normal(0, 0.12, (min(helmets, _BLOCK), _RATE_HZ, 3)) * [0.3, 0.3, 1.0]
    block = np.round(g / _SCALE_G).astype(np.int16)
    return np.tile(block, (-(-helmets // _BLOCK), 1, 1))[:helmets]


def stage1(helmets: int, rounds: int) -> dict[str, float]:
    """Seconds of processor time a fleet second takes, and bytes of state a helmet, of so many helmets."""
    fleet, counts = Fleet(), _road(helmets)
    tracks = np.arange(helmets)
    spent = []
    for seq in range(rounds + 3):
        frames = _second(helmets, seq, counts)
        index = np.full(helmets, seq * _RATE_HZ)
        start = time.process_time()
        said = fleet.push(frames, tracks, index, 0)
        spent.append(time.process_time() - start)
        if said:
            raise RuntimeError("the bench's quiet road raised an alert")
    # The first rounds reserve memory.
    best = min(spent[3:])
    return {
        "helmets": helmets,
        "seconds": best,
        "median_seconds": float(np.median(spent[3:])),
        "samples_per_s": helmets * _RATE_HZ / best,
        "bytes_per_helmet": fleet.nbytes / helmets,
    }


def _sta_lta() -> Callable[[npt.NDArray[np.float64], int, int], Any] | None:
    try:
        trigger: Any = importlib.import_module("obspy.signal.trigger")
    except ImportError:
        return None
    found: Callable[[npt.NDArray[np.float64], int, int], Any] = trigger.recursive_sta_lta
    return found


def obspy(helmets: int) -> dict[str, float] | None:
    """The same seconds through ObsPy, one call a trace of resultants; the resultant is not counted."""
    run = _sta_lta()
    if run is None:
        return None
    counts = _road(helmets).astype(np.float64)
    traces = np.sqrt(np.square(counts).sum(-1))
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        for trace in traces:
            run(trace, round(_STA_S * _RATE_HZ), round(_LTA_S * _RATE_HZ))
        best = min(best, time.process_time() - start)
    # And the most ObsPy could do: one trace of everything end to end, without a call for each helmet.
    whole = traces.reshape(-1)
    start = time.process_time()
    run(whole, round(_STA_S * _RATE_HZ), round(_LTA_S * _RATE_HZ))
    one = time.process_time() - start
    return {
        "helmets": helmets,
        "samples_per_s": helmets * _RATE_HZ / best,
        "one_long_trace_samples_per_s": helmets * _RATE_HZ / one,
    }


@click.command()
@click.option("--rounds", default=30, show_default=True, type=click.IntRange(3), help="Seconds of the fleet.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(rounds: int, as_json: bool) -> None:
    """Measure stage 1 of the detector."""
    sizes = [stage1(n, max(5, rounds // (1 + n // 20_000))) for n in _SIZES]
    report: dict[str, Any] = {"stage1": sizes, "obspy": obspy(10_000)}
    if as_json:
        print(json.dumps(report))
        return
    table = Table(title="Stage 1: gate, ring, health and wear; one core")
    for column in (
        "helmets",
        "ms a second",
        "median",
        "million samples/s (x, y, z)",
        "median",
        "bytes a helmet",
    ):
        table.add_column(column, justify="right")
    for r in sizes:
        table.add_row(
            f"{r['helmets']:,}",
            f"{1e3 * r['seconds']:.2f}",
            f"{1e3 * r['median_seconds']:.2f}",
            f"{r['samples_per_s'] / 1e6:.1f}",
            f"{r['helmets'] * _RATE_HZ / r['median_seconds'] / 1e6:.1f}",
            f"{r['bytes_per_helmet']:.0f}",
        )
    console = Console()
    console.print(table)
    if report["obspy"] is None:
        console.print("ObsPy is not installed: pip install --group bench")
    else:
        other = report["obspy"]
        console.print(
            f"ObsPy recursive_sta_lta, 10,000 traces: {other['samples_per_s'] / 1e6:.1f} million samples/s of one "
            f"channel; as one long trace {other['one_long_trace_samples_per_s'] / 1e6:.1f}"
        )


if __name__ == "__main__":
    main()
