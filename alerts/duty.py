"""The fatigue clock: how long somebody has ridden without a real break, from intervals of event time.

The clock is a fold over intervals in order of time; `alerts.riding` puts what came late or twice in that order, so
that it gives the total that data in time would have given. Nothing here knows calendars: times are microseconds UTC.
"""

from collections.abc import Iterable
from typing import NamedTuple

WARN_S, LIMIT_S = 13_500.0, 14_400.0
"""3 h 45 and 4 h: delivery platforms remind after four hours without a break."""
REST_S = 1_200.0
"""A rest of 20 minutes starts the clock again; a shorter one only stops it."""
BRIDGE_S = 300.0
"""A hole in the data up to this long counts as what was before it; a longer one as neither work nor rest."""
FORGET_S = LIMIT_S
"""A hole this long ends the session: a helmet that was off all night says nothing about the morning."""


class Interval(NamedTuple):
    """A stretch of time in which it is known whether somebody rode with the helmet on."""

    start_us: int
    end_us: int
    works: bool


class Clock(NamedTuple):
    """What the intervals up to `end_us` add up to."""

    since_us: int = 0
    """When the session began: its first ride after a rest."""
    end_us: int = 0
    works: bool = False
    worked_s: float = 0.0
    rest_s: float = 0.0
    """Of the break that lasts until now."""
    uncertain_s: float = 0.0
    """Holes in the session's data that count as neither."""


def advance(clock: Clock, interval: Interval) -> Clock:
    """The clock after one more interval, which begins where the last ended or later; what overlaps counts once."""
    start_us = max(interval.start_us, clock.end_us)
    if interval.end_us <= start_us:
        return clock
    hole_s = (start_us - clock.end_us) / 1e6 if clock.end_us else 0.0
    if hole_s >= FORGET_S:
        clock = Clock(end_us=start_us)
    elif 0 < hole_s <= BRIDGE_S:
        clock = _count(clock, start_us, clock.works)
    elif hole_s:
        # Nobody knows what somebody does who is not heard: it neither tires nor rests.
        doubt_s = clock.uncertain_s + hole_s if clock.worked_s else 0.0
        clock = clock._replace(end_us=start_us, uncertain_s=doubt_s)
    else:
        clock = clock._replace(end_us=start_us)
    return _count(clock, interval.end_us, interval.works)


def _count(clock: Clock, end_us: int, works: bool) -> Clock:
    seconds = (end_us - clock.end_us) / 1e6
    if works:
        since_us = clock.since_us if clock.worked_s else clock.end_us
        return clock._replace(
            since_us=since_us, end_us=end_us, works=True, worked_s=clock.worked_s + seconds, rest_s=0.0
        )
    rest_s = clock.rest_s + seconds
    if rest_s >= REST_S:
        return Clock(end_us=end_us, rest_s=rest_s)
    return clock._replace(end_us=end_us, works=False, rest_s=rest_s)


def fold(intervals: Iterable[Interval]) -> Clock:
    """The clock of intervals in order of time."""
    clock = Clock()
    for interval in intervals:
        clock = advance(clock, interval)
    return clock
