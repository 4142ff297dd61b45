"""Riding times on the desk: workers tell them with their reports, people ask for wear rates and duty."""

import asyncio
import csv
import io
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from running_desk import START_US, Running, book_with_people, desk, on_desk, report, with_riders_file

from core.clock import ManualClock
from core.model import RidingLog

START_S = START_US // 1_000_000


def ridden(states: str, helmet: str = "SF-000001", before_s: int = 0) -> list[RidingLog]:
    """Logs of a helmet that end so long before now."""
    first = START_S - before_s - len(states)
    return [RidingLog(helmet, (first + k) * 1_000_000, states[k : k + 60]) for k in range(0, len(states), 60)]


async def tell(running: Running, logs: list[RidingLog]) -> int:
    answer = await running.worker.post("/api/v1/report", json=asdict(replace(report(), riding=logs)))
    assert answer.status == 200, await answer.text()
    return int((await answer.json())["riding"])


async def get(running: Running, path: str) -> Any:
    answer = await (await running.person()).get(f"/api/v1{path}")
    assert answer.status == 200, await answer.text()
    return await answer.json()


@on_desk
async def test_what_a_worker_tells_is_there_for_people_to_ask(running: Running) -> None:
    logs = ridden("4" * 900 + "3" * 100 + "2" * 50 + "1" * 10) + ridden("3" * 60, "SF-000002")
    assert await tell(running, logs) == len(logs)
    found = await get(running, "/riding")
    assert found["helmets"] == [
        {"helmet": "SF-000001", "worn_s": 900, "not_worn_s": 100, "unknown_s": 50},
        {"helmet": "SF-000002", "worn_s": 0, "not_worn_s": 60, "unknown_s": 0},
    ]
    assert found["total"] == {"helmets": 2, "worn_s": 900, "not_worn_s": 160, "unknown_s": 50}
    assert found["next"] is None and found["now_us"] == START_US
    duty = await get(running, "/duty")
    assert [each["helmet"] for each in duty["riders"]] == ["SF-000001"]
    assert (duty["warned"], duty["over"], duty["next"]) == (0, 0, None)
    one = await get(running, "/helmets/SF-000001/riding")
    assert one["days"][0]["worn_s"] == 900 and one["duty"] == duty["riders"][0]
    assert (await get(running, "/helmets/SF-000009/riding")) == {
        "helmet": "SF-000009",
        "days": [],
        "duty": None,
    }


@on_desk
async def test_told_twice_counts_once_and_nonsense_is_not_asked_for_again(running: Running) -> None:
    logs = ridden("4" * 120)
    bad = [
        RidingLog("no such id", START_US, "4"),
        RidingLog("SF-1", START_US, "5"),
        RidingLog("SF-1", START_US, "4" * 61),
        RidingLog("SF-1", -5, "4"),
        RidingLog("SF-1", 2**60, "4"),
    ]
    for _ in range(2):
        assert await tell(running, logs + bad) == len(logs) + len(bad)
    assert (await get(running, "/riding"))["total"]["worn_s"] == 120


@on_desk
async def test_long_lists_come_in_pages(running: Running) -> None:
    await tell(running, [log for k in range(5) for log in ridden("4" * (60 + k), f"SF-{k}")])
    names, path = [], "/riding?limit=2"
    while path:
        page = await get(running, path)
        names += [each["helmet"] for each in page["helmets"]]
        path = page["next"] and f"/riding?limit=2&after={page['next']}"
    assert names == [f"SF-{k}" for k in range(5)]
    longest = await get(running, "/duty?limit=3")
    assert [each["helmet"] for each in longest["riders"]] == ["SF-4", "SF-3", "SF-2"]
    rest = await get(running, f"/duty?limit=3&after={longest['next']}")
    assert [each["helmet"] for each in rest["riders"]] == ["SF-1", "SF-0"] and rest["next"] is None


@with_riders_file("helmet,name,phone,city,station\nSF-000001,=张三,1,深圳,南山\n")
async def test_the_duty_list_and_the_table_for_spreadsheets_name_the_rider(running: Running) -> None:
    await tell(running, ridden("4" * 14_400))
    duty = await get(running, "/duty")
    assert duty["over"] == 1 and duty["riders"][0]["rider"] == "=张三"
    answer = await (await running.person()).get("/api/v1/riding.csv?from=2023-01-01&to=2024-01-01")
    text = (await answer.read()).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == [
        *("day", "helmet", "rider", "city", "station", "worn_s", "not_worn_s", "unknown_s"),
    ]
    assert rows[1][1:5] == ["SF-000001", "'=张三", "深圳", "南山"]
    assert sum(int(row[5]) for row in rows[1:]) == 14_400


@on_desk
async def test_a_question_that_makes_no_sense_is_refused(running: Running) -> None:
    person = await running.person()
    for path in (
        "/riding?day=today",
        "/riding?limit=0",
        "/duty?after=x",
        "/riding.csv?from=1.1.",
        "/riding?after=%00",
    ):
        answer = await person.get(f"/api/v1{path}")
        assert answer.status == 400, path
    for path in ("/riding", "/riding.csv", "/duty", "/helmets/SF-1/riding"):
        assert (await running.nobody.get(f"/api/v1{path}")).status == 401
        assert (await running.worker.get(f"/api/v1{path}")).status == 403


def stories(folder: Path, passwords: dict[str, str], **alerts: Any) -> Any:
    return desk(folder, ManualClock(START_US), passwords, alerts=alerts)


def test_a_desk_that_starts_again_still_knows_and_one_that_keeps_nothing_forgets() -> None:
    async def story(folder: Path, passwords: dict[str, str]) -> None:
        async with stories(folder, passwords) as running:
            await tell(running, ridden("4" * 300))
        async with stories(folder, passwords) as running:
            assert (await get(running, "/riding"))["total"]["worn_s"] == 300
        async with stories(folder, passwords, riding_days=0) as running:
            assert (await get(running, "/riding"))["total"]["worn_s"] == 0
            assert await tell(running, ridden("4" * 300)) == 5
            assert (await get(running, "/duty"))["riders"] == []

    book, passwords = book_with_people()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "alerts.db").write_bytes(book)
        asyncio.run(story(Path(name), passwords))


def test_while_its_file_cannot_be_used_reports_are_taken_and_riding_is_not() -> None:
    async def story(folder: Path, passwords: dict[str, str]) -> None:
        (folder / "alerts.db.riding").mkdir()
        async with stories(folder, passwords) as running:
            assert await tell(running, ridden("4" * 300)) == 0
            assert (await running.nobody.get("/readyz")).status == 200
            assert (await (await running.person()).get("/api/v1/riding")).status == 503
            (folder / "alerts.db.riding").rmdir()
            assert await tell(running, ridden("4" * 300)) == 5
            assert (await get(running, "/riding"))["total"]["worn_s"] == 300

    book, passwords = book_with_people()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "alerts.db").write_bytes(book)
        asyncio.run(story(Path(name), passwords))
