"""Dead man's switch: somebody outside hears from us while we work, and raises the alarm when that stops."""

import threading
import urllib.request
from collections.abc import Callable
from urllib.parse import urlsplit

import structlog

from core import metrics

log = structlog.get_logger()

_TIMEOUT_S = 10.0


class Heartbeat:
    """Asks an address again and again while `ready` has no complaint; who is in trouble falls silent."""

    def __init__(self, url: str, every_s: float, ready: Callable[[], str]) -> None:
        self._url, self._every_s, self._ready = url, every_s, ready
        # The path is often the secret; it stays out of the log.
        self._host = urlsplit(url).hostname
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begins, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ends; does not wait for an answer that is due."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            reason = self._ready()
            if reason:
                metrics.HEARTBEATS.labels("withheld").inc()
                log.warning("heartbeat.withheld", reason=reason)
                continue
            try:
                with urllib.request.urlopen(self._url, timeout=_TIMEOUT_S):  # noqa: S310  # the configuration takes no other
                    metrics.HEARTBEATS.labels("sent").inc()
            except (OSError, ValueError) as error:
                metrics.HEARTBEATS.labels("failed").inc()
                log.warning("heartbeat.failed", host=self._host, error=type(error).__name__)
