"""Passwords that cost little: a sign-in takes 0.2 s of processor time on purpose, and hundreds of tests sign in."""

from collections.abc import Iterator

import argon2
import pytest

from web import accounts

SHIPPED = accounts._HASHER
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """The same Argon2id, with the least work it allows for these tests; what ships is tested for its cost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "_HASHER", CHEAP)
        patch.setattr(accounts, "_NOBODY", CHEAP.hash("nobody"))
        yield
