"""The riders file."""

from pathlib import Path

import pytest

from alerts import riders
from alerts.model import Rider
from alerts.riders import Contact, Register
from core.config import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "riders.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_says_who_rides_with_which_helmet(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufeffhelmet,name,phone\r\nSF-000001,张三,+86138\r\n\r\nSF-000002,"Li, Na",\r\n')
    assert riders.read(path) == Register(
        {"SF-000001": Rider("张三", "+86138"), "SF-000002": Rider("Li, Na", "")}, {}
    )


def test_city_station_and_emergency_contact_are_columns_in_any_order(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "station,helmet,contact_phone,name,phone,city,contact_name\n南山,SF-1,+86139,张三,1,深圳,李娜\n,SF-2,,王五,2,,\n",
    )
    assert riders.read(path) == Register(
        {"SF-1": Rider("张三", "1", False, "深圳", "南山", True), "SF-2": Rider("王五", "2")},
        {"SF-1": Contact("李娜", "+86139")},
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("helmet,name,phone,contact_name\nSF-1,A,1,B\n", "2: contact_name without a contact_phone"),
        ("helmet,name,phone,shoe_size\nSF-1,A,1,44\n", "there is no column 'shoe_size'"),
        ("helmet,name,phone,name\nSF-1,A,1,B\n", "each once"),
        ('helmet,name,phone\nSF-1,"' + "a" * 200_000 + '",1\n', "2: not CSV"),
    ],
)
def test_more_columns_are_checked_as_well(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        riders.read(write(tmp_path, text))


def test_all_faults_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "helmet,name,phone\nSF-1,A,\nSF-1,B,\nSF 2,C,\nSF-3,,\nSF-4,D\n")
    with pytest.raises(ConfigError) as error:
        riders.read(path)
    assert [fault.split("riders.csv:")[1] for fault in error.value.faults] == [
        "3: helmet SF-1 is given twice",
        "4: helmet must be 1 to 24 characters of A-Z a-z 0-9 _ -, got 'SF 2'",
        "5: name must be 1 to 80 printable characters",
        "6: must have 3 cells as the first line has, has 2",
    ]


@pytest.mark.parametrize("text", ["", "helmet;name;phone\n", "SF-1,A,1\n"])
def test_a_file_without_its_heading_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="the first line must be helmet,name,phone"):
        riders.read(write(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv: the riders file cannot be read"):
        riders.read(tmp_path / "none.csv")
