"""What a shift does with many alerts, many helmets and many people."""

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from running_desk import (
    START_US,
    Running,
    detection,
    helmet,
    on_desk,
    report,
    with_riders_file,
)

from core.config import Alerts
from core.model import Stage, Worn
from web.export import lines
from web.incidents import mentioned
from web.registers import Registers

RIDERS = (
    "helmet,name,phone,city,station,contact_name,contact_phone\n"
    "SF-000001,张三,+861380000,深圳,南山,李娜,+861390000\nSF-000002,=HYPERLINK(1),2,深圳,福田,,\nSF-000003,王五,3,广州,,,\n"
)


with_riders = with_riders_file(RIDERS)


async def post(client: Any, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
    async with client.post(f"/api/v1/{path}", json=body) as answer:
        return answer.status, await answer.json()


async def until(ask: Callable[[], Awaitable[Any]], fits: Callable[[Any], bool]) -> None:
    """Asks again until the answer fits."""
    for _ in range(200):
        if fits(await ask()):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come about within 10 s")


async def get(client: Any, path: str) -> dict[str, Any]:
    async with client.get(f"/api/v1/{path}") as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


@on_desk
async def test_many_alerts_are_taken_at_once_and_each_that_cannot_is_told(desk: Running) -> None:
    await desk.tell(*(detection(f"i{n}") for n in range(300)))
    wang, li = await desk.person(), await desk.person("li")
    await post(li, "alerts/i7/acknowledge")
    ids = [f"i{n}" for n in range(300)]
    status, told = await post(wang, "alerts/acknowledge", ids=[*ids, "gone", "i3"])
    assert status == 200
    assert told["taken"] == [id_ for id_ in ids if id_ != "i7"]
    assert [(each["id"], each["status"], each["owner"]) for each in told["problems"]] == [
        ("i7", 409, "李明"),
        ("gone", 404, None),
    ]
    timeline = (await get(wang, "alerts/i250"))["timeline"]
    assert [(line["type"], line["actor"], line["detail"]) for line in timeline[1:]] == [
        ("acknowledged", "王芳", {"together": 301})
    ]
    seq = (await get(wang, "alerts/i250"))["seq"]
    status, again = await post(wang, "alerts/acknowledge", ids=ids)
    assert (status, again["taken"]) == (200, told["taken"])
    assert (await get(wang, "alerts/i250"))["seq"] == seq, "taking twice changes nothing"
    for body in ({}, {"ids": ["i1"], "storm": "i1"}, {"ids": ["i"] * 5001}, {"ids": ["i" * 65]}):
        assert (await post(wang, "alerts/acknowledge", **body))[0] == 400


@on_desk
async def test_a_storm_is_one_incident_that_is_taken_by_its_id(desk: Running) -> None:
    silent = [
        detection(f"s{n:02}", stage=Stage.CONFIRMED, signal_lost=True, helmet=f"SF-{n}") for n in range(25)
    ]
    await desk.tell(*silent, detection("alone", stage=Stage.CONFIRMED))
    person = await desk.person()
    (storm,) = (await get(person, "storms"))["storms"]
    assert (storm["id"], storm["open"], len(storm["ids"])) == ("s00", 25, 25)
    assert storm["opened_us"] == START_US
    status, told = await post(person, "alerts/acknowledge", storm="s00")
    assert (status, told["taken"], told["problems"]) == (200, storm["ids"], [])
    (storm,) = (await get(person, "storms"))["storms"]
    assert (storm["open"], storm["opened_us"]) == (0, None)
    assert (await get(person, "alerts/alone"))["state"] == "open"
    assert (await post(person, "alerts/acknowledge", storm="alone"))[0] == 404


@on_desk
async def test_whoever_resolves_may_say_whether_somebody_was_sent(desk: Running) -> None:
    person = await desk.person()
    for id_, sent in (("a", True), ("b", False), ("c", None)):
        await desk.tell(detection(id_))
        await post(person, f"alerts/{id_}/acknowledge")
        body = {"reason": "injured"} | ({} if sent is None else {"dispatched": sent})
        status, alert = await post(person, f"alerts/{id_}/resolve", **body)
        assert (status, alert["resolution"]["dispatched"]) == (200, sent)
        (line,) = (await get(person, f"alerts/{id_}"))["timeline"][-1:]
        assert line["detail"]["dispatched"] is sent
    assert (await post(person, "alerts/a/resolve", reason="injured", dispatched="perhaps"))[0] == 400


@with_riders
async def test_the_emergency_contact_is_for_who_has_the_alert_and_every_look_is_written_down(
    desk: Running,
) -> None:
    await desk.tell(detection(), detection("other", helmet="SF-000002"))
    wang, li = await desk.person(), await desk.person("li")
    shown = await get(wang, "alerts/crash")
    assert shown["rider"]["has_contact"] is True
    assert "+861390000" not in str(shown) and "李娜" not in str(shown)
    assert (await post(wang, "alerts/crash/contact"))[0] == 409
    await post(wang, "alerts/crash/acknowledge")
    status, refused = await post(li, "alerts/crash/contact")
    assert (status, refused["owner"]) == (409, "王芳")
    assert await post(wang, "alerts/crash/contact") == (200, {"name": "李娜", "phone": "+861390000"})
    await post(wang, "alerts/other/acknowledge")
    assert (await post(wang, "alerts/other/contact"))[0] == 404
    timeline = (await get(wang, "alerts/crash"))["timeline"]
    assert [(line["type"], line["actor"]) for line in timeline][-1] == ("contact", "王芳")
    assert len([line for line in timeline if line["type"] == "contact"]) == 1
    # The helmet now belongs to somebody else: their contact is not this rider's.
    (desk.folder / "riders.csv").write_text(RIDERS.replace("张三", "孙七"), encoding="utf-8")
    await until(lambda: post(wang, "alerts/crash/contact"), lambda answer: answer[0] == 404)


@with_riders
async def test_a_changed_riders_file_counts_within_seconds(desk: Running) -> None:
    person = await desk.person()
    assert await get(person, "places") == {
        "cities": ["广州", "深圳"],
        "stations": [{"city": "深圳", "station": "南山"}, {"city": "深圳", "station": "福田"}],
        "known": [],
    }
    (desk.folder / "riders.csv").write_text(RIDERS + "SF-000004,陈六,4,北京,,,\n", encoding="utf-8")
    await until(lambda: get(person, "places"), lambda places: "北京" in places["cities"])
    await desk.tell(detection("new", helmet="SF-000004"))
    assert (await get(person, "alerts/new"))["rider"]["name"] == "陈六"


def test_of_a_file_that_cannot_be_used_the_last_good_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "riders.csv"
    path.write_text(RIDERS, encoding="utf-8")
    registers = Registers(Alerts(riders_file=str(path)))
    assert not registers.reread()
    path.write_text(RIDERS + "SF-000001,twice,4,北京,,,\n", encoding="utf-8")
    assert not registers.reread()
    assert registers.riders["SF-000001"].name == "张三"
    path.unlink()
    assert not registers.reread()
    assert registers.riders["SF-000001"].name == "张三"
    path.write_text(RIDERS.replace("张三", "孙七"), encoding="utf-8")
    assert registers.reread()
    assert registers.riders["SF-000001"].name == "孙七"


@with_riders
async def test_the_history_is_a_table_for_a_spreadsheet_by_the_lists_filters(desk: Running) -> None:
    await desk.tell(
        *(detection(f"i{n:03}", helmet=f"SF-00000{n % 3 + 1}") for n in range(600)), detection("nobody")
    )
    person = await desk.person()
    await post(person, "alerts/i000/acknowledge")
    await post(person, "alerts/i000/resolve", reason="other", note="a, b\n@c", dispatched=True)
    async with person.get("/api/v1/alerts.csv") as answer:
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        text = await answer.read()
    assert text.startswith("\ufeff".encode())
    rows = list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"), newline="")))
    assert [row["id"] for row in rows] == ["nobody", *(f"i{n:03}" for n in reversed(range(600)))]
    last = rows[-1]
    assert (last["rider"], last["city"], last["occurred_utc"]) == ("张三", "深圳", "2023-11-14 22:13:20")
    assert (last["resolution"], last["dispatched"], last["note"]) == ("other", "yes", "a, b\n@c")
    assert rows[-2]["rider"] == "'=HYPERLINK(1)", "a name is no formula"
    assert b"+861380000" not in text
    for query, count in (("city=广州", 200), ("city=深圳&station=南山", 201), ("state=resolved", 1)):
        async with person.get(f"/api/v1/alerts.csv?{query}") as answer:
            assert len(list(csv.reader(io.StringIO((await answer.read()).decode())))) == count + 1, query
    async with person.get("/api/v1/alerts?city=广州&limit=1000") as answer:
        assert len((await answer.json())["alerts"]) == 200
    async with person.get("/api/v1/alerts.csv?state=asleep") as answer:
        assert answer.status == 400


@given(st.text(max_size=20))
def test_no_cell_of_the_table_begins_as_a_formula(text: str) -> None:
    (row,) = list(csv.reader(io.StringIO(lines([[text]]).decode(), newline=""))) or [[""]]
    assert not row or row[0][:1] not in ("=", "+", "-", "@", "\t", "\r")


@on_desk
async def test_a_note_calls_people_by_name(desk: Running) -> None:
    await desk.tell(detection())
    person = await desk.person()
    assert await get(person, "people") == {"people": ["李明", "王芳"]}
    await post(person, "alerts/crash/note", note="@李明 please take over, @王芳 and @nobody")
    (line,) = (await get(person, "alerts/crash"))["timeline"][-1:]
    assert line["detail"]["mentions"] == ["李明", "王芳"]
    await post(person, "alerts/crash/note", note="to nobody")
    (line,) = (await get(person, "alerts/crash"))["timeline"][-1:]
    assert line["detail"] == {"note": "to nobody"}


def test_of_names_that_begin_alike_the_longest_is_meant() -> None:
    assert mentioned("@Li Ming and @Li", ["Li", "Li Ming"]) == ["Li Ming", "Li"]
    assert mentioned("mail@Li", ["Li"]) == ["Li"]
    assert mentioned("@", ["Li"]) == []


@with_riders
async def test_a_silence_says_what_it_covers_and_ends_when_somebody_ends_it(desk: Running) -> None:
    await desk.tell(
        detection(worn=Worn.NO), detection("hard", severity=3), detection("elsewhere", helmet="SF-000003")
    )
    await desk.report(report(helmet("SF-9")))
    person = await desk.person()
    status, seen = await post(person, "silences/preview", city="深圳", helmets=["SF-9"])
    assert status == 200
    assert (seen["helmets"], seen["names"]) == (3, ["SF-000001", "SF-000002", "SF-9"])
    assert (seen["alerts_live"], seen["alerts_silenced"]) == (2, 1)
    assert "never" in seen
    status, silence = await post(
        person, "silences", city="深圳", helmets=["SF-9"], minutes=30, reason="power is cut"
    )
    assert status == 200
    assert (silence["by"], silence["count"], silence["until_us"]) == ("王芳", 3, START_US + 1_800_000_000)
    assert [each["id"] for each in (await get(person, "silences"))["silences"]] == [silence["id"]]
    li = await desk.person("li")
    for _ in range(2):
        status, ended = await post(li, f"silences/{silence['id']}/end")
        assert (status, ended["ended_by"], ended["ended_us"]) == (200, "李明", START_US)
    assert (await post(li, "silences/gone/end"))[0] == 404
    for body in ({}, {"city": "深圳"}, {"city": "深圳", "reason": "x", "minutes": 10_081}, {"helmets": [""]}):
        assert (await post(person, "silences", **body))[0] == 400
