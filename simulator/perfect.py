"""A network that never fails, for dry runs: nothing is sent, everything is acknowledged at once."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from core.model import Flag, Prompt
from ingest.codec import encode_prompt
from simulator.broker import Identity


class Network(Protocol):
    """What the sending side of a fleet needs of a network; `Connections` is the real one."""

    dropped: int

    @property
    def connected(self) -> int:
        """Connections that stand."""
        ...

    @property
    def outstanding(self) -> int:
        """Messages without an acknowledgement."""
        ...

    def open(self) -> None:
        """Connects everything."""
        ...

    def publish(
        self, number: int, topic: str, payload: bytes, *, retain: bool = False, tag: Any = None
    ) -> None:
        """Sends a message over a connection."""
        ...

    def hold(self, number: int, held: bool) -> None:
        """Cuts a connection, or lets it come back."""
        ...

    def turn(self, seconds: float) -> None:
        """Sends and receives for so many real seconds."""
        ...

    def close(self) -> None:
        """Disconnects everything."""
        ...


class PerfectNetwork:
    """Acknowledges every message and receives every sent-on-impact frame, as a worker behind it would."""

    def __init__(
        self,
        identities: Sequence[Identity],
        *,
        on_message: Callable[[str, bytes], None],
        on_connected: Callable[[int], None],
        on_sent: Callable[[Any], None],
        on_ack: Callable[[Any], None],
    ) -> None:
        self._identities = identities
        self._on_message, self._on_connected = on_message, on_connected
        self._on_sent, self._on_ack = on_sent, on_ack
        self._receipts: list[tuple[str, bytes]] = []
        self._held: set[int] = set()
        self.dropped = self.outstanding = 0

    @property
    def connected(self) -> int:
        """Connections that are not held."""
        return len(self._identities) - len(self._held)

    def open(self) -> None:
        """Lets every helmet say that it is there."""
        for number in range(len(self._identities)):
            self._on_connected(number)

    def publish(
        self, number: int, topic: str, payload: bytes, *, retain: bool = False, tag: Any = None
    ) -> None:
        """Takes a message as sent and acknowledged."""
        del number, retain
        self._on_sent(tag)
        self._on_ack(tag)
        if tag is not None and payload[3] & Flag.ON_IMPACT:
            boot, seq = (int.from_bytes(payload[at : at + 4], "little") for at in (28, 32))
            prompt = encode_prompt(Prompt("received", boot, seq, None, None, None))
            self._receipts.append((topic.removesuffix("motion") + "prompt", prompt))

    def hold(self, number: int, held: bool) -> None:
        """Counts a connection as cut, or lets it say again that it is there."""
        if held:
            self._held.add(number)
        elif number in self._held:
            self._held.discard(number)
            self._on_connected(number)

    def turn(self, seconds: float) -> None:
        """Delivers receipts; takes no time."""
        del seconds
        receipts, self._receipts = self._receipts, []
        for topic, payload in receipts:
            self._on_message(topic, payload)

    def close(self) -> None:
        """Ends nothing."""
