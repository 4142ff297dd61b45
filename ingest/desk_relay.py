"""The relay from the journal to the desk: detections, events and reports.

Like its sibling (`ingest.store_relay`) it reads the journal through a connection of its own, delivers in order,
tries for ever, and reports what was taken; neither can hold up the other, nor detection.
"""

import asyncio
import contextlib
import itertools
import json
import sqlite3
import threading
import time
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
_SILENT_S = 60.0
_OF_WHAT_WE_SENT = {400, 411, 413, 414, 415, 422, 431, 500}
"""Answers that may mean one detection alone; all others speak of the desk, of our token or of the way there."""

State = Literal["taken", "refused"]
Verdict = Literal["taken", "refused", "odd", "retry"]


def verdict(status: int, content_type: str, body: bytes, sent: int) -> Verdict:
    """What an answer to `sent` detections or events means; `odd` is a fault that the next ones need not share.

    Only the desk itself can take or refuse: a proxy, or the sign-in page of a network, answers with any status.
    """
    if status == 200 and content_type == "application/json":
        with contextlib.suppress(ValueError):
            told = json.loads(body)
            if isinstance(told, dict) and told.get("taken") == sent:
                return "taken"
    if status in (400, 413) and content_type == "application/problem+json":
        return "refused"
    return "odd" if status in _OF_WHAT_WE_SENT else "retry"


class DeskRelay:
    """Hands detections and events to the desk, and the worker's reports; asks who is under observation.

    `delivered` is called with what the desk has committed (or will never take), in the relay's thread; `report`, and
    `observed` and `messages` with the desk's answers, in another, since they may take their time.
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
        self._most = _BATCH
        self._odd = 0
        self._passed: int | None = None
        """The first that was passed over and is still waiting."""
        self._answered_s = self._took_s = time.monotonic()
        self.undelivered = 0
        self._thread = threading.Thread(target=self._run, name="desk-relay", daemon=True)

    def start(self) -> None:
        """Begins, in a thread of its own."""
        self._thread.start()

    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def trouble(self, now_s: float) -> str:
        """Empty while the desk does its part, else a sentence; `now_s` is monotonic."""
        if now_s - self._answered_s > _SILENT_S:
            return f"the desk has not answered for {_SILENT_S:.0f} s"
        if self.undelivered and now_s - self._took_s > _SILENT_S:
            return f"the desk has taken nothing for {_SILENT_S:.0f} s, and {self.undelivered} wait"
        return ""

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
        waiting = self._outbox.waiting(last, self._most)
        self._count(self._outbox.count() if waiting or self._passed else 0)
        if not waiting:
            again, self._passed = self._passed, None
            return last if again is None else again - 1
        # Detections and events keep their order: only the leading run of one kind goes together.
        kind = waiting[0].kind
        batch = list(itertools.takewhile(lambda w: w.kind == kind, waiting))
        found = await self._post(session, kind, batch)
        if found == "retry":
            return None
        if found != "taken" and len(batch) > 1:
            # It may be one of them; the others must not wait for it.
            self._most = 1
            return await self._hand_over(session, last)
        if found == "odd":
            await self._pass_over(batch[0].id)
        else:
            self._odd, self._most = 0, min(2 * self._most, _BATCH)
            self._took_s = time.monotonic()
            self._delivered([(found, w.id) for w in batch])
        return batch[-1].id

    async def _pass_over(self, number: int) -> None:
        """Goes on to the next after a while, at once if it is new; this one's turn comes again after the last."""
        self._odd += 1
        self._passed = self._passed or number
        log.error(
            "desk.passed_over", outbox_id=number, hint="it is tried again; what answers in the desk's place?"
        )
        await self._sleep(backoff_s(self._odd), self._news, self._leaving)

    def _count(self, undelivered: int) -> None:
        if not undelivered:
            self._took_s = time.monotonic()
        self.undelivered = undelivered
        metrics.UNDELIVERED.set(undelivered)

    async def _post(self, session: aiohttp.ClientSession, kind: str, batch: list[Waiting]) -> Verdict:
        body = "[" + ",".join(w.body for w in batch) + "]"
        try:
            async with session.post(
                f"{self._url}/api/v1/{kind}s", data=body.encode(), allow_redirects=False
            ) as answer:
                found = verdict(answer.status, answer.content_type, await answer.read(), len(batch))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            metrics.DELIVERIES.labels("unreachable").inc()
            log.warning("desk.unreachable", error=type(error).__name__)
            return "retry"
        if found != "refused" or len(batch) == 1:
            metrics.DELIVERIES.labels(found).inc()
        if found in ("retry", "odd"):
            log.warning(
                "desk.refuses",
                status=answer.status,
                content_type=answer.content_type,
                hint="401 or 403: the token (web.token_file) is not the desk's; else a proxy or another server answers",
            )
        elif found == "refused" and len(batch) == 1:
            log.error(
                "desk.refused",
                status=answer.status,
                outbox_id=batch[0].id,
                hint="kept in the journal: helmetwatch outbox",
            )
        return found

    async def _send_reports(self, session: aiohttp.ClientSession) -> None:
        while True:
            try:
                # A hundred thousand helmets take a while to write down, and what is observed goes to the disk.
                body = await asyncio.to_thread(lambda: _REPORT.dump_json(self._report()))
                told = await self._ask(session, "POST", "report", body)
                if told is not None:
                    self._answered_s = time.monotonic()
                    await asyncio.to_thread(self._messages, told)
                observed = await self._ask(session, "GET", "observations")
                if observed is not None:
                    await asyncio.to_thread(self._observed, observed)
            except (aiohttp.ClientError, TimeoutError, OSError):
                log.debug("desk.report_not_sent")
            except ValueError as error:
                log.error("desk.answer_not_understood", error=str(error))
            except Exception:
                # A worker that fell silent for a fault of a report would look dead.
                metrics.RELAY_ERRORS.labels("report").inc()
                log.exception("desk.report_error")
            await asyncio.sleep(self._report_s)

    async def _ask(
        self, session: aiohttp.ClientSession, method: str, name: str, body: bytes | None = None
    ) -> bytes | None:
        """The desk's own answer; None where it is not one, or no good one."""
        async with session.request(
            method, f"{self._url}/api/v1/{name}", data=body, allow_redirects=False
        ) as answer:
            told = await answer.read()
            return told if answer.status == 200 and answer.content_type == "application/json" else None

    async def _sleep(self, seconds: float, *events: asyncio.Event) -> None:
        """Waits so long, or until one of these happens."""
        waits = [asyncio.create_task(event.wait()) for event in events]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
