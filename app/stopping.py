"""The last resort of a stop: whoever was told to stop is gone in time, whatever hangs."""

import os
import threading
import time

import structlog

log = structlog.get_logger()

WITHIN_S = 9.5
"""A stop takes less than 10 s; service managers and people lose patience later than that."""


def gone_within(stop: threading.Event, seconds: float = WITHIN_S) -> None:
    """Ends this process with code 1 so many seconds after `stop` was set, if it is still there.

    What hangs may be a disk, a name server or a library. Nothing is lost by it: what is not committed is not
    acknowledged, and what is committed is durable.
    """

    def watch() -> None:
        stop.wait()
        time.sleep(seconds)
        # In a thread of its own: the log may be what hangs.
        said = threading.Thread(target=_say, args=(seconds,), daemon=True)
        said.start()
        said.join(0.2)
        os._exit(1)

    threading.Thread(target=watch, name="last-resort", daemon=True).start()


def _say(seconds: float) -> None:
    log.error("stop.cut_short", after_s=seconds, hint="something hangs: disk? nothing acknowledged is lost")
