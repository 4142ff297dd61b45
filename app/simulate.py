"""`helmetwatch simulate`: a fleet of simulated helmets on any broker, with a ledger of the truth."""

import signal
import threading
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from app.services import clock_of, config_option, fail, read_config
from app.stack import print_json
from core.config import secret
from simulator.fleet import Broker, BrokerError, Progress, run_fleet
from simulator.scenario import demo as demo_scenario
from simulator.scenario import load as load_scenario


@click.command()
@click.option("--helmets", default=100, show_default=True, type=click.IntRange(1, 200_000), help="How many.")
@click.option("--seed", default=1, show_default=True, help="Same seed, same motion.")
@click.option("--for", "duration_s", type=click.FloatRange(0.1), help="Seconds; without it until Ctrl-C.")
@click.option(
    "--crashes-per-hour",
    type=click.FloatRange(0),
    help="Of the fleet; without it the demonstration's script.",
)
@click.option("--connections", default=4, show_default=True, type=click.IntRange(1), help="MQTT connections.")
@click.option(
    "--ledger", type=click.Path(path_type=Path, dir_okay=False), help="Write what was sent and crashed."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@config_option
def simulate(
    helmets: int,
    seed: int,
    duration_s: float | None,
    crashes_per_hour: float | None,
    connections: int,
    ledger: Path | None,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Ride a fleet of simulated helmets against the configured broker.

    Broker, name and password are those of the section ingest.mqtt.
    """
    config = read_config(config_path)
    mqtt = config.ingest.mqtt
    broker = Broker(
        mqtt.host,
        mqtt.port,
        mqtt.username,
        secret("HELMETWATCH_MQTT_PASSWORD", mqtt.password_file),
        "3.1.1" if mqtt.protocol == "3.1.1" else "5",
    )
    if crashes_per_hour is None:
        scenario = demo_scenario(helmets, seed)
    else:
        if duration_s is None:
            raise fail("--crashes-per-hour needs --for: the crashes are drawn before the start")
        scenario = load_scenario(helmets, duration_s, crashes_per_hour, seed)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    console = Console(stderr=True)
    with console.status("riding") as status:

        def show(progress: Progress) -> None:
            status.update(
                f"{progress.t_s:.0f} s: {progress.frames} frames, {progress.acked} acknowledged, "
                f"{progress.waiting} under way, {progress.happened} happenings, {progress.behind_s:.1f} s behind"
            )

        try:
            summary = run_fleet(
                scenario,
                broker,
                clock_of(config),
                connections=connections,
                ledger=ledger,
                duration_s=duration_s,
                stop=stop,
                on_progress=show,
            )
        except BrokerError as error:
            raise fail(str(error)) from None
    if as_json:
        print_json(asdict(summary))
    else:
        console.print(
            f"{summary.end.frames} frames sent, {summary.end.acked} acknowledged by the broker, "
            f"{summary.end.repeats} repeated, {summary.end.happened} happenings"
        )
