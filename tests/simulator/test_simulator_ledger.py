"""The ledger survives the death of the process that writes it."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from app.simulate import simulate
from simulator.ledger import Crash, LedgerWriter, read_ledger

WRITE_FOR_EVER = """
import sys
import tempfile
from pathlib import Path
from simulator.ledger import LedgerWriter
ledger = LedgerWriter(Path(sys.argv[1]))
for seq in range(10**9):
    ledger.frame("SF-000001", 7, seq, 1000 * seq, 1000 * seq)
    ledger.acked("SF-000001", 7, seq)
    ledger.flush()
    if seq == 200:
        print("ready", flush=True)
"""


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    crash = Crash("SF-000002", 5_000_000, "head_strike", "alert", 7, 5)
    with LedgerWriter(tmp_path / "new" / "ledger.jsonl") as ledger:
        ledger.run("demo", 1, 0)
        ledger.frame("SF-000002", 7, 5, 4_500_000, 5_600_000)
        ledger.frame("SF-000002", 7, 6, 5_500_000, 6_600_000)
        ledger.crash(crash)
        ledger.acked("SF-000002", 7, 5)
    read = read_ledger(tmp_path / "new" / "ledger.jsonl")
    assert read.published == {
        ("SF-000002", 7, 5): (4_500_000, 5_600_000),
        ("SF-000002", 7, 6): (5_500_000, 6_600_000),
    }
    assert read.acked == {("SF-000002", 7, 5)}
    assert read.crashes == [crash]


def test_killing_the_writer_loses_nothing_that_was_flushed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    writer = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    writer.wait(10)
    writer.stdout.close()
    read = read_ledger(path)
    assert len(read.acked) >= 201
    assert [seq for _, _, seq in read.published] == list(range(len(read.published)))
    assert 0 <= len(read.published) - len(read.acked) <= 1


@given(st.integers(0, 400))
def test_a_file_cut_anywhere_can_be_read(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.jsonl"
        with LedgerWriter(path) as ledger:
            for seq in range(10):
                ledger.frame("SF-000001", 7, seq, seq, seq)
        path.write_bytes(path.read_bytes()[:cut])
        published = read_ledger(path).published
        assert [seq for _, _, seq in published] == list(range(len(published)))


def test_a_second_run_does_not_write_into_the_ledger_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with LedgerWriter(path) as ledger:
        ledger.frame("SF-000001", 1, 0, 0, 0)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="holds the ledger of another run"):
        LedgerWriter(path)
    assert path.read_bytes() == before
    path.write_bytes(b"")  # nothing in it: of no run
    with LedgerWriter(path) as ledger:
        ledger.frame("SF-000001", 2, 0, 0, 0)
    assert set(read_ledger(path).published) == {("SF-000001", 2, 0)}


def test_the_command_says_so_in_a_sentence_and_records_nothing(tmp_path: Path) -> None:
    options = ["--helmets", "1", "--for", "3s", "--dry-run", "--ledger", str(tmp_path / "l")]
    first, second = (CliRunner().invoke(simulate, options) for _ in range(2))
    assert first.exit_code == 0
    assert second.exit_code == 1
    assert "holds the ledger of another run" in second.output
    assert "Traceback" not in second.output
