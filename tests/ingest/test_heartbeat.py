"""The dead man's switch, heard by a real server."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter
from servers import free_port, wait_for_port

from core import metrics
from core.config import ConfigError, parse
from core.model import WorkerReport
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
    for section in ("ingest", "web"):
        with pytest.raises(ConfigError, match=f"{section}.heartbeat_url"):
            parse(f"{section}: {{heartbeat_url: 'file:///etc/passwd'}}")


def test_a_desk_is_heard_while_alerts_would_get_through_and_not_without_a_worker_or_while_it_hangs(
    heard: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, paths = heard
    port, token = free_port(), secrets.token_urlsafe(32)
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump(
            {
                "alerts": {"path": str(tmp_path / "alerts.db")},
                "web": {"port": port, "heartbeat_url": url, "heartbeat_s": 1},
            }
        )
    )
    desk = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "desk", "--config", str(tmp_path / "config.yaml")],
        env=os.environ | {"HELMETWATCH_DESK_TOKEN": token},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for_port(port, desk, 30)
        assert desk.stderr is not None
        until_withheld = iter(desk.stderr.readline, "")
        assert any("heartbeat.withheld" in line for line in until_withheld), "no worker has reported"
        assert not paths
        now_us = time.time_ns() // 1000
        report = TypeAdapter(WorkerReport).dump_json(WorkerReport("w", now_us, True, 0, 0, 0.0, 0, 0.0, 0, 0))
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/v1/report",
            data=report,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            assert "riding" in json.load(answer)
        until(lambda: bool(paths))
        desk.send_signal(signal.SIGSTOP)
        time.sleep(0.2)  # what is on its way arrives
        count = len(paths)
        time.sleep(2.2)
        assert len(paths) == count
    finally:
        desk.kill()
        desk.communicate()
