"""`helmetwatch simulate` refuses what it would ignore or not survive, in a sentence and without a traceback."""

import resource
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from app import simulate_options, simulate_ride
from app.simulate import simulate
from simulator.broker import Broker, BrokerError, Identity
from simulator.connections import Connections
from simulator.scenario import Scenario
from simulator.tape import Tape

TAPE = ["--helmets", "1", "--for", "2s", "--dry-run", "--record"]


def said(*options: str) -> str:
    """What the command says as it refuses."""
    answer = CliRunner().invoke(simulate, options)
    assert answer.exit_code in (1, 2), answer.output
    assert answer.exception is None or isinstance(answer.exception, SystemExit)
    return answer.output


@pytest.fixture
def tape(tmp_path: Path) -> str:
    path = str(tmp_path / "a.tape")
    assert CliRunner().invoke(simulate, [*TAPE, path]).exit_code == 0
    return path


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        (["--plot", "x.png"], "--plot"),
        (["--export", "x"], "--export"),
        (["--as-new"], "--as-new"),
        (["--start", "2026-01-01T00:00:00Z"], "--start"),
        (["--speed", "2"], "--speed"),
        (["--crowd", "--dry-run"], "--dry-run"),
        (["--crowd", "--record", "x"], "--record"),
        (["--crowd", "--prefix", "X-"], "--prefix"),
        (["kerb-drop", "--for", "20s"], "--for"),
        (["kerb-drop", "--connections", "own"], "--connections"),
        (["kerb-drop", "--dry-run", "--plot", "x.png"], "--plot"),
        (["kerb-drop", "--dry-run", "--config", "x.yaml"], "--config"),
        (["--dry-run", "--credentials", __file__], "--credentials"),
        (["--play", "x", "--ledger", "y"], "--ledger"),
        (["--play", "x", "--export", "y", "--as-new"], "--as-new"),
        (["--listen", "a/#", "--record", "x", "--helmets", "3"], "--helmets"),
        (["--list", "--json"], "--json"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused_by_name(options: list[str], refused: str) -> None:
    answer = said(*options)
    assert f"{refused}: leave it out" in answer


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--crashes-per-hour", "inf", "--for", "2s"], "not in the range"),
        (["--crashes-per-hour", "nan", "--for", "2s"], "not a number"),
        (["kerb-drop", "--speed", "inf"], "write a number"),
        (["kerb-drop", "--speed", "nan"], "write how many times real time"),
        (["--listen", "a/#/b", "--record", "x"], "no topic filter"),
        (["--listen", "a/b+", "--record", "x"], "no topic filter"),
        (["--dry-run", "--for", "2s", "--start", "2026-01-01"], "write 2026-01-01T00:00:00Z"),
        (["--dry-run", "--for", "2s", "--start", "soon"], "write it as 2026-01-01T00:00:00Z"),
        (["--dry-run", "--for", "2s", "--start", "1066-01-01T00:00:00Z"], "not between 1970 and 2100"),
        (["--dry-run"], "--dry-run needs --for"),
        (["--helmets", "3", "--connections", "3"], "--connections own"),
        (["--connections", "many"], "write a number, or own"),
        (["--crowd", "--connections", "own"], "write a number"),
        (["--prefix", "a b"], "six digits follow"),
        (["--credentials", __file__], "--connections own only"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write_instead(options: list[str], words: str) -> None:
    assert words in " ".join(said(*options).split())


def test_dates_that_would_run_ahead_of_the_clock_are_refused(tape: str) -> None:
    assert "refuses what lies in the future" in " ".join(
        said("--play", tape, "--as-new", "--speed", "10").split()
    )


def test_ids_begin_as_they_are_told_to(tmp_path: Path) -> None:
    assert CliRunner().invoke(simulate, [*TAPE, str(tmp_path / "t"), "--prefix", "B2-"]).exit_code == 0
    assert {r.topic.split("/")[2] for r in Tape(tmp_path / "t")} == {"B2-000001"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"helmet,username\nA,b\n", "the column password is missing"),
        (b"\xff\xfe\x00binary", "not a CSV file in UTF-8"),
        (b"helmet,username,password\nSF-000002,u,p\n", "no line for SF-000001 nor for 1 more"),
    ],
)
def test_credentials_that_do_not_fit_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "credentials.csv"
    path.write_bytes(content)
    with pytest.raises(click.ClickException, match=words):
        simulate_options.read_credentials(path, ["SF-000001", "SF-000002", "SF-000003"])


def test_credentials_from_a_spreadsheet_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "credentials.csv"
    path.write_bytes(b"\xef\xbb\xbfhelmet,username,password\r\nA,u,p\r\n")
    assert simulate_options.read_credentials(path, ["A"]) == {"A": ("u", "p")}


@pytest.fixture
def few_files() -> Iterator[int]:
    """A soft limit of 60 open files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (60, before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_of_open_files_is_raised_for_a_connection_each(few_files: int) -> None:
    simulate_ride._make_room(50)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 150
    with pytest.raises(click.ClickException, match=f"may have {few_files}"):
        simulate_ride._make_room(few_files)


def test_too_few_files_are_not_taken_for_a_missing_broker(
    mosquitto: object,
    few_files: int,
) -> None:
    port = mosquitto().port  # type: ignore[operator]
    names = [Identity(f"c{k}") for k in range(100)]
    deaf = {"on_message": print, "on_connected": print, "on_sent": print, "on_ack": print}
    net = None
    try:
        with pytest.raises(BrokerError, match="too many open files"):
            net = Connections(Broker("127.0.0.1", port), names, **deaf)  # type: ignore[arg-type]
            net.open()
    finally:
        if net:
            net.close()


def test_a_scenario_may_ask_for_a_connection_each_on_any_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int | None] = []
    monkeypatch.setattr(
        simulate_ride, "ride", lambda _s, _b, _c, *, connections, **_: found.append(connections)
    )
    file = tmp_path / "own.yaml"
    file.write_text("name: own\nduration: 10s\nconnections: own\nfleet: [{helmets: 9}]\n")
    for beside in (["--dry-run"], ["--dry-run", "--connections", "2"], ["--config", "config.yaml"]):
        assert CliRunner().invoke(simulate, [str(file), *beside]).exit_code == 0
    assert found == [None, 2, None]
    assert Scenario("x", 1).helmet_id(0) == "SF-000001"
