"""`python -m bench.riders`: a fleet whose crashes no detector may miss: a run judges what comes after detection.

The fleet of `helmetwatch simulate` also falls gently, and some of those falls are not found whatever the pipeline does.
"""

import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np

from core.clock import SystemClock
from core.config import load
from simulator.fleet import Broker, run_fleet
from simulator.scenario import Happening, Kind, Scenario

_BLOWS: tuple[Kind, ...] = ("head_strike", "car_hit")


def scenario(helmets: int, seconds: float, crashes_per_h: float, seed: int = 1) -> Scenario:
    """Everybody rides; blows at random times, and between two of one helmet all others have one.

    Otherwise a blow could wait for a rider who lies or stands, and come in the very second in which he sets off.
    """
    rng = np.random.default_rng((seed, 7))
    times = np.sort(rng.uniform(2, max(2.0, seconds - 5), rng.poisson(crashes_per_h * seconds / 3600)))
    order = rng.permutation(helmets)
    happenings = tuple(
        Happening(float(t_s), _BLOWS[k % len(_BLOWS)], int(order[k % helmets])) for k, t_s in enumerate(times)
    )
    return Scenario("bench", helmets, seed, riding=1.0, happenings=happenings)


def main(config: str, helmets: str, seconds: str, crashes_per_h: str, ledger: str) -> None:
    """Rides against the broker of a configuration until the time is over or SIGTERM comes."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    mqtt = load(Path(config)).ingest.mqtt
    run_fleet(
        scenario(int(helmets), float(seconds), float(crashes_per_h)),
        Broker(mqtt.host, mqtt.port, mqtt.username, os.environ["HELMETWATCH_MQTT_PASSWORD"]),
        SystemClock(),
        ledger=Path(ledger),
        duration_s=float(seconds),
        stop=stop,
        connections=4,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
