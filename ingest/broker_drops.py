"""What the broker says about messages it dropped."""

import structlog

from core import metrics

log = structlog.get_logger()

TOPIC = "$SYS/broker/publish/messages/dropped"
"""How many messages mosquitto has dropped for any client since it started."""


class BrokerDrops:
    """Counts how many more the broker says it dropped, for any of its clients; ours show as gaps, by helmet."""

    def __init__(self) -> None:
        self._dropped = -1

    def take(self, payload: bytes) -> None:
        """The broker's newest count."""
        if not payload.isdigit():
            return
        dropped = int(payload)
        if dropped > self._dropped >= 0:
            metrics.BROKER_DROPPED.inc(dropped - self._dropped)
            log.error(
                "broker.dropped",
                messages=dropped - self._dropped,
                hint="a queue of the broker is full (max_queued_messages), of ours or of another client",
            )
        self._dropped = dropped
