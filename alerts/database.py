"""The SQLite file of the desk: how it is opened, and the tables of the alert book."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = 7

CACHE_KB = 256
"""Of each connection, of which a desk has a dozen: with SQLite's own 2 MB each it would grow for days."""

_FIRST = """
CREATE TABLE IF NOT EXISTS alerts (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL AS (json_extract(body, '$.state')),
    helmet TEXT NOT NULL AS (json_extract(body, '$.helmet')),
    opens_us INTEGER AS (json_extract(body, '$.opens_us')),
    final_us INTEGER AS (coalesce(json_extract(body, '$.resolved_us'), json_extract(body, '$.cancelled_us')))
);
CREATE INDEX IF NOT EXISTS alerts_by_state ON alerts (state, number);
CREATE INDEX IF NOT EXISTS alerts_by_helmet ON alerts (helmet, number);
CREATE INDEX IF NOT EXISTS alerts_by_final ON alerts (final_us);
CREATE TABLE IF NOT EXISTS changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at_us INTEGER NOT NULL,
    alert TEXT NOT NULL REFERENCES alerts (id) DEFERRABLE INITIALLY DEFERRED,
    type TEXT NOT NULL,
    actor TEXT NOT NULL,
    detail TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS changes_by_alert ON changes (alert, seq);
CREATE TRIGGER IF NOT EXISTS changes_stay BEFORE UPDATE ON changes
    BEGIN SELECT raise(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER IF NOT EXISTS changes_remain BEFORE DELETE ON changes
    BEGIN SELECT raise(ABORT, 'the audit trail is append-only'); END;
CREATE TABLE IF NOT EXISTS detections (
    incident TEXT NOT NULL,
    version INTEGER NOT NULL,
    taken_us INTEGER NOT NULL,
    body TEXT NOT NULL,
    trace TEXT,
    PRIMARY KEY (incident, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    helmet TEXT NOT NULL,
    type TEXT NOT NULL,
    t_us INTEGER NOT NULL,
    received_us INTEGER NOT NULL,
    PRIMARY KEY (helmet, type, t_us)
) WITHOUT ROWID;
"""

_SECOND = """
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    alert TEXT NOT NULL,
    channel TEXT NOT NULL,
    reason TEXT NOT NULL,
    tier INTEGER,
    critical INTEGER NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    queued_us INTEGER NOT NULL,
    next_us INTEGER,
    tries INTEGER NOT NULL DEFAULT 0,
    tried_us INTEGER,
    ended_us INTEGER,
    code TEXT NOT NULL DEFAULT '',
    sentence TEXT NOT NULL DEFAULT '',
    carried_by TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS deliveries_waiting ON deliveries (channel, critical, next_us) WHERE next_us IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_by_alert ON deliveries (alert, number);
CREATE INDEX IF NOT EXISTS deliveries_by_try ON deliveries (channel, tried_us);
"""

_THIRD = """
ALTER TABLE alerts ADD COLUMN touched_us INTEGER
    AS (coalesce(json_extract(body, '$.touched_us'), json_extract(body, '$.acknowledged_us')));
CREATE INDEX IF NOT EXISTS alerts_by_touch ON alerts (state, touched_us);
"""

_FOURTH = """
ALTER TABLE alerts ADD COLUMN alerted_us INTEGER AS (json_extract(body, '$.alerted_us'));
CREATE INDEX IF NOT EXISTS alerts_by_time ON alerts (alerted_us);
CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

# Forgetting a person is the one change that the audit trail allows, and it says so while it happens.
_FIFTH = """
CREATE TABLE IF NOT EXISTS silences (id TEXT PRIMARY KEY, until_us INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS silences_by_end ON silences (until_us);
DROP TRIGGER IF EXISTS changes_stay;
CREATE TRIGGER changes_stay BEFORE UPDATE ON changes
    WHEN NOT EXISTS (SELECT 1 FROM keys WHERE name = 'forgetting')
    BEGIN SELECT raise(ABORT, 'the audit trail is append-only'); END;
CREATE INDEX IF NOT EXISTS deliveries_by_queue ON deliveries (queued_us);
ALTER TABLE alerts ADD COLUMN forgotten INTEGER AS (coalesce(json_extract(body, '$.forgotten'), 0));
CREATE INDEX IF NOT EXISTS alerts_to_forget ON alerts (forgotten, final_us);
"""

# Least access: roles, who took what out, and messages to helmets that outlive a restart. Accounts that were there
# could do everything, and can. What was written on forgotten alerts before that was refused goes as well.
_SIXTH = """
CREATE TABLE IF NOT EXISTS accounts (
    name TEXT PRIMARY KEY,
    display_name TEXT NOT NULL UNIQUE,
    hash TEXT NOT NULL
) WITHOUT ROWID;
ALTER TABLE accounts ADD COLUMN role TEXT NOT NULL DEFAULT 'supervisor';
CREATE TABLE IF NOT EXISTS sessions (
    key TEXT PRIMARY KEY,
    name TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    expires_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS observations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    helmet TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    until_us INTEGER NOT NULL,
    actor TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS observations_by_helmet ON observations (helmet, seq);
DROP TRIGGER IF EXISTS observations_stay;
CREATE TRIGGER observations_stay BEFORE UPDATE ON observations
    BEGIN SELECT raise(ABORT, 'the audit trail is append-only'); END;
DROP TRIGGER IF EXISTS observations_remain;
CREATE TRIGGER observations_remain BEFORE DELETE ON observations
    WHEN NOT EXISTS (SELECT 1 FROM keys WHERE name = 'forgetting')
    BEGIN SELECT raise(ABORT, 'the audit trail is append-only'); END;
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL,
    rows INTEGER
);
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
    WHEN NOT EXISTS (SELECT 1 FROM keys WHERE name = 'forgetting')
    BEGIN SELECT raise(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_remains BEFORE DELETE ON audit
    WHEN NOT EXISTS (SELECT 1 FROM keys WHERE name = 'forgetting')
    BEGIN SELECT raise(ABORT, 'the audit trail is append-only'); END;
CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    helmet TEXT NOT NULL,
    text TEXT NOT NULL,
    since_us INTEGER NOT NULL,
    sent_us INTEGER
) WITHOUT ROWID;
CREATE INDEX messages_by_time ON messages (since_us);
INSERT OR IGNORE INTO keys VALUES ('forgetting', '');
UPDATE changes SET detail = json_remove(detail, '$.note', '$.name', '$.helper')
    WHERE alert IN (SELECT id FROM alerts WHERE forgotten = 1);
DELETE FROM keys WHERE name = 'forgetting';
"""

# From where each change came, and the key that its request is known by when it is sent again. What a desk has to
# know of storms, faults and channels after a restart; and how a channel fares without reading its whole ledger.
_SEVENTH = """
ALTER TABLE changes ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE changes ADD COLUMN key TEXT NOT NULL DEFAULT '';
ALTER TABLE changes ADD COLUMN request TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX changes_by_key ON changes (actor, key) WHERE key <> '';
CREATE TABLE memory (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX deliveries_done ON deliveries (channel, tried_us) WHERE state = 'delivered';
CREATE INDEX deliveries_failed ON deliveries (channel, tried_us) WHERE state <> 'delivered' AND tried_us IS NOT NULL;
CREATE TABLE shown (alert TEXT PRIMARY KEY, at_us INTEGER NOT NULL, actor TEXT NOT NULL) WITHOUT ROWID;
"""

_STEPS = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH, _SIXTH, _SEVENTH)
"""What each version adds to the one before."""


class BookError(Exception):
    """The file cannot serve as an alert book; the message says why and what to do."""


def claim(path: Path) -> int:
    """Makes this process the one desk of the file, until the returned descriptor is closed or the process dies.

    Two desks on one file would each open alerts that the other's pages never hear of.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise BookError(f"{lock}: cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise BookError(f"{path}: another desk is running on this file; stop it first") from None
    return held


def connect(path: Path) -> sqlite3.Connection:
    """Opens the file, readable by its owner alone, and makes its tables where they are missing.

    Each commit is on the disk before it returns (WAL, synchronous=FULL). Transactions are begun explicitly;
    whoever uses the connection from several threads takes care that only one does so at a time.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Only then: closing any descriptor of a file gives up this process's locks on it (POSIX), and with
            # them the write-ahead log, which the next visitor takes for left behind and deletes.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        path.chmod(0o600)
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        # What is forgotten shall be gone from the file, whichever connection last moved it about in there.
        db.execute("PRAGMA secure_delete = ON")
        db.execute(f"PRAGMA cache_size = -{CACHE_KB}")
        _prepare(db, path)
    except (OSError, sqlite3.Error) as error:
        raise BookError(f"{path}: cannot be used as the alert book: {error}") from None
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise BookError(
            f"{path}: was written by a newer Helmetwatch (format {version}, this one knows {VERSION})"
        )
    if version < VERSION:
        with transaction(db):
            # Somebody else may have done it while we waited for our turn.
            version = db.execute("PRAGMA user_version").fetchone()[0]
            for statement in _statements("".join(_STEPS[version:])):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Everything inside is written, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
