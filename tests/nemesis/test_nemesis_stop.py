"""Stopping is clean: what has arrived is committed and acknowledged, the session stays, nothing is lost."""

import signal
import time

from arena import Arena, assert_kept, until
from bad_influx import BadInflux


def stopped(ring: Arena) -> float:
    """Stops the worker with SIGTERM; seconds until it was gone, with exit code 0."""
    assert ring.worker is not None
    began = time.monotonic()
    ring.signal_worker(signal.SIGTERM)
    ring.worker.join(20)
    took_s = time.monotonic() - began
    assert ring.worker.exitcode == 0, f"{ring.worker.exitcode}: {ring.log.read_text()[-1000:]}"
    return took_s


def test_a_stop_under_load_takes_less_than_ten_seconds_and_loses_nothing(ring: Arena) -> None:
    """300 helmets on a clock eight times as fast: 2,400 frames a second arrive while the worker stops."""
    ring.start_worker()
    ring.connected()
    ride = ring.ride(seed=30, seconds=30, helmets=300)
    until(lambda: ride.crashed() >= 1, "a crash")
    assert stopped(ring) < 10
    ring.start_worker()
    assert_kept(ring.settle(ride))


def test_a_stop_while_store_and_desk_do_not_answer_loses_nothing(ring: Arena) -> None:
    with BadInflux() as influx:
        influx.forever = "silent"
        ring.configure(storage__kind="influxdb", storage__influxdb__url=f"http://127.0.0.1:{influx.port}")
        ring.start_worker()
        ring.connected()
        ring.signal_desk(signal.SIGSTOP)
        try:
            ride = ring.ride(seed=31)
            until(lambda: ride.crashed() >= 1 and influx.writes > 0, "a crash, and a write without an answer")
            assert stopped(ring) < 10
        finally:
            ring.signal_desk(signal.SIGCONT)
        influx.forever = ""
        ring.start_worker()
        assert_kept(ring.settle(ride))
        ring.kill_worker()
