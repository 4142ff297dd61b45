"""What goes wrong between a helmet and the broker, as a wrapper around its frames; seeded."""

import zlib
from dataclasses import dataclass, fields

import numpy as np


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

    def __bool__(self) -> bool:
        """Whether anything can go wrong at all."""
        return any(getattr(self, f.name) > 0 for f in fields(self))


NO_FAULTS = Faults()


class FaultyStream:
    """One helmet's way to the broker. Frames go in one by one, in order; what is sent comes out."""

    def __init__(self, faults: Faults, seed: tuple[int, ...]) -> None:
        self._faults = faults
        self._rng = np.random.default_rng(seed)
        self._held: bytes | None = None

    def send(self, payload: bytes) -> list[tuple[bytes, bool]]:
        """What reaches the broker instead of `payload`, each with whether it is a sound frame."""
        faults, rng = self._faults, self._rng
        out: list[tuple[bytes, bool]] = []
        held, self._held = self._held, None
        # One draw for each fault and frame, needed or not: changing one probability moves no other fault.
        happens = {f.name: rng.random() < getattr(faults, f.name) for f in fields(faults)}
        if happens["loss"]:
            pass
        elif (broken := _broken(payload, happens, rng)) is not None:
            out.append((broken, False))
        elif happens["swap"] and held is None:
            self._held = payload
        else:
            out += [(payload, True)] * (2 if happens["duplicate"] else 1)
        if held is not None:
            out.append((held, True))
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
