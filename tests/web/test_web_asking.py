"""Requests that are sent again, and where they came from: nothing is done twice, and the record has it."""

from typing import Any

import aiohttp
import pytest
from running_desk import Running, detection, on_desk

from core.model import Stage

ASKED = {
    "acknowledge": {},
    "note": {"note": "called"},
    "help": {"helper": "station:X", "status": "asked"},
    "resolve": {"reason": "unhurt"},
    "reopen": {"note": "by mistake"},
}


async def post(
    client: aiohttp.ClientSession, path: str, body: dict[str, Any], **headers: str
) -> tuple[int, dict[str, Any]]:
    async with client.post(f"/api/v1/{path}", json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def timeline(client: aiohttp.ClientSession, alert: str = "crash") -> list[dict[str, Any]]:
    async with client.get(f"/api/v1/alerts/{alert}") as answer:
        return list((await answer.json())["timeline"])


@on_desk
async def test_a_request_that_is_sent_again_with_its_key_changes_nothing_and_is_answered_as_before(
    desk: Running,
) -> None:
    await desk.tell(detection(stage=Stage.CONFIRMED))
    person = await desk.person()
    for act in ("acknowledge", "note", "resolve", "reopen"):
        first = await post(person, f"alerts/crash/{act}", ASKED[act], **{"Idempotency-Key": act})
        again = await post(person, f"alerts/crash/{act}", ASKED[act], **{"Idempotency-Key": act})
        assert first[0] == 200
        assert again == first
    assert [line["type"] for line in await timeline(person)] == [
        "detected",
        "opened",
        "acknowledged",
        "noted",
        "resolved",
        "reopened",
    ]
    drills = [await post(person, "drill", {"severity": 2}, **{"Idempotency-Key": "d"}) for _ in range(2)]
    assert drills[0] == drills[1]
    assert len(await timeline(person, drills[0][1]["id"])) == 2


@on_desk
async def test_a_key_is_one_persons_for_one_request_and_has_a_form(desk: Running) -> None:
    await desk.tell(detection(stage=Stage.CONFIRMED))
    wang, li = await desk.person("wang"), await desk.person("li")
    key = {"Idempotency-Key": "one"}
    assert (await post(wang, "alerts/crash/note", {"note": "a"}, **key))[0] == 200
    status, problem = await post(wang, "alerts/crash/note", {"note": "b"}, **key)
    assert status == 409
    assert "another request" in problem["detail"]
    assert (await post(li, "alerts/crash/note", {"note": "b"}, **key))[0] == 200
    for wrong in ("x" * 101, "\u00e9"):
        assert (await post(wang, "alerts/crash/note", {"note": "c"}, **{"Idempotency-Key": wrong}))[0] == 400
    assert [line["detail"]["note"] for line in await timeline(wang) if line["type"] == "noted"] == ["a", "b"]


@on_desk
async def test_the_record_has_the_address_of_everything_that_a_person_did(desk: Running) -> None:
    await desk.tell(detection(stage=Stage.CONFIRMED))
    client = desk.client(**{"X-Forwarded-For": "203.0.113.7"})
    await client.post("/api/v1/session", json={"name": "wang", "password": desk.passwords["wang"]})
    for act in ("acknowledge", "note", "resolve", "reopen"):
        assert (await post(client, f"alerts/crash/{act}", ASKED[act]))[0] == 200
    await post(client, "alerts/acknowledge", {"ids": ["crash"]})
    found = {(line["actor"], line["address"]) for line in await timeline(client)}
    assert found == {("detector", ""), ("王芳", "203.0.113.7")}


@on_desk
async def test_what_a_colleague_has_is_taken_over_and_closed_only_by_naming_them(desk: Running) -> None:
    await desk.tell(detection(stage=Stage.CONFIRMED))
    wang, li = await desk.person("wang"), await desk.person("li")
    await post(wang, "alerts/crash/acknowledge", {})
    status, problem = await post(li, "alerts/crash/resolve", {"reason": "unhurt"})
    assert (status, problem["owner"]) == (409, "王芳")
    status, problem = await post(li, "alerts/crash/acknowledge", {"from": "李明"})
    assert (status, problem["owner"]) == (409, "王芳")
    status, alert = await post(li, "alerts/crash/acknowledge", {"from": "王芳"})
    assert (status, alert["owner"]) == (200, "李明")
    status, alert = await post(wang, "alerts/crash/resolve", {"reason": "unhurt", "from": "李明"})
    assert (status, alert["resolution"]["by"]) == (200, "王芳")


@pytest.mark.parametrize("act", ["acknowledge", "resolve", "reopen", "note", "contact", "help"])
def test_the_document_says_which_requests_take_a_key(act: str) -> None:
    from web.openapi import document

    parameters = document()["paths"][f"/api/v1/alerts/{{id}}/{act}"]["post"]["parameters"]
    assert "Idempotency-Key" in [each["name"] for each in parameters]
