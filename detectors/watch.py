"""One helmet under observation: its impacts, the decisions that fall due, and the incident they make."""

import heapq
from bisect import insort
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.config import Detection as Params
from core.model import Kind, Stage, Worn
from detectors import features, gravity, rules
from detectors.features import HORIZONS_S, PEAK_S, Frame, Head
from detectors.ring import PRE_S
from detectors.severity import Basis, quality, severity
from detectors.window import Window

_FOLLOW_S = HORIZONS_S[-1]
_INCIDENT_S = 120.0
"""Impacts later than this after the first are a new incident: a trace has an end."""
_SPIKE_G = 6.0
_ORDER = {Stage.FAST: 1, Stage.STANDARD: 2, Stage.CONFIRMED: 3}


@dataclass(slots=True, eq=False)
class Impact:
    """One impact that is being followed."""

    at: int
    up: gravity.Posture | None = None
    shock: dict[str, float] = field(default_factory=dict)
    whole: bool = False
    """Whether its shock was measured with all the samples it needs."""
    alerted: bool = False
    """Whether it would alert by itself; others only join."""


@dataclass(slots=True)
class Incident:
    """What has been said about a crash."""

    onset: Head
    """The frame that holds the first impact."""
    start: int
    """Number of that frame's first sample."""
    impacts: list[Impact]
    stage: Stage
    kind: Kind
    version: int = 0
    lost: bool = False
    confirmed: bool = False
    """Whether it ever was; then nothing takes it back altogether."""
    severity: int = 0
    severity_basis: Basis = "lower_bound"


class Decision(NamedTuple):
    """A new version of an incident, before it is put into words."""

    incident: Incident
    features: dict[str, float]
    points: dict[str, float]
    end: int
    """Number of the sample after the last that the decision rests on."""


@dataclass(slots=True)
class Watch:
    """Follows one helmet from the moment the gate fires until nothing is left to decide."""

    window: Window
    full_scale_g: float
    params: Params
    frames: list[Frame]
    scan: int
    """The next sample that may be the peak of an impact."""
    incident: Incident | None = None
    silenced: bool = False
    _spikes: int = 0
    _due: list[tuple[int, int, int]] = field(default_factory=list)
    """Heap of (sample at which it falls due, impact's sample, number of the horizon)."""
    _impacts: dict[int, Impact] = field(default_factory=dict)

    def take(self, index: int, counts: npt.NDArray[np.int16], frame: Frame) -> None:
        """Adds samples that start at number `index`: after the last, or where some before it are missing."""
        if index >= self.window.end:
            self.window.append(index, counts)
            if self.frames[-1].start != frame.start:
                self.frames.append(frame)
            return
        self.window.fill(index, counts)
        insort(self.frames, frame, key=lambda f: f.start)
        self.scan = min(self.scan, max(index, self.window.base))
        for impact in self._impacts.values():
            # Measured while these samples were missing.
            impact.whole = False
            impact.up = impact.up if impact.at < index else None

    def feed(self) -> list[Decision]:
        """Decides everything that the samples in the window allow."""
        self.silenced = False
        self._find(self.window.end - self._samples(PEAK_S), self.window.end)
        out = []
        while self._due and self._due[0][0] <= self.window.end:
            end, at, horizon = heapq.heappop(self._due)
            out += self._decide(self._impacts[at], HORIZONS_S[horizon], end, cut=False)
            if horizon + 1 == len(HORIZONS_S):
                self._impacts.pop(at, None)
        self._trim()
        return out

    def take_spikes(self) -> int:
        """How many lone wild samples were seen since the last call."""
        spikes, self._spikes = self._spikes, 0
        return spikes

    def settle(self) -> list[Decision]:
        """Decides what is open with the samples that are here: no more may come. Changes nothing else."""
        end = self.window.end
        self._find(end, end)
        out = []
        for at in sorted(self._impacts):
            impact = self._impacts[at]
            if any(a == at for _, a, _ in self._due):
                out += self._decide(impact, (end - at) / self.window.fs_hz, end, cut=True)
        self.silenced = True
        return out

    def done(self) -> bool:
        """Whether nothing is left to decide and no new impact could join."""
        if self._impacts or self.incident is not None:
            return False
        waiting = np.square(self.window.g(self.scan, self.window.end)).sum(-1)
        return not bool((waiting >= self.params.gate_g**2).any())

    def _samples(self, seconds: float) -> int:
        return round(seconds * self.window.fs_hz)

    def _find(self, stop: int, end: int) -> None:
        """Finds impacts among the samples up to `stop`: larger than all within `PEAK_S`, and past the gate."""
        if stop <= self.scan:
            return
        reach = self._samples(PEAK_S)
        first = max(self.scan - reach, self.window.base)
        size = np.square(self.window.g(first, end)).sum(-1)
        size[np.isnan(size)] = 0.0
        hits = np.flatnonzero(size[self.scan - first : stop - first] >= self.params.gate_g**2)
        for i in (hits + (self.scan - first)).tolist():
            before, after = size[max(i - reach, 0) : i], size[i + 1 : i + 1 + reach]
            if size[i] > before.max(initial=0.0) and size[i] >= after.max(initial=0.0):
                self._open(first + i)
        self.scan = stop

    def _open(self, at: int) -> None:
        """Follows an impact, unless it is known: samples that fill a hole are searched together with those after it."""
        if at in self._impacts or self._is_mine(at):
            return
        self._impacts[at] = Impact(at)
        for horizon, seconds in enumerate(HORIZONS_S):
            heapq.heappush(self._due, (at + self._samples(seconds), at, horizon))

    def _rest(self, at: int) -> gravity.Posture:
        """While a crash goes on, "before" is before the crash."""
        earlier = [] if self.incident is None else [i for i in self.incident.impacts if i.at < at]
        if earlier and at - earlier[-1].at <= self._samples(_FOLLOW_S) and earlier[-1].up is not None:
            return earlier[-1].up
        return features.rest(self.window, at)

    def _matters(self, at: int, end: int) -> bool:
        """A cheap look: most of what passes the gate is a road."""
        peak = float(np.square(self.window.g(at, at + 1)).sum())
        violence_g = features.violence_g(self.window, at, end)
        return peak >= self.params.strike_g**2 or violence_g >= self.params.fall_violence_g

    def _decide(self, impact: Impact, horizon_s: float, end: int, cut: bool) -> list[Decision]:
        p, at = self.params, impact.at
        mine = self._is_mine(at)  # what was said is followed to its end
        if not (mine or impact.whole or self._matters(at, end)):
            self._drop(impact, cut)
            return []
        if impact.up is None:
            impact.up = self._rest(at)
        if not impact.whole:
            impact.shock = features.shock(self.window, at, end, impact.up, self.full_scale_g)
            impact.shock["rest_g"] = float(np.sqrt(np.square(impact.up.up_g).sum()))
            impact.shock["vibration_before_g"] = impact.up.vibration_g
            impact.shock["walking_before"] = features.walking_before(self.window, at)
            impact.whole = end >= at + self._samples(PEAK_S)
            self._spikes += rules.is_spike(impact.shock) and impact.shock["peak_g"] >= _SPIKE_G
        strike, fall = rules.is_strike(impact.shock, p), rules.is_fall(impact.shock, p)
        if not (mine or strike or fall):
            self._drop(impact, cut)
            return []
        f = dict(impact.shock)
        f |= features.aftermath(self.window, at, end, impact.up)
        f |= features.context(self.frames, at, end, self.window.fs_hz, p.riding_mps)
        verdict = rules.judge(f, p, horizon_s, cut)
        if not mine and verdict.stage is None and horizon_s >= 2 and not strike:
            settled = f.get("tilt_deg", np.nan)
            if settled < p.upright_deg:
                self._drop(impact, cut)
        return self._conclude(impact, f, verdict, end, cut)

    def _conclude(
        self, impact: Impact, f: dict[str, float], verdict: rules.Verdict, end: int, cut: bool
    ) -> list[Decision]:
        incident = self._incident_of(impact)
        impact.alerted |= verdict.stage is not None
        if incident is None:
            if verdict.stage is None:
                return []
            incident = Incident(*self._frame(impact.at), [impact], verdict.stage, verdict.kind)
            self.incident = incident
            return [self._say(incident, f, verdict, end, cut)]
        before, joined = incident.stage, impact not in incident.impacts
        withdrawn = before in (Stage.CANCELLED, Stage.DOWNGRADED)
        if joined:
            if verdict.stage is None and (withdrawn or not rules.is_hard(f, self.params)):
                return []
            incident.impacts = sorted([*incident.impacts, impact], key=lambda i: i.at)
        if verdict.stage is not None and _ORDER[verdict.stage] > _ORDER.get(before, 0):
            if joined or not withdrawn or verdict.stage == Stage.CONFIRMED:
                incident.stage = verdict.stage
        elif (
            not joined
            and impact.alerted
            and not any(i.alerted and i.at > impact.at for i in incident.impacts)
        ):
            # What the last blow that mattered left behind decides, not the bumps of riding on.
            incident.stage = rules.withdraw(before, incident.confirmed, verdict)
        if verdict.kind == Kind.HEAD_STRIKE and incident.kind == Kind.FALL:
            incident.kind = verdict.kind
        newly_lost = cut and not incident.lost and incident.stage in _ORDER
        if incident.stage == before and not joined and not newly_lost and not self._worse(incident, f):
            return []
        return [self._say(incident, f, verdict, end, cut)]

    def _say(
        self, incident: Incident, f: dict[str, float], verdict: rules.Verdict, end: int, cut: bool
    ) -> Decision:
        incident.version += 1
        incident.lost = cut
        incident.confirmed |= incident.stage == Stage.CONFIRMED
        level, basis = self._severity(incident, f)
        if level >= incident.severity or incident.kind == Kind.HELMET_LOST:
            incident.severity, incident.severity_basis = level, basis
        said = replace(incident, impacts=list(incident.impacts))
        return Decision(said, f, verdict.points, end)

    def _worse(self, incident: Incident, f: dict[str, float]) -> bool:
        return incident.stage in _ORDER and self._severity(incident, f)[0] > incident.severity

    def _severity(self, incident: Incident, f: dict[str, float]) -> tuple[int, Basis]:
        if incident.kind == Kind.HELMET_LOST and f["worn"] == Worn.NO:
            return 1, "context"  # nobody's head was in it, however hard it fell
        grade = quality(self.window.fs_hz, self.full_scale_g)
        return severity([impact.shock for impact in incident.impacts], f, grade)

    def _incident_of(self, impact: Impact) -> Incident | None:
        """The incident that an impact is or would be part of, if any."""
        incident = self.incident
        if incident is None or impact in incident.impacts:
            return incident
        first, last = incident.impacts[0].at, incident.impacts[-1].at
        join = self._samples(self.params.join_s)
        near = first - join <= impact.at <= last + join
        return incident if near and impact.at - first <= self._samples(_INCIDENT_S) else None

    def _is_mine(self, at: int) -> bool:
        """Whether the incident has an impact at this sample."""
        return self.incident is not None and any(i.at == at for i in self.incident.impacts)

    def _frame(self, at: int) -> tuple[Head, int]:
        """The newest frame that starts at or before a sample: the one that holds it."""
        return next((f.head, f.start) for f in reversed(self.frames) if f.start <= at and f.head is not None)

    def _drop(self, impact: Impact, cut: bool) -> None:
        """Follows an impact no longer; where the samples just ran out, more may yet make it count."""
        if cut:
            return
        self._impacts.pop(impact.at, None)
        self._due = [entry for entry in self._due if entry[1] != impact.at]
        heapq.heapify(self._due)

    def _trim(self) -> None:
        """Forgets an incident that nothing can join any more, and samples that nothing needs."""
        incident = self.incident
        if incident is not None:
            last = incident.impacts[-1].at
            over = self.scan - last > self._samples(self.params.join_s)
            if over and not any(i.at in self._impacts for i in incident.impacts):
                self.incident = incident = None
        oldest = min([self.scan - self._samples(PEAK_S), *self._impacts])
        if incident is not None:
            oldest = min(oldest, incident.impacts[0].at)
        self.window.forget_before(oldest - self._samples(PRE_S))
        if len(self.frames) > 256:
            keep = oldest - self._samples(12.0)
            self.frames = [f for f in self.frames if f.start >= keep]
