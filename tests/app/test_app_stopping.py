"""A worker that was told to stop is gone in time, whatever hangs."""

import subprocess
import sys
import time

HANGS = """
import os, threading
from app import logs, stopping
logs.configure()
stop = threading.Event()
stopping.gone_within(stop, 0.3)
stop.set()
ours, _ = os.pipe()
os.read(ours, 1)
"""


def test_what_hangs_is_left_and_said() -> None:
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1 and "stop.cut_short" in ended.stderr
    assert time.monotonic() - began > 0.3


def test_a_log_that_hangs_too_does_not_matter() -> None:
    """Standard error is a full pipe that nobody reads."""
    fill = "import os\nos.set_blocking(2, False)\ntry:\n    while True: os.write(2, bytes(4096))\nexcept OSError: os.set_blocking(2, True)\n"
    with subprocess.Popen([sys.executable, "-c", fill + HANGS], stderr=subprocess.PIPE) as process:
        assert process.wait(60) == 1
