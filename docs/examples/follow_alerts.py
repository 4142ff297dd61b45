"""Follows the alerts of a desk, with nothing but Python's standard library, and misses none over a break.

    python follow_alerts.py http://127.0.0.1:8080 NAME PASSWORD [FILE]

Prints one line a change. Where FILE is given, the id of the last event is kept in it: after a restart the feed goes
on where it was, or says that it cannot (`reset`), and then begins anew.
"""

import http.cookiejar
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Desk:
    """A signed-in person's connection."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self.url = url.rstrip("/")
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)
        self.call("/api/v1/session", {"name": name, "password": password}).close()

    def call(self, path: str, body: object = None, **headers: str) -> Any:
        """Asks (without a body) or changes something; the answer is open for reading."""
        data = None if body is None else json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
        # The feed beats every 2 s: silence for longer is a broken connection.
        request = urllib.request.Request(self.url + path, data, headers)
        return self._opener.open(request, timeout=10)

    def events(self, last: str = "") -> Iterator[tuple[str, str, Any]]:
        """Name, id and data of each event after the id `last`, until the connection breaks."""
        name = number = ""
        headers = {"Last-Event-ID": last} if last else {}
        with self.call("/api/v1/feed", **headers) as feed:
            for line in feed:
                field, _, value = line.decode().rstrip("\n").partition(": ")
                if field == "event":
                    name = value
                elif field == "id":
                    number = value
                elif field == "data":
                    yield name, number, json.loads(value)
                elif not field:
                    name = number = ""


def main() -> None:
    """Follows for ever."""
    url, name, password = sys.argv[1:4]
    memory = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    desk = Desk(url, name, password)
    last = memory.read_text() if memory and memory.exists() else ""
    while True:
        try:
            for event, number, data in desk.events(last):
                if event == "snapshot":
                    last = number
                    for alert in data["alerts"]:
                        print(
                            "known" if not data["reset"] else "again", alert["id"], alert["state"], flush=True
                        )
                elif event == "alert":
                    last = number
                    print(data["entry"]["type"], data["alert"]["id"], data["alert"]["state"], flush=True)
                if memory and event in ("snapshot", "alert"):
                    memory.write_text(last)
        except (OSError, ValueError) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code in (401, 403):
                # A session ends after some hours.
                desk = Desk(url, name, password)
            print(f"the feed broke ({type(error).__name__}); again in 1 s", file=sys.stderr, flush=True)
        time.sleep(1)


if __name__ == "__main__":
    main()
