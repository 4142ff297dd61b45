"""What people and workers do by the API, on a real desk."""

import asyncio
import sqlite3
from dataclasses import asdict

import pytest
from running_desk import START_US, Running, detection, helmet, on_desk, report

from core.model import HelmetEvent, Stage, Trace
from web import state

ALERT_FIELDS = [
    "id",
    "state",
    "seq",
    "version",
    "helmet",
    "rider",
    "kind",
    "stage",
    "severity",
    "severity_basis",
    "quality",
    "worn",
    "late",
    "signal_lost",
    "reason_zh",
    "reason_en",
    "position",
    "speed_mps",
    "impacts_us",
    "boot",
    "frame_seq",
    "occurred_us",
    "received_us",
    "detected_us",
    "alerted_us",
    "opens_us",
    "opened_us",
    "acknowledged_us",
    "resolved_us",
    "cancelled_us",
    "owner",
    "resolution",
    "test",
    "touched_us",
    "answer_by_us",
    "forgotten",
    "sent_us",
]


@on_desk
async def test_an_alert_has_the_documented_fields(desk: Running) -> None:
    trace = Trace(START_US, 10_000_000, 0.001, 16.0, "AAAAAAAA")
    await desk.tell(detection(features={"peak_g": 9.5}, points={"peak": 2.0}, detector="1", trace=trace))
    person = await desk.person()
    async with person.get("/api/v1/alerts") as answer:
        (listed,) = (await answer.json())["alerts"]
    async with person.get("/api/v1/alerts/crash") as answer:
        shown = await answer.json()
    assert list(listed) == ALERT_FIELDS
    assert {key: shown[key] for key in ALERT_FIELDS} == listed
    assert set(shown) - set(ALERT_FIELDS) == {
        "timeline",
        "detections",
        "features",
        "points",
        "detector",
        "trace",
        "deliveries",
        "shown_us",
    }
    assert shown["trace"] == asdict(trace)
    assert (shown["features"], shown["points"], shown["detector"]) == ({"peak_g": 9.5}, {"peak": 2.0}, "1")
    assert [entry["type"] for entry in shown["timeline"]] == ["detected"]
    assert set(shown["timeline"][0]) == {"seq", "at_us", "type", "actor", "address", "detail"}


@on_desk
async def test_of_two_people_who_take_an_alert_at_once_exactly_one_has_it(desk: Running) -> None:
    await desk.tell(*(detection(f"i{n}") for n in range(10)))
    wang, li = await desk.person("wang"), await desk.person("li")
    names = {wang: "王芳", li: "李明"}

    async def take(person, n: int) -> tuple[int, dict]:
        async with person.post(f"/api/v1/alerts/i{n}/acknowledge", json={}) as answer:
            return answer.status, await answer.json()

    for n in range(10):
        one, two = await asyncio.gather(take(wang, n), take(li, n))
        (_, won), (status, lost) = sorted((one, two), key=lambda given: given[0])
        assert {one[0], two[0]} == {200, 409}
        assert status == 409
        assert lost["owner"] == won["owner"]
        assert won["owner"] in lost["detail"]
        owner = next(person for person, name in names.items() if name == won["owner"])
        assert (await take(owner, n))[0] == 200


@on_desk
async def test_an_alert_goes_all_the_way(desk: Running) -> None:
    await desk.tell(detection())
    person = await desk.person()

    async def do(verb: str, **body: str) -> tuple[int, dict]:
        async with person.post(f"/api/v1/alerts/crash/{verb}", json=body) as answer:
            return answer.status, await answer.json()

    assert (await do("resolve", reason="unhurt"))[0] == 409
    assert (await do("acknowledge"))[1]["state"] == "acknowledged"
    assert (await do("note", note="  rang twice "))[1]["state"] == "acknowledged"
    assert (await do("note", note="  "))[0] == 400
    assert (await do("resolve", reason="bored"))[0] == 400
    status, problem = await do("resolve", reason="other")
    assert (status, problem["detail"]) == (400, "note: the reason other needs a note.")
    assert (await do("resolve", reason="other", note="a film"))[1]["resolution"] == {
        "reason": "other",
        "note": "a film",
        "by": "王芳",
        "dispatched": None,
    }
    assert (await do("reopen", note="no film"))[1]["state"] == "open"
    async with person.get("/api/v1/alerts/crash") as answer:
        timeline = [(e["type"], e["detail"].get("note")) for e in (await answer.json())["timeline"]]
    assert timeline[1:] == [
        ("acknowledged", None),
        ("noted", "rang twice"),
        ("resolved", "a film"),
        ("reopened", "no film"),
    ]


@on_desk
async def test_delivering_twice_changes_nothing(desk: Running) -> None:
    body = [asdict(detection()), asdict(detection(version=2, stage=Stage.CONFIRMED))]
    event = [asdict(HelmetEvent("SF-000002", "sos", START_US, START_US, 22.5, 114.0))]
    person = await desk.person()
    seen = []
    for _ in range(2):
        async with desk.worker.post("/api/v1/detections", json=body) as answer:
            assert await answer.json() == {"taken": 2}
        async with desk.worker.post("/api/v1/events", json=event) as answer:
            assert await answer.json() == {"taken": 1}
        async with person.get("/api/v1/alerts") as answer:
            seen.append(await answer.json())
    assert seen[0] == seen[1]
    assert [(alert["kind"], alert["state"]) for alert in seen[0]["alerts"]] == [
        ("sos", "open"),
        ("head_strike", "open"),
    ]


@on_desk
async def test_a_helmet_whose_clock_is_years_ahead_cancels_no_later_crash_and_its_sos_is_heard(
    desk: Running,
) -> None:
    day_us = 86_400_000_000
    for kind, ahead_us in (("ok", 365 * day_us), ("sos", 2**62), ("sos", -(2**62)), ("sos", 2**70)):
        helmet = "SF-000001" if kind == "ok" else "SF-000002"
        said = HelmetEvent(helmet, kind, START_US - day_us + ahead_us, START_US - day_us)
        async with desk.worker.post("/api/v1/events", json=[asdict(said)]) as answer:
            assert await answer.json() == {"taken": 1}
    await desk.tell(detection(stage=Stage.FAST))
    person = await desk.person()
    async with person.get("/api/v1/alerts") as answer:
        alerts = (await answer.json())["alerts"]
    assert {(alert["kind"], alert["state"]) for alert in alerts} == {
        ("sos", "open"),
        ("head_strike", "pending"),
    }


@on_desk
async def test_lists_go_by_pages_and_states(desk: Running) -> None:
    await desk.tell(*(detection(f"i{n}", stage=Stage.CONFIRMED if n % 2 else Stage.FAST) for n in range(7)))
    person = await desk.person()
    seen, before = [], ""
    while True:
        async with person.get(f"/api/v1/alerts?limit=2{before}&state=pending") as answer:
            page = await answer.json()
        seen += [alert["id"] for alert in page["alerts"]]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert seen == ["i6", "i4", "i2", "i0"]
    for query in (
        "state=lost",
        "limit=0",
        "limit=x",
        "before=-1",
        "limit=" + "9" * 5000,
        "before=" + "0" * 20 + "9" * 30,
    ):
        assert (await person.get(f"/api/v1/alerts?{query}")).status == 400


@on_desk
async def test_an_alert_that_is_not_there_is_a_404(desk: Running) -> None:
    person = await desk.person()
    assert (await person.get("/api/v1/alerts/none")).status == 404
    for verb in ("acknowledge", "reopen"):
        assert (await person.post(f"/api/v1/alerts/none/{verb}", json={})).status == 404


@on_desk
async def test_the_desk_is_ready_while_a_worker_reports(desk: Running) -> None:
    async def ready() -> tuple[int, str]:
        async with desk.nobody.get("/readyz") as answer:
            return answer.status, await answer.text()

    assert (await ready())[0] == 503
    assert "No worker has reported yet." in (await ready())[1]
    await desk.report(report())
    assert await ready() == (200, "The desk is ready.\n")
    desk.clock.advance(11)
    status, text = await ready()
    assert status == 503
    assert "No worker has reported for 11 s." in text
    assert (await desk.nobody.get("/healthz")).status == 200


@on_desk
async def test_a_book_that_fails_makes_the_desk_unready_until_it_works_again(desk: Running) -> None:
    await desk.report(report())
    db = sqlite3.connect(desk.folder / "alerts.db")
    db.execute("ALTER TABLE alerts RENAME TO away")
    assert "The alert book cannot be written." in await settled(desk, 503)
    async with desk.worker.post("/api/v1/detections", json=[asdict(detection())]) as answer:
        assert answer.status == 500
    db.execute("ALTER TABLE away RENAME TO alerts")
    await settled(desk, 200)
    await desk.tell(detection())
    db.close()


@on_desk
async def test_a_full_disk_makes_the_desk_unready_before_it_fails(desk: Running) -> None:
    await desk.report(report())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "FREE_MIN", 2**62)
        assert "full" in await settled(desk, 503)
    await settled(desk, 200)


async def settled(desk: Running, status: int) -> str:
    """What /readyz says once it answers with this status."""
    async with asyncio.timeout(20):
        while True:
            async with desk.nobody.get("/readyz") as answer:
                if answer.status == status:
                    return await answer.text()
            await asyncio.sleep(0.05)


@on_desk
async def test_the_fleet_shows_every_worker_and_helmet_with_unknowns_as_null(desk: Running) -> None:
    await desk.report(report(helmet("A", speed_mps=None), helmet("B")))
    await desk.report(report(helmet("C"), worker="worker-2"))
    async with (await desk.person()).get("/api/v1/fleet") as answer:
        fleet = await answer.json()
    assert [each["worker"] for each in fleet["workers"]] == ["worker-1", "worker-2"]
    assert "helmets" not in fleet["workers"][0]
    assert [(each["helmet"], each["speed_mps"]) for each in fleet["helmets"]] == [
        ("A", None),
        ("B", 5.0),
        ("C", 5.0),
    ]


@on_desk
async def test_metrics_count_changes_by_type_and_state(desk: Running) -> None:
    async def count() -> float:
        async with desk.nobody.get("/metrics") as answer:
            for line in (await answer.text()).splitlines():
                if line.startswith('helmetwatch_alert_changes_total{state="pending",type="detected"}'):
                    return float(line.split()[-1])
        return 0.0

    before = await count()
    await desk.tell(detection())
    assert await count() == before + 1


@on_desk
async def test_the_first_page_that_shows_an_alert_says_when_and_the_helmet_when_it_sent(
    desk: Running,
) -> None:
    await desk.tell(detection(sent_us=START_US - 500_000), detection("odd", helmet="SF-2", sent_us=-5))
    wang, li = await desk.person("wang"), await desk.person("li")
    desk.clock.advance(1)
    for person in (wang, li, wang):
        assert (await person.post("/api/v1/alerts/shown", json={"ids": ["crash", "gone"]})).status == 204
        desk.clock.advance(1)
    async with li.get("/api/v1/alerts/crash") as answer:
        found = await answer.json()
    assert (found["sent_us"], found["shown_us"]) == (START_US - 500_000, START_US + 1_000_000)
    async with li.get("/api/v1/alerts/odd") as answer:
        found = await answer.json()
    assert (found["sent_us"], found["shown_us"]) == (None, None)
    assert (await wang.post("/api/v1/alerts/shown", json={"ids": ["x" * 65]})).status == 400
