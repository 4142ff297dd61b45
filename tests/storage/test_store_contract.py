"""What every store promises, held for each of them.

`embedded` is SQLite; `influxdb` is real InfluxDB 1.6.7 behind the tests' v2 shim, which needs both halves of the
InfluxDB store: v2 writes and InfluxQL reads. VictoriaMetrics is not here but in test_store_victoria.py: it answers no
InfluxQL, so nothing can be read back through the store, and it keeps a point written twice as two samples.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import free_port
from telemetry_servers import raw_samples

from core import config
from core.model import TELEMETRY
from storage import Outcome, Store, open_store

pytest_plugins = ["telemetry_servers"]

T0_US = 1_732_300_000_000_000
FOREVER = (-(2**62), 2**62)

EACH_EXAMPLE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(params=["embedded", "influxdb"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Opens the same store as often as it is called."""
    opened: list[Store] = []
    if request.param == "embedded":
        chosen = config.Storage(embedded=config.Embedded(path=str(tmp_path / "telemetry.db")))
    else:
        influx1 = request.getfixturevalue("influx1")
        token_file = request.getfixturevalue("token_file")
        server = config.Influx(url=influx1.shim.url, bucket=influx1.database(), token_file=str(token_file))
        chosen = config.Storage(kind="influxdb", influxdb=server)

    def make(**changes: object) -> Store:
        opened.append(open_store(chosen.model_copy(update=changes)))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(make_store: Callable[..., Store]) -> Store:
    return make_store()


def rows_of(count: int, helmets: int = 3, boot: int = 1) -> np.ndarray:
    """Rows as a fleet makes them: some without position, some without speed."""
    rng = np.random.default_rng(count)
    rows = np.zeros(count, TELEMETRY)
    rows["helmet"] = [b"SF-%06d" % (i % helmets) for i in range(count)]
    rows["boot"], rows["seq"] = boot, np.arange(count) // helmets
    rows["t_us"] = T0_US + rows["seq"].astype(np.int64) * 999_983
    rows["received_us"] = rows["t_us"] + 200_000
    for name in TELEMETRY.names:
        if TELEMETRY[name].kind == "f":
            rows[name] = rng.normal(size=count) * 100
    for name in ("lat_deg", "lon_deg", "accuracy_m"):
        rows[name][::3] = np.nan
    rows["speed_mps"][::4] = np.nan
    rows["worn"], rows["strap"] = rng.integers(0, 3, (2, count))
    rows["battery_pct"], rows["flags"] = rng.integers(0, 256, (2, count))
    return rows


def read_all(store: Store, rows: np.ndarray) -> np.ndarray:
    return np.concatenate([store.read(h.decode(), *FOREVER) for h in np.unique(rows["helmet"])])


def by_key(rows: np.ndarray) -> list[bytes]:
    """Rows as bytes, in the order of their keys; every NaN the same."""
    rows = rows.copy()
    for name in TELEMETRY.names:
        if TELEMETRY[name].kind == "f":
            rows[name][np.isnan(rows[name])] = np.nan
    return [row.tobytes() for row in np.sort(rows, order=("helmet", "t_us", "boot", "seq"))]


def test_what_is_written_is_read_back_bit_for_bit(store: Store) -> None:
    rows = rows_of(1000)
    assert store.write(rows) == Outcome("accepted", 1000)
    assert by_key(read_all(store, rows)) == by_key(rows)
    assert store.count() == 1000


def test_no_rows_are_accepted_rows(store: Store) -> None:
    assert store.write(rows_of(0)) == Outcome("accepted", 0)
    assert store.count() == 0
    assert list(store.keys()) == []
    assert len(store.read("SF-000001", *FOREVER)) == 0


def test_rows_written_twice_in_any_order_and_overlap_change_nothing(store: Store) -> None:
    rows = rows_of(600)
    store.write(rows)
    assert store.write(rows[::-1]) == Outcome("accepted", 600)
    assert store.write(rows[100:200]).kind == "accepted"
    assert by_key(read_all(store, rows)) == by_key(rows)


def test_keys_name_every_row_once(store: Store) -> None:
    rows = rows_of(500)
    store.write(rows)
    expected = sorted((h.decode(), b, s) for h, b, s in rows[["helmet", "boot", "seq"]].tolist())
    assert sorted(store.keys()) == expected


def test_reading_takes_the_start_in_and_leaves_the_end_out_and_comes_by_time(store: Store) -> None:
    rows = rows_of(100, helmets=1)
    store.write(rows[np.random.default_rng(5).permutation(100)])
    times = rows["t_us"].tolist()
    assert store.read("SF-000000", times[20], times[30])["t_us"].tolist() == times[20:30]
    assert store.read("SF-000000", times[20] + 1, times[30] + 1)["t_us"].tolist() == times[21:31]
    assert store.read("SF-000000", *FOREVER, limit=7)["t_us"].tolist() == times[:7]
    assert len(store.read("SF-999999", *FOREVER)) == 0


def test_more_rows_than_a_server_gives_at_once_are_read_in_pages(store: Store) -> None:
    rows = rows_of(12_345, helmets=1)
    store.write(rows)
    found = store.read("SF-000000", *FOREVER, limit=12_000)
    assert found["seq"].tolist() == list(range(12_000))


def test_two_reboots_at_the_same_instant_stay_two_rows(store: Store) -> None:
    rows = np.concatenate([rows_of(1, boot=boot) for boot in (1, 2, 3)])
    assert store.write(rows) == Outcome("accepted", 3)
    assert sorted(store.keys()) == [("SF-000000", 1, 0), ("SF-000000", 2, 0), ("SF-000000", 3, 0)]
    assert set(store.read("SF-000000", *FOREVER)["t_us"].tolist()) == {T0_US}


def test_a_store_is_found_again_as_it_was_left(make_store: Callable[..., Store]) -> None:
    rows = rows_of(50)
    first = make_store()
    first.write(rows)
    first.close()
    assert by_key(read_all(make_store(), rows)) == by_key(rows)


def test_the_outcome_does_not_depend_on_the_size_of_batches(make_store: Callable[..., Store]) -> None:
    rows = rows_of(101)
    rows["helmet"][[3, 50, 100]] = b"two\nlines", b"", b"\xff\xfe"
    store = make_store(batch_rows=7)
    outcome = store.write(rows)
    assert (outcome.kind, outcome.accepted, list(outcome.bad)) == ("partial", 98, [3, 50, 100])
    assert store.count() == 98


def test_times_that_servers_cannot_hold_are_bad_rows_and_spoil_no_other(store: Store) -> None:
    rows = rows_of(5, helmets=5)
    rows["t_us"][[1, 3]] = 2**63 - 1, -(2**63)
    rows["t_us"][2] = -5_000_000_000_000
    outcome = store.write(rows)
    assert (outcome.kind, list(outcome.bad)) == ("partial", [1, 3])
    assert store.read("SF-000002", *FOREVER)["t_us"].tolist() == [-5_000_000_000_000]


def test_check_writes_nothing(store: Store) -> None:
    assert store.check()
    assert store.count() == 0


def test_pruning_never_takes_what_is_younger(store: Store) -> None:
    """InfluxDB's bucket has a retention of its own, so there nothing at all goes."""
    rows = rows_of(300)
    store.write(rows)
    gone = store.prune(T0_US + 50 * 999_983, 0)
    assert gone in (0, 150)
    kept = rows[rows["t_us"] >= T0_US + 50 * 999_983] if gone else rows
    assert by_key(read_all(store, rows)) == by_key(kept)


def same(rows: np.ndarray) -> list[tuple]:
    """Rows as values, every NaN the same."""
    return [tuple(None if x != x else x for x in row) for row in rows.tolist()]


def test_raw_samples_come_back_bit_for_bit_and_are_no_telemetry_rows(store: Store) -> None:
    rows = np.concatenate([raw_samples(b"SF-000001", seq) for seq in range(20)])
    assert store.write(rows[::-1]) == Outcome("accepted", 2000)
    assert store.write(rows[500:700]).kind == "accepted"
    store.write(rows_of(30))
    assert same(store.samples("SF-000001", *FOREVER)) == same(rows)
    start_us, end_us = T0_US + 3_000_000, T0_US + 5_000_000
    assert same(store.samples("SF-000001", start_us, end_us)) == same(rows[300:500])
    assert len(store.samples("SF-000001", *FOREVER, limit=7)) == 7
    assert len(store.samples("SF-000002", *FOREVER)) == 0
    assert store.count() == 30
    assert len(list(store.keys())) == 30


def test_samples_that_no_store_takes_are_bad_rows_and_spoil_no_other(store: Store) -> None:
    rows = raw_samples(b"SF-000001")
    rows["helmet"][3], rows["t_us"][5] = b"two\nlines", 2**63 - 1
    outcome = store.write(rows)
    assert (outcome.kind, outcome.accepted, list(outcome.bad)) == ("partial", 98, [3, 5])


def test_a_forgotten_helmet_has_neither_rows_nor_samples_and_the_others_have_all(store: Store) -> None:
    rows = rows_of(300)
    store.write(rows)
    for helmet in (b"SF-000001", b"SF-000002"):
        store.write(raw_samples(helmet))
    assert store.forget("SF-000001") in (200, None)
    kept = rows[rows["helmet"] != b"SF-000001"]
    assert by_key(read_all(store, rows)) == by_key(kept)
    assert len(store.samples("SF-000001", *FOREVER)) == 0
    assert same(store.samples("SF-000002", *FOREVER)) == same(raw_samples(b"SF-000002"))


# The examples of one property share a store and tell their rows apart by boot.
BOOTS = itertools.count(1)
PLAIN = st.text("ABCXYZabcxyz0189_-", min_size=1, max_size=24)
HOSTILE = st.text(st.sampled_from("a,= \n\\\"'\t\r#%é张🛵{}$\x00"), min_size=0, max_size=12)
ANY = st.text(max_size=8) | st.binary(max_size=24)


@EACH_EXAMPLE
@given(ids=st.lists(PLAIN | HOSTILE | ANY, min_size=1, max_size=12))
def test_any_helmet_id_comes_back_or_is_refused_and_spoils_no_other(store: Store, ids: list) -> None:
    raw = [i.encode()[:24] if isinstance(i, str) else i for i in ids]
    rows = np.zeros(len(raw), TELEMETRY)
    rows["helmet"] = raw
    boot = next(BOOTS)
    rows["boot"], rows["seq"] = boot, np.arange(len(raw))
    rows["t_us"] = T0_US + boot * 1_000_000 + rows["seq"].astype(np.int64)
    outcome = store.write(rows)

    assert outcome.kind == ("partial" if outcome.bad else "accepted")
    assert outcome.accepted + len(outcome.bad) == len(rows)
    for number, helmet in enumerate(rows["helmet"].tolist()):
        t_us = int(rows["t_us"][number])
        if number in outcome.bad:
            assert not _is_plain(helmet)
        else:
            found = store.read(helmet.decode(), t_us, t_us + 1)
            assert [(f["helmet"], f["boot"], f["seq"]) for f in found] == [(helmet, boot, number)]
    mine = sorted(key[2] for key in store.keys() if key[1] == boot)  # noqa: SIM118
    assert mine == [number for number in range(len(rows)) if number not in outcome.bad]


def _is_plain(helmet: bytes) -> bool:
    """The ids of docs/payload.md."""
    return bool(helmet) and helmet.replace(b"-", b"").replace(b"_", b"").isalnum() and len(helmet) <= 24


def test_nothing_listens_is_told_as_a_reason_not_an_exception(token_file: Path) -> None:
    server = config.Influx(url=f"http://127.0.0.1:{free_port()}", token_file=str(token_file))
    store = open_store(config.Storage(kind="influxdb", influxdb=server))
    outcome = store.write(rows_of(3))
    assert (outcome.kind, outcome.accepted, list(outcome.bad)) == ("retry", 0, [])
    assert "cannot be reached" in outcome.reason
    store.close()
