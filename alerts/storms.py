"""Storms: many helmets that fell silent at once call as one incident, from its first alert until it is over.

A storm keeps its id and its opening time whatever becomes of single alerts, also over a restart: else each
"I'm OK" would make it another storm, and call everybody again.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from alerts.escalation import Call, Why, climb
from alerts.model import Alert, State
from alerts.notices import CRITICAL, Notice, clock_time, notice_id
from alerts.policy import Policy
from alerts.policy import Storm as Rule


@dataclass(frozen=True, slots=True)
class Storm:
    """One storm as it stands."""

    id: str
    """Id of what was its first alert."""
    first_us: int
    last_us: int
    """When the first and the last of the alerts it ever held came in."""
    members: tuple[Alert, ...] = ()
    opened_us: int | None = None
    """Since when somebody has to come; None where nothing is open, or a person has it."""
    taken_us: int | None = None
    """When a person took it; None where nobody has it."""
    severity: int = 1
    told: tuple[str, ...] = ()
    """Channels that were called."""

    @property
    def open(self) -> int:
        """How many of its alerts nobody has taken."""
        return sum(alert.state in (State.PENDING, State.OPEN) for alert in self.members)


def groups(alerts: Iterable[Alert], rule: Rule) -> list[tuple[Alert, ...]]:
    """The live alerts whose signal was lost, `rule.alerts` or more of them within `rule.within_s`, oldest first.

    A critical alert, a drill and an alert whose helmet still speaks belong to no storm.
    """
    silent = sorted(
        (a for a in alerts if a.signal_lost and a.severity < CRITICAL and not a.test),
        key=lambda a: (a.alerted_us, a.id),
    )
    within_us = round(rule.within_s * 1e6)
    found: list[tuple[int, int]] = []
    for first in range(len(silent) - rule.alerts + 1):
        end = first + rule.alerts
        if silent[end - 1].alerted_us - silent[first].alerted_us > within_us:
            continue
        if found and first < found[-1][1]:
            found[-1] = (found[-1][0], end)
        else:
            found.append((first, end))
    return [tuple(silent[begin:end]) for begin, end in found]


@dataclass(slots=True)
class Storms:
    """The storms of this moment, and what has to be told about them. Used from one thread."""

    policy: Policy
    public_url: str
    _storms: list[Storm] = field(default_factory=list)
    _next_us: dict[str, int] = field(default_factory=dict)
    _over: list[Storm] = field(default_factory=list)

    @property
    def now(self) -> list[Storm]:
        """Those that last, oldest first."""
        return list(self._storms)

    def memory(self) -> list[dict[str, Any]]:
        """What `restore` needs after a restart, ready for JSON; the alerts are in the book."""
        return [asdict(replace(storm, members=())) for storm in (*self._storms, *self._over)]

    def restore(self, remembered: Iterable[dict[str, Any]]) -> None:
        """These lasted when the desk stopped; whether they still do, `regroup` finds out."""
        self._storms = [Storm(**body | {"told": tuple(body["told"]), "members": ()}) for body in remembered]

    def regroup(self, live: Iterable[Alert], now_us: int) -> None:
        """Works out anew which live alerts belong to which storm, and which storms are over."""
        known, found = self._storms, []
        for members in groups(live, self.policy.storm):
            first_us, last_us = members[0].alerted_us, members[-1].alerted_us
            same = [each for each in known if first_us <= each.last_us and each.first_us <= last_us]
            known = [each for each in known if each not in same]
            # What two storms have in common makes one of them, the older.
            storm = same[0] if same else Storm(members[0].id, first_us, last_us)
            first_us, last_us = min(first_us, storm.first_us), max(last_us, storm.last_us)
            found.append(_stands(replace(storm, first_us=first_us, last_us=last_us), members, now_us))
        self._over += [replace(each, members=()) for each in known if each.told]
        self._storms, self._next_us = found, {}

    def due(self, now_us: int) -> list[Notice]:
        """What is to be sent now. The same notice may be named again; its id is the same."""
        notices = []
        for number, storm in enumerate(self._storms):
            if self._next_us.get(storm.id, 0) > now_us:
                continue
            if storm.opened_us is not None:
                found = climb(storm.opened_us, storm.severity, self.policy, now_us)
                self._next_us[storm.id] = 2**62 if found.next_us is None else found.next_us
                told = dict.fromkeys((*storm.told, *(name for call in found.due for name in call.channels)))
                self._storms[number] = storm = replace(storm, told=tuple(told))
                notices += [
                    self._called(storm, call, channel) for call in found.due for channel in call.channels
                ]
            elif storm.taken_us is not None:
                self._next_us[storm.id] = 2**62
                notices += [self._taken(storm, channel) for channel in storm.told]
        notices += [self._ended(storm, now_us, channel) for storm in self._over for channel in storm.told]
        self._over = []
        return notices

    def _called(self, storm: Storm, call: Call, channel: str) -> Notice:
        lead = {
            Why.OPENED: "待认领",
            Why.ESCALATED: f"无人认领·升级 {call.tier}",
            Why.REPEATED: "仍无人认领",
            Why.HANDOVER: "交接班·无人认领",
        }[call.why]
        notice = self._notice(storm, channel, call.key, call.at_us)
        return replace(
            notice,
            reason=f"storm_{call.why}",
            title=f"【信号中断·{len(storm.members)} 顶头盔·{lead}】{self._since(storm)}",
            lines=(
                f"{len(storm.members)} 顶头盔在冲击后同时失去信号，{storm.open} 条报警无人认领。",
                "可能是网络、基站或服务器故障，也可能有人受伤。",
                f"{len(storm.members)} helmets lost their signal at once after an impact; {storm.open} alerts "
                "wait for somebody. A network, region or server may be down; somebody may still be hurt.",
                "Helmetwatch",
            ),
            tier=call.tier,
            people=call.people,
        )

    def _taken(self, storm: Storm, channel: str) -> Notice:
        owners = dict.fromkeys(a.owner for a in storm.members if a.state is State.ACKNOWLEDGED and a.owner)
        names = ", ".join(owners)
        taken_us = storm.taken_us or 0
        return replace(
            self._notice(storm, channel, f"acknowledged {taken_us}", taken_us),
            reason="storm_acknowledged",
            status="acknowledged",
            title=f"【信号中断·{len(storm.members)} 顶头盔·已认领】{names}",
            lines=(f"{names} 已认领，不再呼叫。", f"{names} has it; nobody else is called.", "Helmetwatch"),
            overtakes=True,
        )

    def _ended(self, storm: Storm, now_us: int, channel: str) -> Notice:
        return replace(
            self._notice(storm, channel, f"over {storm.last_us}", now_us),
            reason="storm_over",
            status="resolved",
            title=f"【信号中断·已结束】{self._since(storm)}",
            lines=(
                "已不足成批；仍未处理的报警将单独通知。",
                "The storm is over; what is left of it calls for itself.",
                "Helmetwatch",
            ),
            overtakes=True,
        )

    def _notice(self, storm: Storm, channel: str, key: str, at_us: int) -> Notice:
        return Notice(
            id=notice_id("storm", storm.id, key, channel),
            alert="",
            channel=channel,
            reason="",
            status="open",
            severity=storm.severity,
            at_us=at_us,
            title="",
            url=f"{self.public_url}/#filter=open" if self.public_url else "",
            facts={"dedup_key": f"helmetwatch/storm/{storm.id}"},
        )

    def _since(self, storm: Storm) -> str:
        return f"自 since {clock_time(storm.first_us, self.policy.zone)}"


def _stands(storm: Storm, members: tuple[Alert, ...], now_us: int) -> Storm:
    """A storm with the alerts it has now: open, or in somebody's hands.

    Who takes one of its alerts has them all, but not what opens after that: nobody has seen it yet.
    """
    taken = [a.acknowledged_us for a in members if a.state is State.ACKNOWLEDGED and a.acknowledged_us]
    last_us = max(taken, default=0)
    opened = [
        a.opened_us
        for a in members
        if a.state is State.OPEN and a.opened_us is not None and a.opened_us > last_us
    ]
    opened_us, taken_us = None, None
    if not opened:
        taken_us = storm.taken_us or last_us or None
    elif storm.taken_us is not None:
        # Whoever had it has it no more, or not all of it: that calls from the first tier.
        opened_us = now_us
    elif storm.opened_us is not None and storm.opened_us > last_us:
        opened_us = storm.opened_us
    else:
        opened_us = min(opened)
    severity = max(alert.severity for alert in members)
    return replace(storm, members=members, opened_us=opened_us, taken_us=taken_us, severity=severity)
