"""Where the broker is, how to sign in, and what a connection says of itself."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.config import Tls


class BrokerError(Exception):
    """The broker cannot be reached, or does not let us in."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and how to sign in."""

    host: str
    port: int
    username: str = ""
    password: str = ""
    protocol: Literal["5", "3.1.1"] = "5"
    tls: Tls = field(default_factory=Tls)
    credentials: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Name and password of each helmet that signs in by itself, by helmet id; others use those above."""

    def sign_in(self, client_id: str) -> tuple[str, str]:
        """Name and password of a client; an empty name is none."""
        return self.credentials.get(client_id, (self.username, self.password))

    def tls_context(self) -> ssl.SSLContext | None:
        """What TLS needs, None without it. Raises `BrokerError` where a file cannot be used."""
        if not self.tls.enabled:
            return None
        try:
            context = ssl.create_default_context(cafile=self.tls.ca_file or None)
            if self.tls.cert_file:
                context.load_cert_chain(self.tls.cert_file, self.tls.key_file or None)
        except OSError as error:
            raise BrokerError(f"TLS: {self.tls.ca_file or self.tls.cert_file}: {error}") from None
        return context


@dataclass(frozen=True, slots=True)
class Identity:
    """What one connection says of itself."""

    client_id: str
    subscribe: tuple[str, ...] = ()
    will: tuple[str, bytes] | None = None
    """Topic and payload the broker sends, retained, if the connection is lost."""
    as_published: bool = False
    """Whether it hears messages at the QoS, and with MQTT 5 with the retain flag, they were published with."""
