"""Many open alerts and many pages at once; `helmetwatch bench desk` is the same at full size."""

import asyncio
import json
from pathlib import Path

from running_desk import START_US, Running, detection, on_desk

from alerts.book import Book
from alerts.model import Rider, dump
from alerts.reader import Reader
from bench.desk import measure
from core.model import Stage
from web.feed import BEHIND_MAX


def test_the_newest_alert_reaches_every_page_and_one_that_does_not_read_costs_the_others_nothing(
    tmp_path: Path,
) -> None:
    found = asyncio.run(measure(tmp_path, alerts=500, browsers=20, rounds=5))
    # Each one was waited for at every page. How fast that is says `helmetwatch bench desk`.
    assert (found["newest_to_all"]["n"], found["newest_to_all_afterwards"]["n"]) == (5, 5)
    assert found["stuck_browser_cut_after_changes"] is not None
    assert found["others_cut"] == 0


def test_the_shared_beginning_is_what_the_reader_says_field_by_field(tmp_path: Path) -> None:
    book = Book(tmp_path / "alerts.db", 30.0, {"SF-000001": Rider("张三", "1", city="深圳")})
    book.take([detection(f"i{n}", stage=Stage.CONFIRMED) for n in range(5)], START_US)
    book.acknowledge("i1", "王芳", START_US)
    # An alert from before there was all that is now, and with another number in its text.
    old = json.loads(dump(book.alert("i2")))
    del old["forgotten"], old["sent_us"], old["rider"]["city"]
    book._db.execute("UPDATE alerts SET body = ? WHERE id = 'i2'", (json.dumps(old),))
    reader = Reader(tmp_path / "alerts.db")
    seq, text = reader.snapshot_json(0)
    whole = reader.snapshot(0)
    assert seq == whole.seq
    assert json.loads(text) == [json.loads(dump(alert)) for alert in whole.alerts]
    reader.close()
    book.close()


@on_desk
async def test_a_page_that_comes_later_gets_the_shared_beginning_and_all_that_followed(desk: Running) -> None:
    person = await desk.person()
    await desk.tell(*(detection(f"i{n}") for n in range(3)))
    async with desk.feed(person) as first:
        begin = await first.next("snapshot")
        assert {each["id"] for each in begin["alerts"]} == {"i0", "i1", "i2"}
        await desk.tell(*(detection(f"j{n}") for n in range(BEHIND_MAX - 10)))
        async with desk.feed(person) as second:
            shared = await second.next("snapshot")
            assert shared["seq"] == begin["seq"], "it is the same one"
            followed = [await second.next("alert") for _ in range(BEHIND_MAX - 10)]
            assert [int(each["id"].partition("-")[0]) for each in followed] == [
                begin["seq"] + n + 1 for n in range(BEHIND_MAX - 10)
            ]
        await desk.tell(*(detection(f"k{n}") for n in range(20)))
        async with desk.feed(person) as third:
            fresh = await third.next("snapshot")
            assert len(fresh["alerts"]) == 3 + BEHIND_MAX - 10 + 20
            await desk.tell(detection("last"))
            assert (await third.next("alert"))["alert"]["id"] == "last"
