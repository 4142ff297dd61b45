"""A small disk that can be filled: a tmpfs in a namespace of its own, which needs no rights of an administrator."""

import contextlib
import ctypes
import multiprocessing
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from app.reconcile import Account, account_for
from core.config import Config
from simulator.ledger import Ledger

_LIBC = ctypes.CDLL(None, use_errno=True)


def enter(holder: int) -> None:
    """Makes this process, which must have one thread, see the disks of another."""
    for kind in ("user", "mnt"):
        descriptor = os.open(f"/proc/{holder}/ns/{kind}", os.O_RDONLY)
        if _LIBC.setns(descriptor, 0):
            raise OSError(ctypes.get_errno(), f"the {kind} namespace of {holder} cannot be entered")
        os.close(descriptor)


class Disk:
    """Mounted at `folder` for those processes that `enter` the namespace of `holder`."""

    def __init__(self, folder: Path, holder: int) -> None:
        self.folder, self.holder = folder, holder
        self._inside = ProcessPoolExecutor(
            1, multiprocessing.get_context("forkserver"), initializer=enter, initargs=(holder,)
        )

    def fill(self) -> None:
        """Leaves not a byte."""
        with contextlib.suppress(OSError), self._filler.open("wb", buffering=0) as file:
            while file.write(b"\0" * 4096):
                pass

    def clear(self) -> None:
        """Gives back what `fill` took."""
        self._filler.unlink()

    def names(self, pattern: str) -> list[str]:
        """Files on it."""
        return [path.name for path in self._seen.glob(pattern)]

    @property
    def _seen(self) -> Path:
        return Path(f"/proc/{self.holder}/root{self.folder}")

    @property
    def _filler(self) -> Path:
        return self._seen / "filler"

    def account_for(self, config: Config, ledger: Ledger) -> Account:
        """`app.reconcile.account_for`, asked where the disk can be seen."""
        return self._inside.submit(account_for, config, ledger).result(60)

    def close(self) -> None:
        self._inside.shutdown()


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Disk]:
    folder.mkdir()
    mount = f"mount -t tmpfs -o size={megabytes}m tmpfs '{folder}' && echo mounted && exec cat"
    holder = subprocess.Popen(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mount],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert holder.stdout is not None and holder.stderr is not None
    if holder.stdout.readline() != b"mounted\n":
        raise AssertionError(
            "a full disk cannot be tried here, since this system lets nobody mount a tmpfs in a user namespace "
            f"of his own (unshare --map-root-user --mount): {holder.stderr.read().decode().strip()}"
        )
    disk = Disk(folder, holder.pid)
    try:
        yield disk
    finally:
        disk.close()
        holder.communicate()  # its input ends, and with it the disk
