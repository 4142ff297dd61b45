"""The files of riders and places, as they are now: a changed file counts within seconds, a faulty one does not."""

from collections.abc import Callable
from pathlib import Path

import structlog

from alerts import places, riders
from alerts.model import Rider
from alerts.nearby import Helper
from alerts.riders import Contact, Register
from core.config import Alerts, ConfigError

_log = structlog.get_logger("desk")


class Registers:
    """Who rides with which helmet, whom to call about them, and where help is. Raises `ConfigError` when made."""

    def __init__(self, config: Alerts) -> None:
        self._riders_file, self._places_file = config.riders_file, config.places_file
        self._seen = self._stamps()
        self._riders, self.places = self._read()
        self.faults: list[str] = []
        """What is wrong with the files as they are now, one line each; the last good ones are in use then."""

    @property
    def riders(self) -> dict[str, Rider]:
        """Riders by helmet."""
        return self._riders.riders

    @property
    def contacts(self) -> dict[str, Contact]:
        """Emergency contacts by helmet."""
        return self._riders.contacts

    def reread(self, know: Callable[[dict[str, Rider]], object] = lambda _: None) -> bool:
        """Reads the files again where they have changed; whether anything is new.

        `know` is told the riders before anybody finds them here: who sees a new rider may raise an alert for them.
        What cannot be used is left out, and the log says so: `helmetwatch check` says what is wrong with it.
        """
        stamps = self._stamps()
        if stamps == self._seen:
            return False
        try:
            register, found = self._read()
        except ConfigError as error:
            self._seen = stamps
            self.faults = error.faults
            _log.error(
                "desk.file_refused", faults=len(error.faults), hint="helmetwatch check names the lines"
            )
            return False
        know(register.riders)
        self._seen, self._riders, self.places, self.faults = stamps, register, found, []
        _log.info("desk.files_taken", riders=len(self.riders), places=len(self.places))
        return True

    def _read(self) -> tuple[Register, list[Helper]]:
        register = riders.read(Path(self._riders_file)) if self._riders_file else Register({}, {})
        return register, places.read(Path(self._places_file)) if self._places_file else []

    def _stamps(self) -> list[tuple[int, int, int]]:
        found = []
        for name in (self._riders_file, self._places_file):
            try:
                stat = Path(name).stat() if name else None
            except OSError:
                stat = None
            found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino) if stat else (0, 0, 0))
        return found
