"""Who took what out of the desk, and who was refused what. A table of the alert book's file, append-only.

Forgetting a rider or a time reaches it as it reaches everything else (`alerts.retention`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from alerts.database import connect, transaction

REFUSALS_MAX = 100
_MINUTE_US = 60 * 1_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the trail."""

    seq: int
    at_us: int
    by: str
    """Display name of a person, or the user of this machine who gave the command."""
    address: str
    """Network address the request came from; empty for a command."""
    what: str
    """`history`, `pack`, `samples`, `preview` (of a file of riders or places); `refused`; by command
    `account` and `forgotten`."""
    detail: dict[str, str]
    """Which part of it: the filters, the alert, the helmet; of a refusal which address."""
    rows: int | None
    """How many alerts, samples or lines were given out; None where nothing was."""


class Audit:
    """The table `audit`. Use it from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def add(
        self, now_us: int, by: str, address: str, what: str, detail: Mapping[str, str], rows: int | None
    ) -> None:
        """Writes one line down, durably: what it is about comes after.

        Where the last `REFUSALS_MAX` lines are one person's refusals of one minute, another is not written: it would
        say nothing new, and who repeats it by a program must not fill the disk.
        """
        if what == "refused" and self._refusals(by, now_us - _MINUTE_US) >= REFUSALS_MAX:
            return
        # An address may hold halves of characters, which the file cannot.
        text = json.dumps(dict(detail), ensure_ascii=False).encode(errors="replace").decode()
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO audit (at_us, actor, address, what, detail, rows) VALUES (?, ?, ?, ?, ?, ?)",
                (now_us, by, address, what, text, rows),
            )

    def _refusals(self, by: str, after_us: int) -> int:
        (count,) = self._db.execute(
            "SELECT count(*) FROM (SELECT * FROM audit ORDER BY seq DESC LIMIT ?) "
            "WHERE what = 'refused' AND actor = ? AND at_us > ?",
            (REFUSALS_MAX, by, after_us),
        ).fetchone()
        return int(count)

    def newest(self, limit: int, before: int | None) -> list[Line]:
        """The last lines, newest first; `before` is the `seq` of the last one of the page before."""
        found = self._db.execute(
            "SELECT seq, at_us, actor, address, what, detail, rows FROM audit WHERE seq < ? "
            "ORDER BY seq DESC LIMIT ?",
            (2**62 if before is None else before, limit),
        ).fetchall()
        return [
            Line(seq, at_us, by, address, what, json.loads(detail), rows)
            for seq, at_us, by, address, what, detail, rows in found
        ]
