"""The name a worker has at its broker, and that no other on this machine has it.

A broker throws out the older of two clients with one name: two such workers would take turns in losing what is
under way. Across machines the broker is the only one to notice (`ingest.mqtt`).
"""

import errno
import hashlib
import random
import socket

import structlog

from core.config import ConfigError, Ingest

log = structlog.get_logger()

_SUSPICIOUS, _CERTAIN = 4, (8, 16)


def client_id(config: Ingest) -> str:
    """The MQTT client id of a worker."""
    return f"helmetwatch-{config.worker}"


def claim(config: Ingest) -> socket.socket:
    """Makes this process the only one on this machine with this client id at this broker, until it is closed or dies.

    Raises `ConfigError` where another has it.
    """
    broker = f"{config.mqtt.host}:{config.mqtt.port}"
    name = hashlib.sha256(f"{broker}:{client_id(config)}".encode()).hexdigest()
    held = socket.socket(socket.AF_UNIX)
    try:
        # A name without a file (Linux, unix(7)): whatever ends the process, even kill -9, gives it back.
        held.bind(f"\0helmetwatch-{name}")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return held  # No such names here: the broker notices alone.
        held.close()
        raise ConfigError(
            [
                f"ingest.worker: another worker on this machine is {client_id(config)} at {broker} already: "
                "stop it, or give this one a name, a journal and shards of its own"
            ]
        ) from None
    return held


class Takeovers:
    """Recognises another client with our name where the broker does not speak of it, as mosquitto 2.0 does not.

    What is seen is connections that the broker accepts and cuts without a word, soon, many in a row. How many are
    proof is drawn by lot: one of the two gives up while the other goes on.
    """

    def __init__(self, proof: int | None = None) -> None:
        self._cut = 0
        self._proof = proof or random.randint(*_CERTAIN)

    def ended(self, *, cut: bool) -> bool:
        """Takes note of how a connection ended; True where going on is pointless."""
        self._cut = self._cut + 1 if cut else 0
        if self._cut == _SUSPICIOUS:
            log.error(
                "broker.unstable", cut=self._cut, hint="does another worker use this name (ingest.worker)?"
            )
        return self._cut >= self._proof
