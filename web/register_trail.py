"""Who put which file of riders or places into use on the page. A table of the alert book's file, append-only."""

from dataclasses import dataclass
from pathlib import Path

from alerts.database import connect, transaction
from alerts.taking import Plan, put

_TABLE = """
CREATE TABLE IF NOT EXISTS register_changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    what TEXT NOT NULL,
    rows INTEGER NOT NULL,
    added INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    gone INTEGER NOT NULL
);
CREATE TRIGGER IF NOT EXISTS register_changes_stay BEFORE UPDATE ON register_changes
    BEGIN SELECT raise(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER IF NOT EXISTS register_changes_remain BEFORE DELETE ON register_changes
    BEGIN SELECT raise(ABORT, 'the audit trail is append-only'); END;
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """One line of the trail. It has numbers and no names, so that nobody has to be forgotten in it."""

    at_us: int
    by: str
    what: str
    rows: int
    added: int
    changed: int
    gone: int


class RegisterTrail:
    """The table `register_changes`. Use it from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)
        self._db.executescript(_TABLE)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def take(self, what: str, plan: Plan, target: Path, by: str, now_us: int) -> None:
        """Puts the file in its place and writes down who did: both, or neither. Raises `OSError`."""
        numbers = (plan.rows, len(plan.added), len(plan.changed), len(plan.gone))
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO register_changes (at_us, actor, what, rows, added, changed, gone) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (now_us, by, what, *numbers),
            )
            put(plan.text, target)

    def newest(self, limit: int) -> list[Taken]:
        """The last lines, newest first."""
        rows = self._db.execute(
            "SELECT at_us, actor, what, rows, added, changed, gone FROM register_changes ORDER BY seq DESC LIMIT ?",
            (limit,),
        ).fetchall()
        return [Taken(*row) for row in rows]
