"""Old telemetry goes once an hour, from the first moment at which there is a store."""

import threading

from structlog.testing import capture_logs

from core.config import Embedded
from ingest.retention import EVERY_S, Retention
from storage import StoreError

DAY_US = 86_400_000_000
NOW_US = 1_790_000_000_000_000


class Asked:
    """The part of a store that is asked here; `hold` makes it take its time."""

    def __init__(self, fault: str = "") -> None:
        self.prunes: list[tuple[int, int]] = []
        self.fault = fault
        self.hold = threading.Event()
        self.hold.set()

    def prune(self, before_us: int, samples_before_us: int) -> int:
        self.prunes.append((before_us, samples_before_us))
        self.hold.wait()
        if self.fault:
            raise StoreError(self.fault)
        return 7


def turn(retention: Retention, now_s: float) -> None:
    retention.turn(now_s, NOW_US + round(now_s * 1e6))
    if retention._pruning is not None:
        retention._pruning.join(0.05)


def test_the_first_prune_comes_when_the_store_is_opened_and_the_next_an_hour_later() -> None:
    store, there = Asked(), False
    keep = Embedded(retention_days=14, samples_days=3)
    retention = Retention(keep, lambda: store if there else None)  # type: ignore[arg-type, return-value]
    for second in range(100):
        turn(retention, second)
    assert not store.prunes
    there = True
    for second in range(100, 100 + 2 * int(EVERY_S), 10):
        turn(retention, second)
    opened_us = NOW_US + 100_000_000
    later_us = opened_us + 3_600_000_000
    assert store.prunes == [(at_us - 14 * DAY_US, at_us - 3 * DAY_US) for at_us in (opened_us, later_us)]


def test_a_prune_that_hangs_holds_up_nobody_and_is_not_begun_twice() -> None:
    store = Asked()
    store.hold.clear()
    retention = Retention(Embedded(), lambda: store)  # type: ignore[arg-type, return-value]
    for hour in range(3):
        turn(retention, hour * EVERY_S)
    assert len(store.prunes) == 1
    store.hold.set()
    assert retention._pruning is not None
    retention._pruning.join(10)
    turn(retention, 3 * EVERY_S)
    assert len(store.prunes) == 2


def test_a_store_that_cannot_be_pruned_is_said_and_asked_again_an_hour_later() -> None:
    store = Asked("the disk is read-only")
    retention = Retention(Embedded(), lambda: store)  # type: ignore[arg-type, return-value]
    with capture_logs() as said:
        turn(retention, 0)
        turn(retention, EVERY_S)
    assert [(line["event"], line["error"]) for line in said] == [
        ("store.not_pruned", "the disk is read-only")
    ] * 2
