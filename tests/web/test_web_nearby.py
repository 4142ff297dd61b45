"""Nearby help on a real desk."""

import asyncio
import tempfile
from dataclasses import asdict
from pathlib import Path

from running_desk import START_US, Running, book_with_people, desk, detection, helmet, report

from core.clock import ManualClock
from core.model import Position, Stage

RIDERS = "helmet,name,phone,first_aid\nSF-000001,张三,1,yes\nSF-000002,李四,2,yes\nSF-000003,王五,3,no\nSF-000004,赵六,4,yes\n"
PLACES = "kind,name,lat_deg,lon_deg,phone,note\naed,地铁站,22.501,114.0,,站厅\nstation,驿站,22.53,114.0,0755,\nstation,远,23,114,,\n"


async def story(running: Running) -> None:
    crash = detection(position=Position(22.5, 114.0, 5.0, 1.0))
    await running.tell(crash, detection("nowhere", helmet="SF-9"))
    old_us = START_US - 3600_000_000
    await running.report(
        report(
            helmet("SF-000001"),
            helmet("SF-000002", lat_deg=22.51),
            helmet("SF-000003", lat_deg=22.501),
            helmet("SF-000004", lat_deg=22.502, received_us=old_us),
        )
    )
    person = await running.person()

    async def near(alert: str = "crash") -> dict:
        async with person.get(f"/api/v1/alerts/{alert}/nearby") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    shown = await near()
    assert [each["name"] for each in shown["helpers"]] == ["地铁站", "李四", "驿站"], (
        "not the rider who fell, nor who has not agreed, nor who was last heard of an hour ago, nor what is far"
    )
    assert [round(each["distance_m"]) for each in shown["helpers"]] == [111, 1112, 3336]
    assert {each["status"] for each in shown["helpers"]} == {None}
    assert (await near("nowhere")) == {"position": None, "helpers": []}

    for status in ("asked", "going"):
        running.clock.advance(5)
        body = {"helper": "rider:SF-000002", "status": status}
        assert (await person.post("/api/v1/alerts/crash/help", json=body)).status == 200
    (asked,) = [each for each in (await near())["helpers"] if each["id"] == "rider:SF-000002"]
    assert (asked["status"], asked["status_us"]) == ("going", START_US + 10_000_000)
    async with person.get("/api/v1/alerts/crash") as answer:
        detail = await answer.json()
    assert [
        (e["type"], e["actor"], e["detail"]["name"], e["detail"]["status"]) for e in detail["timeline"][1:]
    ] == [
        ("help", "王芳", "李四", "asked"),
        ("help", "王芳", "李四", "going"),
    ]
    assert detail["touched_us"] == START_US + 10_000_000
    for body, status in (
        ({"helper": "rider:SF-000003", "status": "asked"}, 404),
        ({"helper": "station:x", "status": "asked"}, 404),
        ({"helper": "rider:SF-000002", "status": "perhaps"}, 400),
    ):
        assert (await person.post("/api/v1/alerts/crash/help", json=body)).status == status
    await person.post("/api/v1/alerts/crash/acknowledge", json={})
    await person.post("/api/v1/alerts/crash/resolve", json={"reason": "unhurt"})
    body = {"helper": "rider:SF-000002", "status": "asked"}
    assert (await person.post("/api/v1/alerts/crash/help", json=body)).status == 409


def test_trained_riders_stations_and_aeds_are_ranked_by_distance_and_what_they_say_is_written_down() -> None:
    async def whole() -> None:
        book, passwords = book_with_people()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "alerts.db").write_bytes(book)
            (folder / "riders.csv").write_text(RIDERS, "utf-8")
            (folder / "places.csv").write_text(PLACES, "utf-8")
            files = {"riders_file": str(folder / "riders.csv"), "places_file": str(folder / "places.csv")}
            async with desk(folder, ManualClock(START_US), passwords, alerts=files) as running:
                await story(running)

    asyncio.run(whole())


def test_a_desk_that_restarts_forgets_no_message_and_repeats_none_that_went_out() -> None:
    async def told(running: Running, *prompted: str) -> list[str]:
        body = asdict(report(helmet("SF-000002"))) | {"prompted": list(prompted)}
        async with running.worker.post("/api/v1/report", json=body) as answer:
            return [each["id"] for each in (await answer.json())["prompts"]]

    async def shown(running: Running) -> str | None:
        async with (await running.person()).get("/api/v1/alerts/crash/nearby") as answer:
            (helper,) = (await answer.json())["helpers"]
            return helper["prompt"]

    async def ask(running: Running) -> None:
        body = {"helper": "rider:SF-000002", "status": "asked"}
        person = await running.person()
        assert (await person.post("/api/v1/alerts/crash/help", json=body)).status == 200

    async def whole() -> None:
        book, passwords = book_with_people()
        with tempfile.TemporaryDirectory() as name:
            folder, clock = Path(name), ManualClock(START_US)
            (folder / "alerts.db").write_bytes(book)
            (folder / "riders.csv").write_text(RIDERS, "utf-8")
            files = {"riders_file": str(folder / "riders.csv")}
            async with desk(folder, clock, passwords, alerts=files) as running:
                await running.tell(detection(stage=Stage.CONFIRMED, position=Position(22.5, 114.0, 5.0, 1.0)))
                await ask(running)
            async with desk(folder, clock, passwords, alerts=files) as running:
                (id_,) = await told(running)
                assert await shown(running) == "waiting"
                assert await told(running) == [id_], "until a worker says that it went out"
                assert await told(running, id_, "unknown") == []
                assert await shown(running) == "sent"
            async with desk(folder, clock, passwords, alerts=files) as running:
                assert await told(running) == []
                assert await shown(running) == "sent"
                await ask(running)
                clock.advance(120)
            async with desk(folder, clock, passwords, alerts=files) as running:
                assert await told(running) == [], "too late for a call for help"
                assert await shown(running) == "expired"

    asyncio.run(whole())
