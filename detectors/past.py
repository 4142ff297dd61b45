"""What outlives a track, and a worker: the rider, the part and its habits are the same after a pause or a restart."""

import zlib

import numpy as np
import numpy.typing as npt

from detectors.calibration import CALIBRATION
from detectors.health import HEALTH
from detectors.noise import NOISE
from detectors.wear import WEAR

LASTING = {"wear": WEAR, "health": HEALTH, "noise": NOISE, "calibration": CALIBRATION}
"""The arrays of a ring that hold it."""
PAST = np.dtype([("newest", "<u8"), ("clock_us", "<i8"), *LASTING.items()])
"""One helmet: boot and number of its last frame, as `order` puts them, and when that ended by its own clock."""

_MEANING = 1
"""To be raised where the numbers in a row come to mean something else."""
_FORMAT = zlib.crc32(f"{_MEANING} {PAST.descr}".encode()).to_bytes(4, "little")


def order(boot: npt.NDArray[np.uint32], seq: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """Frames of one helmet in the order in which they were made, whatever its clock says."""
    return np.asarray(boot.astype(np.uint64) << np.uint64(32) | seq, np.uint64)


def same_boot(one: int, other: int) -> bool:
    """Whether two frames, as `order` puts them, are of one boot."""
    return one >> 32 == other >> 32


def pack(rows: npt.NDArray[np.void]) -> list[bytes]:
    """Each of (m,) rows of `PAST` as bytes to be kept, 0.8 kB."""
    size, whole = PAST.itemsize, rows.tobytes()
    return [_FORMAT + whole[k * size : (k + 1) * size] for k in range(len(rows))]


def unpack(block: bytes) -> np.void | None:
    """A row of `PAST` out of bytes; None where another version of the detector packed them."""
    if len(block) != len(_FORMAT) + PAST.itemsize or not block.startswith(_FORMAT):
        return None
    row: np.void = np.frombuffer(block, PAST, 1, len(_FORMAT))[0]
    return row
