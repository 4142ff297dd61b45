"""Sliding away on one side, knocks, washing, braking, turning the head, standing up; and every motion by name."""

from collections.abc import Callable

import numpy as np

from core.model import G0
from simulator import impacts
from simulator.motion import FINE_HZ, Array, band, turned
from simulator.mount import Mount
from simulator.pulses import SENSOR_FROM_PIVOT_M, Motion, add, between, rest, smooth, turning, unit


def low_side(rng: np.random.Generator) -> Motion:
    """The wheels slide away to one side; the shoulder lands from 0.5 to 1 m, then rider and helmet slide.

    The shoulder falls with v = sqrt(2gh) less what the arms take (30 to 90 ms, 5 to 14 g); the slide lasts v/(mu g)
    from 5 to 9 m/s with mu 0.5 to 0.8, and the head may touch the ground lightly (0.5 to 1.5 m/s).
    """
    t = np.arange(int(9.5 * FINE_HZ)) / FINE_HZ
    lean_s = rng.uniform(0.3, 0.55)
    impact_s = 0.3 + lean_s
    while True:  # peak and duration belong together, so the speed is drawn again where they do not fit
        v = np.sqrt(2 * G0 * rng.uniform(0.5, 1.0)) * rng.uniform(0.5, 0.9)
        delta_v, contact_s = v * (1 + rng.uniform(0, 0.15)), rng.uniform(0.03, 0.09)
        if 5 <= 2 * delta_v / (contact_s * G0) <= 14:
            break
    side = float(rng.choice([-1.0, 1.0]))
    axis = unit(np.array([side, rng.normal(0, 0.15), 0.0]))
    tilt = np.radians(rng.uniform(65, 95))
    angle = tilt * smooth(t, 0.3, impact_s + 0.1)
    support = 1 - rng.uniform(0.4, 0.85) * between(t, 0.3, impact_s, 0.04)
    f = impacts.body_frame(angle, axis, support)
    up_now = turned(axis, angle)[round(impact_s * FINE_HZ)]
    add(f, impact_s, impacts.haversine(delta_v, contact_s), unit(up_now + rng.normal(0, 0.25, 3)))
    if rng.random() < 0.5:
        touch_s = impact_s + rng.uniform(0.03, 0.12)
        add(f, touch_s, impacts.half_sine(rng.uniform(0.5, 1.5), rng.uniform(0.006, 0.014)), up_now)
    friction = rng.uniform(0.5, 0.8)
    last_s = rng.uniform(5, 9) / (friction * G0)
    sliding = smooth(t, impact_s, impact_s + 0.05) * (
        1 - smooth(t, impact_s + last_s, impact_s + last_s + 0.2)
    )
    shake = np.stack([band(rng, len(t), FINE_HZ, 1.0, 40.0) for _ in range(3)], 1)
    f += sliding[:, None] * (shake * rng.uniform(0.4, 1.0) / np.sqrt(3) + [-friction, 0.0, 0.0])
    stirring = rest(rng, f, t, impact_s + last_s)
    up = turned(axis, np.array([tilt]))[0]
    return impacts.instead(f, 0.3, impact_s, "lie", up, stirring, turning(axis, angle))


def handlebar(rng: np.random.Generator) -> Motion:
    """A helmet that hangs on the handlebar swings against the stem: one to three knocks of 0.2 to 0.6 m/s."""
    t = np.arange(int(2.0 * FINE_HZ)) / FINE_HZ
    f = np.zeros((len(t), 3))
    for k in range(rng.integers(1, 4)):
        delta_v = rng.uniform(0.2, 0.6) * (1 + rng.uniform(0.2, 0.5))
        add(
            f, 0.3 + 0.3 * k, impacts.half_sine(delta_v, rng.uniform(0.003, 0.007)), unit(rng.normal(0, 1, 3))
        )
    swing = (
        np.radians(rng.uniform(5, 15))
        * np.sin(2 * np.pi * 1.6 * t)
        * smooth(t, 0, 0.4)
        * (1 - smooth(t, 1.2, 1.9))
    )
    axis = np.array([0.0, 1.0, 0.0])
    f += turned(axis, swing) - [0.0, 0.0, 1.0]
    return Motion(f, np.ones(len(t)), 0.3, "go_on", omega=turning(axis, swing))


def washing(rng: np.random.Generator) -> Motion:
    """An unworn helmet is scrubbed in a basin for 15 s: turned over slowly, rubbed, knocked now and then."""
    t = np.arange(int(16.0 * FINE_HZ)) / FINE_HZ
    axis = unit(rng.normal(0, 1, 3) * [1, 1, 0.2])
    angle = np.radians(rng.uniform(90, 170)) * smooth(t, 0.3, 5) * (1 - smooth(t, 9, 14))
    f = impacts.body_frame(angle, axis, np.ones(len(t)))
    rub = np.stack([band(rng, len(t), FINE_HZ, 1.5, 12.0) for _ in range(3)], 1) * rng.uniform(0.2, 0.5)
    f += rub * (smooth(t, 0.5, 1.5) * (1 - smooth(t, 13, 14.5)))[:, None]
    for at_s in rng.uniform(1.5, 13.5, rng.integers(3, 9)):
        pulse = impacts.half_sine(rng.uniform(0.1, 0.6), rng.uniform(0.003, 0.012))
        add(f, float(at_s), pulse, unit(rng.normal(0, 1, 3)))
    return impacts.instead(f, 0.2, 1.0, "park", np.array([0.0, 0.0, 1.0]), 0.0, turning(axis, angle))


def brake(rng: np.random.Generator) -> Motion:
    """The nod of an emergency stop: 10 to 20 degrees forward and back; the deceleration comes with the speed."""
    t = np.arange(int(3.0 * FINE_HZ)) / FINE_HZ
    axis = np.array([0.0, 1.0, 0.0])
    angle = np.radians(rng.uniform(10, 20)) * smooth(t, 0.3, 0.55) * (1 - smooth(t, 1.5, 2.3))
    f = impacts.body_frame(angle, axis, np.ones(len(t))) - [0.0, 0.0, 1.0]
    return Motion(f, np.ones(len(t)), 0.3, "go_on", omega=turning(axis, angle))


def head_turn(rng: np.random.Generator) -> Motion:
    """A look over the shoulder: 30 to 70 degrees in 0.3 to 0.6 s, and back."""
    t = np.arange(int(3.0 * FINE_HZ)) / FINE_HZ
    takes_s, side = rng.uniform(0.3, 0.6), rng.choice([-1.0, 1.0])
    yaw = (
        side
        * np.radians(rng.uniform(30, 70))
        * (smooth(t, 0.3, 0.3 + takes_s) - smooth(t, 1.5, 1.5 + takes_s))
    )
    omega = turning(np.array([0.0, 0.0, 1.0]), yaw)
    return Motion(_swung(omega), np.ones(len(t)), 0.3, "go_on", omega=omega)


def stand_up(rng: np.random.Generator) -> Motion:
    """A rider gets up from a low stool, fast: leans 30 to 45 degrees forward, pushes off, straightens.

    The head rises 0.4 to 0.5 m in 0.7 to 1.1 s (minimum jerk), which makes 0.3 to 0.6 g.
    """
    t = np.arange(int(4.0 * FINE_HZ)) / FINE_HZ
    rise_s = rng.uniform(0.7, 1.1)
    angle = np.radians(rng.uniform(30, 45)) * smooth(t, 0.3, 0.9) * (1 - smooth(t, 0.9, 0.9 + rise_s))
    axis = np.array([0.0, 1.0, 0.0])
    height = rng.uniform(0.4, 0.5) * smooth(t, 0.8, 0.8 + rise_s)
    push = np.gradient(np.gradient(height, 1 / FINE_HZ), 1 / FINE_HZ) / G0
    f = impacts.body_frame(angle, axis, 1 + push) - [0.0, 0.0, 1.0]
    return Motion(f, np.ones(len(t)), 0.3, "go_on", omega=turning(axis, angle))


def jump(rng: np.random.Generator) -> Motion:
    """Rider and bike leave the ground at a kerb or a ramp and land: 0.22 to 0.35 s of flight, then 3 to 9 g.

    They fall from h = g (T/2)²/2 and meet the ground with the v of it and up to 1 m/s more that legs and arms add by
    stretching; tyres and knees take 55 to 130 ms (haversine), and half a metre a second of it comes back.
    """
    t = np.arange(int(2.5 * FINE_HZ)) / FINE_HZ
    flight_s = rng.uniform(0.22, 0.35)
    land_s = 0.45 + flight_s
    push_s = 0.12
    f = np.zeros((len(t), 3))
    # The ramp gives the speed that the flight takes away again: g T/2 upwards before, the same downwards after.
    add(f, 0.45 - push_s, impacts.haversine(G0 * flight_s / 2, push_s), np.array([0.0, 0.0, 1.0]))
    f[:, 2] -= smooth(t, 0.45, 0.47) * (1 - smooth(t, land_s, land_s + 0.02))
    while (
        True
    ):  # peak and duration belong together, so both are drawn again where no head was ever measured so high
        delta_v = G0 * flight_s / 2 + rng.uniform(0.0, 1.0) + 0.5 * rng.random()
        contact_s = rng.uniform(0.055, 0.13)
        if 2 * delta_v / (contact_s * G0) <= 8.5:
            break
    add(f, land_s, impacts.haversine(delta_v, contact_s), unit(np.array([rng.normal(-0.15, 0.1), 0.0, 1.0])))
    nod = (
        np.radians(rng.uniform(5, 12)) * smooth(t, land_s, land_s + 0.15) * (1 - smooth(t, land_s + 0.2, 2.3))
    )
    axis = np.array([0.0, 1.0, 0.0])
    f += turned(axis, nod) - [0.0, 0.0, 1.0]
    return Motion(f, np.ones(len(t)), land_s, "go_on", omega=turning(axis, nod))


def _swung(omega: Array) -> Array:
    """(n, 3) g at the sensor of a head that turns about its centre."""
    alpha = np.gradient(omega, 1 / FINE_HZ, axis=0)
    arm = SENSOR_FROM_PIVOT_M
    return np.asarray((np.cross(alpha, arm) + np.cross(omega, np.cross(omega, arm))) / G0)


ON_THE_HEAD: dict[str, Callable[[np.random.Generator, Mount], Motion]] = {
    "head_strike": impacts.head_strike,
    "car_hit": impacts.car_hit,
    "ride_on": impacts.ride_on,
}
"""What strikes a worn helmet so hard that it matters where the sensor sits."""

KINDS: dict[str, Callable[[np.random.Generator], Motion]] = {
    "head_strike": impacts.head_strike,
    "fall": impacts.body_fall,
    "low_side": low_side,
    "car_hit": impacts.car_hit,
    "ride_on": impacts.ride_on,
    "drop": impacts.drop,
    "door": impacts.door,
    "table": impacts.table,
    "handlebar": handlebar,
    "washing": washing,
    "brake": brake,
    "head_turn": head_turn,
    "stand_up": stand_up,
    "jump": jump,
}
"""What can befall a helmet, by name; bumps, potholes and kerbs need a speed and are `impacts.rough_spot`."""
