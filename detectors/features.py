"""What is measured around one impact: numbers only, no judgement. NaN is unknown.

All times count from the impact's peak. Nothing reads beyond `end`, the sample at which the decision falls due, so
a decision is the same whether later samples have arrived already or not.
"""

from math import nan
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.model import Position, Worn
from detectors import gravity, injury
from detectors.ring import CONTEXT_S
from detectors.window import Window

Array = npt.NDArray[np.float64]

PEAK_S = 0.3
"""An impact is a sample larger than all within this time of it."""
_REST_S = ((-4.5, -1.2), (-1.2, -0.3))
"""Where gravity before the impact is taken; the second where the track is too young for the first."""
_CONTACT_S = (-0.1, 0.3)
_EARLY_S = (0.55, 0.85)
_LATE_S = {
    "tilt_2s_deg": (1.0, 2.0),
    "tilt_3s_deg": (1.8, 3.4),
    "tilt_6s_deg": (3.5, 6.0),
    "tilt_10s_deg": (6.0, 10.0),
}
_HOLE_S = 0.02
"""Samples missing around the peak for longer than this: magnitudes are lower bounds."""
_RAIL = 0.98
_RAIL_S = 0.1
"""A real clip lasts at most 0.03 s; an axis that stays at its rail is broken."""
_FALLING_G = 0.45
"""Free fall reads below this also in a spin (ω²r at 5 rad/s and 0.12 m is 0.31 g)."""
_MEAN_S = 0.01
_PEAKS_G, _PEAKS_S = 4.0, 0.06
_QUIET_G = 0.15
"""Largest deviation of an axis in a window that counts as motionless; breathing moves a head 0.03 g."""
_WEAR_FLIP_S = 1.5
"""A wear bit that goes off within this time before or with the impact may be the crash itself."""

_NEW_SPEED_S = 0.95
"""A receiver knows a new speed once a second, or nearly; frames that begin closer together may tell the same one."""
HORIZONS_S = (0.35, 0.85, 2.0, 6.0, 10.0)
"""After each impact a decision falls due at these times."""


class Frame(NamedTuple):
    """What one motion frame says besides motion, or a stretch of short ones that came before the gate fired."""

    start: int
    """Number of its first sample."""
    end: int
    """Number of the sample after its last."""
    speed_mps: float
    worn: int
    head: "Head | None" = None
    """What a detection quotes of it; None for frames from before the gate fired."""


class Head(NamedTuple):
    """What identifies a frame, and where it was sent from."""

    helmet: str
    boot: int
    seq: int
    t0_us: int
    received_us: int
    position: Position | None


def rest(window: Window, at: int) -> gravity.Posture:
    """Gravity and shaking before the impact at sample `at`, and which axis was stuck."""
    for start_s, stop_s in _REST_S:
        part = _cut(window, at, start_s, stop_s, at)
        if np.count_nonzero(~np.isnan(part[:, 0])) >= 0.5 * window.fs_hz:
            stuck = gravity.stuck_axis(part, window.fs_hz, window.g_per_count)
            return gravity.posture(part[~np.isnan(part[:, 0])], window.fs_hz, stuck)
    return gravity.UNKNOWN


def walking_before(window: Window, at: int) -> float:
    """The share of stepping in the motion before the impact at sample `at`."""
    return gravity.walking_share(_cut(window, at, -6.0, -0.5, at), window.fs_hz)


def violence_g(window: Window, at: int, end: int) -> float:
    """RMS of the resultant minus 1 g around the peak: a fall unloads before it hits, lying down does neither.

    Of means over 10 ms, which a 100 Hz part cannot see beyond either: else a helmet that is put down, a click of some
    milliseconds, is a fall to a fast part alone.
    """
    size = np.sqrt(np.square(_filled(_cut(window, at, -PEAK_S, PEAK_S, end))).sum(-1))
    width = round(_MEAN_S * window.fs_hz)
    if width > 1 and len(size) >= width:
        size = np.convolve(size, np.full(width, 1 / width), "valid")
    return float(np.sqrt(np.square(size - 1.0).mean()))


def _around_g(window: Window, at: int, end: int) -> float:
    """The same violence without the peak and 20 ms on either side: what a spike of the wire does not bring."""
    fs = window.fs_hz
    beside = max(1, round(0.02 * fs))
    reach = round(PEAK_S * fs)
    parts = [window.g(at - reach, at - beside), window.g(at + beside + 1, min(at + reach, end))]
    size = np.sqrt(np.square(_filled(np.concatenate(parts))).sum(-1))
    return float(np.sqrt(np.square(size - 1.0).mean())) if len(size) else 0.0


def shock(
    window: Window, at: int, end: int, before: gravity.Posture, full_scale_g: float
) -> dict[str, float]:
    """The impact itself: how hard, how sharp, how long, whether the sensor could follow it.

    An axis that was stuck `before` adds nothing to it: what is left is a lower bound.
    """
    fs, up_g = window.fs_hz, before.up_g
    window = _held(window, before)
    near = _cut(window, at, *_CONTACT_S, end)
    missing = np.isnan(near[:, 0])
    wide = _cut(window, at, -PEAK_S, PEAK_S, end)
    resultant = np.sqrt(np.square(wide).sum(-1))
    known = resultant[~np.isnan(resultant)]
    free = near - (up_g if not np.isnan(up_g[0]) else 0.0)
    # A hole adds no impulse and keeps its length: what lies on either side of it stays apart.
    near[missing] = free[missing] = 0.0
    largest = float(np.abs(near).max(initial=0.0))
    rails = np.abs(near) >= _RAIL * full_scale_g
    hit = window.g(at, at + 1)
    beside = np.concatenate([window.g(at - 1, at), window.g(at + 1, at + 2)])
    size = np.sqrt(np.square(free).sum(-1))
    width = _width(size)
    out = {
        "peak_g": float(np.sqrt(np.square(hit).sum())),
        "helmet_pla_g": float(injury.pla_g(free)),
        "dv20_mps": float(injury.dv_mps(free, fs, _near_s(0.02, fs))),
        "dv50_mps": float(injury.dv_mps(free, fs, _near_s(0.05, fs))),
        "median_g": float(np.median(known)),
        "violence_g": violence_g(window, at, end),
        "range_used": largest / full_scale_g,
        "partial": float(before.stuck is not None or np.count_nonzero(missing) > _HOLE_S * fs),
        "clip_n": float(np.count_nonzero(rails.any(-1))),
        "rail_s": _longest(rails.all(-1) | _latched(rails)) / fs,
        "width_s": width / fs,
        "hidden_clip": float(largest > 0.55 * full_scale_g and width <= 3 and full_scale_g <= 32),
        "around_g": _around_g(window, at, end),
        "lone_sample": float(
            len(beside) == 2 and float(np.sqrt(np.square(beside - up_g).sum(-1)).max()) < 0.15 * size.max()
        ),
        "peaks_n": float(_count_peaks(resultant, fs)),
        "free_fall_s": _free_fall_s(window, at),
        "tilt_pre_deg": _tilt_at_impact(window, at, up_g),
    }
    if fs >= 200 and full_scale_g >= 100:
        out["helmet_hic15"] = float(injury.hic(size, fs))
        out["hic_coarse"] = float(injury.is_coarse(fs))
        out["helmet_hic36"] = float(injury.hic(size, fs, 0.036))
        out["helmet_si"] = float(injury.si(size, fs))
    if fs >= 1000:
        out["helmet_clip3ms_g"] = float(injury.clip3ms_g(size, fs))
    return out


def aftermath(window: Window, at: int, end: int, before: gravity.Posture) -> dict[str, float]:
    """Attitude and movement after the impact, as far as sample `end`."""
    fs, up_g = window.fs_hz, before.up_g
    early = gravity.posture(_cut(window, at, *_EARLY_S, end), fs, before.stuck)
    out = {"tilt_early_deg": gravity.tilt_deg(up_g, early.up_g)}
    for name, (start_s, stop_s) in _LATE_S.items():
        part = _cut(window, at, start_s, stop_s, end)
        # The samples decide, not the horizon's name: a track that ends early is judged by what it has.
        if len(part) < 0.5 * fs:
            break
        late = gravity.posture(part, fs, before.stuck)
        out[name] = gravity.tilt_deg(up_g, late.up_g)
        if not np.isnan(late.up_g[0]):
            out["tilt_deg"] = out[name]
            out["spread_g"], out["vibration_g"] = late.spread_g, late.vibration_g
    out["still_s"] = _still_s(window, at, end)
    out["walking"] = gravity.walking_share(_cut(window, at, 1.0, 10.0, end), fs)
    return out


def context(frames: list[Frame], at: int, end: int, fs_hz: float, riding_mps: float) -> dict[str, float]:
    """Speed and wear around the impact, from what the frames say; `riding` is 1, 0 or NaN."""
    moved = [f for f in frames if f.speed_mps == f.speed_mps]
    before = [f for f in moved if f.start <= at and f.end >= at - CONTEXT_S * fs_hz]
    after = [f.speed_mps for f in moved if f.start < end and f.end > at + 3 * fs_hz and end > at + 3 * fs_hz]
    worn = [f.worn for f in frames if f.start <= at][-1:] or [int(Worn.UNKNOWN)]
    # A bit that is not believed yet (`wear.effective`) may have gone off some seconds ago.
    reach_s = _WEAR_FLIP_S if worn[0] == Worn.NO else CONTEXT_S
    lately = any(f.worn == Worn.YES for f in frames if f.start <= at and f.end >= at - reach_s * fs_hz)
    flip = worn[0] != Worn.YES and lately
    return {
        "speed_mps": before[-1].speed_mps if before else nan,
        "speed_after_mps": after[-1] if after else nan,
        "riding": nan if not before else float(_rode(before, fs_hz, riding_mps)),
        "flip": float(flip),
        "worn": float(Worn.UNKNOWN if flip else worn[0]),
    }


def _rode(before: list[Frame], fs_hz: float, riding_mps: float) -> bool:
    """Whether somebody rode: a quarter of the time, or just now and the moment before, as one who sets off does.

    A single speed may be wrong; two in a row agree, where the helmet can have known a new one between them. A frame
    has the speed of its beginning: one that is sent early, on the impact, tells as much as a whole one.
    """
    fast = [f.speed_mps >= riding_mps for f in before]
    spans = [f.end - f.start for f in before]
    rode = sum(span for span, was in zip(spans, fast, strict=True) if was)
    told = [k for k, f in enumerate(before) if before[-1].start - f.start >= _NEW_SPEED_S * fs_hz]
    return rode >= 0.25 * sum(spans) or (bool(told) and all(fast[told[-1] :]))


def _cut(window: Window, at: int, start_s: float, stop_s: float, end: int) -> Array:
    fs = window.fs_hz
    return window.g(at + round(start_s * fs), min(at + round(stop_s * fs), end))


def _held(window: Window, before: gravity.Posture) -> Window:
    """The window with a stuck axis at what it is taken for."""
    return window if before.stuck is None else window.held(before.stuck, float(before.up_g[before.stuck]))


def _near_s(seconds: float, fs_hz: float) -> float:
    """The whole number of samples nearest to a time: 99 and 100 Hz must see the same pulse alike."""
    return max(1, round(seconds * fs_hz)) / fs_hz


def _filled(acc_g: Array) -> Array:
    """Without the missing samples: nothing is invented, and a hole adds no impulse."""
    return acc_g[~np.isnan(acc_g[:, 0])]


def _longest(flags: npt.NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _latched(rails: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Samples of the axis that stays longest at its rail."""
    if not rails.size:
        return np.zeros(len(rails), np.bool_)
    return rails[:, int(np.argmax([_longest(rails[:, axis]) for axis in range(3)]))]


def _width(size: Array) -> int:
    """Samples around the largest that exceed half of it."""
    top = int(size.argmax())
    above = size >= 0.5 * size[top]
    left = top - int(np.argmin(np.concatenate([above[: top + 1][::-1], [False]])))
    right = top + int(np.argmin(np.concatenate([above[top:], [False]])))
    return right - left - 1


def _count_peaks(resultant: Array, fs_hz: float) -> int:
    last, count = -np.inf, 0
    for i in np.flatnonzero(resultant > _PEAKS_G).tolist():
        if (i - last) / fs_hz >= _PEAKS_S:
            count, last = count + 1, i
    return count


def _free_fall_s(window: Window, at: int) -> float:
    part = _filled(_cut(window, at, -0.8, 0.0, at))
    return _longest(np.square(part).sum(-1) < _FALLING_G**2) / window.fs_hz


def _tilt_at_impact(window: Window, at: int, up_g: Array) -> float:
    part = _filled(_cut(window, at, -0.25, -0.05, at))
    return gravity.tilt_deg(up_g, part.mean(0), 0.3, 3.0) if len(part) else nan


def _still_s(window: Window, at: int, end: int) -> float:
    """How long, up to `end`, the helmet has been motionless; never earlier than 0.5 s after the impact."""
    fs = window.fs_hz
    step = max(2, round(0.5 * fs))
    part = window.g(at + round(0.5 * fs), end)
    total = 0
    reference: Array | None = None
    for stop in range(len(part), step - 1, -step):
        piece = part[stop - step : stop]
        if np.isnan(piece).any() or gravity.frozen(part[:stop], fs):
            break
        reference = piece.mean(0) if reference is None else reference
        if float(np.abs(piece - reference).max()) > _QUIET_G:
            break
        total += step
    return total / fs
