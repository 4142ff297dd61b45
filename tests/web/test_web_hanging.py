"""Mail and apprise services that take the connection and then say nothing: nobody else waits for them."""

import asyncio
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web
from running_desk import START_US, TOKEN, Running, book_with_people, desk, detection
from test_web_killed import start

from alerts.channels import apprise as apprise_channel
from alerts.channels import mail as mail_channel
from alerts.outbox import Outbox
from core.clock import ManualClock
from core.model import Stage

SOON_S = 20.0
HANGS_S = 60.0
"""How long an answer is waited for here: whatever happens sooner did not wait for it."""


@asynccontextmanager
async def hanging() -> AsyncIterator[tuple[int, list[asyncio.StreamWriter]]]:
    """The port of a service that takes every connection and never says a word, and who is connected."""
    guests: list[asyncio.StreamWriter] = []

    async def take(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        guests.append(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], guests
    finally:
        for guest in guests:
            guest.transport.abort()
        server.close()


@asynccontextmanager
async def postman() -> AsyncIterator[tuple[int, list[str]]]:
    """The port of a mail server that takes everything, and the subjects of what it took."""
    subjects: list[str] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        with suppress(ConnectionError):
            while line := await reader.readline():
                if line.upper().startswith(b"DATA"):
                    writer.write(b"354 go on\r\n")
                    body = await reader.readuntil(b"\r\n.\r\n")
                    subjects.append(body.decode(errors="replace"))
                writer.write(b"250 ok\r\n")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], subjects
    finally:
        server.close()


@asynccontextmanager
async def hook() -> AsyncIterator[tuple[str, list[str]]]:
    """The address of a webhook that takes everything, and the ids of what it took."""
    got: list[str] = []

    async def take(request: web.Request) -> web.Response:
        got.append(request.headers["webhook-id"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", got
    finally:
        await runner.cleanup()


async def until(holds: Callable[[], Awaitable[bool]] | Callable[[], bool], what: str) -> None:
    begin = time.monotonic()
    while True:
        found = holds()
        if found if isinstance(found, bool) else await found:
            return
        assert time.monotonic() - begin < SOON_S, what
        await asyncio.sleep(0.05)


async def opens_on_time(running: Running, number: int) -> None:
    """The tick goes on: an alert whose countdown is over opens, and a changed file of riders counts."""
    await running.tell(detection(f"pending-{number}", severity=1))
    running.clock.advance(31)
    person = await running.person()

    async def opened() -> bool:
        async with person.get(f"/api/v1/alerts/pending-{number}") as answer:
            return bool((await answer.json())["state"] == "open")

    await until(opened, "the countdown is over and nothing opens")
    riders = "".join(f"SF-{n:06d},A,1\n" for n in range(number + 2))
    (running.folder / "riders.csv").write_text("helmet,name,phone\n" + riders)

    async def known() -> bool:
        async with person.get("/api/v1/registers") as answer:
            return bool((await answer.json())["riders"] == number + 2)

    await until(known, "the riders file has changed and nobody reads it")


def test_services_that_hang_delay_neither_the_desk_nor_any_other_channel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HELMETWATCH_CHANNEL_HOOK_SECRET", "a-secret-of-the-tests-0123")
    monkeypatch.setattr(apprise_channel, "TIMEOUT_S", HANGS_S)
    monkeypatch.setattr(mail_channel, "TIMEOUT_S", HANGS_S)
    monkeypatch.setattr(mail_channel, "PATIENCE_S", HANGS_S)

    async def whole() -> None:
        book, passwords = book_with_people()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "alerts.db").write_bytes(book)
            (folder / "riders.csv").write_text("helmet,name,phone\nSF-000001,A,1\n")
            async with hanging() as (deaf, guests), postman() as (port, mails), hook() as (url, hooked):
                mail = {"kind": "smtp", "tls": "none", "host": "127.0.0.1", "sender": "desk@example.org"}
                monkeypatch.setenv("HELMETWATCH_CHANNEL_TAIL_URL", f"json://127.0.0.1:{deaf}/x?rto={HANGS_S}")
                channels = [
                    mail | {"name": "deaf", "port": deaf, "to": ["a@example.org"]},
                    mail | {"name": "mail", "port": port, "to": ["b@example.org"]},
                    {"name": "tail", "kind": "apprise"},
                    {"name": "hook", "kind": "webhook", "url": url},
                ]
                alerts = {"channels": channels, "riders_file": str(folder / "riders.csv")}
                async with desk(folder, ManualClock(START_US), passwords, alerts=alerts) as running:
                    # More than any channel has threads, so that the two that hang use up all of theirs.
                    many = [detection(f"crash-{n}", stage=Stage.CONFIRMED, severity=4) for n in range(12)]
                    await running.tell(*many)
                    await until(lambda: len(guests) >= 9, "both of them hang")
                    await until(lambda: len(set(hooked)) >= 12, "the webhook waits for the mail")
                    await until(lambda: len(mails) >= 12, "the mail waits for another mail server")
                    await opens_on_time(running, 1)

    asyncio.run(whole())


def test_name_lookups_that_hang_delay_no_alert() -> None:
    """They wait in asyncio's own threads: here all of these are taken."""

    async def whole() -> None:
        book, passwords = book_with_people()
        over = threading.Event()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "alerts.db").write_bytes(book)
            (folder / "riders.csv").write_text("helmet,name,phone\nSF-000001,A,1\n")
            alerts = {"riders_file": str(folder / "riders.csv")}
            async with desk(folder, ManualClock(START_US), passwords, alerts=alerts) as running:
                waiting = [asyncio.get_running_loop().run_in_executor(None, over.wait) for _ in range(64)]
                try:
                    await opens_on_time(running, 1)
                finally:
                    over.set()
                    await asyncio.gather(*waiting)

    asyncio.run(whole())


def test_a_desk_that_is_told_to_stop_ends_though_a_mail_server_drips_a_word_a_second(tmp_path: Path) -> None:
    """Each word is in time, so that no answer is ever given up; the message goes out after the next start."""

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dripping.set()
        with suppress(ConnectionError):
            while True:
                writer.write(b"220-wait\r\n")
                await writer.drain()
                await asyncio.sleep(0.3)

    dripping = asyncio.Event()

    async def whole() -> None:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        mail = {"name": "mail", "kind": "smtp", "tls": "none", "host": "127.0.0.1", "port": port}
        mail |= {"sender": "desk@example.org", "to": ["a@example.org"]}
        settings = {"alerts": {"path": str(tmp_path / "alerts.db"), "channels": [mail]}, "web": {"port": 0}}
        config = tmp_path / "config.yaml"
        config.write_text(yaml.safe_dump(settings))
        process, url = await start(config)
        try:
            async with aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {TOKEN}"}) as worker:
                body = [asdict(detection(stage=Stage.CONFIRMED, severity=4))]
                assert (await worker.post("/api/v1/detections", json=body)).status == 200
            await asyncio.wait_for(dripping.wait(), 10)
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 10) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            server.close()

    asyncio.run(whole())
    outbox = Outbox(tmp_path / "alerts.db")
    assert outbox.health(["mail"])["mail"].waiting == 1
    outbox.close()
