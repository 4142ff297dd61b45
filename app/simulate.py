"""`helmetwatch simulate`: simulated helmets, scenarios with expectations, tapes of messages."""

import math
import signal
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from app import simulate_options, simulate_ride, simulate_scenario, simulate_tape
from app.services import clock_of, config_option, fail, read_config
from app.simulate_options import Connections, Duration, Grouped, Rate, Speed
from core.clock import Clock, ManualClock
from core.config import Config, ConfigError, secret
from simulator.broker import Broker, BrokerError
from simulator.player import export
from simulator.scenario import Scenario
from simulator.scenario_file import find_scenario
from simulator.sensor import PARTS
from simulator.tape import Tape, TapeError

_START = "2026-01-01T00:00:00Z"
_SHARED = 4
_FILE = click.Path(path_type=Path, dir_okay=False)


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
    prefix: str
    connections: int | None
    credentials: Path | None
    ledger: Path | None
    record: Path | None
    crowd: bool
    ramp_s: float
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


@click.command(cls=Grouped, epilog=simulate_options.EXAMPLES)
@click.argument("scenario", required=False)
@click.option("--helmets", type=click.IntRange(1, 200_000), help="How many; 100, or 1 with --splice.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    help="Same seed, same motion; 1, or what the scenario's file says.",
)
@click.option("--for", "duration_s", type=Duration(), help="20s, 2m, 1h; without it until Ctrl-C.")
@click.option(
    "--crashes-per-hour",
    type=Rate(0, 100_000),
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
    "--part",
    type=click.Choice(list(PARTS)),
    metavar="PART",
    help=f"Every helmet's accelerometer; without it a mixture: {', '.join(PARTS)}.",
)
@click.option(
    "--prefix",
    default="SF-",
    show_default=True,
    callback=simulate_options.prefix,
    help="Of helmet ids; two fleets on one broker need two.",
)
@click.option("--connections", type=Connections(), help="MQTT connections, 4, or own: one for each helmet.")
@click.option(
    "--credentials",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="CSV with helmet,username,password, for --connections own.",
)
@click.option("--ledger", type=_FILE, help="Write what was sent and crashed to a new file.")
@click.option("--record", type=_FILE, help="Write a tape of all messages.")
@click.option("--crowd", is_flag=True, help="Load alone: ride on and on, up to 200,000 helmets, no crashes.")
@click.option("--ramp", "ramp_s", type=Duration(), default="1s", help="A crowd grows for so long.")
@click.option("--dry-run", is_flag=True, help="Without a broker, as fast as possible, from --start on.")
@click.option("--start", default=_START, show_default=True, help="When a dry run begins (ISO 8601).")
@click.option("--play", "tape_path", type=_FILE, help="Play a tape.")
@click.option(
    "--speed",
    type=Speed(),
    help="Times real time, for --play (1; inf is as fast as possible) and scenarios (10).",
)
@click.option("--as-new", is_flag=True, help="With --play: date the messages as if it happened now.")
@click.option(
    "--export",
    "export_to",
    type=click.Path(path_type=Path, file_okay=False),
    help="With --play: write CSV and wire-format files to this folder instead.",
)
@click.option(
    "--listen",
    "topics",
    multiple=True,
    callback=simulate_options.topic_filters,
    help="With --record: record these topics of the broker.",
)
@click.option("--plot", type=_FILE, help="Of a scenario: draw traces and decisions.")
@click.option("--list", "list_them", is_flag=True, help="List the scenarios that come with the program.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@config_option
@click.pass_context
def simulate(context: click.Context, /, **said: Any) -> None:
    """Simulate a fleet, run a scenario with expectations, play or record messages (docs/scenarios.md).

    Without SCENARIO a fleet rides against the broker of the section ingest.mqtt. With one (a YAML file, or a name
    from --list) it rides against a broker, worker and desk of its own at ten times the speed, and the exit code is 1
    where what was expected did not come; with --config it rides against that broker and expects nothing.
    """
    mode = simulate_options.check(context)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        _do(mode, Wanted(**said), stop)
    except ConfigError as error:
        raise fail(*error.faults) from None
    except (BrokerError, TapeError, OSError) as error:
        raise fail(str(error)) from None


def _do(mode: str, w: Wanted, stop: threading.Event) -> None:
    match mode:
        case "--list":
            simulate_scenario.show_library()
        case "--play with --export":
            assert w.tape_path and w.export_to  # noqa: S101 (what the mode means)
            for helmet, frames in export(Tape(w.tape_path), w.export_to).items():
                click.echo(f"{helmet}: {frames} frames")
        case "--play":
            _play(w, stop)
        case "--listen":
            if w.record is None:
                raise click.UsageError("--listen needs --record FILE")
            broker = broker_of(read_config(w.config_path))
            simulate_tape.record(broker, w.topics, w.record, w.duration_s, stop)
        case "--crowd":
            _crowd(w, stop)
        case "a scenario":
            assert w.scenario  # noqa: S101 (what the mode means)
            if w.speed is not None and not math.isfinite(w.speed):
                raise click.UsageError(
                    "--speed inf: a scenario's worker and desk need a clock; write a number"
                )
            options = simulate_scenario.Options(
                w.speed or 10.0, w.seed, w.plot, w.record, w.ledger, w.as_json
            )
            simulate_scenario.command(w.scenario, options, stop)
        case _:
            _ride(w, stop)


def _play(w: Wanted, stop: threading.Event) -> None:
    assert w.tape_path  # noqa: S101 (what the mode means)
    config, speed = read_config(w.config_path), w.speed or 1.0
    if w.as_new and speed > config.time.scale:
        raise click.UsageError(
            f"--as-new at --speed {speed:g} dates messages ahead of the clock, and a worker refuses what lies in the "
            "future: leave one of them out"
        )
    simulate_tape.play(w.tape_path, broker_of(config), clock_of(config), speed, w.as_new, stop, w.as_json)


def _crowd(w: Wanted, stop: threading.Event) -> None:
    if w.connections == 0:
        raise click.UsageError("--connections own: a crowd shares its connections; write a number")
    config = read_config(w.config_path)
    simulate_ride.crowd(
        broker_of(config),
        clock_of(config),
        w.helmets or 100,
        1 if w.seed is None else w.seed,
        duration_s=w.duration_s,
        ramp_s=w.ramp_s,
        connections=w.connections or _SHARED,
        ledger=w.ledger,
        stop=stop,
        as_json=w.as_json,
    )


def _ride(w: Wanted, stop: threading.Event) -> None:
    duration_s, own = w.duration_s, w.connections == 0
    if w.scenario:
        found = find_scenario(w.scenario)
        chosen = found.scenario(w.seed, w.prefix)
        duration_s = duration_s or found.duration_s
        own = own or (w.connections is None and found.connections == "own")
    else:
        chosen = simulate_ride.drawn(
            w.helmets,
            1 if w.seed is None else w.seed,
            crashes_per_hour=w.crashes_per_hour,
            splices=w.splices,
            part=w.part,
            prefix=w.prefix,
            duration_s=duration_s,
        )
    if w.dry_run and duration_s is None:
        raise click.UsageError("--dry-run needs --for")
    if w.connections and w.connections >= chosen.helmets > 1:
        raise click.UsageError(
            f"--connections {w.connections} for {chosen.helmets} helmets: write --connections own for one each"
        )
    config = Config() if w.dry_run else read_config(w.config_path)
    clock: Clock = ManualClock(_microseconds(w.start)) if w.dry_run else clock_of(config)
    simulate_ride.ride(
        chosen,
        None if w.dry_run else broker_of(config, _signs(w, chosen, own)),
        clock,
        duration_s=duration_s,
        connections=None if own else w.connections or _SHARED,
        ledger=w.ledger,
        record=w.record,
        stop=stop,
        as_json=w.as_json,
    )


def _signs(w: Wanted, chosen: Scenario, own: bool) -> dict[str, tuple[str, str]]:
    if w.credentials is None:
        return {}
    if not own:
        raise click.UsageError("--credentials: helmets sign in by themselves with --connections own only")
    return simulate_options.read_credentials(w.credentials, map(chosen.helmet_id, range(chosen.helmets)))


def broker_of(config: Config, signs: dict[str, tuple[str, str]] | None = None) -> Broker:
    """The broker of the configuration's section ingest.mqtt."""
    mqtt = config.ingest.mqtt
    return Broker(
        mqtt.host,
        mqtt.port,
        mqtt.username,
        secret("HELMETWATCH_MQTT_PASSWORD", mqtt.password_file),
        "3.1.1" if mqtt.protocol == "3.1.1" else "5",
        mqtt.tls,
        signs or {},
    )


def _microseconds(start: str) -> int:
    try:
        moment = datetime.fromisoformat(start)
    except ValueError as error:
        raise fail(f"--start: {error}: write it as {_START}") from None
    if moment.tzinfo is None:
        raise fail(f"--start: {start} has no time zone: write {moment.isoformat()}Z for UTC")
    if not 1970 <= moment.year < 2100:
        raise fail(f"--start: {start} is not between 1970 and 2100")
    return max(0, round(moment.timestamp())) * 1_000_000
