"""Short simulated clips of many helmets at once, through the fleet's own code: each holds one happening."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.config import Detection as Params
from core.model import Detection, Frames, Worn
from detectors import Fleet
from simulator.everyday import STATE, everyday
from simulator.impacts import Motion
from simulator.legs import FALLING_MPS2
from simulator.motion import VEHICLES, Vehicle, rotation
from simulator.sensor import Part, counts, sampled

BEFORE_S, AFTER_S = 10.0, 14.0
_SETTLE_S = 2.0
"""After an impact the motion itself is all there is; then everyday life goes on, or the helmet lies."""

Situation = Literal["ride", "walk", "stand", "park"]
Bit = Literal["steady", "flickers", "goes off"]
"""What the wear bit does in a trial: says `worn` throughout, but for a frame in twenty, or "worn" until about the
impact and then "not worn"."""
_FLICKER, _OFF_WITHIN = 0.05, 2
MakeMotion = Callable[[np.random.Generator, float, Vehicle], Motion]


@dataclass(frozen=True, slots=True)
class Said:
    """What the helmet says of itself in a trial, true or not."""

    worn: Worn
    speed_known: bool
    bit: Bit = "steady"

    def bits(self, frames: int, many: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """(frames, many) what the wear bit says in each frame of a second of each helmet."""
        out = np.full((frames, many), self.worn, np.uint8)
        if self.bit == "flickers":
            other = Worn.NO if self.worn == Worn.YES else Worn.YES
            out[rng.random(out.shape) < _FLICKER] = other
        elif self.bit == "goes off":
            last = rng.integers(round(BEFORE_S) - _OFF_WITHIN, round(BEFORE_S) + _OFF_WITHIN + 1, many)
            out[:] = np.where(np.arange(frames)[:, None] <= last, Worn.YES, Worn.NO)
        return out


@dataclass(frozen=True, slots=True)
class Clips:
    """Trials of one part: `acc` (n, samples, 3) counts, `speed_mps` (n, samples), and when each was struck."""

    acc: npt.NDArray[np.int16]
    speed_mps: npt.NDArray[np.float64]
    impact_s: npt.NDArray[np.float64]
    part: Part


def make(situation: Situation, motion: MakeMotion, part: Part, trials: int, seed: tuple[int, ...]) -> Clips:
    """Simulates `trials` helmets of one part, each with its own road, rider, mounting and sampling phase."""
    rate = part.rate_hz
    n = round((BEFORE_S + AFTER_S) * rate)
    before, after = np.zeros(trials, STATE), np.zeros(trials, STATE)
    motions, impacts_s = [], np.zeros(trials)
    rngs = [np.random.default_rng((*seed, k)) for k in range(trials)]
    for k, rng in enumerate(rngs):
        _live(before[k : k + 1], situation, rng)
        vehicle = VEHICLES[int(before["vehicle"][k])]
        made = motion(rng, float(before["v_cruise"][k]), vehicle)
        impacts_s[k] = BEFORE_S + rng.uniform(0, 0.5)
        if made.then == "lie":
            before["halt_s"][k], before["halt_v"][k] = impacts_s[k], before["v_cruise"][k]
        after[k] = before[k]
        if made.then != "go_on":
            after["up"][k], after["stir_g"][k] = made.up, made.stirring_g
            after["sway"][k] = after["walk"][k] = 0
        motions.append(made)
    first = np.zeros(trials, np.int64)
    f, speed = everyday(rate, before, first, n)
    later, _ = everyday(rate, after, first, n)
    for k, (rng, made) in enumerate(zip(rngs, motions, strict=True)):
        settle = round((impacts_s[k] + _SETTLE_S) * rate)
        if made.then != "go_on":
            f[k, settle:] = later[k, settle:]
        _overlay(f[k], made, part, before["up"][k], (impacts_s[k] - made.impact_s) * rate)
        turned = rotation(rng.normal(0, np.radians([4, 6, 6]))).T
        f[k] = (f[k] @ turned) * rng.normal(1, 0.01, 3) + rng.normal(0, 0.02, 3)
        f[k] += rng.normal(0, part.noise_g, f[k].shape)
    return Clips(counts(f, part.full_scale_g, part.g_per_count), speed, impacts_s, part)


def _live(row: npt.NDArray[np.void], situation: Situation, rng: np.random.Generator) -> None:
    speed = rng.uniform(4.0, 10.5) if situation == "ride" else 0.0
    row["offset"], row["vehicle"] = rng.integers(0, 2**30), rng.integers(len(VEHICLES))
    row["up"], row["halt_s"], row["leg_end_s"] = (0, 0, 1), np.inf, 1e6
    row["v_in"] = row["v_cruise"] = row["v_out"] = speed
    row["speed_up"] = row["slow_down"] = 1.0
    row["halt_down"] = FALLING_MPS2
    row["rough"] = np.clip(np.exp(rng.normal(0, 0.4)), 0.4, 3)
    row["sway"] = 0.0 if situation == "park" else rng.uniform(0.03, 0.08)
    row["stir_g"] = 0.0 if situation == "park" else rng.uniform(0.01, 0.03)
    row["walk"] = rng.uniform(0.6, 1.3) if situation == "walk" else 0.0


def _overlay(
    f: npt.NDArray[np.float32], made: Motion, part: Part, up: npt.NDArray[np.float64], start: float
) -> None:
    """Lays a motion over one helmet's everyday motion (n, 3), in place, from a sample number that need not be whole."""
    first = int(np.ceil(start))
    kept = made.keep[:, None] * up
    seen = sampled(made.f + kept, part, first - start)
    keep = sampled(np.repeat(made.keep[:, None], 3, 1), part, first - start)
    stop = min(first + len(seen), len(f))
    # Gravity went through the chain so that it clips with the motion; everyday motion brings its own.
    piece = seen[: stop - first] - (keep * up.astype(np.float32))[: stop - first]
    f[first:stop] = f[first:stop] * keep[: stop - first] + piece


def run(clips: Clips, said: Said, params: Params | None = None) -> list[list[Detection]]:
    """What the fleet says of each clip, frame by frame of a second."""
    fleet, part = Fleet(params), clips.part
    many, length = clips.acc.shape[:2]
    out: list[list[Detection]] = [[] for _ in range(many)]
    tracks = np.arange(many)
    worn = said.bits(
        -(-length // part.rate_hz), many, np.random.default_rng(int(clips.acc[:, 0].sum()) % 2**32)
    )
    for seq, first in enumerate(range(0, length, part.rate_hz)):
        acc = clips.acc[:, first : first + part.rate_hz]
        speed = clips.speed_mps[:, first] if said.speed_known else np.full(many, np.nan)
        frames = _frames(acc, seq, first, part, worn[seq], speed)
        now_us = int(frames.received_us[0])
        for d in fleet.push(frames, tracks, np.full(many, first), now_us):
            out[int(d.helmet)].append(d)
    for d in fleet.forget(*range(many)):
        out[int(d.helmet)].append(d)
    return out


def _frames(
    acc: npt.NDArray[np.int16],
    seq: int,
    first: int,
    part: Part,
    worn: npt.NDArray[np.uint8],
    speed: npt.NDArray[np.float64],
) -> Frames:
    many, length = acc.shape[:2]
    t0_us = 1_700_000_000_000_000 + first * part.period_ns // 1000
    return Frames.of(
        [str(k) for k in range(many)],
        acc,
        seq=seq,
        t0_us=t0_us,
        received_us=t0_us + length * part.period_ns // 1000,
        period_ns=part.period_ns,
        full_scale_g=part.full_scale_g,
        g_per_count=part.g_per_count,
        worn=worn,
        speed_mps=speed,
    )
