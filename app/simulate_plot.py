"""Draws a scenario: what helmets felt, what really happened, and what the detector saw and decided."""

from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from ingest.codec import Message, decode_motion, parse_topic
from simulator.ledger import Ledger
from simulator.scenario import Scenario
from simulator.tape import Tape

_PANELS = 8
_BEFORE_S, _AFTER_S = 6.0, 14.0
_INK, _TRUTH, _DECIDED = "#24405c", "#2a7f3f", "#b3261e"


def draw(
    scenario: Scenario,
    ledger: Ledger,
    alerts: list[dict[str, Any]],
    start_us: int,
    tape: Path,
    path: Path,
) -> None:
    """Writes a picture with one panel for each of up to eight happenings and alerts, alerts first."""
    moments = _moments(ledger, alerts)
    figure = matplotlib.figure.Figure(figsize=(11, 1.2 + 2.1 * max(1, len(moments))), layout="constrained")
    figure.suptitle(f"{scenario.name} (simulated; seed {scenario.seed})", fontsize=12)
    if not moments:
        figure.text(0.5, 0.4, "nothing happened and nothing was alerted", ha="center")
    axes: list[Axes] = [figure.add_subplot(len(moments), 1, k + 1) for k in range(len(moments))]
    traces = _traces(tape, {helmet for helmet, _ in moments})
    for axis, (helmet, at_us) in zip(axes, moments, strict=True):
        _panel(axis, helmet, at_us, start_us, traces.get(helmet), ledger, alerts)
    if moments:
        axes[-1].set_xlabel("seconds from the start")
    figure.savefig(path, dpi=110)


def _moments(ledger: Ledger, alerts: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Helmet and time of what is worth a look."""
    found = [(a["helmet"], int(a["occurred_us"])) for a in alerts]
    quiet = [(c.helmet, c.t_us) for c in ledger.crashes]
    wanted = [c for c in ledger.crashes if c.expected == "alert"]
    for helmet, t_us in [*((c.helmet, c.t_us) for c in wanted), *quiet]:
        if all(helmet != h or abs(t_us - at) > _AFTER_S * 1e6 for h, at in found):
            found.append((helmet, t_us))
    return sorted(found[:_PANELS], key=lambda m: m[1])


def _traces(
    tape: Path, helmets: set[str]
) -> dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
    """Times in microseconds and resultants in g of some helmets, by what they sent."""
    parts: dict[str, list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]] = {h: [] for h in helmets}
    for message in (recorded := Tape(tape)):
        parsed = parse_topic(message.topic)
        if not isinstance(parsed, tuple) or parsed[1] != "motion" or parsed[0] not in helmets:
            continue
        at_us = recorded.start_us + message.offset_us
        for f in decode_motion([Message(message.topic, message.payload, at_us)]).frames:
            times = int(f.t0_us[0]) + np.arange(f.acc.shape[1]) * int(f.period_ns[0]) // 1000
            parts[parsed[0]].append((times, np.linalg.norm(f.acc[0] * float(f.g_per_count[0]), axis=1)))
    out = {}
    for helmet, found in parts.items():
        if found:
            times = np.concatenate([t for t, _ in found])
            order = np.argsort(times, kind="stable")
            out[helmet] = times[order], np.concatenate([r for _, r in found])[order]
    return out


def _panel(
    axis: Axes,
    helmet: str,
    at_us: int,
    start_us: int,
    trace: tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]] | None,
    ledger: Ledger,
    alerts: list[dict[str, Any]],
) -> None:
    centre = (at_us - start_us) / 1e6
    low, high = centre - _BEFORE_S, centre + _AFTER_S
    top = 3.0
    if trace is not None:
        t_s = (trace[0] - start_us) / 1e6
        seen = (t_s >= low) & (t_s <= high)
        if seen.any():
            axis.plot(t_s[seen], trace[1][seen], color=_INK, lw=0.7)
            top = max(top, float(trace[1][seen].max()))
    said = []
    for crash in ledger.crashes:
        if crash.helmet == helmet and low <= (at_s := (crash.t_us - start_us) / 1e6) <= high:
            axis.axvline(at_s, color=_TRUTH, lw=1.2, ls="--")
            said.append((at_s, f"truth: {crash.kind}", _TRUTH, 0.94))
    for alert in alerts:
        if alert["helmet"] == helmet and low <= (alert["occurred_us"] - start_us) / 1e6 <= high:
            for k, version in enumerate(alert["detections"]):
                at_s = (version["detected_us"] - start_us) / 1e6
                axis.axvline(at_s, color=_DECIDED, lw=0.9)
                points = sum(version["points"].values())
                words = f"{version['stage']}: {version['kind']}, {points:+.1f} points"
                said.append((at_s, words, _DECIDED, 0.80 - 0.13 * (k % 5)))
            axis.set_title(
                f"{helmet}: {alert['kind']}, severity {alert['severity']}, {alert['state']}: {alert['reason_en']}",
                fontsize=8,
                loc="left",
            )
    if not axis.get_title(loc="left"):
        axis.set_title(f"{helmet}: no alert", fontsize=8, loc="left")
    for at_s, words, colour, height in said:
        if low <= at_s <= high:
            axis.text(at_s + 0.08, 1.12 * top * height, words, fontsize=7, color=colour)
    axis.set_xlim(low, high)
    axis.set_ylim(0, 1.12 * top)
    axis.set_ylabel("resultant in g", fontsize=8)
    axis.tick_params(labelsize=7)
