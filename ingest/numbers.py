"""Which frames of each helmet were seen, by boot and sequence number, so that a repeated one changes nothing.

Kept as ranges without a hole, the way receivers of QUIC keep packet numbers (RFC 9000, section 13.2.3): a helmet
that sends in order is one range, however long it lives.
"""

import struct
from bisect import bisect_left
from collections import OrderedDict
from itertools import chain

import numpy as np

_RANGES = 32
"""Ranges kept of one boot; of what lies below the lowest nothing is known, and a frame from there counts as new."""
_BOOTS = 4
"""Boots of one helmet that are remembered."""
_HEAD = struct.Struct("<II")
_ENTRY = np.dtype([("helmet", "S24"), ("boot", "<u4"), ("bounds", "<u4")])


class Numbers:
    """Remembers the numbers of at most `helmets_max` helmets; beyond it the longest silent one is forgotten."""

    def __init__(self, helmets_max: int) -> None:
        self._helmets_max = helmets_max
        # For each boot the bounds of its ranges, ascending: first, last, first, last, …
        self._seen: OrderedDict[str, dict[int, list[int]]] = OrderedDict()

    def is_new(self, helmet: str, boot: int, seq: int) -> bool:
        """Whether a frame was not seen before; notes that it is seen now."""
        boots = self._seen.get(helmet)
        if boots is None:
            self._seen[helmet] = {boot: [seq, seq]}
            if len(self._seen) > self._helmets_max:
                self._seen.popitem(last=False)
            return True
        self._seen.move_to_end(helmet)
        bounds = boots.get(boot)
        if bounds is None:
            if len(boots) == _BOOTS:
                del boots[min(boots)]
            boots[boot] = [seq, seq]
            return True
        if seq == bounds[-1] + 1:
            bounds[-1] = seq
            return True
        return _insert(bounds, seq)

    def dump(self) -> bytes:
        """Everything remembered, for `load`: 32 bytes for each boot and 8 for each range."""
        entries = sum(map(len, self._seen.values()))
        table = np.empty(entries, _ENTRY)
        table["helmet"] = [helmet for helmet, boots in self._seen.items() for _ in boots]
        table["boot"] = list(chain.from_iterable(self._seen.values()))
        ranges = [bounds for boots in self._seen.values() for bounds in boots.values()]
        table["bounds"] = list(map(len, ranges))
        flat = np.fromiter(chain.from_iterable(ranges), np.uint32)
        return _HEAD.pack(entries, len(flat)) + table.tobytes() + flat.tobytes()

    def load(self, dumped: bytes) -> None:
        """Remembers what was dumped, and nothing else. Raises ValueError where it is no whole dump."""
        if len(dumped) < _HEAD.size:
            raise ValueError("shorter than its head")
        entries, bounds = _HEAD.unpack_from(dumped)
        if len(dumped) != _HEAD.size + entries * _ENTRY.itemsize + bounds * 4:
            raise ValueError("the length does not fit the head")
        table = np.frombuffer(dumped, _ENTRY, entries, _HEAD.size)
        values = np.frombuffer(dumped, "<u4", bounds, len(dumped) - bounds * 4).tolist()
        self._seen.clear()
        at = 0
        for helmet, boot, count in table.tolist():
            self._seen.setdefault(helmet.decode(), {})[boot] = values[at : at + count]
            at += count
        while len(self._seen) > self._helmets_max:
            self._seen.popitem(last=False)


def _insert(bounds: list[int], seq: int) -> bool:
    """Adds a number to ranges; False where it is in one of them."""
    k = bisect_left(bounds, seq)
    # An odd place is inside a range; an even one is between two, or on the first number of the next.
    if k % 2 or (k < len(bounds) and bounds[k] == seq):
        return False
    joins_below = k > 0 and bounds[k - 1] == seq - 1
    joins_above = k < len(bounds) and bounds[k] == seq + 1
    if joins_below and joins_above:
        del bounds[k - 1 : k + 1]
    elif joins_below:
        bounds[k - 1] = seq
    elif joins_above:
        bounds[k] = seq
    else:
        bounds[k:k] = [seq, seq]
        if len(bounds) > 2 * _RANGES:
            del bounds[:2]
    return True
