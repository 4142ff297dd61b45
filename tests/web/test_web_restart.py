"""A desk that is stopped or killed comes back with everything it had answered for."""

import asyncio
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import aiohttp
import pytest
from running_desk import START_US, TOKEN, desk, detection

from alerts.reader import Reader
from core.clock import ManualClock
from core.config import ConfigError
from core.model import Stage
from web.accounts import add_account

DESK = """
import asyncio, sys
from core.clock import SystemClock
from core.config import Config
from web.desk import run
config = Config.model_validate({"alerts": {"path": sys.argv[1]}, "web": {"port": 0}})
asyncio.run(run(config, SystemClock(), sys.argv[2], listening=lambda url: print(url, flush=True)))
"""


async def start(book: Path) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DESK, str(book), TOKEN, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    while True:
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
        assert line, "the desk did not start"
        if line.startswith("http"):
            return process, line


@pytest.mark.parametrize("after", [1, 37, 150])
def test_what_the_desk_has_answered_survives_its_death(tmp_path: Path, after: int) -> None:
    """Four workers deliver as fast as they can; after some answers the desk is killed without warning."""
    book, answered = tmp_path / "alerts.db", []

    async def deliver(client: aiohttp.ClientSession, pid: int, name: str) -> None:
        for n in range(1000):
            found = detection(f"{name}{n}", stage=Stage.CONFIRMED)
            try:
                async with client.post("/api/v1/detections", json=[asdict(found)]) as answer:
                    assert answer.status == 200
            except (aiohttp.ClientError, OSError):
                return
            answered.append(found.incident)
            if len(answered) == after:
                os.kill(pid, signal.SIGKILL)

    async def scene() -> None:
        process, url = await start(book)
        async with aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            await asyncio.gather(*(deliver(client, process.pid, name) for name in "abcd"))
        assert await process.wait() == -signal.SIGKILL

    asyncio.run(scene())
    reader = Reader(book)
    kept = {alert.id: alert for alert in reader.snapshot(0).alerts}
    assert len(answered) >= after
    assert set(answered) <= kept.keys()
    # Each alert is whole: it opened, and its timeline says so.
    for incident, alert in kept.items():
        assert alert.state == "open"
        assert [change.type for change in reader.detail(incident).timeline] == ["detected", "opened"]
    reader.close()


def test_a_desk_told_to_stop_ends_its_feeds_and_itself(tmp_path: Path) -> None:
    book = tmp_path / "alerts.db"
    password = add_account(book, "wang", "王芳")

    async def scene() -> None:
        process, url = await start(book)
        async with aiohttp.ClientSession(url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
            await client.post("/api/v1/session", json={"name": "wang", "password": password})
            async with client.get("/api/v1/feed") as feed:
                await feed.content.readline()
                process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(15):
                    await feed.read()
        assert await asyncio.wait_for(process.wait(), 15) == 0

    asyncio.run(scene())


def test_sessions_alerts_and_countdowns_go_on_after_a_restart(tmp_path: Path) -> None:
    clock, passwords = ManualClock(START_US), {"wang": add_account(tmp_path / "alerts.db", "wang", "王芳")}

    async def scene() -> None:
        async with desk(tmp_path, clock, passwords) as first:
            await first.tell(detection("a"), detection("b", stage=Stage.CONFIRMED))
            person = await first.person()
            await person.post("/api/v1/alerts/b/acknowledge", json={})
            cookies = {c.key: c.value for c in person.cookie_jar}
            async with first.feed(person) as feed:
                seq = (await feed.next())["seq"]
        clock.advance(40)
        async with desk(tmp_path, clock, passwords) as second:
            again = second.client()
            again.cookie_jar.update_cookies(cookies)
            async with second.feed(again, after=seq) as feed:
                assert (await feed.next())["event"] == "resume"
                change = await feed.next("alert")
                assert (change["alert"]["id"], change["alert"]["state"]) == ("a", "open")
            async with again.get("/api/v1/alerts/b") as answer:
                assert (await answer.json())["owner"] == "王芳"

    asyncio.run(scene())


def test_a_file_has_one_desk(tmp_path: Path) -> None:
    async def scene() -> None:
        async with desk(tmp_path, ManualClock(), {}):
            with pytest.raises(ConfigError, match="another desk is running on this file"):
                async with desk(tmp_path, ManualClock(), {}):
                    pass
        async with desk(tmp_path, ManualClock(), {}):
            pass

    asyncio.run(scene())


def test_an_address_that_is_taken_is_named(tmp_path: Path) -> None:
    async def scene() -> None:
        async with desk(tmp_path / "one", ManualClock(), {}) as first:
            port = int(first.url.rsplit(":", 1)[1])
            with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
                async with desk(tmp_path / "two", ManualClock(), {}, port=port):
                    pass

    asyncio.run(scene())
