"""Raw samples end to end: those around crashes and of a helmet under observation are stored, whatever restarts."""

import json
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from test_app_crash import SCALE, ride, settled

from app.cli import main
from app.observe import seconds
from app.samples import reader
from app.stack import Stack, running
from app.watch import Watcher
from bench.command import metrics
from core.config import Storage, load
from simulator.ledger import read_ledger
from storage import open_store
from web.accounts import add_account
from web.observing import NotHereError

FOREVER = (0, 2**62)


def command(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["observe", *arguments, "--config", str(config)])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"alerts": {"path": str(tmp_path / "alerts.db")}}))
    return path


def test_the_command_puts_under_observation_lists_and_ends(config: Path, tmp_path: Path) -> None:
    refused = command(config, "SF-000001")
    assert refused.exit_code == 1
    assert "run this where the desk runs" in refused.output
    add_account(tmp_path / "alerts.db", "wang")
    assert "no helmet" in command(config).output
    assert "SF-000001 is under observation until 20" in command(config, "SF-000001", "--for", "90m").output
    assert "SF-000001  until 20" in command(config).output
    assert "(command line)" in command(config).output
    assert "no longer" in command(config, "SF-000001", "--stop").output
    assert "SF-000001 was not" in command(config, "SF-000001", "--stop").output
    for wrong in (["bad helmet"], ["SF-1", "--for", "25h"], ["SF-1", "--for", "soon"], ["--stop"]):
        assert command(config, *wrong).exit_code == 1


@pytest.mark.parametrize(("text", "length"), [("90m", 5400), ("2h", 7200), ("1h30m", 5400), ("24H", 86400)])
def test_lengths_are_written_as_people_write_them(text: str, length: int) -> None:
    assert seconds(text) == length


def test_a_desk_without_the_stores_file_says_so_and_makes_none(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    with pytest.raises(NotHereError):
        reader(Storage.model_validate({"embedded": {"path": str(path)}}))("SF-1", 0, 1, 10)
    assert not path.exists()


def observed(stack: Stack) -> float:
    return metrics(stack)["helmetwatch_helmets_observed"]


def test_samples_of_crashes_and_of_an_observed_helmet_are_stored_over_kills_of_worker_and_desk(
    tmp_path: Path,
) -> None:
    options = {"time": {"scale": SCALE, "origin_us": time.time_ns() // 1000}}
    ledger = tmp_path / "ledger.jsonl"
    with running(tmp_path, kind="mosquitto", options=options) as stack:
        assert command(stack.config, "SF-000007").exit_code == 0
        stack.wait("the worker knows", lambda: observed(stack) == 1)
        fleet = ride(stack, ledger, seconds=30)
        time.sleep(3)
        stack.stop("desk", kill=True)
        stack.stop("worker", kill=True)
        stack.start_worker()
        stack.wait("it knows without a desk", lambda: "helmetwatch_helmets_observed" in told(stack))
        stack.start_desk()
        assert fleet.wait(60) == 0, stack.said("fleet")
        account = settled(stack, ledger)
        assert account.kept, str(account)
        time.sleep(12 / SCALE)
        stack.wait(
            "the store has everything", lambda: metrics(stack)["helmetwatch_telemetry_rows_waiting"] == 0
        )
        with Watcher(stack.url, stack.name, stack.password) as person:
            assert person.get("/api/v1/fleet")["observed"].keys() == {"SF-000007"}
            shown = person.get("/api/v1/helmets/SF-000007/samples")
    run = read_ledger(ledger)
    store = open_store(load(stack.config).storage)
    found = store.samples("SF-000007", *FOREVER)
    frames = Counter(zip(found["boot"].tolist(), found["seq"].tolist(), strict=True))
    acked = {(boot, seq) for helmet, boot, seq in run.acked if helmet == "SF-000007"}
    assert len(acked) >= 25
    assert acked <= frames.keys(), "every frame of the observed helmet"
    assert [row[0] for row in shown["rows"]] == found["t_us"].tolist(), "the desk shows what is stored"
    last_us = max(t0_us for t0_us, _ in run.published.values())
    crashes = [c for c in run.crashes if c.expected == "alert" and c.t_us < last_us - 12_000_000]
    assert crashes
    for crash in crashes:
        around = store.samples(crash.helmet, crash.t_us - 10_000_000, crash.t_us + 10_000_000)
        sent = [
            (boot, seq)
            for (helmet, boot, seq), (t0_us, _) in run.published.items()
            if helmet == crash.helmet and crash.t_us - 9_000_000 <= t0_us <= crash.t_us + 9_000_000
        ]
        assert set(sent) <= set(zip(around["boot"].tolist(), around["seq"].tolist(), strict=True))
    everybody = {helmet for helmet, _, _ in run.published}
    quiet = everybody - {c.helmet for c in run.crashes} - {"SF-000007"}
    assert sum(len(store.samples(helmet, *FOREVER)) > 0 for helmet in quiet) <= len(quiet) / 2
    store.close()
    assert json.loads((tmp_path / "journal.db.observed").read_text()).keys() == {"SF-000007"}


def told(stack: Stack) -> dict[str, float]:
    try:
        return {name: value for name, value in metrics(stack).items() if value}
    except OSError:
        return {}
