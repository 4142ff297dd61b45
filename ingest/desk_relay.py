"""The relay from the journal to the desk: detections, events and reports.

Like its sibling (`ingest.store_relay`) it reads the journal through a connection of its own, delivers in order,
tries for ever, and reports what was taken; neither can hold up the other, nor detection.
"""

import asyncio
import contextlib
import itertools
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import aiohttp
import structlog
from pydantic import TypeAdapter

from core import metrics
from core.config import Config
from core.model import WorkerReport
from ingest.backoff import backoff_s
from ingest.outbox import Outbox, Waiting

log = structlog.get_logger()

_REPORT = TypeAdapter(WorkerReport)
_BATCH = 100
_POLL_S = 0.5
_TRY_AGAIN = {401, 403, 404, 408, 425, 429}
"""Answers that speak of the desk's state or of our token, not of what we sent."""

State = Literal["taken", "refused"]


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
        self._leaving = asyncio.Event()
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
        self._tell(self._news)

    def leave(self) -> None:
        """Ends after the delivery under way; does not wait for it."""
        self._tell(self._leaving)

    def join(self, within_s: float) -> None:
        """Waits for the end, but no longer than this; what the desk has not answered, it is told again."""
        self._thread.join(within_s)
        if self._thread.is_alive():
            log.warning("desk.left", hint="it did not answer; what is under way goes again after the start")

    def _tell(self, event: asyncio.Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(event.set)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._main())
        finally:
            self._loop.close()
            self._outbox.close()

    async def _main(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            reports = asyncio.create_task(self._send_reports(session))
            await self._deliver(session)
            reports.cancel()

    async def _deliver(self, session: aiohttp.ClientSession) -> None:
        last, failures = 0, 0
        while not self._leaving.is_set():
            self._news.clear()
            try:
                handed = await self._hand_over(session, last)
            except sqlite3.Error as error:
                log.error("journal.not_read", error=str(error), hint="alerts wait until it can be read")
                handed = None
            except Exception:
                # Whatever it is, alerts wait in the journal, and nobody else brings them to the desk.
                metrics.RELAY_ERRORS.labels("desk").inc()
                log.exception("desk.relay_error")
                handed = None
            if handed is None:
                failures += 1
                await self._sleep(backoff_s(failures), self._leaving)
            elif handed == last:
                await self._sleep(_POLL_S, self._news, self._leaving)
            else:
                failures, last = 0, handed

    async def _hand_over(self, session: aiohttp.ClientSession, last: int) -> int | None:
        """Hands over what waits after `last`, at most one batch.

        Returns the last that needs no further care, None where it must be tried again.
        """
        waiting = self._outbox.waiting(last, _BATCH)
        self._count(self._outbox.count() if waiting else 0)
        if not waiting:
            return last
        # Detections and events keep their order: only the leading run of one kind goes together.
        kind = waiting[0].kind
        batch = list(itertools.takewhile(lambda w: w.kind == kind, waiting))
        states = await self._post(session, kind, batch)
        if states is None:
            return None
        self._delivered(states)
        return batch[-1].id

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
                log.error("desk.answer_not_understood", error=str(error))
            except Exception:
                # A worker that fell silent for a fault of a report would look dead.
                metrics.RELAY_ERRORS.labels("report").inc()
                log.exception("desk.report_error")
            await asyncio.sleep(self._report_s)

    async def _sleep(self, seconds: float, *events: asyncio.Event) -> None:
        """Waits so long, or until one of these happens."""
        waits = [asyncio.create_task(event.wait()) for event in events]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
