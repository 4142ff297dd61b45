"""Crashes, knocks and drops as motion of a helmet at 3,200 Hz.

Every pulse is kinematically consistent: speed v, restitution e and contact time T are chosen, and the peak
follows from the change of speed v·(1+e); peak and duration are never chosen apart (`docs/simulator.md`).
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from core.model import G0
from simulator.motion import EBIKE, FINE_HZ, Array, Obstacle, Vehicle, band, obstacle, turned

SENSOR_FROM_PIVOT_M = np.array([0.09, 0.0, 0.06])
"""Where the sensor sits from the centre the head turns about: forehead side of the liner."""


@dataclass(frozen=True, slots=True)
class Motion:
    """A piece of motion that replaces or joins what the helmet did before.

    `f` (n, 3) is specific force in g at `FINE_HZ`; `keep` (n,) is how much of the everyday motion (with its
    gravity) goes on below it: 1 where `f` is only added, 0 where `f` is everything.
    """

    f: Array
    keep: Array
    impact_s: float
    """From the first sample to the first impact."""
    then: Literal["go_on", "lie", "park"]
    up: Array = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))
    """(3,) which way is up for the helmet afterwards."""
    stirring_g: float = 0.0
    """RMS of the small motion afterwards."""
    omega: Array | None = None
    """(n, 3) angular rate in rad/s in the helmet's frame, added to everyday motion's; None is none."""


def half_sine(delta_v_mps: float, contact_s: float) -> Array:
    """(n,) a half-sine pulse in g at `FINE_HZ` whose integral is the change of speed."""
    n = max(2, round(contact_s * FINE_HZ))
    shape = np.sin(np.pi * (np.arange(n) + 0.5) / n)
    return np.asarray(shape * delta_v_mps * FINE_HZ / G0 / shape.sum())


def haversine(delta_v_mps: float, contact_s: float) -> Array:
    """(n,) a haversine pulse in g at `FINE_HZ` whose integral is the change of speed."""
    n = max(2, round(contact_s * FINE_HZ))
    shape = np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2
    return np.asarray(shape * delta_v_mps * FINE_HZ / G0 / shape.sum())


def smooth(t: Array, start_s: float, end_s: float) -> Array:
    """0 before, 1 after, with no step in speed or acceleration (minimum jerk)."""
    x = np.clip((t - start_s) / (end_s - start_s), 0, 1)
    return np.asarray(x**3 * (10 - 15 * x + 6 * x**2))


def add(f: Array, at_s: float, pulse: Array, direction: Array) -> None:
    """Adds a pulse (n,) along a direction (3,) to `f`, from `at_s` on, in place."""
    start = round(at_s * FINE_HZ)
    pulse = pulse[: len(f) - start]
    f[start : start + len(pulse)] += pulse[:, None] * direction


def unit(v: Array) -> Array:
    """The vector of length 1 with the same direction."""
    return np.asarray(v / np.linalg.norm(v))


def sideways(rng: np.random.Generator) -> Array:
    """A horizontal axis to fall about: mostly to a side, sometimes over the bars."""
    angle = rng.choice([0.0, np.pi]) + rng.normal(0, 0.6)
    return np.array([np.cos(angle), np.sin(angle), 0.0])


def body_frame(angle: Array, axis: Array, support: Array) -> Array:
    """Gravity as far as the body is supported, and the sensor's centripetal acceleration."""
    omega = np.gradient(angle, 1 / FINE_HZ)
    arm = SENSOR_FROM_PIVOT_M - axis * (axis @ SENSOR_FROM_PIVOT_M)
    return np.asarray(support[:, None] * turned(axis, angle) - (omega**2)[:, None] * arm / G0)


def turning(axis: Array, angle: Array) -> Array:
    """(n, 3) angular rate of a helmet that turns about a fixed axis."""
    return np.asarray(np.gradient(angle, 1 / FINE_HZ)[:, None] * axis)


def _twist(rng: np.random.Generator, omega: Array, at_s: float, v_mps: float) -> None:
    """An oblique strike spins the head: friction turns 0.1 to 0.3 of the speed into rotation about 0.1 m.

    2 to 20 rad/s, as measured on helmeted dummy heads; up within 10 ms, gone within 60 ms. Drawn from random numbers
    of its own, so that it changes nothing else.
    """
    own = rng.spawn(1)[0]
    n = round(0.07 * FINE_HZ)
    t = np.arange(n) / FINE_HZ
    shape = np.where(t < 0.01, np.sin(np.pi / 2 * t / 0.01), np.cos(np.pi / 2 * (t - 0.01) / 0.06))
    add(omega, at_s, shape * own.uniform(0.1, 0.3) * v_mps / 0.1, unit(own.normal(0, 1, 3)))


def rest(rng: np.random.Generator, f: Array, t: Array, from_s: float) -> float:
    """Lying after the crash: still but for breathing (60 %), or stirring. Returns the RMS of it in g."""
    stirring_g = float(rng.uniform(0.01, 0.03) if rng.random() < 0.6 else rng.uniform(0.15, 0.25))
    moving = np.stack([band(rng, len(t), FINE_HZ, 0.2, 4.0) for _ in range(3)], 1) * stirring_g / np.sqrt(3)
    f += moving * smooth(t, from_s, from_s + 0.5)[:, None]
    return stirring_g


def _slide(rng: np.random.Generator, f: Array, t: Array, from_s: float) -> None:
    last_s = rng.uniform(0.2, 1.5)
    shake = np.stack([band(rng, len(t), FINE_HZ, 1.0, 40.0) for _ in range(3)], 1)
    window = smooth(t, from_s, from_s + 0.05) * (1 - smooth(t, from_s + last_s, from_s + last_s + 0.2))
    f += shake * window[:, None] * rng.uniform(0.4, 1.2) / np.sqrt(3)


def between(t: Array, start_s: float, end_s: float, fade_s: float) -> Array:
    """Grows from the start to the end and is gone soon after it."""
    return np.asarray(smooth(t, start_s, end_s) * (1 - smooth(t, end_s, end_s + fade_s)))


def instead(
    f: Array,
    from_s: float,
    impact_s: float,
    then: Literal["lie", "park"],
    up: Array,
    stirring_g: float,
    omega: Array | None = None,
) -> Motion:
    """`f` takes the place of everyday motion from `from_s` until shortly before its own end."""
    t = np.arange(len(f)) / FINE_HZ
    keep = 1 - smooth(t, from_s, from_s + 0.15) + smooth(t, t[-1] - 0.5, t[-1] - 0.1)
    turning = None if omega is None else omega * (1 - keep)[:, None]
    return Motion(f * (1 - keep)[:, None], keep, impact_s, then, up, stirring_g, turning)


def _strike(rng: np.random.Generator, f: Array, at_s: float, up: Array, v_mps: tuple[float, float]) -> float:
    """A helmeted head on the ground, sensor in the liner: one main pulse and up to three lesser ones. Returns v."""
    v = float(rng.uniform(*v_mps))
    delta_v, contact_s = v * (1 + rng.uniform(0.1, 0.35)), rng.uniform(0.006, 0.014)
    direction = unit(up + rng.normal(0, 0.25, 3))
    add(f, at_s, half_sine(delta_v, contact_s), direction)
    for _ in range(rng.integers(1, 4)):
        later = at_s + rng.uniform(0.08, 0.9)
        contact_s = rng.uniform(0.006, 0.03)
        # 4 to 30 g, whatever the contact time: 2·T·g0·A/π is the change of speed that makes A.
        delta_v = rng.uniform(4, min(30.0, 4 + 6 * v)) * 2 * contact_s * G0 / np.pi
        add(f, later, half_sine(delta_v, contact_s), unit(up + rng.normal(0, 0.5, 3)))
    return v


def head_strike(rng: np.random.Generator) -> Motion:
    """The rider topples and the helmeted head strikes the ground at 2 to 6.5 m/s."""
    t = np.arange(int(9.5 * FINE_HZ)) / FINE_HZ
    topple_s = rng.uniform(0.45, 0.9)
    impact_s = 0.3 + topple_s
    axis, tilt = sideways(rng), np.radians(rng.uniform(55, 100))
    angle = tilt * smooth(t, 0.3, impact_s + 0.25)
    # Falling over is not free fall: legs and vehicle carry part of the weight until the ground does.
    support = 1 - rng.uniform(0.2, 0.85) * between(t, 0.3, impact_s, 0.05)
    f = body_frame(angle, axis, support)
    up = turned(axis, np.array([tilt]))[0]
    v = _strike(rng, f, impact_s, turned(axis, angle)[round(impact_s * FINE_HZ)], (2.0, 6.5))
    _slide(rng, f, t, impact_s + 0.02)
    stirring = rest(rng, f, t, impact_s + 1.0)
    omega = turning(axis, angle)
    _twist(rng, omega, impact_s, v)
    return instead(f, 0.3, impact_s, "lie", up, stirring, omega)


def body_fall(rng: np.random.Generator) -> Motion:
    """The rider falls on shoulder or hip; the head is spared: 5 to 14 g over 30 to 90 ms."""
    t = np.arange(int(9.5 * FINE_HZ)) / FINE_HZ
    impact_s = 0.3 + rng.uniform(0.5, 0.9)
    while True:  # peak and duration belong together, so the speed is drawn again where they do not fit
        delta_v = rng.uniform(1.5, 4.5) * (1 + rng.uniform(0, 0.15))
        contact_s = rng.uniform(0.03, 0.09)
        if 5 <= 2 * delta_v / (contact_s * G0) <= 14:
            break
    axis, tilt = sideways(rng), np.radians(rng.uniform(45, 95))
    angle = tilt * smooth(t, 0.3, impact_s + 0.2)
    support = 1 - rng.uniform(0.2, 0.75) * between(t, 0.3, impact_s, 0.05)
    f = body_frame(angle, axis, support)
    direction = unit(turned(axis, angle)[round(impact_s * FINE_HZ)] + rng.normal(0, 0.3, 3))
    add(f, impact_s, haversine(delta_v, contact_s), direction)
    _slide(rng, f, t, impact_s + 0.05)
    stirring = rest(rng, f, t, impact_s + 1.0)
    up = turned(axis, np.array([tilt]))[0]
    return instead(f, 0.3, impact_s, "lie", up, stirring, turning(axis, angle))


def car_hit(rng: np.random.Generator) -> Motion:
    """A car strikes the rider (6 to 20 g), flight and tumble, then the head strikes the ground."""
    t = np.arange(int(10.0 * FINE_HZ)) / FINE_HZ
    impact_s = 0.3
    while True:
        delta_v, contact_s = rng.uniform(3, 9), rng.uniform(0.05, 0.12)
        if 6 <= 2 * delta_v / (contact_s * G0) <= 20:
            break
    flight_s = rng.uniform(0.3, 0.8)
    ground_s = impact_s + contact_s + flight_s
    axis = sideways(rng)
    tilt = min(np.radians(rng.uniform(70, 170)), 8 * (flight_s + 0.2) / 1.875)
    angle = tilt * smooth(t, impact_s, ground_s + 0.1)
    support = 1 - smooth(t, impact_s, impact_s + contact_s) * (1 - smooth(t, ground_s, ground_s + 0.03))
    f = body_frame(angle, axis, support)
    push = rng.uniform(0, 2 * np.pi)
    add(f, impact_s, haversine(delta_v, contact_s), unit(np.array([np.cos(push), np.sin(push), 0.25])))
    v = _strike(rng, f, ground_s, turned(axis, angle)[round(ground_s * FINE_HZ)], (3.5, 8.0))
    _slide(rng, f, t, ground_s + 0.02)
    stirring = rest(rng, f, t, ground_s + 1.0)
    omega = turning(axis, angle)
    _twist(rng, omega, ground_s, v)
    return instead(f, 0.0, impact_s, "lie", turned(axis, np.array([tilt]))[0], stirring, omega)


def ride_on(rng: np.random.Generator) -> Motion:
    """A sign or a branch strikes the helmet of a rider who wobbles, straightens up and rides on."""
    t = np.arange(int(3.0 * FINE_HZ)) / FINE_HZ
    impact_s = 0.3
    axis = sideways(rng)
    angle = np.radians(rng.uniform(15, 30)) * smooth(t, 0.3, 0.5) * (1 - smooth(t, 0.6, 1.6))
    f = body_frame(angle, axis, np.ones(len(t))) - np.array([0.0, 0.0, 1.0])
    delta_v, contact_s = rng.uniform(3.0, 4.5) * (1 + rng.uniform(0.1, 0.35)), rng.uniform(0.008, 0.014)
    add(f, impact_s, half_sine(delta_v, contact_s), unit(np.array([-1.0, rng.normal(0, 0.3), -0.4])))
    return Motion(f, np.ones(len(t)), impact_s, "go_on", omega=turning(axis, angle))


def drop(rng: np.random.Generator, height_m: float | None = None) -> Motion:
    """An empty helmet falls 0.4 to 1.8 m, bounces and comes to rest lying some other way."""
    height_m = float(rng.uniform(0.4, 1.8)) if height_m is None else height_m
    fall_s, v = np.sqrt(2 * height_m / G0), np.sqrt(2 * G0 * height_m)
    e = rng.uniform(0.25, 0.5)
    pulses: list[tuple[float, float, float]] = []  # when, change of speed, contact time
    at_s = 0.3 + fall_s
    while v > 0.25:
        contact_s = rng.uniform(0.0015, 0.006)
        pulses.append((at_s, v * (1 + e), contact_s))
        at_s += contact_s + 2 * e * v / G0
        v *= e
    t = np.arange(int((at_s + 3.0) * FINE_HZ)) / FINE_HZ
    resting = smooth(t, at_s - 0.03, at_s)
    falling = smooth(t, 0.29, 0.3)
    axis = sideways(rng)
    # At 5 rad/s and less the spin adds no more than 0.3 g to the free fall.
    tilt = float(min(rng.uniform(0.6, 2.8), 5 * (at_s - 0.3) / 1.875))
    angle = tilt * smooth(t, 0.3, at_s)
    f = body_frame(angle, axis, np.clip(1 - falling + resting, 0, 1))
    for when, delta_v, contact_s in pulses:
        add(f, when, half_sine(delta_v, contact_s), unit(rng.normal(0, 1, 3)))
    up = turned(axis, np.array([tilt]))[0]
    return instead(f, 0.0, 0.3 + float(fall_s), "park", up, 0.0, turning(axis, angle))


def _knock(rng: np.random.Generator, v_mps: tuple[float, float], contact_s: tuple[float, float]) -> Motion:
    t = np.arange(int(1.5 * FINE_HZ)) / FINE_HZ
    f = np.zeros((len(t), 3))
    delta_v = rng.uniform(*v_mps) * (1 + rng.uniform(0.05, 0.35))
    direction = unit(rng.normal(0, 1, 3))
    add(f, 0.3, half_sine(delta_v, rng.uniform(*contact_s)), direction)
    return Motion(f, np.ones(len(t)), 0.3, "go_on")


def door(rng: np.random.Generator) -> Motion:
    """A worn helmet meets a door frame at walking pace."""
    return _knock(rng, (0.4, 2.2), (0.003, 0.010))


def table(rng: np.random.Generator) -> Motion:
    """An unworn helmet is put down hard."""
    return _knock(rng, (0.2, 0.8), (0.002, 0.006))


def rough_spot(
    rng: np.random.Generator, speed_mps: float, vehicle: Vehicle = EBIKE, kind: Obstacle | None = None
) -> Motion:
    """A speed bump, a pothole or a kerb taken at the given speed."""
    drawn = rng.choice(["bump", "pothole", "kerb"], p=[0.5, 0.35, 0.15])
    kind = kind or drawn
    if kind == "kerb":
        z = obstacle("kerb", rng.uniform(0.05, 0.15), rng.uniform(0.1, 0.2), speed_mps, vehicle)
    elif kind == "pothole":
        z = obstacle("pothole", rng.uniform(0.03, 0.08), rng.uniform(0.4, 0.8), speed_mps, vehicle)
    else:
        z = obstacle("bump", rng.uniform(0.03, 0.08), rng.uniform(0.35, 0.7), speed_mps, vehicle)
    f = np.stack([0.25 * z, rng.normal(0, 0.1) * z, z], 1)
    ends = np.minimum(1, (len(z) - np.arange(len(z))) / 320)
    return Motion(f * ends[:, None], np.ones(len(z)), 0.25, "go_on")
