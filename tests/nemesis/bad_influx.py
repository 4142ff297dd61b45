"""A telemetry server with moods: InfluxDB's v2 write API and the two InfluxQL questions that reconciling asks."""

import asyncio
import re
import threading
from collections import deque
from typing import Any, Self

from aiohttp import web

_LINE = re.compile(r"^helmet,helmet=(\S+) .*?boot=(\d+)i,seq=(\d+)i.* (\d+)$")


class BadInflux:
    """Answers writes as `moods` say, one mood a write, and well when there are none left."""

    def __init__(self) -> None:
        self.points: dict[tuple[str, int], tuple[int, int]] = {}
        """Boot and sequence number by helmet and nanosecond, the server's own key."""
        self.moods: deque[str] = deque()
        self.forever = ""
        self.bad_seq = -1
        """The number of frames whose lines it never takes, of whichever helmet; it stores the others beside them."""
        self.refused: set[tuple[str, int, int]] = set()
        """Helmet, boot and sequence number of these lines."""
        self.writes = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=100 * 2**20)
        app.router.add_post("/api/v2/write", self._write)
        app.router.add_get("/query", self._query)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _write(self, request: web.Request) -> web.Response:
        self.writes += 1
        lines = (await request.read()).decode().splitlines()
        mood = self.moods.popleft() if self.moods else self.forever
        if mood == "silent":
            await asyncio.sleep(3600)
        if mood == "hang":
            await asyncio.sleep(3)
        if mood == "reset" and request.transport:
            request.transport.abort()
        if mood in ("hang", "503", "reset"):
            return web.json_response({"message": "busy"}, status=503)
        if mood == "401":
            return web.json_response({"message": "unauthorized"}, status=401)
        bad = self._take(lines)
        if bad:
            return web.json_response(
                {"code": "invalid", "message": f"partial write: dropped={bad}"},
                status=400,
            )
        if mood == "late":  # stored, but the answer comes after the client has given up
            await asyncio.sleep(3)
        return web.Response(status=204)

    def _take(self, lines: list[str]) -> int:
        """Stores lines; how many it does not take."""
        bad = 0
        for line in lines:
            if line.startswith("samples,"):
                continue  # raw samples are no frames: the ledger does not ask for them
            helmet, boot, seq, t_ns = _LINE.match(line).groups()  # type: ignore[union-attr]
            if int(seq) == self.bad_seq:
                bad += 1
                self.refused.add((helmet, int(boot), int(seq)))
            else:
                self.points[helmet, int(t_ns)] = (int(boot), int(seq))
        return bad

    async def _query(self, request: web.Request) -> web.Response:
        asked = request.query["q"]
        if asked.startswith("SHOW TAG VALUES"):
            values: list[list[Any]] = [["helmet", name] for name in sorted({name for name, _ in self.points})]
            return _answer(["key", "value"], values)
        helmet, start, limit = re.search(r"= '([^']*)' AND time >= (-?\d+) .*LIMIT (\d+)", asked).groups()  # type: ignore[union-attr]
        found = sorted(
            (t_ns, *key) for (name, t_ns), key in self.points.items() if name == helmet and t_ns >= int(start)
        )
        return _answer(["time", "boot", "seq"], [list(row) for row in found[: int(limit)]])


def _answer(columns: list[str], values: list[list[Any]]) -> web.Response:
    return web.json_response(
        {"results": [{"series": [{"name": "helmet", "columns": columns, "values": values}]}]}
    )
