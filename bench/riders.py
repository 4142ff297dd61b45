"""`python -m bench.riders`: a fleet whose crashes no detector may miss: a run judges what comes after detection.

The fleet of `helmetwatch simulate` also falls gently, and some of those falls are not found whatever the pipeline does.
"""

import math
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


_PRESS_EVERY_S, _OK_AFTER_S = 2.0, 1.0


def scenario(
    helmets: int, seconds: float, crashes_per_h: float, sos_per_s: float = 0.0, seed: int = 1
) -> Scenario:
    """Everybody rides; blows at random times, and between two of one helmet all others have one.

    Otherwise a blow could wait for a rider who lies or stands, and come in the very second in which he sets off.
    The last few helmets have none: each presses SOS every two seconds and takes it back a second later.
    """
    rng = np.random.default_rng((seed, 7))
    times = np.sort(rng.uniform(2, max(2.0, seconds - 5), rng.poisson(crashes_per_h * seconds / 3600)))
    pressing = min(helmets - 1, math.ceil(sos_per_s * _PRESS_EVERY_S))
    order = rng.permutation(helmets - pressing)
    blows = [
        Happening(float(t_s), _BLOWS[k % len(_BLOWS)], int(order[k % len(order)]))
        for k, t_s in enumerate(times)
    ]
    presses = [
        # Not all at once, nor any of them at the same place of every second.
        Happening(float(t_s), "sos", helmets - 1 - k, ok_after_s=_OK_AFTER_S)
        for k in range(pressing)
        for t_s in np.cumsum(rng.uniform(0.5, 1.5, max(0, int(seconds / _PRESS_EVERY_S) - 2)))
        * _PRESS_EVERY_S
    ]
    happenings = tuple(sorted([*blows, *presses], key=lambda h: h.t_s))
    return Scenario("bench", helmets, seed, riding=1.0, happenings=happenings)


def main(config: str, helmets: str, seconds: str, crashes_per_h: str, sos_per_s: str, ledger: str) -> None:
    """Rides against the broker of a configuration until the time is over or SIGTERM comes."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    mqtt = load(Path(config)).ingest.mqtt
    run_fleet(
        scenario(int(helmets), float(seconds), float(crashes_per_h), float(sos_per_s)),
        Broker(mqtt.host, mqtt.port, mqtt.username, os.environ["HELMETWATCH_MQTT_PASSWORD"]),
        SystemClock(),
        ledger=Path(ledger),
        duration_s=float(seconds),
        stop=stop,
        connections=4,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
