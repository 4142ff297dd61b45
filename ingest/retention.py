"""How long telemetry is kept: once an hour, what is too old is deleted from the store, beside everything else."""

import threading
from collections.abc import Callable

import structlog

from core.config import Embedded
from storage import Store, StoreError

log = structlog.get_logger()

EVERY_S = 3600.0


class Retention:
    """Prunes the store as soon as there is one, and then once an hour, in a thread that nobody waits for."""

    def __init__(self, keep: Embedded, store: Callable[[], Store | None]) -> None:
        self._keep_us = int(keep.retention_days * 86_400e6)
        self._keep_samples_us = int(keep.samples_days * 86_400e6)
        self._store = store
        self._pruned_s: float | None = None
        self._pruning: threading.Thread | None = None

    def turn(self, now_s: float, now_us: int) -> None:
        """Begins to prune where it is due; `now_s` is of a clock that nobody sets, `now_us` of the one of the rows."""
        if self._pruned_s is not None and now_s - self._pruned_s < EVERY_S:
            return
        store = self._store()
        if store is None or (self._pruning is not None and self._pruning.is_alive()):
            return
        self._pruned_s = now_s
        before_us = now_us - self._keep_us, now_us - self._keep_samples_us
        self._pruning = threading.Thread(target=_prune, args=(store, *before_us), name="prune", daemon=True)
        self._pruning.start()


def _prune(store: Store, before_us: int, samples_before_us: int) -> None:
    try:
        log.info("store.pruned", rows=store.prune(before_us, samples_before_us))
    except StoreError as error:
        log.warning("store.not_pruned", error=str(error))
