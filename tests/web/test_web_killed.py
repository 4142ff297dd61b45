"""The whole desk, killed after a service has a notice and before that is written down, tells it again."""

import asyncio
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web
from running_desk import TOKEN, detection

from core.model import Stage

SECRET = "a-secret-of-the-tests-0123"


async def start(config: Path) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "desk", "--config", str(config), stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"HELMETWATCH_DESK_TOKEN": TOKEN, "HELMETWATCH_CHANNEL_HOOK_SECRET": SECRET},
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            if line.startswith("desk: "):
                return process, line.split()[1]
    raise AssertionError("the desk did not start")


def test_a_desk_killed_between_send_and_record_tells_again_with_the_same_id_and_words(tmp_path: Path) -> None:
    got: list[tuple[str, dict[str, object]]] = []
    arrived = asyncio.Event()

    async def story() -> None:
        desk: asyncio.subprocess.Process | None = None

        async def hook(request: web.Request) -> web.Response:
            got.append((request.headers["webhook-id"], json.loads(await request.read())))
            if len(got) == 1 and desk is not None:
                # It has arrived; the desk dies before it can read the answer, let alone write it down.
                os.kill(desk.pid, signal.SIGKILL)
            else:
                arrived.set()
            return web.Response()

        service = web.Application()
        service.router.add_post("/hook", hook)
        runner = web.AppRunner(service)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        config = tmp_path / "config.yaml"
        channels = [{"name": "hook", "kind": "webhook", "url": url}]
        settings = {"alerts": {"path": str(tmp_path / "alerts.db"), "channels": channels}, "web": {"port": 0}}
        config.write_text(yaml.safe_dump(settings))
        try:
            desk, address = await start(config)
            async with aiohttp.ClientSession(address, headers={"Authorization": f"Bearer {TOKEN}"}) as worker:
                body = [asdict(detection(stage=Stage.CONFIRMED, severity=4))]
                async with worker.post("/api/v1/detections", json=body) as answer:
                    assert answer.status == 200
            async with asyncio.timeout(60):
                assert await desk.wait() == -signal.SIGKILL
                desk, _ = await start(config)
                await arrived.wait()
        finally:
            if desk is not None and desk.returncode is None:
                desk.terminate()
                await desk.wait()
            await runner.cleanup()

    asyncio.run(story())
    assert len(got) == 2
    assert got[0] == got[1], "the same id, the same words"
