"""The file of riding times: its tables, how it is opened, and the rows that are read one by one."""

import os
import sqlite3
from pathlib import Path

from alerts.database import CACHE_KB, transaction
from alerts.duty import Clock
from alerts.riding_seconds import U8, unpacked

_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS quarters (
    quarter INTEGER NOT NULL, helmet TEXT NOT NULL, states BLOB NOT NULL, PRIMARY KEY (quarter, helmet)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS days (
    day TEXT NOT NULL, helmet TEXT NOT NULL, worn_s INTEGER NOT NULL, not_worn_s INTEGER NOT NULL,
    unknown_s INTEGER NOT NULL, PRIMARY KEY (day, helmet)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clocks (
    helmet TEXT PRIMARY KEY, since_us INTEGER NOT NULL, end_us INTEGER NOT NULL, works INTEGER NOT NULL,
    worked_s REAL NOT NULL, rest_s REAL NOT NULL, uncertain_s REAL NOT NULL
) WITHOUT ROWID;
"""


def opened(path: Path) -> sqlite3.Connection:
    """The file, readable by its owner alone, with its tables. Raises `OSError` and `sqlite3.Error`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    path.chmod(0o600)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    # Safe from a killed process; after a power cut the last seconds may be missing, never half.
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "secure_delete = ON",
        f"cache_size = -{CACHE_KB}",
    ):
        db.execute(f"PRAGMA {pragma}")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        db.close()
        raise OSError(f"was written by a newer Helmetwatch (format {version}, this one knows {_VERSION})")
    if version < _VERSION:
        with transaction(db):
            for statement in filter(str.strip, _TABLES.split(";")):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {_VERSION}")
    return db


def states_of(db: sqlite3.Connection, quarter: int, helmet: str) -> U8 | None:
    """A quarter of a helmet, None where nothing is known of it."""
    row = db.execute(
        "SELECT states FROM quarters WHERE quarter = ? AND helmet = ?", (quarter, helmet)
    ).fetchone()
    return None if row is None else unpacked(row[0])


def clock_of(db: sqlite3.Connection, helmet: str) -> Clock:
    """The duty clock of a helmet as far as it has been folded."""
    row = db.execute(
        "SELECT since_us, end_us, works, worked_s, rest_s, uncertain_s FROM clocks WHERE helmet = ?",
        (helmet,),
    ).fetchone()
    return Clock() if row is None else Clock(row[0], row[1], bool(row[2]), *row[3:])
