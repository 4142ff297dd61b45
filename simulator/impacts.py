"""Crashes, knocks and drops as motion of a helmet at 3,200 Hz.

Every pulse is kinematically consistent: speed v, restitution e and contact time T are chosen, and the peak
follows from the change of speed v·(1+e); peak and duration are never chosen apart (`docs/simulator.md`).
"""

import numpy as np

from core.model import G0
from simulator.motion import (
    EBIKE,
    FINE_HZ,
    RIDER,
    Array,
    Carrier,
    Obstacle,
    Vehicle,
    obstacle,
    rotated,
    turned,
)
from simulator.mount import LINER, Mount
from simulator.pulses import (
    SENSOR_FROM_PIVOT_M,
    Motion,
    add,
    between,
    body_frame,
    half_sine,
    haversine,
    instead,
    rest,
    slide,
    smooth,
    turning,
    unit,
)

__all__ = [
    "Motion",
    "add",
    "between",
    "body_frame",
    "half_sine",
    "haversine",
    "instead",
    "rest",
    "smooth",
    "turning",
    "unit",
]


def sideways(rng: np.random.Generator) -> Array:
    """A horizontal axis to fall about: mostly to a side, sometimes over the bars."""
    angle = rng.choice([0.0, np.pi]) + rng.normal(0, 0.6)
    return np.array([np.cos(angle), np.sin(angle), 0.0])


def twist(
    rng: np.random.Generator, f: Array, omega: Array, carried: Array, at_s: float, v_mps: float
) -> None:
    """An oblique strike spins the head: friction turns 0.1 to 0.3 of the speed into rotation about 0.1 m.

    2 to 24 rad/s, as measured on helmeted dummy heads; up within 10 ms, over after 70 ms, and the neck turns the head
    back within 0.3 s. `carried` (n, 3) is gravity as far as the body is supported. The spin turns gravity and the
    other rotation, and the sensor sees its centripetal and its tangential acceleration. Drawn from random numbers of
    its own, so that it changes nothing else.
    """
    own = rng.spawn(1)[0]
    start, back = round(at_s * FINE_HZ), round(0.37 * FINE_HZ)
    t = np.arange(back) / FINE_HZ
    # Smooth where it begins and turns: a corner in the rate would be a step of tangential acceleration.
    shape = np.where(t < 0.01, np.sin(np.pi / 2 * t / 0.01) ** 2, np.cos(np.pi / 2 * (t - 0.01) / 0.06) ** 2)
    spin = np.where(t < 0.07, shape, 0.0) * own.uniform(0.1, 0.3) * v_mps / 0.1
    angle = np.cumsum(spin) / FINE_HZ
    angle -= angle[-1] * smooth(t, 0.07, t[-1])
    spin = np.gradient(angle, 1 / FINE_HZ)
    axis = unit(own.normal(0, 1, 3))
    during = slice(start, start + back)
    before = omega[during]
    after = rotated(axis, -angle, before) + spin[:, None] * axis
    alpha = np.gradient(after - before, 1 / FINE_HZ, axis=0)
    arm = SENSOR_FROM_PIVOT_M
    f[during] += rotated(axis, -angle, carried[during]) - carried[during] + np.cross(alpha, arm) / G0
    f[during] += (_centripetal(after, arm) - _centripetal(before, arm)) / G0
    omega[during] = after


def _centripetal(omega: Array, arm: Array) -> Array:
    return np.asarray(np.cross(omega, np.cross(omega, arm)))


def _strike(
    rng: np.random.Generator, f: Array, at_s: float, up: Array, v_mps: tuple[float, float], mount: Mount
) -> float:
    """A helmeted head on the ground: one main pulse and up to three lesser ones. Returns v."""
    v = float(rng.uniform(*v_mps))
    delta_v, contact_s = v * (1 + rng.uniform(*mount.restitution)), mount.contact * rng.uniform(0.006, 0.014)
    direction = unit(up + rng.normal(0, 0.25, 3))
    add(f, at_s, _rung(rng, half_sine(delta_v, contact_s), mount), direction)
    for _ in range(rng.integers(1, 4)):
        delta_v, contact_s = secondary(rng, v)
        later = at_s + rng.uniform(0.08, 0.9)
        add(f, later, half_sine(delta_v, mount.contact * contact_s), unit(up + rng.normal(0, 0.5, 3)))
    return v


def secondary(rng: np.random.Generator, v_mps: float) -> tuple[float, float]:
    """Change of speed in m/s and contact time in s of a lesser impact after one at `v_mps`: 4 to 30 g in the liner.

    The head comes back with 0.1 to 0.5 of the first speed and touches the ground softer and longer.
    """
    while True:  # peak and duration belong together, so all is drawn again where they do not fit
        delta_v = rng.uniform(0.1, 0.5) * v_mps * (1 + rng.uniform(*LINER.restitution))
        contact_s = rng.uniform(0.006, 0.03)
        if 4 <= np.pi * delta_v / (2 * contact_s * G0) <= 30:
            return delta_v, contact_s


def _rung(rng: np.random.Generator, pulse: Array, mount: Mount) -> Array:
    """A pulse with the shell's ringing at 100 to 400 Hz behind it, where the sensor sits on the shell."""
    if not mount.rings:
        return pulse
    own = rng.spawn(1)[0]
    t = np.arange(round(0.05 * FINE_HZ)) / FINE_HZ
    size = mount.rings * own.uniform(0.5, 1.5) * pulse.max()
    ring = size * np.exp(-t / own.uniform(0.005, 0.012)) * np.sin(2 * np.pi * own.uniform(100, 400) * t)
    return np.asarray(
        np.concatenate([pulse, np.zeros(len(t))]) + np.concatenate([np.zeros(len(pulse)), ring])
    )


def head_strike(rng: np.random.Generator, mount: Mount = LINER) -> Motion:
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
    v = _strike(rng, f, impact_s, turned(axis, angle)[round(impact_s * FINE_HZ)], (2.0, 6.5), mount)
    slide(rng, f, t, impact_s + 0.02)
    stirring = rest(rng, f, t, impact_s + 1.0)
    omega = turning(axis, angle)
    twist(rng, f, omega, support[:, None] * turned(axis, angle), impact_s, v)
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
    slide(rng, f, t, impact_s + 0.05)
    stirring = rest(rng, f, t, impact_s + 1.0)
    up = turned(axis, np.array([tilt]))[0]
    return instead(f, 0.3, impact_s, "lie", up, stirring, turning(axis, angle))


def car_hit(rng: np.random.Generator, mount: Mount = LINER) -> Motion:
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
    tilt = min(np.radians(rng.uniform(50, 135)), 8 * (contact_s + flight_s + 0.1) / 1.875)
    angle = tilt * smooth(t, impact_s, ground_s + 0.1)
    support = 1 - smooth(t, impact_s, impact_s + contact_s) * (1 - smooth(t, ground_s, ground_s + 0.03))
    f = body_frame(angle, axis, support)
    push = rng.uniform(0, 2 * np.pi)
    add(f, impact_s, haversine(delta_v, contact_s), unit(np.array([np.cos(push), np.sin(push), 0.25])))
    v = _strike(rng, f, ground_s, turned(axis, angle)[round(ground_s * FINE_HZ)], (3.5, 8.0), mount)
    slide(rng, f, t, ground_s + 0.02)
    stirring = rest(rng, f, t, ground_s + 1.0)
    omega = turning(axis, angle)
    twist(rng, f, omega, support[:, None] * turned(axis, angle), ground_s, v)
    return instead(f, 0.0, impact_s, "lie", turned(axis, np.array([tilt]))[0], stirring, omega)


def ride_on(rng: np.random.Generator, mount: Mount = LINER) -> Motion:
    """A sign or a branch strikes the helmet of a rider who wobbles, straightens up and rides on."""
    t = np.arange(int(3.0 * FINE_HZ)) / FINE_HZ
    impact_s = 0.3
    axis = sideways(rng)
    angle = np.radians(rng.uniform(15, 30)) * smooth(t, 0.3, 0.5) * (1 - smooth(t, 0.6, 1.6))
    f = body_frame(angle, axis, np.ones(len(t))) - np.array([0.0, 0.0, 1.0])
    delta_v = rng.uniform(3.0, 4.5) * (1 + rng.uniform(*mount.restitution))
    pulse = _rung(rng, half_sine(delta_v, mount.contact * rng.uniform(0.008, 0.014)), mount)
    add(f, impact_s, pulse, unit(np.array([-1.0, rng.normal(0, 0.3), -0.4])))
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


def _knock(
    rng: np.random.Generator,
    f: Array,
    at_s: float,
    v_mps: tuple[float, float],
    contact_s: tuple[float, float],
) -> None:
    delta_v = rng.uniform(*v_mps) * (1 + rng.uniform(0.05, 0.35))
    add(f, at_s, half_sine(delta_v, rng.uniform(*contact_s)), unit(rng.normal(0, 1, 3)))


def door(rng: np.random.Generator) -> Motion:
    """A worn helmet meets a door frame at walking pace."""
    t = np.arange(int(1.5 * FINE_HZ)) / FINE_HZ
    f = np.zeros((len(t), 3))
    _knock(rng, f, 0.3, (0.4, 2.5), (0.003, 0.010))
    return Motion(f, np.ones(len(t)), 0.3, "go_on")


def table(rng: np.random.Generator) -> Motion:
    """An unworn helmet is tilted by 20 to 95 degrees in half a second, put down hard, and lies that way."""
    t = np.arange(int(4.0 * FINE_HZ)) / FINE_HZ
    impact_s = 0.8
    axis, tilt = sideways(rng), np.radians(rng.uniform(20, 95))
    angle = tilt * smooth(t, 0.3, impact_s)
    f = body_frame(angle, axis, np.ones(len(t)))
    _knock(rng, f, impact_s, (0.2, 0.8), (0.002, 0.006))
    up = turned(axis, np.array([tilt]))[0]
    return instead(f, 0.1, impact_s, "park", up, 0.0, turning(axis, angle))


def rough_spot(
    rng: np.random.Generator,
    speed_mps: float,
    vehicle: Vehicle = EBIKE,
    kind: Obstacle | None = None,
    carrier: Carrier = RIDER,
) -> Motion:
    """A speed bump, a pothole or a kerb taken at the given speed."""
    drawn = rng.choice(["bump", "pothole", "kerb"], p=[0.5, 0.35, 0.15])
    kind = kind or drawn
    if kind == "kerb":
        z = obstacle("kerb", rng.uniform(0.05, 0.15), rng.uniform(0.1, 0.2), speed_mps, vehicle, carrier)
    elif kind == "pothole":
        z = obstacle("pothole", rng.uniform(0.03, 0.08), rng.uniform(0.4, 0.8), speed_mps, vehicle, carrier)
    else:
        z = obstacle("bump", rng.uniform(0.03, 0.08), rng.uniform(0.35, 0.7), speed_mps, vehicle, carrier)
    f = np.stack([0.25 * z, rng.normal(0, 0.1) * z, z], 1)
    ends = np.minimum(1, (len(z) - np.arange(len(z))) / 320)
    return Motion(f * ends[:, None], np.ones(len(z)), 0.25, "go_on")
