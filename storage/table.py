"""One kind of rows in the embedded store: a SQLite table clustered by time and helmet."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

SLOT_US = 10_000_000
"""Width of a slot, the first part of every key.

Clustered by helmet alone, a second of 5,000 helmets would dirty 5,000 pages (20 MB of log for half a megabyte of
rows); clustered by slot and then helmet, what arrives together lies together, a minute of one helmet is six
short ranges, and retention deletes from one end.
"""


class Table:
    """The statements for the rows of one dtype; its key is (helmet, t_us, boot, seq). Holds no connection."""

    def __init__(self, name: str, dtype: np.dtype[np.void]) -> None:
        self.name, self.dtype = name, dtype
        self._columns = dtype.names or ()
        columns = ", ".join(self._columns)
        declared = ", ".join(map(self._declaration, self._columns))
        self.create = (
            f"CREATE TABLE IF NOT EXISTS {name} (slot INTEGER NOT NULL, {declared}, "
            "PRIMARY KEY (slot, helmet, t_us, boot, seq)) WITHOUT ROWID, STRICT"
        )
        # The id arrives as bytes; the cast makes it text without a Python loop over the rows.
        values = ", ".join("CAST(? AS TEXT)" if column == "helmet" else "?" for column in self._columns)
        self._insert = f"INSERT INTO {name} (slot, {columns}) VALUES (?, {values}) ON CONFLICT DO NOTHING"  # noqa: S608
        self._select = (
            f"SELECT {columns} FROM {name} "  # noqa: S608
            "WHERE slot = ? AND helmet = ? AND t_us >= ? AND t_us < ? ORDER BY t_us, boot, seq LIMIT ?"
        )

    def _declaration(self, column: str) -> str:
        if column == "helmet":
            return "helmet TEXT NOT NULL"
        # NaN is bound as NULL by SQLite itself, so an unknown value is NULL without our doing.
        return f"{column} REAL" if self.dtype[column].kind == "f" else f"{column} INTEGER NOT NULL"

    def insert(self, db: sqlite3.Connection, rows: npt.NDArray[np.void]) -> None:
        """Adds rows, all or none; a row whose key is there already changes nothing."""
        if not len(rows):
            return
        slots = rows["t_us"] // SLOT_US
        order = np.lexsort((rows["helmet"], slots))
        columns = [slots[order].tolist(), *(rows[name][order].tolist() for name in self._columns)]
        db.execute("BEGIN IMMEDIATE")
        try:
            db.executemany(self._insert, zip(*columns, strict=True))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def select(
        self, db: sqlite3.Connection, helmet: str, start_us: int, end_us: int, limit: int
    ) -> npt.NDArray[np.void]:
        """The first `limit` rows of one helmet with start_us <= t_us < end_us, by time."""
        found: list[tuple[Any, ...]] = []
        for slot in self.slots(db, start_us // SLOT_US):
            if slot * SLOT_US >= end_us or len(found) >= limit:
                break
            found += db.execute(self._select, (slot, helmet, start_us, end_us, limit - len(found)))
        return np.array([(row[0].encode(), *row[1:]) for row in found], dtype=self.dtype)

    def slots(self, db: sqlite3.Connection, first: int | None = None) -> Iterator[int]:
        """The slots that hold anything, ascending; the gaps of a year cost nothing."""
        slot = -(2**62) if first is None else first - 1
        while True:
            (slot,) = db.execute(f"SELECT min(slot) FROM {self.name} WHERE slot > ?", (slot,)).fetchone()  # noqa: S608
            if slot is None:
                return
            yield slot

    def delete(self, db: sqlite3.Connection, slot: int, before_us: int = 2**62, helmet: str = "") -> int:
        """Deletes from one slot the rows with t_us < before_us, of one helmet or of all; says how many."""
        whose, values = ("AND helmet = ? ", [helmet]) if helmet else ("", [])
        return db.execute(
            f"DELETE FROM {self.name} WHERE slot = ? {whose}AND t_us < ?",  # noqa: S608
            (slot, *values, before_us),
        ).rowcount

    def count(self, db: sqlite3.Connection) -> int:
        """How many rows there are; reads the whole table."""
        return int(db.execute(f"SELECT count(*) FROM {self.name}").fetchone()[0])  # noqa: S608
