"""Pictures of an evaluation: every miss and false alarm to look at, and the trade-off as a curve."""

import textwrap
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from detectors import Incident
from simulator.recordings import Recording

mpl.use("Agg")

_COLUMNS, _ROWS = 3, 4
_TITLE = 80
"""Characters of a title that fit above one trace."""
_BEFORE_S, _AFTER_S = 6.0, 10.0
_AXES = (("x", "#0072b2"), ("y", "#d55e00"), ("z", "#009e73"))
"""Colours that the colour-blind can tell apart (Okabe & Ito)."""


def draw_sheets(cases: list[tuple[Recording, list[Incident]]], folder: Path) -> list[Path]:
    """Draws twelve recordings a page, `wrong-01.png` and on, around the impact or else the largest peak."""
    per_page = _COLUMNS * _ROWS
    paths = []
    for page, first in enumerate(range(0, len(cases), per_page), start=1):
        shown = cases[first : first + per_page]
        rows = -(-len(shown) // _COLUMNS)
        figure = Figure(figsize=(5 * _COLUMNS, 3 * rows), layout="constrained")
        for k, (r, incidents) in enumerate(shown, start=1):
            _draw(figure.add_subplot(rows, _COLUMNS, k), r.uniform(), incidents)
        paths.append(folder / f"wrong-{page:02d}.png")
        figure.savefig(paths[-1], dpi=90)
    return paths


def _draw(axes: "mpl.axes.Axes", r: Recording, incidents: list[Incident]) -> None:
    size = np.sqrt(np.square(r.acc_g).sum(1))
    t_s = np.arange(len(size)) / r.fs_hz
    centre_s = incidents[0].t_s if incidents else float(t_s[size.argmax()])
    shown = (t_s >= centre_s - _BEFORE_S) & (t_s <= centre_s + _AFTER_S)
    for k, (name, colour) in enumerate(_AXES):
        axes.plot(t_s[shown], r.acc_g[shown, k], colour, linewidth=0.7, label=name)
    axes.plot(t_s[shown], size[shown], "black", linewidth=0.8, label="|f|")
    for incident in incidents:
        for impact_s in incident.impacts_s:
            axes.axvline(impact_s, color="grey", linewidth=0.6)
        for at_s, style in (
            (incident.alerted_at_s, ":"),
            (incident.confirmed_at_s, "-"),
            (incident.cancelled_at_s, "--"),
        ):
            if at_s is not None:
                axes.axvline(at_s, color="crimson", linestyle=style, linewidth=1)
    axes.set_xlim(centre_s - _BEFORE_S, centre_s + _AFTER_S)
    said = "\n".join(textwrap.fill(i.reason, _TITLE) for i in incidents[:2]) or "no alert"
    axes.set_title(f"{r.name} {r.label} {r.subject} {r.meta.get('activity', '')}\n{said}", fontsize=7)
    axes.tick_params(labelsize=6)
    axes.set_ylabel("g", fontsize=7)
    axes.legend(fontsize=6, loc="upper right", ncols=4)


def draw_curve(points: list[dict[str, float]], path: Path) -> None:
    """Draws sensitivity against false alarms per hour for thresholds scaled together."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([p["per_hour"] for p in points], [p["sensitivity"] for p in points], "o-", color="#0072b2")
    labels: dict[tuple[float, float], list[str]] = {}
    for p in points:
        labels.setdefault((p["per_hour"], p["sensitivity"]), []).append(f"×{p['strictness']:g}")
    for at, names in labels.items():
        axes.annotate(" ".join(names), at, fontsize=8, xytext=(5, -11), textcoords="offset points")
    axes.set_xlabel("falsely confirmed per hour")
    axes.set_ylabel("share of events confirmed")
    axes.set_title("All thresholds scaled together; ×1 is shipped")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
