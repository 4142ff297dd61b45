"""A plain MQTT 3.1.1 connection for load: it publishes at QoS 1, counts PUBACKs, comes back, and can nothing else.

A client library spends more on a message than making and sending all of it costs here.
"""

import random
import socket
import ssl
import time
from collections import deque
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import numpy as np

from simulator.backoff import Backoff
from simulator.broker import Broker, BrokerError
from simulator.ledger import LedgerWriter

_WINDOW = 20_000
"""Most packets without a PUBACK on a connection; packet identifiers end at 65,535."""
_RETRY_S = (0.4, 10.0)
_DIAL_S = 5.0
_KEEPALIVE_S = 120
"""We speak every second, so the broker never hears a PINGREQ."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Frames of some helmets for one second, packed for the wire."""

    ids: list[str]
    boot: int
    seq: int
    data: bytes
    """As many PUBLISH packets of equal length as there are ids."""
    first_id: int
    """Packet identifier of the first."""

    @property
    def packet_bytes(self) -> int:
        """Length of one packet."""
        return len(self.data) // len(self.ids)


class Line:
    """One connection. What has no PUBACK is kept, up to `kept_max` frames, and sent again after a reconnection.

    A broker acknowledges in the order in which it was sent to (MQTT-4.6.0-2), so counting is enough.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        kept_max: int,
        pool: Executor,
        ledger: LedgerWriter | None = None,
    ) -> None:
        self._broker, self._client_id, self._kept_max = broker, client_id, kept_max
        self._pool, self._ledger = pool, ledger
        self._context = broker.tls_context()
        self._backoff = Backoff(*_RETRY_S, random.Random(client_id))
        self._dialling: Future[socket.socket] | None = None
        self._retry_at = 0.0
        self.socket: socket.socket | None = None
        self._kept: deque[Slice] = deque()
        self._done = 0  # packets of the oldest slice with a PUBACK
        self._next = 0  # first slice that this connection has not begun to write
        self._out: memoryview | None = None
        self._rest = b""
        self.handed = self.acknowledged = self.given_up = self.reconnected = 0
        self.waiting = 0
        """Frames without a PUBACK, sent or not."""
        self._in_flight = 0

    def open(self) -> None:
        """Connects for the first time. Raises `BrokerError`."""
        where = f"{self._broker.host}:{self._broker.port}"
        try:
            self.socket = self._dial()
        except OSError as error:
            raise BrokerError(f"no broker at {where}: {error}") from None

    @property
    def next_id(self) -> int:
        """Packet identifier of the next frame that is handed over."""
        return self.handed % 65535 + 1

    def put(self, part: Slice) -> None:
        """Takes frames to be sent; the oldest that cannot be kept any longer are given up."""
        self._kept.append(part)
        self.handed += len(part.ids)
        self.waiting += len(part.ids)
        while self.waiting > self._kept_max and self._next < len(self._kept):
            self._give_up()

    def _give_up(self) -> None:
        # What is in flight stays: its PUBACKs are counted.
        old, done = self._kept[self._next], self._done if self._next == 0 else 0
        del self._kept[self._next]
        if self._next == 0:
            self._done = 0
        self.given_up += len(old.ids) - done
        self.waiting -= len(old.ids) - done
        if self._ledger:
            for helmet in old.ids[done:]:
                self._ledger.given_up(helmet, old.boot, old.seq)

    @property
    def wants_to_write(self) -> bool:
        """Whether a writable socket would be of use."""
        return self._out is not None or (self._next < len(self._kept) and self._in_flight < _WINDOW)

    def look_after(self) -> None:
        """Connects again where the connection is gone and it is time to."""
        if self.socket is not None:
            return
        if self._dialling is None:
            if time.monotonic() >= self._retry_at:
                self._dialling = self._pool.submit(self._dial)
        elif self._dialling.done():
            dialling, self._dialling = self._dialling, None
            try:
                self.socket = dialling.result()
            except (OSError, BrokerError):
                self._retry_at = time.monotonic() + self._backoff.next_s()
            else:
                self._backoff.reset()
                self.reconnected += 1

    def write(self) -> None:
        """Sends as much as the socket and the broker take."""
        while self.socket is not None:
            if self._out is None:
                if not self.wants_to_write:
                    return
                part, skip = self._kept[self._next], self._done if self._next == 0 else 0
                self._out = memoryview(part.data)[skip * part.packet_bytes :]
                self._in_flight += len(part.ids) - skip
                self._next += 1
            try:
                n = self.socket.send(self._out[: 1 << 18])
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError:
                self._lost()
                return
            self._out = self._out[n:] if n < len(self._out) else None

    def read(self) -> None:
        """Counts what has been acknowledged. Raises `BrokerError` where the broker says something else."""
        while self.socket is not None:
            try:
                data = self.socket.recv(1 << 18)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError:
                data = b""
            if not data:
                self._lost()
                return
            data = self._rest + data
            whole = len(data) // 4 * 4
            self._rest = data[whole:]
            if data[0:whole:4].strip(b"\x40") or data[1:whole:4].strip(b"\x02"):
                raise BrokerError("the broker said something that is not a PUBACK")
            self._count(np.frombuffer(data[:whole], ">u2")[1::2].astype(np.int64))

    def _count(self, ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        while len(ids):
            if not self._in_flight:
                raise BrokerError("the broker acknowledges what it was not sent")
            part = self._kept[0]
            n = min(len(ids), len(part.ids) - self._done)
            expected = (part.first_id - 1 + self._done + np.arange(n)) % 65535 + 1
            if (ids[:n] != expected).any():
                raise BrokerError("the broker acknowledges in another order than it was sent to")
            if self._ledger:
                for helmet in part.ids[self._done : self._done + n]:
                    self._ledger.acked(helmet, part.boot, part.seq)
            ids = ids[n:]
            self._done += n
            self._in_flight -= n
            self.acknowledged += n
            self.waiting -= n
            if self._done == len(part.ids):
                self._kept.popleft()
                self._next -= 1
                self._done = 0

    def _lost(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket, self._out, self._rest = None, None, b""
        self._next = self._in_flight = 0
        self._retry_at = time.monotonic() + self._backoff.next_s()

    def close(self) -> None:
        """Ends the connection."""
        if self._dialling is not None:
            self._dialling.cancel()
        if self.socket is not None:
            self.socket.close()

    def _dial(self) -> socket.socket:
        """A connection that the broker has accepted. Raises `OSError` or `BrokerError`."""
        broker = self._broker
        plain = socket.create_connection((broker.host, broker.port), timeout=_DIAL_S)
        try:
            made = self._context.wrap_socket(plain, server_hostname=broker.host) if self._context else plain
            made.sendall(_connect(self._client_id, *broker.sign_in(self._client_id)))
            answer = b""
            while len(answer) < 4 and (more := made.recv(4 - len(answer))):
                answer += more
        except OSError:
            plain.close()
            raise
        if len(answer) < 4 or answer[0] != 0x20 or answer[3] != 0:
            made.close()
            code = answer[3] if len(answer) > 3 else "?"
            raise BrokerError(f"the broker at {broker.host}:{broker.port} refuses us: code {code}")
        made.setblocking(False)
        return made


def _connect(client_id: str, username: str, password: str) -> bytes:
    def text(value: str) -> bytes:
        return len(value.encode()).to_bytes(2, "big") + value.encode()

    flags = 0x02 | (0xC0 if username else 0)
    body = text("MQTT") + bytes([4, flags]) + _KEEPALIVE_S.to_bytes(2, "big") + text(client_id)
    if username:
        body += text(username) + text(password)
    length = len(body)
    return (
        bytes([0x10, length]) if length < 128 else bytes([0x10, length & 0x7F | 0x80, length >> 7])
    ) + body
