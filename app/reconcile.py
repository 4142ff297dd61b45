"""Holds the ledger of a run against what the system made of it."""

from dataclasses import dataclass
from typing import Any

from simulator.ledger import Crash, Key, Ledger

_BEFORE_US, _AFTER_US = 1_000_000, 10_000_000
"""An alert belongs to a happening if it occurred between 1 s before and 10 s after it (event scoring)."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a run came to, in one line."""

    acknowledged: int
    lost: list[Key]
    """Acknowledged by the broker, neither stored nor rejected."""
    collisions: int
    missed: list[Crash]
    """Frames with a crash that were acknowledged and never alerted."""
    false: list[str]
    """Alerts (ids) that belong to nothing that happened."""

    def __str__(self) -> str:
        return (
            f"acknowledged {self.acknowledged}, lost {len(self.lost)}; collisions {self.collisions}, "
            f"alerted {self.collisions - len(self.missed)}, false {len(self.false)}"
        )


def reconcile(ledger: Ledger, stored: set[Key], alerts: list[dict[str, Any]]) -> Account:
    """Compares the ledger with the keys in the telemetry store and the alerts in the book.

    A crash counts where the broker acknowledged the frame that holds it and a good detector must alert
    (expected alert or cancel); alerts of any state count as alerted.
    """
    due = [c for c in ledger.crashes if c.expected != "none" and (c.helmet, c.boot, c.seq) in ledger.acked]
    return Account(
        acknowledged=len(ledger.acked),
        lost=sorted(ledger.acked - stored),
        collisions=len(due),
        missed=[crash for crash in due if not any(_belongs(alert, crash) for alert in alerts)],
        false=[a["id"] for a in alerts if not any(_belongs(a, crash) for crash in ledger.crashes)],
    )


def _belongs(alert: dict[str, Any], crash: Crash) -> bool:
    if alert["helmet"] != crash.helmet:
        return False
    return any(
        -_BEFORE_US <= t_us - crash.t_us <= _AFTER_US for t_us in [alert["occurred_us"], *alert["impacts_us"]]
    )
