"""What waits in the journal for the store, counted in memory: the bound costs no query."""

from typing import NamedTuple


class Block(NamedTuple):
    """An entry of the journal's table `telemetry`."""

    size: int
    """Bytes."""
    rows: int
    samples: bool
    """Whether these are raw samples of incidents and observed helmets, not routine telemetry."""


class Backlog:
    """Blocks by their id, in the order in which they came."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._routine: dict[int, Block] = {}
        self._samples: dict[int, Block] = {}
        self._bytes = 0
        self.rows = 0

    def add(self, blocks: dict[int, Block]) -> None:
        """Counts blocks as waiting."""
        for number, block in blocks.items():
            (self._samples if block.samples else self._routine)[number] = block
            self._bytes += block.size
            self.rows += block.rows

    def strike_off(self, number: int) -> int:
        """Stops counting a block; how many rows it had, 0 where it was struck off before."""
        block = self._routine.pop(number, None) or self._samples.pop(number, None)
        if block is None:
            return 0
        self._bytes -= block.size
        self.rows -= block.rows
        return block.rows

    def excess(self, new: dict[int, Block]) -> list[int]:
        """What must go to make room for new blocks: the oldest telemetry, and samples when no telemetry is left."""
        over = self._bytes + sum(block.size for block in new.values()) - self._max_bytes
        gone = list[int]()
        for kind in (self._routine, self._samples):
            for number, block in kind.items():
                if over <= 0:
                    return gone
                gone.append(number)
                over -= block.size
        return gone
