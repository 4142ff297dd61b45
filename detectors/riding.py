"""What each helmet does, second by second: whether it rides, and whether it is worn while it does.

A state is looked at in the middle of each second of the helmet's time, and of two words about one second the higher
counts. So the length of frames, the order in which data comes and how often it comes change nothing: what a restart
tells again is the same, and adding up is a maximum and a count (docs/decisions/0010-riding-second-by-second.md).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.model import Riding, Worn
from detectors.health import FAULTS

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

LOG_S = 60
"""Seconds in a log. Each slot's logs begin at a second of the minute of its own, so that not all end at once."""
_SECOND_US, _HALF_US = 1_000_000, 500_000
_CLOCK_US = 2_000_000
"""Counted samples say when a frame began, as long as the helmet's clock does not contradict them by more."""
_FRAME_MAX_S = 60
_BLIND = 1 << FAULTS.index("frozen") | 1 << FAULTS.index("units")
"""Faults with which shaking, or none, says nothing."""
_DIGIT = ord("0")


class Logs(NamedTuple):
    """Finished logs: the row of whose they are, their first second since 1970 (0: empty), (k, LOG_S) states."""

    row: I64
    start_s: I64
    states: U8

    def texts(self) -> list[str]:
        """The states as digits, one text a log."""
        whole = (self.states + np.uint8(_DIGIT)).tobytes().decode("ascii")
        return [whole[k : k + LOG_S] for k in range(0, len(whole), LOG_S)]


class Book:
    """The unfinished log of every slot of a ring."""

    def __init__(self) -> None:
        self._start_s = np.zeros(0, np.int64)
        """0: nothing yet."""
        self._states = np.zeros((0, LOG_S), np.uint8)

    @property
    def nbytes(self) -> int:
        """Bytes of all slots."""
        return self._start_s.nbytes + self._states.nbytes

    def note(self, slot: I64, start_us: I64, end_us: I64, states: U8, slots: int) -> list[Logs]:
        """Takes one frame for each of some distinct slots, of `slots` in all; which logs this finishes."""
        self._grow(slots)
        first, stop = (start_us + _HALF_US - 1) // _SECOND_US, (end_us + _HALF_US - 1) // _SECOND_US
        out = []
        for step in range(min(int((stop - first).max()), _FRAME_MAX_S)):
            here = np.flatnonzero(first + step < stop)
            second, at, state = first[here] + step, slot[here], states[here]
            place = (second - at) % LOG_S
            start_s = second - place
            over = np.flatnonzero((start_s != self._start_s[at]) & (self._start_s[at] != 0))
            if len(over):
                out.append(self.close(at[over])._replace(row=here[over]))
            self._start_s[at] = start_s
            self._states[at, place] = np.maximum(self._states[at, place], state)
        return out

    def close(self, slot: I64) -> Logs:
        """Finishes the logs of some slots, each a row."""
        logs = Logs(np.arange(len(slot)), self._start_s[slot], self._states[slot])
        self._start_s[slot] = 0
        self._states[slot] = Riding.UNHEARD
        return logs

    def old(self, before_s: int) -> I64:
        """The slots whose unfinished log began before a second since 1970."""
        return np.flatnonzero((self._start_s != 0) & (self._start_s < before_s))

    def _grow(self, slots: int) -> None:
        short = slots - len(self._start_s)
        if short > 0:
            self._start_s = np.concatenate([self._start_s, np.zeros(short, np.int64)])
            self._states = np.concatenate([self._states, np.zeros((short, LOG_S), np.uint8)])


def states(worn: U8, rides: Mask, carried: Mask, speed_known: Mask, faults: npt.NDArray[np.uint16]) -> U8:
    """What frames say, one of `Riding` each.

    Without a speed nobody can tell a ride from a walk: both shake a helmet, so what moves is unknown, and what does not
    move does not ride. A helmet beside its rider in a train is carried; one on a head never is.
    """
    on = np.where(worn == Worn.YES, Riding.WORN, np.where(worn == Worn.NO, Riding.BARE, Riding.UNKNOWN))
    moving = np.where(speed_known, np.where(carried & (worn != Worn.YES), Riding.NOT, on), Riding.UNKNOWN)
    blind = ~speed_known & ((faults & _BLIND) != 0)
    return np.where(blind, Riding.UNKNOWN, np.where(rides, moving, Riding.NOT)).astype(np.uint8)


def begin_us(counted_us: I64, claimed_us: I64) -> I64:
    """When frames began: by their samples, which leave no gaps, unless their clock has been set meanwhile."""
    return np.where(np.abs(claimed_us - counted_us) > _CLOCK_US, claimed_us, counted_us)
