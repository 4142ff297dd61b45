"""Recordings of real motion, in the format of `docs/recordings.md`: one .npz and one meta.csv a folder."""

import csv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

CRASH_LABELS = ("fall", "crash", "crash_rides", "head_impact")
"""Labels of recordings that hold something to find; every other label is expected to be quiet."""
PULSE_LABEL = "head_impact"
"""Label of impacts alone: gravity has been removed, and nothing comes before or after."""
_RANGES_G = (2, 4, 8, 16, 24, 32, 64, 100, 200, 400, 1000)


class RecordingError(Exception):
    """A folder does not hold recordings in our format; the message says what is wrong with which file."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording: what one sensor measured without a break."""

    source: str
    """Name of the folder."""
    rec: int
    label: str
    subject: str
    fs_hz: float
    acc_g: npt.NDArray[np.float32]
    """(n, 3) specific force."""
    full_scale_g: float
    t_s: npt.NDArray[np.float64] | None = None
    """(n,) time of each sample where the recording is irregular."""
    gyro_rad_s: npt.NDArray[np.float32] | None = None
    """(n, 3)"""
    meta: dict[str, str] = field(default_factory=dict)
    """The whole row of meta.csv."""

    @property
    def name(self) -> str:
        """Folder and number, the way people refer to it."""
        return f"{self.source}/{self.rec}"

    @property
    def duration_s(self) -> float:
        """Time from the first to the last sample."""
        if self.t_s is not None:
            return float(self.t_s[-1] - self.t_s[0])
        return (len(self.acc_g) - 1) / self.fs_hz

    def uniform(self) -> "Recording":
        """The recording on an even grid at its nominal rate, linear between samples.

        A helmet's frames are evenly spaced; a few recordings are not. Peaks lose a little where the grid
        falls between two samples; a recording that is even already comes back as it is.
        """
        if self.t_s is None:
            return self
        times = self.t_s
        grid = np.arange(0, times[-1], 1 / self.fs_hz)

        def resample(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            return np.stack([np.interp(grid, times, x[:, axis]) for axis in range(3)], 1).astype(np.float32)

        return Recording(
            self.source,
            self.rec,
            self.label,
            self.subject,
            self.fs_hz,
            resample(self.acc_g),
            self.full_scale_g,
            None,
            None if self.gyro_rad_s is None else resample(self.gyro_rad_s),
            self.meta,
        )


def read(folder: Path) -> Iterator[Recording]:
    """Reads every recording of a folder, in order. Raises `RecordingError` where the folder is not one."""
    table, data = folder / "meta.csv", folder / f"{folder.resolve().name}.npz"
    for path in (table, data):
        if not path.is_file():
            raise RecordingError(
                f"{path} does not exist: a folder of recordings holds it (docs/recordings.md)"
            )
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{table}: not a CSV file in UTF-8: {error}") from None
    try:
        with np.load(data, allow_pickle=False) as npz:
            arrays = {name: npz[name] for name in npz.files}
        counts, offset, fs = arrays["counts"], arrays["offset"], arrays["fs"]
        scale = float(arrays["scale_g"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise RecordingError(f"{data}: {error}") from None
    if len(rows) != len(fs) or len(offset) != len(fs) + 1 or offset[-1] != len(counts):
        raise RecordingError(
            f"{folder}: {len(rows)} rows in meta.csv, {len(fs)} rates, {len(offset)} offsets and "
            f"{len(counts)} samples do not fit together"
        )
    if not (np.isfinite(fs) & (fs > 0)).all() or not (np.isfinite(scale) and scale > 0):
        raise RecordingError(f"{data}: fs and scale_g must be larger than 0")
    largest = float(np.abs(counts).max(initial=0)) * scale
    # Parts read a little past their nominal range before they clip.
    range_g = next((r for r in _RANGES_G if largest <= 1.03 * r), largest)
    for r, row in enumerate(rows):
        part = slice(int(offset[r]), int(offset[r + 1]))
        yield Recording(
            source=folder.resolve().name,
            rec=r,
            label=row.get("label", ""),
            subject=row.get("subject", ""),
            fs_hz=float(fs[r]),
            acc_g=(counts[part] * np.float32(scale)).astype(np.float32),
            full_scale_g=_range_g(table, r, row, range_g),
            t_s=arrays["t_us"][part] / 1e6 if "t_us" in arrays else None,
            gyro_rad_s=_gyro(arrays["gyro_mdps10"][part]) if "gyro_mdps10" in arrays else None,
            meta=row,
        )


def _range_g(table: Path, number: int, row: dict[str, str], otherwise: float) -> float:
    told = row.get("full_scale_g") or ""
    try:
        value = float(told) if told else otherwise
        times = [float(x) for x in (row.get("crash_s") or "").split()]
    except ValueError as error:
        raise RecordingError(f"{table}: recording {number}: {error}") from None
    if not 0 < value < np.inf or not all(0 <= t_s < np.inf for t_s in times):
        raise RecordingError(
            f"{table}: recording {number}: full_scale_g and crash_s must be finite and positive"
        )
    return value


def _gyro(counts: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """Angular rate from counts of 100 millidegrees per second."""
    return (np.deg2rad(counts.astype(np.float64) * 0.1)).astype(np.float32)
