"""Forgetting: after the time the configuration gives, or when a rider asks, an alert loses whose it was.

What stays is what can be counted: kind, severity, times, how it ended, which detector. What goes: the rider, the
helmet, the place, the trace, the texts people wrote, and the words of the notices that were sent. With the rider's
last alert goes what is known of the helmet alone: its events, its observations, its messages, and its name wherever
else it was written.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alerts.database import connect, transaction
from alerts.model import State

BATCH = 250
DAY_US = 86_400 * 1_000_000
NOBODY = "FORGOTTEN"
"""Stands in the place of a helmet's id."""

_FINAL = (State.RESOLVED, State.CANCELLED)
_PATIENCE_S = 0.25
"""How long a reader is waited for: nobody can write an alert meanwhile (SQLite holds the lock)."""

_WHOSE = (
    "json_set(body, '$.rider', json('null'), '$.position', json('null'), '$.helmet', ?, '$.speed_mps', json('null'), "
    "'$.forgotten', json('true'))"
)
_TEXTS = (
    ("alerts", "number", "body"),
    ("changes", "seq", "body"),
    ("changes", "seq", "detail"),
    ("deliveries", "number", "body"),
    ("silences", "rowid", "body"),
    ("audit", "seq", "detail"),
)
"""Where a helmet's id may stand in other people's words: table, key and column."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What came of forgetting a rider."""

    alerts: int
    """Those that lost whose they were."""
    live: list[str]
    """Ids of the rider's alerts that are not closed yet, which keep everything."""
    helmets: list[str]
    """The rider's helmets, as far as they are known."""
    shared: list[str]
    """Those of them that other alerts still name, or some not closed: what is known by the helmet alone stays."""


class Retention:
    """What forgets in an alert book. Use it from one thread at a time; each method is one durable transaction."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)
        self._db.create_function("without", 2, _without, deterministic=True)
        self.owed = False
        """Whether the write-ahead log may still hold what has been forgotten."""

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def age(self, before_us: int) -> int:
        """Forgets whose the alerts were that ended before a moment, at most `BATCH` of them; how many.

        Where it is `owed` afterwards, it is to be called again soon.
        """
        before = self._db.total_changes
        with self._forgetting():
            ids = self._db.execute(
                "SELECT id FROM alerts WHERE forgotten = 0 AND final_us < ? LIMIT ?", (before_us, BATCH)
            ).fetchall()
            self._forget([id_ for (id_,) in ids])
            old = "(SELECT number FROM deliveries WHERE alert = '' AND queued_us < ? LIMIT ?)"
            self._db.execute(f"DELETE FROM deliveries WHERE number IN {old}", (before_us, BATCH))  # noqa: S608
            for table, moment in (
                ("events", "received_us"),
                ("silences", "until_us"),
                ("messages", "since_us"),
            ):
                self._db.execute(f"DELETE FROM {table} WHERE {moment} < ?", (before_us,))  # noqa: S608
            self._db.execute("DELETE FROM audit WHERE at_us < ?", (before_us,))
            # The last line counts: none may go while an older one that lasted longer stays. None lasts over a day.
            self._db.execute("DELETE FROM observations WHERE at_us < ?", (before_us - DAY_US,))
        marks = 2  # Setting and taking away the guard's mark.
        self.owed |= self._db.total_changes - before > marks
        if self.owed:
            self.settle()
        return len(ids)

    def person(self, name: str, phone: str, helmets: Iterable[str] = ()) -> Forgotten:
        """Forgets a rider, who is known to have (had) these helmets too.

        What people wrote about the rider by name into other alerts cannot be found; that the rider was asked to
        help is, and so is the helmet's id wherever it stands. It is `owed` afterwards: call `settle` until it is true.
        """
        whose = "json_extract(body, '$.rider.name') = ? AND json_extract(body, '$.rider.phone') = ?"
        with self._forgetting():
            rows = self._db.execute(
                f"SELECT id, state, helmet FROM alerts WHERE {whose} ORDER BY number",  # noqa: S608
                (name, phone),
            ).fetchall()
            closed = [id_ for id_, state, _ in rows if state in _FINAL]
            self._forget(closed)
            self._db.execute(
                "UPDATE changes SET detail = json_remove(detail, '$.name', '$.helper', '$.note') "
                "WHERE type = 'help' AND json_extract(detail, '$.name') = ?",
                (name,),
            )
            self._db.execute(
                "UPDATE audit SET detail = json_remove(detail, '$.rider') "
                "WHERE instr(lower(?), lower(json_extract(detail, '$.rider')))",
                (name,),
            )
        known = sorted({helmet for _, _, helmet in rows} | set(helmets))
        shared = [helmet for helmet in known if not self._helmet(helmet)]
        live = [id_ for id_, state, _ in rows if state not in _FINAL]
        self.owed = True
        return Forgotten(len(closed), live, known, shared)

    def settle(self) -> bool:
        """Empties the write-ahead log, which holds what was there before; False where somebody reads: try again."""
        before = self._db.execute("PRAGMA busy_timeout").fetchone()[0]
        self._db.execute(f"PRAGMA busy_timeout = {round(_PATIENCE_S * 1000)}")
        busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._db.execute(f"PRAGMA busy_timeout = {before}")
        self.owed = bool(busy)
        return not busy

    def _helmet(self, helmet: str) -> bool:
        """Forgets a helmet that no alert names any more; False where one does."""
        if self._db.execute("SELECT 1 FROM alerts WHERE helmet = ? LIMIT 1", (helmet,)).fetchone():
            return False
        # Looking takes long in a large book, and nobody's alert shall wait for it: only the changes are locked.
        found = [
            (f"UPDATE {table} SET {column} = without({column}, ?) WHERE {key} = ?", (helmet, number))  # noqa: S608
            for table, key, column in _TEXTS
            for (number,) in self._db.execute(
                f"SELECT {key} FROM {table} WHERE instr({column}, ?)",  # noqa: S608
                (helmet,),
            ).fetchall()
        ]
        with self._forgetting():
            for statement, values in found:
                self._db.execute(statement, values)
            for table in ("events", "observations", "messages"):
                self._db.execute(f"DELETE FROM {table} WHERE helmet = ?", (helmet,))  # noqa: S608
        return True

    def _forget(self, ids: Sequence[str]) -> None:
        for id_ in ids:
            for table, key in (("alerts", "id"), ("changes", "alert")):
                self._db.execute(f"UPDATE {table} SET body = {_WHOSE} WHERE {key} = ?", (NOBODY, id_))  # noqa: S608
                self._db.execute(
                    f"UPDATE {table} SET body = json_set(body, '$.resolution.note', '') "  # noqa: S608
                    f"WHERE {key} = ? AND json_extract(body, '$.resolution.note') IS NOT NULL",
                    (id_,),
                )
            self._db.execute(
                "UPDATE changes SET detail = json_remove(detail, '$.note', '$.name', '$.helper') WHERE alert = ?",
                (id_,),
            )
            self._db.execute(
                "UPDATE detections SET trace = NULL, body = json_set(body, '$.helmet', ?, '$.position', "
                "json('null'), '$.speed_mps', json('null')) WHERE incident = ?",
                (NOBODY, id_),
            )
            self._db.execute(
                "UPDATE deliveries SET body = json_set(body, '$.title', '', '$.lines', json('[]'), "
                "'$.facts', json('{}')) WHERE alert = ?",
                (id_,),
            )

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """A transaction that the audit trail's guard lets pass; its mark is never seen outside."""
        with transaction(self._db):
            self._db.execute("INSERT OR IGNORE INTO keys VALUES ('forgetting', '')")
            yield
            self._db.execute("DELETE FROM keys WHERE name = 'forgetting'")


def _without(text: str, helmet: str) -> str:
    r"""A JSON text with another word in the place of a helmet's id; ids that only contain it stay.

    A new line before the id is `\n` in JSON, whose letter is no part of the id.
    """
    before = r"(?:(?<=\\[bfnrt])|(?<=\\u[0-9a-f]{4})|(?<![A-Za-z0-9_-]))"
    return re.sub(rf"{before}{re.escape(helmet)}(?![A-Za-z0-9_-])", NOBODY, text)
