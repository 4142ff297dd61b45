"""Frames of a crowd: tens of thousands of riding helmets made by arrays, for load alone. Nothing ever happens to them.

Their motion is the loops of `simulator.everyday`; each helmet reads them at a place, with a strength, a vehicle, a
speed and a zero offset of its own, so that no two send the same samples.
"""

import zlib

import numpy as np
import numpy.typing as npt

from core.model import Flag, Strap, Worn
from ingest.codec import HEADER, VERSION, topic
from simulator.everyday import SPEED_STEP_MPS, loops
from simulator.motion import VEHICLES
from simulator.sensor import STANDARD

_RATE = STANDARD.rate_hz
_FRAME = HEADER.itemsize + 6 * _RATE + 4
_MIDDLE_DEG = (22.5431, 114.0579)


class Crowd:
    """Frames of many riding helmets at 100 Hz and one frame a second."""

    def __init__(self, helmets: int, seed: int, start_us: int, prefix: str = "C-") -> None:
        rng = np.random.default_rng((seed, 29))
        made = loops(_RATE)
        steps = len(made.ride) // len(VEHICLES) // made.samples
        self.helmets, self._start_us, self._samples = helmets, start_us, made.samples
        self.ids = [f"{prefix}{i + 1:06d}" for i in range(helmets)]
        # The loop's beginning once more at its end, so that a second never has to be put together from two parts.
        ride = made.ride.reshape(-1, made.samples)
        looped = np.concatenate([ride, ride[:, :_RATE]], 1).ravel()
        self._windows = np.lib.stride_tricks.sliding_window_view(looped, _RATE)
        step = rng.integers(2, steps - 3, helmets)
        vehicle = rng.integers(len(VEHICLES), size=helmets)
        self._row = (vehicle * steps + step) * (made.samples + _RATE)
        self._place = rng.integers(0, made.samples, helmets)
        self._scale = (np.exp(rng.normal(0, 0.4, helmets)) / STANDARD.g_per_count).astype(np.float32)
        up = np.stack([rng.normal(0, 0.08, helmets), rng.normal(0, 0.08, helmets), np.ones(helmets)], 1)
        self._bias = (up / np.linalg.norm(up, axis=1, keepdims=True) / STANDARD.g_per_count).astype(
            np.float32
        )
        speed = np.asarray(step * SPEED_STEP_MPS, np.float64)
        self.boot = start_us // 1_000_000 & 0xFFFFFFFF
        self._header = self._headers(rng, speed)
        self._step_e7 = np.rint(speed / 111_320 * 1e7).astype(np.int64)

    def _headers(self, rng: np.random.Generator, speed: npt.NDArray[np.float64]) -> npt.NDArray[np.void]:
        header = np.zeros(self.helmets, HEADER)
        header["magic"], header["version"], header["count"] = b"HW", VERSION, _RATE
        header["flags"] = Flag.POSITION
        header["helmet"] = np.array([name.encode() for name in self.ids], "S24")
        header["boot"], header["period_ns"] = self.boot, STANDARD.period_ns
        header["worn"], header["strap"], header["battery_pct"] = Worn.YES, Strap.CLOSED, 80
        header["full_scale_g"], header["g_per_count"] = STANDARD.full_scale_g, STANDARD.g_per_count
        header["peak_g"], header["accuracy_dm"], header["position_age_ms"] = np.nan, 40, 200
        header["speed_cmps"] = np.rint(100 * speed)
        header["lat_e7"] = np.rint((_MIDDLE_DEG[0] + rng.normal(0, 0.03, self.helmets)) * 1e7)
        header["lon_e7"] = np.rint((_MIDDLE_DEG[1] + rng.normal(0, 0.03, self.helmets)) * 1e7)
        return header

    def t0_us(self, rows: slice, second: int) -> npt.NDArray[np.int64]:
        """(m,) device time of the first sample of these frames: helmet i of n is i/n of a second after helmet 0."""
        late_us = (np.arange(self.helmets)[rows] * 1_000_000) // self.helmets
        return np.asarray(self._start_us + second * 1_000_000 + late_us, np.int64)

    def frames(self, rows: slice, second: int) -> npt.NDArray[np.uint8]:
        """(m, 692) the frames of some helmets for the given second since the start, as they go over the wire."""
        header = self._header[rows].copy()
        place = self._place[rows] + second * _RATE
        third = self._samples // 3
        f = np.stack(
            [self._windows[self._row[rows] + (place + k * third) % self._samples] for k in (1, 2, 0)], -1
        )
        # Fore and aft and sideways the head shakes about a third as much as up and down.
        f *= self._scale[rows, None, None] * np.array([0.35, 0.35, 1.0], np.float32)
        f += self._bias[rows, None]
        np.clip(f, -32768, 32767, out=f)
        acc = np.rint(f, out=f).astype("<i2")
        header["seq"] = second
        header["t0_us"] = self.t0_us(rows, second)
        header["lat_e7"] += self._step_e7[rows] * second
        out = np.empty((len(header), _FRAME), np.uint8)
        out[:, : HEADER.itemsize] = header.view(np.uint8).reshape(len(header), -1)
        out[:, HEADER.itemsize : -4] = acc.reshape(len(header), -1).view(np.uint8)
        crc = np.fromiter((zlib.crc32(row) for row in out[:, :-4]), "<u4", len(out))
        out[:, -4:] = crc.view(np.uint8).reshape(-1, 4)
        return out


def packets(names: list[str], frames: npt.NDArray[np.uint8], first_id: int) -> bytes:
    """MQTT 3.1.1 PUBLISH packets at QoS 1 for equally long topics; packet identifiers 1 … 65,535 from `first_id` on."""
    topics = np.array([topic(name, "motion") for name in names], "S")
    m, length = len(names), topics.itemsize
    remaining = 2 + length + 2 + frames.shape[1]
    head = bytes([0x32, remaining & 0x7F | 0x80, remaining >> 7]) + length.to_bytes(2, "big")
    if not 128 <= remaining < 16384 or len({len(t) for t in topics.tolist()}) != 1:
        raise ValueError("topics of equal length and frames below 16 KB are needed")
    out = np.empty((m, len(head) + length + 2 + frames.shape[1]), np.uint8)
    out[:, : len(head)] = np.frombuffer(head, np.uint8)
    at = len(head) + length
    out[:, len(head) : at] = topics.view(np.uint8).reshape(m, -1)
    ids = ((first_id - 1 + np.arange(m)) % 65535 + 1).astype(">u2")
    out[:, at : at + 2] = ids.view(np.uint8).reshape(m, 2)
    out[:, at + 2 :] = frames
    return out.tobytes()
