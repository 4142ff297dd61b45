"""How the desk reads raw samples: from the store that the configuration names."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.config import ConfigError, Storage
from storage import StoreError, open_store
from web.observing import COLUMNS, NotHereError, ReadSamples, SamplesError


def reader(storage: Storage) -> ReadSamples:
    """A way to the store, which is opened for each question: the worker may have yet to make it."""

    def read(helmet: str, start_us: int, end_us: int, limit: int) -> Iterable[tuple[Any, ...]]:
        if storage.kind == "embedded" and not Path(storage.embedded.path).is_file():
            # Opening it would make one, empty and of the wrong owner.
            raise NotHereError("The telemetry store is not on this machine (storage.embedded.path).")
        try:
            store = open_store(storage)
            try:
                rows = store.samples(helmet, start_us, end_us, limit)
            finally:
                store.close()
        except (StoreError, ConfigError) as error:
            raise SamplesError(f"The telemetry store cannot be read: {error}") from None
        return [tuple(row) for row in rows[list(COLUMNS)].tolist()]

    return read
