"""The running fleet in the terminal: rates, acknowledgements, latency, injected faults."""

from rich.table import Table

from simulator.crowd import CrowdProgress
from simulator.fleet import Progress
from simulator.scenario import Scenario

_WIDTH = 76


def fleet_table(
    scenario: Scenario, progress: Progress, real_s: float, duration_s: float | None = None
) -> Table:
    """One look at a run; `real_s` is real time since its start, `duration_s` how long it is to ride."""
    table = _table(f"{scenario.name}: {scenario.helmets:,} helmets, seed {scenario.seed}")
    per_s = progress.frames / real_s if real_s else 0.0
    share = 100 * progress.acked / progress.frames if progress.frames else 0.0
    of_s = f" of {duration_s:.0f} s" if duration_s else " s"
    behind = f"[{'red' if progress.behind_s > 2 else 'default'}]{progress.behind_s:.2f} s[/]"
    for row in (
        ("simulated time", f"{progress.t_s:.0f}{of_s}", "times real time", f"{progress.t_s / max(real_s, 0.1):.1f}"),
        ("frames", f"{progress.frames:,}", "a real second", f"{per_s:,.0f}"),
        ("acknowledged", f"{progress.acked:,} ({share:.1f} %)", "under way", f"{progress.waiting:,}"),
        ("PUBACK, median", f"{progress.ack_ms[0]:.1f} ms", "99 %", f"{progress.ack_ms[1]:.1f} ms"),
        ("connections", f"{progress.connected:,}", "repeated", f"{progress.repeats:,}"),
        ("happenings", f"{progress.happened}", "events", f"{progress.events:,}"),
        ("awaiting receipt", f"{progress.unconfirmed:,}", "given up", f"{progress.dropped:,}"),
        ("behind", behind, "", ""),
    ):  # fmt: skip
        table.add_row(*row)
    faults = ", ".join(f"{name} {count:,}" for name, count in sorted(progress.injected.items()))
    table.caption = f"injected faults: {faults or 'none'}"
    return table


def crowd_table(helmets: int, seed: int, progress: CrowdProgress, real_s: float) -> Table:
    """One look at a crowd."""
    table = _table(f"crowd: {helmets:,} helmets, seed {seed}")
    share = 100 * progress.acknowledged / progress.sent if progress.sent else 0.0
    for row in (
        ("frames", f"{progress.sent:,}", "a second", f"{progress.sent / max(real_s, 1.0):,.0f}"),
        ("acknowledged", f"{progress.acknowledged:,} ({share:.1f} %)", "kept", f"{progress.waiting:,}"),
        ("connections", f"{progress.connected:,}", "reconnections", f"{progress.reconnected:,}"),
        ("riding for", f"{real_s:.0f} s", "given up", f"{progress.given_up:,}"),
    ):
        table.add_row(*row)
    return table


def _table(title: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", caption_justify="left", width=_WIDTH,
        show_header=False, box=None, padding=(0, 2),
    )  # fmt: skip
    for justify, style in (("left", "dim"), ("right", ""), ("left", "dim"), ("right", "")):
        table.add_column(justify=justify, style=style)  # type: ignore[arg-type]
    return table
