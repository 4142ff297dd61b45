"""Everyday motion of many helmets at once, cheaply: loops of noise are made once and read at random places.

Each helmet reads the loops from its own offsets, at its own speed, on its own road and through its own
mounting, so no two are alike, and a second of two thousand helmets costs some twenty milliseconds.
"""

from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from core.model import G0
from simulator.motion import (
    CARGO,
    FINE_HZ,
    RIDER,
    ROUGHNESS_M3,
    VEHICLES,
    Array,
    Carrier,
    Vehicle,
    band,
    head_psd,
    obstacle,
    vibration,
    walking,
)

LOOP_S = 160
SPEED_STEP_MPS = 1.5
_STEPS = 10

STATE = np.dtype(
    [
        ("offset", "<i8"),
        ("vehicle", "<i8"),
        ("rough", "<f8"),
        ("up", "<f8", 3),
        ("sway", "<f8"),
        ("stir_g", "<f8"),
        ("walk", "<f8"),
        ("leg_s", "<f8"),
        ("leg_end_s", "<f8"),
        ("v_in", "<f8"),
        ("v_cruise", "<f8"),
        ("v_out", "<f8"),
        ("speed_up", "<f8"),
        ("slow_down", "<f8"),
        ("halt_s", "<f8"),
        ("halt_v", "<f8"),
        ("halt_down", "<f8"),
        ("x_m", "<f8"),
        ("y_m", "<f8"),
        ("east", "<f8"),
        ("north", "<f8"),
        ("went_m", "<f8"),
        ("carried", "<i8"),
        ("rattle", "<f8"),
    ]
)
"""What a helmet is doing: loop offset, vehicle, road (1 is class B), which way is up, amplitudes of sway (rad),
small motion (g RMS) and steps; its speed, from `v_in` at `leg_s` over `v_cruise` to `v_out` at `leg_end_s`,
in m/s and m/s², braking to a stand with `halt_down` from `halt_s` on; where it is: `went_m` from a place in metres
east and north of the city's middle; how it is carried (`HEAD`, `HANDLEBAR` or `BOX`); and how much a sensor on the
shell rattles, as a share of the shaking."""

HEAD, HANDLEBAR, BOX = 0, 1, 2
PENDULUM_SHOWS = 0.3
"""A helmet that swings by its strap turns further than gravity shows: at the end of a thread it would show nothing;
of a body whose sensor sits at 0.7 of the length that its swinging is as fast as, 0.3 of the angle."""


class Loops:
    """The loops of one sample rate."""

    def __init__(self, rate_hz: int) -> None:
        rng = np.random.default_rng(20240 + rate_hz)
        self.samples = n = LOOP_S * rate_hz
        # Real roads come in patches: a slow modulation gives the peaks that pure Gaussian noise lacks.
        patches = np.exp(0.5 * band(rng, n, rate_hz, 0.02, 0.5))
        patches /= np.sqrt(np.mean(patches**2))
        self._rate_hz, self._patches, self._seed = rate_hz, patches, int(rng.integers(2**31))
        self.ride = self._rides(RIDER)
        self.sway = band(rng, n, rate_hz, 0.05, 0.8).astype(np.float32)
        self.stir = band(rng, n, rate_hz, 0.3, 8.0).astype(np.float32)
        self.walk = walking(rng, n, rate_hz).astype(np.float32)
        self.noise = rng.normal(size=n).astype(np.float32)
        # How fast the head sways and nods: what a gyroscope sees of everyday life.
        self.sway_rate = (np.gradient(self.sway) * rate_hz).astype(np.float32)
        self.nod = band(rng, n, rate_hz, 1.0, 8.0).astype(np.float32)

    @cached_property
    def cargo(self) -> npt.NDArray[np.float32]:
        """The rides of a worn helmet, then those of one that is carried along."""
        return np.concatenate([self.ride, self._rides(CARGO)])

    @cached_property
    def swing(self) -> npt.NDArray[np.float32]:
        """Unit noise as a pendulum of 6 to 40 cm swings."""
        rng = np.random.default_rng((self._seed, 1))
        return band(rng, self.samples, self._rate_hz, 0.8, 2.0).astype(np.float32)

    @cached_property
    def swing_rate(self) -> npt.NDArray[np.float32]:
        """How fast it swings."""
        return (np.gradient(self.swing) * self._rate_hz).astype(np.float32)

    @cached_property
    def rattle(self) -> npt.NDArray[np.float32]:
        """Unit noise above 30 Hz, none where the rate cannot hold it."""
        rng = np.random.default_rng((self._seed, 2))
        return band(rng, self.samples, self._rate_hz, 30.0, 0.45 * self._rate_hz).astype(np.float32)

    def _rides(self, carrier: Carrier) -> npt.NDArray[np.float32]:
        """Vertical shaking on a class-B road by vehicle and speed, one loop after the other."""
        n, rate_hz = self.samples, self._rate_hz
        ride = np.zeros((len(VEHICLES), _STEPS + 1, n), np.float32)
        for v, vehicle in enumerate(VEHICLES):
            for step in range(1, _STEPS + 1):
                speed = step * SPEED_STEP_MPS

                def psd(f: Array, speed: float = speed, vehicle: Vehicle = vehicle) -> Array:
                    return head_psd(f, speed, ROUGHNESS_M3["B"], vehicle, carrier)

                # The same seed at every speed, so that a change of speed blends without a seam.
                own = np.random.default_rng(self._seed)
                ride[v, step] = vibration(own, n, rate_hz, psd) * self._patches + joints(
                    own, n, rate_hz, speed, vehicle, carrier
                )
        return ride.ravel()


def joints(
    rng: np.random.Generator, n: int, rate_hz: int, speed_mps: float, vehicle: Vehicle, carrier: Carrier
) -> Array:
    """(n,) expansion joints, manhole covers and edges of patches: short bumps and dips of some millimetres.

    Ten a minute, height exponential with a mean of 6 mm, 25 mm at most: the sharp, rare part of a road that
    the noise of ISO 8608 has not. Times and heights are the same at every speed.
    """
    at = rng.integers(0, n, round(10 * n / rate_hz / 60))
    heights = np.minimum(rng.exponential(0.006, len(at)), 0.025) * rng.choice([-1.0, 1.0], len(at))
    metre = obstacle("bump", 0.01, 0.3, speed_mps, vehicle, carrier) / 0.01
    stride = FINE_HZ // rate_hz
    whole = len(metre) // stride * stride
    # The mean over each sample's time is all the low-pass that a motion below 30 Hz needs.
    seen = metre[:whole].reshape(-1, stride).mean(1)
    out = np.zeros(n)
    for start, height in zip(at.tolist(), heights.tolist(), strict=True):
        np.add.at(out, (start + np.arange(len(seen))) % n, height * seen)
    return out


@lru_cache
def loops(rate_hz: int) -> Loops:
    """The loops of a rate; made once in a process, the same in every process."""
    return Loops(rate_hz)


def speed(state: npt.NDArray[np.void], t_s: Array) -> Array:
    """(m, n) speed in m/s of m helmets at times (m, n)."""
    s = {name: state[name][:, None] for name in ("leg_s", "leg_end_s", "v_in", "v_cruise", "v_out")}
    up = s["v_in"] + state["speed_up"][:, None] * (t_s - s["leg_s"])
    down = s["v_out"] + state["slow_down"][:, None] * np.maximum(0, s["leg_end_s"] - t_s)
    v = np.maximum(0, np.minimum(np.minimum(up, down), s["v_cruise"]))
    halted = t_s - state["halt_s"][:, None]
    braking = np.maximum(0, state["halt_v"][:, None] - state["halt_down"][:, None] * np.maximum(0, halted))
    return np.asarray(np.where(halted > 0, np.minimum(v, braking), v))


def everyday(
    rate_hz: int, state: npt.NDArray[np.void], first: npt.NDArray[np.int64], n: int
) -> tuple[npt.NDArray[np.float32], Array]:
    """Specific force (m, n, 3) in g in the helmet's frame and speed (m, n) in m/s.

    Sample numbers `first` (m,) and on; the same samples come out whatever they are asked together with.
    """
    made = loops(rate_hz)
    index = first[:, None] + np.arange(n)
    # One sample more, so that the acceleration at the first sample is known.
    v = speed(state, (first[:, None] + np.arange(-1, n)) / rate_hz)
    pull = np.diff(v, axis=1) * rate_hz / G0
    v = v[:, 1:]
    place = state["offset"][:, None] + index

    def read(loop: npt.NDArray[np.float32], shift: int) -> npt.NDArray[np.float32]:
        return np.asarray(loop[(place + shift) % made.samples])

    unworn = state["carried"] > HEAD
    ride = made.cargo if unworn.any() else made.ride
    # Who walks is not shaken by the road.
    step = np.minimum(np.where(state["walk"][:, None] > 0, 0, v) / SPEED_STEP_MPS, _STEPS - 1e-6)
    low = step.astype(np.int64)
    share = (step - low).astype(np.float32)
    way = state["vehicle"] + len(VEHICLES) * unworn
    row = (way[:, None] * (_STEPS + 1) + low) * made.samples
    where = place % made.samples
    vertical = (1 - share) * ride[row + where] + share * ride[row + made.samples + where]
    f = np.empty((*index.shape, 3), np.float32)
    stir = state["stir_g"][:, None].astype(np.float32) / np.float32(np.sqrt(3))
    third = made.samples // 3
    # Fore and aft and sideways the head shakes about a third of a class-B road's vertical.
    side_row = row + np.where(share > 0.5, made.samples, 0)
    f[..., 0] = 0.35 * ride[side_row + (place + third) % made.samples] + pull
    f[..., 1] = 0.35 * ride[side_row + (place + 2 * third) % made.samples]
    # A wheel cannot be pulled down.
    f[..., 2] = np.maximum(state["rough"][:, None] * vertical, -1) + state["walk"][:, None] * read(
        made.walk, 0
    )
    f += stir[..., None] * np.stack([read(made.stir, k * third) for k in range(3)], -1)
    pitch, roll = read(made.sway, 0), read(made.sway, third)
    if unworn.any():
        pitch = np.where(unworn[:, None], read(made.swing, 0), pitch)
        roll = np.where(unworn[:, None], read(made.swing, third), roll)
    if state["rattle"].any():
        loose = state["rattle"][:, None] * np.abs(vertical)
        f += loose[..., None] * np.stack([read(made.rattle, k * third) for k in range(3)], -1)
    f += _gravity(state, pitch, roll)
    return f, v


def everyday_gyro(
    rate_hz: int,
    state: npt.NDArray[np.void],
    first: npt.NDArray[np.int64],
    n: int,
    f_z: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Angular rate (m, n, 3) in rad/s of the same samples: sway, and nodding that grows with the shaking.

    `f_z` (m, n) is the vertical specific force in g. 0.5 rad/s for each g of vertical RMS is a planning figure.
    """
    made = loops(rate_hz)
    place = state["offset"][:, None] + first[:, None] + np.arange(n)
    third = made.samples // 3

    def read(loop: npt.NDArray[np.float32], shift: int) -> npt.NDArray[np.float32]:
        return np.asarray(loop[(place + shift) % made.samples])

    sway = state["sway"][:, None].astype(np.float32)
    nod = (0.5 * f_z.std(1) + state["stir_g"])[:, None].astype(np.float32)
    out = np.empty((*place.shape, 3), np.float32)
    roll, pitch = read(made.sway_rate, third), read(made.sway_rate, 0)
    unworn = (state["carried"] > HEAD)[:, None]
    if unworn.any():
        turns = np.where(state["carried"] == HANDLEBAR, 1 / PENDULUM_SHOWS, 1.0)[:, None].astype(np.float32)
        roll = np.where(unworn, turns * read(made.swing_rate, third), roll)
        pitch = np.where(unworn, turns * read(made.swing_rate, 0), pitch)
    # Gravity moves by -omega x up: nodding about y carries x, rolling about x carries y.
    out[..., 0] = sway * roll + 0.4 * nod * read(made.nod, third)
    out[..., 1] = -sway * pitch + nod * read(made.nod, 0)
    out[..., 2] = sway * read(made.sway_rate, 2 * third) + 0.4 * nod * read(made.nod, 2 * third)
    return out


def _gravity(
    state: npt.NDArray[np.void], pitch: npt.NDArray[np.float32], roll: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """(m, n, 3) which way is up, swaying a little."""
    sway = state["sway"][:, None]
    p, r = sway * pitch, sway * roll
    up = state["up"][:, None, :]
    g = np.stack(
        [
            up[..., 0] + p * up[..., 2],
            up[..., 1] + r * up[..., 2],
            up[..., 2] - p * up[..., 0] - r * up[..., 1],
        ],
        -1,
    )
    return np.asarray(g / np.linalg.norm(g, axis=-1, keepdims=True), np.float32)
