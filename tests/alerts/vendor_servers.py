"""Local servers that behave as the vendors document: they check signatures and forms, and have bad days."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from alerts.channels.outcome import Outcome, Sender
from alerts.notices import Contact, Notice

NOW_US = 1_700_000_000_000_000
SECRET = "SEC0123456789abcdef"

WANG = Contact("王芳", phone="13800000001", email="wang@example.org", wecom="wangfang", feishu="ou_wang")


def notice(id_: str = "n1", severity: int = 3, **changes: Any) -> Notice:
    """A call to act."""
    body: dict[str, Any] = {
        "alert": "crash",
        "channel": "c",
        "reason": "opened",
        "status": "open",
        "at_us": NOW_US,
        "title": "【疑似碰撞·严重】骑手 张*三 | 头部撞击 <@all> [x](http://evil)",
        "lines": ("头部撞击 21 g", "Head impact 21 g"),
        "url": "https://desk.example.org/#alert=crash",
    }
    return Notice(id=id_, severity=severity, **(body | changes))


def sign(key: str, message: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), message.encode(), hashlib.sha256).digest()).decode()


@dataclass
class Vendor:
    """One server; `got` is what it accepted, `mood` what it does instead of its duty."""

    url: str = ""
    got: list[Any] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    mood: str = ""
    answer: Callable[["Vendor", web.Request, Any], web.StreamResponse] = lambda v, r, b: web.Response()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.requests.append(request)
        match self.mood:
            case "hang":
                await asyncio.sleep(30)
            case "reset":
                assert request.transport is not None
                request.transport.abort()
            case "late":
                self.got.append(json.loads(raw))
                await asyncio.sleep(1)
            case "429":
                return web.Response(status=429, headers={"Retry-After": "7"})
            case "500":
                return web.Response(status=500)
            case "html":
                return web.Response(text="<html>sign in to the hotel network</html>")
            case "redirect":
                return web.Response(status=302, headers={"Location": f"{self.url}/elsewhere"})
            case "endless":
                response = web.StreamResponse()
                await response.prepare(request)
                for _ in range(10_000):
                    await response.write(b"x" * 10_000)
                return response
            case code if code.startswith("{"):
                return web.json_response(text=code)
        return self.answer(self, request, raw)


def dingtalk(vendor: Vendor, request: web.Request, raw: bytes) -> web.StreamResponse:
    """open.dingtalk.com: signature within an hour, known forms, twenty a minute."""
    body, stamp = json.loads(raw), request.query.get("timestamp", "")
    if request.query.get("sign") != sign(SECRET, f"{stamp}\n{SECRET}") or len(stamp) != 13:
        return web.json_response({"errcode": 310000, "errmsg": "sign not match"})
    kind = body["msgtype"]
    wanted = {"actionCard": {"title", "text", "singleTitle", "singleURL"}, "markdown": {"title", "text"}}
    if kind not in wanted or set(body[kind]) != wanted[kind]:
        return web.json_response({"errcode": 400402, "errmsg": "missing or wrong field"})
    if len(vendor.got) >= 20:
        return web.json_response({"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"})
    vendor.got.append(body)
    return web.json_response({"errcode": 0, "errmsg": "ok"})


def wecom(vendor: Vendor, request: web.Request, raw: bytes) -> web.StreamResponse:
    """developer.work.weixin.qq.com: a key in the address, forms with limits, twenty a minute."""
    body = json.loads(raw)
    if request.query.get("key") != "693a91f6":
        return web.json_response({"errcode": 93000, "errmsg": "invalid webhook url"})
    kind = body.get("msgtype")
    fits = {
        "text": lambda b: len(b["content"].encode()) <= 2048,
        "markdown": lambda b: len(b["content"].encode()) <= 4096,
        "template_card": lambda b: b["card_type"] == "text_notice" and b["card_action"]["url"],
    }
    if kind not in fits or not fits[kind](body[kind]):
        return web.json_response({"errcode": 40058, "errmsg": "invalid Request Parameter"})
    if len(vendor.got) >= 20:
        return web.json_response({"errcode": 45009, "errmsg": "api freq out of limit"})
    vendor.got.append(body)
    return web.json_response({"errcode": 0, "errmsg": "ok"})


def feishu(vendor: Vendor, request: web.Request, raw: bytes) -> web.StreamResponse:
    """open.feishu.cn: key `timestamp\\nsecret` over an empty message, cards."""
    body = json.loads(raw)
    if body.get("sign") != sign(f"{body.get('timestamp')}\n{SECRET}", ""):
        return web.json_response(
            {"code": 19021, "msg": "sign match fail or timestamp is not within one hour"}
        )
    if body.get("msg_type") != "interactive" or "elements" not in body.get("card", {}):
        return web.json_response({"code": 9499, "msg": "Bad Request", "data": {}})
    vendor.got.append(body)
    return web.json_response(
        {"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"}
    )


def takes_all(vendor: Vendor, request: web.Request, raw: bytes) -> web.StreamResponse:
    """Any webhook or Alertmanager."""
    vendor.got.append(json.loads(raw))
    return web.Response(status=200)


@asynccontextmanager
async def server(
    answer: Callable[[Vendor, web.Request, Any], web.StreamResponse], mood: str = ""
) -> AsyncIterator[Vendor]:
    """A vendor on a free port."""
    vendor = Vendor(mood=mood, answer=answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", vendor.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    vendor.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield vendor
    finally:
        await runner.cleanup()


async def send(sender: Sender, *notices: Notice, now_us: int = NOW_US) -> list[Outcome]:
    """Tries once each."""
    async with aiohttp.ClientSession() as http:
        return [await sender.send(each, http, now_us) for each in notices]
