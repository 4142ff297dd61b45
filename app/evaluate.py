"""`helmetwatch evaluate`: the detector over folders of recordings, scored by events, with honest intervals."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from app.contact_sheets import draw_curve, draw_sheets
from app.intervals import clopper_pearson, poisson_rate
from app.stratified import estimate, table
from core.config import Detection
from detectors import Incident, detect_recording
from simulator.recordings import Recording, RecordingError, read

POSITIVE = ("fall", "crash", "crash_rides", "head_impact")
"""Labels of recordings that hold something to find; every other label is expected to be quiet."""
_MATCH_S = 1.0
_AFTER_S = 30.0
"""Alerts so long after a known crash belong to its aftermath: somebody picks the vehicle up."""
_STAGES = ("fast", "standard", "confirmed")
_WIDTH = 120
"""Columns the table needs; a pipe has 80 and would cut names off."""
_STRICTNESS = (0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
_SCALED = ("gate_g", "strike_g", "strike_dv20_mps", "fall_violence_g", "hard_violence_g", "tilt_deg")


@dataclass(frozen=True, slots=True)
class Scored:
    """One recording and what the detector made of it."""

    recording: Recording
    incidents: list[Incident]
    events: int
    """Crashes it holds."""
    alerted: int
    """Of these, reported at any stage, not counting what was taken back before it was confirmed."""
    fast: int
    """Reported by FAST, at 0.35 s after an impact."""
    standard: int
    """Reported by STANDARD, at 0.85 s, without a FAST."""
    confirmed: int
    false_alerts: list[Incident]
    latency_s: list[float]
    """From the first impact to the first alert, one for each crash that was reported."""
    confirm_latency_s: list[float] = field(default_factory=list)

    @property
    def wrong(self) -> bool:
        """Whether somebody should look at it."""
        return bool(self.false_alerts) or self.confirmed < self.events


def evaluate_recording(
    r: Recording, worn: bool | None, speed_mps: float | None, params: Detection | None = None
) -> Scored:
    """Detects and scores one recording.

    Where `crash_s` in its meta.csv names the moments (seconds, separated by blanks), each is an event; otherwise a
    recording with a positive label is one event. Any alert that belongs to no event is false.
    """
    incidents = detect_recording(
        r.acc_g,
        r.fs_hz,
        full_scale_g=r.full_scale_g,
        gyro_rad_s=r.gyro_rad_s,
        worn=worn,
        speed_mps=speed_mps,
        t_s=r.t_s,
        params=params,
    )
    if r.label not in POSITIVE:
        return Scored(r, incidents, 0, 0, 0, 0, 0, incidents, [])
    crashes_s = [float(x) for x in r.meta.get("crash_s", "").split()]
    if not crashes_s:
        return _score(r, [incidents], [])
    matched = [[i for i in incidents if _near(i, t_s)] for t_s in crashes_s]
    hits = {id(i) for found in matched for i in found}
    false = [
        i
        for i in incidents
        if id(i) not in hits and not any(0 <= i.t_s - t_s <= _AFTER_S for t_s in crashes_s)
    ]
    return _score(r, matched, false)


def _near(incident: Incident, t_s: float) -> bool:
    return any(abs(impact_s - t_s) <= _MATCH_S for impact_s in incident.impacts_s)


def _score(r: Recording, matched: list[list[Incident]], false: list[Incident]) -> Scored:
    stood = [
        [i for i in found if i.confirmed_at_s is not None or i.cancelled_at_s is None] for found in matched
    ]
    return Scored(
        recording=r,
        incidents=list({id(i): i for found in matched for i in found}.values()) + false,
        events=len(matched),
        alerted=sum(bool(found) for found in stood),
        fast=sum(_reached(found, "fast_at_s") for found in matched),
        standard=sum(
            _reached(found, "standard_at_s") and not _reached(found, "fast_at_s") for found in matched
        ),
        confirmed=sum(_reached(found, "confirmed_at_s") for found in matched),
        false_alerts=false,
        latency_s=[_first_s(found) for found in matched if found],
        confirm_latency_s=[
            min(i.confirmed_at_s - i.t_s for i in found if i.confirmed_at_s is not None)
            for found in matched
            if any(i.confirmed_at_s is not None for i in found)
        ],
    )


def _reached(found: list[Incident], stage: str) -> bool:
    return any(getattr(i, stage) is not None for i in found)


def _first_s(found: list[Incident]) -> float:
    return min(i.alerted_at_s - i.t_s for i in found if i.alerted_at_s is not None)


def summarise(scored: list[Scored]) -> dict[str, Any]:
    """Counts, shares and rates of a list of recordings with 95 % intervals."""
    events = sum(s.events for s in scored)
    hours = sum(s.recording.duration_s for s in scored) / 3600
    quiet_hours = sum(s.recording.duration_s for s in scored if not s.events) / 3600
    alerts = [i for s in scored for i in s.false_alerts]
    out: dict[str, Any] = {"recordings": len(scored), "hours": round(hours, 3), "events": events}
    if events:
        for name in ("alerted", *_STAGES):
            hits = sum(getattr(s, name) for s in scored)
            out[name] = {
                "hits": hits,
                "share": hits / events,
                "interval_95": clopper_pearson(hits, events),
            }
        for name in ("latency_s", "confirm_latency_s"):
            values = [v for s in scored for v in getattr(s, name)]
            out[name] = (
                {f"p{q}": round(float(np.percentile(values, q)), 3) for q in (50, 95)} if values else None
            )
    for name, count in (
        ("false_alerts", len(alerts)),
        *((f"false_{stage}", sum(_reached([i], f"{stage}_at_s") for i in alerts)) for stage in _STAGES),
    ):
        # Recordings of crashes alone still say how often they alert besides; no time at all says nothing.
        exposure = quiet_hours or hours
        out[name] = {
            "count": count,
            "per_hour": count / exposure if exposure else None,
            "interval_95": poisson_rate(count, exposure) if exposure else None,
        }
    return out


def _strict(factor: float) -> Detection:
    """Every threshold harder (above 1) or softer by the same factor, within what the options allow."""
    values = Detection().model_dump()
    for name in _SCALED:
        bounds = {type(m).__name__: m for m in Detection.model_fields[name].metadata}
        low = next((getattr(bounds[k], k.lower()) for k in ("Ge", "Gt") if k in bounds), 0.0)
        high = next((getattr(bounds[k], k.lower()) for k in ("Le", "Lt") if k in bounds), float("inf"))
        values[name] = float(np.clip(values[name] * factor, low + 1e-6, high - 1e-6))
    return Detection(**values)


def _curve(
    recordings: list[Recording], worn: bool | None, speed_mps: float | None, progress: Progress
) -> list[dict[str, float]]:
    task = progress.add_task("sweep of all thresholds", total=len(_STRICTNESS) * len(recordings))
    points = []
    for factor in _STRICTNESS:
        scored = []
        for r in recordings:
            scored.append(evaluate_recording(r, worn, speed_mps, _strict(factor)))
            progress.advance(task)
        total = summarise(scored)
        share = total["confirmed"]["share"] if total["events"] else float("nan")
        points.append(
            {
                "strictness": factor,
                "sensitivity": share,
                "per_hour": total["false_confirmed"]["per_hour"] or 0.0,
            }
        )
    return points


@click.command()
@click.argument("folders", nargs=-1, metavar="[DIR...]", type=click.Path(path_type=Path))
@click.option(
    "--worn",
    type=click.Choice(["yes", "no", "unknown"]),
    default="yes",
    show_default=True,
    help="What the wear sensor is taken to say.",
)
@click.option("--speed", type=float, metavar="MPS", help="Speed in m/s throughout; unknown by default.")
@click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="OUTDIR",
    help="Draw each miss and false alarm there, and sensitivity against false alarms per hour.",
)
@click.option(
    "--stratified",
    type=click.IntRange(1000),
    metavar="TRIALS",
    help="Instead of recordings: false alerts per riding hour from so many simulated mishaps (60 a second).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def evaluate(
    folders: tuple[Path, ...],
    worn: str,
    speed: float | None,
    plots: Path | None,
    stratified: int | None,
    as_json: bool,
) -> None:
    """Measures the detector on folders of recordings (docs/recordings.md).

    Recordings labelled fall, crash, crash_rides or head_impact hold something to find; all others are expected to
    be quiet. With --stratified the figure rests on assumed rates of everything that is not a crash; they are
    printed beside it.
    """
    if stratified is not None:
        _stratified(stratified, as_json)
        return
    if not folders:
        raise click.UsageError("name a folder of recordings, or --stratified TRIALS")
    try:
        recordings = [r for folder in folders for r in read(folder)]
    except RecordingError as error:
        raise click.ClickException(str(error)) from None
    wear = {"yes": True, "no": False, "unknown": None}[worn]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("recordings", total=len(recordings))
        scored = []
        for r in recordings:
            scored.append(evaluate_recording(r, wear, speed))
            progress.advance(task)
        if plots is not None:
            plots.mkdir(parents=True, exist_ok=True)
            draw_sheets([(s.recording, s.incidents) for s in scored if s.wrong], plots)
            draw_curve(_curve(recordings, wear, speed, progress), plots / "sensitivity.png")
    groups = sorted({(s.recording.source, s.recording.label) for s in scored})
    by_group = {
        f"{source} {label}": summarise(
            [s for s in scored if (s.recording.source, s.recording.label) == (source, label)]
        )
        for source, label in groups
    }
    wrong = [
        {
            "recording": s.recording.name,
            "label": s.recording.label,
            "reasons": [i.reason for i in s.incidents],
        }
        for s in scored
        if s.wrong
    ]
    result = {
        "worn": worn,
        "speed_mps": speed,
        "total": summarise(scored),
        "groups": by_group,
        "wrong": wrong,
    }
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
    else:
        console = Console()
        console.width = max(console.width, _WIDTH)
        console.print(_table(by_group))


def _stratified(trials: int, as_json: bool) -> None:
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("simulated mishaps", total=trials)
        result = estimate(trials, progress=lambda many: progress.advance(task, many))
    if as_json:
        click.echo(json.dumps(result))
        return
    console = Console()
    console.width = max(console.width, _WIDTH)
    console.print(table(result))


def _table(groups: dict[str, dict[str, Any]]) -> Table:
    out = Table(title="What the detector makes of these recordings (95 % intervals)")
    for column in (
        "set and label",
        "n",
        "hours",
        "alerted",
        "fast",
        "standard",
        "confirmed",
        "false alerts",
        "per hour",
    ):
        out.add_column(column, justify="left" if column == "set and label" else "right")
    for name, g in groups.items():
        shares = [""] * (1 + len(_STAGES))
        if g["events"]:
            shares = [
                f"{g[k]['hits']}/{g['events']}\n{g[k]['interval_95'][0]:.0%}–{g[k]['interval_95'][1]:.0%}"
                for k in ("alerted", *_STAGES)
            ]
        false = g["false_alerts"]
        low, high = false["interval_95"] or (0.0, float("nan"))
        rate = f"{false['count'] and false['per_hour']:.2g}\n{low:.2g}–{high:.2g}"
        out.add_row(name, str(g["recordings"]), f"{g['hours']:.2f}", *shares, str(false["count"]), rate)
    return out
