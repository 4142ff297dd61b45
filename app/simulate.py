"""`helmetwatch simulate`: simulated helmets, scenarios with expectations, tapes of messages."""

import csv
import re
import signal
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from app import simulate_ride, simulate_scenario, simulate_tape
from app.services import clock_of, config_option, fail, read_config
from core.clock import Clock, ManualClock
from core.config import Config, ConfigError, secret
from simulator.broker import Broker, BrokerError
from simulator.player import export
from simulator.scenario_file import find_scenario
from simulator.sensor import PARTS
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was said on the command line."""

    scenario: str | None
    helmets: int | None
    seed: int | None
    duration_s: float | None
    crashes_per_hour: float | None
    splices: tuple[str, ...]
    part: str | None
    connections: int
    credentials: Path | None
    ledger: Path | None
    record: Path | None
    crowd: bool
    dry_run: bool
    start: str
    tape_path: Path | None
    speed: float | None
    as_new: bool
    export_to: Path | None
    topics: tuple[str, ...]
    plot: Path | None
    list_them: bool
    as_json: bool
    config_path: Path | None


@click.command()
@click.argument("scenario", required=False)
@click.option("--helmets", type=click.IntRange(1, 200_000), help="How many; 100, or 1 with --splice.")
@click.option(
    "--seed", type=click.IntRange(0), help="Same seed, same motion; 1, or what the scenario's file says."
)
@click.option("--for", "duration_s", type=Duration(), help="20s, 2m, 1h; without it until Ctrl-C.")
@click.option(
    "--crashes-per-hour",
    type=click.FloatRange(0),
    help="Of every 100 helmets; without it the demonstration's script.",
)
@click.option(
    "--splice",
    "splices",
    multiple=True,
    metavar="FOLDER/NUMBER@TIME",
    help="Every rider lives through this recording (docs/recordings.md) at that time.",
)
@click.option(
    "--part", type=click.Choice(list(PARTS)), help="Every helmet's accelerometer; without it a mixture."
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
def simulate(**said: Any) -> None:
    """Simulate a fleet, run a scenario with expectations, play or record messages (docs/scenarios.md).

    Without SCENARIO a fleet rides against the broker of the section ingest.mqtt. With one (a YAML file, or a name
    from --list) it rides against a broker, worker and desk of its own at ten times the speed, and the exit code is 1
    where what was expected did not come; with --config it rides against that broker and expects nothing.
    """
    wanted = Wanted(**said)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        _do(wanted, stop)
    except ConfigError as error:
        raise fail(*error.faults) from None
    except (BrokerError, TapeError, OSError) as error:
        raise fail(str(error)) from None


def _refuse_what_a_script_says_itself(w: Wanted) -> None:
    given = {
        "--helmets": w.helmets and not w.crowd,
        "--crashes-per-hour": w.crashes_per_hour is not None,
        "--splice": w.splices,
        "--part": w.part,
    }
    refused = [name for name, value in given.items() if value]
    if refused and (w.scenario or w.crowd):
        what = f"the scenario {w.scenario}" if w.scenario else "a crowd"
        raise fail(f"{refused[0]}: {what} says itself who rides and what happens; leave it out")


def _do(w: Wanted, stop: threading.Event) -> None:
    _refuse_what_a_script_says_itself(w)
    if w.list_them:
        simulate_scenario.show_library()
    elif w.tape_path and w.export_to:
        for helmet, frames in export(Tape(w.tape_path), w.export_to).items():
            click.echo(f"{helmet}: {frames} frames")
    elif w.tape_path:
        config = read_config(w.config_path)
        simulate_tape.play(
            w.tape_path, broker_of(config), clock_of(config), w.speed or 1.0, w.as_new, stop, w.as_json
        )
    elif w.topics:
        if w.record is None:
            raise fail("--listen needs --record FILE")
        simulate_tape.record(broker_of(read_config(w.config_path)), w.topics, w.record, w.duration_s, stop)
    elif w.crowd:
        config = read_config(w.config_path)
        simulate_ride.crowd(
            broker_of(config),
            clock_of(config),
            w.helmets or 100,
            1 if w.seed is None else w.seed,
            duration_s=w.duration_s,
            connections=w.connections,
            ledger=w.ledger,
            stop=stop,
            as_json=w.as_json,
        )
    elif w.scenario and w.config_path is None and not w.dry_run:
        options = simulate_scenario.Options(w.speed or 10.0, w.seed, w.plot, w.record, w.ledger, w.as_json)
        simulate_scenario.command(w.scenario, options, stop)
    else:
        _ride(w, stop)


def _ride(w: Wanted, stop: threading.Event) -> None:
    duration_s = w.duration_s
    if w.scenario:
        found = find_scenario(w.scenario)
        chosen = found.scenario(w.seed)
        duration_s = duration_s or found.duration_s
    else:
        chosen = simulate_ride.drawn(
            w.helmets,
            1 if w.seed is None else w.seed,
            crashes_per_hour=w.crashes_per_hour,
            splices=w.splices,
            part=w.part,
            duration_s=duration_s,
        )
    if w.dry_run and duration_s is None:
        raise fail("--dry-run needs --for")
    config = Config() if w.dry_run else read_config(w.config_path)
    clock: Clock = ManualClock(_microseconds(w.start)) if w.dry_run else clock_of(config)
    simulate_ride.ride(
        chosen,
        None if w.dry_run else broker_of(config, w.credentials),
        clock,
        duration_s=duration_s,
        connections=w.connections,
        ledger=w.ledger,
        record=w.record,
        stop=stop,
        as_json=w.as_json,
    )


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
