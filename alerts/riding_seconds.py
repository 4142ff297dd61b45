"""Seconds of a helmet in quarters of an hour: one `core.model.Riding` each, as arrays and as packed bytes."""

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from alerts.duty import Interval
from core.model import Riding, RidingLog

U8 = npt.NDArray[np.uint8]

QUARTER_S = 900
"""Every time zone's midnight is at a quarter of an hour of UTC (IANA tzdata), so a quarter is of one day."""


def spread(log: RidingLog, quarters: dict[int, U8]) -> None:
    """Writes a log into the quarters of an hour that it touches."""
    states = np.frombuffer(log.states.encode("ascii"), np.uint8) - np.uint8(ord("0"))
    quarter, at = divmod(log.start_us // 1_000_000, QUARTER_S)
    while len(states):
        part, states = states[: QUARTER_S - at], states[QUARTER_S - at :]
        row = quarters.setdefault(quarter, np.zeros(QUARTER_S, np.uint8))[at : at + len(part)]
        np.maximum(row, part, out=row)
        quarter, at = quarter + 1, 0


def intervals(start_s: int, states: U8) -> Iterator[Interval]:
    """The stretches of known riding and known rest; riding that is not known to be worn is neither (`alerts.duty`)."""
    ends = np.flatnonzero(np.diff(states, append=np.uint8(255))) + 1
    begin = 0
    for end, state in zip(ends.tolist(), states[ends - 1].tolist(), strict=True):
        if state in (Riding.NOT, Riding.WORN):
            yield Interval((start_s + begin) * 1_000_000, (start_s + end) * 1_000_000, state == Riding.WORN)
        begin = end


def packed(states: U8) -> bytes:
    """A quarter for the file."""
    return zlib.compress(states.tobytes(), 1)


def unpacked(states: bytes) -> U8:
    """A quarter from the file."""
    try:
        return np.frombuffer(zlib.decompress(states).ljust(QUARTER_S, b"\0")[:QUARTER_S], np.uint8)
    except zlib.error:
        return np.zeros(QUARTER_S, np.uint8)  # a damaged block: nothing is known of it any more


@lru_cache(maxsize=1000)
def day_of(quarter: int, zone: tzinfo) -> str:
    """The day of a quarter (counted since 1970) in a zone, as YYYY-MM-DD."""
    return datetime.fromtimestamp(quarter * QUARTER_S, UTC).astimezone(zone).date().isoformat()
