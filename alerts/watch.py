"""Keeps an eye on every live alert and says which notices are due; what it forgets, the book still knows."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from alerts import escalation
from alerts.escalation import Call, Why
from alerts.model import Alert, State
from alerts.notices import CRITICAL, Notice, facts, lines, notice_id, title
from alerts.policy import Policy
from alerts.silences import Silence, until_us
from alerts.storms import Storm, Storms

BATCH = 250
FINAL = (State.RESOLVED, State.CANCELLED)


@dataclass(slots=True)
class Watch:
    """From changes of alerts to notices. Used from one thread; asked again and again for what is due."""

    policy: Policy
    public_url: str
    _alerts: dict[str, Alert] = field(default_factory=dict)
    _next_us: dict[str, int] = field(default_factory=dict)
    _heap: list[tuple[int, str]] = field(default_factory=list)
    _stuck: dict[str, set[tuple[int, str]]] = field(default_factory=dict)
    """Of each alert, tiers and channels whose calls reach nobody."""
    _silences: tuple[Silence, ...] = ()
    _stormy: bool = False
    """Whether the storms have to be worked out anew."""
    _storms: Storms = field(init=False)
    _members: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._storms = Storms(self.policy, self.public_url)

    def memory(self) -> list[dict[str, Any]]:
        """What `restore` needs after a restart, ready for JSON."""
        return self._storms.memory()

    def restore(self, remembered: Iterable[dict[str, Any]]) -> None:
        """These storms lasted when the desk stopped; to be called before `take`."""
        self._storms.restore(remembered)
        self._stormy = True

    def take(self, alerts: Iterable[Alert]) -> None:
        """These alerts are new, or have changed."""
        for alert in alerts:
            self._alerts[alert.id] = alert
            self._look(alert.id, 0)
            self._stormy |= alert.signal_lost

    def stuck(self, alert_id: str, tier: int, channel: str) -> None:
        """A call about an alert reaches nobody: its channel refuses it, or has to be left alone for minutes."""
        if alert_id in self._alerts and (tier, channel) not in self._stuck.get(alert_id, set()):
            self._stuck.setdefault(alert_id, set()).add((tier, channel))
            self._look(alert_id, 0)

    def passed_over(self, alert_id: str) -> int:
        """How many tiers of an alert, from the first on, cannot be reached, so that the next was called at once."""
        alert = self._alerts.get(alert_id)
        return 0 if alert is None else self._unheard(alert)

    def silence(self, silences: Iterable[Silence]) -> None:
        """From now on these silences hold; every live alert is looked at anew."""
        self._silences = tuple(silences)
        for id_ in self._alerts:
            self._look(id_, 0)

    def storms(self, now_us: int) -> list[Storm]:
        """The storms of this moment."""
        if self._stormy:
            self._regroup(now_us)
        return self._storms.now

    def due(self, now_us: int) -> list[Notice]:
        """What is to be sent now. The same notice may be named again; its id is the same.

        At most `BATCH` alerts are looked at, so that others get their turn; `behind` says whether more wait.
        """
        if self._stormy:
            self._regroup(now_us)
        notices = self._storms.due(now_us)
        looked = 0
        while self.behind(now_us) and looked < BATCH:
            at_us, id_ = heapq.heappop(self._heap)
            if self._next_us.get(id_) != at_us:
                continue
            del self._next_us[id_]
            looked += 1
            notices += self._alert(self._alerts[id_], now_us)
        return notices

    def behind(self, now_us: int) -> bool:
        """Whether more is due than the last call has looked at."""
        return bool(self._heap) and self._heap[0][0] <= now_us

    def _alert(self, alert: Alert, now_us: int) -> list[Notice]:
        if alert.state in FINAL:
            del self._alerts[alert.id]
        if alert.state not in (State.PENDING, State.OPEN):
            self._stuck.pop(alert.id, None)
        if alert.id in self._members and alert.state is State.OPEN:
            return []
        calls = alert.state in (State.PENDING, State.OPEN)
        # Only calls are held back: whoever was called before the silence began learns how it went on.
        quiet_until_us = until_us(self._silences, alert, now_us) if calls else None
        if quiet_until_us is not None:
            self._look(alert.id, quiet_until_us)
            return []
        found = escalation.plan(alert, self.policy, now_us, self._unheard(alert))
        if found.next_us is not None:
            self._look(alert.id, found.next_us)
        return [notice for call in found.due for notice in self._notices(alert, call)]

    def _unheard(self, alert: Alert) -> int:
        """How many tiers of a critical alert, from the first on, none of whose channels gets a call through.

        None where no later tier calls otherwise: the same call again at once would be lost as well.
        """
        if alert.severity < CRITICAL:
            return 0
        stuck, count = self._stuck.get(alert.id, set()), 0
        tiers = self.policy.tiers[alert.severity]
        for number, tier in enumerate(tiers):
            if not all((number, channel) in stuck for channel in tier.channels):
                break
            count += 1
        tried = {(channel, tier.people) for tier in tiers[:count] for channel in tier.channels}
        later = {(channel, tier.people) for tier in tiers[count:] for channel in tier.channels}
        return count if later - tried else 0

    def _look(self, id_: str, at_us: int) -> None:
        self._next_us[id_] = at_us
        heapq.heappush(self._heap, (at_us, id_))

    def _regroup(self, now_us: int) -> None:
        self._stormy = False
        self._storms.regroup([a for a in self._alerts.values() if a.state not in FINAL], now_us)
        members = {alert.id for storm in self._storms.now for alert in storm.members}
        for id_ in self._members - members:
            if id_ in self._alerts:
                self._look(id_, 0)  # the storm is over: what is left of it stands for itself again
        self._members = members

    def _notices(self, alert: Alert, call: Call) -> list[Notice]:
        return [
            Notice(
                id=notice_id(alert.id, call.key, channel),
                alert=alert.id,
                channel=channel,
                reason=call.why,
                status=alert.state,
                severity=alert.severity,
                at_us=call.at_us,
                title=title(alert, _lead(call), self.policy.zone),
                lines=lines(alert),
                url=f"{self.public_url}/#alert={alert.id}" if self.public_url else "",
                tier=call.tier,
                people=call.people,
                test=alert.test,
                episode_us=None if call.tier is None else (alert.opened_us or alert.alerted_us),
                # A silence or a storm may have held every call back; this would be the first anybody hears of it.
                follows=call.tier is None,
                facts=facts(alert),
            )
            for channel in call.channels
        ]


def _lead(call: Call) -> str:
    words = {
        Why.COUNTDOWN: "疑似碰撞·倒计时中",
        Why.OPENED: "疑似碰撞·待认领",
        Why.ESCALATED: f"无人认领·升级 {call.tier}",
        Why.REPEATED: "仍无人认领",
        Why.PRESSED: "再次求救·无人认领",
        Why.HANDOVER: "交接班·无人认领",
        Why.ACKNOWLEDGED: "已认领",
        Why.RESOLVED: "已处理",
        Why.CANCELLED: "已取消",
    }
    return words[call.why]
