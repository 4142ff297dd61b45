"""Rate limits: how many messages fit now, with slots kept for critical ones, and what is merged."""

from collections.abc import Sequence
from dataclasses import dataclass

from alerts.notices import Notice, digest


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` messages within `within_s`; the last `kept` of them are for critical notices alone."""

    most: int
    within_s: float
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message to send, and the notices that it carries."""

    message: Notice
    carries: tuple[Notice, ...]


def free(limits: Sequence[Limit], sent_us: Sequence[int], now_us: int, *, critical: bool) -> int:
    """How many messages may be sent now, after those sent at `sent_us`."""
    counts = [
        limit.most
        - (0 if critical else limit.kept)
        - sum(now_us - round(limit.within_s * 1e6) < t for t in sent_us)
        for limit in limits
    ]
    return max(0, min(counts, default=UNLIMITED))


def plan(
    waiting: Sequence[Notice], limits: Sequence[Limit], sent_us: Sequence[int], now_us: int
) -> list[Parcel]:
    """What to send now: critical notices first, each alone while there is room, the rest merged.

    Where more wait than may be sent, the last slot carries all that is left of its class in one digest:
    nothing critical waits behind anything else, and nothing is dropped.
    """
    critical = [notice for notice in waiting if notice.critical]
    rest = [notice for notice in waiting if not notice.critical]
    parcels = _fit(critical, free(limits, sent_us, now_us, critical=True))
    spent = [*sent_us, *[now_us] * len(parcels)]
    return parcels + _fit(rest, free(limits, spent, now_us, critical=False))


def _fit(waiting: list[Notice], room: int) -> list[Parcel]:
    if room == 0 or not waiting:
        return []
    waiting = sorted(waiting, key=lambda n: (-n.severity, n.at_us, n.id))
    if len(waiting) <= room:
        return [Parcel(notice, (notice,)) for notice in waiting]
    alone, merged = waiting[: room - 1], waiting[room - 1 :]
    return [*(Parcel(n, (n,)) for n in alone), Parcel(digest(merged), tuple(merged))]


UNLIMITED = 10_000
