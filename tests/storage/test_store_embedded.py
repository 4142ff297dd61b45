"""The embedded store: one private file, safe against kill -9, read by others while it is written."""

import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs
from telemetry_servers import T0_US, raw_samples, telemetry

from core import config, metrics
from core.model import TELEMETRY
from storage import Store, StoreError, open_store

FOREVER = (-(2**62), 2**62)


def opened(path: Path) -> Store:
    return open_store(config.Storage(embedded=config.Embedded(path=str(path))))


def fleet(second: int, helmets: int = 1000) -> np.ndarray:
    return telemetry([b"SF-%06d" % i for i in range(helmets)], seq=second)


def test_only_the_owner_may_read_the_file_and_what_sqlite_puts_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "telemetry.db"
    store = opened(path)
    store.write(fleet(0))
    files = sorted(path.parent.iterdir())
    assert [f.name for f in files] == ["telemetry.db", "telemetry.db-shm", "telemetry.db-wal"]
    assert {f.stat().st_mode & 0o777 for f in files} == {0o600}
    store.close()


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    path.touch(0o644)
    opened(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_store_that_is_there_is_opened_and_read_while_another_process_writes(tmp_path: Path) -> None:
    """The desk opens it for each question about samples; it must neither wait for the worker nor write."""
    path = tmp_path / "telemetry.db"
    store = opened(path)
    store.write(raw_samples(b"SF-1"))
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    before = [file.read_bytes() for file in (path, path.with_name("telemetry.db-wal"))]
    began = time.monotonic()
    other = opened(path)
    assert len(other.samples("SF-1", *FOREVER)) == 100
    assert time.monotonic() - began < 1.5, "2 s is how long a connection waits for a lock"
    assert [file.read_bytes() for file in (path, path.with_name("telemetry.db-wal"))] == before
    other.close()
    writer.execute("ROLLBACK")
    writer.close()
    store.close()


def test_a_table_that_an_older_store_has_not_got_is_made(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    opened(path).close()
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE samples")
    store = opened(path)
    store.write(raw_samples(b"SF-1"))
    assert len(store.samples("SF-1", *FOREVER)) == 100
    store.close()


READER = """
import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
for line in sys.stdin:
    print(db.execute("SELECT count(*) FROM telemetry").fetchone()[0], flush=True)
"""


def test_a_second_process_reads_each_batch_while_the_store_is_open(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    store = opened(path)
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        for second in range(5):
            assert store.write(fleet(second)).kind == "accepted"
            reader.stdin.write("\n")
            reader.stdin.flush()
            assert int(reader.stdout.readline()) == (second + 1) * 1000
        reader.stdin.close()
    store.close()


def test_a_reader_that_stops_half_way_holds_up_nobody(tmp_path: Path) -> None:
    store = opened(tmp_path / "telemetry.db")
    store.write(fleet(0))
    keys = store.keys()
    next(keys)
    assert store.write(fleet(1)).kind == "accepted"
    assert store.prune(T0_US + 1, T0_US + 1) == 1000
    store.close()


WRITER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_store_embedded import fleet, opened
store = opened(Path(sys.argv[1]))
for second in range(10**6):
    assert store.write(fleet(second)).kind == "accepted"
    print(second, flush=True)
"""


def test_what_was_accepted_outlives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    here = Path(__file__).parent
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(here), str(here.parent)],
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        for _ in range(20):
            reported = int(writer.stdout.readline())
        writer.kill()
        reported = max([reported, *(int(line) for line in writer.stdout.read().splitlines())])
    store = opened(path)
    stored = {seq for _, _, seq in store.keys()}  # noqa: SIM118
    assert stored >= set(range(reported + 1))
    assert store.count() == len(stored) * 1000  # no batch in halves
    assert store.write(fleet(reported)).kind == "accepted"
    assert store.count() == len(stored) * 1000
    store.close()


def test_rows_are_written_and_read_while_old_ones_are_pruned(tmp_path: Path) -> None:
    store = opened(tmp_path / "telemetry.db")
    for second in range(0, 600, 5):
        store.write(fleet(second, helmets=200))
    with ThreadPoolExecutor(1) as other:
        pruned = other.submit(store.prune, T0_US + 590_000_000, 0)
        for second in range(600, 620):
            assert store.write(fleet(second, helmets=200)).kind == "accepted"
            assert store.read("SF-000001", *FOREVER)["seq"][-1] == second
    assert pruned.result() == 118 * 200
    assert store.count() == (2 + 20) * 200
    store.close()


def test_pruning_cuts_exactly_at_the_microsecond(tmp_path: Path) -> None:
    store = opened(tmp_path / "telemetry.db")
    rows = telemetry([b"SF-000001"] * 100)
    rows["seq"] = np.arange(100)
    rows["t_us"] = T0_US + rows["seq"].astype(np.int64) * 777_777
    store.write(rows)
    assert store.prune(int(rows["t_us"][40]), 0) == 40
    assert store.read("SF-000001", *FOREVER)["seq"].tolist() == list(range(40, 100))
    store.close()


def test_a_full_disk_is_tried_again_and_loses_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path / "telemetry.db")
    store.write(fleet(0))
    # SQLite's own limit gives the same SQLITE_FULL as a full disk.
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    store._writer.execute(f"PRAGMA max_page_count = {pages}")
    outcome = store.write(fleet(1))
    assert (outcome.kind, outcome.accepted) == ("retry", 0)
    assert "full" in outcome.reason
    store._writer.execute("PRAGMA max_page_count = 1000000")
    assert store.write(fleet(1)).kind == "accepted"
    assert store.count() == 2000
    store.close()


def test_a_store_locked_by_someone_else_is_tried_again(tmp_path: Path) -> None:
    store = opened(tmp_path / "telemetry.db")
    other = sqlite3.connect(tmp_path / "telemetry.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert store.write(fleet(0)).kind == "retry"
    other.execute("ROLLBACK")
    assert store.write(fleet(0)).kind == "accepted"
    other.close()
    store.close()


def test_a_file_that_becomes_unusable_is_refused_not_raised(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    store = opened(path)
    store.write(fleet(0))
    store._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.write(b"x" * path.stat().st_size)
    store._writer.execute("PRAGMA shrink_memory")  # so that SQLite looks at the file again
    outcome = store.write(fleet(1))
    assert (outcome.kind, outcome.accepted) == ("refused", 0)
    with pytest.raises(StoreError):
        store.count()
    store.close()


def test_a_closed_store_refuses(tmp_path: Path) -> None:
    store = opened(tmp_path / "telemetry.db")
    store.close()
    assert store.write(fleet(0)).kind == "refused"


@pytest.mark.parametrize("content", [b"this is a letter, not a database " * 100, b"PK\x03\x04" + bytes(5000)])
def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"letter\.txt cannot be opened"):
        opened(path)
    assert path.read_bytes() == content


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    opened(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="schema version 99"):
        opened(path)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be opened"):
        opened(tmp_path / "file" / "telemetry.db")


def test_every_telemetry_column_is_stored(tmp_path: Path) -> None:
    opened(tmp_path / "telemetry.db").close()
    db = sqlite3.connect(tmp_path / "telemetry.db")
    columns = [row[1] for row in db.execute("PRAGMA table_info(telemetry)")]
    db.close()
    assert columns == ["slot", *TELEMETRY.names]


def test_a_store_at_its_size_gives_up_its_oldest_rows_first_counts_them_and_says_so_once(
    tmp_path: Path,
) -> None:
    path = tmp_path / "telemetry.db"
    store = open_store(config.Storage(embedded=config.Embedded(path=str(path), max_mb=16)))
    kept = raw_samples(b"SF-000001", t0_us=T0_US - 3_600_000_000)
    store.write(kept)
    evicted = metrics.ROWS_EVICTED.labels("telemetry")
    before = evicted._value.get()
    with capture_logs() as logs:
        for second in range(60):
            assert store.write(fleet(second * 10, helmets=5000)).kind == "accepted"
    gone = evicted._value.get() - before
    assert gone == 300_000 - store.count() > 0
    assert [line["event"] for line in logs] == ["store.full"]
    left = store.read("SF-000123", *FOREVER)
    assert left["seq"].tolist() == list(range(600 - 10 * len(left), 600, 10)), (
        "the newest ones, without a gap"
    )
    assert len(store.samples("SF-000001", *FOREVER)) == len(kept), "samples are no routine"
    store.close()
    assert path.stat().st_size < 24 << 20, "deleted room is used again"


def test_raw_samples_are_pruned_at_an_age_of_their_own(tmp_path: Path) -> None:
    store = opened(tmp_path / "telemetry.db")
    for second in range(20):
        store.write(raw_samples(b"SF-000001", second))
        store.write(fleet(second, helmets=10))
    assert store.prune(T0_US, T0_US + 5_500_000) == 550
    assert store.count() == 200
    assert store.samples("SF-000001", *FOREVER)["t_us"].min() == T0_US + 5_500_000
    store.close()


def test_what_is_forgotten_is_nowhere_in_the_file_or_its_log(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    store = opened(path)
    for second in range(20):
        store.write(raw_samples(b"SF-FORGET-ME", second))
        store.write(telemetry([b"SF-FORGET-ME", b"SF-000002"], seq=second))
    assert store.forget("SF-FORGET-ME") == 2020
    assert not any(b"FORGET-ME" in file.read_bytes() for file in tmp_path.iterdir())
    assert store.count() == 20
    store.close()


def test_a_file_made_before_there_were_samples_gets_their_table(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    store = opened(path)
    store.write(fleet(0))
    store.close()
    db = sqlite3.connect(path)
    db.execute("DROP TABLE samples")
    db.close()
    store = opened(path)
    assert store.write(raw_samples(b"SF-000001")).kind == "accepted"
    assert store.count() == 1000
    store.close()
