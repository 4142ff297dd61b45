"""Recorded motion inside simulated motion: a measured impact, fall or ride that a simulated helmet lives through.

A recording is laid on the simulator's 3,200 Hz grid and becomes a `Motion` like any simulated one, so it passes the
same sensor chain (`simulator.sensor`): clip, low-pass, random phase, gain, offset, noise, counts. What the recording's
own sensor cut off or filtered away stays lost.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
from scipy import signal

from simulator.impacts import Motion, body_frame, instead, rest, sideways, smooth, turning
from simulator.motion import FINE_HZ, Array, rotation, turned
from simulator.recordings import CRASH_LABELS, PULSE_LABEL, Recording, RecordingError, read

Situation = Literal["ride", "walk", "stand", "park"]
Then = Literal["lie", "park", "go_on"]
Expected = Literal["alert", "none", "cancel"]

_BEFORE_S, _AFTER_S = 2.0, 12.0
"""How much of a recorded crash is used around its impact: the fall before it, and the lying after it."""
_TAIL_S = 9.5
"""How long after the impact the motion lasts at least; a recording that ends sooner lies on as it ended."""
_FADE_S, _PULSE_FADE_S = 0.2, 0.03
_PULSE_REACH_S = 0.7
"""An impact alone is some tenths of a second; the simulated fall around it begins 0.75 s before it."""
_LOOK_S = 0.5
"""How much of a recording's beginning and end says which way is up there."""


@dataclass(frozen=True, slots=True, eq=False)
class Splice:
    """A recording, what the helmet does when it begins, how it goes on afterwards, and what should come of it."""

    recording: Recording
    into: Situation
    then: Then
    expected: Expected

    def motion(self, rng: np.random.Generator) -> Motion:
        """The recording as motion of a helmet, turned at random so that no two helmets measure the same.

        A recording with gravity is levelled by its beginning and turned about the vertical; its crash starts 2 s
        before the impact. An impact without gravity (label `head_impact`) is turned any way and takes the place of the
        simulated pulse in a simulated fall; with `go_on` it is only added.
        """
        if self.recording.label == PULSE_LABEL:
            return _pulse(self.recording, self.then, rng)
        if self.then == "go_on":
            return _episode(self.recording, rng)
        return _crash(self.recording, self.then, rng)


def splice_of(
    recording: Recording,
    into: Situation | None = None,
    then: Then | None = None,
    expected: Expected | None = None,
) -> Splice:
    """A splice with what its label suggests where nothing is said.

    Crashes happen to who rides, then the helmet lies and an alert is expected; a `drop` happens to an unworn helmet
    that lies afterwards; a `ride`, `bump` or `wobble` happens while riding, anything else while standing, and life
    goes on.
    """
    crash, drop = recording.label in CRASH_LABELS, recording.label == "drop"
    rides = crash or recording.label in ("ride", "bump", "wobble")
    situation: Situation = "ride" if rides else "park" if drop else "stand"
    after: Then = "lie" if crash else "park" if drop else "go_on"
    return Splice(recording, into or situation, then or after, expected or ("alert" if crash else "none"))


@lru_cache(64)
def find_recording(path: Path) -> Recording:
    """The recording named by its folder and number, as in `my_rides/3`. Raises `RecordingError`."""
    if not path.name.isdigit():
        raise RecordingError(f"{path}: name a recording by its folder and number, as in my_rides/3")
    for recording in read(path.parent):
        if recording.rec == int(path.name):
            return recording
    raise RecordingError(f"{path.parent} has no recording {path.name}")


def fine(x: npt.NDArray[np.floating], fs_hz: float) -> Array:
    """(N, 3) at 3,200 Hz of (n, 3) at any rate, band-limited."""
    ratio = Fraction(FINE_HZ / fs_hz).limit_denominator(1000)
    padded = signal.resample_poly(
        np.asarray(x, np.float64), ratio.numerator, ratio.denominator, axis=0, padtype="line"
    )
    return np.asarray(padded)


def _pulse(recording: Recording, then: Then, rng: np.random.Generator) -> Motion:
    """A recorded impact without gravity, in place of the simulated pulse of a head strike."""
    pulse = fine(recording.uniform().acc_g, recording.fs_hz) @ _any_turn(rng).T
    # A recording that was cut off in the middle of the motion would end in a step that nobody felt.
    pulse *= np.minimum(1.0, (len(pulse) - np.arange(len(pulse))) / (_PULSE_FADE_S * FINE_HZ))[:, None]
    peak = int(np.argmax(np.linalg.norm(pulse, axis=1)))
    # What lies further from the blow than the fall around it lasts is left out.
    first = max(0, peak - round(_PULSE_REACH_S * FINE_HZ))
    pulse, peak = pulse[first : peak + round(_PULSE_REACH_S * FINE_HZ)], peak - first
    if then == "go_on":
        n = max(len(pulse), int(1.0 * FINE_HZ))
        f = np.zeros((n, 3))
        f[: len(pulse)] = pulse
        return Motion(f, np.ones(n), peak / FINE_HZ, "go_on")
    t = np.arange(int(_TAIL_S * FINE_HZ)) / FINE_HZ
    impact_s = 0.3 + rng.uniform(0.45, 0.9)
    axis, tilt = sideways(rng), np.radians(rng.uniform(55, 100))
    angle = tilt * smooth(t, 0.3, impact_s + 0.25)
    # As in the simulated head strike: falling over is not free fall.
    support = 1 - rng.uniform(0.2, 0.85) * smooth(t, 0.3, impact_s) * (
        1 - smooth(t, impact_s, impact_s + 0.05)
    )
    f = body_frame(angle, axis, support)
    start = round(impact_s * FINE_HZ) - peak
    f[start : start + len(pulse)] += pulse
    stirring_g = rest(rng, f, t, impact_s + 1.0)
    up = turned(axis, np.array([tilt]))[0]
    return instead(f, 0.3, impact_s, then, up, stirring_g, turning(axis, angle))


def _crash(recording: Recording, then: Literal["lie", "park"], rng: np.random.Generator) -> Motion:
    """A recorded crash or drop with gravity, from shortly before its impact until the helmet lies."""
    even = recording.uniform()
    at_s = _impact_s(even)
    first = max(0, round((at_s - _BEFORE_S) * even.fs_hz))
    part = slice(first, round((at_s + _AFTER_S) * even.fs_hz))
    turn = _levelled(even.acc_g[part], even.fs_hz, rng)
    piece = fine(even.acc_g[part], even.fs_hz) @ turn.T
    impact_s = at_s - first / even.fs_hz
    n = max(len(piece), int((impact_s + _TAIL_S) * FINE_HZ))
    t = np.arange(n) / FINE_HZ
    up = _mean_direction(piece[-int(_LOOK_S * FINE_HZ) :])
    f = np.tile(up, (n, 1))
    stirring_g = rest(rng, f, t, 0.0)
    held = 1 - smooth(t[: len(piece)], len(piece) / FINE_HZ - _FADE_S, len(piece) / FINE_HZ)
    f[: len(piece)] += held[:, None] * (piece - f[: len(piece)])
    omega = None
    if even.gyro_rad_s is not None:
        omega = np.zeros((n, 3))
        omega[: len(piece)] = fine(even.gyro_rad_s[part], even.fs_hz)[: len(piece)] @ turn.T
    return instead(f, 0.0, impact_s, then, up, stirring_g, omega)


def _episode(recording: Recording, rng: np.random.Generator) -> Motion:
    """A whole recording with gravity in the place of everyday motion, which then goes on."""
    even = recording.uniform()
    turn = _levelled(even.acc_g, even.fs_hz, rng)
    f = fine(even.acc_g, even.fs_hz) @ turn.T
    t = np.arange(len(f)) / FINE_HZ
    fade_s = min(_FADE_S, t[-1] / 4)
    keep = 1 - smooth(t, 0.0, fade_s) * (1 - smooth(t, t[-1] - fade_s, t[-1]))
    omega = None
    if even.gyro_rad_s is not None:
        omega = fine(even.gyro_rad_s, even.fs_hz) @ turn.T * (1 - keep)[:, None]
    impact_s = 0.0 if recording.label not in CRASH_LABELS else _impact_s(even)
    return Motion(f * (1 - keep)[:, None], keep, impact_s, "go_on", omega=omega)


def _impact_s(recording: Recording) -> float:
    """When the impact is: the first of `crash_s`, else the largest departure from 1 g."""
    if named := recording.meta.get("crash_s", "").split():
        return float(named[0])
    departure = np.abs(np.linalg.norm(recording.acc_g, axis=1) - 1)
    return float(np.argmax(departure)) / recording.fs_hz


def _levelled(acc_g: npt.NDArray[np.float32], fs_hz: float, rng: np.random.Generator) -> Array:
    """(3, 3) that turns a recording upright by its beginning, and about the vertical at random."""
    up = _mean_direction(acc_g[: max(1, round(_LOOK_S * fs_hz))])
    axis = np.cross(up, (0.0, 0.0, 1.0))
    size = float(np.linalg.norm(axis))
    angle = np.arctan2(size, up[2])
    level = rotation(axis / size * angle) if size > 1e-9 else rotation(np.array([angle, 0.0, 0.0]))
    return np.asarray(rotation(np.array([0.0, 0.0, rng.uniform(0, 2 * np.pi)])) @ level)


def _mean_direction(acc_g: npt.NDArray[np.floating]) -> Array:
    mean = np.asarray(acc_g, np.float64).mean(0)
    size = float(np.linalg.norm(mean))
    # In free fall nothing says which way is up.
    return np.asarray(mean / size) if size > 0.3 else np.array([0.0, 0.0, 1.0])


def _any_turn(rng: np.random.Generator) -> Array:
    """(3, 3) any rotation, all equally likely."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return cast(Array, q if np.linalg.det(q) > 0 else -q)
