"""Helmets as devices: they cut their motion into frames the way `docs/payload.md` asks of every helmet."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.model import Flag, Frames, Strap, Worn
from ingest.codec import encode_motion
from simulator.everyday import STATE, speed
from simulator.measure import Seen, Sensors
from simulator.rider import Rider, Truth
from simulator.scenario import Scenario
from simulator.sensor import Part
from simulator.working import WorkingRider

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
    covered: bool = True
    """Whether the place has network, where the rider's day says so."""
    powered: bool = True
    """Whether the battery let the helmet live; a frame without power was never made."""


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
        self.boots = np.full(n, self.boot, np.int64)
        self.state = np.zeros(n, STATE)
        self.parts: list[Part] = []
        self.riders: list[Rider] = []
        self._days: dict[int, WorkingRider] = {}
        self._powered = np.ones(n, bool)
        self._knows_position, self._knows_worn = np.ones(n, bool), np.ones(n, bool)
        self._accuracy_m, self._battery = np.zeros(n, np.float32), np.zeros(n)
        self.origin_us = np.zeros(n, np.int64)
        self._sample, self._seq = np.zeros(n, np.int64), np.zeros(n, np.int64)
        rngs = [np.random.default_rng((scenario.seed, 3, i)) for i in range(n)]
        for i, rng in enumerate(rngs):
            self._live(i, rng)
        self._sensors = Sensors(self.parts, rngs, scenario.sensor_faults)
        for i, rng in enumerate(rngs):
            self._equip(i, rng, start_us)
        self._rate = np.array([p.rate_hz for p in self.parts])
        self._period_ns = np.array([p.period_ns for p in self.parts], np.int64)
        self._full_scale_g = np.array([p.full_scale_g for p in self.parts])
        self._g_per_count = np.array([p.g_per_count for p in self.parts])
        self._rad_s_per_count = np.array([p.rad_s_per_count for p in self.parts])
        self._has_gyro = self._rad_s_per_count > 0
        self._step_us, self._drift_ppm = np.zeros(n, np.int64), np.zeros(n)
        self._drifts_from_us = np.zeros(n, np.int64)
        self._empty_s = np.full(n, np.inf)
        for flat in scenario.flats:
            self._empty_s[flat.helmet] = flat.t_s

    def _live(self, i: int, rng: np.random.Generator) -> None:
        """Draws a helmet's part and its rider."""
        scenario = self.scenario
        parts, shares = zip(*scenario.parts, strict=True)
        part = parts[int(np.searchsorted(np.cumsum(shares), rng.random() * sum(shares)))]
        group = scenario.group(i)
        if group and group.part:
            part = group.part
        self.parts.append(part)
        row = self.state[i : i + 1][0]
        if group and group.day:
            self._days[i] = WorkingRider(scenario, i, part, row, group.day)
        self.riders.append(self._days.get(i) or Rider(scenario, i, part, row))

    def _equip(self, i: int, rng: np.random.Generator, start_us: int) -> None:
        """Draws what a helmet knows of itself, and when its own seconds begin."""
        scenario, group = self.scenario, self.scenario.group(i)
        self._knows_position[i] = rng.random() >= scenario.without_position
        self._knows_worn[i] = rng.random() >= scenario.without_wear_sensor
        if group and group.position is not None:
            self._knows_position[i] = group.position
        if group and group.wear_sensor is not None:
            self._knows_worn[i] = group.wear_sensor
        self._accuracy_m[i], self._battery[i] = rng.uniform(2.5, 9), rng.uniform(45, 100)
        self.origin_us[i] = start_us + int(rng.uniform(0, 1e6))

    def prepare(self, rows: npt.NDArray[np.intp]) -> list[Frame]:
        """The next frame of each of the helmets `rows`, in no particular order."""
        starts_s = self._sample[rows] / self._rate[rows]
        for i, t_s in zip(rows.tolist(), starts_s.tolist(), strict=True):
            if self.riders[i].next_s <= t_s:
                self.riders[i].plan(t_s)
                if self.riders[i].powered != self._powered[i]:
                    self._switch(i, t_s)
        out: list[Frame] = []
        kinds = self._rate[rows] + 0.5 * self._has_gyro[rows]
        for kind in np.unique(kinds).tolist():
            group, rate = rows[kinds == kind], int(kind)
            seen = self._measure(group, rate, rate)
            scaled = seen.acc * self._g_per_count[group, None, None]
            resultant = np.sqrt(np.einsum("mnk,mnk->mn", scaled, scaled))
            struck = (resultant >= IMPACT_G).any(1)
            calm = group[~struck]
            if len(calm):
                out += self._finish(calm, seen.rows(~struck), False)
            for k in np.flatnonzero(struck).tolist():
                n, _ = frame_length(resultant[k], rate)
                one = group[k : k + 1]
                out += self._finish(one, self._measure(one, rate, n), True)
        return out

    def reboot(self, i: int, at_us: int) -> None:
        """A helmet starts anew at `at_us`: next boot count, seq from 0; what it did before that is not told."""
        first = -(-(at_us - int(self.origin_us[i])) * 1000 // int(self._period_ns[i]))
        gap_s = (first - self._sample[i]) / self._rate[i]
        now_s = np.array([[self._sample[i] / self._rate[i]]])
        self.state["went_m"][i] += gap_s * float(speed(self.state[i : i + 1], now_s)[0, 0])
        self._sample[i] = first
        self._start_anew(i, at_us)

    def _switch(self, i: int, t_s: float) -> None:
        """The battery is empty, or a charger lets the helmet start anew."""
        self._powered[i] = self.riders[i].powered
        if self._powered[i]:
            self._start_anew(i, int(self.origin_us[i]) + round(t_s * 1e6))

    def _start_anew(self, i: int, at_us: int) -> None:
        self._seq[i] = 0
        # The moment of the start: no later run may count the same boot again.
        self.boots[i] = max(int(self.boots[i]) + 1, at_us // 1_000_000 & 0xFFFFFFFF)

    def set_clock(self, i: int, at_us: int, step_us: int, drift_ppm: float) -> None:
        """A helmet's own clock is moved by `step_us` at `at_us` and drifts by `drift_ppm` from then on."""
        self._step_us[i] = self.clock_error_us(i, at_us) + step_us
        self._drift_ppm[i], self._drifts_from_us[i] = drift_ppm, at_us

    def clock_error_us(self, i: int, at_us: int) -> int:
        """How far a helmet's own clock is ahead at a true time."""
        drifted = self._drift_ppm[i] * 1e-6 * (at_us - int(self._drifts_from_us[i]))
        return int(self._step_us[i]) + round(float(drifted))

    def _measure(self, rows: npt.NDArray[np.intp], rate: int, n: int) -> Seen:
        """What each helmet's part makes of its next n samples."""
        overlays = [self.riders[i].overlays for i in rows.tolist()]
        return self._sensors.measure(rows, rate, self._sample[rows], n, self.state[rows], overlays)

    def _finish(self, rows: npt.NDArray[np.intp], seen: Seen, on_impact: bool) -> list[Frame]:
        """Encodes frames of equal length and moves their helmets on to the next."""
        n = seen.acc.shape[1]
        first, seq = self._sample[rows], self._seq[rows]
        t0_us = self.origin_us[rows] + first * self._period_ns[rows] // 1000
        due_us = self.origin_us[rows] + (first + n) * self._period_ns[rows] // 1000
        drifted = self._drift_ppm[rows] * 1e-6 * (t0_us - self._drifts_from_us[rows])
        told_us = t0_us + self._step_us[rows] + np.rint(drifted).astype(np.int64)
        payloads = encode_motion(self._frames(rows, seen, told_us, on_impact))
        self._sample[rows] += n
        self._seq[rows] += 1
        self.state["went_m"][rows] += seen.speed.sum(1) / self._rate[rows]
        columns = (rows.tolist(), seq.tolist(), told_us.tolist(), due_us.tolist(), payloads)
        return [
            Frame(
                i,
                s,
                t0,
                due,
                on_impact,
                payload,
                self._truths(i),
                self.riders[i].covered,
                bool(self._powered[i]),
            )
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
        seen: Seen,
        t0_us: npt.NDArray[np.int64],
        on_impact: bool,
    ) -> Frames:
        acc = seen.acc
        state, known = self.state[rows], self._knows_position[rows]
        worn = np.array([self.riders[i].worn for i in rows.tolist()])
        rails = np.rint(self._full_scale_g / self._g_per_count)[rows, None, None] - 1
        clipped = (np.abs(acc.astype(np.int32)) >= rails).any((1, 2))
        lat, lon = self._position(state)
        now_s = self._sample[rows] / self._rate[rows]
        spent = now_s / 3600 * 4.0
        # Charged again before it is empty: the fleet is about crashes, not about batteries.
        battery = 15 + (self._battery[rows] - 15 - spent) % 85
        for k, i in enumerate(rows.tolist()):
            if i in self._days:
                battery[k] = self._days[i].battery_pct(now_s[k])
        # One that is to run empty loses a percent in 20 s towards its end.
        battery = np.clip(np.minimum(battery, (self._empty_s[rows] - now_s) / 20), 0, 100)
        return Frames(
            helmet=[self.ids[i] for i in rows.tolist()],
            boot=self.boots[rows].astype(np.uint32),
            seq=self._seq[rows].astype(np.uint32),
            t0_us=t0_us,
            received_us=t0_us,
            period_ns=self._period_ns[rows].astype(np.uint32),
            full_scale_g=self._full_scale_g[rows].astype(np.float32),
            g_per_count=self._g_per_count[rows].astype(np.float32),
            rad_s_per_count=self._rad_s_per_count[rows].astype(np.float32),
            acc=acc,
            gyro=seen.gyro,
            flags=np.where(clipped, Flag.CLIPPED, 0).astype(np.uint8) | np.uint8(Flag.ON_IMPACT * on_impact),
            worn=np.where(self._knows_worn[rows], np.where(worn, Worn.YES, Worn.NO), Worn.UNKNOWN).astype(
                np.uint8
            ),
            strap=np.where(worn, Strap.CLOSED, Strap.OPEN).astype(np.uint8),
            battery_pct=battery.astype(np.uint8),
            peak_g=seen.peak_g.astype(np.float32),
            lat_deg=np.where(known, lat, np.nan),
            lon_deg=np.where(known, lon, np.nan),
            accuracy_m=np.where(known, self._accuracy_m[rows], np.nan).astype(np.float32),
            position_age_s=np.where(known, 0.2, np.nan).astype(np.float32),
            speed_mps=np.where(known, seen.speed[:, 0], np.nan).astype(np.float32),
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
