"""Two independent relays out of the journal: detections to the desk, telemetry to the store.

Each reads the journal through a connection of its own, delivers in order, tries for ever, and reports what
was taken; neither can hold up the other, nor detection.
"""

import asyncio
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import aiohttp
import numpy as np
import numpy.typing as npt
import structlog
from pydantic import TypeAdapter

from core import metrics
from core.config import Config, ConfigError
from core.model import WorkerReport
from ingest.outbox import Outbox, Waiting
from ingest.pace import Pace
from ingest.telemetry import split
from storage import Store, StoreError

log = structlog.get_logger()

_REPORT = TypeAdapter(WorkerReport)
_BATCH = 100
_POLL_S = 0.5
_BACKOFF_MAX_S = 5.0
_TRY_AGAIN = {401, 403, 404, 408, 425, 429}
"""Answers that speak of the desk's state or of our token, not of what we sent."""

State = Literal["taken", "refused"]


def _backoff_s(failures: int) -> float:
    return random.uniform(0.05, min(_BACKOFF_MAX_S, 0.1 * 2 ** min(failures, 10)))


class DeskRelay:
    """Hands detections and events to the desk, and the worker's reports; asks who is under observation.

    In the relay's thread, `delivered` is called with what the desk has committed (or will never take), and
    `observed` with its answer about observations, and `messages` with its answer to a report.
    """

    def __init__(
        self,
        config: Config,
        token: str,
        journal: Path,
        report: Callable[[], WorkerReport],
        delivered: Callable[[list[tuple[State, int]]], None],
        observed: Callable[[bytes], None],
        messages: Callable[[bytes], None],
    ) -> None:
        self._url = config.ingest.desk_url.rstrip("/")
        self._report_s = config.ingest.report_s / config.time.scale
        self._token = token
        self._outbox = Outbox(journal)
        self._report = report
        self._delivered = delivered
        self._observed = observed
        self._messages = messages
        self._loop = asyncio.new_event_loop()
        self._news = asyncio.Event()
        self._stopping = False
        self.undelivered = 0
        self._thread = threading.Thread(target=self._run, name="desk-relay", daemon=True)

    def start(self) -> None:
        """Begins, in a thread of its own."""
        self._thread.start()

    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """There is something new in the journal."""
        self._loop.call_soon_threadsafe(self._news.set)

    def stop(self) -> None:
        """Ends after the delivery under way."""
        self._stopping = True
        self.wake()
        self._thread.join(5)
        self._outbox.close()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._main())
        finally:
            self._loop.close()

    async def _main(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            reports = asyncio.create_task(self._send_reports(session))
            await self._deliver(session)
            reports.cancel()

    async def _deliver(self, session: aiohttp.ClientSession) -> None:
        last, failures = 0, 0
        while not self._stopping:
            self._news.clear()
            try:
                waiting = self._outbox.waiting(last, _BATCH)
                self._count(self._outbox.count() if waiting else 0)
            except sqlite3.Error as error:
                failures += 1
                log.error("journal.not_read", error=str(error), hint="alerts wait until it can be read")
                await asyncio.sleep(_backoff_s(failures))
                continue
            if not waiting:
                await self._sleep(_POLL_S)
                continue
            kind = waiting[0].kind
            batch = [w for w in waiting if w.kind == kind]
            # Detections and events keep their order: only the leading run of one kind goes together.
            for k, w in enumerate(waiting):
                if w.kind != kind:
                    batch = waiting[:k]
                    break
            states = await self._post(session, kind, batch)
            if states is None:
                failures += 1
                await asyncio.sleep(_backoff_s(failures))
                continue
            failures, last = 0, batch[-1].id
            self._delivered(states)

    def _count(self, undelivered: int) -> None:
        self.undelivered = undelivered
        metrics.UNDELIVERED.set(undelivered)

    async def _post(
        self, session: aiohttp.ClientSession, kind: str, batch: list[Waiting]
    ) -> list[tuple[State, int]] | None:
        """What became of a batch; None where it must be tried again."""
        body = "[" + ",".join(w.body for w in batch) + "]"
        try:
            async with session.post(
                f"{self._url}/api/v1/{kind}s",
                data=body.encode(),
                headers={"Content-Type": "application/json"},
            ) as answer:
                status = answer.status
                await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            metrics.DELIVERIES.labels("unreachable").inc()
            log.warning("desk.unreachable", error=type(error).__name__)
            return None
        if status == 200:
            metrics.DELIVERIES.labels("taken").inc()
            return [("taken", w.id) for w in batch]
        if status >= 500 or status in _TRY_AGAIN:
            metrics.DELIVERIES.labels("retry").inc()
            log.warning(
                "desk.refuses", status=status, hint="401 or 403: the token (web.token_file) is not the desk's"
            )
            return None
        if len(batch) > 1:
            # One of them is bad; the others must not wait for it.
            states: list[tuple[State, int]] = []
            for w in batch:
                one = await self._post(session, kind, [w])
                if one is None:
                    return None
                states += one
            return states
        metrics.DELIVERIES.labels("refused").inc()
        log.error(
            "desk.refused",
            status=status,
            outbox_id=batch[0].id,
            hint="kept in the journal's outbox for a look",
        )
        return [("refused", batch[0].id)]

    async def _send_reports(self, session: aiohttp.ClientSession) -> None:
        while True:
            try:
                body = _REPORT.dump_json(self._report())
                async with session.post(f"{self._url}/api/v1/report", data=body) as answer:
                    told = await answer.read()
                    if answer.status == 200:
                        self._messages(told)
                async with session.get(f"{self._url}/api/v1/observations") as answer:
                    body = await answer.read()
                    if answer.status == 200:
                        self._observed(body)
            except (aiohttp.ClientError, TimeoutError, OSError):
                log.debug("desk.report_not_sent")
            except ValueError as error:
                # What the desk says may be wrong; a worker that fell silent for it would look dead.
                log.error("desk.answer_not_understood", error=str(error))
            await asyncio.sleep(self._report_s)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return


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

    def stop(self) -> None:
        """Ends after the write under way, and closes the store."""
        self._stopping.set()
        self._news.set()
        self._thread.join(15)
        self._outbox.close()
        if self.store is not None:
            self.store.close()

    def _run(self) -> None:
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
                log.exception("store.error")
                moved = None
            if moved is None:
                failures += 1
                self._stopping.wait(_backoff_s(failures))
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
