"""Dedup, send, record: at least once, never lost, through retries, restarts and kill -9."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import vendor_servers as vendors
from alert_story import START_US, Story, version
from hypothesis import given, settings
from hypothesis import strategies as st
from vendor_servers import SECRET, notice, server

from alerts.channels.limits import Limit, Parcel
from alerts.channels.outcome import Outcome, delivered, refused, retry
from alerts.dispatch import Dispatcher
from alerts.notices import Notice, dump, parse
from alerts.outbox import DELAY_MAX_S, KEPT_US, WAITING_MAX, Delivery, Outbox, Stand
from core.clock import ManualClock
from core.model import Stage


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "alerts.db")


def states(outbox: Outbox) -> dict[str, Stand]:
    rows = outbox._db.execute("SELECT id, state FROM deliveries")
    return {id_: Stand(state) for id_, state in rows}


def due(outbox: Outbox, now_us: int = START_US) -> list[str]:
    return [each.id for each in outbox.waiting("c", now_us, 1000)[0]]


def alone(given_: Notice) -> Parcel:
    return Parcel(given_, (given_,))


def test_a_notice_reads_back_as_it_was_written() -> None:
    sent = notice(people=(vendors.WANG,), facts={"helmet": "SF-1", "location": {"lat_deg": 22.5}})
    assert parse(dump(sent)) == sent


def test_the_same_notice_is_taken_once(outbox: Outbox) -> None:
    assert len(outbox.put([notice("a"), notice("b")], START_US)) == 2
    assert outbox.put([notice("a")], START_US + 1) == []
    assert due(outbox) == ["a", "b"]


def test_what_is_delivered_or_refused_is_never_sent_again(outbox: Outbox) -> None:
    outbox.put([notice("a"), notice("b")], START_US)
    outbox.record(alone(notice("a")), delivered("0"), START_US, 0.5)
    outbox.record(alone(notice("b")), refused("310000", "no"), START_US, 0.5)
    assert due(outbox, START_US + KEPT_US) == []
    assert states(outbox) == {"a": Stand.DELIVERED, "b": Stand.REFUSED}
    assert outbox.put([notice("a")], START_US) == []


@given(jitters=st.lists(st.floats(0, 1), min_size=12, max_size=30))
@settings(max_examples=15, deadline=None)
def test_tries_grow_rarer_up_to_a_minute_and_end_after_a_day(
    jitters: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    outbox = Outbox(tmp_path_factory.mktemp("outbox") / "alerts.db")
    outbox.put([notice("a")], START_US)
    now_us = START_US
    for tries, jitter in enumerate(jitters):
        (line,) = outbox.record(alone(notice("a")), retry("timeout", "slow"), now_us, jitter)
        assert line.next_us is not None
        wait_s = (line.next_us - now_us) / 1e6
        whole_s = min(DELAY_MAX_S, 2.0**tries)
        assert whole_s / 2 <= wait_s <= whole_s
        assert due(outbox, line.next_us - 1) == []
        now_us = line.next_us
    (line,) = outbox.record(alone(notice("a")), retry("timeout", "slow"), START_US + KEPT_US + 1, 0.5)
    assert (line.state, line.next_us, line.tries) == (Stand.GIVEN_UP, None, len(jitters) + 1)
    outbox.close()


def test_critical_notices_come_first_however_late_they_came(outbox: Outbox) -> None:
    outbox.put([notice(f"n{i}", 2) for i in range(300)], START_US)
    outbox.put([notice("critical", 4)], START_US)
    assert outbox.waiting("c", START_US, 10)[0][0].id == "critical"


def test_a_queue_that_is_full_gives_up_the_oldest_but_nothing_critical(outbox: Outbox) -> None:
    outbox.put([notice("critical", 4)], START_US)
    outbox.put([notice(f"n{i}", 2) for i in range(WAITING_MAX + 4)], START_US)
    given_up = {id_ for id_, state in states(outbox).items() if state is Stand.GIVEN_UP}
    assert given_up == {f"n{i}" for i in range(5)}


def test_nobody_is_called_to_an_alert_that_somebody_has_taken_meanwhile(tmp_path: Path) -> None:
    story = Story(tmp_path)
    outbox = Outbox(story.path)
    story.detect(version(stage=Stage.CONFIRMED))
    call = notice("call", episode_us=story.alert().opened_us)
    outbox.put([call, notice("news")], START_US)
    assert due(outbox) == ["call", "news"]
    story.take("王芳")
    assert due(outbox) == ["news"], "a call is overtaken, news is not"
    assert states(outbox)["call"] is Stand.OVERTAKEN
    story.detect(version(2, Stage.CONFIRMED, impacts_s=(0, 60)))
    outbox.put([notice("old", episode_us=START_US - 1)], START_US)
    assert due(outbox) == ["news"], "a call from before the alert opened again is overtaken too"


@dataclass
class Recorder:
    """A sender that does what the test says and remembers what it got."""

    answer: Callable[[Notice], Outcome | Awaitable[Outcome]] = lambda _: delivered()
    name: str = "c"
    kind: str = "test"
    limits: tuple[Limit, ...] = ()
    got: list[Notice] = field(default_factory=list)

    async def send(self, notice: Notice, http: aiohttp.ClientSession, now_us: int) -> Outcome:
        self.got.append(notice)
        answer = self.answer(notice)
        return answer if isinstance(answer, Outcome) else await answer


async def dispatched(outbox: Outbox, clock: ManualClock, *senders: Recorder) -> Dispatcher:
    async def ask(work: Callable[[Outbox], Any]) -> Any:
        return work(outbox)

    dispatcher = Dispatcher({s.name: s for s in senders}, ask, clock, lambda _: None)
    await dispatcher.open()
    return dispatcher


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # what it waits for happens in a database
            await asyncio.sleep(0.005)


def test_a_channel_that_hangs_delays_no_other(outbox: Outbox) -> None:
    async def story() -> None:
        async def hang() -> Outcome:
            await asyncio.sleep(60)
            return delivered()

        stuck, quick = Recorder(lambda _: hang()), Recorder(name="quick")
        dispatcher = await dispatched(outbox, ManualClock(START_US), stuck, quick)
        dispatcher.wake(outbox.put([notice("a"), notice("b", channel="quick")], START_US))
        await until(lambda: states(outbox)["b"] is Stand.DELIVERED)
        assert states(outbox)["a"] is Stand.WAITING
        await dispatcher.close()

    asyncio.run(story())


def test_a_fault_in_a_sender_is_a_try_that_failed(outbox: Outbox) -> None:
    async def story() -> None:
        def fail(_: Notice) -> Outcome:
            raise KeyError("x")

        broken = Recorder(fail)
        clock = ManualClock(START_US)
        dispatcher = await dispatched(outbox, clock, broken)
        dispatcher.wake(outbox.put([notice("a")], START_US))
        await until(lambda: len(broken.got) == 1)
        clock.advance(2)
        await until(lambda: len(broken.got) == 2)
        await dispatcher.close()

    asyncio.run(story())


def test_a_channel_that_asks_for_quiet_gets_it_and_then_its_notices(outbox: Outbox) -> None:
    async def story() -> None:
        angry = Recorder(lambda _: retry("130101", "too fast", 600))
        clock = ManualClock(START_US)
        dispatcher = await dispatched(outbox, clock, angry)
        dispatcher.wake(outbox.put([notice("a")], START_US))
        await until(lambda: len(angry.got) == 1)
        clock.advance(599)
        dispatcher.wake(outbox.put([notice("b", 4)], clock.now_us()))
        await asyncio.sleep(0.4)
        assert len(angry.got) == 1
        angry.answer = lambda _: delivered()
        clock.advance(2)
        await until(lambda: set(states(outbox).values()) == {Stand.DELIVERED})
        assert [each.id for each in angry.got[1:]] == ["b", "a"], "critical first"
        await dispatcher.close()

    asyncio.run(story())


def test_a_robots_minute_is_remembered_over_a_restart(outbox: Outbox) -> None:
    async def story() -> None:
        clock, limits = ManualClock(START_US), (Limit(2, 60.0),)
        first = Recorder(limits=limits)
        dispatcher = await dispatched(outbox, clock, first)
        dispatcher.wake(outbox.put([notice("a"), notice("b")], START_US))
        await until(lambda: len(first.got) == 2)
        await dispatcher.close()
        clock.advance(30)
        second = Recorder(limits=limits)
        dispatcher = await dispatched(outbox, clock, second)
        dispatcher.wake(outbox.put([notice("x"), notice("y"), notice("z")], clock.now_us()))
        await asyncio.sleep(0.3)
        assert second.got == []
        clock.advance(31)
        await until(lambda: set(states(outbox).values()) == {Stand.DELIVERED})
        assert [each.reason for each in second.got] == ["opened", "digest"]
        await dispatcher.close()

    asyncio.run(story())


def test_a_channel_that_asked_to_be_left_alone_is_left_alone_by_the_next_desk_as_well(outbox: Outbox) -> None:
    async def story() -> None:
        clock = ManualClock(START_US)
        dispatcher = await dispatched(outbox, clock, Recorder(lambda _: retry("130101", "too fast", 600.0)))
        dispatcher.wake(outbox.put([notice("a")], START_US))
        await until(lambda: outbox.quiet_until("c") == START_US + 600_000_000)
        await dispatcher.close()
        clock.advance(120)
        again = Recorder()
        dispatcher = await dispatched(outbox, clock, again)
        (line,) = outbox.put([notice("b")], clock.now_us())
        assert dispatcher.stuck(line)
        dispatcher.wake([line])
        await asyncio.sleep(0.4)
        assert again.got == []
        clock.advance(481)
        await until(lambda: set(states(outbox).values()) == {Stand.DELIVERED})
        assert not dispatcher.stuck(line)
        await dispatcher.close()

    asyncio.run(story())


def test_a_test_waits_for_what_became_of_it(outbox: Outbox) -> None:
    async def story() -> Delivery:
        sender = Recorder(lambda _: refused("310000", "sign not match"))
        dispatcher = await dispatched(outbox, ManualClock(START_US), sender)
        line = await dispatcher.tried(notice("t"), 5)
        await dispatcher.close()
        return line

    line = asyncio.run(story())
    assert (line.state, line.code, line.sentence) == (Stand.REFUSED, "310000", "sign not match")


DESK = """
import asyncio, sys
from functools import partial
from pathlib import Path
from alerts.channels.webhook import Webhook
from alerts.dispatch import Dispatcher
from alerts.notices import parse
from alerts.outbox import Outbox
from core.clock import SystemClock

async def main():
    outbox = Outbox(Path(sys.argv[1]))
    async def ask(work):
        return work(outbox)
    clock = SystemClock()
    outbox.put([parse(sys.argv[3])], clock.now_us())
    dispatcher = Dispatcher({"c": Webhook("c", sys.argv[2], "SEC0123456789abcdef")}, ask, clock, lambda _: None)
    await dispatcher.open()
    await asyncio.sleep(20)

asyncio.run(main())
"""


def test_killed_between_send_and_record_it_repeats_the_notice_with_the_same_id(tmp_path: Path) -> None:
    async def story() -> None:
        async with server(vendors.takes_all) as vendor:
            book = tmp_path / "alerts.db"

            def run() -> subprocess.Popen[bytes]:
                arguments = [str(book), f"{vendor.url}/hook", dump(notice("once", facts={"helmet": "SF-1"}))]
                return subprocess.Popen([sys.executable, "-c", DESK, *arguments])

            def kill_on_arrival(v: vendors.Vendor, request: Any, raw: bytes) -> Any:
                # The message has arrived; the sender dies before it can read the answer, let alone record it.
                answer = vendors.takes_all(v, request, raw)
                os.kill(desk.pid, signal.SIGKILL)
                return answer

            vendor.answer = kill_on_arrival
            desk = run()
            assert await asyncio.to_thread(desk.wait, 15) == -signal.SIGKILL
            vendor.answer = vendors.takes_all
            desk = run()
            try:
                outbox = Outbox(book)
                async with asyncio.timeout(15):
                    while states(outbox).get("once") is not Stand.DELIVERED:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
            finally:
                desk.kill()
                desk.wait()
            assert [event["id"] for event in vendor.got] == ["once", "once"]
            assert vendor.got[0] == vendor.got[1], "the same words"
            assert len({r.headers["webhook-id"] for r in vendor.requests}) == 1

    asyncio.run(story())


assert SECRET in DESK


def test_how_a_channel_fares_is_known_without_reading_its_ledger(outbox: Outbox) -> None:
    """A healthy channel has a ledger of hundreds of thousands of lines and not one failure in it."""
    asked: list[str] = []
    outbox._db.set_trace_callback(asked.append)
    outbox.health(["group"])
    outbox._db.set_trace_callback(None)
    for question in asked:
        (*_, plan) = outbox._db.execute(f"EXPLAIN QUERY PLAN {question}").fetchone()
        assert re.search("INDEX deliveries_(waiting|done|failed)", plan), plan
