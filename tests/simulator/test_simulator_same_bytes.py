"""One helmet more changes no byte of the others, whatever is run: asked of the command, as a user would."""

from collections import defaultdict
from pathlib import Path

import pytest
from click.testing import CliRunner
from written_recordings import write

from app.simulate import simulate
from simulator.tape import Tape

FILE = """
name: all of it
duration: 40s
fleet:
  - {{helmets: 2, vehicle: ebike}}
  - {{helmets: {more}, day: {{begins: 12h, compress: 20}}}}
events:
  - {{event: head_strike, at: 12s, helmets: all, spread: 2s}}
  - {{event: pothole, per_hour: 600}}
faults:
  - {{fault: outage, from: 8s, until: 20s}}
  - {{fault: loss, probability: 0.2}}
  - {{fault: delay, probability: 0.2}}
  - {{fault: reboot, at: 25s}}
"""


def said(tape: Path, *options: str) -> dict[str, list[tuple[int, bytes]]]:
    """What each topic heard, and when, in a dry run of the command."""
    result = CliRunner().invoke(simulate, [*options, "--dry-run", "--record", str(tape)])
    assert result.exit_code == 0, result.output
    out: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
    for message in Tape(tape):
        out[message.topic].append((message.offset_us, message.payload))
    return out


def assert_the_same_and_one_more(
    few: dict[str, list[tuple[int, bytes]]], more: dict[str, list[tuple[int, bytes]]]
) -> None:
    changed = {topic.split("/")[2] for topic in few if few[topic] != more.get(topic)}
    assert not changed
    assert len({topic.split("/")[2] for topic in more} - {topic.split("/")[2] for topic in few}) == 1


@pytest.mark.parametrize(
    ("helmets", "options"),
    [
        (3, ["--for", "60s"]),
        (4, ["--for", "60s"]),
        (19, ["--for", "60s", "--part", "100hz-16g-gyro"]),
        (32, ["--for", "60s"]),
        (50, ["--for", "60s"]),
        (100, ["--for", "60s"]),
        (20, ["--for", "60s", "--crashes-per-hour", "6000"]),
        (4, ["--for", "60s", "--crashes-per-hour", "6000"]),
        (4, ["--for", "60s", "--connections", "2"]),
    ],
)
def test_a_fleet_without_a_file(tmp_path: Path, helmets: int, options: list[str]) -> None:
    few, more = (
        said(tmp_path / f"{n}.tape", "--seed", "7", "--helmets", str(n), *options)
        for n in (helmets, helmets + 1)
    )
    assert_the_same_and_one_more(few, more)


def test_spliced_recordings(tmp_path: Path) -> None:
    write(tmp_path / "made")
    few, more = (
        said(
            tmp_path / f"{n}.tape", "--helmets", str(n), "--for", "40s", "--splice", f"{tmp_path}/made/2@15s"
        )
        for n in (4, 5)
    )
    assert_the_same_and_one_more(few, more)


@pytest.mark.parametrize("connections", ["shared", "own"])
def test_a_file_with_every_kind_of_fault(tmp_path: Path, connections: str) -> None:
    told = []
    for more in (2, 3):
        file = tmp_path / f"{more}.yaml"
        file.write_text(FILE.format(more=more) + f"connections: {connections}\n")
        told.append(said(tmp_path / f"{more}.tape", str(file)))
    assert_the_same_and_one_more(*told)


def test_load_asks_for_crashes_and_they_come(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    said(
        tmp_path / "t",
        "--helmets",
        "20",
        "--for",
        "60s",
        "--crashes-per-hour",
        "6000",
        "--ledger",
        str(ledger),
    )
    assert ledger.read_text().count('["crash"') > 5
