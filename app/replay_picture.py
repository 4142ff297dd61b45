"""The picture of a replay: each recording's acceleration, and where the alerts came."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from simulator.recordings import Recording

_MOST = 12
_COLOURS = {
    "head_strike": "#c0392b",
    "fall": "#d35400",
    "helmet_lost": "#8e44ad",
    "sos": "#c0392b",
    "not_worn": "#7f8c8d",
}


def draw(recordings: list[Recording], alerts: list[dict[str, Any]], path: Path) -> None:
    """Draws the recordings that alerted, or the first few where none did. Raises `OSError`."""
    alerted = {alert["recording"] for alert in alerts}
    chosen = [r for r in recordings if not alerted or r.name in alerted][:_MOST]
    figure, axes = plt.subplots(len(chosen), 1, figsize=(11, 1 + 2.6 * len(chosen)), squeeze=False)
    for recording, axis in zip(chosen, axes[:, 0], strict=True):
        t_s = (
            recording.t_s if recording.t_s is not None else np.arange(len(recording.acc_g)) / recording.fs_hz
        )
        axis.plot(t_s, np.linalg.norm(recording.acc_g, axis=1), linewidth=0.5, color="#2c3e50")
        axis.set(xlim=(t_s[0], t_s[-1]), ylim=(0, None), ylabel="|a| in g", title=recording.name)
        for alert in (a for a in alerts if a["recording"] == recording.name):
            colour = _COLOURS[alert["kind"]]
            for impact_s in alert["impacts_s"]:
                axis.axvline(impact_s, color=colour, linewidth=0.7, alpha=0.6)
            axis.annotate(
                f"{alert['kind']}, severity {alert['severity']}, {alert['state']}\n{alert['occurred_s']:.2f} s",
                (alert["occurred_s"], axis.get_ylim()[1]),
                xytext=(-4, -4),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize=8,
                color=colour,
            )
        for crash_s in recording.meta.get("crash_s", "").split():
            axis.plot(float(crash_s), 0, marker="^", markersize=9, color="black", clip_on=False)
    axes[-1, 0].set_xlabel("seconds of the recording; ▲ labelled crash, lines: impacts of an alert")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
