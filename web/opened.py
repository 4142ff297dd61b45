"""The alert book's file as the running desk has it open: everything that reads and writes it, and their threads."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

from alerts.book import Book
from alerts.database import BookError, claim
from alerts.memory import Memory
from alerts.messages import Messages
from alerts.outbox import Outbox
from alerts.reader import Reader
from alerts.retention import Retention
from alerts.shown import Shown
from alerts.silences import Silences
from web.accounts import Accounts
from web.audit import Audit
from web.register_trail import RegisterTrail

T = TypeVar("T")

Thread = Literal["write", "read", "search", "accounts", "files"]


class Opened:
    """The one desk of a file, until `close`. Raises `BookError` when made.

    Whatever writes belongs to the thread `write`, for SQLite has room for one writer. `read` is for what the desk's own
    turn, the pages and one alert need; `search` for what goes through many alerts, which may take seconds. Signing in
    delays nobody, nor do the files of riders and places, in `files`.
    """

    def __init__(self, path: Path, book: Callable[[], Book]) -> None:
        self._claim = claim(path)
        try:
            self.book = book()
            self.reader, self.search = Reader(path), Reader(path)
            self.outbox, self.accounts, self.memory = Outbox(path), Accounts(path), Memory(path)
            self.silences, self.messages, self.retention = Silences(path), Messages(path), Retention(path)
            self.trail, self.audit, self.shown = RegisterTrail(path), Audit(path), Shown(path)
        except BookError:
            os.close(self._claim)
            raise
        names: tuple[Thread, ...] = ("write", "read", "search", "accounts", "files")
        self._threads = {name: ThreadPoolExecutor(1, thread_name_prefix=f"desk-{name}") for name in names}

    async def do(self, thread: Thread, work: Callable[[], T]) -> T:
        """Does something in one of the threads, after what was asked of it before."""
        return await asyncio.get_running_loop().run_in_executor(self._threads[thread], work)

    def do_now(self, thread: Thread, work: Callable[[], T]) -> T:
        """Does something in one of the threads and waits for it; to be called in another of them."""
        return self._threads[thread].submit(work).result()

    def close(self) -> None:
        """Finishes what was begun and closes the file."""
        for thread in self._threads.values():
            thread.shutdown()
        writing = (
            self.accounts,
            self.silences,
            self.trail,
            self.retention,
            self.audit,
            self.messages,
            self.memory,
            self.shown,
            self.outbox,
        )
        for each in (*writing, self.reader, self.search, self.book):
            each.close()
        os.close(self._claim)
