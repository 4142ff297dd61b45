"""What befalls a helmet: which motion a happening is, and what the rider must be doing for it."""

from typing import Literal

import numpy as np

from simulator import impacts, mishaps
from simulator.motion import Obstacle, Vehicle
from simulator.mount import Mount
from simulator.pulses import Motion
from simulator.scenario import Happening

Activity = Literal["ride", "walk", "stand", "park", "lie"]

OBSTACLES: dict[str, Obstacle] = {"bump": "bump", "pothole": "pothole", "kerb": "kerb"}
ON_THE_WAY = {"sos", "ok"}
"""What moves nothing: buttons."""

_NEEDS: dict[str, Activity] = {
    "drop": "park",
    "table": "park",
    "washing": "park",
    "door": "walk",
    "stand_up": "stand",
}


def needs(h: Happening) -> Activity:
    """What the rider must be doing for it to happen."""
    return h.splice.into if h.splice else _NEEDS.get(h.kind, "ride")


def motion(
    h: Happening, rng: np.random.Generator, speed_mps: float, vehicle: Vehicle, mount: Mount
) -> Motion:
    """The motion of a happening to a rider of this speed, whose helmet has its sensor there."""
    if h.splice:
        return h.splice.motion(rng)
    if h.kind in OBSTACLES:
        return impacts.rough_spot(rng, max(2.0, speed_mps), vehicle, OBSTACLES[h.kind])
    if h.kind in mishaps.ON_THE_HEAD:
        return mishaps.ON_THE_HEAD[h.kind](rng, mount)
    return mishaps.KINDS[h.kind](rng)
