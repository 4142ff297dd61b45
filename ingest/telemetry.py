"""The row that is stored for every frame."""

import numpy as np
import numpy.typing as npt

from core.model import TELEMETRY, Frames


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
