"""The values that cross the stages. Who has read this file knows the system.

Units stand in the names: `_us` microseconds since 1970 UTC, `_ns` nanoseconds, `_g` multiples of
9.80665 m/s², `_mps` metres per second. Acceleration is specific force: 1 g upwards at rest, 0 in free fall.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

G0 = 9.80665
"""Standard gravity, m/s² per g (CGPM 1901)."""


class Worn(IntEnum):
    """What the helmet's wear sensor says; unknown is never taken for not worn."""

    UNKNOWN = 0
    NO = 1
    YES = 2


class Strap(IntEnum):
    """What the strap switch says."""

    UNKNOWN = 0
    OPEN = 1
    CLOSED = 2


class Flag(IntEnum):
    """Bits of a motion frame's flags."""

    GYRO = 1
    POSITION = 2
    CLIPPED = 4
    ON_IMPACT = 8


@dataclass(frozen=True, slots=True)
class Frames:
    """Motion frames of the same shape, one row a frame, in order of arrival: what the codec gives out.

    Shapes: every column is (K,), `acc` is (K, n, 3), `gyro` (K, n, 3) or None. All K frames have the same
    number of samples n and all or none have a gyro; rate, range and helmet may differ from row to row.
    """

    helmet: list[str]
    boot: npt.NDArray[np.uint32]
    seq: npt.NDArray[np.uint32]
    t0_us: npt.NDArray[np.int64]
    """Device time of the first sample, as the device claims it."""
    received_us: npt.NDArray[np.int64]
    period_ns: npt.NDArray[np.uint32]
    full_scale_g: npt.NDArray[np.float32]
    g_per_count: npt.NDArray[np.float32]
    rad_s_per_count: npt.NDArray[np.float32]
    acc: npt.NDArray[np.int16]
    gyro: npt.NDArray[np.int16] | None
    flags: npt.NDArray[np.uint8]
    worn: npt.NDArray[np.uint8]
    strap: npt.NDArray[np.uint8]
    battery_pct: npt.NDArray[np.uint8]
    """0…100; 255 where the helmet does not say."""
    peak_g: npt.NDArray[np.float32]
    """On-chip peak since the last frame; NaN where the part has none."""
    lat_deg: npt.NDArray[np.float64]
    """WGS-84; NaN (all five position columns) where the helmet has no position."""
    lon_deg: npt.NDArray[np.float64]
    accuracy_m: npt.NDArray[np.float32]
    position_age_s: npt.NDArray[np.float32]
    speed_mps: npt.NDArray[np.float32]
    """NaN where the helmet does not know."""

    @classmethod
    def of(
        cls,
        helmet: list[str],
        acc: npt.NDArray[np.int16],
        gyro: npt.NDArray[np.int16] | None = None,
        **columns: npt.ArrayLike,
    ) -> Frames:
        """Frames of which some columns are given, as arrays (K,) or one value for all; the others are unknown.

        Raises ValueError where a column is left out that nobody can do without, TypeError where there is no such one.
        """
        if missing := _COLUMNS.keys() - _UNKNOWN.keys() - columns.keys():
            raise ValueError(f"frames need {', '.join(sorted(missing))}")
        given = _UNKNOWN | columns
        made = {
            name: np.array(np.broadcast_to(v, len(helmet)), _COLUMNS.get(name)) for name, v in given.items()
        }
        return cls(helmet=helmet, acc=acc, gyro=gyro, **made)

    def __len__(self) -> int:
        return len(self.helmet)

    def rows(self, index: npt.NDArray[np.intp]) -> Frames:
        """The chosen rows, in the given order."""
        return Frames(
            helmet=[self.helmet[i] for i in index.tolist()],
            gyro=None if self.gyro is None else self.gyro[index],
            acc=self.acc[index],
            **{name: getattr(self, name)[index] for name in _COLUMNS},
        )


_COLUMNS: dict[str, npt.DTypeLike] = {
    "boot": np.uint32,
    "seq": np.uint32,
    "t0_us": np.int64,
    "received_us": np.int64,
    "period_ns": np.uint32,
    "full_scale_g": np.float32,
    "g_per_count": np.float32,
    "rad_s_per_count": np.float32,
    "flags": np.uint8,
    "worn": np.uint8,
    "strap": np.uint8,
    "battery_pct": np.uint8,
    "peak_g": np.float32,
    "lat_deg": np.float64,
    "lon_deg": np.float64,
    "accuracy_m": np.float32,
    "position_age_s": np.float32,
    "speed_mps": np.float32,
}
"""The columns of `Frames` that are (K,)."""
_UNKNOWN: dict[str, npt.ArrayLike] = {
    "boot": 0,
    "rad_s_per_count": 0.0,
    "flags": 0,
    "worn": Worn.UNKNOWN,
    "strap": Strap.UNKNOWN,
    "battery_pct": 255,
    **dict.fromkeys(("peak_g", "lat_deg", "lon_deg", "accuracy_m", "position_age_s", "speed_mps"), np.nan),
}
"""What a column holds where nothing is known."""


TELEMETRY = np.dtype(
    [
        ("helmet", "S24"),
        ("t_us", "<i8"),
        ("received_us", "<i8"),
        ("boot", "<u4"),
        ("seq", "<u4"),
        ("peak_g", "<f4"),
        ("mean_g", "<f4"),
        ("std_g", "<f4"),
        ("x_g", "<f4"),
        ("y_g", "<f4"),
        ("z_g", "<f4"),
        ("speed_mps", "<f4"),
        ("lat_deg", "<f8"),
        ("lon_deg", "<f8"),
        ("accuracy_m", "<f4"),
        ("worn", "u1"),
        ("strap", "u1"),
        ("battery_pct", "u1"),
        ("flags", "u1"),
    ]
)
"""One row per motion frame, the telemetry that is always stored: peak, mean and standard deviation of the
resultant over the frame, mean per axis (which way is down), and the frame's context. NaN is unknown."""


class Reason(StrEnum):
    """Why an input was rejected; each is a counter of its own."""

    TOPIC = "topic"
    SIZE = "size"
    MAGIC = "magic"
    VERSION = "version"
    CHECKSUM = "checksum"
    FLAGS = "flags"
    IDENTITY = "identity"
    VALUE = "value"
    JSON = "json"
    STORE = "store"
    """No message but a row of ours: the telemetry store will never take it."""
    RATE = "rate"
    ERROR = "error"
    """A fault of ours: it made the worker raise."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An input that cannot be used, and why: bad input is a value, not an exception."""

    topic: str
    reason: Reason
    detail: str
    """One sentence for a person; never holds the payload."""


@dataclass(frozen=True, slots=True)
class HelmetEvent:
    """Something the rider or the helmet says besides motion (topic `event`)."""

    helmet: str
    type: Literal["sos", "ok", "worn", "not_worn", "power_off"]
    t_us: int
    received_us: int
    lat_deg: float | None = None
    lon_deg: float | None = None


@dataclass(frozen=True, slots=True)
class HelmetStatus:
    """A helmet's birth message or, from its Last Will, its death (topic `status`)."""

    helmet: str
    online: bool
    received_us: int
    firmware: str = ""
    rate_hz: float | None = None
    full_scale_g: float | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent down to a helmet (topic `prompt`)."""

    type: Literal["received", "ask", "remind"]
    boot: int | None = None
    seq: int | None = None
    incident: str | None = None
    until_us: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a helmet was, WGS-84."""

    lat_deg: float
    lon_deg: float
    accuracy_m: float | None
    age_s: float | None


@dataclass(frozen=True, slots=True)
class Trace:
    """The acceleration around an incident, for the eye and for replay.

    `acc` is base64 of little-endian int16 counts, shape (n, 3) row-major; `g_per_count` makes it g.
    The first sample was taken at `t0_us`. Samples are numbered from 0 here.
    """

    t0_us: int
    period_ns: int
    g_per_count: float
    full_scale_g: float
    acc: str
    missing: list[tuple[int, int]] = field(default_factory=list)
    """(first, one after the last) of samples that never came; their counts are zero."""
    frames: list[tuple[int, int, float | None, Worn]] = field(default_factory=list)
    """(first sample, one after the last, speed in m/s, wear) of every frame that the decision knew of."""
    correction: list[float] = field(default_factory=list)
    """Offsets in g and gains of x, y and z that the detector applied: (x - offset) * gain. Empty: none."""


class Stage(StrEnum):
    """How far the detector has come with an incident."""

    FAST = "fast"
    STANDARD = "standard"
    CONFIRMED = "confirmed"
    DOWNGRADED = "downgraded"
    CANCELLED = "cancelled"


class Kind(StrEnum):
    """What happened, as far as can be told."""

    HEAD_STRIKE = "head_strike"
    FALL = "fall"
    HELMET_LOST = "helmet_lost"
    SOS = "sos"
    NOT_WORN = "not_worn"
    """A ride with the helmet not on: a reminder, nobody fell. Filed at once, never open."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One version of what the detector thinks of one incident; the highest version counts.

    What crosses from the worker to the desk. `incident` is the same whatever is repeated, restarted or
    delivered twice: a hash of helmet, boot and the sequence number of the frame that holds the onset.
    """

    incident: str
    version: int
    helmet: str
    kind: Kind
    stage: Stage
    severity: int
    """1 minor, 2 moderate, 3 serious, 4 critical."""
    severity_basis: Literal["kinematic", "lower_bound", "context"]
    quality: Literal["A", "B", "C", "D"]
    occurred_us: int
    """Device time of the first impact."""
    impacts_us: list[int]
    received_us: int
    """Arrival of the frame that completed this decision."""
    detected_us: int
    boot: int
    seq: int
    """The frame that completed this decision (or was the last before silence)."""
    reason_zh: str
    reason_en: str
    worn: Worn = Worn.UNKNOWN
    late: bool = False
    """The impact was already old when it arrived: the helmet was out of coverage."""
    signal_lost: bool = False
    """The helmet fell silent after the impact."""
    speed_mps: float | None = None
    position: Position | None = None
    features: dict[str, float] = field(default_factory=dict)
    points: dict[str, float] = field(default_factory=dict)
    """What each piece of evidence added to the score."""
    detector: str = ""
    """Version of the detector and hash of its thresholds."""
    trace: Trace | None = None
    sent_us: int | None = None
    """End of the frame that completed this decision, by the helmet's clock: it cannot have been sent before."""
    options: dict[str, float] = field(default_factory=dict)
    """Where the detector's options (`core.config.Detection`) were not the defaults of its version."""

    @property
    def key(self) -> str:
        """Its name among all versions of all incidents."""
        return f"{self.incident}:{self.version}"


@dataclass(frozen=True, slots=True)
class HelmetReport:
    """Last known state of one helmet, for the desk's fleet view."""

    helmet: str
    t_us: int
    received_us: int
    worn: Worn
    battery_pct: int | None
    speed_mps: float | None
    lat_deg: float | None
    lon_deg: float | None
    accuracy_m: float | None
    online: bool = True
    faults: list[str] = field(default_factory=list)
    """What is wrong with its sensors as of its last frame, by the names of `docs/detection.md`."""


class Riding(IntEnum):
    """What is known of one second of a helmet. Of two words about the same second the higher counts."""

    UNHEARD = 0
    NOT = 1
    """It does not ride, or is carried by a train or a car."""
    UNKNOWN = 2
    """It rides and nobody knows whether it is worn, or it moves and nobody knows how fast."""
    BARE = 3
    """It rides and is not worn."""
    WORN = 4


@dataclass(frozen=True, slots=True)
class RidingLog:
    """What one helmet did, second by second: what wear rates and the duty clock are added up from."""

    helmet: str
    start_us: int
    """Begin of the first second, by the helmet's clock; a whole second."""
    states: str
    """One digit of `Riding` a second, at most 60."""


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker tells the desk every few seconds: that it lives, how it fares, where its helmets are."""

    worker: str
    sent_us: int
    connected: bool
    """Whether the worker has its broker."""
    frames: int
    """Frames decoded since start."""
    rejected: int
    frames_per_s: float
    queue: int
    """Messages received and not yet processed."""
    lag_s: float
    """Age of the newest processed message on arrival at the detector."""
    undelivered: int
    """Detections the desk has not taken yet."""
    unstored_rows: int
    """Telemetry rows the store has not taken yet."""
    helmets: list[HelmetReport] = field(default_factory=list)
    """Only helmets heard since the last report that the desk took."""
    prompted: list[str] = field(default_factory=list)
    """Ids of the desk's last messages to helmets that went to the broker."""
    riding: list[RidingLog] = field(default_factory=list)
    """Sent again until the desk says how many it has kept."""
