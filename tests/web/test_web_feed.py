"""The live feed: nothing is missed, nothing comes twice, nobody waits for anybody."""

import asyncio
from dataclasses import asdict

from running_desk import START_US, Running, detection, helmet, on_desk, report

from core.model import Stage
from web.feed import QUEUE_MAX, Client, Hub


@on_desk
async def test_a_feed_begins_with_what_matters_now(desk: Running) -> None:
    await desk.tell(detection("old", stage=Stage.CANCELLED))
    desk.clock.advance(13 * 3600)
    await desk.tell(detection("new"))
    person = await desk.person()
    async with desk.feed(person) as feed:
        snapshot = await feed.next()
        assert snapshot["event"] == "snapshot"
        assert snapshot["reset"] is False
        assert [alert["id"] for alert in snapshot["alerts"]] == ["new"]
        assert snapshot["now_us"] == desk.clock.now_us()


@on_desk
async def test_a_change_comes_live_with_its_id_and_who_did_it(desk: Running) -> None:
    person = await desk.person()
    async with desk.feed(person) as feed:
        seq = (await feed.next())["seq"]
        await desk.tell(detection())
        change = await feed.next()
        assert (change["event"], change["id"].split("-")[0]) == ("alert", str(seq + 1))
        await person.post("/api/v1/alerts/crash/acknowledge", json={})
        change = await feed.next()
        assert change["alert"]["state"] == "acknowledged"
        assert change["alert"]["seq"] == change["entry"]["seq"] == int(change["id"].split("-")[0])
        assert change["entry"]["actor"] == change["alert"]["owner"] == "王芳"


@on_desk
async def test_the_countdown_opens_by_itself(desk: Running) -> None:
    async with desk.feed(await desk.person()) as feed:
        await feed.next()
        await desk.tell(detection())
        assert (await feed.next())["alert"]["state"] == "pending"
        desk.clock.advance(31)
        assert (await feed.next())["alert"]["state"] == "open"


@on_desk
async def test_pages_that_come_and_go_miss_nothing_and_see_nothing_twice(desk: Running) -> None:
    """Eight pages break off and come back while changes pour in; each must end up with the whole story."""
    person, total = await desk.person(), 240

    async def pour() -> None:
        for n in range(total // 2):
            await desk.tell(detection(f"i{n}", stage=Stage.CONFIRMED))

    async def page(stay: int) -> list[int]:
        seen: list[int] = []
        last: int | None = None
        while not seen or seen[-1] < total:
            async with desk.feed(person, after=last) as feed:
                first = await feed.next("snapshot", "resume")
                assert first["event"] == ("snapshot" if last is None else "resume")
                if last is None:
                    seen += range(1, first["seq"] + 1)
                for _ in range(stay):
                    if seen and seen[-1] == total:
                        break
                    seen.append(int((await feed.next("alert"))["id"].split("-")[0]))
                last = seen[-1] if seen else None
        return seen

    pages = [asyncio.create_task(page(stay)) for stay in (1, 2, 3, 5, 8, 13, 40, 1000)]
    await pour()
    for seen in await asyncio.wait_for(asyncio.gather(*pages), 20):
        assert seen == list(range(1, total + 1))


@on_desk
async def test_an_id_that_is_not_ours_starts_anew(desk: Running) -> None:
    await desk.tell(detection())
    person = await desk.person()
    for after in (999, "nonsense", -5, 10**30):
        async with desk.feed(person, after=after) as feed:
            first = await feed.next()
            assert (first["event"], first["reset"]) == ("snapshot", True)
    async with person.get("/api/v1/feed?after=0") as answer:
        lines = [await answer.content.readline() for _ in range(4)]
        assert b"event: resume\n" in lines


@on_desk
async def test_only_the_helmets_that_changed_are_told(desk: Running) -> None:
    async with desk.feed(await desk.person()) as feed:
        await feed.next()
        await desk.report(report(helmet("A"), helmet("B")))
        told = await feed.next("fleet")
        assert [each["helmet"] for each in told["helmets"]] == ["A", "B"]
        assert told["workers"][0]["worker"] == "worker-1"
        await desk.report(report(helmet("A"), helmet("B", received_us=START_US + 1, speed_mps=0.0)))
        assert [each["helmet"] for each in (await feed.next("fleet"))["helmets"]] == ["B"]


@on_desk
async def test_a_worker_that_falls_silent_is_told_though_nobody_reports(desk: Running) -> None:
    async with desk.feed(await desk.person()) as feed:
        await feed.next()
        await desk.report(report())
        assert (await feed.next("fleet"))["workers"][0]["stale"] is False
        desk.clock.advance(11)
        told = await feed.next("fleet")
        assert told["workers"][0]["stale"] is True
        assert told["workers"][0]["age_s"] == 11


@on_desk
async def test_a_quiet_feed_beats(desk: Running) -> None:
    async with desk.feed(await desk.person()) as feed:
        assert (await feed.next("beat"))["now_us"] == START_US
        assert (await feed.next("beat"))["now_us"] == START_US


@on_desk
async def test_signing_out_and_the_end_of_a_session_end_the_feed(desk: Running) -> None:
    leaving, expiring = await desk.person("wang"), await desk.person("li")
    async with desk.feed(leaving) as one, desk.feed(expiring) as two:
        await one.next()
        await two.next()
        await leaving.delete("/api/v1/session")
        assert await one.at_end()
        desk.clock.advance(13 * 3600)
        assert await two.at_end()


@on_desk
async def test_a_page_that_does_not_read_is_cut_and_the_others_notice_nothing(desk: Running) -> None:
    person = await desk.person()
    async with desk.feed(person) as stuck, desk.feed(person) as alive:
        await alive.next()
        stuck.answer.connection.transport.pause_reading()
        before = await cut_off(desk)
        seen, sent = 0, 0
        # Enough to fill the queue and whatever sockets hold on the way.
        text = "长" * 300
        while sent < 12_000 and await cut_off(desk) == before:
            batch = [
                detection(f"i{sent + n}", reason_zh=text, reason_en=text, stage=Stage.CANCELLED)
                for n in range(500)
            ]
            reading = asyncio.create_task(read(alive, 1000))
            await desk.tell(*batch)
            seen += await reading
            sent += 500
        assert await cut_off(desk) == before + 1
        assert seen == 2 * sent
        await desk.tell(detection("last"))
        assert (await alive.next("alert"))["alert"]["id"] == "last"


@on_desk
async def test_a_storm_in_one_delivery_cuts_nobody_who_reads(desk: Running) -> None:
    async with desk.feed(await desk.person()) as feed:
        await feed.next()
        before = await cut_off(desk)
        reading = asyncio.create_task(read(feed, 6000))
        await desk.tell(*(detection(f"i{n}", stage=Stage.CONFIRMED) for n in range(3000)))
        assert await reading == 6000
        assert await cut_off(desk) == before


async def cut_off(desk: Running) -> float:
    """How many pages the desk has cut off so far."""
    async with desk.nobody.get("/metrics") as answer:
        (line,) = [
            x
            for x in (await answer.text()).splitlines()
            if x.startswith("helmetwatch_feed_clients_cut_total")
        ]
    return float(line.split()[1])


async def read(feed, count: int) -> int:
    for _ in range(count):
        await feed.next("alert")
    return count


def client(cut: list[str]) -> Client:
    return Client("session", START_US + 10**12, lambda: cut.append("cut"))


def test_a_full_queue_cuts_the_client_and_drops_what_waits() -> None:
    async def scene() -> None:
        cut: list[str] = []
        slow = client(cut)
        for n in range(QUEUE_MAX):
            slow.offer("alert", b"x", n)
        assert not cut
        slow.offer("alert", b"x", QUEUE_MAX)
        assert cut == ["cut"]
        assert await slow.next() is None

    asyncio.run(scene())


def test_at_most_one_fleet_event_waits_and_what_it_missed_comes_with_the_next() -> None:
    async def scene() -> None:
        hub, slow = Hub(), client([])
        hub.join(slow)

        def view(helmets) -> bytes:
            return ",".join(sorted(each.helmet for each in helmets)).encode()

        for name in "ABCB":
            hub.fleet([helmet(name)], view)
        assert await slow.next() == [(None, b"event: fleet\ndata: A\n\n")]
        hub.fleet([helmet("D")], view)
        assert await slow.next() == [(None, b"event: fleet\ndata: B,C,D\n\n")]

    asyncio.run(scene())


def test_a_helmet_that_goes_offline_keeps_its_last_place() -> None:
    from web.fleet import Fleet

    fleet = Fleet(helmets_max=2)
    fleet.take(report(helmet("A")), START_US)
    gone = helmet("A", received_us=START_US + 5, lat_deg=None, lon_deg=None, online=False)
    (changed,) = fleet.take(report(gone), START_US)
    assert asdict(changed) | {"online": True, "received_us": START_US} == asdict(helmet("A"))
    assert changed.online is False
    assert fleet.take(report(helmet("A", received_us=START_US - 5)), START_US) == []
    fleet.take(report(helmet("B"), helmet("C")), START_US)
    assert b'"A"' not in fleet.view(START_US)


@on_desk
async def test_an_id_is_known_again_only_by_the_book_that_gave_it(desk: Running) -> None:
    """After a backup was restored, the numbers after it are given to other changes."""
    person = await desk.person()
    await desk.tell(detection("a"), detection("b"))
    async with desk.feed(person) as feed:
        id_ = (await feed.next("snapshot"))["id"]
    async with desk.feed(person, after=id_) as feed:
        assert (await feed.next())["event"] == "resume"
    number, _, check = id_.partition("-")
    assert check
    for other in (f"{number}-{check[::-1]}x", f"{int(number) - 1}-{check}"):
        async with desk.feed(person, after=other) as feed:
            first = await feed.next()
            assert (first["event"], first["reset"]) == ("snapshot", True)
