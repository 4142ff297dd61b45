"""What the worker says of itself over HTTP is what it does."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app import health
from core.clock import SystemClock
from core.config import Config
from ingest.worker import Worker


class Running:
    """A worker with its broker, in a thread; it has no desk, as if that had just been stopped."""

    def __init__(self, port: int, folder: Path) -> None:
        config = Config.model_validate(
            {
                "ingest": {
                    "worker": folder.name,
                    "mqtt": {"port": port},
                    "journal": {"path": str(folder / "journal.db")},
                    "desk_url": "http://127.0.0.1:1",
                },
                "storage": {"embedded": {"path": str(folder / "telemetry.db")}},
            }
        )
        self.stop, made = threading.Event(), threading.Event()

        def work() -> None:
            self.worker = Worker(config, SystemClock(), "t" * 32)
            made.set()
            self.worker.run(self.stop)

        self.thread = threading.Thread(target=work)
        self.thread.start()
        assert made.wait(20)
        self.server = health.serve(0, self.worker.ready, self.worker.hung)

    def ask(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.server.server_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def until(self, path: str, said: str) -> int:
        deadline = time.monotonic() + 20
        while said not in (found := self.ask(path))[1]:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        return found[0]


@pytest.fixture
def running(mosquitto: Callable, tmp_path: Path) -> Iterator[Running]:
    made = Running(mosquitto().port, tmp_path)
    yield made
    made.stop.set()
    made.thread.join(20)
    made.server.shutdown()
    made.server.server_close()


def test_a_worker_at_work_is_ready_and_says_where_to_ask(running: Running) -> None:
    assert running.until("/readyz", "ready\n") == 200
    assert running.ask("/healthz") == (200, "alive\n")
    status, text = running.ask("/metrics")
    assert status == 200 and "helmetwatch_broker_connected 1.0" in text
    assert running.ask("/elsewhere")[0] == 404


def test_a_desk_that_has_not_answered_for_a_minute_makes_the_worker_unready_but_a_new_start_would_not_help(
    running: Running,
) -> None:
    running.until("/readyz", "ready\n")
    running.worker._desk._answered_s -= 60
    assert running.until("/readyz", "the desk has not answered for 60 s") == 503
    assert running.ask("/healthz")[0] == 200


def test_a_loop_that_hangs_is_told_from_one_that_waits_for_the_disk(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.until("/readyz", "ready\n")
    going_on = threading.Event()
    monkeypatch.setattr(running.worker, "turn", lambda _: going_on.wait(20))
    running.worker.turned_s -= 60
    running.worker.lived_s -= 60
    assert running.until("/readyz", "the loop has not turned for 5 s") == 503
    assert running.until("/healthz", "the loop has not turned for 60 s") == 503
    running.worker.lived_s += 60  # as each try to write does
    assert running.ask("/healthz")[0] == 200 and running.ask("/readyz")[0] == 503
    monkeypatch.undo()
    going_on.set()
    assert running.until("/readyz", "ready\n") == 200


@pytest.mark.parametrize(("part", "name"), [("_desk", "desk-relay"), ("_telemetry", "store-relay")])
def test_a_thread_that_has_ended_is_named(running: Running, part: str, name: str) -> None:
    running.until("/readyz", "ready\n")
    getattr(running.worker, part).leave()
    assert running.until("/healthz", f"the thread {name} has ended") == 503
    assert running.until("/readyz", f"the thread {name} has ended") == 503


def test_a_worker_whose_broker_thread_has_ended_ends_with_a_code_that_says_so(running: Running) -> None:
    running.until("/readyz", "ready\n")
    running.worker._subscriber.failed.set()
    running.thread.join(20)
    assert not running.thread.is_alive()
    assert "broker has ended" in running.ask("/healthz")[1]
