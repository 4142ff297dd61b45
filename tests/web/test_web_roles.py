"""Least access: what an operator may do alone at night, what is for supervisors, and who took what out."""

import json
import re
import sqlite3
from pathlib import Path

import aiohttp
import pytest
from running_desk import START_US, Running, detection, on_desk

from alerts import database
from core.model import Stage
from web.accounts import Accounts, Role, add_account
from web.audit import REFUSALS_MAX
from web.operations import OPERATIONS

SUPERVISORS = {key for key, operation in OPERATIONS.items() if operation.who == "supervisor"}
PEOPLE = {key for key, operation in OPERATIONS.items() if operation.who == "person"}


async def operator(desk: Running) -> aiohttp.ClientSession:
    """陈六, an operator, signed in."""
    desk.passwords = desk.passwords | {"chen": add_account(desk.folder / "alerts.db", "chen", "陈六")}
    return await desk.person("chen")


async def audit(desk: Running) -> list[dict]:
    """The trail, newest first, as a supervisor reads it."""
    async with (await desk.person()).get("/api/v1/audit?limit=1000") as answer:
        assert answer.status == 200
        return (await answer.json())["audit"]


def filled(key: str) -> tuple[str, str]:
    method, path = key.split()
    return method, re.sub(r"{\w+}", "crash", path)


@on_desk
async def test_what_is_for_supervisors_an_operator_is_refused_in_a_sentence_and_that_is_written_down(
    desk: Running,
) -> None:
    chen = await operator(desk)
    assert "GET /api/v1/alerts.csv" in SUPERVISORS
    for key in sorted(SUPERVISORS):
        method, path = filled(key)
        async with chen.request(method, path, json={}) as answer:
            assert (key, answer.status, answer.content_type) == (key, 403, "application/problem+json")
            assert (await answer.json())["detail"] == "This is for supervisors; 陈六 is an operator."
    lines = await audit(desk)
    assert {line["detail"]["tried"] for line in lines} == SUPERVISORS
    assert {(line["what"], line["by"], line["address"], line["rows"]) for line in lines} == {
        ("refused", "陈六", "127.0.0.1", None)
    }


@on_desk
async def test_who_is_refused_by_a_program_does_not_fill_the_disk(desk: Running) -> None:
    chen = await operator(desk)
    tried = lambda: chen.get("/api/v1/alerts.csv")  # noqa: E731
    for _ in range(REFUSALS_MAX + 3):
        assert (await tried()).status == 403
    assert len(await audit(desk)) == REFUSALS_MAX
    desk.clock.advance(61)
    assert (await tried()).status == 403
    assert len(await audit(desk)) == REFUSALS_MAX + 1


@on_desk
async def test_everything_else_is_open_to_an_operator(desk: Running) -> None:
    await desk.tell(detection())
    chen = await operator(desk)
    for key in sorted(PEOPLE - {"DELETE /api/v1/session", "GET /api/v1/feed"}):
        method, path = filled(key)
        async with chen.request(method, path, json={}) as answer:
            assert answer.status not in (401, 403), key


@on_desk
async def test_alone_at_night_an_operator_takes_an_alert_to_its_end(desk: Running) -> None:
    await desk.tell(detection(stage=Stage.CONFIRMED))
    chen = await operator(desk)
    for step, body in (
        ("acknowledge", {}),
        ("note", {"note": "rang twice"}),
        ("resolve", {"reason": "unhurt", "dispatched": False}),
        ("reopen", {"note": "rang back"}),
    ):
        assert (await chen.post(f"/api/v1/alerts/crash/{step}", json=body)).status == 200, step
    assert (await chen.get("/api/v1/alerts/crash/pack")).status == 200
    async with chen.get("/api/v1/session") as answer:
        assert (await answer.json())["role"] == "operator"


@on_desk
async def test_another_role_counts_at_once_for_whoever_is_signed_in(desk: Running) -> None:
    chen = await operator(desk)
    accounts = Accounts(desk.folder / "alerts.db")
    assert (await chen.post("/api/v1/drill", json={"severity": 1})).status == 403
    accounts.give("chen", Role.SUPERVISOR)
    assert (await chen.post("/api/v1/drill", json={"severity": 1})).status == 200
    accounts.give("chen", Role.OPERATOR)
    assert (await chen.post("/api/v1/drill", json={"severity": 1})).status == 403
    accounts.close()


@on_desk
async def test_every_export_says_who_when_from_where_which_part_and_how_many_rows(desk: Running) -> None:
    await desk.tell(detection("one"), detection("two"), detection("three", helmet="SF-000002"))
    person = await desk.person()
    desk.clock.advance(60)
    behind = {"X-Forwarded-For": "203.0.113.7"}
    for path in (
        "/api/v1/alerts?helmet=SF-000001&limit=1",
        "/api/v1/alerts.csv?helmet=SF-000001",
        "/api/v1/alerts/two/pack",
        "/api/v1/alerts/two/pack?format=pdf",
    ):
        async with person.get(path, headers=behind) as answer:
            assert answer.status == 200
            await answer.read()
    lines = await audit(desk)
    assert {(line["by"], line["address"], line["at_us"]) for line in lines} == {
        ("王芳", "203.0.113.7", START_US + 60_000_000)
    }
    assert [(line["what"], line["detail"], line["rows"]) for line in reversed(lines)] == [
        ("history", {"helmet": "SF-000001", "limit": "1", "format": "json"}, 1),
        ("history", {"helmet": "SF-000001", "format": "csv"}, 2),
        ("pack", {"alert": "two", "format": "json"}, 1),
        ("pack", {"alert": "two", "format": "pdf"}, 1),
    ]


@on_desk
async def test_what_cannot_be_written_down_is_not_given_out_but_the_list_on_the_page_is(
    desk: Running,
) -> None:
    await desk.tell(detection())
    person = await desk.person()
    db = sqlite3.connect(desk.folder / "alerts.db")
    db.execute("DROP TABLE audit")
    db.close()
    for path, status in (
        ("/api/v1/alerts.csv", 503),
        ("/api/v1/alerts/crash/pack", 503),
        ("/api/v1/alerts", 200),
    ):
        assert (path, (await person.get(path)).status) == (path, status)


@on_desk
async def test_the_trail_is_read_page_by_page_and_cannot_be_changed(desk: Running) -> None:
    person = await desk.person()
    for n in range(5):
        await person.get(f"/api/v1/alerts?rider={n}")
    seen, cursor = [], ""
    while cursor is not None:
        async with person.get(f"/api/v1/audit?limit=2{cursor and '&before='}{cursor}") as answer:
            page = await answer.json()
        seen += [line["detail"]["rider"] for line in page["audit"]]
        cursor = page["next"]
    assert seen == ["4", "3", "2", "1", "0"]
    db = sqlite3.connect(desk.folder / "alerts.db")
    for statement in ("DELETE FROM audit", "UPDATE audit SET actor = 'nobody'"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(statement)
    db.close()


def test_accounts_of_before_there_were_roles_are_supervisors_and_sign_in_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
    db = sqlite3.connect(path)
    db.executescript("".join(database._STEPS[:5]))
    db.execute(
        "CREATE TABLE accounts (name TEXT PRIMARY KEY, display_name TEXT NOT NULL UNIQUE, hash TEXT NOT NULL)"
    )
    db.execute("INSERT INTO accounts VALUES ('wang', '王芳', 'x')")
    db.execute("PRAGMA user_version = 5")
    db.commit()
    db.close()
    accounts = Accounts(path)
    assert accounts.all() == [("wang", "王芳", Role.SUPERVISOR)]
    assert accounts.secret("wang") == ("wang", "王芳", Role.SUPERVISOR, "x")
    accounts.add("chen", "陈六", Role.OPERATOR)
    assert [role for _, _, role in accounts.all()] == ["operator", "supervisor"]
    accounts.close()


def test_the_document_says_403_of_everything_that_is_for_supervisors() -> None:
    from web.openapi import document

    for key in SUPERVISORS:
        method, path = key.split()
        answer = document()["paths"][path][method.lower()]["responses"]["403"]
        assert "supervisors" in json.dumps(answer)
