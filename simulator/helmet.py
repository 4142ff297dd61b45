"""Helmets as devices: they cut their motion into frames the way `docs/payload.md` asks of every helmet."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.model import Flag, Frames, Strap, Worn
from ingest.codec import encode_motion
from simulator.everyday import STATE, everyday, loops
from simulator.motion import rotation
from simulator.rider import Rider, Truth
from simulator.scenario import Scenario
from simulator.sensor import Part, counts

IMPACT_G = 6.0
"""Resultant at which a helmet sends early (device contract, rule 2)."""
FLUSH_S = 0.4
"""How long after that it sends."""

SHENZHEN_DEG = (22.5431, 114.0579)
_M_PER_DEG = 111_320.0


@dataclass(frozen=True, slots=True)
class Frame:
    """A finished frame, waiting for the moment its last sample has been taken."""

    index: int
    """Which helmet of the fleet."""
    seq: int
    t0_us: int
    due_us: int
    on_impact: bool
    payload: bytes
    truths: tuple[Truth, ...] = ()
    """What really happened within it."""


def frame_length(resultant_g: npt.NDArray[np.floating], rate_hz: float) -> tuple[int, bool]:
    """Samples in a frame, and whether it is sent on impact: a second, or until 0.4 s after the first 6 g.

    A helmet that is struck at the end of its second does not send twice: the 0.4 s replace the second's end,
    so the frame may have up to 1.4 s. `resultant_g` (n,) holds the first second from the frame's start.
    """
    hit = np.flatnonzero(resultant_g[: round(rate_hz)] >= IMPACT_G)
    if len(hit) == 0:
        return round(rate_hz), False
    return int(hit[0]) + 1 + round(FLUSH_S * rate_hz), True


class Helmets:
    """All helmets of a scenario. `prepare` makes each its next frame; their own time starts at `start_us`."""

    def __init__(self, scenario: Scenario, start_us: int) -> None:
        n = scenario.helmets
        self.scenario = scenario
        self.ids = [scenario.helmet_id(i) for i in range(n)]
        # Frames are unique by helmet, boot and seq for ever, so a later run must be a later boot.
        self.boot = start_us // 1_000_000 & 0xFFFFFFFF
        self.state = np.zeros(n, STATE)
        self.parts: list[Part] = []
        self.riders: list[Rider] = []
        self._mount = np.zeros((n, 3, 3), np.float32)
        self._gain = np.ones((n, 3), np.float32)
        self._offset_g = np.zeros((n, 3), np.float32)
        self._knows_position, self._knows_worn = np.ones(n, bool), np.ones(n, bool)
        self._accuracy_m, self._battery = np.zeros(n, np.float32), np.zeros(n)
        self.origin_us = np.zeros(n, np.int64)
        self._sample, self._seq = np.zeros(n, np.int64), np.zeros(n, np.int64)
        for i in range(n):
            self._build(i, np.random.default_rng((scenario.seed, 3, i)), start_us)
        self._rate = np.array([p.rate_hz for p in self.parts])
        self._period_ns = np.array([p.period_ns for p in self.parts], np.int64)
        self._full_scale_g = np.array([p.full_scale_g for p in self.parts])
        self._g_per_count = np.array([p.g_per_count for p in self.parts])
        self._noise_g = np.array([p.noise_g for p in self.parts], np.float32)

    def _build(self, i: int, rng: np.random.Generator, start_us: int) -> None:
        scenario = self.scenario
        parts, shares = zip(*scenario.parts, strict=True)
        part = parts[int(np.searchsorted(np.cumsum(shares), rng.random() * sum(shares)))]
        self.parts.append(part)
        self.riders.append(Rider(scenario, i, part, self.state[i : i + 1][0]))
        # Sat on the head a little askew; gain and zero offset within what data sheets allow.
        self._mount[i] = rotation(rng.normal(0, np.radians([4, 6, 6])))
        self._gain[i], self._offset_g[i] = rng.normal(1, 0.01, 3), rng.normal(0, 0.02, 3)
        self._knows_position[i] = rng.random() >= scenario.without_position
        self._knows_worn[i] = rng.random() >= scenario.without_wear_sensor
        self._accuracy_m[i], self._battery[i] = rng.uniform(2.5, 9), rng.uniform(45, 100)
        self.origin_us[i] = start_us + int(rng.uniform(0, 1e6))

    def prepare(self, rows: npt.NDArray[np.intp]) -> list[Frame]:
        """The next frame of each of the helmets `rows`, in no particular order."""
        starts_s = self._sample[rows] / self._rate[rows]
        for i, t_s in zip(rows.tolist(), starts_s.tolist(), strict=True):
            if self.riders[i].next_s <= t_s:
                self.riders[i].plan(t_s)
        out: list[Frame] = []
        for rate in np.unique(self._rate[rows]).tolist():
            group = rows[self._rate[rows] == rate]
            acc, speed = self._measure(group, rate, rate)
            scaled = acc * self._g_per_count[group, None, None]
            resultant = np.sqrt(np.einsum("mnk,mnk->mn", scaled, scaled))
            struck = (resultant >= IMPACT_G).any(1)
            calm = group[~struck]
            if len(calm):
                out += self._finish(calm, acc[~struck], speed[~struck], False)
            for k in np.flatnonzero(struck).tolist():
                n, _ = frame_length(resultant[k], rate)
                one = group[k : k + 1]
                out += self._finish(one, *self._measure(one, rate, n), True)
        return out

    def _measure(
        self, rows: npt.NDArray[np.intp], rate: int, n: int
    ) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float64]]:
        """Counts (m, n, 3) and speed (m, n) from each helmet's next sample on."""
        first = self._sample[rows]
        f, speed = everyday(rate, self.state[rows], first, n)
        for k, i in enumerate(rows.tolist()):
            for overlay in self.riders[i].overlays:
                start = overlay.start - int(first[k])
                a, b = max(0, start), min(n, start + len(overlay.f))
                if a < b:
                    part = slice(a - start, b - start)
                    f[k, a:b] = f[k, a:b] * overlay.keep[part, None] + overlay.f[part]
        made = loops(rate)
        place = (7 * self.state["offset"][rows] + first)[:, None] + np.arange(n)
        noise = np.stack([made.noise[(place + k * made.samples // 3) % made.samples] for k in range(3)], -1)
        measured = (f @ self._mount[rows].transpose(0, 2, 1)) * self._gain[rows, None]
        measured += self._offset_g[rows, None] + self._noise_g[rows, None, None] * noise
        full, step = self._full_scale_g[rows, None, None], self._g_per_count[rows, None, None]
        return counts(measured, full, step), speed

    def _finish(
        self,
        rows: npt.NDArray[np.intp],
        acc: npt.NDArray[np.int16],
        speed: npt.NDArray[np.float64],
        on_impact: bool,
    ) -> list[Frame]:
        """Encodes frames of equal length and moves their helmets on to the next."""
        n = acc.shape[1]
        first, seq = self._sample[rows], self._seq[rows]
        t0_us = self.origin_us[rows] + first * self._period_ns[rows] // 1000
        due_us = self.origin_us[rows] + (first + n) * self._period_ns[rows] // 1000
        payloads = encode_motion(self._frames(rows, acc, speed[:, 0], t0_us, on_impact))
        self._sample[rows] += n
        self._seq[rows] += 1
        self.state["went_m"][rows] += speed.sum(1) / self._rate[rows]
        columns = (rows.tolist(), seq.tolist(), t0_us.tolist(), due_us.tolist(), payloads)
        return [
            Frame(i, s, t0, due, on_impact, payload, self._truths(i))
            for i, s, t0, due, payload in zip(*columns, strict=True)
        ]

    def _truths(self, i: int) -> tuple[Truth, ...]:
        """What happened to a helmet up to the end of the frame just made, once."""
        rider = self.riders[i]
        if not rider.truths:
            return ()
        end_s = self._sample[i] / self._rate[i]
        now = tuple(t for t in rider.truths if t.t_s < end_s)
        rider.truths = [t for t in rider.truths if t.t_s >= end_s]
        return now

    def _frames(
        self,
        rows: npt.NDArray[np.intp],
        acc: npt.NDArray[np.int16],
        speed: npt.NDArray[np.float64],
        t0_us: npt.NDArray[np.int64],
        on_impact: bool,
    ) -> Frames:
        state, known = self.state[rows], self._knows_position[rows]
        worn = np.array([self.riders[i].worn for i in rows.tolist()])
        rails = np.rint(self._full_scale_g / self._g_per_count)[rows, None, None] - 1
        clipped = (np.abs(acc.astype(np.int32)) >= rails).any((1, 2))
        lat, lon = self._position(state)
        spent = self._sample[rows] / self._rate[rows] / 3600 * 4.0
        k = len(rows)
        return Frames(
            helmet=[self.ids[i] for i in rows.tolist()],
            boot=np.full(k, self.boot, np.uint32),
            seq=self._seq[rows].astype(np.uint32),
            t0_us=t0_us,
            received_us=t0_us,
            period_ns=self._period_ns[rows].astype(np.uint32),
            full_scale_g=self._full_scale_g[rows].astype(np.float32),
            g_per_count=self._g_per_count[rows].astype(np.float32),
            rad_s_per_count=np.zeros(k, np.float32),
            acc=acc,
            gyro=None,
            flags=np.where(clipped, Flag.CLIPPED, 0).astype(np.uint8) | np.uint8(Flag.ON_IMPACT * on_impact),
            worn=np.where(self._knows_worn[rows], np.where(worn, Worn.YES, Worn.NO), Worn.UNKNOWN).astype(
                np.uint8
            ),
            strap=np.where(worn, Strap.CLOSED, Strap.OPEN).astype(np.uint8),
            # Charged again before it is empty: the fleet is about crashes, not about batteries.
            battery_pct=(15 + (self._battery[rows] - 15 - spent) % 85).astype(np.uint8),
            peak_g=np.full(k, np.nan, np.float32),
            lat_deg=np.where(known, lat, np.nan),
            lon_deg=np.where(known, lon, np.nan),
            accuracy_m=np.where(known, self._accuracy_m[rows], np.nan).astype(np.float32),
            position_age_s=np.where(known, 0.2, np.nan).astype(np.float32),
            speed_mps=np.where(known, speed, np.nan).astype(np.float32),
        )

    def _position(
        self, state: npt.NDArray[np.void]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Latitude and longitude (m,) in degrees, whether or not the helmet itself knows them."""
        east = state["x_m"] + state["east"] * state["went_m"]
        north = state["y_m"] + state["north"] * state["went_m"]
        lat, lon = SHENZHEN_DEG
        return lat + north / _M_PER_DEG, lon + east / (_M_PER_DEG * np.cos(np.radians(lat)))

    def place(self, index: int) -> tuple[float | None, float | None]:
        """Latitude and longitude as one helmet knows them."""
        if not self._knows_position[index]:
            return None, None
        lat, lon = self._position(self.state[index : index + 1])
        return float(lat[0]), float(lon[0])
