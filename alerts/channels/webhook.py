"""Signed CloudEvents to any address: the way to SMS and voice gateways, pagers and work-order systems.

CloudEvents 1.0, structured mode; signed as standardwebhooks.com describes: HMAC-SHA256 over
`id.timestamp.body`, so that a receiver can refuse what is old, altered or repeated.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass

import aiohttp

from alerts.channels.http import Answer, by_status, post
from alerts.channels.limits import Limit
from alerts.channels.outcome import Outcome, delivered
from alerts.notices import Notice, iso

SOURCE = "helmetwatch"


@dataclass(frozen=True, slots=True)
class Webhook:
    """One address that takes our events."""

    name: str
    url: str
    secret: str
    kind: str = "webhook"
    limits: tuple[Limit, ...] = ()

    async def send(self, notice: Notice, http: aiohttp.ClientSession, now_us: int) -> Outcome:
        """Tries once; any 2xx means that it is taken."""
        body = event(notice)
        stamp = str(now_us // 1_000_000)
        headers = {
            "Content-Type": "application/cloudevents+json",
            "webhook-id": notice.id,
            "webhook-timestamp": stamp,
            "webhook-signature": signature(self.secret, notice.id, stamp, body),
        }
        answer = await post(http, self.url, body, headers)
        if not isinstance(answer, Answer):
            return answer
        return by_status(answer) or delivered(f"HTTP {answer.status}")


def event(notice: Notice) -> bytes:
    """The notice as a CloudEvent; the same notice gives the same bytes."""
    data = {
        "schema": 1,
        "status": notice.status,
        "severity": notice.severity,
        "reason": notice.reason,
        "tier": notice.tier,
        "title": notice.title,
        "lines": list(notice.lines),
        "url": notice.url,
        "test": notice.test,
        "people": [asdict(person) for person in notice.people],
    }
    body = {
        "specversion": "1.0",
        "id": notice.id,
        "source": SOURCE,
        "type": f"helmetwatch.alert.{notice.status}" if notice.alert else f"helmetwatch.{notice.reason}",
        "subject": notice.alert or notice.reason,
        "time": iso(notice.at_us),
        "datacontenttype": "application/json",
        "data": notice.facts | data,
    }
    return json.dumps(body, ensure_ascii=False).encode()


def signature(secret: str, event_id: str, stamp: str, body: bytes) -> str:
    """The header `webhook-signature`; a secret that begins with whsec_ is base64, as the standard has it."""
    key = secret.encode()
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            key = secret.encode()
    signed = hmac.new(key, f"{event_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()
