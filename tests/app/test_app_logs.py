"""Whoever logs, a line on standard error is one JSON object with an event, and holds no values of an exception."""

import json
import subprocess
import sys

import pytest

SAID = """
import asyncio, logging, sys, threading
from app import logs

logs.configure()
{what}
"""
SECRET = "lat 22.5431"


def said(what: str) -> list[dict[str, object]]:
    program = SAID.format(what=what)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert SECRET not in done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_what_ends_a_thread_is_an_event() -> None:
    (line,) = said(f"t = threading.Thread(target=lambda: int('{SECRET}'), name='relay'); t.start(); t.join()")
    assert (line["event"], line["level"], line["thread"], line["error"]) == (
        "thread.ended", "error", "relay", "ValueError",
    )  # fmt: skip
    assert any("<lambda>" in str(where) for where in line["where"])  # type: ignore[attr-defined]


def test_a_thread_that_ends_itself_is_none() -> None:
    assert said("t = threading.Thread(target=sys.exit); t.start(); t.join()") == []


@pytest.mark.parametrize(
    ("what", "logger"),
    [
        (f"""
async def fails(): int('{SECRET}')
async def main():
    task = asyncio.create_task(fails())
    await asyncio.sleep(0.01)
    del task
    __import__('gc').collect()
asyncio.run(main())
""", "asyncio"),
        ("logging.getLogger('aiohttp.server').error('Error handling request')", "aiohttp.server"),
        ("logging.getLogger('paho.mqtt.client').warning('is %s', 'odd')", "paho.mqtt.client"),
    ],
)  # fmt: skip
def test_what_libraries_log_is_an_event_with_their_name(what: str, logger: str) -> None:
    (line,) = said(what)
    assert (
        line["event"] == "library.log" and line["logger"] == logger and line["level"] in ("error", "warning")
    )


def test_what_libraries_say_at_length_is_left_out() -> None:
    assert said("logging.getLogger('urllib3').info('Starting new connection')") == []
