"""Channels as the page sees them: how they fare, a test of each, and the ledger on the alert."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from running_desk import START_US, Running, book_with_people, desk, detection, helmet, report

from core.clock import ManualClock
from core.model import Stage


def with_robot(
    *answers: dict[str, Any],
) -> Callable[[Callable[..., Awaitable[None]]], Callable[[], None]]:
    """A desk with the channel `group`, a DingTalk robot that gives these answers, the last one for ever."""

    def decorate(test: Callable[..., Awaitable[None]]) -> Callable[[], None]:
        async def whole() -> None:
            got: list[dict[str, Any]] = []

            async def robot(request: web.Request) -> web.Response:
                got.append(await request.json())
                return web.json_response(answers[min(len(got), len(answers)) - 1])

            app = web.Application()
            app.router.add_post("/send", robot)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            book, passwords = book_with_people()
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                (folder / "alerts.db").write_bytes(book)
                (folder / "url").write_text(
                    f"http://127.0.0.1:{runner.addresses[0][1]}/send?access_token=secret"
                )
                channel = {"name": "group", "kind": "dingtalk", "url_file": str(folder / "url")}
                alerts = {"channels": [channel], "public_url": "https://desk.example.org"}
                async with desk(folder, ManualClock(START_US), passwords, alerts=alerts) as running:
                    await test(running, got)
            await runner.cleanup()

        def run_it() -> None:
            asyncio.run(whole())

        run_it.__name__ = test.__name__
        return run_it

    return decorate


@with_robot({"errcode": 0, "errmsg": "ok"})
async def test_the_test_button_says_that_the_message_has_arrived(desk: Running, got: list[Any]) -> None:
    person = await desk.person()
    async with person.post("/api/v1/channels/group/test", json={}) as answer:
        assert answer.status == 200, await answer.text()
        line = await answer.json()
    assert (line["state"], line["channel"], line["tries"]) == ("delivered", "group", 1)
    assert "TEST" in got[0]["markdown"]["title"]
    assert "王芳" in got[0]["markdown"]["text"]
    async with person.get("/api/v1/channels") as answer:
        (channel,) = (await answer.json())["channels"]
    assert channel == {
        "name": "group",
        "kind": "dingtalk",
        "failing": False,
        "waiting": 0,
        "delivered_us": START_US,
        "failed_us": None,
        "code": "",
        "sentence": "",
    }


@with_robot({"errcode": 310000, "errmsg": "sign not match"})
async def test_the_test_button_says_why_a_message_was_refused(desk: Running, got: list[Any]) -> None:
    person = await desk.person()
    async with desk.feed(person) as feed:
        await feed.next("snapshot")
        async with person.post("/api/v1/channels/group/test", json={}) as answer:
            line = await answer.json()
        assert (line["state"], line["code"]) == ("refused", "310000")
        assert "sign not match" in line["sentence"]
        while True:
            event = await feed.next("deliveries")
            if event["channels"][0]["failing"]:
                break
        assert event["channels"][0]["code"] == "310000"


@with_robot({"errcode": 0})
async def test_a_channel_that_is_not_there_is_404_and_nobody_tests_without_signing_in(
    desk: Running, got: list[Any]
) -> None:
    person = await desk.person()
    assert (await person.post("/api/v1/channels/other/test", json={})).status == 404
    assert (await desk.nobody.post("/api/v1/channels/group/test", json={})).status == 401
    assert (await desk.worker.get("/api/v1/channels")).status == 403
    assert got == []


@with_robot({"errcode": 0})
async def test_a_crash_reaches_the_group_with_a_link_and_its_ledger_says_so(
    desk: Running, got: list[Any]
) -> None:
    await desk.tell(detection(stage=Stage.CONFIRMED))
    person = await desk.person()
    await until(lambda: len(crashes(got)) == 1)
    assert got[0]["actionCard"]["singleURL"] == "https://desk.example.org/#alert=crash"
    desk.clock.advance(61)
    await until(lambda: len(crashes(got)) == 2)
    await person.post("/api/v1/alerts/crash/acknowledge", json={})
    await until(lambda: len(crashes(got)) == 3)
    await told(desk, delivered=3)
    desk.clock.advance(600)
    await asyncio.sleep(0.6)
    assert len(crashes(got)) == 3, "somebody has it"
    async with person.get("/api/v1/alerts/crash") as answer:
        lines = (await answer.json())["deliveries"]
    assert [(line["reason"], line["tier"], line["state"]) for line in lines] == [
        ("opened", 0, "delivered"),
        ("escalated", 1, "delivered"),
        ("acknowledged", None, "delivered"),
    ]
    async with person.get("/api/v1/deliveries?alerts=crash,other") as answer:
        found = (await answer.json())["told"]
    assert found["crash"] == {"delivered": 3, "waiting": 0, "failed": 0, "passed_over": 0}
    assert found["other"] == {"delivered": 0, "waiting": 0, "failed": 0, "passed_over": 0}
    assert (await person.get("/api/v1/deliveries")).status == 400


@with_robot({"errcode": 130101, "errmsg": "send too fast"}, {"errcode": 0})
async def test_a_robot_that_is_blocked_gets_its_ten_minutes_and_then_the_notice(
    desk: Running, got: list[Any]
) -> None:
    await desk.tell(detection(stage=Stage.CONFIRMED))
    # Its ten minutes are counted from when the desk has its answer.
    await told(desk, failed=1)
    desk.clock.advance(30)
    await asyncio.sleep(0.4)
    assert len(got) == 1
    desk.clock.advance(575)
    await until(lambda: "待认领" in str(got[1:]))


async def told(desk: Running, delivered: int = 0, failed: int = 0) -> None:
    """Waits until the ledger of the alert says so."""
    person = await desk.person()
    async with asyncio.timeout(20):
        while True:
            async with person.get("/api/v1/deliveries?alerts=crash") as answer:
                found = (await answer.json())["told"]["crash"]
            if found == {"delivered": delivered, "waiting": 0, "failed": failed, "passed_over": 0}:
                return
            await asyncio.sleep(0.01)


def crashes(got: list[Any]) -> list[Any]:
    """Without what is said about the workers, of which these stories have none."""
    return [each for each in got if "系统故障" not in str(each)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # what it waits for happens on another server
            await asyncio.sleep(0.01)


@with_robot({"errcode": 0})
async def test_five_thousand_helmets_offline_at_once_are_one_message(desk: Running, got: list[Any]) -> None:
    names = [f"SF-{n:06}" for n in range(5000)]
    await desk.report(report(*(helmet(name) for name in names)))
    desk.clock.advance(1)
    gone_us = desk.clock.now_us()
    await desk.report(report(*(helmet(name, online=False, received_us=gone_us) for name in names)))
    await until(lambda: len(got) == 1)
    assert "5000" in str(got[0])
    await asyncio.sleep(0.6)
    assert len(got) == 1
    for second in (8, 61, 200):
        desk.clock.advance(second)
        await desk.report(report(*(helmet(name, received_us=desk.clock.now_us()) for name in names[:1000])))
        await asyncio.sleep(0.4)
    assert not any("系统恢复" in str(each) and "helmets" in str(each) for each in got), "4,000 are still gone"
    await desk.report(report(*(helmet(name, received_us=desk.clock.now_us()) for name in names[1000:2600])))
    # The clock's leaps make the worker look silent too; which of the two is told first is not our matter.
    await until(lambda: any("系统恢复" in str(each) and "helmets" in str(each) for each in got[1:]))


@with_robot({"errcode": 0})
async def test_a_worker_that_falls_silent_is_told_and_so_is_its_return(desk: Running, got: list[Any]) -> None:
    await desk.report(report())
    desk.clock.advance(11)
    await until(lambda: len(got) == 1)
    assert "worker-1" in str(got[0])
    await desk.report(report())
    await until(lambda: len(got) == 2)
    assert "系统恢复" in str(got[1])
    person = await desk.person()
    async with person.get("/api/v1/escalation") as answer:
        found = await answer.json()
    assert [tier["after_s"] for tier in found["tiers"]["4"]] == [0, 60, 180, 300]
