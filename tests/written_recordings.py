"""Small recordings in the documented format, written as docs/recordings.md shows it."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

RATE_HZ = 200.0


def _leaning(angle: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n, 3) gravity of a helmet that leans to its side."""
    return np.stack([np.zeros_like(angle), np.sin(angle), np.cos(angle)], 1)


def written() -> dict[str, npt.NDArray[np.float64]]:
    """By label: a fall (on its side 3 s after its beginning), a ride that shakes at 3 Hz, a pulse without gravity."""
    t = np.arange(0, 8, 1 / RATE_HZ)
    fall = _leaning(np.radians(80) * np.clip((t - 2.6) / 0.5, 0, 1))
    fall += 8 * np.exp(-(((t - 3.0) / 0.02) ** 2))[:, None] * np.array([0.0, 0.8, 0.6])
    t = np.arange(0, 30, 1 / RATE_HZ)
    ride = np.array([0.0, 0.0, 1.0]) + 0.4 * np.sin(2 * np.pi * 3 * t)[:, None] * np.array([0.3, 0.0, 1.0])
    t = np.arange(0, 0.2, 1 / RATE_HZ)
    pulse = 60 * np.exp(-(((t - 0.05) / 0.006) ** 2))[:, None] * np.array([0.6, 0.0, 0.8])
    return {"fall": fall, "ride": ride, "head_impact": pulse, "drop": fall}


def write(folder: Path) -> None:
    """Writes them as recordings 0 to 3 of a folder."""
    folder.mkdir()
    parts = list(written().values())
    np.savez(
        folder / f"{folder.name}.npz",
        counts=np.rint(np.concatenate(parts) / 0.002).astype(np.int16),
        scale_g=0.002,
        offset=np.cumsum([0, *map(len, parts)]),
        fs=np.full(len(parts), RATE_HZ),
    )
    with (folder / "meta.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["rec", "label", "subject"], *([k, name, "x"] for k, name in enumerate(written()))]
        )
