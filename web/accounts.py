"""People: who may sign in, and who is signed in. Passwords are kept as Argon2id, sessions as a hash."""

import hashlib
import secrets
import sqlite3
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import argon2

from alerts import lifecycle
from alerts.database import connect, transaction

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without i, l, o, 0 and 1, which people mistake for one another."""


class Role(StrEnum):
    """What an account may do (docs/decisions/0009-two-roles.md)."""

    OPERATOR = "operator"
    """Everything that one alert needs, at night and alone."""
    SUPERVISOR = "supervisor"
    """Also what holds alerts back, raises some, takes data out in bulk, or replaces who rides with which helmet."""


class AccountError(Exception):
    """An account cannot be made or changed; the message says why."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in."""

    name: str
    display_name: str
    role: Role
    session: str
    """Key of the session in the table: a hash, not what the cookie holds."""
    expires_us: int


class Accounts:
    """The tables `accounts` and `sessions`. Use it from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def add(self, name: str, display_name: str, role: Role) -> str:
        """Makes an account and returns its password, which nobody can read again. Raises `AccountError`."""
        name, display_name = _name(name), _name(display_name or name)
        password = _password()
        try:
            with transaction(self._db):
                self._db.execute(
                    "INSERT INTO accounts (name, display_name, hash, role) VALUES (?, ?, ?, ?)",
                    (name, display_name, _HASHER.hash(password), role),
                )
        except sqlite3.IntegrityError:
            raise AccountError(f"an account named {name} or shown as {display_name} exists already") from None
        return password

    def names(self) -> list[str]:
        """The display names of everybody who may sign in."""
        rows = self._db.execute("SELECT display_name FROM accounts ORDER BY display_name").fetchall()
        return [name for (name,) in rows]

    def all(self) -> list[tuple[str, str, Role]]:
        """Name, display name and role of everybody who may sign in."""
        rows = self._db.execute("SELECT name, display_name, role FROM accounts ORDER BY name").fetchall()
        return [(name, display_name, Role(role)) for name, display_name, role in rows]

    def give(self, name: str, role: Role) -> None:
        """Gives an account another role, which counts at once for whoever is signed in. Raises `AccountError`."""
        with transaction(self._db):
            changed = self._db.execute(
                "UPDATE accounts SET role = ? WHERE name = ?", (role, _name(name))
            ).rowcount
        if not changed:
            raise AccountError(f"there is no account named {name}")

    def renew(self, name: str) -> str:
        """Gives an account a new password and signs it out everywhere. Raises `AccountError`."""
        password, name = _password(), _name(name)
        with transaction(self._db):
            changed = self._db.execute(
                "UPDATE accounts SET hash = ? WHERE name = ?", (_HASHER.hash(password), name)
            ).rowcount
            self._db.execute("DELETE FROM sessions WHERE name = ?", (name,))
        if not changed:
            raise AccountError(f"there is no account named {name}")
        return password

    def remove(self, name: str) -> None:
        """Removes an account and signs it out everywhere. Raises `AccountError`."""
        with transaction(self._db):
            removed = self._db.execute("DELETE FROM accounts WHERE name = ?", (_name(name),)).rowcount
        if not removed:
            raise AccountError(f"there is no account named {name}")

    def secret(self, name: str) -> tuple[str, str, Role, str] | None:
        """Name, display name, role and password hash of an account."""
        row = self._db.execute(
            "SELECT name, display_name, role, hash FROM accounts WHERE name = ?", (normal(name),)
        ).fetchone()
        return None if row is None else (row[0], row[1], Role(row[2]), row[3])

    def open_session(self, name: str, expires_us: int, now_us: int) -> str:
        """Signs a person in and returns what the cookie holds; forgets sessions that have expired."""
        token = secrets.token_urlsafe(32)
        with transaction(self._db):
            self._db.execute("DELETE FROM sessions WHERE expires_us <= ?", (now_us,))
            self._db.execute("INSERT INTO sessions VALUES (?, ?, ?)", (_key(token), name, expires_us))
        return token

    def person(self, token: str, now_us: int) -> Person | None:
        """Who a cookie belongs to, while its session lasts."""
        row = self._db.execute(
            "SELECT name, display_name, role, key, expires_us FROM sessions JOIN accounts USING (name) "
            "WHERE key = ? AND expires_us > ?",
            (_key(token), now_us),
        ).fetchone()
        return None if row is None else Person(row[0], row[1], Role(row[2]), row[3], row[4])

    def close_session(self, key: str) -> None:
        """Signs a person out."""
        with transaction(self._db):
            self._db.execute("DELETE FROM sessions WHERE key = ?", (key,))


def add_account(db: Path, name: str, display_name: str = "", role: Role = Role.OPERATOR) -> str:
    """Makes an account in the alert book's file and returns its password. Raises `AccountError`."""
    accounts = Accounts(db)
    try:
        return accounts.add(name, display_name, role)
    finally:
        accounts.close()


def verify(hash_: str | None, password: str) -> bool:
    """Whether a password is right; without a hash it takes as long and is wrong. Blocks for some 50 ms."""
    try:
        return _HASHER.verify(hash_ or _NOBODY, password) and hash_ is not None
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


_HASHER = argon2.PasswordHasher()
_NOBODY = _HASHER.hash(secrets.token_hex(16))


def _password() -> str:
    """20 letters, 99 bits, in groups that can be read out on the telephone."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(4))


def _key(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def normal(name: str) -> str:
    """A name as the tables keep it: one spelling for each (Unicode NFC), no spaces around."""
    return unicodedata.normalize("NFC", name.strip())


def _name(text: str) -> str:
    text = normal(text)
    if not 1 <= len(text) <= 40 or not text.isprintable():
        raise AccountError("a name must be 1 to 40 printable characters")
    if text.casefold() in (lifecycle.DETECTOR, lifecycle.RIDER, lifecycle.DESK):
        raise AccountError(f"{text} stands for a machine in the timeline and cannot be a person's name")
    return text
