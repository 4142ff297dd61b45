"""How a helmet moves without a crash: road, obstacles, walking, the head's own motion.

Accelerations are specific force in g in the helmet's frame (x forward, y left, z up). Riding is a linear
chain from the road to the head; the constants are stated in `docs/simulator.md` with their sources.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.model import G0

Array = npt.NDArray[np.float64]

FINE_HZ = 3200
"""Rate at which events are generated: eight times the fastest helmet."""

ROUGHNESS_M3 = {"A": 16e-6, "B": 64e-6, "C": 256e-6, "D": 1024e-6, "E": 4096e-6}
"""Geometric means of ISO 8608's road classes, displacement PSD at 0.1 cycles/m."""

_N0 = 0.1


@dataclass(frozen=True, slots=True)
class Vehicle:
    """The suspension as a resonance, and the length of road that a tyre averages."""

    name: str
    f0_hz: float
    damping: float
    patch_m: float = 0.08


EBIKE = Vehicle("ebike", 5.0, 0.35)
SCOOTER = Vehicle("scooter", 2.5, 0.3)
VEHICLES = (EBIKE, SCOOTER)
KICK_SCOOTER = Vehicle("kick scooter", 9.0, 0.25, 0.04)
"""A stand-up e-scooter with small hard wheels, which recordings were made on; no rider of the fleet has one."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """What is between the vehicle and the helmet: a resonance, and a low-pass."""

    f0_hz: float
    damping: float
    low_pass_hz: float


RIDER = Carrier(5.0, 0.4, 25.0)
"""Seat to head, and neck: the helmet is worn."""
VEHICLE_ITSELF = Carrier(np.inf, 0.4, np.inf)
"""The sensor is screwed to the vehicle, as on the recorded e-scooters."""
CARGO = Carrier(15.0, 0.3, 60.0)
"""Foam of a delivery box, or a strap on the handlebar: nobody wears the helmet (planning figures)."""


def transmissibility(
    f_hz: Array, speed_mps: float, vehicle: Vehicle, carrier: Carrier = RIDER
) -> npt.NDArray[np.complex128]:
    """The helmet's acceleration over the road's: tyre patch, suspension, and who or what carries the helmet."""
    tyre = np.sinc(f_hz * vehicle.patch_m / speed_mps)
    body = _resonance(f_hz, carrier.f0_hz, carrier.damping) / (1 + 1j * f_hz / carrier.low_pass_hz)
    return np.asarray(tyre * _resonance(f_hz, vehicle.f0_hz, vehicle.damping) * body)


def _resonance(f_hz: Array, f0_hz: float, damping: float) -> npt.NDArray[np.complex128]:
    r = f_hz / f0_hz
    return np.asarray((1 + 2j * damping * r) / (1 - r**2 + 2j * damping * r))


def head_psd(
    f_hz: Array, speed_mps: float, roughness_m3: float, vehicle: Vehicle, carrier: Carrier = RIDER
) -> Array:
    """Vertical acceleration of the helmet in g²/Hz on a road of the given roughness (ISO 8608, n⁻²)."""
    road = 16 * np.pi**4 * f_hz**2 * roughness_m3 * _N0**2 * speed_mps
    return np.asarray(road * np.abs(transmissibility(f_hz, speed_mps, vehicle, carrier)) ** 2 / G0**2)


def vibration(rng: np.random.Generator, samples: int, fs_hz: float, psd: Callable[[Array], Array]) -> Array:
    """(samples,) Gaussian noise with the given one-sided PSD; it can be looped."""
    f = np.fft.rfftfreq(samples, 1 / fs_hz).astype(np.float64)
    spectrum = rng.normal(size=(2, len(f)))
    density = np.zeros(len(f))
    density[1:] = psd(f[1:])
    half = np.sqrt(density * fs_hz * samples / 4)
    return np.fft.irfft((spectrum[0] + 1j * spectrum[1]) * half, samples)


Obstacle = Literal["bump", "pothole", "kerb"]


def obstacle(
    kind: Obstacle,
    height_m: float,
    length_m: float,
    speed_mps: float,
    vehicle: Vehicle,
    carrier: Carrier = RIDER,
    *,
    glued: bool = False,
) -> Array:
    """(n,) vertical acceleration of the helmet in g at `FINE_HZ`, from 0.25 s before to 1.5 s after the wheel.

    A bump and a pothole are one wave of a raised cosine; a kerb is a drop over `length_m`. The wheel cannot be pulled
    down, so the helmet does not lose more than 1 g, unless the wheel is `glued` to the road, as a linear study has it.
    """
    n = 8192
    x = (np.arange(n) / FINE_HZ - 0.25) * speed_mps / length_m
    inside = (x >= 0) & (x <= 1)
    wave = np.where(inside, (1 - np.cos(2 * np.pi * x)) / 2, 0.0)
    ramp = np.where(inside, (1 - np.cos(np.pi * x)) / 2, x > 1)
    profile = {"bump": wave, "pothole": -wave, "kerb": -ramp}[kind] * height_m
    road = np.gradient(np.gradient(profile, 1 / FINE_HZ), 1 / FINE_HZ) / G0
    f = np.fft.rfftfreq(n, 1 / FINE_HZ).astype(np.float64)
    spectrum: npt.NDArray[np.complex128] = np.asarray(np.fft.rfft(road), np.complex128)
    head = np.fft.irfft(spectrum * transmissibility(f, speed_mps, vehicle, carrier), n)
    head = head[: int(1.75 * FINE_HZ)]
    return np.asarray(head if glued else np.maximum(head, -1.0))


def walking(rng: np.random.Generator, samples: int, fs_hz: float, step_hz: float = 1.8) -> Array:
    """(samples,) vertical acceleration of a walking person's head in g, about 0.2 g RMS, loopable."""
    steps = max(1, round(samples / fs_hz * step_hz))
    jitter = vibration(rng, samples, fs_hz, lambda f: np.where(f < 0.5, 1.0, 0.0))
    phase = 2 * np.pi * steps * np.arange(samples) / samples + 0.25 * jitter / (jitter.std() + 1e-12)
    wave = np.sin(phase) + 0.35 * np.sin(2 * phase + 0.6) + 0.15 * np.sin(3 * phase + 1.9)
    steps_and_jolts = 0.2 * wave / wave.std() + _heel_strikes(rng, phase, fs_hz)
    return np.asarray(0.2 * steps_and_jolts / steps_and_jolts.std())


def _heel_strikes(rng: np.random.Generator, phase: Array, fs_hz: float) -> Array:
    """(n,) the jolt of each step at the head: some tenths of a g, ringing at 9 Hz, gone within 0.15 s; no two alike."""
    n = len(phase)
    at = np.flatnonzero(np.diff(np.floor(phase / (2 * np.pi))) > 0)
    t = np.arange(round(0.3 * fs_hz)) / fs_hz
    jolt = np.exp(-t / 0.05) * np.sin(2 * np.pi * 9 * t)
    out = np.zeros(n)
    for start, strength in zip(
        at.tolist(), (0.35 * np.exp(rng.normal(0, 0.5, len(at)))).tolist(), strict=True
    ):
        np.add.at(out, (start + np.arange(len(t))) % n, strength * jolt)
    return out


def band(rng: np.random.Generator, samples: int, fs_hz: float, low_hz: float, high_hz: float) -> Array:
    """(samples,) loopable noise of unit RMS between two frequencies: sway, small motion, sliding."""
    x = vibration(rng, samples, fs_hz, lambda f: np.where((f >= low_hz) & (f <= high_hz), 1.0, 0.0))
    return np.asarray(x / (x.std() + 1e-12))


def turned(axis: Array, angle_rad: Array) -> Array:
    """(n, 3) which way is up for a helmet that turned from upright about a fixed unit axis."""
    up = np.array([0.0, 0.0, 1.0])
    c, s = np.cos(-angle_rad)[:, None], np.sin(-angle_rad)[:, None]
    return np.asarray(up * c + np.cross(axis, up) * s + axis * (axis @ up) * (1 - c))


def rotated(axis: Array, angle_rad: Array, v: Array) -> Array:
    """(n, 3) the vectors (n, 3), each turned by its angle (n,) about a fixed unit axis (Rodrigues)."""
    c, s = np.cos(angle_rad)[:, None], np.sin(angle_rad)[:, None]
    return np.asarray(v * c + np.cross(axis, v) * s + axis * (v @ axis)[:, None] * (1 - c))


def rotation(rotvec: Array) -> Array:
    """(3, 3) the rotation by |rotvec| radians about rotvec (Rodrigues)."""
    angle = float(np.linalg.norm(rotvec))
    if angle == 0:
        return np.eye(3)
    x, y, z = rotvec / angle
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k))
