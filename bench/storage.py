"""What storing costs: rows a second and bytes a row, embedded, as line protocol, and sent to a real VictoriaMetrics.

`python -m bench.storage`. Processor time is this process's own, without the server's; by the clock it is what this
machine does now, with all that it does besides. Medians of the rounds; all are taken side by side in one run.
"""

import gzip
import json
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from bench.victoria import Victoria
from core import config
from core.model import TELEMETRY
from ingest.journal import Journal, Taken, Tick
from ingest.store_relay import StoreRelay
from storage import Store, open_store
from storage.lines import lines

Rows = npt.NDArray[np.void]

_HELMETS = 5_000
_SECONDS = 12
_BATCH = config.Storage().batch_rows
_TURN = 1_500
"""Rows of one turn of the worker's loop: 30,000 a second."""
_ZIP_LEVELS = (1, 9)
"""Ours, and that of the client library's own zipping."""


def fleet(first_s: int) -> Rows:
    """Twelve seconds of the fleet: random numbers, the worst case for compression; half without a position."""
    rng = np.random.default_rng(first_s)
    rows = np.zeros(_HELMETS * _SECONDS, TELEMETRY)
    helmet, second = np.tile(np.arange(_HELMETS), _SECONDS), np.repeat(np.arange(_SECONDS), _HELMETS)
    rows["helmet"] = np.char.mod("SF-%06d", helmet).astype("S24")
    rows["seq"] = first_s + second
    rows["t_us"] = time.time_ns() // 1000 + (first_s + second) * 1_000_000 + helmet
    rows["received_us"] = rows["t_us"] + 1_100_000
    for name in TELEMETRY.names or ():
        if TELEMETRY[name].kind == "f":
            rows[name] = rng.uniform(0, 10, len(rows))
    rows["lat_deg"][::2] = rows["lon_deg"][::2] = rows["accuracy_m"][::2] = np.nan
    return rows


def _in_batches(work: Callable[[Rows], int]) -> Callable[[Rows], int]:
    return lambda rows: sum(work(rows[at : at + _BATCH]) for at in range(0, len(rows), _BATCH))


def _stored(store: Store) -> Callable[[Rows], int]:
    def write(batch: Rows) -> int:
        outcome = store.write(batch)
        if outcome.kind != "accepted":
            raise click.ClickException(f"not stored: {outcome.reason}")
        return 0

    return _in_batches(write)


def _text(batch: Rows) -> int:
    return len("\n".join(lines(batch)).encode())


def _zipped(level: int) -> Callable[[Rows], int]:
    return lambda batch: len(gzip.compress("\n".join(lines(batch)).encode(), level))


def _relayed(folder: Path) -> Callable[[Rows], int]:
    """All the way of a row in a worker: into the journal in turns, by the relay to the embedded store, struck off."""
    settings = config.Storage(embedded=config.Embedded(path=str(folder / "relayed.db")))

    def work(rows: Rows) -> int:
        struck: deque[int] = deque()
        journal = Journal(folder / "journal.db")
        relay = StoreRelay(
            lambda: open_store(settings), journal.path, _BATCH, lambda ids, _: struck.extend(ids)
        )
        relay.start()
        for at in range(0, len(rows), _TURN):
            journal.commit(Tick(0, telemetry=[rows[at : at + _TURN]]), _taken(struck))
            relay.wake(_TURN)
        while journal.rows_waiting:
            time.sleep(0.01)
            journal.commit(Tick(0), _taken(struck))
        relay.leave()
        relay.join(10)
        journal.close()
        return 0

    return work


def _taken(struck: deque[int]) -> Taken:
    return Taken([], [struck.popleft() for _ in range(len(struck))])


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Rows a second of processor time and by the clock, and bytes a row where the way says so."""
    with tempfile.TemporaryDirectory(prefix="helmetwatch-storage-") as name:
        folder = Path(name)
        path = folder / "telemetry.db"
        server = Victoria(folder)
        server.start()
        influx = config.Influx(url=server.url)
        embedded = open_store(config.Storage(embedded=config.Embedded(path=str(path))))
        remote = open_store(config.Storage(kind="influxdb", influxdb=influx))
        ways: dict[str, Callable[[Rows], int]] = {
            "embedded, synced to disk": _stored(embedded),
            "lines built": _in_batches(_text),
            **{
                f"lines built and zipped, level {level}": _in_batches(_zipped(level)) for level in _ZIP_LEVELS
            },
            "lines built, zipped and sent to VictoriaMetrics": _stored(remote),
            "journal, relay and embedded store": _relayed(folder),
        }
        taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        size = dict.fromkeys(ways, 0.0)
        try:
            for number in range(rounds):
                rows = fleet(number * _SECONDS)
                for way, work in ways.items():
                    cpu, clock = time.process_time(), time.perf_counter()
                    size[way] = work(rows)
                    took = time.process_time() - cpu, time.perf_counter() - clock
                    taken[way].append((len(rows) / took[0], len(rows) / took[1]))
            embedded.close()
            count = _HELMETS * _SECONDS
            size["embedded, synced to disk"] = path.stat().st_size / rounds
        finally:
            remote.close()
            server.stop()
    return {
        way: {
            "rows_per_cpu_s": median(cpu for cpu, _ in each),
            "rows_per_s": median(clock for _, clock in each),
            "bytes_per_row": size[way] / count,
        }
        for way, each in taken.items()
    }


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(rounds: int, as_json: bool) -> None:
    """Measure what storing telemetry costs."""
    report: dict[str, Any] = measure(rounds)
    if as_json:
        print(json.dumps(report))
        return
    table = Table(title=f"{_HELMETS * _SECONDS:,} rows of {_HELMETS:,} helmets, {_BATCH:,} at a time")
    for column in ("", "rows/s of processor time", "rows/s", "bytes a row"):
        table.add_column(column, justify="right" if column else "left")
    for way, found in report.items():
        size = f"{found['bytes_per_row']:.0f}" if found["bytes_per_row"] else "–"
        table.add_row(way, f"{found['rows_per_cpu_s']:,.0f}", f"{found['rows_per_s']:,.0f}", size)
    Console().print(table)


if __name__ == "__main__":
    main()
