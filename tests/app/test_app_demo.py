"""`helmetwatch demo` as a newcomer meets it, and that Ctrl-C leaves nothing behind."""

import re
import signal
import subprocess
import sys
import time

from app.stack import listens
from app.watch import Watcher

FIRST_ALERT_S = 90.0


def test_the_demo_shows_a_crash_that_can_be_acknowledged_and_resolved_and_stops_cleanly() -> None:
    command = [sys.executable, "-m", "app.cli", "demo", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
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
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(40)
    assert code == 0
    assert not listens(int(url.rsplit(":", 1)[1]))
    left = subprocess.run(["pgrep", "-f", "helmetwatch-demo-"], capture_output=True, text=True).stdout
    assert not left, "processes of the demo are still there"
