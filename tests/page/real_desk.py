"""A real desk on a free port, and a wire to it that can be cut or held."""

import asyncio
import base64
import itertools
import json
import shutil
import threading
import time
import urllib.request
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from core.config import Config
from core.model import (
    Detection,
    HelmetReport,
    Kind,
    Position,
    RidingLog,
    Stage,
    Trace,
    WorkerReport,
    Worn,
)
from web.accounts import Role, add_account
from web.desk import run

T = TypeVar("T")
TOKEN = "for-the-tests-of-the-page"
CENTRE = (22.5431, 114.0579)


def now_us() -> int:
    return time.time_ns() // 1000


class AheadClock:
    """The machine's clock, and as far ahead of it as a test puts it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now_us(self) -> int:
        return now_us() + round(self.ahead_s * 1e6)

    def wall_s(self, seconds: float) -> float:
        return seconds


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(15)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


class Wire:
    """A TCP relay between browsers and the desk: whole, held (silent but open) or cut (refused)."""

    def __init__(self, loop: Loop, target: int) -> None:
        self.loop, self.target = loop, target
        self.whole = asyncio.Event()
        self.open = True
        self.links: set[asyncio.StreamWriter] = set()
        self.server = loop.wait(asyncio.start_server(self._join, "127.0.0.1", 0))
        self.port = self.server.sockets[0].getsockname()[1]
        loop.loop.call_soon_threadsafe(self.whole.set)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.open:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self.links |= {writer, far_writer}
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        self.links -= {writer, far_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self.whole.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    def hold(self) -> None:
        self.loop.loop.call_soon_threadsafe(self.whole.clear)

    def cut(self) -> None:
        self.open = False
        self.loop.loop.call_soon_threadsafe(lambda: [link.transport.abort() for link in self.links])

    def mend(self) -> None:
        self.open = True
        self.loop.loop.call_soon_threadsafe(self.whole.set)

    def close(self) -> None:
        self.cut()
        self.loop.loop.call_soon_threadsafe(self.server.close)


class Robot:
    """A DingTalk robot on a free port that answers with `code` and counts what it was told."""

    def __init__(self) -> None:
        self.code = 0
        self.told: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the library's name
                outer.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                body = json.dumps(
                    {"errcode": outer.code, "errmsg": "sign not match" if outer.code else "ok"}
                ).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/robot/send?access_token=x"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Accounts:
    """A book with two people in it, made once: their passwords are slow to hash, as they should be."""

    def __init__(self, folder: Path) -> None:
        self.book = folder / "alerts.db"
        self.passwords = {
            "wang": add_account(self.book, "wang", "王芳", Role.SUPERVISOR),
            "li": add_account(self.book, "li", "李明", Role.SUPERVISOR),
        }


class RealDesk:
    """The desk on a free port, and a worker's way to talk to it."""

    def __init__(
        self,
        folder: Path,
        accounts: Accounts,
        riders: str = "",
        riders_file: str = "",
        robot: Robot | None = None,
        web: dict[str, object] | None = None,
    ) -> None:
        self.loop, self.clock = Loop(), AheadClock()
        book = folder / "alerts.db"
        shutil.copy(accounts.book, book)
        names = folder / "riders.csv"
        names.write_text(
            riders_file
            or "helmet,name,phone,first_aid\nSF-000001,张三,+8613800000001,\nSF-000002,李四,+8613800000002,yes\n"
            + riders,
            encoding="utf-8",
        )
        places = folder / "places.csv"
        places.write_text(
            "kind,name,lat_deg,lon_deg,phone,note\n"
            f"station,南山驿站,{CENTRE[0] + 0.01},{CENTRE[1]},0755-0000000,24 h\n"
            f"aed,科技园站 A 口,{CENTRE[0]},{CENTRE[1] + 0.02},,站厅\n",
            encoding="utf-8",
        )
        channels = []
        if robot is not None:
            (folder / "robot").write_text(robot.url, encoding="utf-8")
            channels = [{"name": "group", "kind": "dingtalk", "url_file": str(folder / "robot")}]
        self.config = Config.model_validate(
            {
                "alerts": {
                    "path": str(book),
                    "riders_file": str(names),
                    "places_file": str(places),
                    "countdown_s": 90,
                    "channels": channels,
                    "public_url": "https://desk.example.org",
                },
                "web": {"port": 0} | (web or {}),
            }
        )
        self.passwords = accounts.passwords
        self.numbers = itertools.count(1)
        self.start(0)
        self.wire = Wire(self.loop, self.port)
        self.url = f"http://127.0.0.1:{self.wire.port}/"

    def start(self, port: int) -> None:
        config = self.config.model_copy(update={"web": self.config.web.model_copy(update={"port": port})})

        async def begin() -> int:
            self.stopping = asyncio.Event()
            listening: asyncio.Queue[str] = asyncio.Queue()
            self.running = asyncio.create_task(
                run(config, self.clock, TOKEN, listening=listening.put_nowait, stop=self.stopping)
            )
            return int((await listening.get()).rsplit(":", 1)[1].strip("/"))

        self.port = self.loop.wait(begin())

    def stop(self) -> None:
        async def end() -> None:
            self.stopping.set()
            await self.running

        self.loop.wait(end())

    def close(self) -> None:
        self.wire.close()
        self.stop()
        self.loop.close()

    def post(self, path: str, body: object) -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1/{path}",
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # our own desk
            assert answer.status in (200, 204)

    def crash(self, **changes: object) -> Detection:
        """A finding that has reached the desk; an alert that needs someone unless told otherwise."""
        found = replace(finding(next(self.numbers)), **changes)
        self.post("detections", [asdict(found)])
        return found

    def report(self, helmets: list[HelmetReport], riding: Sequence[RidingLog] = ()) -> None:
        report = WorkerReport(
            "worker-1", now_us(), True, 100, 0, 50.0, 0, 0.1, 0, 0, helmets, riding=list(riding)
        )
        self.post("report", asdict(report))


def finding(number: int) -> Detection:
    t_us = now_us() - 500_000
    return Detection(
        incident=f"{number:032x}",
        version=1,
        helmet="SF-000001",
        kind=Kind.HEAD_STRIKE,
        stage=Stage.CONFIRMED,
        severity=3,
        severity_basis="lower_bound",
        quality="C",
        occurred_us=t_us,
        impacts_us=[t_us],
        received_us=t_us + 400_000,
        detected_us=t_us + 410_000,
        boot=1,
        seq=7,
        reason_zh=f"头部撞击第 {number} 号",
        reason_en=f"Head strike number {number}",
        worn=Worn.YES,
        speed_mps=6.0,
        position=Position(*CENTRE, 8.0, 0.5),
        features={"peak_g": 16.0},
        points={"peak": 2.0},
        detector="test",
        trace=blow(t_us),
    )


def blow(t_us: int) -> Trace:
    """Four seconds at 100 Hz on a ±16 g part with one sample of 12 g two seconds in."""
    acc_g = np.tile([0.0, 0.0, 1.0], (400, 1))
    acc_g[200] = [12.0, 0.0, 0.0]
    counts = np.round(acc_g * 2048).astype("<i2").tobytes()
    return Trace(t_us - 2_000_000, 10_000_000, 1 / 2048, 16.0, base64.b64encode(counts).decode())
