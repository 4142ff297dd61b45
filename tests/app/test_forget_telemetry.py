"""`helmetwatch forget-telemetry`: one helmet's rows and samples go, after a question."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from telemetry_servers import raw_samples, telemetry

from app.cli import main
from core.config import load
from storage import open_store


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"storage": {"embedded": {"path": str(tmp_path / "telemetry.db")}}}))
    return path


def forget(config: Path, *arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(main, ["forget-telemetry", *arguments, "--config", str(config)], input=answer)


def test_one_helmet_is_forgotten_while_the_worker_has_the_store_open(config: Path) -> None:
    store = open_store(load(config).storage)
    store.write(telemetry([b"SF-000001", b"SF-000002"]))
    store.write(raw_samples(b"SF-000001"))
    assert forget(config, "SF-000001", answer="n\n").exit_code == 1
    assert store.count() == 2
    assert "101 rows and samples of SF-000001 deleted" in forget(config, "SF-000001", answer="y\n").output
    assert [helmet for helmet, _, _ in tuple(store.keys())] == ["SF-000002"]
    assert len(store.samples("SF-000001", 0, 2**62)) == 0
    assert "0 rows" in forget(config, "SF-000001", "--yes").output
    store.close()


def test_where_there_is_no_store_none_is_made(config: Path, tmp_path: Path) -> None:
    assert "no telemetry store" in forget(config, "SF-000001", "--yes").output
    assert not (tmp_path / "telemetry.db").exists()
