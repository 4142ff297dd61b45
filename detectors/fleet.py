"""All helmets of one worker: frames in, detections out. No clock, no I/O; chunking changes nothing."""

import hashlib
from collections import Counter

import numpy as np
import numpy.typing as npt

from core.config import Detection as Params
from core.model import Detection, Frames, Position
from detectors import wear
from detectors.burst import Breaker
from detectors.features import Frame, Head
from detectors.health import FAULTS, look, mark, quarantined
from detectors.health import step as step_health
from detectors.report import Stamp, detection
from detectors.ring import PRE_S, Ring
from detectors.watch import Decision, Watch
from detectors.window import Window

VERSION = "1"

I64 = npt.NDArray[np.int64]


class Fleet:
    """The state of every helmet, in arrays; only helmets with an open candidate have an object of their own."""

    def __init__(self, params: Params | None = None) -> None:
        self._params = Params() if params is None else params
        digest = hashlib.blake2b(self._params.model_dump_json().encode(), digest_size=4).hexdigest()
        self._name = f"{VERSION}-{digest}"
        self._rings: dict[int, Ring] = {}
        """By number; `_numbers` says which rate, range and scale has which."""
        self._numbers: dict[tuple[int, float, float], int] = {}
        self._tracks = np.zeros(0, np.int64)
        """Sorted; the next two are where each lives."""
        self._ring_of = np.zeros(0, np.int64)
        self._slot_of = np.zeros(0, np.int64)
        self._watches: dict[tuple[int, int], Watch] = {}
        self._counts: Counter[str] = Counter()
        self._breaker = Breaker(self._params.burst_alerts)
        self._now_us = 0

    def __len__(self) -> int:
        return len(self._tracks)

    @property
    def nbytes(self) -> int:
        """Bytes of the memory reserved for helmets, without those of open candidates."""
        own = self._tracks.nbytes + self._ring_of.nbytes + self._slot_of.nbytes
        return own + sum(ring.nbytes for ring in self._rings.values())

    def push(self, frames: Frames, track: I64, index: I64, now_us: int) -> list[Detection]:
        """Takes frames of many helmets and decides what they complete.

        `track[k]` names the continuous run of samples row k belongs to, `index[k]` the number of its first sample
        in that run. A track may stand in several rows, in order. Samples seen before change nothing; holes in the
        numbering are missing data. `now_us` only stamps.
        """
        self._now_us = now_us
        out: list[Detection] = []
        for rows in _rounds(track):
            out += self._round(frames, rows, track[rows], index[rows])
        return self._breaker.sift(out, len(self), now_us)

    def advance(self, now_us: int) -> list[Detection]:
        """Decides for helmets that fell silent with an open candidate; they may come back."""
        self._now_us = now_us
        out: list[Detection] = []
        limit_us = now_us - int(self._params.silence_s * 1e6)
        for (kind, slot), watch in self._watches.items():
            ring = self._rings[kind]
            if not watch.silenced and ring.received_us[slot] < limit_us:
                out += self._word(watch, ring, watch.settle())
        return self._breaker.sift(out, len(self), now_us)

    def health(self) -> dict[str, int]:
        """How often each fault began since the start, and `held`, the incidents a burst holds back now."""
        names = (*FAULTS, "gaps", "repeats", "wear_stuck", "wear_bouncing", "unworn_rides")
        own = {name: self._counts[name] for name in names}
        return own | {"bursts": self._breaker.trips, "held": self._breaker.held}

    def faults(self, track: int) -> list[str]:
        """The faults of one helmet's sensor as of its last frame; an unknown track has none."""
        at = int(np.searchsorted(self._tracks, track))
        if at == len(self._tracks) or self._tracks[at] != track:
            return []
        bits = int(self._rings[int(self._ring_of[at])].health["faults"][self._slot_of[at]])
        return [name for k, name in enumerate(FAULTS) if bits >> k & 1]

    def forget(self, track: int) -> list[Detection]:
        """Ends a track: open candidates decide with what they have. An unknown track is no error."""
        at = int(np.searchsorted(self._tracks, track))
        if at == len(self._tracks) or self._tracks[at] != track:
            return []
        kind, slot = int(self._ring_of[at]), int(self._slot_of[at])
        ring = self._rings[kind]
        watch = self._watches.pop((kind, slot), None)
        out = [] if watch is None else self._word(watch, ring, watch.settle())
        ring.release(slot)
        self._tracks = np.delete(self._tracks, at)
        self._ring_of = np.delete(self._ring_of, at)
        self._slot_of = np.delete(self._slot_of, at)
        return out

    def _round(self, frames: Frames, rows: I64, track: I64, index: I64) -> list[Detection]:
        """Rows of distinct tracks."""
        kind = self._kind_of(frames, rows)
        out = self._place(track, kind)
        at = np.searchsorted(self._tracks, track)
        for k in np.unique(kind).tolist():
            mine = kind == k
            out += self._write(k, frames, rows[mine], self._slot_of[at[mine]], index[mine])
        return out

    def _kind_of(self, frames: Frames, rows: I64) -> I64:
        keys = np.stack(
            [
                frames.period_ns[rows].astype(np.float64),
                frames.full_scale_g[rows].astype(np.float64),
                frames.g_per_count[rows].astype(np.float64),
            ],
            1,
        )
        if (keys == keys[0]).all():
            distinct, inverse = keys[:1], np.zeros(len(keys), np.int64)
        else:
            distinct, inverse = np.unique(keys, axis=0, return_inverse=True)
        wanted = [(int(period_ns), *rest) for period_ns, *rest in distinct.tolist()]
        for key in wanted:
            if key not in self._numbers:
                self._make_ring(key, wanted)
        numbers = np.array([self._numbers[key] for key in wanted], np.int64)
        return np.asarray(numbers[inverse.reshape(-1)])

    def _make_ring(self, key: tuple[int, float, float], wanted: list[tuple[int, float, float]]) -> None:
        """Memory for a new kind of part, in the place of one that no helmet has any more.

        Rate, range and scale are what helmets claim: without this, made-up kinds would fill the memory.
        """
        number = len(self._rings)
        for old, n in self._numbers.items():
            if not self._rings[n].used and old not in wanted:
                del self._numbers[old]
                number = n
                break
        self._numbers[key] = number
        self._rings[number] = Ring(*key, self._params.gate_g)

    def _place(self, track: I64, kind: I64) -> list[Detection]:
        """Gives every new track a slot; a track whose rate or range changed starts anew."""
        out: list[Detection] = []
        at = np.searchsorted(self._tracks, track)
        known = at < len(self._tracks)
        known[known] = self._tracks[at[known]] == track[known]
        moved = known.copy()
        moved[known] = self._ring_of[at[known]] != kind[known]
        for name in track[moved].tolist():
            out += self.forget(name)
        fresh = ~known | moved
        if fresh.any():
            slots = np.zeros(len(track), np.int64)
            for k in np.unique(kind[fresh]).tolist():
                mine = fresh & (kind == k)
                slots[mine] = self._rings[k].take(int(mine.sum()))
            order = np.argsort(np.concatenate([self._tracks, track[fresh]]), kind="stable")
            self._tracks = np.concatenate([self._tracks, track[fresh]])[order]
            self._ring_of = np.concatenate([self._ring_of, kind[fresh]])[order]
            self._slot_of = np.concatenate([self._slot_of, slots[fresh]])[order]
        return out

    def _write(self, kind: int, frames: Frames, rows: I64, slot: I64, index: I64) -> list[Detection]:
        ring = self._rings[kind]
        many = frames.acc.shape[1]
        new = index + many > ring.head[slot]
        if not new.all():
            self._counts["repeats"] += int((~new).sum())
            rows, slot, index = rows[new], slot[new], index[new]
        if not len(rows):
            return []
        mine = frames.rows(rows) if len(rows) < len(frames) else frames
        ring.note(slot, mine, index, self._observe(ring, slot, mine, index))
        lying = quarantined(ring.health["faults"][slot])
        out: list[Detection] = []
        skip = np.maximum(ring.head[slot] - index, 0)
        skip[ring.head[slot] < 0] = 0
        # Rows that partly repeat what is known go one by one; all others as one block.
        groups = [np.flatnonzero(skip == s) for s in np.unique(skip).tolist()]
        for group in groups:
            first = int(skip[group[0]])
            for start in range(first, many, ring.chunk):
                acc = frames.acc[rows[group], start : start + ring.chunk]
                begin = index[group] + start
                hot = ring.write(slot[group], begin, acc) & ~lying[group]
                for k in np.flatnonzero(hot).tolist():
                    row = group[k]
                    out += self._look(
                        kind, ring, frames, int(rows[row]), int(slot[row]), int(begin[k]), acc[k]
                    )
        return out

    def _observe(self, ring: Ring, slot: I64, frames: Frames, index: I64) -> npt.NDArray[np.uint8]:
        """Follows wear and health of the frames' helmets; what to take for worn."""
        self._counts["gaps"] += int(((index > ring.head[slot]) & (ring.head[slot] >= 0)).sum())
        seen = look(frames.acc, ring.fs_hz, ring.full_scale_g, ring.g_per_count)
        health = ring.health[slot]
        began = step_health(health, seen)
        ring.health[slot] = health
        if began.any():
            for k, name in enumerate(FAULTS):
                self._counts[name] += int((began >> k & 1).sum())
        row = ring.wear[slot]
        evidence = wear.Evidence(
            index * ring.period_ns // 1000 + 1,
            seen.seconds,
            frames.worn,
            frames.strap,
            seen.mean_g,
            seen.std_g,
            frames.speed_mps,
            ring.full_scale_g,
        )
        change = wear.step(row, evidence, self._params.riding_mps)
        ring.wear[slot] = row
        self._counts["wear_stuck"] += int(change.stuck.sum())
        self._counts["wear_bouncing"] += int(change.bouncing.sum())
        self._counts["unworn_rides"] += int(change.unworn_ride.sum())
        return wear.effective(row, frames.worn)

    def _look(
        self,
        kind: int,
        ring: Ring,
        frames: Frames,
        row: int,
        slot: int,
        index: int,
        acc: npt.NDArray[np.int16],
    ) -> list[Detection]:
        """Feeds one chunk to the helmet's watch, opening one where the gate fired."""
        watch = self._watches.get((kind, slot))
        context = [Frame(*f) for f in ring.context(slot)]
        newest = context[-1]._replace(head=_head(frames, row))
        if watch is None:
            onset = index + int(ring.hits(acc)[0])
            base = max(onset - int(np.ceil(PRE_S * ring.fs_hz)), int(ring.begin[slot]))
            window = Window(base, *ring.read(slot, base), ring.fs_hz, ring.g_per_count, ring.most_counts)
            watch = Watch(window, ring.full_scale_g, self._params, [*context[:-1], newest], scan=onset)
            self._watches[kind, slot] = watch
            ring.watched[slot] = True
        else:
            watch.window.append(index, acc)
            if watch.frames[-1].start != newest.start:
                watch.frames.append(newest)
        out = self._word(watch, ring, watch.feed())
        if ((acc > ring.most_counts) | (acc < -ring.most_counts)).any():
            self._counts["out_of_range"] += mark(ring.health, slot, "out_of_range")
        for _ in range(watch.take_spikes()):
            mark(ring.health, slot, "spikes")
        if watch.done():
            del self._watches[kind, slot]
            ring.watched[slot] = False
        return out

    def _word(self, watch: Watch, ring: Ring, decisions: list[Decision]) -> list[Detection]:
        last = next(f.head for f in reversed(watch.frames) if f.head is not None)
        stamp = Stamp(
            ring.period_ns,
            ring.full_scale_g,
            ring.g_per_count,
            last,
            self._now_us,
            int(self._params.late_s * 1e6),
            self._name,
        )
        return [detection(decision, watch.window, stamp) for decision in decisions]


def _rounds(track: I64) -> list[I64]:
    """Rows in rounds in which every track stands at most once, keeping each track's order."""
    if not len(track):
        return []
    order = np.argsort(track, kind="stable")
    first = np.concatenate([[True], track[order][1:] != track[order][:-1]])
    if first.all():
        return [np.arange(len(track))]
    starts = np.maximum.accumulate(np.where(first, np.arange(len(track)), 0))
    rank = np.empty(len(track), np.int64)
    rank[order] = np.arange(len(track)) - starts
    by_rank = np.argsort(rank, kind="stable")
    return np.split(by_rank, np.flatnonzero(np.diff(rank[by_rank])) + 1)


def _head(frames: Frames, row: int) -> Head:
    lat = float(frames.lat_deg[row])
    position = None
    if lat == lat:
        position = Position(
            lat,
            float(frames.lon_deg[row]),
            _known(float(frames.accuracy_m[row])),
            _known(float(frames.position_age_s[row])),
        )
    return Head(
        frames.helmet[row],
        int(frames.boot[row]),
        int(frames.seq[row]),
        int(frames.t0_us[row]),
        int(frames.received_us[row]),
        position,
    )


def _known(value: float) -> float | None:
    return value if value == value else None
