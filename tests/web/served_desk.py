"""A desk in a thread of its own, for tests that call it as any client would, one request after another."""

import asyncio
import http.client
import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from running_desk import START_US, book_with_people, desk, detection, helmet, report

from core.clock import ManualClock
from core.model import Position


class Server:
    """A desk in a thread of its own, and a person and a worker who call it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ready, self.stop = folder, threading.Event(), threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.thread.start()
        assert self.ready.wait(20)

    async def _run(self) -> None:
        book, self.passwords = book_with_people()
        (self.folder / "alerts.db").write_bytes(book)
        (self.folder / "riders.csv").write_text("helmet,name,phone,first_aid\nSF-000001,A,1,yes\n")
        alerts = {"riders_file": str(self.folder / "riders.csv")}
        async with desk(self.folder, ManualClock(START_US), self.passwords, alerts=alerts) as running:
            self.address = urlsplit(running.url).netloc
            await running.tell(detection(position=Position(22.5, 114.0, 1.0, 1.0), helmet="SF-000002"))
            await running.report(report(helmet()))
            self.ready.set()
            await asyncio.to_thread(self.stop.wait)

    def call(
        self, method: str, path: str, body: bytes | None, kind: str, **headers: str
    ) -> tuple[int, str, bytes, str]:
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            connection.request(
                method, path, body, {"Content-Type": kind} | headers if body is not None else headers
            )
            answer = connection.getresponse()
            kind = answer.headers.get_content_type()
            return answer.status, kind, answer.read(), answer.headers.get("Set-Cookie", "")
        finally:
            connection.close()

    def cookie(self) -> str:
        body = json.dumps({"name": "wang", "password": self.passwords["wang"]}).encode()
        status, _, _, cookie = self.call("POST", "/api/v1/session", body, "application/json")
        assert status == 200
        return cookie.partition(";")[0]


@contextmanager
def served() -> Iterator[Server]:
    """A desk with an alert, a rider who may help, and a helmet, from start to a clean stop."""
    with tempfile.TemporaryDirectory() as name:
        running = Server(Path(name))
        try:
            yield running
        finally:
            running.stop.set()
            running.thread.join()
