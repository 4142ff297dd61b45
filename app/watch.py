"""Somebody at the desk, in code: signs in, follows the feed, asks for alerts. For replay, bench and tests."""

import asyncio
import contextlib
import json
import threading
import time
from typing import Any, NamedTuple

import aiohttp


class Seen(NamedTuple):
    """One event of the feed and the moment it arrived, by `time.monotonic_ns` and by the machine's clock."""

    type: str
    data: Any
    at_ns: int
    at_us: int


class Watcher:
    """Follows the desk's feed in a thread of its own; keeps every `alert` event with its time of arrival."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self._url = url
        self._account = {"name": name, "password": password}
        self.seen: list[Seen] = []
        self.fleet: dict[str, Any] = {}
        self._following = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        if not self._following.wait(15):
            raise TimeoutError("the desk's feed did not begin within 15 s")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    def alerts(self) -> list[dict[str, Any]]:
        """Every alert in the book, oldest first."""
        return asyncio.run_coroutine_threadsafe(self._alerts(), self._loop).result(30)

    def get(self, path: str) -> Any:
        """The JSON of a route."""
        return asyncio.run_coroutine_threadsafe(self._get(path), self._loop).result(30)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Posts as the person who is signed in. Raises `aiohttp.ClientResponseError`."""
        return asyncio.run_coroutine_threadsafe(self._post(path, body), self._loop).result(30)

    def _run(self) -> None:
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(self._url, timeout=timeout, cookie_jar=jar) as self._session:
            await self._post("/api/v1/session", self._account)
            follow = asyncio.create_task(self._follow(self._session))
            await self._stop.wait()
            follow.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await follow

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        last = ""
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                headers = {"Last-Event-ID": last} if last else {}
                async with session.get("/api/v1/feed", headers=headers, read_bufsize=1 << 22) as answer:
                    answer.raise_for_status()
                    last = await self._read(answer.content, last)
            await asyncio.sleep(0.1)

    async def _read(self, content: aiohttp.StreamReader, last: str) -> str:
        event, data = "", ""
        while raw := await content.readuntil(b"\n"):
            line = raw.decode().rstrip("\r\n")
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                data += value
            elif name == "id":
                last = value
            elif not line and data:
                self._take(event, json.loads(data))
                event, data = "", ""
        return last

    def _take(self, event: str, data: Any) -> None:
        self._following.set()
        if event == "alert":
            self.seen.append(Seen(event, data, time.monotonic_ns(), time.time_ns() // 1000))
        elif event == "fleet":
            self.fleet = data

    async def _alerts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        before = ""
        while True:
            page = await self._get(f"/api/v1/alerts?limit=200{before}")
            found += page["alerts"]
            if page["next"] is None:
                return found[::-1]
            before = f"&before={page['next']}"

    async def _get(self, path: str) -> Any:
        async with self._signed_in().get(path) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        async with self._signed_in().post(path, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    def _signed_in(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("used before it was entered")
        return self._session
