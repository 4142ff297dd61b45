"""Statistics of generated motion beside recordings: `python -m bench.simulated_motion DIR PICTURE.png`.

DIR holds folders of recordings (docs/recordings.md); those named byu_escooter_rides (rides, sensor on the vehicle) and
sfu_imu (daily life, sensor on the head) are used where they exist. Prints one line for each source as well.
"""

import dataclasses
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib.figure
import numpy as np
import numpy.typing as npt
from scipy import signal, stats

from ingest.codec import Message, decode_motion, topic
from simulator.everyday import joints
from simulator.helmet import Helmets
from simulator.impacts import rough_spot
from simulator.motion import (
    EBIKE,
    FINE_HZ,
    KICK_SCOOTER,
    ROUGHNESS_M3,
    VEHICLE_ITSELF,
    band,
    head_psd,
    vibration,
)
from simulator.recordings import read
from simulator.scenario import Group, Scenario
from simulator.sensor import FAST

Array = npt.NDArray[np.float64]
_LEVELS_G = (3, 4, 6, 8)
_REFRACTORY_S = 2.0
_START_US = 1_767_225_600_000_000
_HELMETS, _SECONDS = 20, 1800
_WINDOW_S = 10.0


@dataclass(frozen=True, slots=True)
class Source:
    """Resultants of one kind of motion, piece by piece."""

    name: str
    colour: str
    dashed: bool
    pieces: list[tuple[Array, float]]
    """Resultant in g and its rate in Hz."""

    @property
    def hours(self) -> float:
        """Length of all pieces."""
        return sum(len(x) / fs for x, fs in self.pieces) / 3600

    def rates(self) -> list[float]:
        """Events an hour at which the resultant reaches each level, 2 s apart at least."""
        return [sum(_events(x, fs, level) for x, fs in self.pieces) / self.hours for level in _LEVELS_G]

    def spectrum(self) -> tuple[Array, Array]:
        """Mean density of the resultant in g²/Hz on a common grid; NaN above half the rate of the slowest piece."""
        grid = np.geomspace(0.3, 95, 120)
        out = []
        for x, fs in self.pieces:
            if len(x) > 4 * fs:
                f, density = signal.welch(x - x.mean(), fs, nperseg=round(4 * fs))
                values = np.asarray(density, np.float64)
                out.append(np.interp(grid, np.asarray(f, np.float64), values, right=np.nan))
        return grid, np.mean(out, axis=0)

    def kurtosis(self) -> Array:
        """Kurtosis (3 for noise) of the resultant in windows of 10 s in which something moves."""
        out: list[float] = []
        for x, fs in self.pieces:
            n = round(_WINDOW_S * fs)
            windows = x[: len(x) // n * n].reshape(-1, n)
            moving = windows[windows.std(1) > 0.05]
            out += stats.kurtosis(moving, axis=1, fisher=False).tolist()
        return np.array(out)

    def rms(self) -> Array:
        """Standard deviation of the resultant in the same windows."""
        out: list[float] = []
        for x, fs in self.pieces:
            n = round(_WINDOW_S * fs)
            deviation = x[: len(x) // n * n].reshape(-1, n).std(1)
            out += deviation[deviation > 0.05].tolist()
        return np.array(out)


def _events(x: Array, fs: float, level: float) -> int:
    at = np.flatnonzero(x >= level) / fs
    count, last = 0, -np.inf
    for t in at.tolist():
        if t - last >= _REFRACTORY_S:
            count += 1
        last = t
    return count


def simulated(name: str, colour: str, group: Group, seed: int) -> Source:
    """Helmets of a group for half an hour, as their parts measure it; whole riding or whole not."""
    scenario = Scenario("statistics", group.helmets, seed, groups=(group,))
    helmets = Helmets(scenario, _START_US)
    rows = np.arange(group.helmets)
    found: list[list[Array]] = [[] for _ in rows]
    for _ in range(_SECONDS):
        frames = helmets.prepare(rows)
        by_helmet = {frame.index: frame.payload for frame in frames}
        messages = [Message(topic(helmets.ids[i], "motion"), by_helmet[i], _START_US * 2) for i in by_helmet]
        for f in decode_motion(messages).frames:
            resultant = np.linalg.norm(f.acc * f.g_per_count[:, None, None], axis=2)
            for helmet, x, v in zip(f.helmet, resultant, f.speed_mps, strict=True):
                if (v > 1) == bool(group.riding):
                    found[helmets.ids.index(helmet)].append(x)
    return Source(name, colour, False, [(np.concatenate(x), float(FAST.rate_hz)) for x in found if x])


def on_the_deck(name: str, colour: str, seed: int) -> Source:
    """The same roads as `simulated` rides, with the sensor and the small hard wheels of the recorded e-scooters.

    Twenty stretches of ten minutes, each with a speed of 2.5 to 5.5 m/s and a road of its own.
    """
    fs, n = FAST.rate_hz, 600 * FAST.rate_hz
    pieces = []
    for k in range(_HELMETS):
        rng = np.random.default_rng((seed, k))
        v, rough = float(rng.uniform(2.5, 5.5)), float(np.clip(np.exp(rng.normal(0, 0.4)), 0.4, 3))

        def psd(f: Array, v: float = v) -> Array:
            return head_psd(f, v, ROUGHNESS_M3["B"], KICK_SCOOTER, VEHICLE_ITSELF)

        patches = np.exp(0.5 * band(rng, n, fs, 0.02, 0.5))
        patches /= np.sqrt(np.mean(patches**2))
        up, fore, side = (vibration(rng, n, fs, psd) * patches for _ in range(3))
        up = rough * (up + joints(rng, n, fs, v, KICK_SCOOTER, VEHICLE_ITSELF))
        for at in rng.integers(0, n - 2 * fs, 2).tolist():  # twelve in an hour
            z = rough_spot(rng, v, KICK_SCOOTER, carrier=VEHICLE_ITSELF).f[:, 2]
            step = FINE_HZ // fs
            seen = z[: len(z) // step * step].reshape(-1, step).mean(1)
            up[at : at + len(seen)] += seen
        up = np.clip(1 + np.maximum(up, -1), -8, 8)  # the recorder's range
        pieces.append((np.sqrt(up**2 + 0.35**2 * (fore**2 + side**2)), float(fs)))
    return Source(name, colour, False, pieces)


def recorded(folder: Path, name: str, colour: str, label: str) -> Source:
    """The recordings of a folder that bear a label."""
    pieces = [
        (np.linalg.norm(r.acc_g.astype(np.float64), axis=1), r.fs_hz)
        for r in read(folder)
        if r.label == label
    ]
    return Source(name, colour, True, pieces)


def sources(data: Path) -> Iterator[Source]:
    """Everything that is compared."""
    base = Group(_HELMETS, FAST, True, "ebike", True, True)
    yield simulated("simulated: rigid e-bike, head", "#24405c", base, 1)
    yield simulated("simulated: scooter, head", "#5b9bd5", dataclasses.replace(base, vehicle="scooter"), 2)
    idle = dataclasses.replace(base, riding=False, vehicle=None)
    yield on_the_deck("simulated: kick scooter, on the vehicle", "#8e5bb5", 4)
    yield simulated("simulated: walking and standing, head", "#7fb685", idle, 3)
    if (data / "byu_escooter_rides").is_dir():
        yield recorded(data / "byu_escooter_rides", "recorded: e-scooter, on the vehicle", "#b3261e", "ride")
    if (data / "sfu_imu").is_dir():
        yield recorded(data / "sfu_imu", "recorded: daily life, head", "#e08a1e", "adl")


def main(data: Path, picture: Path) -> None:
    """Prints the table and draws the picture."""
    found = list(sources(data))
    figure = matplotlib.figure.Figure(figsize=(12, 8.5), layout="constrained")
    figure.suptitle("Generated motion beside recordings: no recording is of a rider's head")
    spectrum, rates, kurtosis, rms = figure.subplots(2, 2).ravel()
    for k, s in enumerate(found):
        grid, density = s.spectrum()
        style = "--" if s.dashed else "-"
        spectrum.loglog(grid, density, color=s.colour, ls=style, label=f"{s.name} ({s.hours:.1f} h)")
        values = s.rates()
        left = np.arange(len(_LEVELS_G)) + 0.14 * (k - 2.5)
        # Nothing in so many hours: drawn at what is possible with 95 % (rule of three).
        shown = [v or 3 / s.hours for v in values]
        rates.bar(left, shown, 0.13, color=[s.colour if v else "#dddddd" for v in values], edgecolor=s.colour)
        for axis, windows in ((kurtosis, s.kurtosis()), (rms, s.rms())):
            share = np.arange(1, len(windows) + 1) / len(windows)
            axis.plot(np.sort(windows), share, color=s.colour, ls=style)
        q = np.percentile(s.kurtosis(), (10, 50, 90))
        d = np.percentile(s.rms(), (10, 50, 90))
        print(
            f"{s.name:40} {s.hours:5.1f} h  per hour at 3/4/6/8 g: {'/'.join(f'{v:.1f}' for v in values)}  kurtosis "
            f"{q[0]:.1f}/{q[1]:.1f}/{q[2]:.1f}  std {d[0]:.2f}/{d[1]:.2f}/{d[2]:.2f} g"
        )
    f = np.geomspace(0.3, 95, 200)
    deck = head_psd(f, 15 / 3.6, ROUGHNESS_M3["B"], EBIKE, VEHICLE_ITSELF)
    spectrum.loglog(f, deck, color="#24405c", ls=":", label="simulated: class B road at the e-bike, 15 km/h")
    spectrum.set(xlabel="Hz", ylabel="resultant, g²/Hz", ylim=(1e-6, 0.3), title="Spectrum")
    figure.legend(*spectrum.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    rates.set_yscale("log")
    rates.set_xticks(range(len(_LEVELS_G)), [f"{level} g" for level in _LEVELS_G])
    rates.set(ylabel="events an hour", title="How often a level is reached (pale: never; 95 % bound)")
    kurtosis.set(
        xscale="log", xlabel="kurtosis in 10 s (noise: 3)", ylabel="share of windows", title="Kurtosis"
    )
    rms.set(xscale="log", xlabel="standard deviation in 10 s, g", ylabel="share of windows", title="Strength")
    figure.savefig(picture, dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
