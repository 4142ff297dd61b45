"""Writes to real VictoriaMetrics, a server of the v2 write API that is not InfluxDB.

It differs from InfluxDB in what it keeps, and these tests say so: milliseconds, floats only, a point written twice is two
samples, no InfluxQL.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from telemetry_servers import T0_US, Victoria, telemetry

from core import config
from storage import Outcome, Store, StoreError, open_store

pytest_plugins = ["telemetry_servers"]


@pytest.fixture
def store(victoria: Victoria, token_file: Path) -> Iterator[Store]:
    server = config.Influx(url=victoria.url, token_file=str(token_file))
    store = open_store(config.Storage(kind="influxdb", influxdb=server))
    yield store
    store.close()


def test_rows_are_stored_to_the_millisecond_without_what_is_unknown(store: Store, victoria: Victoria) -> None:
    rows = telemetry([b"VM-000001", b"VM-000002"], boot=7, seq=41)
    rows["speed_mps"][0] = np.nan
    assert store.write(rows) == Outcome("accepted", 2)
    t_ms = (T0_US + 41_000_000) // 1000
    assert victoria.samples("helmet_boot")["VM-000001"] == [(t_ms, 7)]
    assert victoria.samples("helmet_seq")["VM-000002"] == [(t_ms, 41)]
    assert victoria.samples("helmet_peak_g")["VM-000001"] == [(t_ms, pytest.approx(1 / 3))]
    assert "VM-000001" not in victoria.samples("helmet_speed_mps")
    assert "VM-000002" in victoria.samples("helmet_speed_mps")


def test_a_row_written_twice_is_two_samples_with_the_same_value(store: Store, victoria: Victoria) -> None:
    """Its flag -dedup.minScrapeInterval=1ms hides the second; docs/storage.md asks for it."""
    rows = telemetry([b"VM-twice"])
    store.write(rows)
    store.write(rows)
    assert victoria.samples("helmet_seq")["VM-twice"] == [(T0_US // 1000, 0)] * 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from("ab,= \"'\n\\é张{}#"), min_size=1, max_size=8))
def test_a_hostile_id_is_stored_as_it_is_or_refused(store: Store, victoria: Victoria, text: str) -> None:
    rows = telemetry([text.encode()[:24], b"VM-neighbour"])
    outcome = store.write(rows)
    helmets = victoria.samples("helmet_flags")
    assert "VM-neighbour" in helmets
    refused = "\n" in text or "\\" in text
    assert list(outcome.bad) == ([0] if refused else [])
    assert (text in helmets) is not refused


def test_it_can_be_checked_but_not_read(store: Store, victoria: Victoria) -> None:
    assert victoria.url in store.check()
    with pytest.raises(StoreError, match="does not answer InfluxQL"):
        store.count()
    with pytest.raises(StoreError, match="does not answer InfluxQL"):
        store.read("VM-000001", 0, 2**62)
