"""What crashes and knocks are made of: pulses, turns, slides and rest, at 3,200 Hz.

Every pulse is kinematically consistent: its integral is a change of speed, and its peak follows from that and
the contact time (`docs/simulator.md`).
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from core.model import G0
from simulator.motion import FINE_HZ, Array, band, turned

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
    then: Literal["go_on", "lie", "park", "wear"]
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


def body_frame(angle: Array, axis: Array, support: Array) -> Array:
    """Gravity as far as the body is supported, and the sensor's centripetal acceleration."""
    omega = np.gradient(angle, 1 / FINE_HZ)
    arm = SENSOR_FROM_PIVOT_M - axis * (axis @ SENSOR_FROM_PIVOT_M)
    return np.asarray(support[:, None] * turned(axis, angle) - (omega**2)[:, None] * arm / G0)


def turning(axis: Array, angle: Array) -> Array:
    """(n, 3) angular rate of a helmet that turns about a fixed axis."""
    return np.asarray(np.gradient(angle, 1 / FINE_HZ)[:, None] * axis)


def rest(rng: np.random.Generator, f: Array, t: Array, from_s: float) -> float:
    """Lying after the crash: still but for breathing (60 %), or stirring. Returns the RMS of it in g."""
    stirring_g = float(rng.uniform(0.01, 0.03) if rng.random() < 0.6 else rng.uniform(0.15, 0.25))
    moving = np.stack([band(rng, len(t), FINE_HZ, 0.2, 4.0) for _ in range(3)], 1) * stirring_g / np.sqrt(3)
    f += moving * smooth(t, from_s, from_s + 0.5)[:, None]
    return stirring_g


def slide(rng: np.random.Generator, f: Array, t: Array, from_s: float) -> None:
    """Adds 0.2 to 1.5 s of sliding over the ground from `from_s` on, in place: 0.4 to 1.2 g RMS below 40 Hz."""
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
    then: Literal["lie", "park", "wear"],
    up: Array,
    stirring_g: float,
    omega: Array | None = None,
) -> Motion:
    """`f` takes the place of everyday motion from `from_s` until shortly before its own end."""
    t = np.arange(len(f)) / FINE_HZ
    keep = 1 - smooth(t, from_s, from_s + 0.15) + smooth(t, t[-1] - 0.5, t[-1] - 0.1)
    turning = None if omega is None else omega * (1 - keep)[:, None]
    return Motion(f * (1 - keep)[:, None], keep, impact_s, then, up, stirring_g, turning)
