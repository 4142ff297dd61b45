"""How often riders would be alerted for nothing, estimated from simulated confounders, each by its assumed rate.

FA/h = Σ λ_k p_k over strata: what happens, times what the helmet says of itself. No ride of 30,000 hours is needed,
but the λ are assumptions: the table of them is always printed beside the figure.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table
from scipy.stats import beta, genpareto

from app.trials import Clips, MakeMotion, Said, Situation, make, run
from core.config import Detection as Params
from core.model import Detection, Stage, Worn
from detectors import features, rules
from detectors.window import Window
from simulator import handling, impacts, mishaps
from simulator.impacts import Motion
from simulator.motion import Obstacle, Vehicle
from simulator.sensor import PARTS

Array = npt.NDArray[np.float64]

_PARTS = (("100hz-16g", 0.7), ("200hz-32g", 0.2), ("400hz-200g", 0.1))
_WEAR = ((None, 0.92), (Worn.UNKNOWN, 0.05), ("wrong", 0.03))
"""The wear sensor is right, missing, or stuck at the wrong side."""
_SPEED_KNOWN = 0.9
_BATCH = 50
_TAIL = 0.1
"""Share of the highest scores that the tail is fitted to."""
_RESAMPLES = 200
_ALERTS = (Stage.FAST, Stage.STANDARD, Stage.CONFIRMED)


@dataclass(frozen=True, slots=True)
class Confounder:
    """Something that is not a crash, and how often it is assumed to happen."""

    name: str
    per_hour: float
    """Per worn riding hour."""
    situation: Situation
    worn: bool
    motion: MakeMotion


def _plain(motion: Callable[[np.random.Generator], Motion]) -> MakeMotion:
    return lambda rng, _speed, _vehicle: motion(rng)


def _obstacle(kind: Obstacle) -> MakeMotion:
    def made(rng: np.random.Generator, speed_mps: float, vehicle: Vehicle) -> Motion:
        return impacts.rough_spot(rng, speed_mps, vehicle, kind)

    return made


def _doff(rng: np.random.Generator) -> Motion:
    return handling.doff(rng, handling.lying(rng))


CONFOUNDERS = (
    Confounder("speed bump", 6.0, "ride", True, _obstacle("bump")),
    Confounder("pothole", 4.0, "ride", True, _obstacle("pothole")),
    Confounder("kerb", 2.0, "ride", True, _obstacle("kerb")),
    Confounder("hard braking", 5.0, "ride", True, _plain(mishaps.brake)),
    Confounder("look over the shoulder", 20.0, "ride", True, _plain(mishaps.head_turn)),
    Confounder("sitting down, standing up", 4.0, "stand", True, _plain(mishaps.stand_up)),
    Confounder("jump, stairs", 0.5, "walk", True, _plain(mishaps.jump)),
    Confounder("door frame", 0.02, "walk", True, _plain(impacts.door)),
    Confounder("helmet put on a table", 4.0, "park", False, _plain(impacts.table)),
    Confounder("helmet taken off", 4.0, "stand", False, _plain(_doff)),
    Confounder("empty helmet dropped", 0.03, "park", False, _plain(impacts.drop)),
    Confounder("knocks on the handlebar", 0.6, "ride", False, _plain(mishaps.handlebar)),
    Confounder("washing", 0.001, "park", False, _plain(mishaps.washing)),
)
"""Rates are planning figures of this project, none of them measured: 0.6/h is six knocks an hour in a tenth of it."""


@dataclass(slots=True)
class Stratum:
    """One confounder under one thing that the helmet says of itself."""

    what: Confounder
    said: Said
    weight: float
    """λ times the share of helmets that say this, per hour."""
    number: int
    trials: int = 0
    alerted: int = 0
    stood: int = 0
    """Alerts that nothing had taken back 10 s later."""
    scores: list[float] = field(default_factory=list)
    """How close each trial came: the least margin to a threshold, 1 where all are passed."""

    def extend(self, trials: int, seed: int, params: Params | None) -> None:
        """Runs more trials."""
        for name, many in _shares(trials):
            clips = make(
                self.what.situation, self.what.motion, PARTS[name], many, (seed, self.number, self.trials)
            )
            for k, said in enumerate(run(clips, self.said, params)):
                self.alerted += any(d.stage in _ALERTS for d in said)
                self.stood += _stands(said)
                self.scores.append(_score(clips, k, params or Params(), self.fast))
            self.trials += many

    @property
    def fast(self) -> bool:
        """Whether a blow alone may alert; where speed says that nobody rides, a turn must follow."""
        return self.what.situation == "ride" or not self.said.speed_known

    @property
    def silent(self) -> bool:
        """Whether it cannot alert by rule: the helmet says that nobody wears it. The pilot has checked that."""
        return self.said.worn == Worn.NO and self.alerted == 0

    @property
    def countable(self) -> bool:
        """Whether only counting is honest: it alerts, or scores pass 1 and wear or speed alone hold them back."""
        return self.alerted > 0 or max(self.scores) >= 1


def _shares(trials: int) -> Iterator[tuple[str, int]]:
    left = trials
    for name, share in _PARTS[:0:-1]:
        many = round(trials * share)
        left -= many
        if many:
            yield name, many
    yield _PARTS[0][0], left


def _stands(said: list[Detection]) -> bool:
    newest: dict[str, Detection] = {d.incident: d for d in said}
    return any(d.stage in _ALERTS for d in newest.values())


def _score(clips: Clips, k: int, p: Params, fast: bool) -> float:
    """The largest margin to `detectors.rules`: of a head strike (turned unless `fast`), a hard and a gentle fall."""
    part, acc = clips.part, clips.acc[k]
    window = Window(0, acc, np.zeros(len(acc), np.bool_), part.rate_hz, part.g_per_count)
    start = round((clips.impact_s[k] - 0.3) * part.rate_hz)
    size = np.square(window.g(start, start + 3 * part.rate_hz)).sum(1)
    at = start + int(size.argmax())
    up = features.rest(window, at).up_g
    f = features.shock(window, at, len(acc), up, part.full_scale_g)
    after = features.aftermath(window, at, at + round(3.5 * part.rate_hz), up)
    turn = {name: v for name, v in after.items() if name.startswith("tilt") and v == v}
    kept = min(max(turn.values(), default=0.0), turn.get("tilt_deg", 0.0)) / p.tilt_deg
    at_once, for_long = (turn.get(name, 0.0) / rules.LYING_DEG for name in ("tilt_early_deg", "tilt_3s_deg"))
    strike = rules.strike_margin(f, p)
    hard = min(f["violence_g"] / p.hard_violence_g, f["peak_g"] / rules.HARD_PEAK_G)
    gentle = f["violence_g"] / p.fall_violence_g
    return max(strike if fast else min(strike, kept), min(hard, max(at_once, kept)), min(gentle, for_long))


def _beyond(scores: Array) -> float:
    """Probability of a score of 1 or more by a generalised Pareto tail over the highest scores."""
    level = float(np.quantile(scores, 1 - _TAIL))
    over = scores[scores > level] - level
    if len(over) < 5 or over.max() <= 0:
        return 0.0
    shape, _, scale = genpareto.fit(over, floc=0)
    return float(_TAIL * genpareto.sf(1 - level, shape, 0, scale))


def strata() -> list[Stratum]:
    """Every confounder, times wear right, unknown and wrong, times speed known and not."""
    out: list[Stratum] = []
    for what in CONFOUNDERS:
        for wear, wear_share in _WEAR:
            truth = Worn.YES if what.worn else Worn.NO
            false = Worn.NO if what.worn else Worn.YES
            said = truth if wear is None else false if wear == "wrong" else Worn.UNKNOWN
            for known, share in ((True, _SPEED_KNOWN), (False, 1 - _SPEED_KNOWN)):
                weight = what.per_hour * wear_share * share
                out.append(Stratum(what, Said(Worn(said), known), weight, len(out)))
    return out


def estimate(
    trials: int, seed: int = 1, params: Params | None = None, progress: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Estimates false alerts per riding hour with about `trials` simulated clips, 95 % interval and table.

    A third of the trials goes to all strata alike; the others where λ√p is largest.
    """
    parts = strata()
    pilot = max(10, trials // 3 // len(parts))
    for s in parts:
        s.extend(pilot, seed, params)
        if progress:
            progress(pilot)
    need = np.zeros(len(parts))
    for k, s in enumerate(parts):
        tail = _beyond(_pool(parts, s))
        p = (s.alerted + 0.5) / (s.trials + 1) if s.countable else min(max(tail, 1e-6), 0.5)
        need[k] = 0.0 if s.silent else s.weight * np.sqrt(p)
    left = max(0, trials - pilot * len(parts))
    for s, many in zip(parts, np.round(left * need / need.sum()).astype(int).tolist(), strict=True):
        for start in range(0, many, _BATCH):
            s.extend(min(_BATCH, many - start), seed, params)
        if progress and many:
            progress(many)
    return _result(parts, seed)


def _pool(parts: list[Stratum], s: Stratum) -> Array:
    """The scores of a confounder under the same rule, whatever the wear sensor said: they are about motion alone."""
    alike = [other.scores for other in parts if other.what is s.what and other.fast == s.fast]
    return np.concatenate([np.array(scores) for scores in alike])


def _rates(parts: list[Stratum], rng: np.random.Generator) -> tuple[list[tuple[float, str]], Array]:
    """Probability of an alert of each stratum with how it was found, and draws of the whole rate per hour."""
    tails: dict[tuple[str, bool], tuple[float, Array]] = {}
    rates: list[tuple[float, str]] = []
    total = np.zeros(_RESAMPLES)
    for s in parts:
        if s.silent:
            rates.append((0.0, "by rule"))
            continue
        pool = _pool(parts, s)
        if s.alerted or pool.max() >= 1:
            rates.append((s.alerted / s.trials, "counted"))
            hits, misses = s.alerted + 0.5, s.trials - s.alerted + 0.5
            total += s.weight * beta.rvs(hits, misses, size=_RESAMPLES, random_state=rng)
            continue
        key = s.what.name, s.fast
        if key not in tails:
            again = [_beyond(rng.choice(pool, len(pool))) for _ in range(_RESAMPLES)]
            tails[key] = _beyond(pool), np.array(again)
        rates.append((tails[key][0], "tail fit"))
        total += s.weight * tails[key][1]
    return rates, total


def _result(parts: list[Stratum], seed: int) -> dict[str, Any]:
    rates, draws = _rates(parts, np.random.default_rng((seed, 99)))
    rows = [
        {
            "confounder": s.what.name,
            "per_hour": s.weight,
            "worn_said": s.said.worn.name.lower(),
            "speed_known": s.said.speed_known,
            "trials": s.trials,
            "alerted": s.alerted,
            "stood": s.stood,
            "largest_score": round(max(s.scores), 3),
            "p": p,
            "how": how,
        }
        for s, (p, how) in zip(parts, rates, strict=True)
    ]
    return {
        "trials": sum(s.trials for s in parts),
        "per_hour": float(sum(s.weight * p for s, (p, _) in zip(parts, rates, strict=True))),
        "upper_95": float(np.quantile(draws, 0.975)),
        "stood_per_hour": float(sum(s.weight * s.stood / s.trials for s in parts)),
        "fitted": sorted(
            {s.what.name for s, (_, how) in zip(parts, rates, strict=True) if how == "tail fit"}
        ),
        "strata": rows,
    }


def table(result: dict[str, Any]) -> Table:
    """The assumed rates and what came of each, for people."""
    out = Table(
        title=f"{result['per_hour']:.2g} false alerts per riding hour, 95 % upper bound {result['upper_95']:.2g}; "
        f"{result['stood_per_hour']:.2g} still stood after 10 s"
    )
    for column in (
        "confounder",
        "assumed /h",
        "worn says",
        "speed",
        "trials",
        "alerted",
        "stood",
        "p",
        "how",
    ):
        out.add_column(column, justify="left" if column in ("confounder", "how") else "right")
    for r in result["strata"]:
        known = "known" if r["speed_known"] else "unknown"
        out.add_row(
            r["confounder"],
            f"{r['per_hour']:.3g}",
            r["worn_said"],
            known,
            *(str(r[n]) for n in ("trials", "alerted", "stood")),
            f"{r['p']:.1e}",
            r["how"],
        )
    return out
