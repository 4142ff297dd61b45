"""What the running desk is made of."""

import asyncio
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import structlog

from alerts import policy
from alerts.book import BATCH, Book
from alerts.channels.build import build
from alerts.dispatch import Dispatcher
from alerts.faults import Faults
from alerts.messages import Messages
from alerts.model import Change, Rider
from alerts.notices import Notice
from alerts.outbox import Delivery, Outbox
from alerts.reader import Reader
from alerts.retention import DAY_US
from alerts.signing import Signer
from alerts.silences import Silence, Silences
from alerts.storms import Storm
from alerts.watch import Watch
from core import metrics
from core.clock import Clock
from core.config import Config
from web.accounts import Accounts, verify
from web.audit import Audit
from web.feed import LEDGERS_MAX, Beginning, Hub
from web.fleet import Fleet
from web.opened import Opened
from web.register_trail import RegisterTrail
from web.registers import Registers
from web.throttle import Throttle

T = TypeVar("T")

TURN_S = 0.25
BEAT_TURNS = 8
"""A beat every 2 s."""

HOUR_US = 3600 * 1_000_000
RESUMED_US = HOUR_US
"""Alerts that ended so shortly before a start may have ended without a word."""

SEEN_MAX = 100_000

FREE_MIN = 64 * 2**20
"""Bytes free on the disk below which the book may fail any moment."""

_log = structlog.get_logger("desk")


class Desk:
    """The alert book, its reader and the accounts, each with a thread of its own, and what lives in memory.

    Made and used in the event loop's thread; `open` before the first request, `close` after the last.
    """

    def __init__(self, config: Config, clock: Clock, token: str) -> None:
        self.config, self.clock, self.token = config, clock, token
        self.registers = Registers(config.alerts)
        self.hub = Hub()
        self.beginning = Beginning()
        self.fleet = Fleet(config.ingest.helmets_max)
        self.throttle = Throttle()
        self.dispatcher = Dispatcher(build(config.alerts.channels), self.post, clock, self._delivered)
        names, file = self.dispatcher.channels, config.alerts.escalation_file
        unsure = {name for name, kind in names.items() if kind == "apprise"}
        self.policy = policy.read(Path(file), names, unsure) if file else policy.default(names, unsure)
        self._watch = Watch(self.policy, config.alerts.public_url.rstrip("/"))
        self._faults = Faults(self.policy, config.alerts.public_url.rstrip("/"))
        self.silences: list[Silence] = []
        """Those that last."""
        self._seen: set[str] = set()
        """Alerts that some page has shown."""
        self._forgotten_us = 0
        self._kept: dict[str, Any] = {}
        """What the file remembers of storms, faults and workers."""
        self._due: list[Notice] = []
        """Notices that the outbox has not taken yet."""
        self._news: set[str] = set()
        """Alerts whose ledger changed since the last turn."""
        self._any_news = True
        self.writable = True
        """Whether the book could be used a moment ago."""

    def open(self) -> None:
        """Opens the file. Raises `BookError`."""
        path, countdown_s = Path(self.config.alerts.path), self.config.alerts.countdown_s
        riders, untouched_s = self.registers.riders, self.policy.untouched_s
        late_s = self.config.detectors.late_s
        self._file = Opened(path, lambda: Book(path, countdown_s, riders, untouched_s, late_s))
        self.signer = Signer(self._file.book.key("pack"))
        self.paper = ThreadPoolExecutor(1, thread_name_prefix="desk-paper")
        # Argon2 takes 64 MiB and a core for a moment; two at a time is plenty.
        self._hashing = ThreadPoolExecutor(2, thread_name_prefix="desk-hash")

    def close(self) -> None:
        """Finishes what was begun and closes the file."""
        for threads in (self._hashing, self.paper):
            threads.shutdown()
        self._file.close()

    async def change(self, work: Callable[[Book], list[Change]]) -> list[Change]:
        """Does one transaction of the book; the feed learns of it in the order of the commits."""
        loop = asyncio.get_running_loop()

        def write() -> list[Change]:
            changes = work(self._file.book)
            # From the writer's only thread, so that no task can come between two commits and swap them.
            if changes:
                loop.call_soon_threadsafe(self._announce, changes)
            return changes

        return await self._file.do("write", write)

    async def post(self, work: Callable[[Outbox], T]) -> T:
        """Does something with the outbox, in the thread that writes: SQLite has room for one writer."""
        return await self._file.do("write", lambda: work(self._file.outbox))

    async def silence(self, work: Callable[[Silences], T]) -> T:
        """Begins or ends silences; the channels hold to it at once."""
        found = await self._file.do("write", lambda: work(self._file.silences))
        await self._hush()
        return found

    async def silences_since(self, after_us: int) -> list[Silence]:
        """The silences that last or ended after a time; every page asks, so nothing is looked at anew for it."""
        return await self._file.do("write", lambda: self._file.silences.since(after_us))

    async def register(self, work: Callable[[RegisterTrail], T]) -> T:
        """Does something with the files of riders and places; what is new in them counts at once."""
        found = await self._file.do("write", lambda: work(self._file.trail))
        await self._reread()
        return found

    async def audit(self, work: Callable[[Audit], T]) -> T:
        """Does something with the trail of who took what out."""
        return await self._file.do("write", lambda: work(self._file.audit))

    async def shown(self, ids: list[str], person: str) -> None:
        """A person's page shows these alerts; what other pages have said before costs no transaction."""
        new = [id_ for id_ in ids if id_ not in self._seen]
        if len(self._seen) > SEEN_MAX:
            self._seen.clear()
        self._seen.update(new)
        if new:
            now_us = self.clock.now_us()
            await self._file.do("write", lambda: self._file.shown.add(new, person, now_us))

    async def messages(self, work: Callable[[Messages], T]) -> T:
        """Does something with the messages to helmets."""
        return await self._file.do("write", lambda: work(self._file.messages))

    async def _hush(self) -> None:
        now_us = self.clock.now_us()
        self.silences = [each for each in await self.silences_since(now_us) if each.lasts(now_us)]
        self._watch.silence(self.silences)
        self.fleet.excuse(self.silenced)

    def silenced(self, helmet: str) -> bool:
        """Whether nobody need be told that a helmet went offline."""
        now_us, rider = self.clock.now_us(), self.registers.riders.get(helmet)
        return any(each.lasts(now_us) and each.scope.covers(helmet, rider) for each in self.silences)

    @property
    def storms(self) -> list[Storm]:
        """Many helmets that fell silent at once."""
        return self._watch.storms(self.clock.now_us())

    async def ask(self, question: Callable[[Reader], T]) -> T:
        """Puts a question to the alert book, about one alert or what is live now."""
        return await self._file.do("read", lambda: question(self._file.reader))

    async def told(self, ids: Iterable[str]) -> dict[str, dict[str, int]]:
        """How the messages about alerts fare, and how many tiers they could not reach."""
        found = await self.ask(partial(Reader.told, ids=list(ids)))
        return {id_: counts | {"passed_over": self._watch.passed_over(id_)} for id_, counts in found.items()}

    async def search(self, question: Callable[[Reader], T]) -> T:
        """Puts a question to the alert book that goes through many alerts; no alert and no page waits for it."""
        return await self._file.do("search", lambda: question(self._file.search))

    async def people(self, work: Callable[[Accounts], T]) -> T:
        """Does something with the accounts."""
        return await self._file.do("accounts", lambda: work(self._file.accounts))

    async def verify(self, hash_: str | None, password: str) -> bool:
        """Whether a password is right."""
        return await asyncio.get_running_loop().run_in_executor(self._hashing, verify, hash_, password)

    def trouble(self) -> str:
        """Why an alert might not be written, in a sentence; empty where nothing is known to be wrong."""
        if not self.writable:
            return "The alert book cannot be written."
        if shutil.disk_usage(Path(self.config.alerts.path).parent).free < FREE_MIN:
            return "The disk of the alert book is full."
        return ""

    async def tick(self) -> None:
        """Opens what is due and keeps the feed beating, for ever: whatever fails is tried again."""
        for turn in count():
            try:
                await self._turn(beat=turn % BEAT_TURNS == 0)
                self.writable = True
            except Exception as error:
                metrics.BOOK_FAILURES.inc()
                if self.writable:
                    _log.error("desk.book_fails", error=type(error).__name__)
                self.writable = False
            await asyncio.sleep(TURN_S)

    async def _turn(self, *, beat: bool) -> None:
        now_us = self.clock.now_us()
        if self.fleet.newly_stale(now_us):
            self.hub.fleet([], partial(self.fleet.view, now_us))
        if beat:
            self.hub.beat(now_us)
        age_s = self.fleet.newest_age_s(now_us)
        metrics.REPORT_AGE.set(float("nan") if age_s is None else age_s)
        await self.change(partial(Book.advance, now_us=now_us))
        if beat:
            await self._reread()
            await self._forget(now_us)
        await self._notify(now_us)
        if self._any_news:
            self._any_news, news, self._news = False, self._news, set()
            told = await self.told(news) if len(news) <= LEDGERS_MAX else None
            self.hub.deliveries(told, await self.channels())

    async def resume(self) -> None:
        """Watches what was live when the desk stopped, and tells what it could not tell any more."""
        await self._remember()
        final_after_us = self.clock.now_us() - RESUMED_US
        self._watch.take((await self.ask(partial(Reader.snapshot, final_after_us=final_after_us))).alerts)
        await self._hush()
        await self.dispatcher.open()

    async def _remember(self) -> None:
        """Goes on with the storms, faults and workers that there were when the desk stopped."""
        now_us, storm = self.clock.now_us(), self.policy.storm
        names = ("storms", "faults", "fleet")
        storms, faults, fleet = [
            await self._file.do("write", partial(self._file.memory.recall, name)) for name in names
        ]
        self._watch.restore(storms or [])
        self.fleet.begin(fleet or {}, faults or {}, now_us)
        last = self.fleet.faults(now_us, storm.alerts, storm.within_s)
        self._faults.restore({name: fault for name, fault in (faults or {}).items() if name in last})
        self._kept = self._memory()

    def _memory(self) -> dict[str, Any]:
        return {
            "storms": self._watch.memory(),
            "faults": self._faults.memory(),
            "fleet": self.fleet.memory(),
        }

    async def _keep(self) -> None:
        """Writes down what a desk that starts has to know, where that has changed."""
        now = self._memory()
        changed = {name: value for name, value in now.items() if value != self._kept.get(name)}
        if changed:
            await self._file.do("write", partial(self._file.memory.keep, changed))
            self._kept = now

    async def _reread(self) -> None:
        """Takes the files of riders and places as they are now, where they have changed and can be used."""

        # Not in asyncio's own threads: name look-ups that hang may hold all of those.
        def know(riders: dict[str, Rider]) -> None:
            self._file.do_now("write", lambda: self._file.book.know(riders))

        await self._file.do("files", lambda: self.registers.reread(know))

    async def _forget(self, now_us: int) -> None:
        """Now and then forgets whose the old alerts were, a few at a time."""
        days = self.config.alerts.retention_days
        if not days or now_us < self._forgotten_us:
            return
        before_us = now_us - round(days * DAY_US)
        forgotten = await self._file.do("write", lambda: self._file.retention.age(before_us))
        metrics.FORGOTTEN.inc(forgotten)
        if not forgotten and not self._file.retention.owed:
            self._forgotten_us = now_us + HOUR_US

    async def _notify(self, now_us: int) -> None:
        """Hands what is due to the outbox; where that fails it is handed over again."""
        storm = self.policy.storm
        self._due += self._faults.due(self.fleet.faults(now_us, storm.alerts, storm.within_s), now_us)
        while True:
            self._due += self._watch.due(now_us)
            while self._due:
                part = self._due[:BATCH]
                self.dispatcher.wake(await self.post(partial(Outbox.put, notices=part, now_us=now_us)))
                del self._due[: len(part)]
            if not self._watch.behind(now_us):
                break
            await asyncio.sleep(0)
        # Only now: what is not written down again after a death here is told again, under the same id.
        await self._keep()

    async def channels(self) -> list[dict[str, Any]]:
        """How the channels fare, ready for JSON."""
        kinds = self.dispatcher.channels
        found = await self.post(partial(Outbox.health, channels=kinds))
        for name, health in found.items():
            metrics.NOTIFICATIONS_WAITING.labels(name).set(health.waiting)
        return [
            {"name": name, "kind": kinds[name], "failing": health.failing} | asdict(health)
            for name, health in found.items()
        ]

    def _delivered(self, deliveries: list[Delivery]) -> None:
        self._any_news = True
        self._news.update(delivery.alert for delivery in deliveries if delivery.alert)
        for delivery in deliveries:
            if delivery.tier is not None and self.dispatcher.stuck(delivery):
                self._watch.stuck(delivery.alert, delivery.tier, delivery.channel)

    def _announce(self, changes: list[Change]) -> None:
        for change in changes:
            metrics.CHANGES.labels(change.type, change.alert.state).inc()
        self._watch.take(change.alert for change in changes)
        self.hub.publish(changes)
