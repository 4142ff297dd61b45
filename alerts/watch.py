"""Keeps an eye on every live alert and says which notices are due; what it forgets, the book still knows."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

from alerts import escalation
from alerts.escalation import Call, Storm, Why
from alerts.model import Alert, State
from alerts.notices import Notice, clock_time, facts, lines, notice_id, title
from alerts.policy import Policy
from alerts.silences import Silence, silenceable, until_us

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
    _silences: tuple[Silence, ...] = ()
    _stormy: bool = False
    """Whether the storms have to be worked out anew."""
    _storms: dict[str, Storm] = field(default_factory=dict)
    _storm_next_us: dict[str, int] = field(default_factory=dict)
    _members: set[str] = field(default_factory=set)

    def take(self, alerts: Iterable[Alert]) -> None:
        """These alerts are new, or have changed."""
        for alert in alerts:
            self._alerts[alert.id] = alert
            self._look(alert.id, 0)
            self._stormy |= alert.signal_lost

    def silence(self, silences: Iterable[Silence]) -> None:
        """From now on these silences hold; every live alert is looked at anew."""
        self._silences = tuple(silences)
        for id_ in self._alerts:
            self._look(id_, 0)

    @property
    def storms(self) -> list[Storm]:
        """The storms of this moment."""
        if self._stormy:
            self._regroup()
        return list(self._storms.values())

    def due(self, now_us: int) -> list[Notice]:
        """What is to be sent now. The same notice may be named again; its id is the same.

        At most `BATCH` alerts are looked at, so that others get their turn; `behind` says whether more wait.
        """
        notices = [notice for storm in self.storms for notice in self._storm(storm, now_us)]
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
        if alert.id in self._members and alert.state is State.OPEN:
            return []
        calls = alert.state in (State.PENDING, State.OPEN)
        # Only calls are held back: whoever was called before the silence began learns how it went on.
        quiet_until_us = until_us(self._silences, alert, now_us) if calls else None
        if quiet_until_us is not None:
            self._look(alert.id, quiet_until_us)
            return []
        found = escalation.plan(alert, self.policy, now_us)
        if found.next_us is not None:
            self._look(alert.id, found.next_us)
        return [notice for call in found.due for notice in self._notices(alert, call)]

    def _look(self, id_: str, at_us: int) -> None:
        self._next_us[id_] = at_us
        heapq.heappush(self._heap, (at_us, id_))

    def _regroup(self) -> None:
        self._stormy = False
        live = [alert for alert in self._alerts.values() if alert.state not in FINAL]
        self._storms = {storm.id: storm for storm in escalation.storms(live, self.policy.storm)}
        members = {alert.id for storm in self._storms.values() for alert in storm.members}
        for id_ in self._members - members:
            if id_ in self._alerts:
                self._look(id_, 0)  # the storm is over: what is left of it stands for itself again
        self._members = members
        self._storm_next_us = {}

    def _storm(self, storm: Storm, now_us: int) -> list[Notice]:
        opened_us = storm.opened_us
        if opened_us is None or now_us < self._storm_next_us.get(storm.id, 0):
            return []
        found = escalation.climb(opened_us, storm.severity, self.policy, now_us)
        self._storm_next_us[storm.id] = found.next_us if found.next_us is not None else 2**62
        open_ = sum(alert.state is State.OPEN for alert in storm.members)
        return [
            Notice(
                id=notice_id("storm", storm.id, call.key, channel),
                alert="",
                channel=channel,
                reason=f"storm_{call.why}",
                status="open",
                severity=storm.severity,
                at_us=call.at_us,
                title=f"【信号中断·{len(storm.members)} 顶头盔·{_lead(call)}】"
                f"自 since {clock_time(storm.members[0].occurred_us, self.policy.zone)}",
                lines=(
                    f"{len(storm.members)} 顶头盔在冲击后同时失去信号，{open_} 条报警无人认领。",
                    "可能是网络、基站或服务器故障，也可能有人受伤。",
                    f"{len(storm.members)} helmets lost their signal at once after an impact; {open_} alerts are "
                    "open. A network, region or server may be down; somebody may still be hurt.",
                    "Helmetwatch",
                ),
                url=f"{self.public_url}/#filter=open" if self.public_url else "",
                tier=call.tier,
                people=call.people,
            )
            for call in found.due
            for channel in call.channels
        ]

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
                # A silence may have held every call back; then this would be the first that anybody hears of it.
                follows=call.tier is None and silenceable(alert),
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
        Why.HANDOVER: "交接班·无人认领",
        Why.ACKNOWLEDGED: "已认领",
        Why.RESOLVED: "已处理",
        Why.CANCELLED: "已取消",
    }
    return words[call.why]
