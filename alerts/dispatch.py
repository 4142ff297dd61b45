"""Sends what the outbox holds: one task for each channel, so that a slow one delays no other and no alert."""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

import aiohttp
import structlog

from alerts.channels.limits import Parcel, plan
from alerts.channels.outcome import Outcome, Result, Sender, retry
from alerts.notices import Notice
from alerts.outbox import Delivery, Outbox, Stand
from core import metrics
from core.clock import Clock

T = TypeVar("T")

TURN_S = 0.25
PAGE = 200
PARALLEL = 8
"""Messages on their way at once on one channel."""

_log = structlog.get_logger("desk")


class Ask(Protocol):
    """Does something with the outbox, in the one thread that writes the alert book."""

    def __call__(self, work: Callable[[Outbox], T]) -> Awaitable[T]:
        """What came of it."""
        ...


@dataclass(slots=True)
class _Line:
    """What a channel's task remembers."""

    sender: Sender
    sent_us: deque[int] = field(default_factory=deque)
    quiet_until_us: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Dispatcher:
    """Runs the channels. Used from the event loop's thread alone."""

    def __init__(
        self, senders: Mapping[str, Sender], ask: Ask, clock: Clock, tell: Callable[[list[Delivery]], None]
    ) -> None:
        self._ask, self._clock, self._tell = ask, clock, tell
        self._lines = {name: _Line(sender) for name, sender in senders.items()}
        self._tasks: list[asyncio.Task[None]] = []
        self._tests: dict[str, asyncio.Future[Delivery]] = {}

    async def open(self) -> None:
        """Starts a task for each channel; what waited before a restart goes out now."""
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        after_us = self._clock.now_us() - 60_000_000
        for name, line in self._lines.items():
            line.sent_us.extend(await self._ask(partial(Outbox.tried_since, channel=name, after_us=after_us)))
            line.quiet_until_us = await self._ask(partial(Outbox.quiet_until, channel=name))
            self._tasks.append(asyncio.create_task(self._serve(name, line)))

    async def close(self) -> None:
        """Stops; what is on its way counts as not sent and goes out again after the next start."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._http.close()

    def wake(self, deliveries: list[Delivery]) -> None:
        """There is something new to send."""
        for delivery in deliveries:
            if line := self._lines.get(delivery.channel):
                line.wake.set()
        self._report(deliveries)

    @property
    def channels(self) -> dict[str, str]:
        """Kind of each channel, by name."""
        return {name: line.sender.kind for name, line in self._lines.items()}

    def stuck(self, delivery: Delivery) -> bool:
        """Whether a message reaches nobody for now: it was refused, or its channel has to be left alone."""
        if delivery.state is Stand.WAITING:
            line = self._lines.get(delivery.channel)
            return line is not None and self._clock.now_us() < line.quiet_until_us
        return delivery.state in (Stand.REFUSED, Stand.GIVEN_UP)

    async def tried(self, notice: Notice, within_s: float) -> Delivery:
        """Sends a notice the way all go, and waits for its first try; the ledger's line as it then stands."""
        self._tests[notice.id] = asyncio.get_running_loop().create_future()
        try:
            added = await self._ask(partial(Outbox.put, notices=[notice], now_us=self._clock.now_us()))
            self.wake(added)
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(self._tests[notice.id], within_s)
            return added[0]
        finally:
            del self._tests[notice.id]

    def _report(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            future = self._tests.get(delivery.id)
            if future is not None and delivery.tries and not future.done():
                future.set_result(delivery)
        if deliveries:
            self._tell(deliveries)

    async def _serve(self, name: str, line: _Line) -> None:
        while True:
            try:
                await self._turn(name, line)
            except Exception as error:
                # The book fails or a sender has a fault of ours: everything is still in the table.
                _log.error("desk.dispatch_fails", channel=name, error=type(error).__name__)
                await asyncio.sleep(TURN_S)
            line.wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(line.wake.wait(), TURN_S)

    async def _turn(self, name: str, line: _Line) -> None:
        now_us = self._clock.now_us()
        if now_us < line.quiet_until_us:
            return
        due, overtaken = await self._ask(partial(Outbox.waiting, channel=name, now_us=now_us, limit=PAGE))
        self._report(overtaken)
        while line.sent_us and line.sent_us[0] < now_us - 60_000_000:
            line.sent_us.popleft()
        parcels = plan(due, line.sender.limits, line.sent_us, now_us)
        for start in range(0, len(parcels), PARALLEL):
            await asyncio.gather(*(self._deliver(line, each) for each in parcels[start : start + PARALLEL]))
            if self._clock.now_us() < line.quiet_until_us:
                return

    async def _deliver(self, line: _Line, parcel: Parcel) -> None:
        """Send, then record; dying in between repeats it."""
        outcome = await self._send(line.sender, parcel)
        now_us = self._clock.now_us()
        if outcome.pause_s:
            until_us = line.quiet_until_us = max(line.quiet_until_us, now_us + round(outcome.pause_s * 1e6))
            await self._ask(partial(Outbox.keep_quiet, channel=line.sender.name, until_us=until_us))
        jitter = random.random()
        record = partial(Outbox.record, parcel=parcel, outcome=outcome, now_us=now_us, jitter=jitter)
        self._report(await self._ask(record))

    async def _send(self, sender: Sender, parcel: Parcel) -> Outcome:
        """Tries once, and counts it against the channel's limit."""
        now_us = self._clock.now_us()
        self._lines[sender.name].sent_us.append(now_us)
        try:
            outcome = await sender.send(parcel.message, self._http, now_us)
        except Exception as error:
            _log.error("desk.sender_fails", channel=sender.name, error=type(error).__name__)
            outcome = retry("fault", "The sender has a fault; the desk's log has it.")
        metrics.NOTIFICATIONS.labels(sender.name, outcome.result).inc()
        if outcome.result is not Result.DELIVERED:
            _log.warning("desk.not_delivered", channel=sender.name, result=outcome.result, code=outcome.code)
        return outcome
