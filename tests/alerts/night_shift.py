"""An hour at the desk without waiting: book, watch, outbox and channels, turned second by second."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from zoneinfo import ZoneInfo

from alert_story import START_US, Story

from alerts.channels.limits import Limit, plan
from alerts.channels.outcome import Outcome, delivered
from alerts.memory import Memory
from alerts.model import Change
from alerts.notices import Contact, Notice
from alerts.outbox import Outbox
from alerts.policy import Policy, Storm, Tier
from alerts.rota import Rota
from alerts.watch import Watch

SHANGHAI = ZoneInfo("Asia/Shanghai")  # START_US is 06:13:20 there

POLICY = Policy(
    tiers=dict.fromkeys(
        range(1, 5),
        (
            Tier(0, ("group",), ("rota:desk",)),
            Tier(60, ("group",), ("lead",)),
            Tier(180, ("pager",), ("lead",)),
            Tier(300, ("group", "pager"), ("manager",)),
        ),
    ),
    people={key: Contact(key) for key in ("wang", "li", "lead", "manager")},
    rotas={"desk": Rota(("li", "wang"), SHANGHAI, date(2023, 11, 15), (time(6, 30), time(18, 30)))},
    zone=SHANGHAI,
    storm=Storm(alerts=5, within_s=60),
)


@dataclass
class Channel:
    """Takes what it gets, or answers what the test says."""

    limits: tuple[Limit, ...] = ()
    answer: Callable[[Notice], Outcome] = lambda _: delivered()
    log: list[tuple[float, Notice]] = field(default_factory=list)


class Shift(Story):
    """A story whose alerts call people; `told` is what arrived where."""

    def __init__(self, folder: Path, policy: Policy = POLICY) -> None:
        self.policy = policy
        self.channels = {"group": Channel(), "pager": Channel()}
        super().__init__(folder)

    def reopen_file(self) -> None:
        super().reopen_file()
        self.outbox, self.memory = Outbox(self.path), Memory(self.path)
        self.restart_watch()

    def restart_watch(self) -> None:
        """As a desk that starts: it knows only what stands in the book and in its memory."""
        self.watch = Watch(self.policy, "https://desk")
        self.watch.restore(self.memory.recall("storms") or [])
        self.watch.take(self.reader.snapshot(self.clock.now_us() - 3_600_000_000).alerts)

    def at(self, seconds: float) -> "Shift":
        """Goes on to this second, turn by turn."""
        while self.now_s() < seconds:
            self.clock.advance(min(1.0, seconds - self.now_s()))
            self.turn()
        return self

    def sleep(self, seconds: float) -> "Shift":
        """The desk is down until this second, then starts anew."""
        self.clock.advance(seconds - self.now_s())
        self.restart_watch()
        self.turn()
        return self

    def turn(self) -> None:
        self.tell(self.book.advance(self.clock.now_us()))
        now_us = self.clock.now_us()
        self.outbox.put(self.watch.due(now_us), now_us)
        while self.watch.behind(now_us):
            self.outbox.put(self.watch.due(now_us), now_us)
        self.memory.keep({"storms": self.watch.memory()})
        for name, channel in self.channels.items():
            waiting, _ = self.outbox.waiting(name, now_us, 1000)
            sent = self.outbox.tried_since(name, now_us - 60_000_000)
            for parcel in plan(waiting, channel.limits, sent, now_us):
                outcome = channel.answer(parcel.message)
                if outcome.result == "delivered":
                    channel.log.append((self.now_s(), parcel.message))
                self.outbox.record(parcel, outcome, now_us, 1.0)

    def tell(self, changes: Iterable[Change]) -> list[Change]:
        """The watch hears of changes."""
        changes = list(changes)
        self.watch.take(change.alert for change in changes)
        return changes

    def told(self, name: str = "group") -> list[str]:
        """`second reason people`, one for each message that arrived."""
        return [
            f"{at_s:g} {n.reason}{''.join(f' {p.name}' for p in n.people)}"
            for at_s, n in self.channels[name].log
        ]


assert START_US == 1_700_000_000_000_000
