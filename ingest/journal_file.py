"""The journal's file: one worker each, and opened whatever state a crash or a bad disk left it in.

A start always goes on. A damaged file is set aside and kept, what can still be read of it goes into a new one,
detections first, and what cannot is counted.
"""

import contextlib
import fcntl
import os
import shutil
import sqlite3
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import structlog

from core import metrics

log = structlog.get_logger()

_SCHEMA = """
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
_COLUMNS = {
    "outbox": "id, key, kind, body, at_us, state, crc",
    "held": "id, key, at_us, body, crc",
    "raw": "id, now_us, block, crc",
    "numbers": "id, now_us, raw, block, crc",
    "telemetry": "id, rows, block, crc",
    "learned": "id, helmet, at_us, block, crc",
    "rejected": "id, at_us, topic, reason, detail, payload",
}
"""In the order in which they are saved: what speaks of crashes first."""
_WITH_HOLES = ("held", "learned")
"""Tables out of whose middle rows are taken: a missing number says nothing."""
_REPAIR_STATES = """
UPDATE outbox SET state = iif(body = '', 'taken', 'waiting') WHERE state NOT IN ('waiting', 'taken', 'refused')
"""
_SURROUNDINGS = {
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
}
"""Errors that speak of disk and rights; the file itself may be sound and must stay where it is."""
_PYTHON = {"INTEGER": int, "TEXT": str, "BLOB": bytes}
_UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""SQLite's own messages name what a flipped bit made of a name."""
_CHECKPOINT = "PRAGMA wal_autocheckpoint = 1000"
_PAGE = 4096
_WAL_HEAD, _FRAME_HEAD = 32, 24
"""Sizes in bytes (SQLite file format, section 4)."""


class JournalError(Exception):
    """The journal cannot be used; the message says what to do."""


class WalTail(NamedTuple):
    """What the write-ahead log holds from its last restart on."""

    frames: int
    commits: list[int]
    """Numbers of the frames that end a transaction, from 1."""


def lock(path: Path) -> int:
    """Makes this process the journal's only worker until the descriptor is closed. Raises `JournalError`."""
    file = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise JournalError(f"{file} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise JournalError(
            f"another worker uses the journal {path.name}: stop it, or give this one a "
            "name, a journal and shards of its own (ingest.worker, ingest.journal.path, ingest.shards)"
        ) from None
    return descriptor


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error speaks of the file's content and not of disk, rights or another process."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return isinstance(error, sqlite3.DatabaseError) and code not in _SURROUNDINGS


def sound(block: bytes, crc: int | None) -> bool:
    """Whether an entry is as it was written; journals of version 0.1 have no checksums."""
    return crc is None or zlib.crc32(block) == crc


def note_damage(what: str, number: int) -> None:
    """Counts and says that an entry cannot be used as it is."""
    metrics.JOURNAL_LOST.labels(what).inc()
    log.error("journal.damaged", what=what, id=number)


def open_file(path: Path) -> sqlite3.Connection:
    """The journal's database, ready to write.

    Raises `JournalError` where disk or rights forbid it.
    """
    try:
        tail = _read_wal(_beside(path, "-wal"))
        try:
            db = _connect(path)
            _notice_lost_commits(db, path, tail)
            return db
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if isinstance(error, sqlite3.Error) and (not is_damage(error) or not os.access(path, os.W_OK)):
                raise
            return _begin_anew(path, str(error))
    except (OSError, sqlite3.Error) as error:
        raise JournalError(
            f"the journal {path} cannot be opened: {error} (is the disk full? may this user write there?)"
        ) from None


def _connect(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    if 0 < path.stat().st_size < _PAGE:
        # SQLite takes what is shorter than a header for a new database, and says nothing.
        raise sqlite3.DatabaseError("damaged: shorter than its first page")
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        # Until the log was looked at: a checkpoint amid the writing below would start it anew.
        db.execute("PRAGMA wal_autocheckpoint = 0")
        # FULL: what we acknowledge must survive a power cut, not only our own death.
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_SCHEMA)
        for table in ("raw", "telemetry", "outbox"):
            # Journals of version 0.1 have no checksums.
            if "crc" not in {row[1] for row in db.execute(f"PRAGMA table_info({table})")}:
                db.execute(f"ALTER TABLE {table} ADD COLUMN crc INTEGER")
        # A damaged schema shows only when it is used; a flipped bit in a default would hide what is written later.
        if _schema() - _schema(db):
            raise sqlite3.DatabaseError("damaged: the tables are not those of a journal")
        fault = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if fault != "ok":
            raise sqlite3.DatabaseError(f"damaged: {fault}")
        # The check does not hold indexes against their table; these are small, and what they hide is an alert.
        for table in ("outbox", "held", "learned"):
            db.execute(f"REINDEX {table}")
        # A state that a flipped bit made up would hide a detection from the desk for ever.
        db.execute(_REPAIR_STATES)
    except BaseException:
        db.close()
        raise
    return db


def _schema(db: sqlite3.Connection | None = None) -> set[tuple[str, str, str, str]]:
    """What the tables and indexes of a database are made of, blanks left out; without one, of a new journal's."""
    with contextlib.ExitStack() as stack:
        if db is None:
            db = stack.enter_context(contextlib.closing(sqlite3.connect(":memory:")))
            db.executescript(_SCHEMA)
        rows = db.execute("SELECT type, name, tbl_name, ifnull(sql, '') FROM sqlite_master")
        return {(kind, name, table, "".join(str(sql).split())) for kind, name, table, sql in rows}


def _notice_lost_commits(db: sqlite3.Connection, path: Path, tail: WalTail) -> None:
    """SQLite silently leaves out everything after the first broken frame of the log; we say so."""
    _, recovered, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    lost = sum(1 for frame in tail.commits if frame > recovered)
    if lost:
        kept = _broken_name(path)
        shutil.copyfile(_beside(path, "-wal"), _beside(kept, "-wal"))
        metrics.JOURNAL_LOST.labels("commits").inc(lost)
        log.error("journal.tail_lost", commits=lost, recovered_frames=recovered, kept_as=f"{kept}-wal")
    # An empty log: what is left over of this one would be counted again the next time.
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute(_CHECKPOINT)


def _read_wal(path: Path) -> WalTail:
    """The frames written since the log's last restart, by their salt; sound or not."""
    try:
        size = path.stat().st_size
        file = path.open("rb")
    except FileNotFoundError:
        return WalTail(0, [])
    with file:
        head = file.read(_WAL_HEAD)
        if len(head) < _WAL_HEAD:
            return WalTail(0, [])
        page, salt = struct.unpack_from(">I", head, 8)[0], head[16:24]
        if page not in (1 << k for k in range(9, 17)):
            page = _PAGE
        heads = []
        for at in range(_WAL_HEAD, size - _FRAME_HEAD - page + 1, _FRAME_HEAD + page):
            file.seek(at)
            heads.append(file.read(_FRAME_HEAD))
    if heads and all(frame[8:16] != salt for frame in heads):
        salt = heads[0][8:16]  # the header is the broken part
    mine = [n for n, frame in enumerate(heads, 1) if frame[8:16] == salt]
    return WalTail(len(mine), [n for n in mine if heads[n - 1][4:8] != b"\0\0\0\0"])


def _begin_anew(path: Path, fault: str) -> sqlite3.Connection:
    broken = _broken_name(path)
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            _beside(path, suffix).rename(_beside(broken, suffix))
    metrics.JOURNAL_LOST.labels("file").inc()
    log.error("journal.broken", error=fault, kept_as=str(broken))
    db = _connect(path)
    if not _has_tables(broken):
        _lend_first_page(db, broken)
    for table in _COLUMNS:
        saved, lost = _save(table, broken, db)
        metrics.JOURNAL_LOST.labels(table).inc(lost)
        log.error("journal.saved", table=table, saved=saved, lost_at_least=lost)
    db.execute(_CHECKPOINT)
    return db


def _has_tables(broken: Path) -> bool:
    """Whether a broken file still says rightly what its tables are."""
    try:
        with contextlib.closing(_read_only(broken)) as old:
            return not _schema() - _schema(old)
    except _UNREADABLE:
        return False


def _lend_first_page(db: sqlite3.Connection, broken: Path) -> None:
    """Puts the first page of a new journal on a broken one, whose own is kept beside it.

    The first page says what the others are. A new journal's others are laid out alike, since all journals are
    made by the same statements; only the number of pages differs (SQLite file format, 1.3).
    """
    # Not from the file: closing any descriptor of it would give up our locks on it (POSIX).
    page = bytearray(db.serialize()[:_PAGE])
    with broken.open("r+b") as file:
        _beside(broken, ".first-page").write_bytes(file.read(_PAGE))
        page[28:32] = (broken.stat().st_size // _PAGE).to_bytes(4, "big")
        page[92:96] = page[24:28]
        page[32:40] = bytes(8)  # no free pages: nobody will write to it
        file.seek(0)
        file.write(page)


def _save(table: str, broken: Path, db: sqlite3.Connection) -> tuple[int, int]:
    """Copies the rows of a damaged file that can be read; says how many, and how many are surely missing."""
    rows: dict[int, tuple[object, ...]] = {}
    last, torn = 0, False
    with contextlib.suppress(*_UNREADABLE):
        last = _last_id(table, broken)
    declared = {name: _PYTHON[kind] for _, name, kind, *_ in db.execute(f"PRAGMA table_info({table})")}
    kinds = [declared[name] for name in _COLUMNS[table].split(", ")]
    # From both ends, since reading stops at the first damaged page.
    for order in ("ASC", "DESC"):
        try:
            with contextlib.closing(_read_only(broken)) as old:
                query = f"SELECT {_COLUMNS[table]} FROM {table} NOT INDEXED ORDER BY id {order}"  # noqa: S608
                for row in old.execute(query):
                    # Where a flipped bit leads to the wrong page, rows of another table come out.
                    if all(v is None or isinstance(v, kind) for v, kind in zip(row, kinds, strict=True)):
                        rows[int(row[0])] = row
        except (*_UNREADABLE, OverflowError):
            torn = True
    marks = ", ".join("?" * (_COLUMNS[table].count(",") + 1))
    saved = 0
    with db:
        for _, row in sorted(rows.items()):
            # A row that breaks the table's rules is damaged; the others must not go with it.
            with contextlib.suppress(sqlite3.IntegrityError, sqlite3.InterfaceError):
                db.execute(f"INSERT INTO {table} ({_COLUMNS[table]}) VALUES ({marks})", row)  # noqa: S608
                saved += 1
        db.execute(_REPAIR_STATES)
    if table in _WITH_HOLES:
        return saved, len(rows) - saved + torn
    first = min(rows, default=last + 1)
    return saved, max(0, max([last, *rows]) - first + 1 - saved)


def _last_id(table: str, broken: Path) -> int:
    with contextlib.closing(_read_only(broken)) as old:
        row = old.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return int(row[0]) if row else 0


def _read_only(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    # A flipped byte in a text must not stop the reading.
    db.text_factory = lambda text: text.decode(errors="replace")
    return db


def _broken_name(path: Path) -> Path:
    stem, number = f"{path.name}.broken-{os.getpid()}", 0
    while any(path.parent.glob(f"{stem}{f'-{number}' if number else ''}*")):
        number += 1
    return path.with_name(f"{stem}{f'-{number}' if number else ''}")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
