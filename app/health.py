"""The worker's /metrics, /healthz and /readyz, on the loopback address."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


def serve(port: int, ready: Callable[[], str], hung: Callable[[], str]) -> ThreadingHTTPServer:
    """Answers in a thread of its own until `shutdown()`. Raises `OSError` where the port is taken.

    `ready` gives "" or what keeps us from our work, `hung` "" or why only a new start would help.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
            elif self.path == "/healthz":
                self._say(hung() or "alive", well="alive")
            elif self.path == "/readyz":
                self._say(ready() or "ready", well="ready")
            else:
                self._answer(404, "text/plain", b"there are /metrics, /healthz and /readyz\n")

        def _say(self, state: str, *, well: str) -> None:
            self._answer(200 if state == well else 503, "text/plain", f"{state}\n".encode())

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Says nothing: a scrape every few seconds is no event."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
