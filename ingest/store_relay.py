"""The relay from the journal to the telemetry store; the sibling of `ingest.desk_relay`."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import structlog

from core import metrics
from core.config import ConfigError
from ingest.backoff import backoff_s
from ingest.outbox import Outbox
from ingest.pace import Pace
from ingest.telemetry import split
from storage import Store, StoreError

log = structlog.get_logger()

_POLL_S = 0.5


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
        stored: Callable[[list[int]], None],
        drain_factor: float = 3.0,
    ) -> None:
        self._open_store = open_store
        self.store: Store | None = None
        """Where the rows go; None until it could be opened."""
        self._outbox = Outbox(journal)
        self._batch_rows = batch_rows
        self._stored = stored
        self._pace = Pace(drain_factor, time.monotonic())
        self._arrived = self._moved_rows = 0
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
                self._stopping.wait(backoff_s(failures))
            elif moved == last:
                self._news.wait(_POLL_S)
            else:
                failures, last = 0, moved
                self._stopping.wait(self._pace.wait_s(self._moved_rows, time.monotonic()))

    def _move(self, last: int) -> int | None:
        """Moves one batch; returns the last block that needs no further care, None where it must be tried again."""
        if self.store is None:
            self.store = self._open_store()
        ids, rows = self._outbox.telemetry(last, self._batch_rows)
        if not ids:
            return last
        telemetry, samples = split(rows)
        for part, counter in ((telemetry, metrics.ROWS_STORED), (samples, metrics.SAMPLES_STORED)):
            if len(part):
                accepted = self._write(self.store, part)
                if accepted is None:
                    return None
                counter.inc(accepted)
        self._stored(ids)
        self._moved_rows = len(rows)
        return ids[-1]

    def _write(self, store: Store, rows: npt.NDArray[np.void]) -> int | None:
        """Writes rows of one kind; how many were accepted, None where all must be tried again."""
        outcome = store.write(rows)
        metrics.STORE_WRITES.labels(outcome.kind).inc()
        if outcome.kind in ("retry", "refused"):
            log.warning("store.not_written", outcome=outcome.kind, reason=outcome.reason)
            return None
        if outcome.bad:
            metrics.ROWS_REFUSED.inc(len(outcome.bad))
            log.error("store.rows_refused", rows=len(outcome.bad), reason=outcome.reason)
        return outcome.accepted
