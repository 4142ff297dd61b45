"""The telemetry store and the disk misbehave: alerts do not notice, and nothing is lost."""

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from arena import HELMETS, Arena, assert_kept, until
from bad_influx import BadInflux
from disk import Disk, small_disk

from app.reconcile import Account
from bench.command import metrics

ACKNOWLEDGED = "helmetwatch_messages_acknowledged_total"


@pytest.fixture
def influx() -> Iterator[BadInflux]:
    with BadInflux() as server:
        yield server


def use(ring: Arena, port: int) -> None:
    ring.configure(
        storage__kind="influxdb",
        storage__influxdb__url=f"http://127.0.0.1:{port}",
        storage__influxdb__timeout_s=1.0,
    )


def test_a_store_in_every_bad_mood(ring: Arena, influx: BadInflux) -> None:
    influx.moods = deque(["503", "hang", "late", "reset", "401", "late", "503"])
    use(ring, influx.port)
    ring.start_worker()
    ring.connected()
    ride = ring.ride(seed=20)
    account = ring.settle(ride)
    assert_kept(account)
    assert not influx.moods
    ring.kill_worker()


def test_a_store_that_does_not_take_some_lines_has_all_the_others(ring: Arena, influx: BadInflux) -> None:
    """400 for each batch with one of them: these frames are set aside, with the reason, and no other is."""
    influx.bad_seq = 5
    use(ring, influx.port)
    ring.start_worker()
    ring.connected()
    ride = ring.ride(seed=24)

    def stored(now: Account) -> bool:
        return not now.rows_waiting and not now.undelivered and not now.missed

    account = ring.settle(ride, stored)
    assert stored(account) and account.collisions >= 3, str(account)
    assert account.duplicated == 0 and not account.repeated, str(account)
    assert not account.lost and account.rejected == len(influx.refused) >= HELMETS
    assert metrics(ring.stack)["helmetwatch_telemetry_rows_refused_total"] == len(influx.refused)
    ring.kill_worker()


def test_alerts_come_at_once_while_the_store_is_away(ring: Arena, influx: BadInflux) -> None:
    use(ring, 9)  # nothing listens on port 9 of the loopback address
    ring.start_worker()
    ring.connected()
    use(ring, influx.port)  # for the next worker, and for us who ask what is stored
    ride = ring.ride(seed=21)
    account = ring.settle(ride, lambda now: now.kept and not now.undelivered)
    assert account.kept and account.rows_waiting == account.acknowledged > 100
    ring.kill_worker()  # the backlog is in the journal, and waits for the next worker
    ring.start_worker()
    assert_kept(ring.settle(ride))
    ring.kill_worker()


@pytest.fixture
def disk(ring: Arena, tmp_path: Path) -> Iterator[Disk]:
    """One for the journal and the worker's log, of 8 MB."""
    with small_disk(tmp_path / "disk", 8) as disk:
        ring.configure(ingest__journal__path=str(disk.folder / "journal.db"))
        yield disk
        ring.kill_worker()


def test_a_full_disk_stops_acknowledgements_and_nothing_else(ring: Arena, disk: Disk) -> None:
    ring.start_worker(disk=disk)
    ring.connected()
    ride = ring.ride(seed=22)
    until(lambda: ride.crashed() >= 1, "a crash")
    disk.fill()
    time.sleep(0.5)
    before = metrics(ring.stack)[ACKNOWLEDGED]
    time.sleep(1.5)
    assert ring.worker is not None and ring.worker.is_alive()
    assert metrics(ring.stack)[ACKNOWLEDGED] == before, "nothing is acknowledged that is not on the disk"
    disk.clear()
    assert_kept(ring.settle(ride, ask=disk.account_for))


def test_a_disk_that_is_full_at_the_start_is_said_and_the_next_start_goes_on(ring: Arena, disk: Disk) -> None:
    ring.start_worker(disk=disk)
    ring.connected()
    ride = ring.ride(seed=23)
    until(lambda: ride.crashed() >= 1, "a crash")
    ring.kill_worker()
    disk.fill()
    ring.start_worker(disk=disk)
    assert ring.worker is not None
    ring.worker.join(20)
    assert ring.worker.exitcode == 1
    disk.clear()
    ring.start_worker(disk=disk)
    assert_kept(ring.settle(ride, ask=disk.account_for))
    assert not disk.names("*broken*"), "no sound journal was set aside"
