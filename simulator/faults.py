"""What goes wrong in a helmet and between it and the broker, as wrappers around its samples and frames; seeded."""

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Faults:
    """Probability of each fault, for each frame."""

    loss: float = 0.0
    duplicate: float = 0.0
    swap: float = 0.0
    """The frame arrives after the next one."""
    truncate: float = 0.0
    checksum: float = 0.0
    version: float = 0.0
    garbage: float = 0.0
    future: float = 0.0
    """Dated ten minutes ahead."""
    foreign: float = 0.0
    """Carries another helmet's id."""
    delay: float = 0.0
    """Arrives 0.5 to 8 s late, so that later frames come first."""

    def __bool__(self) -> bool:
        """Whether anything can go wrong at all."""
        return any(getattr(self, f.name) > 0 for f in fields(self))


NO_FAULTS = Faults()
_NAMES = tuple(f.name for f in fields(Faults))
_DELAY_S = (0.5, 8.0)


@dataclass(frozen=True, slots=True)
class Spell:
    """Faults of frames from one time to another; `helmets` None is all of them."""

    faults: Faults
    helmets: frozenset[int] | None = None
    start_s: float = 0.0
    end_s: float = float("inf")


@dataclass(frozen=True, slots=True)
class SensorFault:
    """An accelerometer that lies from one time to another.

    `stuck` holds one axis, `rail` latches it at full scale, `frozen` holds all axes, `spikes` throws single
    samples of 9 g about every two seconds.
    """

    helmet: int
    kind: Literal["stuck", "rail", "frozen", "spikes"]
    axis: int = 2
    start_s: float = 0.0
    end_s: float = float("inf")


@dataclass(frozen=True, slots=True)
class ClockFault:
    """A helmet's clock is set `step_s` ahead (or back) at `t_s`, and drifts from then on."""

    helmet: int
    t_s: float
    step_s: float = 0.0
    drift_ppm: float = 0.0


@dataclass(frozen=True, slots=True)
class Reboot:
    """A helmet starts anew: the frame under way is lost, `down_s` of silence, next boot count, seq from 0."""

    helmet: int
    t_s: float
    down_s: float = 4.0


@dataclass(frozen=True, slots=True)
class Flat:
    """A helmet's battery is empty: it falls silent for good, without a word."""

    helmet: int
    t_s: float


class Sent(NamedTuple):
    """What a fault made of a frame."""

    payload: bytes
    intact: bool
    """Whether it is a sound frame."""
    delay_s: float = 0.0


class FaultyStream:
    """One helmet's way to the broker. Frames go in one by one, in order; what is sent comes out."""

    def __init__(
        self,
        faults: Faults,
        seed: tuple[int, ...],
        spells: Sequence[Spell] = (),
        injected: Counter[str] | None = None,
    ) -> None:
        self._spells = [Spell(faults), *spells]
        self._rng = np.random.default_rng(seed)
        self._held: bytes | None = None
        self.injected = Counter[str]() if injected is None else injected
        """How often each fault struck; may be shared by many streams."""

    def send(self, payload: bytes, t_s: float = 0.0) -> list[Sent]:
        """What reaches the broker instead of `payload`, which is finished at `t_s`."""
        rng = self._rng
        out: list[Sent] = []
        held, self._held = self._held, None
        active = [spell.faults for spell in self._spells if spell.start_s <= t_s < spell.end_s]
        # One draw for each fault and frame, needed or not: changing one probability moves no other fault.
        happens = {
            name: rng.random() < max((getattr(f, name) for f in active), default=0.0) for name in _NAMES
        }
        delay_s = float(rng.uniform(*_DELAY_S)) if happens["delay"] else 0.0
        self.injected.update(name for name, happened in happens.items() if happened)
        if happens["loss"]:
            pass
        elif (broken := _broken(payload, happens, rng)) is not None:
            out.append(Sent(broken, False, delay_s))
        elif happens["swap"] and held is None:
            self._held = payload
        else:
            out += [Sent(payload, True, delay_s)] * (2 if happens["duplicate"] else 1)
        if held is not None:
            out.append(Sent(held, True))
        return out


def _broken(payload: bytes, happens: dict[str, bool], rng: np.random.Generator) -> bytes | None:
    if happens["truncate"]:
        return payload[: int(rng.integers(len(payload)))]
    if happens["checksum"]:
        at = int(rng.integers(88, len(payload)))
        return payload[:at] + bytes([payload[at] ^ 0x10]) + payload[at + 1 :]
    if happens["version"]:
        return _sealed(payload[:2] + b"\x63" + payload[3:])
    if happens["garbage"]:
        return rng.bytes(int(rng.integers(1, 800)))
    if happens["future"]:
        late = int.from_bytes(payload[36:44], "little", signed=True) + 600_000_000
        return _sealed(payload[:36] + late.to_bytes(8, "little", signed=True) + payload[44:])
    if happens["foreign"]:
        return _sealed(payload[:4] + b"SOMEONE-ELSE".ljust(24, b"\0") + payload[28:])
    return None


def _sealed(payload: bytes) -> bytes:
    return payload[:-4] + zlib.crc32(payload[:-4]).to_bytes(4, "little")


def spoil(
    acc: npt.NDArray[np.int16],
    t_s: npt.NDArray[np.float64],
    fault: SensorFault,
    g_per_count: float,
    rail: int,
) -> None:
    """Lets a sensor fault loose on the counts (n, 3) of the samples at `t_s` (n,), in place."""
    during = (t_s >= fault.start_s) & (t_s < fault.end_s)
    if not during.any():
        return
    if fault.kind == "stuck":
        acc[during, fault.axis] = round(0.2 / g_per_count)
    elif fault.kind == "rail":
        acc[during, fault.axis] = rail
    elif fault.kind == "frozen":
        acc[during] = np.rint(np.array([0.1, -0.05, 0.98]) / g_per_count).astype(np.int16)
    else:
        period_s = float(t_s[1] - t_s[0]) if len(t_s) > 1 else 0.01
        # By the number of the sample, so that a spike does not depend on how frames are cut.
        number = np.rint(t_s / period_s).astype(np.uint64)
        mixed = (number * np.uint64(0x9E3779B97F4A7C15) + np.uint64(fault.helmet)) >> np.uint64(40)
        hit = during & (mixed / 2.0**24 < 0.5 * period_s)
        acc[hit, fault.axis] = min(rail, round(9.0 / g_per_count))
