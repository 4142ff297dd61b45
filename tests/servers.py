"""Real servers for the tests, each on a free loopback port."""

import contextlib
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from app.stack import free_port as free_port


def wait_for_port(port: int, process: subprocess.Popen[bytes], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended at once with code {process.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on port {port} after {timeout_s} s")


@dataclass
class Mosquitto:
    """A running mosquitto; `restart` stops it (kindly or not) and starts it again on the same port."""

    port: int
    config: Path
    process: subprocess.Popen[bytes]

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["mosquitto", "-c", str(self.config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for_port(self.port, self.process)

    def stop(self, *, kill: bool = False) -> None:
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        self.process.wait(10)

    def restart(self, *, kill: bool = False) -> None:
        self.stop(kill=kill)
        self.start()


GOOD_SETTINGS = """
persistence true
persistence_location {folder}/
autosave_interval 1
max_queued_messages 100000
max_inflight_messages 1000
allow_anonymous true
"""
