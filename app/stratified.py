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

from app.confounders import CONFOUNDERS, Confounder
from app.trials import Bit, Clips, Said, make, run
from core.config import Detection as Params
from core.model import Detection, Stage, Worn
from detectors import features, rules
from detectors.window import Window
from simulator.sensor import PARTS

Array = npt.NDArray[np.float64]

_PARTS = (("100hz-16g", 0.6), ("50hz-16g", 0.1), ("200hz-32g", 0.2), ("400hz-200g", 0.1))
_WEAR: tuple[tuple[str, Bit, float], ...] = (
    ("right", "steady", 0.86),
    ("unknown", "steady", 0.05),
    ("wrong", "steady", 0.03),
    ("right", "flickers", 0.04),
    ("right", "goes off", 0.02),
)
"""The wear sensor is right, missing, stuck at the wrong side, flickers, or goes off at about the time."""
_LAMBDA_FACTOR = 2.0
"""The assumed rates are taken to be within this factor either way, 95 %; log-normal, each by itself."""
_SPEED_KNOWN = 0.9
_BATCH = 50
_TAIL = 0.1
"""Share of the highest scores that the tail is fitted to."""
_RESAMPLES = 200
_ALERTS = (Stage.FAST, Stage.STANDARD, Stage.CONFIRMED)


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
        return self.said.worn == Worn.NO and self.said.bit == "steady" and self.alerted == 0

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
    before = features.rest(window, at)
    f = features.shock(window, at, len(acc), before, part.full_scale_g)
    after = features.aftermath(window, at, at + round(3.5 * part.rate_hz), before)
    turn = {name: v for name, v in after.items() if name.startswith("tilt") and v == v}
    kept = min(max(turn.values(), default=0.0), turn.get("tilt_deg", 0.0)) / p.tilt_deg
    at_once, for_long = (turn.get(name, 0.0) / rules.LYING_DEG for name in ("tilt_early_deg", "tilt_3s_deg"))
    strike = rules.strike_margin(f, p)
    hard = min(f["violence_g"] / p.hard_violence_g, f["peak_g"] / rules.HARD_PEAK_G)
    gentle = f["violence_g"] / p.fall_violence_g
    return max(strike if fast else min(strike, kept), min(hard, max(at_once, kept)), min(gentle, for_long))


def _beyond(scores: Array) -> float:
    """Probability of a score of 1 or more by a generalised Pareto tail over the highest scores.

    0 where the tail that fits ends below 1, and where there are too few scores to fit one.
    """
    level = float(np.quantile(scores, 1 - _TAIL))
    over = scores[scores > level] - level
    if len(over) < 5 or over.max() <= 0:
        return 0.0
    shape, _, scale = genpareto.fit(over, floc=0)
    return float(_TAIL * genpareto.sf(1 - level, shape, 0, scale))


def strata() -> list[Stratum]:
    """Every confounder, times what the wear sensor may do, times speed known and not."""
    out: list[Stratum] = []
    for what in CONFOUNDERS:
        truth, false = (Worn.YES, Worn.NO) if what.worn else (Worn.NO, Worn.YES)
        worn = {"right": truth, "unknown": Worn.UNKNOWN, "wrong": false}
        for wear, bit, wear_share in _WEAR:
            for known, share in ((True, _SPEED_KNOWN), (False, 1 - _SPEED_KNOWN)):
                weight = what.per_hour * wear_share * share
                out.append(Stratum(what, Said(worn[wear], known, bit), weight, len(out)))
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


@dataclass(slots=True)
class Rates:
    """What the strata make together."""

    found: list[tuple[float, str]]
    """Probability of an alert of each stratum, and how it was found."""
    total: Array
    """Draws of the whole rate per hour, with fitted tails."""
    counted: Array
    """The same with nothing fitted: where no trial alerted, p is anything that so many quiet trials allow."""


def _rates(parts: list[Stratum], rng: np.random.Generator) -> Rates:
    tails: dict[tuple[str, bool], tuple[float, Array, Array]] = {}
    out = Rates([], np.zeros(_RESAMPLES), np.zeros(_RESAMPLES))
    spread = np.log(_LAMBDA_FACTOR) / 1.96
    lambdas = {what.name: np.exp(rng.normal(0, spread, _RESAMPLES)) for what in CONFOUNDERS}
    for s in parts:
        if s.silent:
            out.found.append((0.0, "by rule"))
            continue
        weight = s.weight * lambdas[s.what.name]
        pool = _pool(parts, s)
        if s.alerted or pool.max() >= 1:
            out.found.append((s.alerted / s.trials, "counted"))
            drawn = beta.rvs(s.alerted + 0.5, s.trials - s.alerted + 0.5, size=_RESAMPLES, random_state=rng)
            out.total += weight * drawn
            out.counted += weight * drawn
            continue
        key = s.what.name, s.fast
        if key not in tails:
            again = [_beyond(rng.choice(pool, len(pool))) for _ in range(_RESAMPLES)]
            # Quiet trials of all wear states together: the motion is the same.
            quiet = beta.rvs(0.5, len(pool) + 0.5, size=_RESAMPLES, random_state=rng)
            tails[key] = _beyond(pool), np.array(again), quiet
        p, fitted, quiet = tails[key]
        out.found.append((p, "tail fit"))
        out.total += weight * fitted
        out.counted += weight * quiet
    return out


def _result(parts: list[Stratum], seed: int) -> dict[str, Any]:
    rates = _rates(parts, np.random.default_rng((seed, 99)))
    rows = [
        {
            "confounder": s.what.name,
            "per_hour": s.weight,
            "worn_said": s.said.worn.name.lower(),
            "bit": s.said.bit,
            "speed_known": s.said.speed_known,
            "trials": s.trials,
            "alerted": s.alerted,
            "stood": s.stood,
            "largest_score": round(max(s.scores), 3),
            "p": p,
            "how": how,
        }
        for s, (p, how) in zip(parts, rates.found, strict=True)
    ]
    return {
        "trials": sum(s.trials for s in parts),
        "per_hour": float(sum(s.weight * p for s, (p, _) in zip(parts, rates.found, strict=True))),
        "upper_95": float(np.quantile(rates.total, 0.975)),
        "upper_95_without_fit": float(np.quantile(rates.counted, 0.975)),
        "stood_per_hour": float(sum(s.weight * s.stood / s.trials for s in parts)),
        "fitted": sorted({row["confounder"] for row in rows if row["how"] == "tail fit"}),
        "lambda_factor": _LAMBDA_FACTOR,
        "strata": rows,
    }


def table(result: dict[str, Any]) -> Table:
    """The assumed rates and what came of each, for people."""
    out = Table(
        title=f"{result['per_hour']:.2g} false alerts per riding hour, 95 % upper bound {result['upper_95']:.2g} "
        f"with fitted tails, {result['upper_95_without_fit']:.2g} without; "
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
            r["worn_said"] if r["bit"] == "steady" else f"{r['worn_said']}, {r['bit']}",
            known,
            *(str(r[n]) for n in ("trials", "alerted", "stood")),
            f"{r['p']:.1e}",
            r["how"],
        )
    return out
