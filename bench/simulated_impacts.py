"""Generated blows beside recorded ones: `python -m bench.simulated_impacts DATA`.

DATA holds the sets sfu_imu, head_impacts_lab and phone_drops_cc0 (docs/recordings.md). Peak of the resultant and its
width at half the peak, 10th, 50th and 90th percentile. Falls and drops are seen by a 128 Hz ±7.6 g and a 200 Hz ±16 g
part, as the recorded ones were; strikes at 1,600 Hz, without gravity, unlimited (1 kHz there).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import numpy.typing as npt
from scipy import signal

from simulator.impacts import body_fall, drop, head_strike
from simulator.pulses import Motion
from simulator.recordings import Recording, read
from simulator.sensor import Part, sampled

Array = npt.NDArray[np.float64]
_TRIALS = 300
_FINE = 10
"""Recorded and simulated blows are looked at between their samples too: at 128 Hz a width is five samples."""


class Blow(NamedTuple):
    """The largest sample of a resultant, and how long it was above half of that."""

    peak_g: float
    width_ms: float


def blow(resultant: Array, fs_hz: float) -> Blow:
    """Measures one."""
    fine = signal.resample_poly(resultant - 1, _FINE, 1) + 1
    top = int(fine.argmax())
    above = np.concatenate([[False], fine >= fine[top] / 2, [False]])
    before, after = np.flatnonzero(~above[: top + 1])[-1], np.flatnonzero(~above[top + 1 :])[0]
    return Blow(float(resultant.max()), 1000 * (top - before + after) / (fs_hz * _FINE))


def simulated(make: Callable[[np.random.Generator], Motion], part: Part, gravity: bool) -> Iterator[Blow]:
    """Blows of the simulator, as a part sees them."""
    for k in range(_TRIALS):
        rng = np.random.default_rng((31, k))
        motion = make(rng)
        seen = sampled(motion.f if gravity else motion.f - motion.f[0], part, float(rng.uniform()))
        at = round(motion.impact_s * part.rate_hz)
        near = seen[max(0, at - part.rate_hz // 4) : at + part.rate_hz // 2]
        yield blow(np.linalg.norm(near, axis=1), part.rate_hz)


def recorded(folder: Path, labels: tuple[str, ...]) -> Iterator[Blow]:
    """Blows of the recordings of a folder that bear one of the labels."""
    for r in read(folder):
        if r.label in labels:
            yield blow(_near(r), r.fs_hz)


def _near(r: Recording) -> Array:
    resultant: Array = np.linalg.norm(r.acc_g.astype(np.float64), axis=1)
    top, reach = int(resultant.argmax()), round(r.fs_hz / 2)
    return resultant[max(0, top - reach) : top + reach]


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(data: Path) -> None:
    """Print a line for each kind of blow."""
    exact = Part(1600, 2000, 0.0)
    for name, blows in (
        ("fall, simulated", simulated(body_fall, Part(128, 7.6, 0.004), gravity=True)),
        ("fall, recorded (head, acted)", recorded(data / "sfu_imu", ("fall",))),
        ("head strike, simulated (liner)", simulated(head_strike, exact, gravity=False)),
        ("head strike, recorded (centre)", recorded(data / "head_impacts_lab", ("head_impact",))),
        ("drop, simulated", simulated(drop, Part(200, 16, 0.004), gravity=True)),
        ("drop, recorded (a phone)", recorded(data / "phone_drops_cc0", ("drop", "throw_up_down"))),
    ):
        found = np.array(list(blows))
        peak, width = (np.percentile(column, (10, 50, 90)) for column in found.T)
        click.echo(
            f"{name:32} n {len(found):4}  peak {peak[0]:5.1f} / {peak[1]:5.1f} / {peak[2]:5.1f} g"
            f"  width {width[0]:5.1f} / {width[1]:5.1f} / {width[2]:5.1f} ms"
        )


if __name__ == "__main__":
    main()
