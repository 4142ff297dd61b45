"""Which helmet lives where: tracks in slots of rings, and what a helmet's next track inherits from its last."""

import math
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.model import Frames
from detectors.past import order, pack, same_boot, unpack
from detectors.ring import Ring

I64 = npt.NDArray[np.int64]

_REMEMBERED = 100_000
"""Most helmets without a track whose past is kept."""


class Place(NamedTuple):
    """Where a track lives."""

    kind: int
    slot: int


class Places:
    """Slots for tracks. A helmet that comes back under a new track finds its wear state and calibration again."""

    def __init__(self, gate_g: float) -> None:
        self._gate_g = gate_g
        self.rings: dict[int, Ring] = {}
        """By number; `_numbers` says which rate, range and scale has which."""
        self._numbers: dict[tuple[int, float, float], int] = {}
        self._tracks = np.zeros(0, np.int64)
        """Sorted; the next two are where each lives."""
        self._ring_of = np.zeros(0, np.int64)
        self._slot_of = np.zeros(0, np.int64)
        self._helmet_of: dict[int, str] = {}
        self._track_of: dict[str, int] = {}
        """The newest track of each helmet."""
        self._past: OrderedDict[str, np.void] = OrderedDict()
        """Rows of `PAST`."""
        self._to_tell: list[str] = []
        """Helmets whose turn it is in this round of `learned`."""

    def __len__(self) -> int:
        return len(self._tracks)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays of all slots."""
        own = self._tracks.nbytes + self._ring_of.nbytes + self._slot_of.nbytes
        return own + sum(ring.nbytes for ring in self.rings.values())

    def find(self, track: int) -> Place | None:
        """Where a track lives, if it does."""
        at = int(np.searchsorted(self._tracks, track))
        if at == len(self._tracks) or self._tracks[at] != track:
            return None
        return Place(int(self._ring_of[at]), int(self._slot_of[at]))

    def slots(self, track: I64) -> I64:
        """The slots of tracks that have one."""
        return np.asarray(self._slot_of[np.searchsorted(self._tracks, track)])

    def helmets(self, kind: int, slots: I64) -> list[str]:
        """Who lives in some slots of a ring; a helmet's late track beside its live one is left out."""
        return [
            name if name and self._track_of.get(name) == track else ""
            for track, name in self.tenants(kind, slots)
        ]

    def tenants(self, kind: int, slots: I64) -> list[tuple[int, str]]:
        """The track in each of some slots of a ring, and its helmet; no name where a slot is empty."""
        here = np.flatnonzero(self._ring_of == kind)
        mine = here[np.isin(self._slot_of[here], slots)]
        track_at = dict(zip(self._slot_of[mine].tolist(), self._tracks[mine].tolist(), strict=True))
        tracks = [track_at.get(slot, -1) for slot in slots.tolist()]
        return [(track, self._helmet_of.get(track, "")) for track in tracks]

    def kind_of(self, frames: Frames, rows: I64) -> I64:
        """The ring each row's rate, range and scale belong to."""
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

    def moved(self, track: I64, kind: I64) -> list[int]:
        """Tracks whose rate, range or scale is not what it was: they have to start anew."""
        at, known = self._known(track)
        moved = known.copy()
        moved[known] = self._ring_of[at[known]] != kind[known]
        return [int(name) for name in track[moved]]

    def settle(self, frames: Frames, rows: I64, track: I64, kind: I64, index: I64) -> None:
        """Gives every track that has none a slot, with what is known of its helmet."""
        fresh = ~self._known(track)[1]
        if not fresh.any():
            return
        slots = np.zeros(len(track), np.int64)
        for k in np.unique(kind[fresh]).tolist():
            mine = fresh & (kind == k)
            slots[mine] = self.rings[k].take(int(mine.sum()))
        for row in np.flatnonzero(fresh).tolist():
            source = int(rows[row])
            zero_us = int(frames.t0_us[source] - index[row] * frames.period_ns[source] // 1000)
            ring, slot = self.rings[int(kind[row])], int(slots[row])
            ring.epoch_us[slot] = zero_us
            self._inherit(int(track[row]), frames, source, ring, slot)
        sort = np.argsort(np.concatenate([self._tracks, track[fresh]]), kind="stable")
        self._tracks = np.concatenate([self._tracks, track[fresh]])[sort]
        self._ring_of = np.concatenate([self._ring_of, kind[fresh]])[sort]
        self._slot_of = np.concatenate([self._slot_of, slots[fresh]])[sort]

    def known(self, tracks: list[int]) -> list[int]:
        """Those of some tracks that live here, each once."""
        distinct = list(dict.fromkeys(tracks))
        here = self._known(np.array(distinct, np.int64))[1].tolist()
        return [track for track, lives in zip(distinct, here, strict=True) if lives]

    def homes(self, tracks: list[int]) -> list[tuple[int, I64, list[str]]]:
        """Where tracks live that have a slot: by kind, their slots and their helmets."""
        at = np.searchsorted(self._tracks, np.array(tracks, np.int64))
        kinds, slots = self._ring_of[at], self._slot_of[at]
        groups = [(kind, np.flatnonzero(kinds == kind)) for kind in np.unique(kinds).tolist()]
        return [(kind, slots[g], [self._helmet_of[tracks[k]] for k in g.tolist()]) for kind, g in groups]

    def free(self, tracks: list[int]) -> None:
        """Gives the slots of distinct tracks back and keeps what their helmets' next tracks need."""
        at = np.searchsorted(self._tracks, np.array(tracks, np.int64))
        kinds, slots = self._ring_of[at], self._slot_of[at]
        for kind in np.unique(kinds).tolist():
            ring, mine = self.rings[kind], np.flatnonzero(kinds == kind)
            pasts = ring.past(slots[mine])
            for k, past in zip(mine.tolist(), pasts, strict=True):
                helmet = self._helmet_of.pop(tracks[k])
                if self._track_of.get(helmet) == tracks[k]:
                    del self._track_of[helmet]
                    self._past[helmet] = past.copy()
                ring.release(int(slots[k]))
        while len(self._past) > _REMEMBERED:
            self._past.popitem(last=False)
        self._tracks = np.delete(self._tracks, at)
        self._ring_of = np.delete(self._ring_of, at)
        self._slot_of = np.delete(self._slot_of, at)

    def learned(self, share: float) -> list[tuple[str, bytes]]:
        """What is known of the next helmets, so many of all, beyond their samples; one round after the other."""
        if not self._to_tell or share >= 1:
            self._to_tell = list(self._track_of)
        many = math.ceil(share * len(self._track_of))
        turn, self._to_tell = self._to_tell[:many], self._to_tell[many:]
        # Who has an older past beside a track sends data from before it: the past says more.
        turn = [helmet for helmet in turn if helmet in self._track_of and helmet not in self._past]
        at = np.searchsorted(self._tracks, np.array([self._track_of[helmet] for helmet in turn], np.int64))
        kinds, slots = self._ring_of[at], self._slot_of[at]
        out: list[tuple[str, bytes]] = []
        for kind in np.unique(kinds).tolist():
            mine = np.flatnonzero(kinds == kind)
            blocks = pack(self.rings[kind].past(slots[mine]))
            out += zip([turn[k] for k in mine.tolist()], blocks, strict=True)
        return out

    def remember(self, learned: list[tuple[str, bytes]]) -> int:
        """Takes up what `learned` has told, before the first frame; of how many another version has told it."""
        others = 0
        for helmet, block in learned[-_REMEMBERED:]:
            past = unpack(block)
            if past is None:
                others += 1
            else:
                self._past[helmet] = past
        return others

    def _known(self, track: I64) -> tuple[I64, npt.NDArray[np.bool_]]:
        at = np.searchsorted(self._tracks, track)
        known = at < len(self._tracks)
        known[known] = self._tracks[at[known]] == track[known]
        return np.asarray(at), known

    def _inherit(self, track: int, frames: Frames, row: int, ring: Ring, slot: int) -> None:
        """A track that begins before its helmet's newest frame brings old data: it starts without any state.

        Before by boot and number, as `ingest.sequence` says it: clocks are set back, and counted time runs ahead.
        Only where the helmet has no other track yet, and the boot is the same, is it a restart that repeats frames.
        """
        helmet = self._helmet_of[track] = frames.helmet[row]
        first = int(order(frames.boot[row : row + 1], frames.seq[row : row + 1])[0])
        pasts = [self._past[helmet]] if helmet in self._past else []
        if helmet in self._track_of:
            before = self.find(self._track_of[helmet])
            if before is not None:
                live = self.rings[before.kind].past(np.array([before.slot]))[0]
                if first < int(live["newest"]):
                    return
                pasts.append(live)
        self._track_of[helmet] = track
        usable = [p for p in pasts if int(p["newest"]) <= first or same_boot(int(p["newest"]), first)]
        if usable:
            self._past.pop(helmet, None)
            ring.inherit(slot, max(usable, key=lambda p: int(p["newest"])), first, int(frames.t0_us[row]))

    def _make_ring(self, key: tuple[int, float, float], wanted: list[tuple[int, float, float]]) -> None:
        """Memory for a new kind of part, in the place of one that no helmet has any more.

        Rate, range and scale are what helmets claim: without this, made-up kinds would fill the memory.
        """
        number = len(self.rings)
        for old, n in self._numbers.items():
            if not self.rings[n].used and old not in wanted:
                del self._numbers[old]
                number = n
                break
        self._numbers[key] = number
        self.rings[number] = Ring(*key, self._gate_g)


def rounds(track: I64) -> list[I64]:
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
