"""Fleets and crowds on the command line: what rides, and the last line that says how it went."""

import re
import resource
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.live import Live
from rich.table import Table

from app.services import fail
from app.simulate_view import crowd_table, fleet_table
from app.stack import print_json
from core.clock import Clock
from simulator.broker import Broker
from simulator.crowd import run_crowd
from simulator.fleet import run_fleet
from simulator.recordings import RecordingError
from simulator.scenario import Happening, Scenario, demo, load
from simulator.sensor import PARTS
from simulator.splice import find_recording, splice_of

P = TypeVar("P")
_FILES_BESIDE = 100
"""Open files beside the connections: libraries, the ledger, the tape."""


def drawn(
    helmets: int | None,
    seed: int,
    *,
    crashes_per_hour: float | None = None,
    splices: Sequence[str] = (),
    part: str | None = None,
    prefix: str = "SF-",
    duration_s: float | None = None,
) -> Scenario:
    """What rides without a scenario file: the demonstration, a load of crashes, or spliced recordings."""
    if splices:
        chosen = _spliced(helmets or 1, seed, splices)
    elif crashes_per_hour is None:
        chosen = demo(helmets or 100, seed)
    elif duration_s is None:
        raise fail("--crashes-per-hour needs --for: the crashes are drawn before the start")
    else:
        chosen = load(helmets or 100, duration_s, crashes_per_hour, seed)
    chosen = replace(chosen, prefix=prefix)
    return replace(chosen, parts=((PARTS[part], 1.0),)) if part else chosen


def _spliced(helmets: int, seed: int, splices: Sequence[str]) -> Scenario:
    """Riders who live through recordings, each `FOLDER/NUMBER@TIME`; every helmet is turned another way."""
    happenings: list[Happening] = []
    for written in splices:
        found = re.fullmatch(r"(.+)@([0-9]*\.?[0-9]+)(s|m)?", written)
        if not found:
            raise fail(f"--splice {written}: write it as FOLDER/NUMBER@TIME, as in my_rides/3@20s")
        try:
            splice = splice_of(find_recording(Path(found[1])))
        except RecordingError as error:
            raise fail(f"--splice: {error}") from None
        t_s = float(found[2]) * (60 if found[3] == "m" else 1)
        happenings += [Happening(t_s, "splice", k, splice=splice) for k in range(helmets)]
    return Scenario(
        "spliced recordings", helmets, seed, riding=1.0, without_position=0, without_wear_sensor=0,
        rough_spots_per_h=0, happenings=tuple(happenings),
    )  # fmt: skip


def ride(
    scenario: Scenario,
    broker: Broker | None,
    clock: Clock,
    *,
    duration_s: float | None,
    connections: int | None,
    ledger: Path | None,
    record: Path | None,
    stop: threading.Event,
    as_json: bool,
) -> None:
    """Runs a fleet, with a live view in a terminal, and says what it came to."""
    if broker and connections is None:
        _make_room(scenario.helmets)
    console = Console(stderr=True)
    with _live(console, partial(fleet_table, scenario)) as show:
        summary = run_fleet(
            scenario,
            broker,
            clock,
            connections=connections,
            ledger=ledger,
            record=record,
            duration_s=duration_s,
            stop=stop,
            on_progress=show,
        )
    if as_json:
        print_json(asdict(summary))
        return
    end = summary.end
    by = "acknowledged" if broker else "made (dry run)"
    median, late = summary.ack_ms
    waits = f", PUBACK after {median:.1f} ms (median) and {late:.1f} ms (99 %)" if broker else ""
    console.print(
        f"{end.frames} frames sent, {end.acked} {by}, {end.repeats} repeated, {end.happened} happenings{waits}"
        + "".join(f", {name} {count}" for name, count in sorted(end.injected.items()))
    )


def _make_room(connections: int) -> None:
    """Lets this process hold so many connections open, or says what keeps it from it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _FILES_BESIDE
    if hard not in (resource.RLIM_INFINITY, -1) and hard < needed:
        raise fail(
            f"{connections} connections need {needed} open files, and this process may have {hard}: raise its limit "
            "(ulimit -Hn), or let them share fewer connections"
        )
    if soft not in (resource.RLIM_INFINITY, -1) and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def crowd(
    broker: Broker,
    clock: Clock,
    helmets: int,
    seed: int,
    *,
    duration_s: float | None,
    ramp_s: float,
    connections: int,
    ledger: Path | None,
    stop: threading.Event,
    as_json: bool,
) -> None:
    """Runs a crowd, with a live view in a terminal, and says what it came to."""
    console = Console(stderr=True)
    with _live(console, partial(crowd_table, helmets, seed)) as show:
        summary = run_crowd(
            helmets,
            seed,
            broker,
            clock,
            duration_s=duration_s or 1e9,
            ramp_s=ramp_s,
            connections=connections,
            ledger=ledger,
            stop=stop,
            on_progress=show,
        )
    if as_json:
        print_json(asdict(summary))
        return
    end = summary.end
    unlucky = f", {end.given_up:,} given up" if end.given_up else ""
    unlucky += f", {end.waiting:,} without an answer" if end.waiting else ""
    unlucky += f", {end.reconnected} reconnections" if end.reconnected else ""
    console.print(
        f"{end.sent:,} frames sent in {summary.seconds:.1f} s, {end.acknowledged:,} acknowledged{unlucky}; "
        f"{100 * summary.cpu_s / summary.seconds:.0f} % of a core, at most {summary.behind_s:.2f} s late"
    )


@contextmanager
def _live(console: Console, table: Callable[[P, float], Table]) -> Iterator[Callable[[P], None]]:
    """Draws progress and the seconds since the start as a table, where there is a terminal.

    The view takes the terminal; into a pipe or a log it would only write noise.
    """
    began = time.monotonic()
    with Live(console=console, transient=True, auto_refresh=False) as live:

        def show(progress: P) -> None:
            if console.is_terminal:
                live.update(table(progress, time.monotonic() - began), refresh=True)

        yield show
