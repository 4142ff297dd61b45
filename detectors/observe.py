"""What each frame says about its helmet besides impacts: wear, health, calibration, rides without the helmet on."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.config import Detection as Params
from core.model import Frames
from detectors import axes, calibration, gyro, noise, riding, unworn, wear
from detectors.health import FAULTS, Seen, look
from detectors.health import step as step_health
from detectors.past import order
from detectors.ring import Ring

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

COUNTED = (*FAULTS, "gaps", "repeats", "wear_stuck", "wear_bouncing", "unworn_rides")
"""Everything that `observe` counts, and `repeats`, which the fleet does."""
_SHORTEST_S = 0.5
_SENSITIVE_G = 32.0
_JUST_NOW_S = 3.0
"""Who brakes before the crash rode so lately."""


class Observed(NamedTuple):
    """What a decision and a reminder need of it; one row a frame."""

    worn: U8
    """What to take for worn."""
    unworn: unworn.Unworn
    logs: list[riding.Logs]
    """What these frames finished of the helmets' riding logs."""


def observe(
    ring: Ring, slot: I64, frames: Frames, index: I64, params: Params, counts: Counter[str]
) -> Observed:
    """Takes frames of distinct slots into their rows; `counts` grows by every fault that began.

    Frames from which everything was learned before their track began teach nothing; who rode is told again.
    """
    known = order(frames.boot, frames.seq) < ring.learned[slot]
    if not known.any():
        return _learn(ring, slot, frames, index, params, counts)
    worn, rides, logs = np.zeros(len(slot), np.uint8), np.zeros((3, len(slot)), np.bool_), []
    for part, is_known in ((np.flatnonzero(known), True), (np.flatnonzero(~known), False)):
        if not len(part):
            continue
        here = slot[part]
        kept = ring.past(here)
        said = _learn(ring, here, frames.rows(part), index[part], params, Counter() if is_known else counts)
        worn[part], rides[:, part] = said.worn, said.unworn
        if is_known:
            ring.learn(here, kept)
            worn[part], rides[:, part] = wear.effective_before(kept["wear"], frames.worn[part]), False
        logs += [log._replace(row=part[log.row]) for log in said.logs]
    return Observed(worn, unworn.Unworn(*rides), logs)


def _learn(
    ring: Ring, slot: I64, frames: Frames, index: I64, params: Params, counts: Counter[str]
) -> Observed:
    counts["gaps"] += int(((index > ring.head[slot]) & (ring.head[slot] >= 0)).sum())
    seen = look(frames.acc, ring.fs_hz, ring.full_scale_g, ring.g_per_count)
    still_std_g = axes.middle(seen.std_g)
    mean_g, floor_g, drifted = _part(ring, slot, seen, still_std_g)
    turning = _turning(ring, slot, frames, seen, mean_g, index == ring.head[slot])
    # `take` and `put` move rows of state whole; an index would move them field by field.
    health = ring.health.take(slot)
    began = step_health(
        health, seen, drifted | ({} if turning is None else {"gyro_dead": ring.gyro["dead"][slot]})
    )
    np.put(ring.health, slot, health)
    if began.any():
        for k, name in enumerate(FAULTS):
            counts[name] += int((began >> k & 1).sum())
    row = ring.wear.take(slot)
    speed = unworn.speed_mps(frames.speed_mps, frames.accuracy_m)
    evidence = wear.Evidence(
        ring.epoch_us[slot] + index * ring.period_ns // 1000,
        seen.seconds,
        frames.worn,
        frames.strap,
        mean_g,
        still_std_g,
        seen.largest_std_g,
        speed,
        ring.full_scale_g,
        floor_g,
        turning,
    )
    change = wear.step(row, evidence, params.riding_mps)
    rides = unworn.step(row, change.rides, speed, seen.seconds)
    np.put(ring.wear, slot, row)
    counts["wear_stuck"] += int(change.stuck.sum())
    counts["wear_bouncing"] += int(change.bouncing.sum())
    counts["unworn_rides"] += int(rides.opened.sum())
    worn = wear.effective(row, frames.worn, ~np.isnan(speed) & (row["halt_s"] <= _JUST_NOW_S))
    doing = riding.states(worn, change.rides, rides.carried, ~np.isnan(speed), health["faults"])
    start_us = riding.begin_us(evidence.start_us, frames.t0_us)
    end_us = start_us + frames.acc.shape[1] * ring.period_ns // 1000
    return Observed(worn, rides, ring.riding.note(slot, start_us, end_us, doing, len(ring.head)))


def _part(
    ring: Ring, slot: I64, seen: Seen, still_std_g: wear.F32
) -> tuple[wear.F32, wear.F32, dict[str, npt.NDArray[np.bool_]]]:
    """Corrected means, the part's noise floor, and whether it has drifted."""
    moves = ~axes.some(seen.still) & (seen.seconds >= _SHORTEST_S)
    floor_g = noise.step(ring.noise, slot, still_std_g, seen.seconds, moves)
    fixes = ring.calibration
    sensitive = moves & (ring.full_scale_g <= _SENSITIVE_G)
    calibration.step(fixes, slot, seen.mean_g, seen.largest_std_g, sensitive)
    return calibration.corrected(fixes, slot, seen.mean_g), floor_g, {"drift": fixes["drifted"][slot]}


def _turning(
    ring: Ring, slot: I64, frames: Frames, seen: Seen, mean_g: wear.F32, joins: npt.NDArray[np.bool_]
) -> gyro.Turning | None:
    """What the gyroscopes say, for all rows or for none; a dead one says nothing."""
    if frames.gyro is None:
        return None
    row = ring.gyro.take(slot)
    turning = gyro.step(row, frames.gyro, frames.rad_s_per_count, ring.fs_hz, seen.seconds, mean_g, joins)
    np.put(ring.gyro, slot, row)
    return turning
