"""What is wrong with the system itself, told like an alert: a silent worker, thousands of helmets gone at once.

Nobody can acknowledge these: they are told tier by tier for as long as they last, and once more when they end.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from alerts.escalation import Call, climb
from alerts.notices import Notice, clock_time, notice_id
from alerts.policy import Policy

SEVERITY = 3
"""Serious: told by the policy of this severity, with the critical slots left to people."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, in both languages."""

    zh: str
    en: str


@dataclass(slots=True)
class _Lasting:
    fault: Fault
    since_us: int
    next_us: int = 0
    told: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class Faults:
    """Which faults last, and what has to be told about them. Used from one thread."""

    policy: Policy
    public_url: str
    _lasting: dict[str, _Lasting] = field(default_factory=dict)

    def memory(self) -> dict[str, Any]:
        """What `restore` needs after a restart, ready for JSON."""
        return {
            name: asdict(lasting.fault) | {"since_us": lasting.since_us, "told": list(lasting.told)}
            for name, lasting in self._lasting.items()
        }

    def restore(self, remembered: Mapping[str, Any]) -> None:
        """These faults lasted when the desk stopped, and still do."""
        for name, body in remembered.items():
            fault = Fault(body["zh"], body["en"])
            self._lasting[name] = _Lasting(fault, body["since_us"], told=dict.fromkeys(body["told"]))

    def due(self, now: Mapping[str, Fault], now_us: int) -> list[Notice]:
        """What is to be sent, where `now` are the faults of this moment by name (a name never changes)."""
        notices = []
        for name in [name for name in self._lasting if name not in now]:
            notices += self._over(name, self._lasting.pop(name), now_us)
        for name, fault in now.items():
            lasting = self._lasting.setdefault(name, _Lasting(fault, now_us))
            lasting.fault = fault
            if lasting.next_us <= now_us:
                found = climb(lasting.since_us, SEVERITY, self.policy, now_us)
                lasting.next_us = 2**62 if found.next_us is None else found.next_us
                for call in found.due:
                    lasting.told |= dict.fromkeys(call.channels)
                    notices += self._tell(name, lasting, call)
        return notices

    def _tell(self, name: str, lasting: _Lasting, call: Call) -> list[Notice]:
        since = clock_time(lasting.since_us, self.policy.zone)
        return [
            Notice(
                id=notice_id("fault", name, call.key, channel),
                alert="",
                channel=channel,
                reason=f"fault_{call.why}",
                status="open",
                severity=SEVERITY,
                at_us=call.at_us,
                title=f"【系统故障】{lasting.fault.zh}",
                lines=(lasting.fault.en, f"自 since {since}", "Helmetwatch"),
                url=self.public_url,
                tier=call.tier,
                people=call.people,
                facts={"dedup_key": f"helmetwatch/{name}/{lasting.since_us}"},
            )
            for channel in call.channels
        ]

    def _over(self, name: str, lasting: _Lasting, now_us: int) -> list[Notice]:
        return [
            Notice(
                id=notice_id("fault over", name, lasting.since_us, channel),
                alert="",
                channel=channel,
                reason="fault_over",
                status="resolved",
                severity=SEVERITY,
                at_us=now_us,
                title=f"【系统恢复】{lasting.fault.zh}",
                lines=(f"Over: {lasting.fault.en}", "Helmetwatch"),
                url=self.public_url,
                facts={"dedup_key": f"helmetwatch/{name}/{lasting.since_us}"},
                overtakes=True,
            )
            for channel in lasting.told
        ]
