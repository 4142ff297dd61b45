"""The journal's file: one worker each, and opened whatever state a crash or a bad disk left it in.

A start always goes on. A damaged file is set aside and kept, what can still be read of it goes into a new one,
detections first, and what cannot is counted. The new one takes the journal's name when it is complete and not before:
a start that is killed amid this is done again by the next.
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
from ingest.journal_salvage import PAGE, salvage
from ingest.journal_tables import SCHEMA, schema

log = structlog.get_logger()

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
_NEW = ".new"
"""Ends the name of a new journal that is not complete; the rest is what the damaged one is called by then."""
_CHECKPOINT = "PRAGMA wal_autocheckpoint = 1000"
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
        for unfinished in path.parent.glob(f"{path.name}.broken-*{_NEW}"):
            _begin_anew(path, unfinished, "an earlier start found damage and was killed")
        tail = _read_wal(_beside(path, "-wal"))
        try:
            db = _connect(path)
            _notice_lost_commits(db, path, tail)
            return db
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if isinstance(error, sqlite3.Error) and (not is_damage(error) or not os.access(path, os.W_OK)):
                raise
            new = _beside(_broken_name(path), _NEW)
            new.touch(mode=0o600)
            _begin_anew(path, new, str(error))
            db = _connect(path)
            db.execute(_CHECKPOINT)
            return db
    except (OSError, sqlite3.Error) as error:
        raise JournalError(
            f"the journal {path} cannot be opened: {error} (is the disk full? may this user write there?)"
        ) from None


def _connect(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    if 0 < path.stat().st_size < PAGE:
        # SQLite takes what is shorter than a header for a new database, and says nothing.
        raise sqlite3.DatabaseError("damaged: shorter than its first page")
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        # Until the log was looked at: a checkpoint amid the writing below would start it anew.
        db.execute("PRAGMA wal_autocheckpoint = 0")
        # FULL: what we acknowledge must survive a power cut, not only our own death.
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(SCHEMA)
        for table in ("raw", "telemetry", "outbox"):
            # Journals of version 0.1 have no checksums.
            if "crc" not in {row[1] for row in db.execute(f"PRAGMA table_info({table})")}:
                db.execute(f"ALTER TABLE {table} ADD COLUMN crc INTEGER")
        # A damaged schema shows only when it is used; a flipped bit in a default would hide what is written later.
        if schema() - schema(db):
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
            page = PAGE
        heads = []
        for at in range(_WAL_HEAD, size - _FRAME_HEAD - page + 1, _FRAME_HEAD + page):
            file.seek(at)
            heads.append(file.read(_FRAME_HEAD))
    if heads and all(frame[8:16] != salt for frame in heads):
        salt = heads[0][8:16]  # the header is the broken part
    mine = [n for n, frame in enumerate(heads, 1) if frame[8:16] == salt]
    return WalTail(len(mine), [n for n in mine if heads[n - 1][4:8] != b"\0\0\0\0"])


def _begin_anew(path: Path, new: Path, fault: str) -> None:
    """Sets the journal aside, under the name that the new file's says, and makes the new one out of it.

    Every step may be repeated; as long as the new file has a name of its own, it is not complete.
    """
    broken = new.with_name(new.name.removesuffix(_NEW))
    log.error("journal.broken", error=fault, kept_as=str(broken))
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            _beside(path, suffix).rename(_beside(broken, suffix))
    for suffix in ("-wal", "-shm"):
        _beside(new, suffix).unlink(missing_ok=True)
    os.truncate(new, 0)
    metrics.JOURNAL_LOST.labels("file").inc()
    with contextlib.closing(_connect(new)) as db:
        db.execute(_CHECKPOINT)
        salvage(broken, db)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    new.rename(path)
    # What is written from now on must not be found under the other name after a power cut.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _broken_name(path: Path) -> Path:
    stem, number = f"{path.name}.broken-{os.getpid()}", 0
    while any(path.parent.glob(f"{stem}{f'-{number}' if number else ''}*")):
        number += 1
    return path.with_name(f"{stem}{f'-{number}' if number else ''}")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
