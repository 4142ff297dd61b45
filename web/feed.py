"""The live feed: what happened since you last looked, then all as it happens. Nobody waits for anybody.

A client subscribes before its snapshot is read, and drops what the snapshot already holds: no gap, no double.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from aiohttp import web

from alerts.model import Change
from alerts.reader import Reader
from core import metrics
from core.model import HelmetReport

T = TypeVar("T")

QUEUE_MAX = 1000
QUEUE_BYTES_MAX = 16 * 2**20
"""A client with more than this waiting does not read; it is cut off and comes back with its last id."""

REPLAY_MAX = 5000
"""Changes after which a fresh snapshot is quicker than the history."""

PAGE = 500

PIECE = 64 * 2**10
"""Bytes written at once to one client: a connection that does not take them holds up nothing but itself."""

SEND_BUFFER = 256 * 2**10
"""Bytes that the system may hold for a client; without a bound it hides for megabytes that nobody reads."""

BEHIND_MAX = 500
SHARED_US = 60 * 1_000_000
"""A snapshot serves other pages as well while no more than so many changes and so long a time have gone by."""

LEDGERS_MAX = 200
"""Alerts named in one event of deliveries."""

FINAL_SHOWN_US = 12 * 3600 * 1_000_000


@dataclass(slots=True, eq=False)
class Client:
    """One page that follows the feed."""

    session: str
    expires_us: int
    cut: Callable[[], None]
    """Closes the connection without waiting for it."""
    closed: bool = False
    missed: dict[str, HelmetReport] = field(default_factory=dict)
    """Helmets that changed while a fleet event still waited; they go with the next one."""
    fleet_waits: bool = False
    _waiting: deque[tuple[str, int | None, bytes]] = field(default_factory=deque)
    _bytes: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, name: str, data: bytes, seq: int | None = None) -> None:
        """Queues an event, or cuts the client off where too many wait. Never blocks."""
        if self.closed:
            return
        if len(self._waiting) >= QUEUE_MAX or self._bytes > QUEUE_BYTES_MAX:
            metrics.FEED_CUT.inc()
            self.close()
            self.cut()
            return
        self._waiting.append((name, seq, data))
        self._bytes += len(data)
        self.fleet_waits |= name == "fleet"
        self._wake.set()

    def close(self) -> None:
        """Ends the feed; what still waits is dropped."""
        self.closed = True
        self._waiting.clear()
        self._bytes = 0
        self._wake.set()

    async def next(self) -> list[tuple[int | None, bytes]] | None:
        """The next events, as many as go well into one write, or None at the end."""
        while not self._waiting:
            if self.closed:
                return None
            self._wake.clear()
            await self._wake.wait()
        items: list[tuple[int | None, bytes]] = []
        size = 0
        while self._waiting and size < PIECE:
            name, seq, data = self._waiting.popleft()
            size += len(data)
            if name == "fleet":
                self.fleet_waits = False
            items.append((seq, data))
        self._bytes -= size
        return items


class Hub:
    """All clients of the feed. Used from the event loop's thread alone."""

    def __init__(self) -> None:
        self._clients: set[Client] = set()

    def join(self, client: Client) -> None:
        """From now on the client gets every event."""
        self._clients.add(client)
        metrics.FEED_CLIENTS.set(len(self._clients))

    def leave(self, client: Client) -> None:
        """The client is gone."""
        self._clients.discard(client)
        metrics.FEED_CLIENTS.set(len(self._clients))

    def publish(self, changes: Iterable[Change]) -> None:
        """Tells everyone of changes, in the order of their ids. Each is put into words once."""
        for change in changes:
            data = alert_event(change)
            for client in tuple(self._clients):
                client.offer("alert", data, change.seq)

    def fleet(self, changed: list[HelmetReport], view: Callable[[list[HelmetReport]], bytes]) -> None:
        """Tells everyone which helmets changed; `view` puts them into JSON.

        A client has at most one fleet event waiting, so that an alert never waits behind a row of them.
        """
        shared = _fleet_event(view(changed))
        for client in tuple(self._clients):
            if client.fleet_waits:
                client.missed.update({helmet.helmet: helmet for helmet in changed})
            elif client.missed:
                merged = client.missed | {helmet.helmet: helmet for helmet in changed}
                client.missed = {}
                client.offer("fleet", _fleet_event(view(list(merged.values()))))
            else:
                client.offer("fleet", shared)

    def deliveries(self, told: dict[str, Any] | None, channels: list[dict[str, Any]]) -> None:
        """Tells everyone whose ledger changed and how it stands (None: of many), and how the channels fare."""
        alerts = None if told is None else sorted(told)
        data = event("deliveries", {"alerts": alerts, "told": told or {}, "channels": channels})
        for client in tuple(self._clients):
            client.offer("deliveries", data)

    def beat(self, now_us: int) -> None:
        """Tells everyone that the desk lives, and ends the feeds whose session has expired."""
        data = event("beat", {"now_us": now_us})
        for client in tuple(self._clients):
            if client.expires_us <= now_us:
                client.close()
            client.offer("beat", data)

    def end_session(self, session: str) -> None:
        """Ends the feeds of a person who signed out."""
        for client in tuple(self._clients):
            if client.session == session:
                client.close()

    def end(self) -> None:
        """Ends all feeds: the desk stops."""
        for client in tuple(self._clients):
            client.close()


def event(name: str, data: object, id_: str | None = None) -> bytes:
    """One server-sent event; JSON keeps the data on one line."""
    head = "" if id_ is None else f"id: {id_}\n"
    return f"{head}event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _fleet_event(view: bytes) -> bytes:
    return b"event: fleet\ndata: " + view + b"\n\n"


def alert_event(change: Change) -> bytes:
    """The event that tells of one change."""
    return event("alert", {"alert": asdict(change.alert), "entry": change.entry()}, change.id)


def last_id(request: web.Request) -> str | None:
    """The id a client has seen last, None where there is none."""
    return request.headers.get("Last-Event-ID") or request.query.get("after") or None


class Ask(Protocol):
    """Puts a question to the alert book's reader, in the reader's thread."""

    def __call__(self, question: Callable[[Reader], T]) -> Awaitable[T]:
        """The answer."""
        ...


async def _seq(ask: Ask, last: str) -> int:
    """The number of the change that a client has seen last; -1 where this book has no such change.

    A number alone is taken at its word.
    """
    number, _, check = last.partition("-")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return -1
    seq = int(number)
    if check and await ask(partial(Reader.feed_id, seq=seq)) != last:
        return -1
    return seq


class Beginning:
    """What pages start from: the alerts of a moment, shared by all that come soon after, who then get what followed.

    With thousands of open alerts this is megabytes: read once for two hundred pages, and written in pieces, so
    that it waits in memory once and not two hundred times.
    """

    def __init__(self) -> None:
        self._seq = -1
        self._id = ""
        self._until_us = 0
        self._alerts = b""
        self._reading = asyncio.Lock()

    async def write(
        self, write: Callable[[bytes], Awaitable[None]], ask: Ask, now_us: int, *, reset: bool
    ) -> int:
        """Writes the event `snapshot` and returns the id up to which it is true."""
        async with self._reading:
            newest = await ask(Reader.last_seq)
            if not (self._seq <= newest <= self._seq + BEHIND_MAX and now_us < self._until_us):
                question = partial(Reader.snapshot_json, final_after_us=now_us - FINAL_SHOWN_US)
                self._seq, self._alerts = await ask(question)
                self._id = await ask(partial(Reader.feed_id, seq=self._seq))
                self._until_us = now_us + SHARED_US
            seq, id_, alerts = self._seq, self._id, self._alerts
        head = json.dumps({"seq": seq, "now_us": now_us, "reset": reset})
        await write(f'event: snapshot\nid: {id_}\ndata: {head[:-1]}, "alerts": '.encode())
        for start in range(0, len(alerts), PIECE):
            await write(alerts[start : start + PIECE])
        await write(b"}\n\n")
        return seq


async def follow(
    client: Client,
    write: Callable[[bytes], Awaitable[None]],
    ask: Ask,
    beginning: Beginning,
    last: str | None,
    now_us: int,
) -> None:
    """Serves a client that has joined the hub, until its end: the beginning, what it missed, then live.

    `last` is the id it has seen last, None where it starts anew.
    """
    seq = await _begin(write, ask, beginning, last, now_us)
    while (items := await client.next()) is not None:
        data = b"".join(data for number, data in items if number is None or number > seq)
        if data:
            await write(data)


async def _begin(
    write: Callable[[bytes], Awaitable[None]], ask: Ask, beginning: Beginning, last: str | None, now_us: int
) -> int:
    """Writes what a client needs before it can go live, and returns the id up to which it now knows all."""
    newest = await ask(Reader.last_seq) if last is not None else 0
    seq = await _seq(ask, last) if last is not None else -1
    if last is not None and max(0, newest - REPLAY_MAX) <= seq <= newest:
        await write(event("resume", {"seq": newest, "now_us": now_us}))
    else:
        seq = await beginning.write(write, ask, now_us, reset=last is not None)
    while missed := await ask(partial(Reader.since, seq=seq, limit=PAGE)):
        await write(b"".join(map(alert_event, missed)))
        seq = missed[-1].seq
    return seq
