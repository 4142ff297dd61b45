"""Whom to call when: from an alert, the policy and the time to the calls that are due. No storage, no clock.

A call has a key; the same key is the same call, whoever computes it and how often. So a desk that restarts
works everything out anew, and the outbox drops what was sent before.
Only a person's acknowledgement stops the calls to an open alert; they go on after the last tier.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from alerts.model import Alert, State
from alerts.notices import CRITICAL, Contact
from alerts.policy import Policy, Tier
from core.model import Kind


class Why(StrEnum):
    """Why somebody is told."""

    COUNTDOWN = "countdown"
    """Critical, and the rider's countdown still runs: critical is never held back."""
    OPENED = "opened"
    ESCALATED = "escalated"
    """Nobody took it in the time of a tier."""
    REPEATED = "repeated"
    """Nobody took it, and there is no further tier."""
    PRESSED = "pressed"
    """The rider has pressed SOS again while nobody had taken it."""
    HANDOVER = "handover"
    """Somebody's duty began while nobody had taken it."""
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    CANCELLED = "cancelled"


ENDS = {
    State.ACKNOWLEDGED: Why.ACKNOWLEDGED,
    State.RESOLVED: Why.RESOLVED,
    State.CANCELLED: Why.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Call:
    """These people are to be told by these channels."""

    why: Why
    at_us: int
    tier: int | None
    channels: tuple[str, ...]
    key: str
    """What makes it this call and no other, within one alert or storm."""
    people: tuple[Contact, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The calls that are due, and when to look again (None: not before something changes)."""

    due: list[Call]
    next_us: int | None = None


def plan(alert: Alert, policy: Policy, now_us: int, unheard: int = 0) -> Plan:
    """What is due for one alert as it stands; the first `unheard` tiers of a critical one could not be reached."""
    tiers = policy.tiers[alert.severity]
    if alert.state is State.PENDING:
        if alert.severity < CRITICAL:
            return Plan([])
        at_us = alert.alerted_us
        first = tiers[: unheard + 1]
        keys = [f"{at_us}", *(f"{at_us} {number}" for number in range(1, len(first)))]
        return Plan([_call(Why.COUNTDOWN, n, tier, policy, at_us, keys[n]) for n, tier in enumerate(first)])
    if alert.state is State.OPEN and alert.opened_us is not None:
        found = climb(alert.opened_us, alert.severity, policy, now_us, unheard)
        # The tiers go on as they were: who presses again and again must not hold them up.
        return replace(found, due=found.due + list(_pressed(alert, tiers, policy)))
    return Plan(list(_news(alert, tiers)))


def _pressed(alert: Alert, tiers: tuple[Tier, ...], policy: Policy) -> Iterator[Call]:
    if alert.kind is Kind.SOS and len(alert.impacts_us) > 1 and tiers:
        again_us = alert.last_impact_us
        yield _call(Why.PRESSED, 0, tiers[0], policy, again_us, f"{alert.opened_us} pressed {again_us}")


def climb(opened_us: int, severity: int, policy: Policy, now_us: int, unheard: int = 0) -> Plan:
    """The tiers of something that opened at `opened_us` and that nobody has taken.

    Where the first `unheard` tiers could not be reached, the one after them is due at once.
    """
    tiers = policy.tiers[severity]
    # What turns critical while it is open is told anew; other changes of severity are not.
    episode = f"{opened_us} {severity >= CRITICAL}"
    calls: list[Call] = []
    looks: list[int] = []
    for number, tier in enumerate(tiers):
        due_us = opened_us + round(tier.after_s * 1e6)
        if due_us > now_us and number <= unheard:
            due_us = now_us
        if due_us > now_us:
            looks.append(due_us)
            break
        why = Why.OPENED if number == 0 else Why.ESCALATED
        calls.append(_call(why, number, tier, policy, due_us, f"{episode} {number}"))
        for rota in policy.rotas_of(tier):
            looks.append(rota.changes_us(now_us))
            calls += _handover(number, tier, policy, due_us, rota.changed_us(now_us), episode)
    else:
        if tiers:
            again, next_us = _repeat(opened_us, len(tiers) - 1, tiers[-1], policy, now_us, episode)
            calls += again
            looks.append(next_us)
    return Plan(calls, min(looks, default=None))


def _handover(
    number: int, tier: Tier, policy: Policy, due_us: int, changed_us: int, episode: str
) -> Iterator[Call]:
    if changed_us <= due_us:
        return
    before = policy.contacts(tier, changed_us - 1)
    new = [each for each in policy.contacts(tier, changed_us) if each not in before]
    if new:
        keys, people = zip(*new, strict=True)
        key = f"{episode} {number} handover {' '.join(keys)} {changed_us}"
        yield Call(Why.HANDOVER, changed_us, number, tier.channels, key, people)


def _repeat(
    opened_us: int, number: int, tier: Tier, policy: Policy, now_us: int, episode: str
) -> tuple[list[Call], int]:
    """The newest repetition of the last tier; those that a sleeping desk has missed are not made up for."""
    first_us, every_us = opened_us + round(tier.after_s * 1e6), round(policy.repeat_s * 1e6)
    times = (now_us - first_us) // every_us
    at_us = first_us + times * every_us
    calls = [_call(Why.REPEATED, number, tier, policy, at_us, f"{episode} {number} again {times}")]
    return calls if times > 0 else [], at_us + every_us


def _news(alert: Alert, tiers: tuple[Tier, ...]) -> Iterator[Call]:
    """Whoever was called learns that somebody has it, or that it is over."""
    ended_us = {
        State.ACKNOWLEDGED: alert.acknowledged_us,
        State.RESOLVED: alert.resolved_us,
        State.CANCELLED: alert.cancelled_us,
    }[alert.state]
    if ended_us is None:
        return
    stopped_us = alert.acknowledged_us or ended_us
    told: dict[str, None] = {}
    if alert.opened_us is not None:
        for tier in tiers:
            if alert.opened_us + round(tier.after_s * 1e6) <= stopped_us:
                told |= dict.fromkeys(tier.channels)
    elif alert.severity >= CRITICAL and tiers:
        told |= dict.fromkeys(tiers[0].channels)
    if told:
        why = ENDS[alert.state]
        yield Call(why, ended_us, None, tuple(told), f"{why} {ended_us}")


def _call(why: Why, number: int, tier: Tier, policy: Policy, at_us: int, key: str) -> Call:
    people = tuple(contact for _, contact in policy.contacts(tier, at_us))
    return Call(why, at_us, number, tier.channels, key, people)
