"""Measured head impacts inside measured rides, through three parts: how many are found, and how fast.

`python -m bench.strikes DATA` with the sets `head_impacts_lab`, `byu_escooter_rides` and `sfu_imu` in DATA
(docs/recordings.md). Each trial turns one lab impact at random, adds it to the moving middle of a ride, and goes on
either with the lying still of an acted fall, turned against the ride as it was against its own beginning, or with the
ride. Then the sensor chain: clip, low-pass, random phase, noise, counts. Worn, speed unknown. The trials repeat few
impacts, rides and falls, so the counts have no interval of their own.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from scipy.spatial.transform import Rotation

from detectors import Incident, detect_recording
from simulator.motion import FINE_HZ
from simulator.recordings import Recording, RecordingError, read
from simulator.sensor import PARTS, Part, counts, sampled
from simulator.splice import fine

_PARTS = ("100hz-16g", "200hz-32g", "400hz-200g")
_THEN = ("lies", "rides on")
_BEFORE_S, _AFTER_S = 12.0, 12.0
_MOVING = (0.2, 0.8)
"""Rides begin and end with handling; this share of each is riding."""
_SETTLED_S = 1.0
"""From so long after its peak on, an acted fall lies."""
_LIES_S, _LIES_COS = 3.0, 0.7
_FADE_S = 0.15

Array = npt.NDArray[np.float64]


@dataclass(slots=True)
class Found:
    """What came of the trials of one part, followed by one kind of aftermath."""

    part: str
    then: str
    trials: int = 0
    fast: int = 0
    alerted: int = 0
    """At any stage."""
    confirmed: int = 0
    withdrawn: int = 0
    """Cancelled or downgraded within 10 s of the strike."""

    def add(self, incidents: list[Incident]) -> None:
        """Counts one trial."""
        at = [i for i in incidents if any(abs(t - _BEFORE_S) < 0.5 for t in i.impacts_s)]
        self.trials += 1
        self.fast += any(i.fast_at_s is not None for i in at)
        self.alerted += bool(at)
        self.confirmed += any(i.confirmed_at_s is not None for i in at)
        self.withdrawn += bool(at) and all(
            i.cancelled_at_s is not None and i.cancelled_at_s <= _BEFORE_S + 10 for i in at
        )


class Material:
    """The recordings that trials are made of, one of them at a time on the simulator's grid."""

    def __init__(self, data: Path) -> None:
        self.impacts = list(read(data / "head_impacts_lab"))
        need_s = (_BEFORE_S + _AFTER_S) / (_MOVING[1] - _MOVING[0])
        self.rides = [r for r in read(data / "byu_escooter_rides") if r.duration_s > need_s]
        self.falls = [r for r in read(data / "sfu_imu") if r.label == "fall" and _lies(r)]

    def trial(self, rng: np.random.Generator, lies: bool) -> Array:
        """(N, 3) g at 3,200 Hz with a strike after 12 s; after it the helmet lies, or rides on."""
        ride = self.rides[rng.integers(len(self.rides))].uniform()
        n = round((_BEFORE_S + _AFTER_S) * ride.fs_hz)
        low, high = (round(share * len(ride.acc_g)) for share in _MOVING)
        first = rng.integers(low, high - n)
        f = fine(ride.acc_g[first : first + n], ride.fs_hz)
        at = round(_BEFORE_S * FINE_HZ)
        if lies:
            self._lie_down(f, at, rng)
        impact = self.impacts[rng.integers(len(self.impacts))]
        pulse = fine(impact.acc_g, impact.fs_hz) @ Rotation.random(random_state=rng).as_matrix().T
        start = at - int(np.argmax(np.square(pulse).sum(1)))
        f[start : start + len(pulse)] += pulse
        return f

    def _lie_down(self, f: Array, at: int, rng: np.random.Generator) -> None:
        """Replaces what follows sample `at` by the lying still of a fall, turned against the ride as in the fall."""
        fall = self.falls[rng.integers(len(self.falls))].uniform()
        peak = int(np.argmax(np.square(fall.acc_g).sum(1)))
        lying = fine(fall.acc_g[peak + round(_SETTLED_S * fall.fs_hz) :], fall.fs_hz)
        before = fall.acc_g[: max(1, peak - round(2 * fall.fs_hz))].mean(0)
        onto = _onto(before, f[: at - FINE_HZ].mean(0), rng)
        there_and_back = np.concatenate([lying, lying[::-1]])
        rest = np.resize(there_and_back, (len(f) - at, 3)) @ onto.T
        share = np.minimum(np.arange(len(rest)) / (_FADE_S * FINE_HZ), 1.0)[:, None]
        f[at:] = (1 - share) * f[at:] + share * rest


def _lies(r: Recording) -> bool:
    """Whether it ends lying, for long enough to go on with: a few people sit up at once."""
    peak = int(np.argmax(np.square(r.acc_g).sum(1)))
    rest = r.acc_g[peak + round(_SETTLED_S * r.fs_hz) :]
    if len(rest) < _LIES_S * r.fs_hz:
        return False
    before, after = r.acc_g[: max(1, peak - round(2 * r.fs_hz))].mean(0), rest.mean(0)
    return float(before @ after / np.linalg.norm(before) / np.linalg.norm(after)) < _LIES_COS


def _onto(source: npt.NDArray[np.floating], target: Array, rng: np.random.Generator) -> Array:
    """(3, 3) that turns one direction onto another, and about it at random."""
    frames = []
    for up in (source, target):
        z = np.asarray(up, np.float64) / np.linalg.norm(up)
        x = np.cross(z, rng.normal(size=3))
        x /= np.linalg.norm(x)
        frames.append(np.stack([x, np.cross(z, x), z], axis=1))
    return np.asarray(frames[1] @ frames[0].T)


def _measured(f: Array, part: Part, rng: np.random.Generator) -> Array:
    seen = sampled(f, part, rng.uniform())
    noisy = seen + rng.normal(0, part.noise_g, seen.shape)
    return np.asarray(counts(noisy, part.full_scale_g, part.g_per_count) * part.g_per_count, np.float64)


def measure(material: Material, trials: int, seed: int) -> list[Found]:
    """Runs `trials` of each part and aftermath."""
    every = [Found(name, then) for name in _PARTS for then in _THEN]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("strikes", total=trials * len(every))
        for k in range(trials):
            for found in every:
                rng = np.random.default_rng((seed, k, _THEN.index(found.then)))
                part = PARTS[found.part]
                acc = _measured(material.trial(rng, found.then == "lies"), part, rng)
                found.add(detect_recording(acc, part.rate_hz, full_scale_g=part.full_scale_g))
                progress.advance(task)
    return every


def _table(found: list[Found]) -> Table:
    out = Table(title="Lab head impacts spliced into e-scooter rides (worn, speed unknown)")
    for column in ("part", "then", "trials", "fast", "alerted", "confirmed", "withdrawn"):
        out.add_column(column, justify="left" if column in ("part", "then") else "right")
    for f in found:
        shares = (f"{n} ({n / f.trials:.1%})" for n in (f.fast, f.alerted, f.confirmed, f.withdrawn))
        out.add_row(f.part, f.then, str(f.trials), *shares)
    return out


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--trials", type=click.IntRange(1), default=300, show_default=True, help="Of each part and aftermath."
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def strikes(data: Path, trials: int, seed: int, as_json: bool) -> None:
    """Splices measured head impacts into measured rides and counts what the detector makes of them."""
    try:
        material = Material(data)
    except RecordingError as error:
        raise click.ClickException(str(error)) from None
    found = measure(material, trials, seed)
    if as_json:
        click.echo(json.dumps([asdict(f) for f in found]))
        return
    console = Console()
    console.width = max(console.width, 110)
    console.print(_table(found))


if __name__ == "__main__":
    strikes()
