"""`helmetwatch evaluate`: the detector over folders of recordings, scored by events, with honest intervals."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from app.contact_sheets import draw_curve, draw_sheets
from app.scoring import STAGES, Scored, evaluate_recording, summarise
from app.stratified import estimate, table
from core.config import Detection
from simulator.recordings import PULSE_LABEL, Recording, RecordingError, read

_WIDTH = 120
"""Columns the table needs; a pipe has 80 and would cut names off."""
_STRICTNESS = (0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
_TIMES = (*STAGES, "cancelled")
_SCALED = ("gate_g", "strike_g", "strike_dv20_mps", "fall_violence_g", "hard_violence_g", "tilt_deg")


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
) -> list[dict[str, Any]]:
    task = progress.add_task("sweep of all thresholds", total=len(_STRICTNESS) * len(recordings))
    points = []
    for factor in _STRICTNESS:
        scored = []
        for r in recordings:
            scored.append(evaluate_recording(r, worn, speed_mps, _strict(factor)))
            progress.advance(task)
        points.append({"strictness": factor, **summarise(scored)})
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
    help="Draw each miss and false alert there, and sensitivity against false alerts per hour.",
)
@click.option(
    "--stratified",
    type=click.IntRange(1000),
    metavar="TRIALS",
    help="Instead of recordings: false alerts per riding hour from so many simulated mishaps (60 a second).",
)
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the simulated mishaps."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def evaluate(
    folders: tuple[Path, ...],
    worn: str,
    speed: float | None,
    plots: Path | None,
    stratified: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Measures the detector on folders of recordings (docs/recordings.md).

    Recordings labelled fall, crash or crash_rides hold something to find; all others are expected to be quiet. Those
    labelled head_impact are pulses without gravity or a ride around them, and left out. With --stratified the figure
    rests on assumed rates of everything that is not a crash; they are printed beside it.
    """
    if stratified is not None:
        _stratified(stratified, seed, as_json)
        return
    if not folders:
        raise click.UsageError("name a folder of recordings, or --stratified TRIALS")
    try:
        every = [r for folder in folders for r in read(folder)]
    except RecordingError as error:
        raise click.ClickException(str(error)) from None
    recordings = [r for r in every if r.label != PULSE_LABEL]
    left_out = len(every) - len(recordings)
    if left_out:
        click.echo(
            f"left out: {left_out} pulses without gravity, which bench.strikes splices into rides", err=True
        )
    scored = _scored(recordings, {"yes": True, "no": False, "unknown": None}[worn], speed, plots)
    by_group = _by_group(scored)
    if as_json:
        result = {
            "worn": worn,
            "speed_mps": speed,
            "total": summarise(scored),
            "groups": by_group,
            "left_out": left_out,
            "wrong": [_wrong(s) for s in scored if s.missed or s.false_alerts],
        }
        click.echo(json.dumps(result, ensure_ascii=False))
    else:
        console = Console()
        console.width = max(console.width, _WIDTH)
        console.print(_table(by_group))


def _scored(
    recordings: list[Recording], worn: bool | None, speed_mps: float | None, plots: Path | None
) -> list[Scored]:
    """Scores all recordings and draws what people should look at, showing progress."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("recordings", total=len(recordings))
        scored = []
        for r in recordings:
            scored.append(evaluate_recording(r, worn, speed_mps))
            progress.advance(task)
        if plots is not None:
            plots.mkdir(parents=True, exist_ok=True)
            draw_sheets(scored, plots)
            draw_curve(_curve(recordings, worn, speed_mps, progress), plots / "sensitivity.png")
    return scored


def _by_group(scored: list[Scored]) -> dict[str, dict[str, Any]]:
    """Sums up each label of each set."""
    groups: dict[str, list[Scored]] = {}
    for s in sorted(scored, key=lambda s: (s.recording.source, s.recording.label)):
        groups.setdefault(f"{s.recording.source} {s.recording.label}", []).append(s)
    return {name: summarise(of_group) for name, of_group in groups.items()}


def _wrong(s: Scored) -> dict[str, Any]:
    return {
        "recording": s.recording.name,
        "label": s.recording.label,
        "missed": [
            {"at_s": e.at_s, **{name: e.reached(name) for name in ("alerted", *STAGES)}} for e in s.missed
        ],
        "false": [
            {
                "at_s": round(i.t_s, 3),
                **{name: getattr(i, f"{name}_at_s") for name in _TIMES},
                "reason": i.reason,
            }
            for i in s.false_alerts
        ],
        "reasons": [i.reason for i in s.incidents],
    }


def _stratified(trials: int, seed: int, as_json: bool) -> None:
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("simulated mishaps", total=trials)
        result = estimate(trials, seed, progress=lambda many: progress.advance(task, many))
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
        shares = [""] * (1 + len(STAGES))
        if g["events"]:
            shares = [
                f"{g[k]['hits']}/{g['events']}\n{g[k]['interval_95'][0]:.0%}–{g[k]['interval_95'][1]:.0%}"
                for k in ("alerted", *STAGES)
            ]
        false = g["false_alerts"]
        low, high = false["interval_95"] or (float("nan"), float("nan"))
        rate = f"{false['per_hour']:.2g}\n{low:.2g}–{high:.2g}" if g["quiet_hours"] else "–"
        out.add_row(name, str(g["recordings"]), f"{g['hours']:.2f}", *shares, str(false["count"]), rate)
    return out
