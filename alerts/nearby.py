"""Who is near: riders with first-aid training, rider stations and AEDs, ranked by distance."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

EARTH_M = 6_371_008.8
"""Mean radius R1 of the Earth (IUGG)."""

WITHIN_M = 5000.0
MOST = 10


@dataclass(frozen=True, slots=True)
class Helper:
    """Somebody or something that can help."""

    id: str
    """`rider:HELMET`, `station:…`, `aed:…`."""
    kind: str
    name: str
    phone: str
    note: str
    lat_deg: float
    lon_deg: float
    age_s: float | None
    """How old the position is; None for what does not move."""


@dataclass(frozen=True, slots=True)
class Near:
    """A helper and how far away they are, as the crow flies."""

    helper: Helper
    distance_m: float


_WINDS = (
    ("北", "north"),
    ("东北", "north-east"),
    ("东", "east"),
    ("东南", "south-east"),
    ("南", "south"),
    ("西南", "south-west"),
    ("西", "west"),
    ("西北", "north-west"),
)


def distance_m(from_deg: tuple[float, float], to_deg: tuple[float, float]) -> float:
    """How far a place is from another (latitude, longitude), as the crow flies."""
    a, b = _points(np.array([from_deg, to_deg]))
    return float(2 * EARTH_M * np.arcsin(np.clip(np.linalg.norm(a - b) / 2, 0, 1)))


def direction(from_deg: tuple[float, float], to_deg: tuple[float, float]) -> tuple[str, str]:
    """In which of eight directions a place lies from another (latitude, longitude), in Chinese and English."""
    lat, to_lat = math.radians(from_deg[0]), math.radians(to_deg[0])
    east = math.radians(to_deg[1] - from_deg[1])
    # Initial bearing of the great circle.
    y = math.sin(east) * math.cos(to_lat)
    x = math.cos(lat) * math.sin(to_lat) - math.sin(lat) * math.cos(to_lat) * math.cos(east)
    return _WINDS[round(math.degrees(math.atan2(y, x)) / 45) % 8]


def nearby(lat_deg: float, lon_deg: float, helpers: Sequence[Helper]) -> list[Near]:
    """At most `MOST` helpers of each kind within `WITHIN_M`, nearest first.

    The tree is over points of the unit sphere: right at the poles, across the date line and over a city alike.
    """
    if not helpers:
        return []
    points = _points(np.array([[each.lat_deg, each.lon_deg] for each in helpers]))
    here = _points(np.array([[lat_deg, lon_deg]]))[0]
    reach = 2 * np.sin(WITHIN_M / EARTH_M / 2)
    found: list[int] = cKDTree(points).query_ball_point(here, reach)
    chords = np.linalg.norm(points[found] - here, axis=1)
    distances = 2 * EARTH_M * np.arcsin(np.clip(chords / 2, 0, 1))
    ranked = sorted(zip(distances.tolist(), found, strict=True))
    taken: Counter[str] = Counter()
    near = []
    for distance_m, index in ranked:
        helper = helpers[index]
        taken[helper.kind] += 1
        if taken[helper.kind] <= MOST:
            near.append(Near(helper, round(distance_m, 1)))
    return near


def _points(degrees: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Latitude and longitude, shape (n, 2), as points of the unit sphere, shape (n, 3)."""
    lat, lon = np.radians(degrees).T
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
