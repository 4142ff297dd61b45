"""The dead man's switch, heard by a real server."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from core import metrics
from core.config import ConfigError
from ingest.heartbeat import Heartbeat


@pytest.fixture
def heard() -> Iterator[tuple[str, list[str]]]:
    paths: list[str] = []

    class Outside(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200 if len(paths) != 2 else 503)  # one answer is bad, and changes nothing
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Outside)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/ping/secret", paths
    server.shutdown()
    server.server_close()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def withheld() -> float:
    return float(metrics.HEARTBEATS.labels("withheld")._value.get())


def test_a_worker_that_works_is_heard_and_one_that_does_not_falls_silent(
    heard: tuple[str, list[str]],
) -> None:
    url, paths = heard
    trouble = ""
    heartbeat = Heartbeat(url, 0.02, lambda: trouble)
    heartbeat.start()
    until(lambda: len(paths) >= 5)
    assert paths[:5] == ["/ping/secret"] * 5
    trouble = "not connected to the broker"
    before = withheld()
    until(lambda: withheld() > before)
    count = len(paths)
    until(lambda: withheld() > before + 10)
    assert len(paths) == count
    heartbeat.stop()


def test_only_the_web_is_asked() -> None:
    with pytest.raises(ConfigError, match="heartbeat_url"):
        Heartbeat("file:///etc/passwd", 1, lambda: "")
