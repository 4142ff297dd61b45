"""The alert book: every input is one transaction that writes the alert and its timeline together."""

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from alerts import lifecycle, messages
from alerts.database import connect, transaction
from alerts.messages import Heard, message_id
from alerts.model import Alert, Asked, Change, Resolution, Rider, State, dump, parse
from alerts.rules import RefusedError, Step
from core.model import Detection, HelmetEvent, Kind

HERE = Asked()
"""Nobody asked from anywhere: machines, and commands on this one."""


class NotFoundError(Exception):
    """There is no alert with this id."""


class Book:
    """The writing side of the alert book; `alerts.reader.Reader` is the reading side.

    Use it from one thread at a time. Each method is one durable transaction, takes the time as `now_us`,
    and returns the changes in the order of their feed ids. What arrives twice changes nothing.
    """

    def __init__(
        self,
        path: Path,
        countdown_s: float,
        riders: Mapping[str, Rider] | None = None,
        untouched_s: float = 900.0,
        late_s: float = 60.0,
    ) -> None:
        self._db = connect(path)
        self._countdown_us = round(countdown_s * 1e6)
        self._riders = riders or {}
        self._untouched_us = round(untouched_s * 1e6)
        self._late_us = round(late_s * 1e6)

    def know(self, riders: Mapping[str, Rider]) -> None:
        """From now on these ride with the helmets; alerts keep the rider they were raised with."""
        self._riders = riders

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def key(self, name: str) -> str:
        """A secret of this book, made when it is first asked for."""
        with transaction(self._db):
            self._db.execute("INSERT OR IGNORE INTO keys VALUES (?, ?)", (name, secrets.token_hex(32)))
            key: str = self._db.execute("SELECT value FROM keys WHERE name = ?", (name,)).fetchone()[0]
        return key

    def take(self, detections: Sequence[Detection], now_us: int) -> list[Change]:
        """Takes versions of incidents, in any order and as often as they come."""
        with transaction(self._db):
            return [change for each in detections for change in self._take(each, now_us)]

    def take_events(self, events: Sequence[HelmetEvent], now_us: int) -> list[Change]:
        """Takes what riders say: SOS makes an alert, "I'm OK" cancels; other events are not the book's."""
        with transaction(self._db):
            return [change for each in events for change in self._take_event(each, now_us)]

    def drill(
        self, severity: int, person: str, unique: str, now_us: int, asked: Asked = HERE
    ) -> list[Change]:
        """A person raises an alert to practise; the same `unique` is the same drill."""
        with transaction(self._db):
            if self._done(person, asked) or any(self._alerts("id = ?", f"drill-{unique}")):
                return []
            return self._write(lifecycle.drill(severity, person, unique, now_us), now_us, asked)

    def acknowledge(
        self, alert_id: str, person: str, now_us: int, *, owner: str = "", asked: Asked = HERE
    ) -> list[Change]:
        """A person takes the alert, also from its `owner` where one is named.

        Raises `NotFoundError`, `rules.RefusedError`.
        """
        return self._ask(
            alert_id, person, lambda alert: lifecycle.acknowledge(alert, person, now_us, owner), now_us, asked
        )

    def acknowledge_many(
        self, alert_ids: Sequence[str], person: str, now_us: int, together: int, asked: Asked = HERE
    ) -> tuple[list[Change], dict[str, NotFoundError | RefusedError]]:
        """A person takes many alerts at once, of `together` in all; also gives those that could not be taken."""
        changes: list[Change] = []
        refused: dict[str, NotFoundError | RefusedError] = {}
        with transaction(self._db):
            for id_ in alert_ids:
                try:
                    steps = lifecycle.acknowledge(self.alert(id_), person, now_us, together=together)
                    changes += self._write(steps, now_us, asked)
                except (NotFoundError, RefusedError) as error:
                    refused[id_] = error
        return changes, refused

    def resolve(
        self,
        alert_id: str,
        person: str,
        reason: Resolution,
        note: str,
        now_us: int,
        dispatched: bool | None = None,
        *,
        owner: str = "",
        asked: Asked = HERE,
    ) -> list[Change]:
        """A person closes the alert; somebody else's where they name its `owner`.

        Raises `NotFoundError`, `rules.RefusedError`.
        """
        return self._ask(
            alert_id,
            person,
            lambda alert: lifecycle.resolve(alert, person, reason, note, now_us, dispatched, owner),
            now_us,
            asked,
        )

    def reopen(self, alert_id: str, person: str, note: str, now_us: int, asked: Asked = HERE) -> list[Change]:
        """A person takes a closed alert back. Raises `NotFoundError`, `rules.RefusedError`."""
        return self._ask(
            alert_id, person, lambda alert: lifecycle.reopen(alert, person, note, now_us), now_us, asked
        )

    def note(
        self,
        alert_id: str,
        person: str,
        text: str,
        now_us: int,
        mentions: Sequence[str] = (),
        asked: Asked = HERE,
    ) -> list[Change]:
        """A person writes into the timeline. Raises `NotFoundError`."""
        return self._ask(
            alert_id,
            person,
            lambda alert: lifecycle.note(alert, person, text, now_us, mentions),
            now_us,
            asked,
        )

    def contact(self, alert_id: str, person: str, now_us: int, asked: Asked = HERE) -> list[Change]:
        """A person looks up the emergency contact. Raises `NotFoundError`, `rules.RefusedError`."""
        return self._ask(
            alert_id, person, lambda alert: lifecycle.contact(alert, person, now_us), now_us, asked
        )

    def help(
        self,
        alert_id: str,
        person: str,
        helper: dict[str, str],
        now_us: int,
        heard: Heard | None = None,
        asked: Asked = HERE,
    ) -> list[Change]:
        """A person asks somebody nearby, whose helmet is to read what is `heard`; that is written down with it.

        Raises `NotFoundError`, `rules.RefusedError`.
        """
        with transaction(self._db):
            if self._done(person, asked):
                return []
            alert = self._known(alert_id)
            changes = self._write(lifecycle.help_(alert, person, helper, now_us), now_us, asked)
            if heard is not None:
                # Whoever asks again is heard again: each line of the timeline is a message of its own.
                messages.put(self._db, message_id(changes[-1].seq), heard, now_us)
        return changes

    def advance(self, now_us: int) -> list[Change]:
        """Opens what is due: alerts whose countdown is over, and those that nobody has touched for too long.

        At most `BATCH` of each, so that nobody waits long for us.
        """
        over = f"state = 'pending' AND opens_us <= ? ORDER BY opens_us, number LIMIT {BATCH}"
        idle = f"state = 'acknowledged' AND touched_us <= ? ORDER BY touched_us, number LIMIT {BATCH}"
        idle_us = now_us - self._untouched_us
        if not any(self._alerts(over, now_us)) and not any(self._alerts(idle, idle_us)):
            return []
        with transaction(self._db):
            steps = [lifecycle.countdown_over(alert, now_us) for alert in self._alerts(over, now_us)]
            steps += [lifecycle.untouched(alert, now_us) for alert in self._alerts(idle, idle_us)]
            return [change for each in steps for change in self._write(each, now_us)]

    def alert(self, alert_id: str) -> Alert:
        """The alert as it stands. Raises `NotFoundError`."""
        for alert in self._alerts("id = ?", alert_id):
            return alert
        raise NotFoundError(f"There is no alert {alert_id}.")

    def _take(self, detection: Detection, now_us: int) -> list[Change]:
        known = next(self._alerts("id = ?", detection.incident), None)
        if known is not None and known.forgotten:
            return []  # It would tell again whose it was.
        body = asdict(detection)
        trace = body.pop("trace")
        added = self._db.execute(
            "INSERT OR IGNORE INTO detections VALUES (?, ?, ?, ?, ?)",
            (
                detection.incident,
                detection.version,
                now_us,
                json.dumps(body, ensure_ascii=False, allow_nan=False),
                None if trace is None else json.dumps(trace, allow_nan=False),
            ),
        ).rowcount
        if not added:
            return []
        ok_us = self._last_ok_us(detection.helmet)
        if known is not None:
            return self._write(lifecycle.updated(known, detection, now_us, ok_us), now_us)
        rider = self._riders.get(detection.helmet)
        steps = lifecycle.detected(detection, rider, now_us, self._countdown_us, ok_us)
        return self._write(steps, now_us)

    def _take_event(self, event: HelmetEvent, now_us: int) -> list[Change]:
        if event.type not in ("sos", "ok") or self._forgotten(event):
            return []
        added = self._db.execute(
            "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?)",
            (event.helmet, event.type, event.t_us, event.received_us),
        ).rowcount
        if not added:
            return []
        if event.type == "sos":
            return self._write(self._sos(event, now_us), now_us)
        live = self._alerts("helmet = ? AND state IN (?, ?, ?) ORDER BY number", event.helmet, *LIVE)
        return [
            change
            for alert in live
            for change in self._write(lifecycle.rider_ok(alert, event.t_us, now_us), now_us)
        ]

    def _sos(self, event: HelmetEvent, now_us: int) -> Iterator[Step]:
        ok_us = self._last_ok_us(event.helmet)
        live = self._alerts("helmet = ? AND state IN (?, ?, ?) ORDER BY number", event.helmet, *LIVE)
        for alert in live:
            if alert.kind is Kind.SOS:
                return lifecycle.pressed(alert, event, now_us, ok_us)
        rider = self._riders.get(event.helmet)
        return lifecycle.sos(event, rider, now_us, ok_us, self._late_us)

    def _forgotten(self, event: HelmetEvent) -> bool:
        """Whether an SOS comes once more whose first arrival has been forgotten with its alert."""
        return event.type == "sos" and any(
            each.forgotten for each in self._alerts("id = ?", lifecycle.sos_id(event))
        )

    def _ask(
        self,
        alert_id: str,
        person: str,
        rule: Callable[[Alert], Iterable[Step]],
        now_us: int,
        asked: Asked,
    ) -> list[Change]:
        with transaction(self._db):
            if self._done(person, asked):
                return []
            return self._write(rule(self._known(alert_id)), now_us, asked)

    def _done(self, person: str, asked: Asked) -> bool:
        """Whether this very request was served before. Raises `RefusedError` for a key used for something else."""
        row = self._db.execute(
            "SELECT request FROM changes WHERE actor = ? AND key = ? AND key <> ''", (person, asked.key)
        ).fetchone()
        if row is not None and row[0] != asked.request:
            raise RefusedError("This Idempotency-Key was already used for another request.")
        return row is not None

    def _known(self, alert_id: str) -> Alert:
        """An alert that something may still be written about. Raises `NotFoundError`, `rules.RefusedError`."""
        alert = self.alert(alert_id)
        if alert.forgotten and alert.state not in LIVE:
            raise RefusedError(
                "It has been forgotten whose this alert was; nothing more is written about it."
            )
        return alert

    def _write(self, steps: Iterable[Step], now_us: int, asked: Asked = HERE) -> list[Change]:
        changes: list[Change] = []
        for step in steps:
            # The key is the request's, whose first line stands for all that it did.
            changes.append(self._record(step, now_us, replace(asked, key="") if changes else asked))
        return changes

    def _record(self, step: Step, now_us: int, asked: Asked) -> Change:
        """One line of the timeline and the alert after it; the line's number is the alert's `seq`."""
        body = dump(step.alert)
        detail = json.dumps(step.detail, ensure_ascii=False)
        self._db.execute(
            "INSERT INTO changes (at_us, alert, type, actor, detail, body, address, key, request) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                now_us,
                step.alert.id,
                step.type,
                step.actor,
                detail,
                body,
                asked.address,
                asked.key,
                asked.request,
            ),
        )
        seq: int = self._db.execute("SELECT last_insert_rowid()").fetchone()[0]
        self._db.execute(
            "INSERT INTO alerts (id, seq, body) VALUES (?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, body = excluded.body",
            (step.alert.id, seq, body),
        )
        alert = replace(step.alert, seq=seq)
        return Change(seq, now_us, step.type, step.actor, alert, step.detail, asked.address)

    def _alerts(self, where: str, *values: object) -> Iterator[Alert]:
        rows = self._db.execute(
            f"SELECT body, seq FROM alerts WHERE {where}",  # noqa: S608  # written in this file
            values,
        ).fetchall()
        return (parse(body, seq) for body, seq in rows)

    def _last_ok_us(self, helmet: str) -> int | None:
        row = self._db.execute("SELECT max(t_us) FROM events WHERE helmet = ? AND type = 'ok'", (helmet,))
        latest: int | None = row.fetchone()[0]
        return latest


BATCH = 250
"""Alerts in one transaction where there are many: a person's click comes between, and pages keep up."""

LIVE = (State.PENDING, State.OPEN, State.ACKNOWLEDGED)
"""States of an alert that somebody still has to do something about."""
