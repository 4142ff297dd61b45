"""`helmetwatch simulate`: simulated helmets, scenarios with expectations, tapes of messages."""

import csv
import math
import re
import signal
import threading
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from app import simulate_scenario
from app.services import clock_of, config_option, fail, read_config
from app.simulate_view import fleet_table
from app.stack import print_json
from core.clock import Clock, ManualClock
from core.config import Config, ConfigError, secret
from simulator.crowd import run_crowd
from simulator.fleet import Broker, BrokerError, Progress, run_fleet
from simulator.player import export, listen, play
from simulator.scenario import Scenario
from simulator.scenario import demo as demo_scenario
from simulator.scenario import load as load_scenario
from simulator.scenario_file import find_scenario
from simulator.tape import Tape, TapeError

_START = "2026-01-01T00:00:00Z"


class Duration(click.ParamType[float]):
    """Seconds, or a number with s, m or h."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of `20`, `20s`, `2m`, `1.5h`."""
        found = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*(s|m|h)?", str(value))
        if not found or not float(found[1]):
            self.fail(f"{value!r} is not a duration: write 20, 20s, 2m or 1h", param, ctx)
        return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2] or "s"]


@click.command()
@click.argument("scenario", required=False)
@click.option("--helmets", default=100, show_default=True, type=click.IntRange(1, 200_000), help="How many.")
@click.option("--seed", type=int, help="Same seed, same motion; 1, or what the scenario's file says.")
@click.option("--for", "duration_s", type=Duration(), help="20s, 2m, 1h; without it until Ctrl-C.")
@click.option(
    "--crashes-per-hour",
    type=click.FloatRange(0),
    help="Of the fleet; without it the demonstration's script.",
)
@click.option("--connections", default=4, show_default=True, type=click.IntRange(1), help="MQTT connections.")
@click.option(
    "--credentials",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="CSV with helmet,username,password, for helmets with a connection of their own.",
)
@click.option(
    "--ledger", type=click.Path(path_type=Path, dir_okay=False), help="Write what was sent and crashed."
)
@click.option(
    "--record", type=click.Path(path_type=Path, dir_okay=False), help="Write a tape of all messages."
)
@click.option("--crowd", is_flag=True, help="Load alone: ride on and on, up to 200,000 helmets, no crashes.")
@click.option("--dry-run", is_flag=True, help="Without a broker, as fast as possible, from --start on.")
@click.option("--start", default=_START, show_default=True, help="When a dry run begins (ISO 8601).")
@click.option("--play", "tape_path", type=click.Path(path_type=Path, dir_okay=False), help="Play a tape.")
@click.option(
    "--speed",
    type=click.FloatRange(0.01),
    help="Times real time, for --play (1) and scenarios (10); inf is as fast as possible.",
)
@click.option("--as-new", is_flag=True, help="With --play: date the messages as if it happened now.")
@click.option(
    "--export",
    "export_to",
    type=click.Path(path_type=Path, file_okay=False),
    help="With --play: write CSV and wire-format files to this folder instead.",
)
@click.option("--listen", "topics", multiple=True, help="With --record: record these topics of the broker.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Of a scenario: draw traces and decisions.",
)
@click.option("--list", "list_them", is_flag=True, help="List the scenarios that come with the program.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@config_option
def simulate(
    scenario: str | None,
    helmets: int,
    seed: int | None,
    duration_s: float | None,
    crashes_per_hour: float | None,
    connections: int,
    credentials: Path | None,
    ledger: Path | None,
    record: Path | None,
    crowd: bool,
    dry_run: bool,
    start: str,
    tape_path: Path | None,
    speed: float | None,
    as_new: bool,
    export_to: Path | None,
    topics: tuple[str, ...],
    plot: Path | None,
    list_them: bool,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Simulate a fleet, run a scenario with expectations, play or record messages (docs/scenarios.md).

    Without SCENARIO a fleet rides against the broker of the section ingest.mqtt. With one (a YAML file, or a name
    from --list) it rides against a broker, worker and desk of its own at ten times the speed, and the exit code is 1
    where what was expected did not come; with --config it rides against that broker and expects nothing.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        if list_them:
            simulate_scenario.show_library()
        elif tape_path and export_to:
            for helmet, frames in export(Tape(tape_path), export_to).items():
                click.echo(f"{helmet}: {frames} frames")
        elif tape_path:
            config = read_config(config_path)
            _play(tape_path, broker_of(config), clock_of(config), speed or 1.0, as_new, stop, as_json)
        elif topics:
            if record is None:
                raise fail("--listen needs --record FILE")
            _listen(broker_of(read_config(config_path)), topics, record, duration_s, stop)
        elif crowd:
            config = read_config(config_path)
            _crowd(
                broker_of(config),
                clock_of(config),
                helmets,
                seed or 1,
                duration_s,
                connections,
                stop,
                as_json,
            )
        elif scenario and config_path is None and not dry_run:
            options = simulate_scenario.Options(speed or 10.0, seed, plot, record, ledger, as_json)
            simulate_scenario.command(scenario, options, stop)
        else:
            if scenario:
                found = find_scenario(scenario)
                chosen = found.scenario(seed)
                duration_s = duration_s or found.duration_s
            else:
                chosen = _drawn(helmets, seed if seed is not None else 1, crashes_per_hour, duration_s)
            if dry_run and duration_s is None:
                raise fail("--dry-run needs --for")
            config = read_config(config_path) if not dry_run else Config()
            broker = None if dry_run else broker_of(config, credentials)
            clock: Clock = ManualClock(_microseconds(start)) if dry_run else clock_of(config)
            _ride(chosen, broker, clock, duration_s, connections, ledger, record, stop, as_json)
    except ConfigError as error:
        raise fail(*error.faults) from None
    except (BrokerError, TapeError, OSError) as error:
        raise fail(str(error)) from None


def broker_of(config: Config, credentials: Path | None = None) -> Broker:
    """The broker of the configuration's section ingest.mqtt."""
    mqtt = config.ingest.mqtt
    signs: dict[str, tuple[str, str]] = {}
    if credentials:
        with credentials.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            missing = {"helmet", "username", "password"} - set(rows.fieldnames or ())
            if missing:
                raise fail(f"{credentials}: the column {min(missing)} is missing")
            signs = {row["helmet"]: (row["username"], row["password"]) for row in rows}
    return Broker(
        mqtt.host,
        mqtt.port,
        mqtt.username,
        secret("HELMETWATCH_MQTT_PASSWORD", mqtt.password_file),
        "3.1.1" if mqtt.protocol == "3.1.1" else "5",
        mqtt.tls,
        signs,
    )


def _microseconds(start: str) -> int:
    try:
        moment = datetime.fromisoformat(start)
    except ValueError as error:
        raise fail(f"--start: {error}") from None
    if moment.tzinfo is None:
        raise fail(f"--start: {start} has no time zone: write {start}Z for UTC")
    return round(moment.timestamp()) * 1_000_000


def _drawn(helmets: int, seed: int, crashes_per_hour: float | None, duration_s: float | None) -> Scenario:
    if crashes_per_hour is None:
        return demo_scenario(helmets, seed)
    if duration_s is None:
        raise fail("--crashes-per-hour needs --for: the crashes are drawn before the start")
    return load_scenario(helmets, duration_s, crashes_per_hour, seed)


def _ride(
    scenario: Scenario,
    broker: Broker | None,
    clock: Clock,
    duration_s: float | None,
    connections: int,
    ledger: Path | None,
    record: Path | None,
    stop: threading.Event,
    as_json: bool,
) -> None:
    console = Console(stderr=True)
    began = time.monotonic()
    # The view takes the terminal; into a pipe or a log it would only write noise.
    with Live(console=console, transient=True, auto_refresh=False) as live:

        def show(progress: Progress) -> None:
            if console.is_terminal:
                live.update(fleet_table(scenario, progress, time.monotonic() - began), refresh=True)

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
    console.print(
        f"{end.frames} frames sent, {end.acked} {by}, {end.repeats} repeated, {end.happened} happenings"
        + "".join(f", {name} {count}" for name, count in sorted(end.injected.items()))
    )


def _crowd(
    broker: Broker,
    clock: Clock,
    helmets: int,
    seed: int,
    duration_s: float | None,
    connections: int,
    stop: threading.Event,
    as_json: bool,
) -> None:
    console = Console(stderr=True)
    with console.status("riding") as status:
        summary = run_crowd(
            helmets,
            seed,
            broker,
            clock,
            duration_s=duration_s or 1e9,
            connections=connections,
            stop=stop,
            on_progress=lambda sent, acked: status.update(f"{sent:,} frames, {acked:,} acknowledged"),
        )
    if as_json:
        print_json(asdict(summary))
        return
    console.print(
        f"{summary.sent:,} frames sent in {summary.seconds:.1f} s, {summary.acknowledged:,} acknowledged; "
        f"{100 * summary.cpu_s / summary.seconds:.0f} % of a core, at most {summary.behind_s:.2f} s late"
    )


def _play(
    path: Path, broker: Broker, clock: Clock, speed: float, as_new: bool, stop: threading.Event, as_json: bool
) -> None:
    console = Console(stderr=True)
    with console.status("playing") as status:
        played = play(
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
    console.print(
        f"{played.messages} messages played in {played.seconds:.1f} s, {played.acknowledged} acknowledged{late}"
    )


def _listen(
    broker: Broker, topics: tuple[str, ...], path: Path, duration_s: float | None, stop: threading.Event
) -> None:
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
