"""Telemetry stores: the embedded one (SQLite) and InfluxDB, behind one contract."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from core import config

SAMPLES = np.dtype(
    [
        ("helmet", "S24"),
        ("t_us", "<i8"),
        ("boot", "<u4"),
        ("seq", "<u4"),
        ("x_g", "<f4"),
        ("y_g", "<f4"),
        ("z_g", "<f4"),
        ("x_rad_s", "<f4"),
        ("y_rad_s", "<f4"),
        ("z_rad_s", "<f4"),
    ]
)
"""One row per raw sample, stored around incidents and for helmets under observation: acceleration and angular
velocity (NaN without a gyro) at device time `t_us`; `boot` and `seq` are those of its frame."""

UNSTORABLE = "the helmet id is no plain text, or the time is outside 1678 to 2261"
"""Why `unstorable` rows are not taken."""
_T_MAX_US = 9_200_000_000_000_000


class StoreError(Exception):
    """A store cannot be opened or read; the message says why, in one sentence without secrets."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the rows of one `write`.

    `accepted`: every row is stored. `partial`: every row is stored but those in `bad`, which will never be
    taken. `retry`: the store cannot be reached or is busy. `refused`: someone has to change something
    (credentials, bucket, disk permissions) first. After `retry` and `refused` keep all rows and write them
    all again: rows that were stored already (`accepted` of them) are not stored twice.
    """

    kind: Literal["accepted", "partial", "retry", "refused"]
    accepted: int
    bad: dict[int, str] = field(default_factory=dict)
    """Row numbers, ascending, and why the store does not take each: one sentence for a person."""
    reason: str = ""
    """The same about the whole write, after `retry` and `refused`."""
    pause_s: float = 0.0
    """For how long the server asks to be left alone, after `retry`."""


class Store(Protocol):
    """Where telemetry rows and raw samples end up. The key of either is (helmet, t_us, boot, seq)."""

    def write(self, rows: npt.NDArray[np.void]) -> Outcome:
        """Stores rows, all of `core.model.TELEMETRY` or all of `SAMPLES`, synchronously.

        Raises nothing that server or disk cause. A row whose key is stored already changes nothing.
        """
        ...

    def read(self, helmet: str, start_us: int, end_us: int, limit: int = 10000) -> npt.NDArray[np.void]:
        """The first `limit` rows of one helmet with start_us <= t_us < end_us, by time.

        Raises `StoreError`.
        """
        ...

    def samples(self, helmet: str, start_us: int, end_us: int, limit: int = 100000) -> npt.NDArray[np.void]:
        """The same for raw samples. Raises `StoreError`."""
        ...

    def count(self) -> int:
        """How many telemetry rows are stored; reads the whole store. Raises `StoreError`."""
        ...

    def keys(self) -> Iterator[tuple[str, int, int]]:
        """(helmet, boot, seq) of every telemetry row, for reconciling; raises `StoreError`."""
        ...

    def prune(self, before_us: int, samples_before_us: int) -> int:
        """Deletes rows with t_us < before_us and samples with t_us < samples_before_us; says how many.

        0 where the server has a retention of its own. Raises `StoreError`.
        """
        ...

    def forget(self, helmet: str) -> int | None:
        """Deletes every row and every sample of one helmet; says how many, None where the server does not.

        Raises `StoreError`, also where the server has no way to delete.
        """
        ...

    def check(self) -> str:
        """Makes sure that rows can be written, without writing any, and says to what; raises `StoreError`."""
        ...

    def close(self) -> None:
        """Gives the file or connection back."""
        ...


def open_store(settings: config.Storage) -> Store:
    """Opens the store the configuration names.

    A server is not contacted: one that is down shows in `write`. Raises `StoreError` where the embedded
    store's file cannot be opened or the server has no address, and `core.config.ConfigError` where the token
    cannot be read.
    """
    if settings.kind == "embedded":
        from storage.embedded import EmbeddedStore

        return EmbeddedStore(settings.embedded)
    # Here and not above: a worker without InfluxDB need not carry its client.
    from storage.influx import InfluxStore

    return InfluxStore(settings)


def unstorable(rows: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which rows no store takes: helmet id or time cannot come back from every server as they were.

    Such an id is empty, not UTF-8, or holds a control character or a backslash: line protocol ends a line
    with a newline, and servers differ in what a backslash means. Such a time is outside the years 1678 to
    2261, which 64 bits of nanoseconds reach. One rule for all stores, so that changing the store does not
    change what can be stored.
    """
    ids, number = np.unique(rows["helmet"], return_inverse=True)
    unclear = ~np.array([_is_text(value) for value in ids.tolist()], dtype=bool)[number]
    return unclear | (rows["t_us"] < -_T_MAX_US) | (rows["t_us"] > _T_MAX_US)


def _is_text(helmet: bytes) -> bool:
    try:
        text = helmet.decode()
    except UnicodeDecodeError:
        return False
    return bool(text) and text.isprintable() and "\\" not in text
