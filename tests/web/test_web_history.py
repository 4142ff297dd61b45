"""Drills, statistics and the filters of the history, by the API."""

from running_desk import START_US, Running, detection, on_desk

from core.model import Stage


@on_desk
async def test_a_drill_is_an_alert_marked_test_that_is_left_out_of_the_figures(desk: Running) -> None:
    person = await desk.person()
    async with desk.feed(person) as feed:
        await feed.next("snapshot")
        async with person.post("/api/v1/drill", json={"severity": 4}) as answer:
            assert answer.status == 200, await answer.text()
            drill = await answer.json()
        assert (drill["test"], drill["state"], drill["severity"]) == (True, "open", 4)
        assert "TEST" in drill["reason_zh"]
        assert (await feed.next("alert"))["alert"]["test"] is True
    assert (await person.post(f"/api/v1/alerts/{drill['id']}/acknowledge", json={})).status == 200
    assert (await person.post("/api/v1/drill", json={"severity": 5})).status == 400
    async with person.get("/api/v1/statistics") as answer:
        found = await answer.json()
    assert (found["alerts"], found["drills"]) == (0, 1)


@on_desk
async def test_statistics_are_of_the_time_asked_for(desk: Running) -> None:
    await desk.tell(detection(stage=Stage.CONFIRMED, detector="d1"))
    person = await desk.person()
    desk.clock.advance(30)
    await person.post("/api/v1/alerts/crash/acknowledge", json={})
    async with person.get(f"/api/v1/statistics?from_us={START_US}&to_us={START_US + 1}") as answer:
        found = await answer.json()
    assert (found["alerts"], found["within_target"]) == (1, 1.0)
    assert [each["detector"] for each in found["detectors"]] == ["d1"]
    async with person.get(f"/api/v1/statistics?to_us={START_US}") as answer:
        assert (await answer.json())["alerts"] == 0


@on_desk
async def test_the_history_is_filtered_and_paged_by_the_address(desk: Running) -> None:
    await desk.tell(*(detection(f"i{n}", severity=1 + n % 4) for n in range(8)))
    person = await desk.person()
    seen, cursor = [], ""
    while True:
        async with person.get(f"/api/v1/alerts?severity=2,3&limit=3{cursor}") as answer:
            body = await answer.json()
        seen += [alert["id"] for alert in body["alerts"]]
        if body["next"] is None:
            break
        cursor = f"&before={body['next']}"
    assert seen == ["i6", "i5", "i2", "i1"]
    for wrong in ("severity=9", "kind=x", "from_us=-1", "test=maybe", f"rider={'x' * 101}", "state=gone"):
        async with person.get(f"/api/v1/alerts?{wrong}") as answer:
            assert answer.status == 400, wrong
            assert wrong.partition("=")[0] in (await answer.json())["detail"]
