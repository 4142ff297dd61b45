"""How fast a backlog may go to the store, whatever comes in meanwhile: time and arrivals are injected."""

from dataclasses import dataclass, field
from itertools import accumulate

from hypothesis import example, given
from hypothesis import strategies as st

from ingest.pace import Pace

BATCH = 1000
TURN_S = 0.05
FLOOR = 2000
MEAN_S = 10.0


@dataclass
class Drain:
    """A relay with nothing but its pace: rows come in by turns of the worker's loop, and go in batches, in order."""

    arrivals: list[int]
    """Rows that come in at the end of each turn."""
    backlog: int
    factor: float = 3.0
    write_s: float = 0.0
    """What the store takes for a batch."""
    moves: list[tuple[float, float, int]] = field(default_factory=list)
    """Each batch: when it was written, the pace allowed then (rows a second), and how many rows had gone by then."""

    def __post_init__(self) -> None:
        self.came = [0, *accumulate(self.arrivals)]

    def arrived(self, now_s: float) -> int:
        return self.came[min(int(now_s / TURN_S + 1e-9), len(self.arrivals))]

    def run(self) -> "Drain":
        """Until the last turn is over or, without arrivals, all is gone."""
        now_s, moved, pace = 0.0, 0, Pace(self.factor, 0.0)
        end_s = len(self.arrivals) * TURN_S
        while now_s <= end_s or not self.arrivals:
            pace.came(self.arrived(now_s), now_s)
            waiting = self.backlog + self.arrived(now_s) - moved
            if not waiting:
                if not self.arrivals:
                    break
                now_s += TURN_S  # the next turn wakes the relay
                continue
            batch = min(BATCH, waiting)
            now_s += self.write_s
            moved += batch
            self.moves.append((now_s, pace.rows_per_s, moved))
            now_s += pace.wait_s(batch, now_s)
        return self


def turns(second: tuple[int, bool]) -> list[int]:
    """A second of so many rows: a few in each turn, or all of them in one."""
    rows, at_once = second
    return [rows, *[0] * 19] if at_once else [rows // 20] * 20


fleets = st.lists(st.tuples(st.integers(0, 30_000), st.booleans()), min_size=15, max_size=40).map(
    lambda seconds: [rows for second in seconds for rows in turns(second)]
)
"""Seconds of twenty turns, from nobody to 30,000 rows: silence, steady rows, and samples thousands at once."""
writes = st.sampled_from([0.0, 0.01, 0.05, 0.3])


def test_what_waits_goes_at_two_thousand_rows_a_second_while_nobody_rides() -> None:
    done = Drain([], backlog=60_000).run()
    last_s, _, moved = done.moves[-1]
    assert moved == 60_000 and abs(last_s - 59 * BATCH / FLOOR) < 1e-6


@given(arrivals=fleets, write_s=writes)
def test_it_is_never_faster_than_its_pace_over_any_stretch(arrivals: list[int], write_s: float) -> None:
    """But for the first batch of a stretch, and for a fifth of a second that a late write may be made up for."""
    moves = Drain(arrivals, backlog=10**9, write_s=write_s).run().moves
    for first in range(0, len(moves), 7):
        began_s, fastest, before = moves[first]
        for now_s, allowed, moved in moves[first + 1 :]:
            fastest = max(fastest, allowed)
            assert moved - before <= fastest * (now_s - began_s + 0.2) + BATCH + 1e-6


@given(arrivals=fleets)
@example(arrivals=[100] * 20 * 40)
@example(arrivals=[0] * 400 + [3000] * 400)
def test_while_there_is_a_backlog_two_rows_go_for_each_that_came_up_to_twelve_seconds_ago(
    arrivals: list[int],
) -> None:
    """The mean knows 70 % of what came 12 s ago; three times that is 2.1, and 2,000 rows a second come on top."""
    drain = Drain(arrivals, backlog=10**9).run()
    for now_s, _, moved in drain.moves:
        if now_s > 12:
            # 2 % for what came between two looks at the arrivals.
            assert moved >= FLOOR * now_s * 0.98 + 2 * drain.arrived(now_s - 12)


@given(rows=st.lists(st.integers(0, 100), min_size=5, max_size=20), backlog=st.integers(0, 20_000))
@example(rows=[100] * 20, backlog=20_000)
@example(rows=[0, 0, 0, 0, 1], backlog=0)
def test_a_backlog_goes_whatever_comes_and_without_one_no_row_waits_for_the_pace(
    rows: list[int], backlog: int
) -> None:
    """Up to 2,000 rows a second: each is gone one batch later at most, once the backlog is."""
    drain = Drain([n for n in rows for _ in range(20)], backlog).run()
    gone_s = next((now_s for now_s, _, moved in drain.moves if moved >= backlog + drain.arrived(now_s)), 0.0)
    at_most_s = 3 * backlog / FLOOR + 3
    assert not backlog or gone_s <= at_most_s or at_most_s > len(rows)
    afterwards = [(now_s, moved) for now_s, _, moved in drain.moves if now_s > max(gone_s, 1)]
    for now_s, moved in afterwards if gone_s or not backlog else []:
        assert moved >= backlog + drain.arrived(now_s - BATCH / FLOOR - TURN_S)


@given(arrivals=fleets, pause_s=st.floats(1, 3600))
def test_a_pause_of_the_store_is_not_made_up_for(arrivals: list[int], pause_s: float) -> None:
    pace = Pace(3.0, 0.0)
    came = 0
    for turn, rows in enumerate(arrivals):
        came += rows
        pace.came(came, (turn + 1) * TURN_S)
    now_s = len(arrivals) * TURN_S + pause_s
    pace.came(came, now_s)
    waits = []
    for _ in range(20):
        waits.append(pace.wait_s(BATCH, now_s))
        now_s += waits[-1]
    assert sum(waits) >= 20 * BATCH / pace.rows_per_s - 0.2 - 1e-6
