"""Each channel against a server that behaves as its vendor documents, on good days and on bad ones."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import vendor_servers as vendors
from alert_story import START_US
from vendor_servers import NOW_US, SECRET, WANG, Vendor, notice, send, server

from alerts.channels import http, robots
from alerts.channels.alertmanager import Alertmanager, alerts
from alerts.channels.build import build
from alerts.channels.outcome import Result, Sender
from alerts.channels.webhook import Webhook
from alerts.notices import Contact, iso
from alerts.notices import test_notice as notice_of_a_test
from core import config
from core.config import ConfigError

MAKE: dict[str, tuple[Callable[..., Any], Callable[[str], Sender]]] = {
    "dingtalk": (
        vendors.dingtalk,
        lambda url: robots.dingtalk("c", f"{url}/robot/send?access_token=abc", SECRET),
    ),
    "wecom": (vendors.wecom, lambda url: robots.wecom("c", f"{url}/cgi-bin/webhook/send?key=693a91f6")),
    "feishu": (vendors.feishu, lambda url: robots.feishu("c", f"{url}/open-apis/bot/v2/hook/x", SECRET)),
    "webhook": (vendors.takes_all, lambda url: Webhook("c", f"{url}/hook", SECRET)),
    "alertmanager": (vendors.takes_all, lambda url: Alertmanager("c", url)),
}
ROBOTS = ["dingtalk", "wecom", "feishu"]


def outcome_of(kind: str, *, mood: str = "", **changes: Any) -> tuple[Any, Vendor]:
    """Sends one notice to a vendor in a mood."""

    async def story() -> tuple[Any, Vendor]:
        answer, make = MAKE[kind]
        async with server(answer, mood) as vendor:
            (outcome,) = await send(make(vendor.url), notice(**changes))
            return outcome, vendor

    return asyncio.run(story())


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("people", [(), (WANG,), (Contact("李明", phone="13900000002"),), (Contact("无名"),)])
@pytest.mark.parametrize("url", ["", "https://desk.example.org/#alert=crash"])
def test_a_vendor_takes_what_we_send_in_every_form(kind: str, people: tuple[Contact, ...], url: str) -> None:
    outcome, vendor = outcome_of(kind, people=people, url=url)
    assert outcome.result is Result.DELIVERED
    assert len(vendor.got) == 1


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize(
    ("mood", "result", "code", "pause_s"),
    [
        ("429", Result.RETRY, "HTTP 429", 7.0),
        ("500", Result.RETRY, "HTTP 500", 0.0),
        ("reset", Result.RETRY, "unreachable", 0.0),
        ("redirect", Result.REFUSED, "HTTP 302", 0.0),
    ],
)
def test_a_bad_day_is_told_from_a_wrong_address(
    kind: str, mood: str, result: Result, code: str, pause_s: float
) -> None:
    outcome, vendor = outcome_of(kind, mood=mood)
    assert (outcome.result, outcome.code, outcome.pause_s) == (result, code, pause_s)
    assert len(vendor.requests) == 1, "redirects are not followed"
    assert "127.0.0.1" not in outcome.sentence, "addresses are secrets"


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("mood", ["hang", "late"])
def test_who_does_not_answer_in_time_is_tried_again_even_if_the_message_arrived(
    kind: str, mood: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert http.TIMEOUT.total == 5.0
    monkeypatch.setattr(http, "TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    outcome, vendor = outcome_of(kind, mood=mood)
    assert (outcome.result, outcome.code) == (Result.RETRY, "timeout")
    assert len(vendor.got) == (1 if mood == "late" else 0)


@pytest.mark.parametrize("kind", MAKE)
def test_nobody_listening_is_tried_again(kind: str) -> None:
    (outcome,) = asyncio.run(send(MAKE[kind][1]("http://127.0.0.1:9"), notice()))
    assert (outcome.result, outcome.code) == (Result.RETRY, "unreachable")


@pytest.mark.parametrize("kind", ROBOTS)
@pytest.mark.parametrize("mood", ["html", "endless", "{}", '{"errcode": null, "code": "0"}'])
def test_a_200_whose_body_does_not_say_that_it_took_the_message_is_no_delivery(kind: str, mood: str) -> None:
    outcome, _ = outcome_of(kind, mood=mood)
    assert (outcome.result, outcome.code) == (Result.RETRY, "no code")


@pytest.mark.parametrize(
    ("kind", "body", "result", "pause_s"),
    [
        ("dingtalk", '{"errcode": 310000, "errmsg": "keywords not in content"}', Result.REFUSED, 0),
        ("dingtalk", '{"errcode": 300001, "errmsg": "token is not exist"}', Result.REFUSED, 0),
        ("dingtalk", '{"errcode": 130101, "errmsg": "send too fast"}', Result.RETRY, 600),
        ("dingtalk", '{"errcode": -1, "errmsg": "系统繁忙"}', Result.RETRY, 0),
        ("wecom", '{"errcode": 93000, "errmsg": "invalid webhook url"}', Result.REFUSED, 0),
        ("wecom", '{"errcode": 45009, "errmsg": "api freq out of limit"}', Result.RETRY, 60),
        ("feishu", '{"code": 19021, "msg": "sign match fail"}', Result.REFUSED, 0),
        ("feishu", '{"code": 9499, "msg": "Bad Request"}', Result.REFUSED, 0),
        ("feishu", '{"code": 9499, "msg": "too many request"}', Result.RETRY, 10),
        ("feishu", '{"code": 11232, "msg": "frequency limited psm"}', Result.RETRY, 10),
        ("feishu", '{"StatusCode": 0, "StatusMessage": "success"}', Result.DELIVERED, 0),
    ],
)
def test_a_robot_is_believed_by_the_code_in_the_body(
    kind: str, body: str, result: Result, pause_s: float
) -> None:
    outcome, _ = outcome_of(kind, mood=body)
    assert (outcome.result, outcome.pause_s) == (result, pause_s)


def test_a_wrong_secret_is_refused_by_the_body_of_a_200() -> None:
    async def story() -> None:
        async with server(vendors.dingtalk) as vendor:
            (outcome,) = await send(robots.dingtalk("c", f"{vendor.url}/?access_token=a", "other"), notice())
            assert (outcome.result, outcome.code) == (Result.REFUSED, "310000")
        async with server(vendors.feishu) as vendor:
            (outcome,) = await send(robots.feishu("c", vendor.url, "other"), notice())
            assert (outcome.result, outcome.code) == (Result.REFUSED, "19021")

    asyncio.run(story())


def test_every_signature_of_a_day_survives_its_way_through_the_address() -> None:
    """base64 has +, / and =; encoded once too often or too seldom, some of them do not match."""

    async def story() -> None:
        async with server(vendors.dingtalk) as vendor:
            sender = robots.dingtalk("c", f"{vendor.url}/robot/send?access_token=abc", SECRET)
            async with aiohttp.ClientSession() as session:
                for minute in range(40):
                    vendor.got.clear()
                    outcome = await sender.send(notice(), session, NOW_US + minute * 60_000_123)
                    assert outcome.result is Result.DELIVERED

    asyncio.run(story())


def test_people_are_called_by_name_in_the_way_each_robot_knows() -> None:
    (card,) = outcome_of("dingtalk", people=(WANG,))[1].got
    assert card["at"]["atMobiles"] == ["13800000001"]
    assert "@13800000001" in card["markdown"]["text"]
    (card,) = outcome_of("wecom", people=(WANG,))[1].got
    assert "<@wangfang>" in card["markdown"]["content"]
    (card,) = outcome_of("wecom", people=(Contact("李明", phone="139"),))[1].got
    assert card["text"]["mentioned_mobile_list"] == ["139"]
    (card,) = outcome_of("feishu", people=(WANG,))[1].got
    assert "<at id=ou_wang></at>" in card["card"]["elements"][0]["text"]["content"]


@pytest.mark.parametrize("kind", ROBOTS)
@pytest.mark.parametrize("people", [(), (WANG,)])
def test_a_card_leads_to_the_alert_and_a_name_from_outside_calls_nobody(
    kind: str, people: tuple[Contact, ...]
) -> None:
    (card,) = outcome_of(kind, people=people, lines=("<@all> <at id=all></at> [x](http://evil)",))[1].got
    text = json.dumps(card, ensure_ascii=False)
    assert "https://desk.example.org/#alert=crash" in text
    if "template_card" not in card:
        body = text.replace(notice().title, "")
        assert "<@all>" not in body
        assert "<at id=all>" not in body
        assert "[x](" not in body


def test_a_long_text_is_cut_to_what_wecom_takes_and_keeps_its_link() -> None:
    for people in ((WANG,), (Contact("李明", phone="139"),)):
        outcome, vendor = outcome_of("wecom", people=people, lines=("骑" * 5000,))
        assert outcome.result is Result.DELIVERED
        assert "#alert=crash" in json.dumps(vendor.got)


def test_a_webhook_is_a_cloudevent_that_the_standard_library_of_its_receiver_can_verify() -> None:
    async def story() -> None:
        async with server(vendors.takes_all) as vendor:
            key = base64.b64encode(b"0123456789abcdef").decode()
            sender = Webhook("c", f"{vendor.url}/hook", f"whsec_{key}")
            async with aiohttp.ClientSession() as session:
                await sender.send(notice(facts={"helmet": "SF-1"}, test=True), session, NOW_US)
            (request,), (event,) = vendor.requests, vendor.got
            head = request.headers
            assert head["Content-Type"] == "application/cloudevents+json"
            signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + await request.read()
            expected = hmac.new(b"0123456789abcdef", signed, hashlib.sha256).digest()
            assert head["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
            assert (head["webhook-id"], head["webhook-timestamp"]) == ("n1", str(NOW_US // 1_000_000))
            assert (event["specversion"], event["id"], event["subject"]) == ("1.0", "n1", "crash")
            assert event["type"] == "helmetwatch.alert.open"
            assert event["data"]["helmet"] == "SF-1"
            assert event["data"]["test"] is True

    asyncio.run(story())


def test_alertmanager_gets_one_alert_that_fires_and_then_its_end() -> None:
    (fires,) = outcome_of("alertmanager")[1].got
    assert [a["labels"]["severity"] for a in fires] == ["serious"]
    assert fires[0]["endsAt"] > fires[0]["startsAt"]
    (ends,) = outcome_of("alertmanager", status="resolved")[1].got
    assert fires[0]["labels"] in [a["labels"] for a in ends]
    assert {a["endsAt"] for a in ends} == {"2023-11-14T22:13:20.000+00:00"}


def test_the_end_of_a_fault_or_storm_ends_what_its_begin_fired_and_a_test_ends_by_itself() -> None:
    facts = {"dedup_key": "helmetwatch/worker w/1"}
    one = replace(notice(), alert="", facts=facts)
    (fires,) = alerts(replace(one, id="a", severity=3), START_US)
    ends = alerts(replace(one, id="b", status="resolved"), START_US)
    assert fires["labels"] in [each["labels"] for each in ends]
    (test,) = alerts(notice_of_a_test("c", "王芳", START_US, "x"), START_US)
    assert test["endsAt"] == iso(START_US + 60_000_000)


def test_channels_come_from_the_configuration_and_their_secrets_from_files(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://oapi.dingtalk.com/robot/send?access_token=x\n")
    (tmp_path / "secret").write_text("SEC0123456789abcdef\n")
    files = {"url_file": str(tmp_path / "url"), "secret_file": str(tmp_path / "secret")}
    channels = [
        {"name": "group", "kind": "dingtalk"} | files,
        {"name": "group-2", "kind": "wecom", "url_file": files["url_file"]},
        {"name": "group-3", "kind": "feishu"} | files,
        {"name": "mail", "kind": "smtp", "host": "mail", "sender": "a@b", "to": ["c@d"]},
        {"name": "pager", "kind": "webhook", "url": "https://x", "secret_file": files["secret_file"]},
        {"name": "prometheus", "kind": "alertmanager", "url": "http://x:9093"},
    ]
    made = build(config.Config.model_validate({"alerts": {"channels": channels}}).alerts.channels)
    assert [(name, sender.kind) for name, sender in made.items()] == [
        (c["name"], c["kind"]) for c in channels
    ]


def test_what_is_missing_is_told_with_the_variable_that_would_hold_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "alerts:\n  channels:\n  - {name: ops-group, kind: dingtalk}\n"
        "  - {name: pager, kind: webhook, url: 'https://x'}\n"
    )
    channels = config.parse(text).alerts.channels
    with pytest.raises(ConfigError) as caught:
        build(channels)
    assert len(caught.value.faults) == 2
    assert "HELMETWATCH_CHANNEL_OPS_GROUP_URL" in caught.value.faults[0]
    assert "HELMETWATCH_CHANNEL_PAGER_SECRET" in caught.value.faults[1]
    monkeypatch.setenv("HELMETWATCH_CHANNEL_OPS_GROUP_URL", "https://oapi.dingtalk.com/x")
    monkeypatch.setenv("HELMETWATCH_CHANNEL_PAGER_SECRET", SECRET)
    assert list(build(channels)) == ["ops-group", "pager"]


def test_two_channels_of_one_name_are_a_fault() -> None:
    same = "{name: a, kind: alertmanager, url: 'http://x'}"
    with pytest.raises(ConfigError, match="two channels have the name a"):
        config.parse(f"alerts:\n  channels: [{same}, {same}]\n")
