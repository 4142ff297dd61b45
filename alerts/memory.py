"""What the desk must still know after a restart and that stands in no other table. A few small values by name."""

import json
from pathlib import Path
from typing import Any

from alerts.database import connect, transaction


class Memory:
    """The table `memory`. Use it from one thread at a time; each method is one durable transaction."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def recall(self, name: str) -> Any:
        """What was last kept under a name; None where nothing was."""
        row = self._db.execute("SELECT body FROM memory WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def keep(self, values: dict[str, Any]) -> None:
        """Keeps these values, ready for JSON, in place of those of the same names."""
        with transaction(self._db):
            self._db.executemany(
                "INSERT OR REPLACE INTO memory VALUES (?, ?)",
                [(name, json.dumps(value, ensure_ascii=False)) for name, value in values.items()],
            )
