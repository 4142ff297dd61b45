"""Group robots of DingTalk, WeCom and Feishu: signed, with a link to acknowledge; the body's code decides.

All three answer HTTP 200 to nearly everything; only the code in the body says whether a message was taken.
Sources: open.dingtalk.com (custom robot access), developer.work.weixin.qq.com/document/path/91770,
open.feishu.cn (custom bot guide).
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import aiohttp

from alerts.channels.http import Answer, by_status, post
from alerts.channels.limits import Limit
from alerts.channels.outcome import Outcome, delivered, refused, retry
from alerts.notices import Notice

ACKNOWLEDGE = "认领 Acknowledge ▸"

_JSON = {"Content-Type": "application/json; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Codes:
    """Where a service puts its code, and which codes are worth another try, after how long a pause."""

    fields: tuple[str, ...]
    message: tuple[str, ...]
    again: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Robot:
    """One group robot."""

    name: str
    kind: str
    url: str
    secret: str
    limits: tuple[Limit, ...]
    request: Callable[["Robot", Notice, int], tuple[str, dict[str, Any]]]
    codes: Codes

    async def send(self, notice: Notice, http: aiohttp.ClientSession, now_us: int) -> Outcome:
        """Tries once."""
        url, body = self.request(self, notice, now_us)
        answer = await post(http, url, json.dumps(body, ensure_ascii=False).encode(), _JSON)
        return read(answer, self.codes) if isinstance(answer, Answer) else answer


def read(answer: Answer, codes: Codes) -> Outcome:
    """What an answer means: delivered only where the body says so itself."""
    body = answer.body if isinstance(answer.body, dict) else {}
    code = next((body[field] for field in codes.fields if isinstance(body.get(field), int)), None)
    if code is None:
        return by_status(answer) or retry("no code", "The answer holds no code: not the service we expect.")
    if code == 0:
        return by_status(answer) or delivered("0")
    text = next((str(body[field]) for field in codes.message if body.get(field)), "")
    sentence = f"The service says: {text[:200]}"
    if code in codes.again or (code == 9499 and "too many" in text.lower()):
        return retry(str(code), sentence, codes.again.get(code, 10.0))
    return refused(str(code), sentence)


def dingtalk(name: str, url: str, secret: str) -> Robot:
    """20 a minute, then blocked for ten minutes (130101): we stay below and, once blocked, keep away."""
    codes = Codes(("errcode",), ("errmsg",), {-1: 0.0, 130101: 600.0, 410100: 600.0, 660026: 60.0})
    return Robot(name, "dingtalk", url, secret, (Limit(20, 60.0, kept=5),), _dingtalk, codes)


def _dingtalk(robot: Robot, notice: Notice, now_us: int) -> tuple[str, dict[str, Any]]:
    url = robot.url
    if robot.secret:
        stamp = now_us // 1000
        sign = _hmac(robot.secret.encode(), f"{stamp}\n{robot.secret}")
        # Encoded once, here; a second time and the robot says that the signature does not match.
        url += f"{'&' if '?' in url else '?'}timestamp={stamp}&sign={quote_plus(sign)}"
    text = f"### {_plain(notice.title)}\n\n" + "\n\n".join(map(_plain, notice.lines))
    phones = [person.phone for person in notice.people if person.phone]
    if notice.url and not phones:
        card = {"title": notice.title, "text": text, "singleTitle": ACKNOWLEDGE, "singleURL": notice.url}
        return url, {"msgtype": "actionCard", "actionCard": card}
    # Only text and markdown call people by name, and their numbers must also stand in the text.
    if notice.url:
        text += f"\n\n[{ACKNOWLEDGE}]({notice.url})"
    if phones:
        text += "\n\n" + " ".join(f"@{phone}" for phone in phones)
    body: dict[str, Any] = {"msgtype": "markdown", "markdown": {"title": notice.title, "text": text}}
    return url, body | {"at": {"atMobiles": phones, "isAtAll": False}}


def wecom(name: str, url: str) -> Robot:
    """20 a minute (45009); no signature: the key is in the address."""
    codes = Codes(("errcode",), ("errmsg",), {-1: 0.0, 45009: 60.0, 45033: 10.0})
    return Robot(name, "wecom", url, "", (Limit(20, 60.0, kept=5),), _wecom, codes)


def _wecom(robot: Robot, notice: Notice, _now_us: int) -> tuple[str, dict[str, Any]]:
    users = [person.wecom for person in notice.people if person.wecom]
    phones = [person.phone for person in notice.people if person.phone and not person.wecom]
    if notice.url and not users and not phones:
        return robot.url, {"msgtype": "template_card", "template_card": _wecom_card(notice)}
    link = f"[{ACKNOWLEDGE}]({notice.url})" if notice.url else ""
    if users:
        calls = " ".join(f"<@{user}>" for user in users)
        colour = "warning" if notice.severity >= 3 and not notice.ended else "info"
        text = f'<font color="{colour}">{_plain(notice.title)}</font>\n' + "\n".join(
            map(_plain, notice.lines)
        )
        tail = f"\n{link}\n{calls}"
        return robot.url, {"msgtype": "markdown", "markdown": {"content": _cut(text, tail, 4096)}}
    text, tail = "\n".join((notice.title, *notice.lines)), f"\n{notice.url}"
    body = {"content": _cut(text, tail, 2048), "mentioned_mobile_list": phones}
    return robot.url, {"msgtype": "text", "text": body}


def _wecom_card(notice: Notice) -> dict[str, Any]:
    return {
        "card_type": "text_notice",
        "main_title": {"title": notice.title[:100], "desc": "\n".join(notice.lines)[:400]},
        "jump_list": [{"type": 1, "url": notice.url, "title": ACKNOWLEDGE}],
        "card_action": {"type": 1, "url": notice.url},
    }


def feishu(name: str, url: str, secret: str) -> Robot:
    """100 a minute and 5 a second (11232)."""
    again = {11232: 10.0, 99991400: 10.0, 1020: 0.0}
    codes = Codes(("code", "StatusCode"), ("msg", "StatusMessage"), again)
    limits = (Limit(100, 60.0, kept=20), Limit(5, 1.0, kept=1))
    return Robot(name, "feishu", url, secret, limits, _feishu, codes)


def _feishu(robot: Robot, notice: Notice, now_us: int) -> tuple[str, dict[str, Any]]:
    template = "green" if notice.ended else ("red" if notice.severity >= 3 else "orange")
    text = "\n".join(map(_plain, notice.lines))
    text += "".join(f"\n<at id={person.feishu}></at>" for person in notice.people if person.feishu)
    elements: list[dict[str, Any]] = [{"tag": "div", "text": {"tag": "lark_md", "content": text}}]
    if notice.url:
        label = {"tag": "plain_text", "content": ACKNOWLEDGE}
        button = {"tag": "button", "text": label, "type": "danger", "url": notice.url}
        elements.append({"tag": "action", "actions": [button]})
    header = {"template": template, "title": {"tag": "plain_text", "content": notice.title}}
    card = {"config": {"wide_screen_mode": True}, "header": header, "elements": elements}
    body: dict[str, Any] = {"msg_type": "interactive", "card": card}
    if robot.secret:
        stamp = str(now_us // 1_000_000)
        body |= {"timestamp": stamp, "sign": _hmac(f"{stamp}\n{robot.secret}".encode(), "")}
    return robot.url, body


def _hmac(key: bytes, message: str) -> str:
    return base64.b64encode(hmac.new(key, message.encode(), hashlib.sha256).digest()).decode()


def _plain(text: str) -> str:
    """Text that no markdown turns into a link, a mention or a colour."""
    return text.translate({ord(sign): f" {sign} " for sign in "<>[]`"} | {ord("@"): "@\u200b"})


def _cut(text: str, tail: str, most: int) -> str:
    """At most `most` bytes, whole characters, the tail always there."""
    room = most - len(tail.encode())
    return text.encode()[: max(0, room)].decode(errors="ignore") + tail
