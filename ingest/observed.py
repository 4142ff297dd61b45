"""Which helmets are under observation: what the desk said last, kept in a file so that a restart knows it."""

import json
import os
from pathlib import Path

import structlog
from pydantic import TypeAdapter, ValidationError

from core import metrics

log = structlog.get_logger()

HELMETS_MAX = 100
"""More than any desk allows; a longer list is a fault, and would fill the journal."""

_LIST = TypeAdapter(dict[str, int])
_ANSWER = TypeAdapter(dict[str, dict[str, int]])


class Observed:
    """The list that the relay to the desk brings and the worker's loop reads; neither waits for the other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._until_us: dict[str, int] = {}
        self._too_many = 0
        try:
            self._until_us = _LIST.validate_json(path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValidationError) as error:
            # The desk says it again within seconds.
            log.warning("observation.not_read", error=type(error).__name__)

    def take(self, answer: bytes) -> None:
        """The desk's list, which replaces the one before: `{"observed": {helmet: until_us}}`."""
        try:
            until_us = _ANSWER.validate_json(answer)["observed"]
        except (ValidationError, KeyError):
            log.warning("observation.not_understood")
            return
        if until_us == self._until_us:
            return
        if len(until_us) > HELMETS_MAX:
            if len(until_us) != self._too_many:
                # Once for each length: the desk says it again every few seconds.
                self._too_many = len(until_us)
                log.error(
                    "observation.too_many",
                    helmets=len(until_us),
                    most=HELMETS_MAX,
                    hint="no desk of ours asks for so many; the list before stays in force",
                )
            return
        self._too_many = 0
        # One assignment: the loop sees the old list or the new one.
        self._until_us = until_us
        log.info("observation.changed", helmets=len(until_us))
        beside = self._path.with_name(self._path.name + ".new")
        try:
            beside.touch(mode=0o600)
            with beside.open("w", encoding="utf-8") as file:
                json.dump(until_us, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            log.warning("observation.not_kept", error=str(error), hint="a restart asks the desk again")

    def now(self, now_us: int) -> frozenset[str]:
        """The helmets under observation at this moment."""
        found = frozenset(helmet for helmet, until_us in self._until_us.items() if now_us < until_us)
        metrics.OBSERVED.set(len(found))
        return found
