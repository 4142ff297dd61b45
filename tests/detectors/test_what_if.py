"""What other options would have said: the labels people gave, against the detector run again."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from motion_cases import crash, feed

from alerts.book import Book
from alerts.model import Resolution
from alerts.reader import Reader
from app.what_if import judged, verdict, what_if
from core.config import Detection as Params
from core.model import Stage
from detectors import Fleet

NOW_US = 1_700_000_000_000_000


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose book holds two alerts with traces, one without, and a drill."""
    book = Book(tmp_path / "alerts.db", 30.0)
    for seed, reason in ((0, Resolution.INJURED), (1, Resolution.ROAD_BUMP), (2, Resolution.UNHURT)):
        found = feed(Fleet(), crash(seed=seed).counts)[0]
        found = replace(found, incident=f"i{seed}", stage=Stage.CONFIRMED)
        book.take([replace(found, trace=None) if seed == 2 else found], NOW_US)
        book.acknowledge(f"i{seed}", "王芳", NOW_US)
        book.resolve(f"i{seed}", "王芳", reason, "", NOW_US)
    book.drill(2, "王芳", "x", NOW_US)
    book.close()
    path = tmp_path / "config.yaml"
    path.write_text(f"alerts: {{path: {tmp_path / 'alerts.db'}}}\n")
    return path


def test_the_same_options_say_the_same_and_others_fall_silent(config: Path) -> None:
    reader = Reader(config.parent / "alerts.db")
    found = list(judged(reader))
    reader.close()
    assert [label for label, _ in found] == ["injured", "road_bump", "unhurt"]
    assert [verdict(each, Params()) for _, each in found] == ["alert", "alert", "no trace"]
    deaf = Params(strike_g=39.0, hard_violence_g=4.0, fall_violence_g=2.0)
    assert [verdict(each, deaf) for _, each in found] == ["quiet", "quiet", "no trace"]


def test_the_command_prints_a_row_for_each_label_and_names_what_is_wrong(config: Path) -> None:
    run = CliRunner().invoke(what_if, ["--config", str(config), "--set", "strike_g=14"])
    assert run.exit_code == 0, run.output
    for label in ("injured", "road_bump", "unhurt"):
        assert label in run.output
    for change, fault in (("strike_h=1", "no option strike_h"), ("strike_g=1", "--set strike_g")):
        run = CliRunner().invoke(what_if, ["--config", str(config), "--set", change])
        assert run.exit_code == 1
        assert fault in run.output
