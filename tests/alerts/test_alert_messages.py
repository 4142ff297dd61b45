"""Messages to helmets: none is lost with the process, each is given out until it went out, none for ever."""

from pathlib import Path

import pytest
from alert_story import START_US, version
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.book import Book
from alerts.messages import KEPT_US, Heard, Message, Messages
from alerts.rules import RefusedError
from core.model import Stage

HELPER = {"helper": "rider:SF-000002", "kind": "rider", "name": "李四", "status": "asked", "note": ""}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A book with an open alert."""
    path = tmp_path / "alerts.db"
    book = Book(path, 30.0)
    book.take([version(incident="crash", stage=Stage.CONFIRMED)], START_US)
    book.close()
    return path


def ask(path: Path, now_us: int = START_US) -> str:
    """Asks for help and dies: the book is left open, as by a process that is killed."""
    book = Book(path, 30.0)
    (change,) = book.help("crash", "王芳", HELPER, now_us, Heard("SF-000002", "come"))
    return f"help-{change.seq}"


def test_whoever_was_asked_is_told_though_the_desk_was_killed_right_after(path: Path) -> None:
    id_ = ask(path)
    after = Messages(path)
    assert after.waiting(START_US + 1) == [Message(id_, "SF-000002", "come")]
    assert after.stands([id_, "unknown"], START_US + 1) == {id_: "waiting"}


def test_what_a_worker_says_it_sent_stays_sent_after_a_kill_and_is_given_out_no_more(path: Path) -> None:
    id_ = ask(path)
    before = Messages(path)
    before.sent([id_, "unknown", id_], START_US + 1)  # and killed
    after = Messages(path)
    assert after.waiting(START_US + 2) == []
    assert after.stands([id_], START_US + 2 * KEPT_US) == {id_: "sent"}


def test_a_message_that_nobody_took_in_time_is_given_out_no_more_and_said_to_have_expired(path: Path) -> None:
    id_ = ask(path)
    messages = Messages(path)
    assert [each.id for each in messages.waiting(START_US + KEPT_US - 1)] == [id_]
    assert messages.waiting(START_US + KEPT_US) == []
    assert messages.stands([id_], START_US + KEPT_US) == {id_: "expired"}
    messages.sent([id_], START_US + KEPT_US + 1)
    assert messages.stands([id_], START_US + KEPT_US + 1) == {id_: "sent"}, "a report that came late is true"


def test_nothing_is_sent_about_what_the_book_refuses(path: Path) -> None:
    book = Book(path, 30.0)
    book.acknowledge("crash", "王芳", START_US)
    book.resolve("crash", "王芳", "unhurt", "", START_US)  # type: ignore[arg-type]
    with pytest.raises(RefusedError):
        book.help("crash", "王芳", HELPER, START_US, Heard("SF-000002", "come"))
    assert Messages(path).waiting(START_US) == []


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "sent", "restart"]), st.integers(0, KEPT_US // 2)), max_size=12
)


@settings(max_examples=12, deadline=None)
@given(STEPS)
def test_whatever_happens_each_message_is_waiting_sent_or_expired_and_only_the_first_are_given_out(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("book") / "alerts.db"
    book, now_us = Book(path, 30.0), START_US
    book.take([version(incident="crash", stage=Stage.CONFIRMED)], START_US)
    messages = Messages(path)
    asked: dict[str, int] = {}
    sent: set[str] = set()
    for step, later_us in steps:
        now_us += later_us
        if step == "ask":
            (change,) = book.help("crash", "王芳", HELPER, now_us, Heard("SF-000002", "come"))
            asked[f"help-{change.seq}"] = now_us
        elif step == "sent":
            given_ = {each.id for each in messages.waiting(now_us)}
            messages.sent(given_, now_us)
            sent |= given_
        else:
            messages = Messages(path)
        waiting = {id_ for id_, at_us in asked.items() if id_ not in sent and now_us - at_us < KEPT_US}
        assert {each.id for each in messages.waiting(now_us)} == waiting
        assert messages.stands(asked, now_us) == {
            id_: "sent" if id_ in sent else "waiting" if id_ in waiting else "expired" for id_ in asked
        }
    messages.close()
    book.close()
