"""A city to ride in: a grid of streets, traffic lights that all riders share, streets without network.

Addresses are corners. Distances are metres east and north of the city's middle. Lights and holes belong to the
city, not to a run: they are the same for every seed, so that two riders at one crossing wait for the same green.
"""

import zlib

import numpy as np

Crossing = tuple[int, int]
Heading = tuple[int, int]

BLOCK_EAST_M, BLOCK_NORTH_M = 240.0, 180.0
BLOCKS = 16
"""Crossings are numbered from minus this to this, both ways."""
_WITHOUT_NETWORK = 0.04
"""Share of streets (one block long) where a helmet has no network: under bridges, between towers (planning figure)."""
_WITH_LIGHTS = 0.45
_RED = 0.55
_CYCLE_S = (60.0, 110.0)


def place(crossing: Crossing) -> tuple[float, float]:
    """Metres east and north of the middle."""
    return crossing[0] * BLOCK_EAST_M, crossing[1] * BLOCK_NORTH_M


def off_street_m(east_m: float, north_m: float) -> float:
    """Distance to the nearest street's middle line."""
    east = abs(east_m - BLOCK_EAST_M * round(east_m / BLOCK_EAST_M))
    north = abs(north_m - BLOCK_NORTH_M * round(north_m / BLOCK_NORTH_M))
    return min(east, north)


def red_s(crossing: Crossing, heading: Heading, t_s: float) -> float:
    """How long a crossing's light stays red for who comes along `heading`; 0 where it is green or there is none."""
    if _draw("light", *crossing) >= _WITH_LIGHTS:
        return 0.0
    cycle_s = _CYCLE_S[0] + (_CYCLE_S[1] - _CYCLE_S[0]) * _draw("cycle", *crossing)
    # Who crosses waits while the others go.
    phase = (t_s / cycle_s + _draw("phase", *crossing) + (0.5 if heading[0] else 0.0)) % 1.0
    return (_RED - phase) * cycle_s if phase < _RED else 0.0


def covered(a: Crossing, b: Crossing) -> bool:
    """Whether the street between two neighbouring crossings has network."""
    return _draw("hole", *min(a, b), *max(a, b)) >= _WITHOUT_NETWORK


def wander(rng: np.random.Generator, crossing: Crossing, ahead: Heading) -> Heading:
    """Straight on, or left, or right; never back, and back towards the middle at the edge of the city."""
    choices = [ahead, ahead, (-ahead[1], ahead[0]), (ahead[1], -ahead[0])]
    chosen = choices[int(rng.integers(4))]
    for axis in (0, 1):
        if abs(crossing[axis] + chosen[axis]) > BLOCKS:
            inwards = -1 if crossing[axis] > 0 else 1
            return (inwards, 0) if axis == 0 else (0, inwards)
    return chosen


def towards(crossing: Crossing, goal: Crossing, ahead: Heading) -> Heading:
    """The next block of a shortest way: straight on as long as that brings one nearer. `goal` is another crossing."""
    east, north = goal[0] - crossing[0], goal[1] - crossing[1]
    ways: list[Heading] = []
    if east:
        ways.append((1 if east > 0 else -1, 0))
    if north:
        ways.append((0, 1 if north > 0 else -1))
    return ahead if ahead in ways else ways[0]


def near(rng: np.random.Generator, crossing: Crossing, blocks: int) -> Crossing:
    """A corner that many blocks away (1 … `BLOCKS`), never the same."""
    east = int(rng.integers(0, blocks + 1)) * int(rng.choice([-1, 1]))
    north = (blocks - abs(east)) * int(rng.choice([-1, 1]))
    # Who would leave the city goes the other way instead.
    goal = [c + d if abs(c + d) <= BLOCKS else c - d for c, d in zip(crossing, (east, north), strict=True)]
    return goal[0], goal[1]


def _draw(what: str, *numbers: int) -> float:
    """A number in 0…1 that belongs to a thing of the city."""
    return zlib.crc32(f"{what}{numbers}".encode()) / 2**32
