"""The InfluxDB store: each answer of a server, and what becomes of the rows.

Answers of InfluxDB 1.6.7 itself where it can be made to give them; the other statuses come from the shim before it.
"""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from telemetry_servers import T0_US, TOKEN, Influx1, raw_samples, telemetry

from core import config
from core.model import TELEMETRY
from storage import Outcome, Store, StoreError, open_store
from storage.lines import lines

pytest_plugins = ["telemetry_servers"]

FOREVER = (-(2**62), 2**62)


@pytest.fixture
def connect(token_file: Path) -> Iterator[Callable[..., Store]]:
    """Opens stores: `connect(url, bucket)`."""
    opened: list[Store] = []

    def make(url: str, bucket: str, batch_rows: int = 5000, **options: object) -> Store:
        server = config.Influx(url=url, bucket=bucket, **({"token_file": str(token_file)} | options))
        opened.append(open_store(config.Storage(kind="influxdb", influxdb=server, batch_rows=batch_rows)))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def fleet(count: int, seq: int = 0) -> np.ndarray:
    return telemetry([b"SF-%06d" % i for i in range(count)], seq)


def test_requests_are_zipped_in_nanoseconds_and_no_larger_than_a_batch(
    influx1: Influx1, connect: Callable[..., Store]
) -> None:
    store = connect(influx1.shim.url, influx1.database(), batch_rows=100, org="our org")
    assert store.write(fleet(250)) == Outcome("accepted", 250)
    assert len(influx1.shim.requests) == 3
    for query, headers in influx1.shim.requests:
        assert query["precision"] == "ns"
        assert query["org"] == "our org"
        assert headers["Content-Encoding"] == "gzip"


def test_a_line_is_what_the_documentation_says() -> None:
    rows = telemetry([b"a b,c=d"], boot=2, seq=3)
    rows["lat_deg"] = rows["lon_deg"] = np.nan
    rows["speed_mps"] = np.inf
    assert lines(rows) == [
        "helmet,helmet=a\\ b\\,c\\=d received_us=1732300003123456i,boot=2i,seq=3i,worn=2i,strap=1i,battery_pct=255i,"
        "flags=8i,peak_g=0.333333343,mean_g=1.33333337,std_g=2.33333325,x_g=3.33333325,y_g=4.33333349,"
        "z_g=5.33333349,accuracy_m=9.33333302 1732300003000000761"
    ]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, "refused"), (403, "refused"), (404, "refused"), (405, "refused"), (301, "refused"),
        (408, "retry"), (429, "retry"), (500, "retry"), (502, "retry"), (503, "retry"), (504, "retry"),
    ],
)  # fmt: skip
def test_an_answer_about_the_server_keeps_all_rows(
    influx1: Influx1, connect: Callable[..., Store], status: int, kind: str
) -> None:
    store = connect(influx1.shim.url, influx1.database())
    influx1.shim.answer_with = (status, "not today")
    outcome = store.write(fleet(3))
    assert (outcome.kind, outcome.accepted, list(outcome.bad)) == (kind, 0, [])
    assert f"answered {status}: not today" in outcome.reason
    influx1.shim.answer_with = None
    assert store.write(fleet(3)) == Outcome("accepted", 3)


@pytest.mark.parametrize(
    ("said", "pause_s"), [("7", 7), ("100000", 60), ("Wed, 21 Oct 2026 07:28:00 GMT", 0)]
)
def test_a_server_that_asks_to_be_left_alone_is_left_alone_but_not_for_long(
    influx1: Influx1, connect: Callable[..., Store], said: str, pause_s: float
) -> None:
    store = connect(influx1.shim.url, influx1.database())
    influx1.shim.answer_with, influx1.shim.headers = (503, "busy"), {"Retry-After": said}
    outcome = store.write(fleet(3))
    assert (outcome.kind, outcome.pause_s) == ("retry", pause_s)


def test_an_unknown_bucket_is_refused(influx1: Influx1, connect: Callable[..., Store]) -> None:
    outcome = connect(influx1.shim.url, "nowhere").write(fleet(3))
    assert outcome.kind == "refused"
    assert "404" in outcome.reason
    assert "bucket" in outcome.reason


def test_a_wrong_token_is_refused_and_never_shown(
    influx1: Influx1, connect: Callable[..., Store], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "wrong-token-0123456789"
    (tmp_path / "wrong").write_text(wrong)
    store = connect(influx1.shim.url, influx1.database(), token_file=str(tmp_path / "wrong"))
    told = [store.write(fleet(3)).reason]
    assert "401" in told[0]
    influx1.shim.answer_with = (403, f"token {wrong} may not do this")
    told.append(store.write(fleet(3)).reason)
    influx1.shim.answer_with = None
    for ask in (store.check, store.count):
        with pytest.raises(StoreError) as error:
            ask()
        told.append(str(error.value))
    assert wrong not in "".join(told) + caplog.text + repr(store)


def test_a_server_that_hangs_is_left_after_the_timeout(
    influx1: Influx1, connect: Callable[..., Store]
) -> None:
    store = connect(influx1.shim.url, influx1.database(), timeout_s=0.2)
    influx1.shim.hang = True
    outcome = store.write(fleet(3))
    assert outcome.kind == "retry"
    assert "timed out" in outcome.reason.lower()


def test_what_was_stored_before_the_server_went_is_told(
    influx1: Influx1, connect: Callable[..., Store]
) -> None:
    store = connect(influx1.shim.url, influx1.database(), batch_rows=10)
    first = store._post

    def then_gone(bucket: str, body: str, single: bool) -> str:
        influx1.shim.answer_with = (503, "gone") if len(influx1.shim.requests) >= 2 else None
        return first(bucket, body, single)

    store._post = then_gone
    outcome = store.write(fleet(50))
    assert (outcome.kind, outcome.accepted) == ("retry", 20)
    influx1.shim.answer_with, store._post = None, first
    assert store.write(fleet(50)) == Outcome("accepted", 50)
    assert store.count() == 50


def test_rows_beyond_the_buckets_retention_are_named_and_the_others_stored(
    influx1: Influx1, connect: Callable[..., Store]
) -> None:
    """InfluxDB answers "points beyond retention policy dropped=3" and does not say which."""
    database = influx1.database()
    influx1.execute(f"CREATE RETENTION POLICY years ON {database} DURATION 1000w REPLICATION 1")
    store = connect(influx1.shim.url, f"{database}/years")
    rows = fleet(1000)
    rows["t_us"][[0, 17, 998]] = 0
    outcome = store.write(rows)
    assert (outcome.kind, outcome.accepted, list(outcome.bad)) == ("partial", 997, [0, 17, 998])
    assert all("retention" in why for why in outcome.bad.values())
    assert store.count() == 997


def test_a_thousand_rows_beyond_the_retention_are_bad_rows_and_hold_up_nothing(
    influx1: Influx1, connect: Callable[..., Store]
) -> None:
    database = influx1.database()
    influx1.execute(f"CREATE RETENTION POLICY years ON {database} DURATION 1000w REPLICATION 1")
    rows = fleet(1000)
    rows["t_us"] = np.arange(1000)
    outcome = connect(influx1.shim.url, f"{database}/years").write(rows)
    assert (outcome.kind, outcome.accepted, list(outcome.bad)) == ("partial", 0, list(range(1000)))
    assert len(influx1.shim.requests) == 1


def test_a_bucket_whose_fields_have_other_types_is_refused_whole(
    influx1: Influx1, connect: Callable[..., Store]
) -> None:
    """No row is at fault: thrown away as bad they would be lost, so they wait for a person."""
    database = influx1.database()
    store = connect(influx1.shim.url, database)
    store._post(database, f'helmet,helmet=x seq="text" {T0_US * 1000}', single=True)
    outcome = store.write(fleet(10))
    assert (outcome.kind, list(outcome.bad)) == ("refused", [])
    assert "type conflict" in outcome.reason


def test_a_server_that_calls_every_line_bad_is_refused_after_few_requests(
    influx1: Influx1, connect: Callable[..., Store]
) -> None:
    store = connect(influx1.shim.url, influx1.database())
    influx1.shim.answer_with = (400, "I do not like it")
    outcome = store.write(fleet(5000))
    assert (outcome.kind, outcome.accepted, list(outcome.bad)) == ("refused", 0, [])
    assert len(influx1.shim.requests) <= 65


def test_a_batch_larger_than_the_server_takes_is_halved(
    influx1: Influx1, connect: Callable[..., Store]
) -> None:
    """The test's InfluxDB takes 1 MB at once; 20,000 lines are 5 MB."""
    store = connect(influx1.shim.url, influx1.database(), batch_rows=20_000)
    assert store.write(fleet(20_000)) == Outcome("accepted", 20_000)
    assert store.count() == 20_000


def test_no_telemetry_is_quoted_in_a_reason(influx1: Influx1, connect: Callable[..., Store]) -> None:
    store = connect(influx1.shim.url, influx1.database())
    quoted = lines(fleet(1))[0]
    influx1.shim.answer_with = (400, f"unable to parse '{quoted}': why")
    assert "SF-000000" not in store.write(fleet(1)).reason


def test_check_says_what_is_wrong(influx1: Influx1, connect: Callable[..., Store]) -> None:
    with pytest.raises(StoreError, match="404"):
        connect(influx1.shim.url, "nowhere").check()
    with pytest.raises(StoreError, match="cannot be reached"):
        connect("http://127.0.0.1:9", "any").check()
    with pytest.raises(StoreError, match="url is empty"):
        connect("", "any")


def test_a_quote_in_an_id_cannot_widen_a_query(influx1: Influx1, connect: Callable[..., Store]) -> None:
    store = connect(influx1.shim.url, influx1.database())
    store.write(fleet(3))
    for hostile in ("x' OR time > 0 --", "x\\' OR 1=1", "'; DROP MEASUREMENT helmet; --"):
        assert len(store.read(hostile, *FOREVER)) == 0
    assert store.count() == 3


class AnyAnswer:
    """A server that answers every connection with the same bytes."""

    def __init__(self) -> None:
        self.answer = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if self.answer is None:
                    return
                connection.settimeout(1)
                connection.recv(65536)
                connection.sendall(self.answer)

    def close(self) -> None:
        self.answer = None
        socket.create_connection(self._socket.getsockname()).close()
        self._thread.join(5)
        self._socket.close()


@pytest.fixture
def any_answer() -> Iterator[AnyAnswer]:
    server = AnyAnswer()
    yield server
    server.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=60), status=st.sampled_from([200, 204, 400, 404, 422, 500, 700]))
@example(body=b"\xff\xfe", status=400)
@example(body=b'{"error": 3}', status=400)
@example(body=b'{"results": [{"series": [{"name": "helmet"}]}]}', status=200)
@example(body=b'{"results": [{"error": 5}]}', status=200)
def test_whatever_a_server_answers_is_an_outcome_or_a_store_error(
    any_answer: AnyAnswer, connect: Callable[..., Store], body: bytes, status: int
) -> None:
    store = connect(any_answer.url, "any", timeout_s=2)
    any_answer.answer = b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body
    assert store.write(fleet(2)).kind in ("accepted", "partial", "retry", "refused")
    any_answer.answer = body
    assert store.write(fleet(2)).kind == "retry"
    any_answer.answer = b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body
    for ask in (store.count, lambda: list(store.keys()), lambda: store.read("x", 0, 1)):
        try:
            ask()
        except StoreError as error:
            assert TOKEN not in str(error)


def test_every_telemetry_column_is_in_a_line() -> None:
    fields = lines(telemetry([b"x"]))[0].split(" ")[1]
    names = [field.partition("=")[0] for field in fields.split(",")]
    assert sorted(names) == sorted(set(TELEMETRY.names) - {"helmet", "t_us"})


def test_samples_go_into_a_bucket_of_their_own_and_check_looks_at_both(
    influx1: Influx1, connect: Callable[..., Store]
) -> None:
    frames, raw = influx1.database(), influx1.database()
    store = connect(influx1.shim.url, frames, samples_bucket=raw)
    store.write(fleet(3))
    assert store.write(raw_samples(b"SF-000001")).kind == "accepted"
    for database, measurement in ((frames, "helmet"), (raw, "samples")):
        [series] = influx1.execute(f"SHOW MEASUREMENTS ON {database}")["series"]
        assert series["values"] == [[measurement]]
    assert f"bucket {frames} and {raw}" in store.check()
    assert len(store.samples("SF-000001", *FOREVER)) == 100
    store.forget("SF-000001")
    assert len(store.samples("SF-000001", *FOREVER)) == 0
    assert store.count() == 2
    store = connect(influx1.shim.url, frames, samples_bucket="missing")
    assert store.write(fleet(3)).kind == "accepted"
    assert store.write(raw_samples(b"SF-000001")).kind == "refused"
    with pytest.raises(StoreError, match="not found"):
        store.check()


def test_a_server_without_any_way_to_delete_says_so(influx1: Influx1, connect: Callable[..., Store]) -> None:
    store = connect(influx1.shim.url, influx1.database())
    influx1.shim.deletes = False
    with pytest.raises(StoreError, match=r"SF-000001 cannot be forgotten: .* the bucket's retention"):
        store.forget("SF-000001")
