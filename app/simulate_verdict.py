"""The verdict on a scenario's run: what came out, held against what was expected."""

import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from app.reconcile import Account
from simulator.fleet import Summary
from simulator.ledger import Crash, Ledger
from simulator.scenario import Happening
from simulator.scenario_file import ExpectedAlert, ScenarioFile

_LOST_SHOWN = 5
SLOW_S = 2.0
"""Simulated lateness above which times say more about the machine than about the system."""
_TOO_LATE = 0.2
"""Share of the events at a rate that may come too late to happen before the end."""
_FRAME_S = 1.5
"""A frame leaves so long after its first sample at the latest (docs/payload.md)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    file: ScenarioFile
    summary: Summary
    ledger: Ledger
    alerts: list[dict[str, Any]]
    """Of the scenario's helmets, each with its `detections`."""
    account: Account
    speed: float = 1.0
    """How many times as fast as real time it ran."""
    asked: tuple[Happening, ...] = ()
    """What was to happen."""
    report: list[str] = field(default_factory=list)
    """One line for each expectation that was not met; empty where all were."""

    @property
    def met(self) -> bool:
        """Whether everything came as expected."""
        return not self.report

    @property
    def slow_s(self) -> float:
        """How late the machine was, in simulated time: in sending the frames with crashes, and from there to alerts."""
        sent = (self.ledger.published.get((c.helmet, c.boot, c.seq)) for c in self.ledger.crashes)
        late = [(sent_us - t0_us) / 1e6 - _FRAME_S for t0_us, sent_us in filter(None, sent)]
        waits_ms = self.account.latency_ms
        return max([*late, statistics.median(waits_ms) / 1000 * self.speed if waits_ms else 0.0])


def judge(outcome: Outcome) -> list[str]:
    """Holds a run against its file's expectations: one line for each that was not met, `-` missing, `+` too much."""
    expect, start_us = outcome.file.expect, outcome.summary.start_us
    report = _never_happened(outcome)
    matched: set[str] = set()
    for expected in expect.alerts:
        chosen = None if expected.helmets is None else set(expected.helmets)
        truths = [
            c
            for c in outcome.ledger.crashes
            if _is(c, expected) and (chosen is None or int(c.helmet[-6:]) in chosen)
        ]
        missing = []
        for truth in truths:
            near = [a for a in outcome.alerts if _distance_s(a, truth) <= expected.within]
            matched |= {a["id"] for a in near}
            wrong = "" if expected.optional and not near else _differences(near, truth, expected)
            if wrong:
                at_s = (truth.t_us - start_us) / 1e6
                missing.append(f"- {truth.helmet} {truth.kind} at {at_s:.1f} s: {wrong}")
        least = len(truths) if expected.at_least is None else expected.at_least
        if not truths:
            report.append(f"- {expected.event}: it never happened, so nothing could be expected")
        elif len(truths) - len(missing) < least:
            report += missing
    others = [a for a in outcome.alerts if a["id"] not in matched]
    if len(others) > expect.other_alerts:
        report += [_unexpected(a, outcome) for a in others]
    account = outcome.account
    if report and outcome.slow_s > SLOW_S:
        report.append(
            f"  (this machine was up to {outcome.slow_s:.1f} simulated seconds late: too slow for {outcome.speed:g} "
            "times real time; try a lower --speed)"
        )
    if len(account.lost) > expect.lost_frames:
        shown = account.lost[:_LOST_SHOWN]
        report += [f"- frame {seq} of {helmet} (boot {boot}) is lost" for helmet, boot, seq in shown]
        if len(account.lost) > len(shown):
            report.append(f"- {len(account.lost) - len(shown)} more frames are lost")
    if account.rejected < expect.rejected_at_least:
        report.append(
            f"- rejected messages: {account.rejected}, expected at least {expect.rejected_at_least}"
        )
    return report


def _never_happened(outcome: Outcome) -> list[str]:
    """What was asked for and no frame told of, so that nothing was tried out: one line each, and one for each rate."""
    happened = Counter((c.helmet[-6:], c.kind) for c in outcome.ledger.crashes)
    report = []
    drawn, missed = Counter[str](), Counter[str]()
    for h in sorted(outcome.asked, key=lambda h: h.by_rate):
        key = (f"{h.helmet + 1:06d}", h.name)
        if not h.expected:
            continue
        came = happened[key] > 0
        happened[key] -= came
        drawn[h.name] += h.by_rate
        missed[h.name] += h.by_rate and not came
        if not came and not h.by_rate:
            what = f"{h.name} at {h.t_s:.1f} s never happened: it was in no position for it"
            report.append(f"- helmet {h.helmet + 1}: {what}")
    report += [
        f"- {name}: only {drawn[name] - n} of {drawn[name]} happened"
        for name, n in missed.items()
        if n > _TOO_LATE * drawn[name]
    ]
    return report


def _is(truth: Crash, expected: ExpectedAlert) -> bool:
    """Whether a truth is of the expected kind; spliced recordings go by their names, and a spliced ride is no crash."""
    if expected.event == "splice":
        return "/" in truth.kind and truth.expected != "none"
    return truth.kind == expected.event


def _distance_s(alert: dict[str, Any], truth: Crash) -> float:
    if alert["helmet"] != truth.helmet:
        return float("inf")
    nearest_us = min(abs(int(t_us) - truth.t_us) for t_us in (alert["occurred_us"], *alert["impacts_us"]))
    return nearest_us / 1e6


def _differences(near: list[dict[str, Any]], truth: Crash, expected: ExpectedAlert) -> str:
    """What is wrong with the alerts about one truth; empty where nothing is."""
    if len(near) != 1:
        return "no alert" if not near else f"{len(near)} alerts, expected one"
    alert = near[0]
    wrong = []
    for name in ("kind", "state", "stage"):
        wanted = getattr(expected, name)
        if wanted is not None and alert[name] not in wanted:
            wrong.append(f"{name} is {alert[name]}, expected {' or '.join(wanted)}")
    if expected.severity_at_least is not None and alert["severity"] < expected.severity_at_least:
        wrong.append(f"severity is {alert['severity']}, expected at least {expected.severity_at_least}")
    if expected.late is not None and alert["late"] != expected.late:
        wrong.append(f"late is {alert['late']}, expected {expected.late}")
    if expected.alerted_within is not None:
        took_s = (alert["alerted_us"] - truth.t_us) / 1e6
        if took_s > expected.alerted_within:
            wrong.append(f"alerted after {took_s:.1f} s, expected within {expected.alerted_within:g} s")
    return "; ".join(wrong)


def _unexpected(alert: dict[str, Any], outcome: Outcome) -> str:
    at_s = (alert["occurred_us"] - outcome.summary.start_us) / 1e6
    truth = [c for c in outcome.ledger.crashes if _distance_s(alert, c) <= 10]
    cause = f", at a {truth[0].kind}" if truth else ""
    return (
        f"+ {alert['helmet']} at {at_s:.1f} s{cause}: {alert['kind']}, severity {alert['severity']}, {alert['state']}, "
        f"not expected: {alert['reason_en']}"
    )
