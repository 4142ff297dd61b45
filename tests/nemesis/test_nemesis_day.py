"""Every message of a working day, twice: the second time changes nothing."""

import math
import sqlite3
import threading
import time
from pathlib import Path

from arena import KINDS, Arena, arena, assert_kept, until

from app.reconcile import Account, account_for
from bench.command import metrics
from core.clock import ManualClock, SystemClock
from core.config import load
from simulator.broker import Broker
from simulator.day import Shift
from simulator.fleet import run_fleet
from simulator.ledger import Ledger, read_ledger
from simulator.player import play
from simulator.scenario import Group, Happening, Scenario
from simulator.tape import Tape

HELMETS = 4
DAY_S = 600.0
"""Twenty-four hours, so many times compressed: waits, breaks and ways are shorter, motion is what it is."""
SCALE = 60.0
"""And all clocks go so many times as fast."""
START_S = 8.0
"""In so many real seconds the clocks show the beginning of the day; broker and desk start meanwhile."""


def recorded(folder: Path, start_us: int) -> tuple[Ledger, Tape]:
    """What the helmets say in a day, from eleven to eleven; each crashes."""
    scenario = Scenario(
        "day",
        HELMETS,
        3,
        prefix="DAY-",
        groups=(Group(HELMETS, day=Shift(begins_h=11.0, compress=86400 / DAY_S)),),
        happenings=tuple(Happening(30.0 + 60 * k, kind, k) for k, kind in enumerate(KINDS)),
    )
    run_fleet(
        scenario,
        None,
        ManualClock(start_us),
        ledger=folder / "ledger",
        record=folder / "tape",
        duration_s=DAY_S,
        stop=threading.Event(),
    )
    return read_ledger(folder / "ledger"), Tape(folder / "tape")


def tables(ring: Arena) -> dict[str, list[tuple[object, ...]]]:
    """Telemetry as it is; of alerts what does not change with time or by a person."""
    found = {}
    for file, query in {
        "telemetry.db": "SELECT * FROM telemetry ORDER BY 1, 2, 3, 4, 5",
        "alerts.db": "SELECT id, helmet, json_extract(body, '$.occurred_us'), json_extract(body, '$.impacts_us') "
        "FROM alerts ORDER BY id",
    }.items():
        db = sqlite3.connect(f"file:{ring.stack.folder / file}?mode=ro", uri=True)
        found[file] = db.execute(query).fetchall()
        db.close()
    return found


def test_a_day_sent_again_changes_neither_tables_nor_alerts(tmp_path: Path) -> None:
    start_us = time.time_ns() // 1000
    ledger, tape = recorded(tmp_path, start_us)
    began_us = time.time_ns() // 1000 + round(START_S * 1e6)
    # The clock that shows `start_us` at `began_us`.
    origin_us = round((began_us * SCALE - start_us) / (SCALE - 1))
    (tmp_path / "arena").mkdir()
    with arena(tmp_path / "arena", SCALE, origin_us) as ring:
        clock = SystemClock(SCALE, origin_us)
        broker = Broker(
            "127.0.0.1", ring.stack.broker_port, ring.stack.broker_user, ring.stack.broker_password
        )

        def sent(speed: float) -> Account:
            """Plays the day to a new worker, and waits until all of it is where it belongs."""
            ring.start_worker()
            ring.connected()
            while clock.now_us() < start_us:  # what comes before its time would be dated by its arrival
                time.sleep(0.05)
            played = play(tape, broker, clock, speed=speed, stop=threading.Event())
            assert played.acknowledged == played.messages > 1000
            until(
                lambda: (
                    metrics(ring.stack).get("helmetwatch_messages_acknowledged_total", 0) >= played.messages
                ),
                "the worker has taken it in",
                60,
            )
            time.sleep(2)  # the last versions of the incidents: two minutes of the day's clock
            ring.kill_worker()
            return account_for(load(ring.stack.config), ledger)

        account = sent(SCALE)
        assert_kept(account)
        before = tables(ring)
        again = sent(math.inf)
        assert tables(ring) == before
        assert str(again) == str(account)
