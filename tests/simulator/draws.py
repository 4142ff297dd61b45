"""Many draws of each event, as three parts see them from 1 s before the impact to 2.5 s after it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from detectors import injury
from simulator import impacts, mishaps
from simulator.motion import EBIKE, FINE_HZ
from simulator.mount import SHELL
from simulator.pulses import Motion
from simulator.sensor import PARTS, sampled

DRAWS = 60
NAMES = ("100hz-16g", "200hz-32g", "400hz-200g")
Band = tuple[float, float]


def _spot(kinds: tuple[str, ...]) -> Callable[[np.random.Generator], Motion]:
    def made(rng: np.random.Generator) -> Motion:
        return impacts.rough_spot(rng, rng.uniform(3, 12.5), EBIKE, kinds[int(rng.integers(len(kinds)))])  # type: ignore[arg-type]

    return made


MAKE: dict[str, Callable[[np.random.Generator], Motion]] = {
    "bump": _spot(("bump", "pothole")),
    "kerb": _spot(("kerb",)),
    "shell strike": lambda rng: impacts.head_strike(rng, SHELL),
    **mishaps.KINDS,
}


@dataclass(frozen=True)
class Draws:
    """What three parts made of many draws of one event."""

    motions: list[Motion]
    fine: np.ndarray
    """(n, N, 3) the motion itself in g at 3,200 Hz."""
    seen: dict[str, np.ndarray]
    before: np.ndarray
    """(n,) seconds from the beginning of each piece to its impact."""
    tilt_deg: np.ndarray
    rad_s: np.ndarray
    """(n,) largest angular rate from 0.6 s before the impact to 0.35 s after it."""


@lru_cache
def draws(event: str) -> Draws:
    motions, fine, before, rates = [], [], [], []
    for seed in range(DRAWS):
        motion = MAKE[event](np.random.default_rng((seed, 77)))
        total = motion.f + motion.keep[:, None] * [0.0, 0.0, 1.0]
        length = 7 * FINE_HZ // 2
        first = max(0, round((motion.impact_s - 1) * FINE_HZ))
        piece = total[first : first + length]
        still = np.repeat(piece[-1:], length - len(piece), 0)
        motions.append(motion)
        fine.append(np.concatenate([piece, still]))
        before.append(motion.impact_s - first / FINE_HZ)
        at = round(motion.impact_s * FINE_HZ)
        window = slice(max(0, at - round(0.6 * FINE_HZ)), at + round(0.35 * FINE_HZ))
        turn = np.zeros((1, 3)) if motion.omega is None else motion.omega[window]
        rates.append(np.linalg.norm(turn, axis=1).max())
    seen = {}
    for name in NAMES:
        rows = [sampled(f, PARTS[name], seed * 0.37 % 1) for seed, f in enumerate(fine)]
        n = min(map(len, rows))
        seen[name] = np.stack([row[:n] for row in rows]).astype(float)
    tilts = [np.degrees(np.arccos(np.clip(m.up[2], -1, 1))) for m in motions]
    return Draws(motions, np.stack(fine), seen, np.array(before), np.array(tilts), np.array(rates))


def resultant(event: str, part: str = "400hz-200g") -> np.ndarray:
    return np.asarray(np.linalg.norm(draws(event).seen[part], axis=2))


def dv(event: str, part: str, window_s: float) -> np.ndarray:
    """Change of speed without gravity, where the helmet's attitude at the impact is known."""
    acc = draws(event).seen[part]
    if event in ("bump", "kerb", "jump", "door", "table", "handlebar"):
        acc = acc - np.array([m.up for m in draws(event).motions])[:, None]
    return injury.dv_mps(acc, PARTS[part].rate_hz, window_s)


def hic15(event: str) -> np.ndarray:
    return injury.hic(resultant(event), 400)


def holds(values: np.ndarray, median: Band, most: Band) -> None:
    """The median lies in its band, and 5 to 95 of 100 lie within `most`."""
    low, middle, high = np.percentile(values, (5, 50, 95))
    assert median[0] <= middle <= median[1], (low, middle, high)
    assert most[0] <= low, (low, middle, high)
    assert high <= most[1], (low, middle, high)


def clean(event: str, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Peak, longest free fall in the 0.8 s before it, tilt afterwards and stillness: what the study's baselines look at."""
    size, rate, found = resultant(event, part), PARTS[part].rate_hz, draws(event)
    falls, stills = [], []
    for row, at_s in zip(size, found.before, strict=True):
        at = round(at_s * rate)
        low = (row[max(0, at - round(0.8 * rate)) : at] < 0.45).astype(int)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], low, [0]])))
        falls.append((edges[1::2] - edges[::2]).max(initial=0) / rate)
        stills.append(row[at + round(1.8 * rate) : at + round(2.4 * rate)].std())
    return size.max(1), np.array(falls), found.tilt_deg, np.array(stills)
