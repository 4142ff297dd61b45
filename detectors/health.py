"""Sensors that lie: what each frame's samples say about the part, for all helmets at once.

The decisions mask a fault exactly, from the samples themselves (`features`, `rules`, `window`); this is the
running account: which helmets have which fault, and how often each began.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors import axes

F32 = npt.NDArray[np.float32]

HEALTH = np.dtype(
    [
        ("stuck_s", "f4", 3),
        ("frozen_s", "f4"),
        ("rail_s", "f4"),
        ("rest_g", "f4"),
        ("quiet_s", "f4"),
        ("spikes", "f4"),
        ("faults", "u2"),
    ]
)
FAULTS = ("frozen", "stuck_axis", "rail", "gain", "units", "spikes", "out_of_range", "drift", "gyro_dead")
"""Bits of `faults`, lowest first."""

_FROZEN_S, STUCK_S, _RAIL_S, _QUIET_S = 1.0, 2.0, 0.25, 60.0
_FROZEN_SAMPLES = 20
OTHER_MOVES_COUNTS = 5.0
_RAIL = 0.98
_QUIET_G = 0.03
_GAIN = (0.93, 1.07)
_UNITS = (8.5, 11.0)
"""At rest 9.8: metres per second squared sent as g."""
_UNITS_S = 3.0
_SPIKES = 3.0
"""Lone samples, forgotten with a time constant of ten minutes."""


class Seen(NamedTuple):
    """What the samples of one frame of each of m helmets look like."""

    mean_g: F32
    std_g: F32
    largest_std_g: F32
    still: npt.NDArray[np.bool_]
    """(m, 3) axes whose samples are all the same."""
    seconds: F32
    samples: int
    full_scale_g: float
    g_per_count: float


def look(acc: npt.NDArray[np.int16], fs_hz: float, full_scale_g: float, g_per_count: float) -> Seen:
    """Means and deviations of (m, n, 3) counts, by one matrix product each: the cheapest way through memory."""
    m, n = acc.shape[:2]
    apart = acc.astype(np.float32)
    # From the first sample on, so that an axis that never moves is exactly zero.
    apart -= acc[:, :1]
    summing = np.tile(np.eye(3, dtype=np.float32), (n, 1))
    mean = (apart.reshape(m, -1) @ summing) / n
    apart *= apart
    square = (apart.reshape(m, -1) @ summing) / n
    std_g = np.sqrt(np.maximum(square - mean * mean, 0)) * np.float32(g_per_count)
    return Seen(
        (mean + acc[:, 0]) * np.float32(g_per_count),
        std_g,
        axes.largest(std_g),
        square == 0,
        np.full(m, n / fs_hz, np.float32),
        n,
        full_scale_g,
        g_per_count,
    )


def step(
    h: npt.NDArray[np.void], seen: Seen, found: dict[str, npt.NDArray[np.bool_]]
) -> npt.NDArray[np.uint16]:
    """Takes a frame of each helmet into its row of `HEALTH`, in place; gives the bits of faults that began.

    `found` holds, for the faults that other modules look for, which helmets have them now.
    """
    s, before = seen.seconds, h["faults"].copy()
    many = seen.samples >= 3
    moves = seen.largest_std_g > OTHER_MOVES_COUNTS * seen.g_per_count
    at_rail = seen.still & (np.abs(seen.mean_g) >= _RAIL * seen.full_scale_g) & many
    stuck = seen.still & moves[:, None] & many & ~at_rail
    h["stuck_s"] = np.where(stuck, h["stuck_s"] + s[:, None], 0)
    frozen = axes.every(seen.still) & many
    h["frozen_s"] = np.where(frozen, h["frozen_s"] + s, 0)
    h["rail_s"] = np.where(axes.some(at_rail), h["rail_s"] + s, 0)
    size = axes.length(seen.mean_g)
    # Everything is ten times as large where the unit is wrong, the shaking too.
    quiet = (seen.largest_std_g < _QUIET_G * np.maximum(size, 1)) & ~frozen & many
    rest = np.where(h["quiet_s"] > 0, h["rest_g"], size)
    share = s / np.minimum(h["quiet_s"] + s, _QUIET_S)
    h["rest_g"] = np.where(quiet, rest + share * (size - rest), rest)
    h["quiet_s"] = np.where(quiet, h["quiet_s"] + s, h["quiet_s"])
    h["spikes"] *= np.exp(-s / 600)
    rest_g, rested = h["rest_g"], h["quiet_s"] >= _QUIET_S
    units = (rest_g > _UNITS[0]) & (rest_g < _UNITS[1]) & (h["quiet_s"] >= _UNITS_S)
    flags = (
        (h["frozen_s"] >= _FROZEN_S) & (h["frozen_s"] * seen.samples / s > _FROZEN_SAMPLES),
        axes.some(h["stuck_s"] >= STUCK_S),
        h["rail_s"] > _RAIL_S,
        rested & ~units & ((rest_g < _GAIN[0]) | (rest_g > _GAIN[1])),
        units,
        h["spikes"] >= _SPIKES,
    )
    bits = before & (1 << FAULTS.index("out_of_range"))
    for k, flag in enumerate(flags):
        bits |= flag.astype(np.uint16) << k
    for name, flag in found.items():
        bits |= flag.astype(np.uint16) << FAULTS.index(name)
    h["faults"] = bits
    return np.asarray(h["faults"] & ~before)


def mark(h: npt.NDArray[np.void], slot: int, fault: str) -> bool:
    """Notes a fault that only a closer look finds; whether it is new. Spikes become one when they have added up."""
    if fault == "spikes":
        h["spikes"][slot] += 1
        return False
    bit = 1 << FAULTS.index(fault)
    new = not h["faults"][slot] & bit
    h["faults"][slot] |= bit
    return new


def named(bits: int) -> list[str]:
    """The names of a helmet's faults."""
    return [name for k, name in enumerate(FAULTS) if bits >> k & 1]


def quarantined(faults: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    """Whether nothing a helmet measures can be believed: its unit is wrong."""
    return np.asarray((faults & (1 << FAULTS.index("units"))) != 0)
