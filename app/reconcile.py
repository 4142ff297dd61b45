"""Holds the ledger of a run against what the system made of it; `helmetwatch reconcile` prints the one line."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from alerts.database import BookError
from alerts.reader import Filter, Reader
from app.services import config_option, fail, read_config
from app.stack import print_json
from core.config import Config, ConfigError
from core.model import TELEMETRY, Kind, Reason
from ingest.codec import HEADER
from ingest.outbox import Outbox
from ingest.telemetry import split
from simulator.ledger import Crash, Key, Ledger, read_ledger
from storage import StoreError, open_store

_BEFORE_US, _AFTER_US = 1_000_000, 10_000_000
"""An alert belongs to a happening if it occurred between 1 s before and 10 s after it (event scoring)."""
_AFTER_FRAMES = 12
"""A first decision falls due 10 s after an impact at the latest."""
_ANSWER_US = 120_000_000
"""So long after a crash a rider who is asked may press SOS: an alert of its own, neither repeated nor false."""
_PAGE = 200
_PAGE_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Account:
    """What a run came to, in one line."""

    acknowledged: int
    lost: list[Key]
    """Acknowledged by the broker; neither stored, nor waiting in the journal, nor rejected."""
    duplicated: int
    """Rows of the store beyond the first of their frame."""
    rejected: int
    """Messages that the worker counted as unusable and rows that the store refused, all kept for a look."""
    collisions: int
    missed: list[Crash]
    """Frames with a crash that were acknowledged and never alerted."""
    repeated: list[str]
    """Alerts (ids) about a crash that had one already."""
    false: list[str]
    """Alerts (ids) that belong to nothing that warrants one."""
    latency_ms: list[float] = field(default_factory=list)
    """From the publication of the frame that completed the first decision to the alert in the book, real time."""
    rows_waiting: int = 0
    """Rows still in the journal, which the store has not taken yet."""
    undelivered: int = 0
    """Detections and events still in the journal, which the desk has not taken yet."""
    told: int = 0
    """Alerted collisions about which a channel took at least one notice."""
    notices: dict[str, int] = field(default_factory=dict)
    """Notices about the alerts of the run: `delivered` (the channel took it), `waiting`, `failed`."""

    @property
    def kept(self) -> bool:
        """Whether nothing was lost and no collision missed."""
        return not self.lost and not self.missed

    def __str__(self) -> str:
        latency = "–"
        if self.latency_ms:
            latency = "/".join(f"{ms:.0f}" for ms in np.percentile(self.latency_ms, (50, 99, 100))) + " ms"
        return (
            f"acknowledged {self.acknowledged}, lost {len(self.lost)}, duplicated {self.duplicated}, "
            f"rejected {self.rejected}; collisions {self.collisions}, "
            f"alerted {self.collisions - len(self.missed)}, repeated {len(self.repeated)}, "
            f"false {len(self.false)}; latency {latency}"
        )

    def by_channels(self) -> str:
        """What channels made of the alerts, in one line."""
        said = ", ".join(f"{count} {state}" for state, count in self.notices.items())
        return f"channels: of {self.collisions} collisions {self.told} told; notices: {said or 'none'}"


def reconcile(
    ledger: Ledger, stored: Iterable[Key], alerts: list[dict[str, Any]], rejected: Iterable[Key | None] = ()
) -> Account:
    """Compares the ledger with the keys in store and journal, and with the alerts in the book.

    A crash counts where the broker acknowledged the frame that holds it and a good detector must alert
    (expected alert or cancel); alerts of any state count as alerted. `rejected` has an entry for each rejected
    message, None where it names no frame. An alert's `told`, where it has one, counts the notices about it.
    """
    wanted = [c for c in ledger.crashes if c.expected != "none"]
    due = [c for c in wanted if (c.helmet, c.boot, c.seq) in ledger.acked]
    rows = Counter(key for key in stored if key in ledger.acked)
    refused = list(rejected)
    repeated, false, alerted, told = [], [], set[Crash](), set[Crash]()
    notices = Counter[str]()
    for alert in alerts:
        belongs = {crash for crash in wanted if _belongs(alert, crash)}
        answer = alert["kind"] == Kind.SOS and any(_answered(crash, alert) for crash in alerted)
        if not belongs and not answer:
            false.append(alert["id"])
        elif belongs <= alerted and not answer:
            repeated.append(alert["id"])
        alerted |= belongs
        notices.update(alert.get("told", {}))
        if alert.get("told", {}).get("delivered"):
            told |= belongs
    return Account(
        acknowledged=len(ledger.acked),
        lost=sorted(ledger.acked - rows.keys() - set(refused)),
        duplicated=rows.total() - len(rows),
        rejected=len(refused),
        collisions=len(due),
        missed=[crash for crash in due if crash not in alerted],
        repeated=repeated,
        false=false,
        told=len(told.intersection(due)),
        notices=dict(notices),
    )


def _answered(crash: Crash, sos: dict[str, Any]) -> bool:
    """Whether an SOS is the answer of a rider who was asked about a crash."""
    asked = crash.kind != Kind.SOS and crash.helmet == sos["helmet"]
    return asked and 0 <= sos["occurred_us"] - crash.t_us <= _ANSWER_US


def _belongs(alert: dict[str, Any], crash: Crash) -> bool:
    if alert["helmet"] != crash.helmet:
        return False
    # Where one of the clocks was wrong, the frame still tells.
    if alert.get("boot") == crash.boot and 0 <= alert.get("frame_seq", -1) - crash.seq <= _AFTER_FRAMES:
        return True
    return any(
        -_BEFORE_US <= t_us - crash.t_us <= _AFTER_US for t_us in [alert["occurred_us"], *alert["impacts_us"]]
    )


def account_for(config: Config, ledger: Ledger) -> Account:
    """Reads journal, store and alert book of a configuration and holds them against a ledger.

    Services may be running; what they have not delivered yet shows in `rows_waiting` and `undelivered`. Raises
    `sqlite3.Error`, `StoreError`, `BookError`, `ConfigError` where one of the three cannot be read.
    """
    outbox = Outbox(Path(config.ingest.journal.path))
    store = open_store(config.storage)
    book = Reader(Path(config.alerts.path))
    try:
        # The journal first: what leaves it while we read is found in the store, not the other way round.
        waiting = list(_waiting(outbox))
        began_us = min((sent_us for _, sent_us in ledger.published.values()), default=0)
        rejected = _refused(outbox.rejected_since(began_us))
        # A worker whose clock was behind has dated others before the run.
        earlier = ledger.acked.intersection(_refused(outbox.rejected_since(0)))
        rejected += earlier.difference(rejected)
        stored = list(store.keys())
        in_store = set(stored)
        alerts = list(_alerts(book, ledger))
        # A row whose write was not answered in time is in both; that is one row.
        found = [*stored, *(key for key in waiting if key not in in_store)]
        return replace(
            reconcile(ledger, found, alerts, rejected),
            latency_ms=_latency_ms(ledger, alerts, config.time.scale),
            rows_waiting=len(waiting),
            undelivered=outbox.count(),
        )
    finally:
        outbox.close()
        store.close()
        book.close()


def _waiting(outbox: Outbox) -> Iterator[Key]:
    after = 0
    while True:
        ids, rows = outbox.telemetry(after, _PAGE_ROWS)
        if not ids:
            return
        after = ids[-1]
        rows, _ = split(rows)
        for helmet, boot, seq in zip(rows["helmet"].tolist(), rows["boot"], rows["seq"], strict=True):
            yield helmet.decode(errors="replace"), int(boot), int(seq)


def _named(reason: str, payload: bytes) -> Key | None:
    """The frame that a rejected message says it is, or whose row the store refused."""
    if reason == Reason.STORE and len(payload) == TELEMETRY.itemsize:
        row = np.frombuffer(payload, TELEMETRY, 1)[0]
        return bytes(row["helmet"]).decode(errors="replace"), int(row["boot"]), int(row["seq"])
    if payload[:2] != b"HW" or len(payload) < HEADER.itemsize:
        return None
    header = np.frombuffer(payload, HEADER, 1)[0]
    return bytes(header["helmet"]).decode(errors="replace"), int(header["boot"]), int(header["seq"])


def _refused(entries: Iterable[tuple[str, str, bytes]]) -> list[Key | None]:
    """The frames behind rejected messages; a refused sample is none: the row of its frame has a fate of its own."""
    return [_named(reason, payload) for subject, reason, payload in entries if subject != "samples"]


def _alerts(book: Reader, ledger: Ledger) -> Iterator[dict[str, Any]]:
    """The alerts of the ledger's helmets and time, oldest first; `frame_seq` is the first version's.

    `told` is what the book says of the notices about each: it writes down that a channel took one after its answer.
    """
    helmets = {helmet for helmet, _, _ in ledger.published}
    boots = {boot for _, boot, _ in ledger.published}
    began_us = min((t0_us for t0_us, _ in ledger.published.values()), default=0) - _BEFORE_US
    found, before = [], None
    while True:
        page, before = book.alerts(Filter(), _PAGE, before)
        mine = [alert for alert in page if alert.helmet in helmets]
        found += [alert for alert in mine if alert.occurred_us >= began_us or alert.boot in boots]
        if before is None:
            break
    told = book.told([alert.id for alert in found])
    for alert in reversed(found):
        versions = book.detail(alert.id).detections
        first = {"frame_seq": versions[0]["seq"]} if versions else {}
        yield asdict(alert) | first | {"told": told[alert.id]}


def _latency_ms(ledger: Ledger, alerts: list[dict[str, Any]], scale: float) -> list[float]:
    sent = [
        (alert["alerted_us"], ledger.published.get((alert["helmet"], alert["boot"], alert["frame_seq"])))
        for alert in alerts
    ]
    return [(at_us - times[1]) / 1e3 / scale for at_us, times in sent if times is not None]


@click.command("reconcile")
@click.option(
    "--ledger",
    "ledger_path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="What `helmetwatch simulate --ledger` wrote.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@config_option
def command(ledger_path: Path, as_json: bool, config_path: Path | None) -> None:
    """Hold a simulated run's ledger against journal, telemetry store and alert book, in one line.

    A second line says about how many of the collisions a channel took a notice, where channels are configured: an alert
    that was cancelled or acknowledged in time calls nobody. Exit code 1 where a frame that the broker acknowledged is
    lost, or a collision was not alerted. The last decision about a crash is due 10 s after it: wait so long after the
    run.
    """
    try:
        config = read_config(config_path)
        account = account_for(config, read_ledger(ledger_path))
    except ConfigError as error:
        raise fail(*error.faults) from None
    except ValueError as error:
        raise fail(f"{ledger_path}: not a ledger: {error}") from None
    except (OSError, sqlite3.Error, StoreError, BookError) as error:
        raise fail(f"cannot be reconciled: {error}") from None
    if as_json:
        print_json(asdict(account) | {"kept": account.kept})
    else:
        click.echo(account)
        if config.alerts.channels or any(account.notices.values()):
            click.echo(account.by_channels())
        _explain(account)
    if not account.kept:
        raise SystemExit(1)


def _explain(account: Account) -> None:
    for helmet, boot, seq in account.lost[:10]:
        click.echo(f"lost: {helmet} boot {boot} frame {seq}", err=True)
    for crash in account.missed[:10]:
        click.echo(f"missed: {crash.helmet} {crash.kind} in frame {crash.seq} of boot {crash.boot}", err=True)
    if account.undelivered:
        click.echo(f"{account.undelivered} detections and events still wait for the desk", err=True)
    if account.rows_waiting:
        click.echo(f"{account.rows_waiting} rows still wait for the store", err=True)
