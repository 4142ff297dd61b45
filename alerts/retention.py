"""Forgetting: after the time the configuration gives, or when a rider asks, an alert loses whose it was.

What stays is what can be counted: kind, severity, times, how it ended, which detector. What goes: the rider, the
helmet, the place, the trace, the texts people wrote, and the words of the notices that were sent.
"""

from collections.abc import Sequence
from pathlib import Path

from alerts.database import connect, transaction
from alerts.model import State

BATCH = 250
DAY_US = 86_400 * 1_000_000
NOBODY = "FORGOTTEN"
"""Stands in the place of a helmet's id."""

_FINAL = (State.RESOLVED, State.CANCELLED)

_WHOSE = (
    "json_set(body, '$.rider', json('null'), '$.position', json('null'), '$.helmet', ?, '$.speed_mps', json('null'), "
    "'$.forgotten', json('true'))"
)


class Retention:
    """What forgets in an alert book. Use it from one thread at a time; each method is one durable transaction."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)
        # What is forgotten is overwritten, not only unlinked from the file.
        self._db.execute("PRAGMA secure_delete = ON")

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def age(self, before_us: int) -> int:
        """Forgets whose the alerts were that ended before a moment, at most `BATCH` of them; how many."""
        with transaction(self._db):
            ids = self._db.execute(
                "SELECT id FROM alerts WHERE forgotten = 0 AND final_us < ? LIMIT ?", (before_us, BATCH)
            ).fetchall()
            self._forget([id_ for (id_,) in ids])
            old = "(SELECT number FROM deliveries WHERE alert = '' AND queued_us < ? LIMIT ?)"
            self._db.execute(f"DELETE FROM deliveries WHERE number IN {old}", (before_us, BATCH))  # noqa: S608
            self._db.execute("DELETE FROM events WHERE received_us < ?", (before_us,))
            self._db.execute("DELETE FROM silences WHERE until_us < ?", (before_us,))
        if ids:
            self._checkpoint()
        return len(ids)

    def person(self, name: str, phone: str) -> tuple[int, list[str], list[str]]:
        """Forgets a rider: how many alerts lost whose they were, the ids of those that are not closed yet, the helmets.

        What people wrote about the rider into other alerts cannot be found; that the rider was asked to help is.
        """
        whose = "json_extract(body, '$.rider.name') = ? AND json_extract(body, '$.rider.phone') = ?"
        with transaction(self._db):
            rows = self._db.execute(
                f"SELECT id, state, helmet FROM alerts WHERE {whose} ORDER BY number",  # noqa: S608
                (name, phone),
            ).fetchall()
            closed = [id_ for id_, state, _ in rows if state in _FINAL]
            self._forget(closed)
            self._mark()
            self._db.execute(
                "UPDATE changes SET detail = json_remove(detail, '$.name', '$.helper', '$.note') "
                "WHERE type = 'help' AND json_extract(detail, '$.name') = ?",
                (name,),
            )
            self._unmark()
        self._checkpoint()
        live = [id_ for id_, state, _ in rows if state not in _FINAL]
        return len(closed), live, sorted({helmet for _, _, helmet in rows})

    def _forget(self, ids: Sequence[str]) -> None:
        self._mark()
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
        self._unmark()

    def _mark(self) -> None:
        """Tells the audit trail's guard what is going on; never seen outside of the transaction."""
        self._db.execute("INSERT OR IGNORE INTO keys VALUES ('forgetting', '')")

    def _unmark(self) -> None:
        self._db.execute("DELETE FROM keys WHERE name = 'forgetting'")

    def _checkpoint(self) -> None:
        """Empties the write-ahead log, which still holds what was there before."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
