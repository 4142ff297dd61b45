"""All helmets of one worker: frames in, detections out. No clock, no I/O; chunking changes nothing."""

import hashlib
from collections import Counter, deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.config import Detection as Params
from core.model import Detection, Frames, RidingLog
from detectors import calibration, spin, wear
from detectors.features import Frame, Head
from detectors.health import mark, named, quarantined
from detectors.observe import COUNTED, observe
from detectors.places import Places, rounds
from detectors.reminders import Author, not_worn
from detectors.report import Stamp, detection, position
from detectors.riding import LOG_S, Logs
from detectors.ring import PRE_S, Ring
from detectors.watch import Decision, Watch
from detectors.window import Window

VERSION = "1"

_LOGS_MAX = 200_000
"""Most riding logs kept for somebody to take; of more the oldest go."""
_LATE_S = 30
"""A log that has waited so long for its helmet's next second is finished without it."""

I64 = npt.NDArray[np.int64]


class Said(NamedTuple):
    """One frame, where it starts in its track, and what to take for worn."""

    frames: Frames
    row: int
    start: int
    worn: int

    def frame(self) -> Frame:
        """What a watch needs of it besides motion."""
        frames, row = self.frames, self.row
        head = Head(
            frames.helmet[row],
            int(frames.boot[row]),
            int(frames.seq[row]),
            int(frames.t0_us[row]),
            int(frames.received_us[row]),
            position(frames, row),
        )
        end = self.start + frames.acc.shape[1]
        return Frame(self.start, end, float(frames.speed_mps[row]), self.worn, head)


class Fleet:
    """The state of every helmet, in arrays; only helmets with an open candidate have an object of their own."""

    def __init__(self, params: Params | None = None) -> None:
        self._params = Params() if params is None else params
        digest = hashlib.blake2b(self._params.model_dump_json().encode(), digest_size=4).hexdigest()
        self._name = f"{VERSION}-{digest}"
        self._options = {
            name: float(value) for name, value in self._params.model_dump(exclude_defaults=True).items()
        }
        self._places = Places(self._params.gate_g)
        self._watches: dict[tuple[int, int], Watch] = {}
        self._spins: dict[tuple[int, int], Window] = {}
        """Angular rate around open candidates."""
        self._counts: Counter[str] = Counter()
        self._reminders: list[Detection] = []
        self._now_us = 0
        self._logs: deque[RidingLog] = deque(maxlen=_LOGS_MAX)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def nbytes(self) -> int:
        """Bytes of the memory reserved for helmets, without those of open candidates."""
        return self._places.nbytes

    def push(self, frames: Frames, track: I64, index: I64, now_us: int) -> list[Detection]:
        """Takes frames of many helmets and decides what they complete.

        `track[k]` names the continuous run of samples row k belongs to, `index[k]` the number of its first sample
        in that run. A track may stand in several rows, in order. Samples seen before change nothing; holes in the
        numbering are missing data until samples come that fill them. `now_us` only stamps.
        """
        self._now_us = now_us
        out: list[Detection] = []
        for rows in rounds(track):
            out += self._round(frames, rows, track[rows], index[rows])
        reminders, self._reminders = self._reminders, []
        return out + reminders

    def advance(self, now_us: int) -> list[Detection]:
        """Decides for helmets that fell silent with an open candidate; they may come back."""
        self._now_us = now_us
        out: list[Detection] = []
        limit_us = now_us - int(self._params.silence_s * 1e6)
        for (kind, slot), watch in self._watches.items():
            ring = self._places.rings[kind]
            if not watch.silenced and ring.received_us[slot] < limit_us:
                out += self._word(kind, slot, watch, watch.settle())
        return out

    def health(self) -> dict[str, int]:
        """How often each fault began since the start."""
        return {name: self._counts[name] for name in COUNTED}

    def faults(self, track: int) -> list[str]:
        """The faults of one helmet's sensors as of its last frame; an unknown track has none."""
        place = self._places.find(track)
        if place is None:
            return []
        return self._faults(place.kind, np.array([place.slot]))[0]

    def faulty(self) -> dict[str, list[str]]:
        """The helmets that have faults as of their last frame, and which."""
        out: dict[str, list[str]] = {}
        for kind, ring in self._places.rings.items():
            bad = ring.health["faults"] != 0
            for mask in wear.faulty(ring.wear).values():
                bad |= mask
            slots = np.flatnonzero(bad)
            if len(slots):
                names = self._places.helmets(kind, slots)
                out |= {n: f for n, f in zip(names, self._faults(kind, slots), strict=True) if n}
        return out

    def riding(self, now_us: int) -> list[RidingLog]:
        """What the helmets did, in logs finished since the last call, and those of helmets that fell silent."""
        for kind, ring in self._places.rings.items():
            slots = ring.riding.old(now_us // 1_000_000 - LOG_S - _LATE_S)
            if len(slots):
                names = [name for _, name in self._places.tenants(kind, slots)]
                self._log(ring.riding.close(slots), names)
        return [self._logs.popleft() for _ in range(len(self._logs))]

    def forget(self, *tracks: int) -> list[Detection]:
        """Ends tracks: open candidates decide with what they have. An unknown track is no error."""
        known = self._places.known(list(tracks))
        out: list[Detection] = []
        for track in known if self._watches else []:
            place = self._places.find(track)
            if place is not None:
                out += self._close(place)
        for kind, slots, names in self._places.homes(known):
            self._log(self._places.rings[kind].riding.close(slots), names)
        self._places.free(known)
        return out

    def learned(self, share: float) -> list[tuple[str, bytes]]:
        """What the sensors of the next helmets have taught, so many of all, to be kept for `remember`."""
        return self._places.learned(share)

    def remember(self, learned: list[tuple[str, bytes]]) -> int:
        """Takes up what an earlier fleet has learned, before the first frame; how much of it is of another version.

        The frames that it was learned from may come again, as they do when a restart repeats the last ones.
        """
        return self._places.remember(learned)

    def _close(self, place: tuple[int, int]) -> list[Detection]:
        """Ends the watch of a helmet, if there is one: it decides with what it has."""
        watch = self._watches.pop(place, None)
        out = [] if watch is None else self._word(*place, watch, watch.settle())
        self._spins.pop(place, None)
        self._places.rings[place[0]].watched[place[1]] = False
        return out

    def _log(self, logs: Logs, names: list[str]) -> None:
        """Keeps finished logs; `names` are those of their rows."""
        told = zip(logs.row.tolist(), logs.start_s.tolist(), logs.texts(), strict=True)
        self._logs.extend(
            RidingLog(names[row], start_s * 1_000_000, text)
            for row, start_s, text in told
            if start_s and names[row]
        )

    def _faults(self, kind: int, slots: I64) -> list[list[str]]:
        ring = self._places.rings[kind]
        bits = ring.health["faults"][slots].tolist()
        worn = {name: mask.tolist() for name, mask in wear.faulty(ring.wear[slots]).items()}
        return [named(own) + [name for name, mask in worn.items() if mask[k]] for k, own in enumerate(bits)]

    def _round(self, frames: Frames, rows: I64, track: I64, index: I64) -> list[Detection]:
        """Rows of distinct tracks."""
        kind = self._places.kind_of(frames, rows)
        out: list[Detection] = []
        out += self.forget(*self._places.moved(track, kind))
        self._places.settle(frames, rows, track, kind, index)
        slot = self._places.slots(track)
        for k in np.unique(kind).tolist():
            mine = kind == k
            out += self._write(k, frames, rows[mine], slot[mine], index[mine])
        return out

    def _write(self, kind: int, frames: Frames, rows: I64, slot: I64, index: I64) -> list[Detection]:
        ring = self._places.rings[kind]
        many = frames.acc.shape[1]
        new = index + many > ring.head[slot]
        out: list[Detection] = []
        if not new.all():
            for k in np.flatnonzero(~new).tolist():
                out += self._fill(kind, int(slot[k]), frames, int(rows[k]), int(index[k]))
            rows, slot, index = rows[new], slot[new], index[new]
        if not len(rows):
            return out
        mine = frames.rows(rows) if len(rows) < len(frames) else frames
        observed = observe(ring, slot, mine, index, self._params, self._counts)
        ring.note(slot, mine, index, observed.worn)
        for logs in observed.logs:
            self._log(logs, mine.helmet)
        if self._params.reminders:
            author = Author(self._now_us, int(self._params.late_s * 1e6), self._name)
            self._reminders += not_worn(ring, slot, mine, observed.unworn, author)
        lying = quarantined(ring.health["faults"][slot])
        for k in np.flatnonzero(lying & ring.watched[slot]).tolist():
            # It will get no samples that can be believed.
            out += self._close((kind, int(slot[k])))
        skip = np.maximum(ring.head[slot] - index, 0)
        skip[ring.head[slot] < 0] = 0
        # Rows that partly repeat what is known go one by one; all others as one block.
        groups = [np.flatnonzero(skip == s) for s in np.unique(skip).tolist()]
        for group in groups:
            first = int(skip[group[0]])
            for start in range(first, many, ring.chunk):
                part = slice(start, start + ring.chunk)
                acc = frames.acc[rows[group], part]
                begin = index[group] + start
                if frames.gyro is not None:
                    rates, scale = frames.gyro[rows[group], part], frames.rad_s_per_count[rows[group]]
                    ring.spin.write(slot[group], begin, rates, scale, len(ring.head))
                hot = ring.write(slot[group], begin, acc) & ~lying[group]
                for k in np.flatnonzero(hot).tolist():
                    row = group[k]
                    said = Said(frames, int(rows[row]), int(index[row]), int(observed.worn[row]))
                    out += self._look(kind, int(slot[row]), said, int(begin[k]), acc[k])
        return out

    def _fill(self, kind: int, slot: int, frames: Frames, row: int, index: int) -> list[Detection]:
        """A frame from before the newest: what is missing of it is looked at with all that came since."""
        ring, acc = self._places.rings[kind], frames.acc[row]
        new = ring.fill(slot, index, acc)
        if not len(new):
            self._counts["repeats"] += 1
            return []
        hot = len(ring.hits(acc[new])) > 0 or ring.watched[slot]
        if not hot or quarantined(ring.health["faults"][slot : slot + 1])[0]:
            return []
        worn = wear.effective_before(ring.wear[slot : slot + 1], frames.worn[row : row + 1])
        return self._look(kind, slot, Said(frames, row, index, int(worn[0])), index, acc)

    def _look(
        self, kind: int, slot: int, said: Said, index: int, acc: npt.NDArray[np.int16]
    ) -> list[Detection]:
        """Feeds one chunk to the helmet's watch, opening one where the gate fired."""
        ring, place = self._places.rings[kind], (kind, slot)
        watch = self._watches.get(place)
        newest = said.frame()
        if watch is None:
            onset = index + int(ring.hits(acc)[0])
            window = _window(ring, slot, onset)
            context = [Frame(*f) for f in ring.context(slot)]
            before = [f._replace(end=min(f.end, newest.start)) for f in context if f.start < newest.start]
            after = [f for f in context if f.start > newest.start]
            watch = Watch(window, ring.full_scale_g, self._params, [*before, newest, *after], scan=onset)
            self._watches[place] = watch
            ring.watched[slot] = True
        else:
            watch.take(index, acc, newest)
        self._turn(place, ring, watch.window.end, watch)
        out = self._word(kind, slot, watch, watch.feed())
        if ((acc > ring.most_counts) | (acc < -ring.most_counts)).any():
            self._counts["out_of_range"] += mark(ring.health, slot, "out_of_range")
        for _ in range(watch.take_spikes()):
            mark(ring.health, slot, "spikes")
        if watch.done():
            del self._watches[place]
            self._spins.pop(place, None)
            ring.watched[slot] = False
        return out

    def _turn(self, place: tuple[int, int], ring: Ring, end: int, watch: Watch) -> None:
        """Keeps the angular rate beside a watch's samples, where the helmet sends one and it is not dead."""
        latest = None if ring.gyro["dead"][place[1]] else ring.spin.window(place[1], end)
        if latest is None:
            return
        kept = self._spins.get(place)
        if kept is None:
            self._spins[place] = latest
            return
        kept.append(max(kept.end, latest.base), latest.counts(kept.end, end))
        kept.forget_before(watch.window.base)

    def _word(self, kind: int, slot: int, watch: Watch, decisions: list[Decision]) -> list[Detection]:
        ring, rates = self._places.rings[kind], self._spins.get((kind, slot))
        last = next(f.head for f in reversed(watch.frames) if f.head is not None)
        stamp = Stamp(
            ring.period_ns,
            ring.full_scale_g,
            ring.g_per_count,
            last,
            self._now_us,
            int(self._params.late_s * 1e6),
            self._name,
            self._options,
        )
        if rates is not None:
            decisions = [_with_rates(decision, rates) for decision in decisions]
        return [detection(decision, watch.window, watch.frames, stamp) for decision in decisions]


def _window(ring: Ring, slot: int, onset: int) -> Window:
    """The samples from before an onset, corrected where the part's offset and gain are known."""
    oldest = max(int(ring.begin[slot]), int(ring.head[slot]) - ring.length)
    base = max(onset - int(np.ceil(PRE_S * ring.fs_hz)), oldest)
    fix = calibration.fix(ring.calibration[slot], ring.full_scale_g)
    return Window(base, *ring.read(slot, base), ring.fs_hz, ring.g_per_count, ring.most_counts, fix)


def _with_rates(decision: Decision, rates: Window) -> Decision:
    """Adds what the gyroscope says; it decides nothing."""
    impacts = decision.incident.impacts
    turned = spin.metrics(rates, impacts[0].at, impacts[-1].at, decision.end)
    return decision._replace(features=decision.features | turned)
