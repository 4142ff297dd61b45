"""What a channel is asked to tell: a notice, its words, and several notices merged into one."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, tzinfo
from hashlib import blake2b
from typing import Any

from alerts.model import Alert
from core.model import Kind, Worn

SEVERITY_ZH = ("", "轻微", "中等", "严重", "危急")
SEVERITY_EN = ("", "minor", "moderate", "serious", "critical")
_KIND_ZH = {
    Kind.HEAD_STRIKE: "头部撞击",
    Kind.FALL: "摔倒",
    Kind.HELMET_LOST: "头盔脱落",
    Kind.SOS: "求救按钮",
    Kind.NOT_WORN: "未戴头盔骑行",
}
_WORN_ZH = {Worn.UNKNOWN: "佩戴未知", Worn.NO: "未佩戴", Worn.YES: "佩戴中"}
CRITICAL = 4


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody a notice calls by name, and how each channel knows them; empty where it does not."""

    name: str
    phone: str = ""
    email: str = ""
    wecom: str = ""
    """User id in WeCom."""
    feishu: str = ""
    """Open id in Feishu."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message for one channel. Whatever is repeated has the same `id` and the same words."""

    id: str
    alert: str
    """The alert's id; empty where the notice is not about one alert."""
    channel: str
    reason: str
    """Why it is due: a name of `alerts.escalation.Why`, or `test`."""
    status: str
    """State of the alert when the notice was written."""
    severity: int
    at_us: int
    """When it was due."""
    title: str
    lines: tuple[str, ...] = ()
    url: str = ""
    """Where it can be acknowledged."""
    tier: int | None = None
    people: tuple[Contact, ...] = ()
    test: bool = False
    """A drill or a test: marked TEST in every channel."""
    episode_us: int | None = None
    """When the alert opened; for a call to act, which an acknowledgement makes superfluous."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What machines get: position, times, state."""
    follows: bool = False
    """Whether it is for those alone who were called about the alert on this channel before."""
    overtakes: bool = False
    """Whether calls with its `dedup_key` that still wait on its channel are superfluous now."""

    @property
    def critical(self) -> bool:
        """Whether it is never held back."""
        return self.severity >= CRITICAL

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do about the alert."""
        return self.status in ("resolved", "cancelled")


def notice_id(*parts: object) -> str:
    """The id of what these parts name: the same parts, the same id."""
    return blake2b("\n".join(map(str, parts)).encode(), digest_size=16).hexdigest()


def dump(notice: Notice) -> str:
    """A notice as JSON text, the way the outbox keeps it."""
    return json.dumps(asdict(notice), ensure_ascii=False, allow_nan=False)


def parse(text: str) -> Notice:
    """The notice in JSON text that `dump` wrote."""
    body = json.loads(text)
    people = tuple(Contact(**each) for each in body.pop("people"))
    return Notice(people=people, lines=tuple(body.pop("lines")), **body)


def masked(name: str) -> str:
    """A name for a group chat: first and last character, the rest as a star."""
    return f"{name[0]}*{name[-1] if len(name) > 2 else ''}" if len(name) > 1 else name


def title(alert: Alert, lead: str, zone: tzinfo) -> str:
    """One line that says what happened to whom; no telephone number and no full name leaves the desk."""
    head = f"【{_mark(alert.test)}{lead}·{SEVERITY_ZH[alert.severity]}】"
    rider = f"骑手 {masked(alert.rider.name)}" if alert.rider else "骑手未知"
    parts = [rider, _KIND_ZH[alert.kind], _WORN_ZH[alert.worn], clock_time(alert.occurred_us, zone)]
    return head + " | ".join(parts)


def lines(alert: Alert) -> tuple[str, ...]:
    """Why it fired, in both languages, and what a person has to know before calling."""
    out = [alert.reason_zh, alert.reason_en]
    flags = [("迟到的报警 Late", alert.late), ("信号中断 Signal lost after the impact", alert.signal_lost)]
    out += [text for text, true in flags if true]
    out.append(f"头盔 Helmet {alert.helmet} · {SEVERITY_EN[alert.severity]} · {alert.state}")
    if alert.owner:
        out.append(f"负责人 Owner {alert.owner}")
    return tuple(line for line in out if line)


def facts(alert: Alert) -> dict[str, Any]:
    """What a machine learns of an alert; times are ISO 8601 in UTC, positions WGS-84."""
    position = None
    if alert.position:
        position = asdict(alert.position) | {"datum": "WGS-84"}
    return {
        "incident_id": alert.id,
        "dedup_key": f"helmetwatch/{alert.id}",
        "status": str(alert.state),
        "severity": alert.severity,
        "severity_basis": alert.severity_basis,
        "kind": str(alert.kind),
        "helmet": alert.helmet,
        "rider": masked(alert.rider.name) if alert.rider else None,
        "worn": int(alert.worn),
        "late": alert.late,
        "signal_lost": alert.signal_lost,
        "reason_zh": alert.reason_zh,
        "reason_en": alert.reason_en,
        "occurred_at": iso(alert.occurred_us),
        "received_at": iso(alert.received_us),
        "opened_at": None if alert.opened_us is None else iso(alert.opened_us),
        "owner": alert.owner,
        "location": position,
    }


def digest(notices: Sequence[Notice]) -> Notice:
    """Many notices as one: the severest first, twenty by name, the rest counted."""
    ordered = sorted(notices, key=lambda n: (-n.severity, n.at_us))
    first, shown = ordered[0], ordered[:DIGEST_LINES]
    rest = len(ordered) - len(shown)
    test = all(n.test for n in notices)
    people = {person: None for n in ordered for person in n.people}
    return Notice(
        id=notice_id("digest", *sorted(n.id for n in notices)),
        alert="",
        channel=first.channel,
        reason="digest",
        status="digest",
        severity=first.severity,
        at_us=max(n.at_us for n in notices),
        title=f"【{_mark(test)}合并通知 Digest】{len(notices)} 条 notices",
        lines=tuple(n.title for n in shown)
        + ((f"…… 另有 and {rest} more",) if rest else ())
        + ("Helmetwatch",),
        url=first.url.partition("#")[0],
        people=tuple(people)[:DIGEST_LINES],
        test=test,
    )


def test_notice(channel: str, person: str, now_us: int, unique: str) -> Notice:
    """What a person sends to see whether a channel works."""
    return Notice(
        id=notice_id("test", channel, unique),
        alert="",
        channel=channel,
        reason="test",
        status="test",
        severity=1,
        at_us=now_us,
        title="【演练 TEST】通知渠道测试 Test of this channel",
        lines=(
            f"{person} 正在测试渠道 {channel}。没有人受伤，无需处理。",
            f"{person} is testing the channel {channel}. Nobody is hurt; there is nothing to do.",
            "Helmetwatch",
        ),
        test=True,
    )


DIGEST_LINES = 20


def iso(us: int) -> str:
    """A moment in ISO 8601, UTC."""
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds")


def clock_time(us: int, zone: tzinfo) -> str:
    """Date and time of day where the desk is, with its offset from UTC."""
    local = datetime.fromtimestamp(us / 1e6, zone)
    # Not %Z: CST is the time of Shanghai, of Chicago and of Havana.
    offset = local.strftime("%z")
    return f"{local:%m-%d %H:%M:%S} {offset[:3]}:{offset[3:5]}"


def _mark(test: bool) -> str:
    return "演练 TEST·" if test else ""
