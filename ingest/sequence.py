"""Where each frame belongs in its helmet's time: duplicates, gaps, reboots, clock jumps, late arrivals.

Order is by (boot, sequence number), never by clocks: helmets' clocks jump and networks repeat.
"""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import count
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core import metrics
from core.model import Frames
from ingest.numbers import Numbers

_LIVE, _LATE, _DUPLICATE, _ANCIENT = (
    metrics.FRAMES.labels(how) for how in ("live", "late", "duplicate", "ancient")
)

_JUMP_US = 500_000
"""Adjoining frames further apart than this mean that a clock jumped, not that it drifts."""
_BREAK_US = 60_000_000
"""A hole longer than this starts a new track: nothing before it can matter to what comes after."""
_FRAME_US_MAX = 2_500_000
"""Longest plausible frame, to judge whether a gap in numbers fits a gap in time."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Frames with their place: row k starts at sample `index[k]` of the continuous run `track[k]`."""

    frames: Frames
    track: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]


class Sequenced(NamedTuple):
    """What became of a batch; every frame that is not a duplicate is in exactly one of the first two."""

    placed: list[Placed]
    """In the order in which the detector must see them."""
    archive: list[Frames]
    """Too old to alert; stored as telemetry."""
    ended: list[int]
    """Tracks that will not go on."""


@dataclass(slots=True)
class _Run:
    """The state of one continuous run of samples of one helmet."""

    track: int
    boot: int
    period_ns: int
    next_seq: int
    next_index: int
    next_us: int
    received_us: int


class _Row(NamedTuple):
    boot: int
    seq: int
    helmet: str
    frames: int
    row: int
    t0_us: int
    period_ns: int
    received_us: int
    n: int


class Sequence:
    """Follows every helmet's numbering; beyond `helmets_max` the longest silent one is forgotten."""

    def __init__(self, helmets_max: int = 100_000, ancient_s: float = 86_400.0) -> None:
        self._helmets_max = helmets_max
        self._ancient_us = int(ancient_s * 1e6)
        self._tracks = count(1)
        # A helmet that sends its past after its present needs a second run beside the live one.
        self._live: OrderedDict[str, _Run] = OrderedDict()
        self._late: OrderedDict[str, _Run] = OrderedDict()
        self.numbers = Numbers(helmets_max)
        """Which frames were seen, whatever track they went to."""

    def __len__(self) -> int:
        """How many helmets are followed."""
        return len(self._live)

    def place(self, batch: list[Frames]) -> Sequenced:
        """Places the frames of one batch; frames that overtook each other within it are put in order."""
        rows = sorted(_rows(batch), key=itemgetter(0, 1))
        turns: dict[str, int] = {}
        lanes: dict[tuple[int, int], tuple[list[int], list[int], list[int]]] = {}
        old: dict[int, list[int]] = {}
        ended: list[int] = []
        for row in rows:
            if row.received_us - row.t0_us > self._ancient_us:
                _ANCIENT.inc()
                old.setdefault(row.frames, []).append(row.row)
                continue
            if not self.numbers.is_new(row.helmet, row.boot, row.seq):
                _DUPLICATE.inc()
                continue
            found = self._locate(row, ended)
            # The detector takes one row of a helmet at a time: its n-th row of this batch is in turn n.
            turn = turns[row.helmet] = turns.get(row.helmet, -1) + 1
            lane = lanes.setdefault((turn, row.frames), ([], [], []))
            for values, value in zip(lane, (row.row, *found), strict=True):
                values.append(value)
        placed = [
            Placed(_pick(batch[frames], chosen), np.array(track, np.int64), np.array(index, np.int64))
            for (_, frames), (chosen, track, index) in sorted(lanes.items())
        ]
        self._forget_excess(ended)
        return Sequenced(placed, [_pick(batch[f], chosen) for f, chosen in old.items()], ended)

    def expire(self, now_us: int, silent_s: float = 600.0) -> list[int]:
        """Ends the runs of helmets that were silent for long; their tracks are returned."""
        ended = []
        for runs in (self._live, self._late):
            while runs and now_us - next(iter(runs.values())).received_us > silent_s * 1e6:
                ended.append(runs.popitem(last=False)[1].track)
        return ended

    def _forget_excess(self, ended: list[int]) -> None:
        for runs in (self._live, self._late):
            while len(runs) > self._helmets_max:
                ended.append(runs.popitem(last=False)[1].track)

    def _locate(self, row: _Row, ended: list[int]) -> tuple[int, int]:
        """Track and index of a frame that was not seen before."""
        run = self._live.get(row.helmet)
        if run is None or row.boot > run.boot or (row.boot == run.boot and row.seq >= run.next_seq):
            _LIVE.inc()
            return self._go_on(self._live, run, row, ended)
        late = self._late.get(row.helmet)
        _LATE.inc()
        return self._go_on(self._late, late, row, ended)

    def _go_on(
        self, runs: "OrderedDict[str, _Run]", run: _Run | None, row: _Row, ended: list[int]
    ) -> tuple[int, int]:
        step = None if run is None else _step(run, row)
        if run is None or step is None:
            if run is not None:
                ended.append(run.track)
            track = next(self._tracks)
            run = _Run(track, row.boot, row.period_ns, row.seq, 0, row.t0_us, row.received_us)
            runs[row.helmet] = run
            step = 0
        index = run.next_index + step
        run.next_seq = row.seq + 1
        run.next_index = index + row.n
        run.next_us = row.t0_us + row.n * row.period_ns // 1000
        run.received_us = row.received_us
        runs.move_to_end(row.helmet)
        return run.track, index


def _rows(batch: list[Frames]) -> list[_Row]:
    rows: list[_Row] = []
    for f, frames in enumerate(batch):
        n = frames.acc.shape[1]
        columns = zip(
            frames.boot.tolist(),
            frames.seq.tolist(),
            frames.helmet,
            range(len(frames)),
            frames.t0_us.tolist(),
            frames.period_ns.tolist(),
            frames.received_us.tolist(),
            strict=True,
        )
        rows += [
            _Row(boot, seq, name, f, k, t0, period, got, n) for boot, seq, name, k, t0, period, got in columns
        ]
    return rows


def _pick(frames: Frames, chosen: list[int]) -> Frames:
    return frames if chosen == list(range(len(frames))) else frames.rows(np.array(chosen, np.intp))


def _step(run: _Run, row: _Row) -> int | None:
    """Samples between the end of the run and this frame; None where the run cannot go on."""
    missing = row.seq - run.next_seq
    if row.boot != run.boot or row.period_ns != run.period_ns or missing < 0:
        return None
    apart_us = row.t0_us - run.next_us
    if missing == 0:
        if abs(apart_us) > _JUMP_US:
            metrics.CLOCK_JUMPS.inc()
        return 0
    metrics.FRAMES_MISSING.inc(missing)
    if 0 < apart_us <= (missing + 1) * _FRAME_US_MAX:
        return None if apart_us > _BREAK_US else round(apart_us * 1000 / row.period_ns)
    # The clock says nothing usable about the length of the hole: assume frames like this one.
    metrics.CLOCK_JUMPS.inc()
    samples = missing * row.n
    return None if samples * row.period_ns // 1000 > _BREAK_US else samples
