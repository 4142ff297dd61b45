"""The example of docs/examples is what it says: it runs, and goes on by event id where it was."""

import asyncio
import sys
import tempfile
from pathlib import Path

from running_desk import START_US, Running, book_with_people, desk, detection

from core.clock import ManualClock

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "follow_alerts.py"


async def lines(process: asyncio.subprocess.Process, count: int) -> list[str]:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return [(await process.stdout.readline()).decode().strip() for _ in range(count)]


async def start(running: Running, memory: Path) -> asyncio.subprocess.Process:
    words = [str(EXAMPLE), running.url, "wang", running.passwords["wang"], str(memory)]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-I", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )


def test_the_example_follows_the_feed_and_misses_nothing_over_its_own_restart_and_the_desks() -> None:
    async def story(folder: Path) -> None:
        book, passwords = book_with_people()
        (folder / "alerts.db").write_bytes(book)
        memory = folder / "last"
        async with desk(folder, ManualClock(START_US), passwords) as running:
            await running.tell(detection("a"))
            process = await start(running, memory)
            assert await lines(process, 1) == ["known a pending"]
            await running.tell(detection("b"))
            assert await lines(process, 1) == ["detected b pending"]
            process.kill()
            await process.wait()
            await running.tell(detection("c"), detection("d"))
            port = int(running.url.rsplit(":", 1)[1])
            process = await start(running, memory)
            assert await lines(process, 2) == ["detected c pending", "detected d pending"]
        async with desk(folder, ManualClock(START_US), passwords, port=port) as running:
            await running.tell(detection("e"))
            assert await lines(process, 1) == ["detected e pending"]
            process.kill()
            await process.wait()
            memory.write_text("999999")
            process = await start(running, memory)
            assert sorted(await lines(process, 5)) == [f"again {name} pending" for name in "abcde"]
            process.kill()
            await process.wait()

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(story(Path(name)))
