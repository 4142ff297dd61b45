"""Pictures of an evaluation: every miss and false alarm to look at, and the trade-off as a curve."""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from app.scoring import Scored
from detectors import Incident
from simulator.recordings import Recording

mpl.use("Agg")

_COLUMNS, _ROWS = 3, 4
_TITLE = 80
"""Characters of a title that fit above one trace."""
_BEFORE_S, _AFTER_S = 6.0, 12.0
_AXES = (("x", "#0072b2"), ("y", "#d55e00"), ("z", "#009e73"))
"""Colours that the colour-blind can tell apart (Okabe & Ito)."""
_DECIDED = (("fast", ":"), ("standard", "-."), ("confirmed", "-"), ("cancelled", "--"))
_ALLOWED_PER_HOUR = 1e-4
"""What a fleet can bear (docs/detection.md)."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One moment of a recording to look at."""

    recording: Recording
    incidents: list[Incident]
    at_s: float
    title: str


def panels(scored: list[Scored]) -> dict[str, list[Panel]]:
    """What somebody should look at, by the name of its pages: false alerts, misses, crashes without a FAST."""
    out: dict[str, list[Panel]] = {"false": [], "missed": [], "not-fast": []}
    for s in scored:
        for i in s.false_alerts:
            out["false"].append(Panel(s.recording, s.incidents, i.t_s, f"false alert at {i.t_s:.1f} s"))
        for e in s.events:
            at_s = _largest_s(s.recording) if e.at_s is None else e.at_s
            if not e.reached("confirmed"):
                out["missed"].append(Panel(s.recording, s.incidents, at_s, f"crash at {at_s:.1f} s missed"))
            elif not e.reached("fast"):
                out["not-fast"].append(
                    Panel(s.recording, s.incidents, at_s, f"crash at {at_s:.1f} s, no FAST")
                )
    return out


def _largest_s(r: Recording) -> float:
    at = int(np.square(r.acc_g).sum(1).argmax())
    return at / r.fs_hz if r.t_s is None else float(r.t_s[at])


def draw_sheets(scored: list[Scored], folder: Path) -> list[Path]:
    """Draws twelve panels a page: `false-001.png`, `missed-001.png`, `not-fast-001.png` and on."""
    paths = []
    per_page = _COLUMNS * _ROWS
    for name, found in panels(scored).items():
        for page, first in enumerate(range(0, len(found), per_page), start=1):
            shown = found[first : first + per_page]
            columns = min(_COLUMNS, len(shown))
            rows = -(-len(shown) // columns)
            figure = Figure(figsize=(5 * columns, 3 * rows), layout="constrained")
            for k, panel in enumerate(shown, start=1):
                _draw(figure.add_subplot(rows, columns, k), panel)
            paths.append(folder / f"{name}-{page:03d}.png")
            figure.savefig(paths[-1], dpi=90)
    return paths


def _draw(axes: "mpl.axes.Axes", panel: Panel) -> None:
    r = panel.recording
    t_s = np.arange(len(r.acc_g)) / r.fs_hz if r.t_s is None else r.t_s
    first_s, last_s = panel.at_s - _BEFORE_S, panel.at_s + _AFTER_S
    shown = (t_s >= first_s) & (t_s <= last_s)
    for k, (name, colour) in enumerate(_AXES):
        axes.plot(t_s[shown], r.acc_g[shown, k], colour, linewidth=0.7, label=name)
    size = np.sqrt(np.square(r.acc_g[shown]).sum(1))
    axes.plot(t_s[shown], size, "black", linewidth=0.8, label="|f|")
    axes.plot(panel.at_s, size.max(initial=0.0), "v", color="black", markersize=4)
    near = [i for i in panel.incidents if any(first_s <= x <= last_s for x in i.impacts_s)]
    for incident in near:
        for impact_s in incident.impacts_s:
            axes.axvline(impact_s, color="grey", linewidth=0.6)
        for name, style in _DECIDED:
            at_s = getattr(incident, f"{name}_at_s")
            if at_s is not None:
                axes.axvline(at_s, color="crimson", linestyle=style, linewidth=1, label=name)
    axes.set_xlim(first_s, last_s)
    said = "\n".join(textwrap.fill(i.reason, _TITLE) for i in near[:2]) or "no alert"
    what = f"{r.name} {r.label} {r.subject} {r.meta.get('activity', '')}: {panel.title}"
    axes.set_title(f"{textwrap.fill(what, _TITLE)}\n{said}", fontsize=7)
    axes.tick_params(labelsize=6)
    axes.set_ylabel("g", fontsize=7)
    axes.legend(fontsize=6, loc="upper right", ncols=4)


def draw_curve(points: list[dict[str, Any]], path: Path) -> None:
    """Draws sensitivity against false alerts per hour, FAST and confirmed, for thresholds scaled together.

    `points` are sums of `app.scoring.summarise` with the `strictness` they were made with. Each has the 95 % interval
    of its rate; where no false alert was seen, an arrow stands at its upper end: the rate is somewhere to the left.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for stage, colour in (("fast", "#d55e00"), ("confirmed", "#0072b2")):
        axes.plot([], [], "o", color=colour, label=stage)
        names: dict[tuple[float, int], list[dict[str, Any]]] = {}
        for p in (p for p in points if p["events"] and p["quiet_hours"]):
            x, y = _rate(p[f"false_{stage}"]), p[stage]["share"]
            seen = p[f"false_{stage}"]["count"] > 0
            axes.plot(
                x, y, color=colour, marker="o" if seen else "$\\leftarrow$", markersize=5 if seen else 12
            )
            if seen:
                axes.plot(p[f"false_{stage}"]["interval_95"], [y, y], "-", color=colour, linewidth=0.6)
            names.setdefault((round(x, 9), round(20 * y)), []).append(p)
        for (x, _), alike in names.items():
            text = textwrap.fill(" ".join(f"×{p['strictness']:g}" for p in alike), 12)
            above = max(p[stage]["share"] for p in alike)
            axes.annotate(text, (x, above), (0, 7), textcoords="offset points", fontsize=7, ha="center")
    axes.set_xscale("log")
    axes.set_ylim(-0.05, 1.15)
    axes.axvline(_ALLOWED_PER_HOUR, color="grey", linestyle=":", label="1 in 10,000 hours")
    axes.set_xlabel("false alerts of the stage per hour (arrow: none seen, at its 95 % upper bound)")
    axes.set_ylabel("share of crashes")
    axes.set_title("All thresholds scaled together; ×1 is shipped", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="center left")
    figure.savefig(path, dpi=110)


def _rate(false: dict[str, Any]) -> float:
    return float(false["per_hour"] if false["count"] else false["interval_95"][1])
