"""Tapes of messages on the command line: `helmetwatch simulate --play` and `--listen`."""

import math
import threading
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from app.stack import print_json
from core.clock import Clock
from simulator.broker import Broker
from simulator.player import listen
from simulator.player import play as play_tape
from simulator.tape import Tape


def play(
    path: Path, broker: Broker, clock: Clock, speed: float, as_new: bool, stop: threading.Event, as_json: bool
) -> None:
    """Plays a tape and says what became of it."""
    console = Console(stderr=True)
    with console.status("playing") as status:
        played = play_tape(
            Tape(path),
            broker,
            clock,
            speed=speed,
            as_new=as_new,
            stop=stop,
            on_progress=lambda n, at_s: status.update(f"{at_s:.0f} s: {n} messages"),
        )
    if as_json:
        print_json(asdict(played))
        return
    late = f", at most {1000 * played.behind_s:.0f} ms late" if math.isfinite(speed) else ""
    unheard = f", {played.at_qos_0} at QoS 0, which nobody acknowledges" if played.at_qos_0 else ""
    console.print(
        f"{played.messages} messages played in {played.seconds:.1f} s, {played.acknowledged} acknowledged"
        f"{unheard}{late}"
    )


def record(
    broker: Broker, topics: tuple[str, ...], path: Path, duration_s: float | None, stop: threading.Event
) -> None:
    """Records topics of a broker."""
    console = Console(stderr=True)
    with console.status("recording") as status:
        messages = listen(
            broker,
            topics,
            path,
            duration_s=duration_s,
            stop=stop,
            on_progress=lambda n: status.update(f"recording: {n} messages"),
        )
    console.print(f"{messages} messages recorded in {path}")
