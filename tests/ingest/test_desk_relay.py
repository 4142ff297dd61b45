"""The relay to the desk: whatever goes wrong on the way, the thread lives and detections arrive in order.

And only the desk's own word counts: what answers in its place has taken nothing.
"""

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from frames import NOW_US
from hypothesis import given
from hypothesis import strategies as st
from journals import NOTHING, detection

from app.cli import main
from core import metrics
from core.config import Config
from core.model import HelmetEvent, WorkerReport
from ingest.desk_relay import DeskRelay, State, verdict
from ingest.journal import Journal, Tick

Answer = tuple[int, str, bytes]
"""Status, content type and body."""


class Desk:
    """A desk that takes everything and keeps what it was told; held, it takes a request and says nothing.

    `instead` gives, for a kind and what was told, another answer than the desk's; None where it is the desk's.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, list[str]]] = []
        self.reports = 0
        self.elsewhere = 0
        self.answering = threading.Event()
        self.answering.set()
        self.asked = threading.Event()
        self.instead: Callable[[str, list[str]], Answer | None] = lambda *_: None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.set()
                outer.answering.wait()
                kind = self.path.rpartition("/")[2]
                if kind == "report":
                    outer.reports += 1
                    self._say(outer.instead(kind, []) or (200, "application/json", b"{}"))
                    return
                told = [str(each.get("incident", each.get("type"))) for each in body]
                answer = outer.instead(kind, told)
                if answer is None:
                    outer.told.append((kind, told))
                self._say(answer or (200, "application/json", b'{"taken": %d}' % len(told)))

            def do_GET(self) -> None:
                outer.elsewhere += self.path == "/elsewhere"
                self._say((200, "application/json", b'{"observed": {}}'))

            def _say(self, answer: Answer) -> None:
                status, content_type, body = answer
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
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


OWN, PROBLEM, PAGE = "application/json", "application/problem+json", "text/html"


@given(
    st.integers(100, 599), st.sampled_from([OWN, PROBLEM, PAGE]),
    st.sampled_from([b"", b"{}", b"[]", b"<html>", b'{"taken": 3}', b'{"taken": 2}', b'{"status": 400}']),
)  # fmt: skip
def test_only_the_desk_itself_takes_or_refuses(status: int, content_type: str, body: bytes) -> None:
    found = verdict(status, content_type, body, 3)
    assert (found == "taken") == (status == 200 and content_type == OWN and body == b'{"taken": 3}')
    assert (found == "refused") == (status in (400, 413) and content_type == PROBLEM)


@pytest.mark.parametrize(
    "answer",
    [
        (302, PAGE, b""), (307, PAGE, b""), (200, PAGE, b"<html>please sign in</html>"), (200, OWN, b"{}"),
        (204, OWN, b""), (400, PAGE, b"no host"), (404, PROBLEM, b"{}"), (405, PAGE, b""), (413, PAGE, b""),
        (418, PAGE, b""), (500, PROBLEM, b"{}"), (502, PAGE, b""), (401, PROBLEM, b"{}"),
    ],
)  # fmt: skip
def test_whatever_answers_in_the_desks_place_nothing_is_lost(
    desk: Desk, journal: Journal, answer: Answer
) -> None:
    struck: list[tuple[State, int]] = []
    refusals = []
    desk.instead = lambda kind, _: (refusals.append(kind), answer)[1]
    made = relay(desk, journal, struck.extend)
    until(lambda: len(refusals) > 4 and "report" in refusals)
    assert not struck and made.undelivered == 4 and not desk.elsewhere
    assert made.trouble(time.monotonic() + 61), "nobody takes this for a desk"
    desk.instead = lambda *_: None
    until(lambda: len(struck) >= 4)
    assert {number for _, number in struck} == {1, 2, 3, 4} and {state for state, _ in struck} == {"taken"}
    made.leave()
    made.join(10)


@pytest.mark.parametrize("answer", [(400, PAGE, b""), (413, PAGE, b""), (500, PROBLEM, b"{}")])
def test_one_that_a_proxy_does_not_bear_keeps_no_other_waiting_and_is_tried_again(
    desk: Desk, journal: Journal, answer: Answer
) -> None:
    struck: list[tuple[State, int]] = []
    desk.instead = lambda kind, told: answer if "b" in told else None
    made = relay(desk, journal, lambda states: (struck.extend(states), strike(journal, states))[0])
    until(lambda: len(struck) == 3)
    assert struck == [("taken", 1), ("taken", 3), ("taken", 4)]
    desk.instead = lambda *_: None
    until(lambda: len(struck) == 4)
    assert struck[3] == ("taken", 2)
    made.leave()
    made.join(10)


def strike(journal: Journal, states: list[tuple[State, int]]) -> None:
    """What the worker's loop does with its next commit."""
    with contextlib.closing(sqlite3.connect(journal.path)) as db, db:
        db.executemany("UPDATE outbox SET state = ? WHERE id = ?", states)


def test_what_the_desk_refuses_is_kept_and_sent_again_when_a_person_says_so(
    desk: Desk, journal: Journal, tmp_path: Path
) -> None:
    struck: list[tuple[State, int]] = []
    desk.instead = lambda kind, told: (400, PROBLEM, b"{}") if "b" in told or "sos" in told else None
    made = relay(desk, journal, lambda states: (struck.extend(states), strike(journal, states))[0])
    until(lambda: len(struck) == 4)
    assert sorted(struck) == [("refused", 2), ("refused", 3), ("taken", 1), ("taken", 4)]
    config = tmp_path / "config.yaml"
    config.write_text(f"ingest: {{journal: {{path: {journal.path}}}}}")

    def command(*arguments: str) -> str:
        result = CliRunner().invoke(main, ["outbox", *arguments, "--config", str(config)])
        assert result.exit_code == 0 or result.output.startswith("Error")
        return result.output

    assert [line.split()[0] for line in command().splitlines()] == ["2", "3"]
    assert "not refused: 1" in command("--resend", "1") and "--resend" in command("2")
    desk.instead = lambda *_: None
    assert "1 wait" in command("--resend", "2")
    until(lambda: len(struck) == 5)
    assert command().split()[0] == "3" and "1 wait" in command("--resend")
    until(lambda: len(struck) == 6)
    assert desk.told[-2:] == [("detections", ["b"]), ("events", ["sos"])]
    assert "refused nothing" in command()
    made.leave()
    made.join(10)


def test_a_report_that_takes_its_time_holds_up_no_alert(desk: Desk, journal: Journal) -> None:
    struck: list[tuple[State, int]] = []
    written = threading.Event()

    def slow() -> WorkerReport:
        assert written.wait(20)
        return report()

    made = relay(desk, journal, struck.extend, report=slow)
    until(lambda: len(struck) == 4)
    written.set()
    until(lambda: desk.reports > 0)
    made.leave()
    made.join(10)


def test_a_desk_that_answers_but_takes_nothing_is_trouble_and_one_that_does_is_not(
    desk: Desk, journal: Journal
) -> None:
    desk.instead = lambda kind, _: None if kind == "report" else (503, PROBLEM, b"{}")
    struck: list[tuple[State, int]] = []
    made = relay(desk, journal, struck.extend)
    until(lambda: desk.reports > 2 and made.undelivered == 4)
    assert not made.trouble(time.monotonic())
    made._answered_s += 1000
    assert "4 wait" in made.trouble(time.monotonic() + 61)
    desk.instead = lambda *_: None
    until(lambda: len(struck) == 4)
    assert not made.trouble(time.monotonic() + 59)
    made.leave()
    made.join(10)
