"""What is not a crash and may look like one, how often it is assumed to happen, and its motion."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.trials import MakeMotion, Situation
from core.model import G0
from simulator import handling, impacts, mishaps
from simulator.impacts import Motion
from simulator.motion import FINE_HZ, Array, Obstacle, Vehicle, turned
from simulator.pulses import SENSOR_FROM_PIVOT_M, add, body_frame, half_sine, instead, smooth, turning, unit

_UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True)
class Confounder:
    """Something that is not a crash, and how often it is assumed to happen."""

    name: str
    per_hour: float
    """Per worn riding hour."""
    situation: Situation
    worn: bool
    motion: MakeMotion


def _plain(motion: Callable[[np.random.Generator], Motion]) -> MakeMotion:
    return lambda rng, _speed, _vehicle: motion(rng)


def _obstacle(kind: Obstacle) -> MakeMotion:
    def made(rng: np.random.Generator, speed_mps: float, vehicle: Vehicle) -> Motion:
        return impacts.rough_spot(rng, speed_mps, vehicle, kind)

    return made


def _doff(rng: np.random.Generator) -> Motion:
    return handling.doff(rng, handling.lying(rng))


def _swing(rng: np.random.Generator) -> Motion:
    """A helmet in the hand or a bag of somebody who walks: it swings by 15 to 40 degrees at half the pace of the steps.

    Each step of 1.5 to 2.5 Hz shakes it by 0.2 to 0.7 g, and it may knock against a leg at 0.2 to 0.6 m/s.
    """
    t = np.arange(int(8.0 * FINE_HZ)) / FINE_HZ
    steps_hz = rng.uniform(1.5, 2.5)
    on = smooth(t, 0, 0.5) * (1 - smooth(t, 7.3, 7.9))
    axis = unit(np.array([rng.normal(0, 0.3), 1.0, 0.0]))
    angle = np.radians(rng.uniform(15, 40)) * np.sin(np.pi * steps_hz * t) * on
    f = turned(axis, angle) - _UP
    shake_g = rng.uniform(0.2, 0.7) * np.sin(2 * np.pi * steps_hz * t + rng.uniform(0, 6)) * on
    f += np.outer(shake_g, unit(np.array([rng.normal(0, 0.3), rng.normal(0, 0.3), 1.0])))
    for at_s in rng.uniform(1.0, 7.0, rng.integers(0, 4)):
        pulse = half_sine(rng.uniform(0.2, 0.6), rng.uniform(0.008, 0.02))
        add(f, float(at_s), pulse, unit(rng.normal(0, 1, 3)))
    return Motion(f, np.ones(len(t)), 0.5, "go_on", omega=turning(axis, angle))


def _kick(rng: np.random.Generator) -> Motion:
    """Somebody kicks the rack that an empty helmet lies on, or handles it: 0.5 to 2.5 m/s over 5 to 20 ms.

    Half of them tip over within half a second and lie 40 to 120 degrees from before.
    """
    t = np.arange(int(4.0 * FINE_HZ)) / FINE_HZ
    tips = rng.random() < 0.5
    axis = impacts.sideways(rng)
    tilt = np.radians(rng.uniform(40, 120)) if tips else 0.0
    angle = tilt * smooth(t, 0.3, 0.8)
    f = body_frame(angle, axis, np.ones(len(t)))
    add(f, 0.3, half_sine(rng.uniform(0.5, 2.5), rng.uniform(0.005, 0.02)), unit(rng.normal(0, 1, 3)))
    up = turned(axis, np.array([tilt]))[0]
    if tips:
        add(
            f,
            0.8,
            half_sine(rng.uniform(0.3, 1.2), rng.uniform(0.002, 0.006)),
            unit(up + rng.normal(0, 0.3, 3)),
        )
    return instead(f, 0.0, 0.3, "park", up, 0.0, turning(axis, angle))


def _shake(rng: np.random.Generator) -> Motion:
    """A sneeze or a shake of the head: two to five swings of 5 to 25 degrees at 2 to 4 Hz, at most 9 rad/s."""
    t = np.arange(int(3.0 * FINE_HZ)) / FINE_HZ
    hz = rng.uniform(2.0, 4.0)
    last_s = 0.3 + rng.integers(2, 6) / hz
    largest = min(np.radians(rng.uniform(5, 25)), 9.0 / (2 * np.pi * hz))
    on = smooth(t, 0.3, 0.3 + 0.5 / hz) * (1 - smooth(t, last_s - 0.5 / hz, last_s))
    angle = largest * np.sin(2 * np.pi * hz * (t - 0.3)) * on
    axis = unit(np.array([0.0, 1.0, 0.0]) if rng.random() < 0.5 else np.array([rng.normal(0, 0.2), 0.2, 1.0]))
    omega = turning(axis, angle)
    return Motion(turned(axis, angle) - _UP + _swung(omega), np.ones(len(t)), 0.3, "go_on", omega=omega)


def _swung(omega: Array) -> Array:
    """(n, 3) g at the sensor of a head that turns about the neck with `omega` (n, 3)."""
    alpha = np.gradient(omega, 1 / FINE_HZ, axis=0)
    around = np.cross(alpha, SENSOR_FROM_PIVOT_M) + np.cross(omega, np.cross(omega, SENSOR_FROM_PIVOT_M))
    return np.asarray(around / G0)


CONFOUNDERS = (
    Confounder("speed bump", 6.0, "ride", True, _obstacle("bump")),
    Confounder("pothole", 4.0, "ride", True, _obstacle("pothole")),
    Confounder("kerb", 2.0, "ride", True, _obstacle("kerb")),
    Confounder("hard braking", 5.0, "ride", True, _plain(mishaps.brake)),
    Confounder("look over the shoulder", 18.0, "ride", True, _plain(mishaps.head_turn)),
    Confounder("sneeze, shake of the head", 2.0, "ride", True, _plain(_shake)),
    Confounder("sitting down, standing up", 4.0, "stand", True, _plain(mishaps.stand_up)),
    Confounder("jump, stairs", 0.5, "walk", True, _plain(mishaps.jump)),
    Confounder("door frame", 0.02, "walk", True, _plain(impacts.door)),
    Confounder("helmet put on a table", 4.0, "park", False, _plain(impacts.table)),
    Confounder("helmet taken off", 4.0, "stand", False, _plain(_doff)),
    Confounder("helmet swung in the hand", 1.0, "walk", False, _plain(_swing)),
    Confounder("empty helmet dropped", 0.03, "park", False, _plain(impacts.drop)),
    Confounder("kick of a rack", 0.01, "park", False, _plain(_kick)),
    Confounder("knocks on the handlebar", 0.6, "ride", False, _plain(mishaps.handlebar)),
    Confounder("washing", 0.001, "park", False, _plain(mishaps.washing)),
)
"""Rates are planning figures of this project, none of them measured: 0.6/h is six knocks an hour in a tenth of it."""
