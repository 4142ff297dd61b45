"""What is stored: a row for every frame, and of some frames every sample."""

import numpy as np
import numpy.typing as npt

from core.model import TELEMETRY, Frames
from storage import SAMPLES


def summarise(frames: Frames) -> npt.NDArray[np.void]:
    """(K,) `TELEMETRY` rows: what is kept of each frame."""
    rows = np.zeros(len(frames), TELEMETRY)
    acc_g = frames.acc * frames.g_per_count[:, None, None]
    resultant_g = np.sqrt(np.einsum("kni,kni->kn", acc_g, acc_g))
    rows["helmet"] = [name.encode() for name in frames.helmet]
    rows["t_us"] = frames.t0_us
    peak_g = resultant_g.max(1)
    rows["peak_g"] = np.fmax(peak_g, frames.peak_g)
    rows["mean_g"] = resultant_g.mean(1)
    rows["std_g"] = resultant_g.std(1)
    mean_g = acc_g.mean(1)
    for axis, name in enumerate(("x_g", "y_g", "z_g")):
        rows[name] = mean_g[:, axis]
    for name in ("received_us", "boot", "seq", "speed_mps", "lat_deg", "lon_deg", "accuracy_m"):
        rows[name] = getattr(frames, name)
    for name in ("worn", "strap", "battery_pct", "flags"):
        rows[name] = getattr(frames, name)
    return rows


def samples(frames: Frames) -> npt.NDArray[np.void]:
    """(K·n,) `SAMPLES` rows: every sample of each frame, as the helmet measured it."""
    k, n = frames.acc.shape[:2]
    rows = np.zeros((k, n), SAMPLES)
    rows["helmet"] = np.array([name.encode() for name in frames.helmet])[:, None]
    rows["t_us"] = frames.t0_us[:, None] + sample_offsets_us(frames)
    rows["boot"], rows["seq"] = frames.boot[:, None], frames.seq[:, None]
    acc_g = frames.acc * frames.g_per_count[:, None, None]
    for axis, name in enumerate(("x_g", "y_g", "z_g")):
        rows[name] = acc_g[:, :, axis]
    for axis, name in enumerate(("x_rad_s", "y_rad_s", "z_rad_s")):
        rows[name] = np.nan
        if frames.gyro is not None:
            rows[name] = frames.gyro[:, :, axis] * frames.rad_s_per_count[:, None]
    return rows.ravel()


def sample_offsets_us(frames: Frames) -> npt.NDArray[np.int64]:
    """(K, n) microseconds from the first sample of a frame to each of them."""
    number = np.arange(frames.acc.shape[1], dtype=np.int64)
    return number * frames.period_ns[:, None].astype(np.int64) // 1000


def as_telemetry(rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Raw samples in the shape of telemetry rows, so that they go the journal's way: `split` parts them again.

    Where telemetry has the helmet's id, which is never empty and begins with a letter, these begin with a zero byte.
    """
    carried = np.zeros(len(rows), _CARRIED)
    carried["mark"] = _MARK
    for name in SAMPLES.names or ():
        carried[name] = rows[name]
    return carried.view(TELEMETRY)


def split(rows: npt.NDArray[np.void]) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void]]:
    """Telemetry rows and raw samples of a block of the journal."""
    marked = rows["helmet"] == _MARK
    if not marked.any():
        return rows, np.zeros(0, SAMPLES)
    carried = rows[marked].view(_CARRIED)
    samples = np.zeros(len(carried), SAMPLES)
    for name in SAMPLES.names or ():
        samples[name] = carried[name]
    return rows[~marked], samples


def begins_sample(block: bytes) -> bool:
    """Whether bytes of the journal begin with a raw sample and not with a row of telemetry."""
    return block.startswith(_MARK)


_MARK = b"\0sample"
_CARRIED = np.dtype(
    {
        "names": ["mark", *(SAMPLES.names or ())],
        "formats": ["S8", *(SAMPLES[name] for name in SAMPLES.names or ())],
        "offsets": [0, *(24 + SAMPLES.fields[name][1] for name in SAMPLES.names or () if SAMPLES.fields)],
        "itemsize": TELEMETRY.itemsize,
    }
)
"""A sample of `SAMPLES` behind a mark, as long as a row of `TELEMETRY`."""
