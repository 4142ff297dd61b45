"""`helmetwatch import` and `helmetwatch forget`, as an operator says them."""

import os
import sqlite3
import time
from datetime import UTC
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from alerts import riders
from alerts.book import Book
from alerts.model import Resolution, Rider
from alerts.reader import Reader
from alerts.riding import RidingBook, beside
from app import registers
from app.cli import main
from core.model import Detection, HelmetEvent, Kind, RidingLog, Stage

HEADER = "helmet,name,phone\n"
NOW_US = 1_700_000_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    settings = {
        "riders_file": str(tmp_path / "riders.csv"),
        "places_file": str(tmp_path / "places.csv"),
        "path": str(tmp_path / "alerts.db"),
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"alerts": settings}))
    return tmp_path


def say(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--config", str(folder / "config.yaml")])


def given(folder: Path, text: str, encoding: str = "utf-8") -> str:
    path = folder / "given.csv"
    path.write_text(text, encoding=encoding)
    return str(path)


def test_a_file_is_taken_into_use_and_what_changed_is_told(folder: Path) -> None:
    done = say(folder, "import", "riders", given(folder, HEADER + "SF-1,张三,1\nSF-2,李四,2\n"))
    assert (done.exit_code, done.output) == (0, "now 2 riders: 2 new, 0 changed, 0 gone, 0 as before\n")
    text = "city," + HEADER + "深圳,SF-2,李四,3\n,SF-3,王五,4\n"
    done = say(folder, "import", "riders", given(folder, text), "--dry-run")
    assert done.output == "would be 2 riders: 1 new, 1 changed, 1 gone, 0 as before\n"
    assert set(riders.read(folder / "riders.csv").riders) == {"SF-1", "SF-2"}
    done = say(folder, "import", "riders", given(folder, text), "--add")
    assert done.output == "now 3 riders: 1 new, 1 changed, 0 gone, 1 as before\n"
    assert riders.read(folder / "riders.csv").riders == {
        "SF-1": Rider("张三", "1"),
        "SF-2": Rider("李四", "3", city="深圳"),
        "SF-3": Rider("王五", "4"),
    }
    assert (folder / "riders.csv").stat().st_mode & 0o777 == 0o600


def test_every_fault_is_told_with_its_line_and_nothing_is_changed(folder: Path) -> None:
    say(folder, "import", "riders", given(folder, HEADER + "SF-1,张三,1\n"))
    bad = given(folder, HEADER + "\nSF-1,张三,1\nSF 2,李四,2\nSF-3,,3\nSF-1,x,1\n", "gb18030")
    done = say(folder, "import", "riders", bad)
    assert done.exit_code == 1
    assert [line.strip().partition(": ")[0] for line in done.output.splitlines()[:-1]] == [
        "Error",
        f"{bad}:5",
        f"{bad}:6",
    ]
    assert f"{bad}:4: helmet must be" in done.output
    assert done.output.endswith("nothing was changed; faults: 3\n")
    assert set(riders.read(folder / "riders.csv").riders) == {"SF-1"}
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "given.csv", "riders.csv"]


def test_what_a_chinese_spreadsheet_saves_is_read(folder: Path) -> None:
    done = say(folder, "import", "riders", given(folder, HEADER + "SF-1,张三,1\n", "gb18030"))
    assert "read as GB18030" in done.output
    assert riders.read(folder / "riders.csv").riders["SF-1"].name == "张三"
    (folder / "given.csv").write_bytes(b"helmet,name,phone\nSF-1,\xff\xff,1\n")
    done = say(folder, "import", "riders", str(folder / "given.csv"))
    assert done.exit_code == 1 and "neither UTF-8 nor GB18030" in done.output


def test_places_are_imported_the_same_way(folder: Path) -> None:
    header = "kind,name,lat_deg,lon_deg,phone,note\n"
    done = say(
        folder, "import", "places", given(folder, header + "aed,地铁,22.5,114,,\nstation,驿站,22.5,114,1,\n")
    )
    assert (done.exit_code, done.output) == (0, "now 2 places: 2 new, 0 changed, 0 gone, 0 as before\n")
    done = say(folder, "import", "places", given(folder, header + "shop,x,22.5,114,,\n"))
    assert done.exit_code == 1 and "given.csv:2: kind must be station or aed" in done.output


def test_without_a_place_for_it_nothing_is_imported(folder: Path) -> None:
    (folder / "config.yaml").write_text("{}")
    done = say(folder, "import", "riders", given(folder, HEADER))
    assert done.exit_code == 1 and "alerts.riders_file names no file" in done.output


def test_a_rider_is_forgotten_by_name_and_number(folder: Path) -> None:
    book = Book(folder / "alerts.db", 30.0, {"SF-1": Rider("张三", "1")})
    for incident in ("a", "b"):
        book.take([Detection(
            incident=incident, version=1, helmet="SF-1", kind=Kind.FALL, stage=Stage.CONFIRMED, severity=2,
            severity_basis="kinematic", quality="B", occurred_us=NOW_US, impacts_us=[NOW_US], received_us=NOW_US,
            detected_us=NOW_US, boot=1, seq=1, reason_zh="", reason_en="")], NOW_US)  # fmt: skip
    book.acknowledge("a", "王芳", NOW_US)
    book.resolve("a", "王芳", Resolution.UNHURT, "", NOW_US)
    done = say(folder, "forget", "张三", "--phone", "1")
    assert done.exit_code == 1
    assert done.output.startswith("1 alerts have been forgotten\nhelmets of 张三, for the telemetry")
    assert "1 alerts are not closed yet" in done.output and done.output.endswith(": b\n")
    reader = Reader(folder / "alerts.db")
    assert (reader.alert("a").rider, reader.alert("b").rider) == (None, Rider("张三", "1"))
    reader.close()
    book.close()
    done = say(folder, "forget", "李四", "--phone", "2")
    assert (done.exit_code, done.output) == (0, "0 alerts have been forgotten\n")


def test_the_owner_and_the_mode_of_the_replaced_file_stay_and_what_a_link_leads_to_is_replaced(
    folder: Path,
) -> None:
    real, link = folder / "real.csv", folder / "riders.csv"
    real.write_text(HEADER)
    real.chmod(0o640)
    link.symlink_to(real)
    if os.geteuid() == 0:
        os.chown(real, 4711, 4712)
    owner = (real.stat().st_uid, real.stat().st_gid)
    assert say(folder, "import", "riders", given(folder, HEADER + "SF-1,张三,1\n")).exit_code == 0
    assert link.is_symlink()
    assert (real.stat().st_uid, real.stat().st_gid) == owner
    assert real.stat().st_mode & 0o777 == 0o640
    assert "张三" in real.read_text(encoding="utf-8")


def test_a_first_file_belongs_to_whoever_the_alert_book_belongs_to(folder: Path) -> None:
    Book(folder / "alerts.db", 30.0).close()
    if os.geteuid() == 0:  # as under sudo
        os.chown(folder / "alerts.db", 4711, 4712)
    assert say(folder, "import", "riders", given(folder, HEADER + "SF-1,张三,1\n")).exit_code == 0
    made, book = (folder / "riders.csv").stat(), (folder / "alerts.db").stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (book.st_uid, book.st_gid, 0o600)


def test_text_and_name_are_on_the_disk_before_the_command_ends(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(file: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{file}").readlink()))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    assert say(folder, "import", "riders", given(folder, HEADER + "SF-1,张三,1\n")).exit_code == 0
    assert synced == [str(folder / ".riders.csv.new"), str(folder)]


def test_a_rider_without_an_alert_is_forgotten_by_the_helmet_of_the_riders_file(folder: Path) -> None:
    say(folder, "import", "riders", given(folder, HEADER + "SF-1,张三,1\n"))
    book = Book(folder / "alerts.db", 30.0)
    book.take_events([HelmetEvent("SF-1", "ok", NOW_US, NOW_US)], NOW_US)
    done = say(folder, "forget", "张三", "--phone", "1")
    assert (done.exit_code, done.output.splitlines()[1]) == (
        0,
        "helmets of 张三, for the telemetry (helmetwatch forget-telemetry): SF-1",
    )
    book.close()
    assert b"SF-1" not in (folder / "alerts.db").read_bytes()


def test_how_long_a_rider_without_an_alert_rode_is_forgotten_too(folder: Path) -> None:
    (folder / "riders.csv").write_text(HEADER + "SF-1,张三,1\nSF-2,李四,2\n", encoding="utf-8")
    book = RidingBook(beside(folder / "alerts.db"), UTC)
    book.take([RidingLog(f"SF-{k}", NOW_US, "44") for k in (1, 2)], NOW_US)
    done = say(folder, "forget", "张三", "--phone", "1")
    assert done.exit_code == 0 and done.output.endswith("1 days of riding have been forgotten\n")
    assert [each.helmet for each in book.ridden(book.day(NOW_US), "", 10)] == ["SF-2"]
    book.close()


def test_a_reader_in_the_way_is_waited_for_in_steps_and_at_last_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book(folder / "alerts.db", 30.0)
    book.take_events([HelmetEvent("SF-1", "ok", NOW_US, NOW_US)], NOW_US)
    reader = sqlite3.connect(folder / "alerts.db")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM events").fetchall()
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        book.drill(1, "王芳", f"{len(waits)}", NOW_US)  # the desk writes meanwhile

    monkeypatch.setattr(registers, "SETTLE_TRIES", 2)
    monkeypatch.setattr(time, "sleep", sleep)
    done = say(folder, "forget", "张三", "--phone", "1")
    assert done.exit_code == 1
    assert "alerts.db-wal still holds what was forgotten" in done.output
    assert len(waits) == 2
    reader.close()
    assert say(folder, "forget", "张三", "--phone", "1").exit_code == 0
    book.close()
