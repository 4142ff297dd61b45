"""A helmet is put on and taken off: lifted, turned by more than 60 degrees within 3 s, set down."""

import numpy as np

from core.model import G0
from simulator.motion import FINE_HZ, Array, band
from simulator.pulses import (
    Motion,
    add,
    body_frame,
    half_sine,
    haversine,
    instead,
    smooth,
    turning,
    unit,
)

LENGTH_S = 4.6
"""How long either takes."""
SWITCH_S = 1.6
"""When the wear sensor changes; from here on for two seconds nothing of everyday life is left of the signal."""
_UPRIGHT = np.array([0.0, 0.0, 1.0])


def lying(rng: np.random.Generator) -> Array:
    """(3,) which way is up for a helmet that nobody wears: on its side or on its crown, 75 to 165 degrees off."""
    return _tilted(rng, np.radians(rng.uniform(75, 165)))


def hanging(rng: np.random.Generator) -> Array:
    """(3,) which way is up for a helmet that hangs by its strap: 110 to 165 degrees off."""
    return _tilted(rng, np.radians(rng.uniform(110, 165)))


def _tilted(rng: np.random.Generator, angle: float) -> Array:
    way = rng.uniform(0, 2 * np.pi)
    return np.array([np.sin(angle) * np.cos(way), np.sin(angle) * np.sin(way), np.cos(angle)])


def don(rng: np.random.Generator, lay: Array) -> Motion:
    """A helmet that lay with `lay` (3,) upwards is picked up, turned, set on the head and strapped.

    It rises 0.5 to 0.9 m and turns in 1.2 to 2 s (minimum jerk), meets the head at 0.1 to 0.4 m/s over 20 to 40 ms and
    is shifted into place.
    """
    t = np.arange(int(LENGTH_S * FINE_HZ)) / FINE_HZ
    takes_s = rng.uniform(1.2, 2.0)
    on_s = 0.4 + takes_s
    axis, angle = _way(lay)
    remaining = angle * (1 - smooth(t, 0.4, on_s))
    f = body_frame(remaining, axis, 1 + _lift(t, rng.uniform(0.5, 0.9), 0.4, on_s))
    add(f, on_s, haversine(rng.uniform(0.1, 0.4), rng.uniform(0.02, 0.04)), _UPRIGHT)
    fidget = np.stack([band(rng, len(t), FINE_HZ, 1.0, 6.0) for _ in range(3)], 1) * rng.uniform(0.04, 0.1)
    f += fidget * (smooth(t, on_s, on_s + 0.3) * (1 - smooth(t, 3.4, 4.0)))[:, None]
    return instead(f, 0.1, on_s, "wear", _UPRIGHT, 0.0, turning(axis, remaining))


def doff(rng: np.random.Generator, lay: Array) -> Motion:
    """A worn helmet is unstrapped, taken off, turned and put down with `lay` (3,) upwards, at 0.1 to 0.4 m/s."""
    t = np.arange(int(LENGTH_S * FINE_HZ)) / FINE_HZ
    takes_s = rng.uniform(1.2, 2.0)
    down_s = 0.9 + takes_s
    axis, angle = _way(lay)
    turn = angle * smooth(t, 0.9, down_s)
    f = body_frame(turn, axis, 1 - _lift(t, rng.uniform(0.5, 0.9), 0.9, down_s))
    fidget = np.stack([band(rng, len(t), FINE_HZ, 1.0, 6.0) for _ in range(3)], 1) * rng.uniform(0.04, 0.1)
    f += fidget * (smooth(t, 0.2, 0.5) * (1 - smooth(t, 0.8, 1.2)))[:, None]
    pulse = half_sine(rng.uniform(0.1, 0.4), rng.uniform(0.003, 0.008))
    add(f, down_s, pulse, unit(lay + rng.normal(0, 0.3, 3)))
    return instead(f, 0.1, down_s, "park", lay, 0.0, turning(axis, turn))


def _lift(t: Array, height_m: float, start_s: float, end_s: float) -> Array:
    """(n,) vertical acceleration in g of a hand that carries something up."""
    rise = height_m * smooth(t, start_s, end_s)
    return np.asarray(np.gradient(np.gradient(rise, 1 / FINE_HZ), 1 / FINE_HZ) / G0)


def _way(lay: Array) -> tuple[Array, float]:
    """The horizontal axis and the angle by which an upright helmet turns to lie with `lay` upwards."""
    angle = float(np.arccos(np.clip(lay[2], -1, 1)))
    level = np.hypot(lay[0], lay[1])
    axis = np.array([1.0, 0.0, 0.0]) if level < 1e-9 else np.array([lay[1], -lay[0], 0.0]) / level
    return axis, angle
