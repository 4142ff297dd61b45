"""The tables of the journal's file, and whether a file has them."""

import contextlib
import sqlite3

SCHEMA = """
CREATE TABLE IF NOT EXISTS raw (
    id INTEGER PRIMARY KEY, now_us INTEGER NOT NULL, block BLOB NOT NULL, crc INTEGER
);
CREATE TABLE IF NOT EXISTS telemetry (
    id INTEGER PRIMARY KEY AUTOINCREMENT, rows INTEGER NOT NULL, block BLOB NOT NULL, crc INTEGER
);
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, body TEXT NOT NULL,
    at_us INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'waiting', crc INTEGER
);
CREATE INDEX IF NOT EXISTS outbox_refused ON outbox (id) WHERE state = 'refused';
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (id) WHERE state = 'waiting';
CREATE TABLE IF NOT EXISTS rejected (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL,
    detail TEXT NOT NULL, payload BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS numbers (
    id INTEGER PRIMARY KEY, now_us INTEGER NOT NULL, raw INTEGER NOT NULL, block BLOB NOT NULL, crc INTEGER
);
CREATE TABLE IF NOT EXISTS held (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, at_us INTEGER NOT NULL, body TEXT NOT NULL,
    crc INTEGER
);
CREATE INDEX IF NOT EXISTS held_no_more ON held (at_us) WHERE body = '';
CREATE TABLE IF NOT EXISTS learned (
    id INTEGER PRIMARY KEY, helmet TEXT NOT NULL UNIQUE, at_us INTEGER NOT NULL, block BLOB NOT NULL, crc INTEGER
);
CREATE INDEX IF NOT EXISTS outbox_taken ON outbox (at_us) WHERE state = 'taken';
"""
COLUMNS = {
    "outbox": "id, key, kind, body, at_us, state, crc",
    "held": "id, key, at_us, body, crc",
    "raw": "id, now_us, block, crc",
    "numbers": "id, now_us, raw, block, crc",
    "telemetry": "id, rows, block, crc",
    "learned": "id, helmet, at_us, block, crc",
    "rejected": "id, at_us, topic, reason, detail, payload",
}
"""In the order in which they are saved: what speaks of crashes first."""
WITH_HOLES = ("held", "learned")
"""Tables out of whose middle rows are taken: a missing number says nothing."""


def schema(db: sqlite3.Connection | None = None) -> set[tuple[str, str, str, str]]:
    """What the tables and indexes of a database are made of, blanks left out; without one, of a new journal's."""
    with contextlib.ExitStack() as stack:
        if db is None:
            db = stack.enter_context(contextlib.closing(sqlite3.connect(":memory:")))
            db.executescript(SCHEMA)
        rows = db.execute("SELECT type, name, tbl_name, ifnull(sql, '') FROM sqlite_master")
        return {(kind, name, table, "".join(str(sql).split())) for kind, name, table, sql in rows}
