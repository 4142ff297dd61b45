"""Where each frame belongs in its helmet's time: duplicates, gaps, reboots, clock jumps, late arrivals.

Order is by (boot, sequence number), never by clocks: helmets' clocks jump and networks repeat.
"""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import count, repeat
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core import metrics
from core.model import Frames
from ingest.numbers import Numbers

_COUNTERS = {how: metrics.FRAMES.labels(how) for how in ("live", "overtaken", "late", "duplicate", "ancient")}

_JUMP_US = 500_000
"""Adjoining frames further apart than this mean that a clock jumped, not that it drifts."""
_BREAK_US = 60_000_000
"""A hole longer than this starts a new track: nothing before it can matter to what comes after."""
_EXPIRED_AT_ONCE = 500
"""Most runs ended by silence in one turn: a city that falls silent together must not hold up who is left."""
_OVERTAKEN_NS = 5_000_000_000
"""So far behind the newest frame, one that was overtaken goes into the hole it left: its surroundings are known."""
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


class _Hole(NamedTuple):
    """Frames of a run that have not come: their numbers and their samples."""

    first_seq: int
    last_seq: int
    start: int
    samples: int
    start_us: int


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
    holes: tuple[_Hole, ...] = ()
    """The last ones, in which frames that were overtaken still fit."""


_Row = tuple[int, int, str, int, int, int, int, int, int]
"""Boot, seq, helmet, number of the `Frames` in its batch, row in it, t0_us, period_ns, received_us, samples.

A plain tuple: one is made for every frame that arrives, and attributes of a named one cost as much as the rest.
"""


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
        turns: dict[str, int] = {}
        lanes: dict[tuple[int, int], tuple[list[int], list[int], list[int]]] = {}
        old: dict[int, list[int]] = {}
        ended: list[int] = []
        counted: dict[str, int] = dict.fromkeys(_COUNTERS, 0)
        for row in sorted(_rows(batch), key=itemgetter(0, 1)):
            boot, seq, helmet, frames, k, t0_us, _, received_us, _ = row
            if received_us - t0_us > self._ancient_us:
                counted["ancient"] += 1
                old.setdefault(frames, []).append(k)
                continue
            if not self.numbers.is_new(helmet, boot, seq):
                counted["duplicate"] += 1
                continue
            run = self._live.get(helmet)
            live = run is None or boot > run.boot or (boot == run.boot and seq >= run.next_seq)
            place = self._go_back(run, row) if run is not None and not live else None
            counted["live" if live else "late" if place is None else "overtaken"] += 1
            if place is None:
                runs = self._live if live else self._late
                place = self._go_on(runs, runs.get(helmet), row, ended)
            track, index = place
            # The detector takes one row of a helmet at a time: its n-th row of this batch is in turn n.
            turn = turns[helmet] = turns.get(helmet, -1) + 1
            lane = lanes.get((turn, frames))
            if lane is None:
                lane = lanes[turn, frames] = ([], [], [])
            lane[0].append(k)
            lane[1].append(track)
            lane[2].append(index)
        for how, number in counted.items():
            _COUNTERS[how].inc(number)
        placed = [
            Placed(_pick(batch[frames], chosen), np.array(track, np.int64), np.array(index, np.int64))
            for (_, frames), (chosen, track, index) in sorted(lanes.items())
        ]
        self._forget_excess(ended)
        return Sequenced(placed, [_pick(batch[f], chosen) for f, chosen in old.items()], ended)

    def expire(self, now_us: int, silent_s: float = 600.0) -> list[int]:
        """Ends runs of helmets that were silent for long, some at a time; their tracks are returned."""
        ended: list[int] = []
        for runs in (self._live, self._late):
            while (
                runs
                and len(ended) < _EXPIRED_AT_ONCE
                and now_us - next(iter(runs.values())).received_us > silent_s * 1e6
            ):
                ended.append(runs.popitem(last=False)[1].track)
        return ended

    def _forget_excess(self, ended: list[int]) -> None:
        for runs in (self._live, self._late):
            while len(runs) > self._helmets_max:
                ended.append(runs.popitem(last=False)[1].track)

    def _go_back(self, run: _Run, row: _Row) -> tuple[int, int] | None:
        """The place of a frame that was overtaken; None for what belongs to a helmet's past."""
        boot, seq, helmet, _, _, t0_us, period_ns, _, n = row
        late = self._late.get(helmet)
        if boot != run.boot or period_ns != run.period_ns or (late is not None and late.next_seq == seq):
            return None
        for hole in run.holes:
            if hole.first_seq <= seq <= hole.last_seq:
                lone = hole.first_seq == hole.last_seq
                offset = 0 if lone else round((t0_us - hole.start_us) * 1000 / period_ns)
                fits = -1 <= offset <= hole.samples - n + 1
                index = hole.start + max(0, min(offset, hole.samples - n))
                recent = (run.next_index - index) * period_ns <= _OVERTAKEN_NS
                return (run.track, index) if fits and recent else None
        return None

    def _go_on(
        self, runs: "OrderedDict[str, _Run]", run: _Run | None, row: _Row, ended: list[int]
    ) -> tuple[int, int]:
        boot, seq, helmet, _, _, t0_us, period_ns, received_us, n = row
        step = None if run is None else _step(run, boot, seq, t0_us, period_ns, n)
        if run is None or step is None:
            if run is not None:
                ended.append(run.track)
            run = _Run(next(self._tracks), boot, period_ns, seq, 0, t0_us, received_us)
            runs[helmet] = run
            step = 0
        index = run.next_index + step
        if step:
            kept = [h for h in run.holes if (index - h.start) * period_ns <= _OVERTAKEN_NS]
            run.holes = (*kept, _Hole(run.next_seq, seq - 1, run.next_index, step, run.next_us))
        run.next_seq = seq + 1
        run.next_index = index + n
        run.next_us = t0_us + n * period_ns // 1000
        run.received_us = received_us
        runs.move_to_end(helmet)
        return run.track, index


def _rows(batch: list[Frames]) -> list[_Row]:
    rows: list[_Row] = []
    for number, frames in enumerate(batch):
        rows += zip(
            frames.boot.tolist(),
            frames.seq.tolist(),
            frames.helmet,
            repeat(number),
            range(len(frames)),
            frames.t0_us.tolist(),
            frames.period_ns.tolist(),
            frames.received_us.tolist(),
            repeat(frames.acc.shape[1]),
        )
    return rows


def _pick(frames: Frames, chosen: list[int]) -> Frames:
    return frames if chosen == list(range(len(frames))) else frames.rows(np.array(chosen, np.intp))


def _step(run: _Run, boot: int, seq: int, t0_us: int, period_ns: int, n: int) -> int | None:
    """Samples between the end of the run and this frame; None where the run cannot go on."""
    missing = seq - run.next_seq
    if boot != run.boot or period_ns != run.period_ns or missing < 0:
        return None
    apart_us = t0_us - run.next_us
    if missing == 0:
        if abs(apart_us) > _JUMP_US:
            metrics.CLOCK_JUMPS.inc()
        return 0
    metrics.FRAMES_MISSING.inc(missing)
    if 0 < apart_us <= (missing + 1) * _FRAME_US_MAX:
        return None if apart_us > _BREAK_US else round(apart_us * 1000 / period_ns)
    # The clock says nothing usable about the length of the hole: assume frames like this one.
    metrics.CLOCK_JUMPS.inc()
    samples = missing * n
    return None if samples * period_ns // 1000 > _BREAK_US else samples
