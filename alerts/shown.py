"""When each alert was first painted on somebody's page: the one time that only pages know."""

from collections.abc import Iterable
from pathlib import Path

from alerts.database import connect, transaction


class Shown:
    """The table `shown`. Use it from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def add(self, ids: Iterable[str], person: str, now_us: int) -> None:
        """A person's page shows these alerts; the first to say so counts, and what is no alert does not."""
        with transaction(self._db):
            self._db.executemany(
                "INSERT OR IGNORE INTO shown SELECT id, ?, ? FROM alerts WHERE id = ?",
                [(now_us, person, id_) for id_ in ids],
            )
