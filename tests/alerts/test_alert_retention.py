"""What a desk forgets, and what still counts."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from alert_story import HELMET, START_US, ZHANG, version
from night_shift import Shift

from alerts.model import Resolution
from alerts.retention import BATCH, Forgotten, Retention
from core.model import Position, Stage, Trace

DAY_US = 86_400 * 1_000_000
SECRETS = ("张三", "13800000000", "rang twice", "22.512345", HELMET, "AAAAAAAA", "李四")


def crash(incident: str = "crash"):  # type: ignore[no-untyped-def]
    found = version(incident=incident, stage=Stage.CONFIRMED)
    return replace(
        found,
        position=Position(22.512345, 114.0, 5.0, 1.0),
        trace=Trace(START_US, 10_000_000, 0.001, 16.0, "AAAAAAAA"),
    )


@pytest.fixture
def shift(tmp_path: Path) -> Shift:
    """A crash that was told, taken, helped, noted and closed."""
    shift = Shift(tmp_path)
    shift.tell(shift.detect(crash()))
    shift.at(70)
    now_us = shift.clock.now_us()
    shift.take("王芳")
    helper = {"helper": "rider:SF-000002", "kind": "rider", "name": "李四", "status": "asked", "note": ""}
    shift.book.help("crash", "王芳", helper, now_us)
    shift.book.note("crash", "王芳", "rang twice", now_us)
    shift.book.resolve("crash", "王芳", Resolution.INJURED, "rang twice", now_us, True)
    return shift


def counted(shift: Shift) -> dict[str, object]:
    return shift.reader.statistics(0, START_US + 10 * DAY_US, START_US + 20 * DAY_US)


def test_an_old_alert_loses_whose_it_was_and_still_counts(shift: Shift) -> None:
    before = counted(shift)
    forget = Retention(shift.path)
    closed_us = shift.alert().resolved_us
    assert closed_us is not None
    assert forget.age(closed_us) == 0, "not old enough"
    assert forget.age(closed_us + 1) == 1
    assert forget.age(closed_us + 1) == 0, "once is enough"
    assert counted(shift) == before
    detail = shift.detail()
    assert detail.alert.forgotten
    assert (detail.alert.rider, detail.alert.position, detail.alert.helmet) == (None, None, "FORGOTTEN")
    assert (detail.alert.severity, detail.alert.owner) == (2, "王芳")
    assert detail.alert.resolution is not None
    assert (detail.alert.resolution.reason, detail.alert.resolution.note) == ("injured", "")
    assert detail.trace is None
    assert [line.type for line in detail.timeline] == [
        "detected", "opened", "acknowledged", "help", "noted", "resolved"]  # fmt: skip
    assert [delivery.title for delivery in detail.deliveries] == [""] * len(detail.deliveries) != []
    forget.close()


def test_nothing_of_it_is_left_in_the_file(shift: Shift) -> None:
    found = [word for word in SECRETS if word.encode() in _bytes(shift)]
    assert found == list(SECRETS), "all of it was there"
    forget = Retention(shift.path)
    shift.reader.close()
    assert forget.age(START_US + DAY_US) == 1
    forget.close()
    assert [word for word in SECRETS if word.encode() in _bytes(shift)] == []


def _bytes(shift: Shift) -> bytes:
    files = [shift.path, shift.path.with_name(shift.path.name + "-wal")]
    return b"".join(path.read_bytes() for path in files if path.exists())


def test_what_is_not_closed_is_not_forgotten_however_old(shift: Shift) -> None:
    shift.tell(shift.detect(crash("open")))
    forget = Retention(shift.path)
    assert forget.age(START_US + 1000 * DAY_US) == 1
    assert shift.alert("open").rider == ZHANG
    forget.close()


def test_many_are_forgotten_a_few_at_a_time(tmp_path: Path) -> None:
    shift = Shift(tmp_path)
    for n in range(BATCH + 7):
        shift.detect(crash(f"i{n}"))
    shift.says("ok")
    forget = Retention(shift.path)
    assert [forget.age(START_US + DAY_US) for _ in range(3)] == [BATCH, 7, 0]
    forget.close()


def test_a_rider_who_asks_is_forgotten_at_once_and_also_as_a_helper(shift: Shift) -> None:
    shift.tell(shift.detect(crash("open")))
    before = counted(shift)
    forget = Retention(shift.path)
    assert forget.person("张三", "+86999") == Forgotten(0, [], [], []), "another of that name"
    assert forget.person(ZHANG.name, ZHANG.phone) == Forgotten(1, ["open"], [HELMET], [HELMET])
    assert shift.alert().forgotten and not shift.alert("open").forgotten
    shift.book.help("open", "王芳", {"helper": "rider:SF-2", "name": "李四", "status": "going"}, START_US)
    forget.person("李四", "1")
    (line,) = [each for each in shift.detail("open").timeline if each.type == "help"]
    assert line.detail == {"status": "going"}
    assert counted(shift) == before
    forget.close()


def test_the_audit_trail_stays_closed_to_everything_else(shift: Shift) -> None:
    forget = Retention(shift.path)
    forget.age(START_US + DAY_US)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        shift.book._db.execute("UPDATE changes SET actor = 'nobody'")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        shift.book._db.execute("DELETE FROM changes")
    forget.close()
