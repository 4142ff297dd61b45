"""The truth of a run, to be held against what the system made of it: every frame, every PUBACK, every crash.

One JSON list a line; what was written before the process was killed can be read.

* `["run", scenario, seed, start_us]`
* `["frame", helmet, boot, seq, t0_us, sent_us]` when it is handed to the network
* `["acked", helmet, boot, seq]` when the broker's PUBACK has come
* `["given_up", helmet, boot, seq]` when a frame without PUBACK is kept no longer; it may or may not have arrived
* `["crash", helmet, t_us, kind, expected, boot, seq]` when the frame that holds the impact is handed over
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from types import TracebackType
from typing import Any, Self

Key = tuple[str, int, int]
"""Helmet, boot, seq."""


@dataclass(frozen=True, slots=True)
class Crash:
    """Something that happened, and what is expected to come of it: alert, none or cancel."""

    helmet: str
    t_us: int
    kind: str
    expected: str
    boot: int
    seq: int
    """The frame that holds the impact; where its acknowledgement is missing, nothing can be expected."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a ledger file says."""

    published: dict[Key, tuple[int, int]] = field(default_factory=dict)
    """Device time of the first sample and the moment the frame was first sent, in microseconds."""
    acked: set[Key] = field(default_factory=set)
    crashes: list[Crash] = field(default_factory=list)
    given_up: set[Key] = field(default_factory=set)


class LedgerWriter:
    """Writes the ledger of one run. Each `flush` hands the lines to the operating system; no fsync.

    Raises `FileExistsError` where the file already holds one: two runs in one ledger would be held against one broker.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.stat().st_size:
            raise FileExistsError(f"{path} holds the ledger of another run: move it away, or name a new one")
        self._file = path.open("w", encoding="utf-8")
        self._lines: list[str] = []

    def run(self, scenario: str, seed: int, start_us: int) -> None:
        """Notes the start of the run."""
        self._write(["run", scenario, seed, start_us])

    def frame(self, helmet: str, boot: int, seq: int, t0_us: int, sent_us: int) -> None:
        """Notes a frame that is handed to the network."""
        self._lines.append(f'["frame","{helmet}",{boot},{seq},{t0_us},{sent_us}]\n')

    def acked(self, helmet: str, boot: int, seq: int) -> None:
        """Notes the broker's acknowledgement."""
        self._lines.append(f'["acked","{helmet}",{boot},{seq}]\n')

    def given_up(self, helmet: str, boot: int, seq: int) -> None:
        """Notes that a frame without an acknowledgement is kept no longer."""
        self._lines.append(f'["given_up","{helmet}",{boot},{seq}]\n')

    def crash(self, crash: Crash) -> None:
        """Notes a true crash or another happening."""
        self._write(["crash", crash.helmet, crash.t_us, crash.kind, crash.expected, crash.boot, crash.seq])

    def _write(self, row: list[Any]) -> None:
        self._lines.append(json.dumps(row, ensure_ascii=False) + "\n")

    def flush(self) -> None:
        """Hands everything noted so far to the operating system: it then survives our death."""
        if self._lines:
            self._file.write("".join(self._lines))
            self._file.flush()
            self._lines.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()
        self._file.close()


def read_ledger(path: Path) -> Ledger:
    """Reads a ledger file; a last line cut short by a kill is left out. Raises OSError or ValueError."""
    ledger = Ledger()
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            if not line.endswith("\n"):
                break
            kind, *row = json.loads(line)
            # An hour of a large fleet is millions of lines: each id is held once, not once a line.
            if kind == "frame":
                ledger.published.setdefault((intern(row[0]), row[1], row[2]), (row[3], row[4]))
            elif kind == "acked":
                ledger.acked.add((intern(row[0]), row[1], row[2]))
            elif kind == "given_up":
                ledger.given_up.add((intern(row[0]), row[1], row[2]))
            elif kind == "crash":
                ledger.crashes.append(Crash(*row))
    return ledger
