"""`helmetwatch bench desk`: how soon the newest alert reaches every browser while thousands are open.

The desk is a process of its own, the browsers are real connections to its feed, all of them in this process: what
is measured holds the cost of both.
"""

import asyncio
import contextlib
import os
import re
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import click
import yaml
from rich.console import Console
from rich.table import Table

from app.services import fail
from app.stack import StackError, free_port, print_json
from core.model import Detection, Kind, Position, Stage, Worn
from web.accounts import Accounts, Role

_BATCH = 250
_PATIENCE_S = 120.0
_NEWEST = re.compile(rb'"id": "newest-(\d+)"')


@click.command()
@click.option("--alerts", default=10_000, show_default=True, type=click.IntRange(1), help="Open at once.")
@click.option(
    "--browsers", default=200, show_default=True, type=click.IntRange(1), help="Following the feed."
)
@click.option("--rounds", default=50, show_default=True, type=click.IntRange(1), help="New alerts measured.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def desk(alerts: int, browsers: int, rounds: int, as_json: bool) -> None:
    """Measure the desk: a new alert's way to all browsers, and what one that stops reading costs the others.

    First all browsers connect and get every open alert; then new alerts come in one by one; then a storm of changes
    comes in while one browser does not read. Everything shares this machine's cores.
    """
    console = Console(stderr=True)
    try:
        with (
            console.status("starting") as status,
            tempfile.TemporaryDirectory(prefix="helmetwatch-desk-") as name,
        ):
            report = asyncio.run(measure(Path(name), alerts, browsers, rounds, status.update))
    except (StackError, aiohttp.ClientError, TimeoutError) as error:
        raise fail(f"{type(error).__name__}: {error}") from None
    if as_json:
        print_json(report)
        return
    table = Table("measured here, now", "", box=None)
    for key, value in report.items():
        table.add_row(key.replace("_", " "), str(value))
    Console().print(table)


async def measure(
    folder: Path, alerts: int, browsers: int, rounds: int, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Runs the three parts and gives the figures; times are in milliseconds unless the name says otherwise."""
    async with _running(folder) as running:
        say(f"{alerts} alerts")
        for start in range(0, alerts, _BATCH):
            await running.tell([_alert(f"open-{n}") for n in range(start, min(alerts, start + _BATCH))])
        say(f"{browsers} browsers connect")
        began = time.perf_counter()
        pages = [_Browser() for _ in range(browsers)]
        following = [asyncio.create_task(page.follow(running)) for page in pages]
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await asyncio.gather(*(page.live.wait() for page in pages))
            connected_s = time.perf_counter() - began
            say(f"{rounds} new alerts, one by one")
            quiet = [await _round(running, pages, n) for n in range(rounds)]
            say("a storm of changes, and one browser that does not read")
            stuck, storm_s = await _storm(running, pages, alerts)
            after = [await _round(running, pages, rounds + n) for n in range(5)]
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
        return {
            "alerts": alerts,
            "browsers": browsers,
            "all_connected_s": round(connected_s, 2),
            "newest_to_all": _summary(quiet),
            "storm_changes": stuck["changes"],
            "storm_to_all_s": round(storm_s, 2),
            "stuck_browser_cut_after_changes": stuck["cut_after"],
            "others_cut": running.cut() - stuck["cut"],
            "newest_to_all_afterwards": _summary(after),
            "desk_memory_mb": running.memory_mb(),
        }


def _summary(times_ms: list[float]) -> dict[str, float]:
    ordered = sorted(times_ms)
    return {
        "p50": round(ordered[len(ordered) // 2], 1),
        "p99": round(ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))], 1),
        "max": round(ordered[-1], 1),
        "n": len(ordered),
    }


async def _round(running: "_Running", pages: list["_Browser"], number: int) -> float:
    """One new alert: milliseconds from the worker's request to its arrival at the last browser."""
    await asyncio.sleep(0.1)
    began = time.perf_counter()
    await running.tell([_alert(f"newest-{number}")])
    async with asyncio.timeout(_PATIENCE_S):
        for page in pages:
            await page.has(number)
    return (max(page.arrived[number] for page in pages) - began) * 1e3


async def _storm(running: "_Running", pages: list["_Browser"], alerts: int) -> tuple[dict[str, Any], float]:
    """A browser stops reading while changes come in; ends when it was cut and all others have everything."""
    changes, before, cut_after = 0, running.cut(), None
    stuck = await running.stuck()
    began, start = time.perf_counter(), [page.changes for page in pages]
    try:
        # Each round is a new version of some alerts: one change each. Twice what a queue holds.
        for version in range(2, 2 + -(-3000 // min(alerts, _BATCH))):
            found = [replace(_alert(f"open-{n}"), version=version) for n in range(min(alerts, _BATCH))]
            await running.tell(found)
            changes += len(found)
            if cut_after is None and running.cut() > before:
                cut_after = changes
        async with asyncio.timeout(_PATIENCE_S):
            for page, first in zip(pages, start, strict=True):
                await page.counts(first + changes)
        took_s = time.perf_counter() - began
        if cut_after is None and running.cut() > before:
            cut_after = changes
    finally:
        stuck.close()
    return {"changes": changes, "cut_after": cut_after, "cut": before + (cut_after is not None)}, took_s


def _alert(incident: str) -> Detection:
    now_us = time.time_ns() // 1000
    return Detection(
        incident=incident, version=1, helmet="SF-000001", kind=Kind.HEAD_STRIKE, stage=Stage.CONFIRMED, severity=3,
        severity_basis="kinematic", quality="B", occurred_us=now_us, impacts_us=[1], received_us=now_us,
        detected_us=now_us, boot=1, seq=7, reason_zh="头部撞击 32 g，静止 12 s",
        reason_en="Head impact 32 g, then 12 s of stillness", worn=Worn.YES, speed_mps=6.2,
        position=Position(22.5, 114.0, 5.0, 1.0),
    )  # fmt: skip


@dataclass
class _Browser:
    """One page's connection to the feed."""

    live: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: dict[int, float] = field(default_factory=dict)
    """When each of the newest alerts was here."""
    changes: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, running: "_Running") -> None:
        """Reads for ever."""
        async with running.http.get("/api/v1/feed", cookies=running.cookies) as answer:
            answer.raise_for_status()
            tail = b""
            async for part in answer.content.iter_any():
                text = tail + part
                self.changes += text.count(b"event: alert\n") - tail.count(b"event: alert\n")
                for found in _NEWEST.finditer(text):
                    self.arrived.setdefault(int(found[1]), time.perf_counter())
                if not self.live.is_set() and b"event: beat\n" in text:
                    self.live.set()
                # What an expression may have been cut in two by; never a whole event.
                tail = text[-40:]
                self._news.set()

    async def has(self, number: int) -> None:
        """Waits for one of the newest alerts."""
        await self._until(lambda: number in self.arrived)

    async def counts(self, changes: int) -> None:
        """Waits until so many changes have come."""
        await self._until(lambda: self.changes >= changes)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._news.clear()
            await self._news.wait()


@dataclass
class _Running:
    """The desk's process, and its clients."""

    process: asyncio.subprocess.Process
    url: str
    token: str
    http: aiohttp.ClientSession
    cookies: dict[str, str]
    account: dict[str, str]
    _cut: int = 0

    async def tell(self, found: list[Detection]) -> None:
        """A worker delivers."""
        headers = {"Authorization": f"Bearer {self.token}"}
        body = [asdict(each) for each in found]
        async with self.http.post("/api/v1/detections", json=body, headers=headers) as answer:
            answer.raise_for_status()
        async with self.http.get("/metrics") as answer:
            text = await answer.text()
        cut = re.search(r"^helmetwatch_feed_clients_cut_total (\S+)", text, re.M)
        self._cut = int(float(cut[1])) if cut else 0

    def cut(self) -> int:
        """How many browsers the desk had cut off when something was last delivered."""
        return self._cut

    async def stuck(self) -> socket.socket:
        """A browser that asks for the feed and then never reads."""
        parts = urlsplit(self.url)
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 2**10)
        made.connect((parts.hostname, parts.port))
        cookie = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
        made.sendall(
            f"GET /api/v1/feed HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {cookie}\r\n\r\n".encode()
        )
        await asyncio.sleep(0.5)
        return made

    def memory_mb(self) -> int:
        """Resident memory of the desk's process; 0 where the system does not say."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
            return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) // 1024
        return 0


@asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[_Running]:
    book, port, token = folder / "alerts.db", free_port(), secrets.token_urlsafe(24)
    config = folder / "config.yaml"
    config.write_text(
        yaml.safe_dump({"alerts": {"path": str(book)}, "web": {"port": port}}), encoding="utf-8"
    )
    accounts = Accounts(book)
    account = {"name": "bench", "password": accounts.add("bench", "", Role.SUPERVISOR)}
    accounts.close()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "desk", "--config", str(config),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"HELMETWATCH_DESK_TOKEN": token, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        url = await _listening(process)
        limits = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
        # Large reads: a browser's network process does not wake up for each kilobyte either.
        async with aiohttp.ClientSession(url, connector=limits, timeout=timeout, read_bufsize=2**20) as http:
            async with http.post("/api/v1/session", json=account) as answer:
                answer.raise_for_status()
                cookies = {key: morsel.value for key, morsel in answer.cookies.items()}
            yield _Running(process, url, token, http, cookies, account)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _listening(process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(_PATIENCE_S):
        while process.stdout and (line := (await process.stdout.readline()).decode()):
            if found := re.match(r"desk: (\S+)", line):
                return found[1]
    raise StackError("the desk ended at its start")
