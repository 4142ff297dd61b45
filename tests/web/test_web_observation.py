"""Helmets under observation: who put them there is written down, it ends by itself, and workers and pages hear of it."""

import asyncio
import csv
import io
import math
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from running_desk import START_US, TOKEN, Running, book_with_people, desk, helmet, on_desk, report

from core.clock import ManualClock
from core.config import Config
from web.desk import run
from web.observations import HELMETS_MAX, ObservationError, Observations, TooManyError
from web.observing import COLUMNS, SAMPLES_MAX, ReadSamples, SamplesError, nowhere

PATH = "/api/v1/helmets/SF-000001/observation"
HOUR_US = 3_600_000_000


@asynccontextmanager
async def desk_with(read: ReadSamples) -> AsyncIterator[Running]:
    """A desk of its own that reads samples by `read`."""
    book, passwords = book_with_people()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "alerts.db").write_bytes(book)
        config = Config.model_validate({"alerts": {"path": f"{name}/alerts.db"}, "web": {"port": 0}})
        stop, url = asyncio.Event(), asyncio.get_running_loop().create_future()
        clock = ManualClock(START_US)
        task = asyncio.create_task(
            run(config, clock, TOKEN, samples=read, listening=url.set_result, stop=stop)
        )
        running = Running(Path(name), clock, config, await asyncio.wait_for(url, 10), passwords)
        try:
            yield running
        finally:
            for client in running.clients:
                await client.close()
            stop.set()
            await asyncio.wait_for(task, 10)


async def observed(running: Running) -> dict[str, int]:
    async with running.worker.get("/api/v1/observations") as answer:
        assert answer.status == 200
        return (await answer.json())["observed"]


@on_desk
async def test_a_person_puts_a_helmet_under_observation_and_worker_and_pages_hear_of_it(
    running: Running,
) -> None:
    person = await running.person("wang")
    await running.report(report(helmet()))
    async with running.feed(person) as feed:
        async with person.post(PATH, json={"for_s": 3600}) as answer:
            assert answer.status == 200
            said = await answer.json()
        assert said["observed_until_us"] == START_US + HOUR_US
        line = {"helmet": "SF-000001", "at_us": START_US, "until_us": START_US + HOUR_US, "by": "王芳"}
        assert said["trail"] == [line]
        event = await feed.next("fleet")
        while not event["observed"]:
            event = await feed.next("fleet")
        assert event["observed"] == {"SF-000001": START_US + HOUR_US}
    assert await observed(running) == {"SF-000001": START_US + HOUR_US}
    async with person.get("/api/v1/fleet") as answer:
        assert (await answer.json())["observed"] == {"SF-000001": START_US + HOUR_US}


@on_desk
async def test_it_ends_by_itself(running: Running) -> None:
    person = await running.person()
    await person.post(PATH, json={})
    running.clock.advance(7200 - 1)
    assert list(await observed(running)) == ["SF-000001"]
    running.clock.advance(2)
    assert await observed(running) == {}
    async with person.get(PATH) as answer:
        assert (await answer.json())["observed_until_us"] is None


@on_desk
async def test_another_person_ends_it_and_the_trail_names_both(running: Running) -> None:
    wang, li = await running.person("wang"), await running.person("li")
    await wang.post(PATH, json={})
    running.clock.advance(60)
    assert (await li.delete(PATH)).status == 204
    assert (await li.delete(PATH)).status == 204, "there is none any more"
    assert await observed(running) == {}
    async with wang.get(PATH) as answer:
        trail = (await answer.json())["trail"]
    assert [(line["by"], line["until_us"] - line["at_us"]) for line in trail] == [
        ("李明", 0),
        ("王芳", 2 * HOUR_US),
    ]


@on_desk
async def test_a_restart_of_the_desk_changes_nothing(running: Running) -> None:
    person = await running.person()
    await person.post(PATH, json={})
    before = await observed(running)
    # The file as it is now, opened by another desk: what a start after kill -9 finds.
    copy = running.folder / "copy"
    copy.mkdir()
    with sqlite3.connect(running.folder / "alerts.db") as book, sqlite3.connect(copy / "alerts.db") as to:
        book.backup(to)
    async with desk(copy, running.clock, running.passwords) as again:
        assert await observed(again) == before


@pytest.mark.parametrize("body", [{"for_s": 59}, {"for_s": 86401}, {"for_s": "long"}, [], {"for_s": 2**70}])
@on_desk
async def test_a_time_that_makes_no_sense_is_refused(running: Running, body: object) -> None:
    async with (await running.person()).post(PATH, json=body) as answer:
        assert answer.status == 400
        assert "for_s" in (await answer.json())["detail"]
    assert await observed(running) == {}


@on_desk
async def test_what_is_no_helmet_is_refused(running: Running) -> None:
    person = await running.person()
    async with person.post("/api/v1/helmets/a%20b/observation", json={}) as answer:
        assert answer.status == 400


@pytest.fixture
def observations(tmp_path: Path) -> Iterator[Observations]:
    made = Observations(tmp_path / "alerts.db")
    yield made
    made.close()


def test_only_so_many_helmets_are_observed_at_a_time_and_each_may_be_prolonged(
    observations: Observations,
) -> None:
    for n in range(HELMETS_MAX):
        observations.begin(f"SF-{n}", HOUR_US, "x", 0)
    with pytest.raises(TooManyError):
        observations.begin("SF-more", HOUR_US, "x", 1)
    observations.begin("SF-0", 2 * HOUR_US, "x", 1)
    observations.begin("SF-more", 2 * HOUR_US, "x", HOUR_US)  # the others have ended by themselves


def test_the_trail_cannot_be_changed(observations: Observations, tmp_path: Path) -> None:
    observations.begin("SF-1", HOUR_US, "x", 0)
    db = sqlite3.connect(tmp_path / "alerts.db")
    for statement in ("UPDATE observations SET actor = 'y'", "DELETE FROM observations"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(statement)
    db.close()


STEPS = st.lists(st.tuples(st.sampled_from("AB"), st.integers(-1, 3), st.integers(0, 2)), max_size=12)


@settings(max_examples=30, deadline=None)
@given(steps=STEPS)
def test_what_was_said_last_about_a_helmet_counts(
    tmp_path_factory: pytest.TempPathFactory, steps: list
) -> None:
    observations = Observations(tmp_path_factory.mktemp("book") / "alerts.db")
    model: dict[str, int] = {}
    now = 0
    for name, hours, wait in steps:
        if hours > 0:
            model[name] = now + hours
            observations.begin(name, model[name] * HOUR_US, "x", now * HOUR_US)
        elif hours < 0:
            assert observations.end(name, "x", now * HOUR_US) == (model.pop(name, 0) > now)
        else:
            with pytest.raises(ObservationError):
                observations.begin(name, now * HOUR_US, "x", now * HOUR_US)
        now += wait
        found = {entry.helmet: entry.until_us // HOUR_US for entry in observations.current(now * HOUR_US)}
        assert found == {name: until for name, until in model.items() if until > now}
    observations.close()


def test_samples_come_as_json_or_as_csv_and_what_is_unknown_is_empty() -> None:
    asyncio.run(samples_come())


async def samples_come() -> None:
    asked = []

    def read(name: str, start_us: int, end_us: int, limit: int) -> list[tuple]:
        asked.append((name, start_us, end_us, limit))
        return [(start_us, 1, 2, 0.5, -0.25, 1.0, math.nan, math.nan, math.nan)]

    path = "/api/v1/helmets/SF-000001/samples"
    async with desk_with(read) as with_samples:
        person = await with_samples.person()
        async with person.get(f"{path}?from_us=10&to_us=20") as answer:
            found = await answer.json()
        assert (found["columns"], found["rows"]) == (
            list(COLUMNS),
            [[10, 1, 2, 0.5, -0.25, 1.0, None, None, None]],
        )
        async with person.get(f"{path}?format=csv&to_us={START_US}") as answer:
            assert answer.content_type == "text/csv"
            rows = list(csv.reader(io.StringIO(await answer.text())))
        assert rows[0] == list(COLUMNS)
        assert rows[1][-3:] == ["", "", ""]
        assert asked == [
            ("SF-000001", 10, 20, SAMPLES_MAX + 1),
            ("SF-000001", START_US - 600_000_000, START_US, SAMPLES_MAX + 1),
        ]


def test_too_many_samples_and_a_store_that_cannot_be_read_are_said() -> None:
    asyncio.run(samples_are_refused())


async def samples_are_refused() -> None:
    def many(*_: object) -> list[tuple]:
        return [(0,) * len(COLUMNS)] * (SAMPLES_MAX + 1)

    def broken(*_: object) -> list[tuple]:
        raise SamplesError("The telemetry store is not on this machine.")

    for read, status in ((many, 400), (broken, 503), (nowhere, 404)):
        async with desk_with(read) as with_samples:
            person = await with_samples.person()
            async with person.get("/api/v1/helmets/x/samples") as answer:
                assert answer.status == status
                assert (await answer.json())["detail"].endswith(".")
