"""Stage 1: the last seconds of every helmet of one kind, and the gate over all their samples at once.

Samples lie in a ring addressed by their number in the track, so writing the same samples twice changes nothing
and no filter has to be carried from chunk to chunk.
"""

import numpy as np
import numpy.typing as npt

from core.model import Frames
from detectors import runs
from detectors.calibration import CALIBRATION
from detectors.gyro import GYRO
from detectors.health import HEALTH
from detectors.noise import NOISE
from detectors.past import LASTING, PAST, order
from detectors.riding import Book
from detectors.spin import SpinRing
from detectors.wear import WEAR, resumed
from detectors.window import most_counts

PRE_S = 10.0
"""Seconds before an impact that its features and its trace need."""
RING_S = 11.1
"""What is before an impact, and a frame of 1 s in one piece."""
CONTEXT_S = 10.0
"""Speeds of so long before an impact say whether it rode."""
CONTEXT = 16
"""Stretches whose speed and wear are remembered. Frames shorter than a fifteenth of `CONTEXT_S` share one while the
wear stays the same, with the first speed that one of them knows; so the newest 16 always reach back `CONTEXT_S`."""

_PER_SLOT = (
    *("counts", "_missing", "head", "begin", "received_us", "watched", "_hole"),
    *("frame_index", "frame_end", "frame_speed", "frame_worn", "_frames", "epoch_us"),
    *("newest", "learned", "clock_us", "wear", "health", "noise", "calibration", "gyro"),
)

I64 = npt.NDArray[np.int64]


class Ring:
    """Memory of many helmets with the same rate, range and scale: 8 kB each at 100 Hz, 9.5 kB with a gyroscope."""

    def __init__(self, period_ns: int, full_scale_g: float, g_per_count: float, gate_g: float) -> None:
        self.period_ns = period_ns
        self.fs_hz = 1e9 / period_ns
        self.full_scale_g = full_scale_g
        self.g_per_count = g_per_count
        self.length = int(np.ceil(RING_S * self.fs_hz)) + 2
        self.chunk = max(1, int(self.fs_hz * (RING_S - PRE_S)))
        """Most samples written at once, so that a hit in the first still has its past in the ring."""
        self.most_counts = most_counts(full_scale_g, g_per_count)
        self._entry = CONTEXT_S / (CONTEXT - 1) * self.fs_hz
        """Samples from which a stretch of context is long enough."""
        self._gate = np.float32((gate_g / g_per_count) ** 2)
        self.counts = np.zeros((0, self.length, 3), np.int16)
        self.head = np.zeros(0, np.int64)
        """Number of the next sample, -1 before the first."""
        self.begin = np.zeros(0, np.int64)
        """Number of the track's first sample."""
        self._missing = np.zeros((0, -(-self.length // 8)), np.uint8)
        """A bit for each sample of the ring."""
        self._hole = np.zeros(0, np.int64)
        """Number of the sample after the newest hole; the flags above matter only within a ring's length of it."""
        self.received_us = np.zeros(0, np.int64)
        self.watched = np.zeros(0, np.bool_)
        """Helmets with an open candidate: their samples are wanted whatever the gate says."""
        self.frame_index = np.zeros((0, CONTEXT), np.int64)
        self.frame_end = np.zeros((0, CONTEXT), np.int64)
        self.frame_speed = np.zeros((0, CONTEXT), np.float32)
        self.frame_worn = np.zeros((0, CONTEXT), np.uint8)
        self._frames = np.zeros(0, np.int64)
        self.epoch_us = np.zeros(0, np.int64)
        """Device time of sample 0, by the track's first frame: from there on samples are counted."""
        self.newest = np.zeros(0, np.uint64)
        """Boot and number of the newest frame, as `order` puts them."""
        self.learned = np.zeros(0, np.uint64)
        """What the frames before this one teach was learned before their track began; 0 where nothing was."""
        self.clock_us = np.zeros(0, np.int64)
        """When the newest frame ended by the helmet's own clock; counted samples drift away from it."""
        self.wear = np.zeros(0, WEAR)
        self.health = np.zeros(0, HEALTH)
        self.noise = np.zeros(0, NOISE)
        self.calibration = np.zeros(0, CALIBRATION)
        self.gyro = np.zeros(0, GYRO)
        self.spin = SpinRing(self.fs_hz, self.chunk)
        self.riding = Book()
        self._free: list[int] = []

    @property
    def used(self) -> int:
        """How many helmets live here."""
        return len(self.head) - len(self._free)

    @property
    def nbytes(self) -> int:
        """Bytes of all slots, used or not."""
        return (
            self.spin.nbytes + self.riding.nbytes + sum(int(getattr(self, name).nbytes) for name in _PER_SLOT)
        )

    def take(self, many: int) -> I64:
        """Reserves slots, growing the memory by doubling."""
        short = many - len(self._free)
        if short > 0:
            old = len(self.head)
            new = max(old + short, 2 * old)
            for name in _PER_SLOT:
                array = getattr(self, name)
                grown = np.zeros((new, *array.shape[1:]), array.dtype)
                grown[:old] = array
                setattr(self, name, grown)
            self._free += range(new - 1, old - 1, -1)
        slots = np.array([self._free.pop() for _ in range(many)], np.int64)
        self.head[slots] = -1
        self._missing[slots] = 0
        self._hole[slots] = -self.length
        self.received_us[slots] = 0
        self.watched[slots] = False
        self._frames[slots] = 0
        self.gyro[slots] = np.zeros(1, GYRO)
        self.newest[slots] = self.learned[slots] = 0
        for name, kind in LASTING.items():
            getattr(self, name)[slots] = np.zeros(1, kind)
        self.spin.forget(slots)
        return slots

    def release(self, slot: int) -> None:
        """Gives a slot back."""
        self.watched[slot] = False
        self._free.append(slot)

    def past(self, slots: I64) -> npt.NDArray[np.void]:
        """What is known of the helmets in some slots beyond their samples, rows of `PAST`."""
        rows = np.zeros(len(slots), PAST)
        for name in ("newest", "clock_us", *LASTING):
            rows[name] = getattr(self, name)[slots]
        return rows

    def learn(self, slots: I64, past: npt.NDArray[np.void]) -> None:
        """Gives slots what `past` says of their helmets' sensors."""
        for name in LASTING:
            getattr(self, name)[slots] = past[name]

    def inherit(self, slot: int, past: np.void, first: int, start_us: int) -> None:
        """Gives a slot the past of its helmet, whose new track starts with frame `first` at `start_us` by its clock.

        A track that starts within that past is a restart's: what comes again up to its newest frame teaches nothing.
        """
        self.learn(np.array([slot]), np.array([past]))
        clock_us, newest = int(past["clock_us"]), int(past["newest"])
        silent_us = start_us - clock_us
        if first <= newest:
            self.newest[slot], self.learned[slot] = newest, newest + 1
            self.clock_us[slot] = start_us = clock_us
            silent_us = 0
        resumed(self.wear[slot : slot + 1], start_us, silent_us)

    def note(self, slot: I64, frames: Frames, index: I64, worn: npt.NDArray[np.uint8]) -> None:
        """Remembers number, arrival, speed and wear of one frame for each slot."""
        ends = index + frames.acc.shape[1]
        last = (self._frames[slot] - 1) % CONTEXT
        short = self.frame_end[slot, last] - self.frame_index[slot, last] < self._entry
        more = short & (self._frames[slot] > 0) & (self.frame_end[slot, last] == index)
        more &= self.frame_worn[slot, last] == worn
        at = np.where(more, last, self._frames[slot] % CONTEXT)
        speed = self.frame_speed[slot, last]
        self.frame_speed[slot, at] = np.where(more & ~np.isnan(speed), speed, frames.speed_mps)
        self.frame_index[slot, at] = np.where(more, self.frame_index[slot, last], index)
        self.frame_end[slot, at] = ends
        self.frame_worn[slot, at] = worn
        self._frames[slot] += ~more
        self.received_us[slot] = np.maximum(self.received_us[slot], frames.received_us)
        number = order(frames.boot, frames.seq)
        ends_us = frames.t0_us + frames.acc.shape[1] * self.period_ns // 1000
        self.clock_us[slot] = np.where(number >= self.newest[slot], ends_us, self.clock_us[slot])
        self.newest[slot] = np.maximum(self.newest[slot], number)

    def write(self, slot: I64, index: I64, acc: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
        """Writes at most `chunk` new samples for each (distinct) slot; says where somebody has to look.

        `acc` is (K, n, 3) and starts at sample `index`, at or after the slot's head; a hole before it is a gap.
        """
        many = acc.shape[1]
        for k in np.flatnonzero(index != self.head[slot]).tolist():
            self._tear(int(slot[k]), int(index[k]))
        runs.write(self.counts, slot, index, acc)
        holed = index - self._hole[slot] < self.length
        if holed.any():
            self._flag(slot[holed], index[holed, None] + np.arange(many), False)
        self.head[slot] = index + many
        part = acc.astype(np.float32)
        part *= part
        hot = ((part[..., 0] + part[..., 1] + part[..., 2]) >= self._gate).any(1)
        return np.asarray(hot | self.watched[slot])

    def fill(self, slot: int, index: int, acc: npt.NDArray[np.int16]) -> npt.NDArray[np.intp]:
        """Writes those of (n, 3) samples before the head that are missing; says which, none for samples seen before."""
        number = index + np.arange(len(acc))
        oldest = max(int(self.begin[slot]), int(self.head[slot]) - self.length)
        within = (number >= oldest) & (number < self._hole[slot])
        new = np.flatnonzero(within & self._flags(slot, number))
        self.counts[slot, number[new] % self.length] = acc[new]
        self._flag(np.array([slot]), number[None, new], False)
        return new

    def _tear(self, slot: int, index: int) -> None:
        """Starts a track, or marks the samples between its head and `index` as missing."""
        if self.head[slot] < 0:
            self.begin[slot] = index
            return
        hole = np.arange(max(int(self.head[slot]), index - self.length), index)
        self._flag(np.array([slot]), hole[None], True)
        self.counts[slot, hole % self.length] = 0
        self._hole[slot] = index

    def _flag(self, slot: I64, number: I64, missing: bool) -> None:
        """Says of some samples, (K, n) by their number, of distinct slots whether they are missing."""
        bits = np.unpackbits(self._missing[slot], axis=1, count=self.length)
        bits[np.arange(len(slot))[:, None], number % self.length] = missing
        self._missing[slot] = np.packbits(bits, axis=1)

    def _flags(self, slot: int, number: I64) -> npt.NDArray[np.bool_]:
        """Which samples of a slot are flagged as missing."""
        bits = np.unpackbits(self._missing[slot], count=self.length).astype(np.bool_)
        return np.asarray(bits[number % self.length])

    def hits(self, acc: npt.NDArray[np.int16]) -> npt.NDArray[np.intp]:
        """Which samples of (n, 3) counts pass the gate."""
        part = acc.astype(np.float32)
        part *= part
        return np.flatnonzero((part[:, 0] + part[:, 1] + part[:, 2]) >= self._gate)

    def read(self, slot: int, start: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_]]:
        """The samples from number `start` to the head, (n, 3) counts, and which of them are missing."""
        number = np.arange(start, int(self.head[slot]))
        missing = self._flags(slot, number) & (start - self._hole[slot] < self.length)
        return self.counts[slot, number % self.length], missing

    def context(self, slot: int) -> list[tuple[int, int, float, int]]:
        """(first sample, sample after the last, speed, worn) of what is remembered, oldest first."""
        known = min(int(self._frames[slot]), CONTEXT)
        order = (int(self._frames[slot]) - known + np.arange(known)) % CONTEXT
        return list(
            zip(
                self.frame_index[slot, order].tolist(),
                self.frame_end[slot, order].tolist(),
                self.frame_speed[slot, order].tolist(),
                self.frame_worn[slot, order].tolist(),
                strict=True,
            )
        )
