"""The relay from the journal to the telemetry store; the sibling of `ingest.desk_relay`."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import structlog

from core import metrics
from core.config import ConfigError
from core.model import Reason, Rejected
from ingest.backoff import backoff_s
from ingest.codec import Message
from ingest.outbox import Outbox
from ingest.pace import Pace
from ingest.telemetry import split
from storage import SAMPLES, Store, StoreError

log = structlog.get_logger()

_POLL_S = 0.5

Refused = tuple[Message, Rejected]
"""A row that the store will never take, in a message's place: the row's own bytes, and why."""


@dataclass(slots=True)
class _Batch:
    """Blocks under way to the store; tried again as they are until all of it is taken."""

    blocks: list[int]
    rows: int
    parts: list[npt.NDArray[np.void]]
    """What the store has not answered for yet, each of one kind."""
    refused: list[Refused] = field(default_factory=list)


class StoreRelay:
    """Moves telemetry from the journal to the store, batch by batch and at a bounded pace, in a thread of its own.

    The store is opened there too, as often as it takes: a store that cannot be opened must not keep anybody
    from detecting crashes.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        journal: Path,
        batch_rows: int,
        stored: Callable[[list[int], list[Refused]], None],
        drain_factor: float = 2.0,
    ) -> None:
        self._open_store = open_store
        self.store: Store | None = None
        """Where the rows go; None until it could be opened."""
        self._outbox = Outbox(journal)
        self._batch_rows = batch_rows
        self._stored = stored
        self._pace = Pace(drain_factor, time.monotonic())
        self._batch: _Batch | None = None
        self._arrived = self._moved_rows = 0
        self._pause_s = 0.0
        """How long the store asked us to leave it alone."""
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-relay", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def wake(self, rows: int) -> None:
        """There are so many new rows in the journal."""
        self._arrived += rows
        self._news.set()

    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def leave(self) -> None:
        """Ends after the write under way, and closes the store; does not wait for it."""
        self._stopping.set()
        self._news.set()

    def join(self, within_s: float) -> None:
        """Waits for the end, but no longer than this; rows of a write that hangs are written again."""
        self._thread.join(within_s)
        if self._thread.is_alive():
            log.warning("store.left", hint="it did not answer; what is under way goes again after the start")

    def _run(self) -> None:
        try:
            self._deliver()
        finally:
            self._outbox.close()
            if self.store is not None:
                self.store.close()

    def _deliver(self) -> None:
        last, failures = 0, 0
        while not self._stopping.is_set():
            self._news.clear()
            self._pace.came(self._arrived, time.monotonic())
            try:
                moved = self._move(last)
            except (StoreError, ConfigError) as error:
                log.error("store.not_opened", error=str(error))
                moved = None
            except Exception:
                # Whatever a driver raises, rows wait in the journal and the next try may succeed.
                metrics.RELAY_ERRORS.labels("store").inc()
                log.exception("store.relay_error")
                moved = None
            if moved is None:
                failures += 1
                self._stopping.wait(max(backoff_s(failures), self._pause_s))
            elif moved == last:
                self._news.wait(_POLL_S)
            else:
                failures, last = 0, moved
                self._stopping.wait(self._pace.wait_s(self._moved_rows, time.monotonic()))

    def _move(self, last: int) -> int | None:
        """Moves one batch; returns the last block that needs no further care, None where it must be tried again."""
        if self.store is None:
            self.store = self._open_store()
        self._batch = self._batch or self._next(last)
        if self._batch is None:
            return last
        batch = self._batch
        while batch.parts:
            if not self._write(self.store, batch):
                return None
        self._batch = None
        self._stored(batch.blocks, batch.refused)
        self._moved_rows = batch.rows
        return batch.blocks[-1]

    def _next(self, last: int) -> _Batch | None:
        blocks, rows = self._outbox.telemetry(last, self._batch_rows)
        return _Batch(blocks, len(rows), [part for part in split(rows) if len(part)]) if blocks else None

    def _write(self, store: Store, batch: _Batch) -> bool:
        """Writes the rows of one kind; says whether the store has answered for all of them."""
        rows = batch.parts[0]
        outcome = store.write(rows)
        metrics.STORE_WRITES.labels(outcome.kind).inc()
        self._pause_s = outcome.pause_s
        if outcome.kind in ("retry", "refused"):
            log.warning("store.not_written", outcome=outcome.kind, reason=outcome.reason)
            return False
        if outcome.bad:
            metrics.ROWS_REFUSED.inc(len(outcome.bad))
            log.error("store.rows_refused", rows=len(outcome.bad), reason=next(iter(outcome.bad.values())))
            batch.refused += _set_aside(rows, outcome.bad)
        (metrics.SAMPLES_STORED if rows.dtype == SAMPLES else metrics.ROWS_STORED).inc(outcome.accepted)
        del batch.parts[0]
        return True


def _set_aside(rows: npt.NDArray[np.void], bad: dict[int, str]) -> list[Refused]:
    """What the journal keeps of rows that are refused: every row of telemetry, and of samples one for each frame."""
    kind = "samples" if rows.dtype == SAMPLES else "telemetry"
    kept: dict[object, Refused] = {}
    for number, reason in bad.items():
        row = rows[number]
        helmet, boot, seq = bytes(row["helmet"]).decode(errors="replace"), int(row["boot"]), int(row["seq"])
        detail = f"{helmet} boot {boot} frame {seq}: {reason}"
        name = (helmet, boot, seq) if kind == "samples" else number
        kept.setdefault(name, (Message(kind, row.tobytes(), 0), Rejected(kind, Reason.STORE, detail)))
    return list(kept.values())
