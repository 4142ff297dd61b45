"""Prometheus Alertmanager, API v2: for those whose routing and silences are there already."""

import json
from dataclasses import dataclass
from typing import Any

import aiohttp

from alerts.channels.http import Answer, by_status, post
from alerts.channels.limits import Limit
from alerts.channels.outcome import Outcome, delivered
from alerts.notices import SEVERITY_EN, Notice, iso

KEPT_US = 24 * 3600 * 1_000_000
"""An alert without an end would resolve itself after five minutes; ours fires until somebody ends it."""

TEST_US = 60 * 1_000_000
"""Nobody ends the test of a channel."""


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """One server."""

    name: str
    url: str
    kind: str = "alertmanager"
    limits: tuple[Limit, ...] = ()

    async def send(self, notice: Notice, http: aiohttp.ClientSession, now_us: int) -> Outcome:
        """Tries once; the same labels are the same alert there, however often it is sent."""
        body = json.dumps(alerts(notice, now_us), ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"}
        answer = await post(http, f"{self.url.rstrip('/')}/api/v2/alerts", body, headers)
        if not isinstance(answer, Answer):
            return answer
        return by_status(answer) or delivered(f"HTTP {answer.status}")


def alerts(notice: Notice, now_us: int) -> list[dict[str, Any]]:
    """The notice as Alertmanager's alerts: one that fires, or the end of it at every severity it may have had."""
    severities = range(1, 5) if notice.ended else (notice.severity,)
    ends_us = now_us if notice.ended else now_us + (TEST_US if notice.reason == "test" else KEPT_US)
    return [
        {
            "labels": {
                "alertname": "HelmetwatchAlert" if notice.alert else "HelmetwatchNotice",
                # Not the notice's own id: whatever ends this has to find it.
                "incident": notice.facts.get("dedup_key", notice.id),
                "helmet": str(notice.facts.get("helmet", "")),
                "severity": SEVERITY_EN[severity],
                "test": "true" if notice.test else "false",
            },
            "annotations": {"summary": notice.title, "description": "\n".join(notice.lines)},
            "startsAt": iso(min(notice.at_us, now_us)),
            "endsAt": iso(ends_us),
            "generatorURL": notice.url,
        }
        for severity in severities
    ]
