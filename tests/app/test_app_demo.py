"""`helmetwatch demo` as a newcomer meets it, and that Ctrl-C leaves nothing behind."""

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

from app.stack import listens
from app.watch import Watcher

FIRST_ALERT_S = 90.0


def test_the_demo_shows_a_crash_that_can_be_acknowledged_and_resolved_and_stops_cleanly() -> None:
    command = [sys.executable, "-m", "app.cli", "demo", "--port", "0"]
    # What it starts inherits this: another demo on the machine is none of our business.
    mark = f"DEMO_OF_THE_TESTS={secrets.token_hex(8)}"
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | dict([mark.split("=")]),
    )
    assert process.stderr is not None
    try:
        said = ""
        while "Ctrl-C stops" not in said:
            line = process.stderr.readline()
            assert line, f"the demo ended: {said}"
            said += line
        url, name, password = (
            re.search(pattern, said)[1]  # type: ignore[index]
            for pattern in (r"the desk\s+(http\S+)", r"name\s+(\S+)", r"password\s+(\S+)")
        )
        with Watcher(url, name, password) as desk:
            deadline = time.monotonic() + FIRST_ALERT_S
            while not desk.seen:
                assert time.monotonic() < deadline, f"no alert within {FIRST_ALERT_S} s"
                time.sleep(0.1)
            alert = desk.seen[0].data["alert"]
            assert alert["rider"]["name"] and alert["reason_zh"] and alert["reason_en"]
            assert desk.get(f"/api/v1/alerts/{alert['id']}")["trace"]["acc"]
            assert len(desk.fleet["helmets"]) > 0
            taken = desk.post(f"/api/v1/alerts/{alert['id']}/acknowledge", {})
            assert taken["state"] == "acknowledged" and taken["owner"]
            done = desk.post(f"/api/v1/alerts/{alert['id']}/resolve", {"reason": "test", "note": "demo"})
            assert done["state"] == "resolved"
        assert len(marked(mark)) >= 4, "the demo, its broker, worker and desk"
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(40)
    assert code == 0
    assert not listens(int(url.rsplit(":", 1)[1]))
    assert not marked(mark), "processes of the demo are still there"


def marked(mark: str) -> list[str]:
    """The commands of the processes that have this in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found
