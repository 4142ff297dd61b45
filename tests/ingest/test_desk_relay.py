"""The relay to the desk: whatever goes wrong on the way, the thread lives and detections arrive in order."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from frames import NOW_US
from journals import NOTHING, detection

from core import metrics
from core.config import Config
from core.model import HelmetEvent, WorkerReport
from ingest.desk_relay import DeskRelay, State
from ingest.journal import Journal, Tick


class Desk:
    """A desk that takes everything and keeps what it was told; held, it takes a request and says nothing."""

    def __init__(self) -> None:
        self.told: list[tuple[str, list[str]]] = []
        self.reports = 0
        self.answering = threading.Event()
        self.answering.set()
        self.asked = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.set()
                outer.answering.wait()
                kind = self.path.rpartition("/")[2]
                if kind == "report":
                    outer.reports += 1
                else:
                    outer.told.append((kind, [str(each.get("incident", each.get("type"))) for each in body]))
                self._say(b"{}")

            def do_GET(self) -> None:
                self._say(b'{"observed": {}}')

            def _say(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.answering.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "j.db")
    journal.commit(Tick(NOW_US, detections=[detection("a"), detection("b")]), NOTHING)
    journal.commit(Tick(NOW_US, events=[HelmetEvent("SF-1", "sos", NOW_US, NOW_US)]), NOTHING)
    journal.commit(Tick(NOW_US, detections=[detection("c")]), NOTHING)
    yield journal
    journal.close()


def report() -> WorkerReport:
    return WorkerReport("w", NOW_US, True, 0, 0, 0.0, 0, 0.0, 0, 0, [])


def relay(
    desk: Desk, journal: Journal, delivered: Callable[[list[tuple[State, int]]], None], **more: Callable
) -> DeskRelay:
    given = {"report": report, "observed": lambda _: None, "messages": lambda _: None} | more
    config = Config.model_validate(
        {"ingest": {"desk_url": f"http://127.0.0.1:{desk.server.server_port}", "report_s": 0.05}}
    )
    made = DeskRelay(config, "t" * 32, journal.path, delivered=delivered, **given)
    made.start()
    return made


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def faults(name: str) -> float:
    return float(metrics.RELAY_ERRORS.labels(name)._value.get())


def test_detections_and_events_arrive_in_order_though_each_step_fails_once(
    desk: Desk, journal: Journal
) -> None:
    """A fault that nobody has thought of: it is counted, logged, and tried again after a while."""
    before = faults("desk")
    struck: list[tuple[State, int]] = []
    failing = [ZeroDivisionError(), RuntimeError("set changed size"), MemoryError()]

    def delivered(states: list[tuple[State, int]]) -> None:
        if failing:
            raise failing.pop(0)
        struck.extend(states)

    made = relay(desk, journal, delivered)
    until(lambda: len(struck) == 4)
    assert made.alive() and faults("desk") - before == 3
    assert struck == [("taken", number) for number in (1, 2, 3, 4)]
    kinds = [("detections", ["a", "b"])] * 4 + [("events", ["sos"]), ("detections", ["c"])]
    assert desk.told == kinds, (
        "what the desk took and we could not note goes again, before what comes after it"
    )
    made.leave()
    made.join(10)
    assert not made.alive()


@pytest.mark.parametrize("part", ["report", "messages", "observed"])
def test_a_fault_around_the_report_does_not_end_the_reports(desk: Desk, journal: Journal, part: str) -> None:
    before, failing = faults("report"), [KeyError("x"), TypeError(), RuntimeError()]

    def fails_at_first(*_: object) -> WorkerReport:
        if failing:
            raise failing.pop(0)
        return report()

    made = relay(desk, journal, lambda _: None, **{part: fails_at_first})
    until(lambda: not failing and desk.reports >= 5)
    assert faults("report") - before == 3
    made.leave()
    made.join(10)


def test_a_journal_that_cannot_be_read_for_a_while_is_read_later(desk: Desk, journal: Journal) -> None:
    struck: list[tuple[State, int]] = []
    journal._db.execute("ALTER TABLE outbox RENAME TO elsewhere")
    made = relay(desk, journal, struck.extend)
    until(lambda: desk.reports > 2)
    assert not struck and made.alive()
    journal._db.execute("ALTER TABLE elsewhere RENAME TO outbox")
    until(lambda: len(struck) == 4)
    made.leave()
    made.join(10)


def test_a_desk_that_says_nothing_does_not_hold_up_a_stop(desk: Desk, journal: Journal) -> None:
    desk.answering.clear()
    struck: list[tuple[State, int]] = []
    made = relay(desk, journal, struck.extend)
    assert desk.asked.wait(10)
    began = time.monotonic()
    made.leave()
    made.join(0.2)
    assert time.monotonic() - began < 2 and made.alive()
    desk.answering.set()
    made.join(10)
    assert not made.alive(), "it ends by itself once it has its answer"


def test_a_wait_after_failures_ends_with_a_stop(desk: Desk, journal: Journal) -> None:
    """Five seconds at most lie between two tries; a stop does not wait for them."""

    def never(_: object) -> None:
        raise ZeroDivisionError

    before = faults("desk")
    made = relay(desk, journal, never)
    until(lambda: faults("desk") - before >= 4)  # from the fifth failure on, waits are up to 3.2 s
    began = time.monotonic()
    made.leave()
    made.join(10)
    assert not made.alive() and time.monotonic() - began < 2
