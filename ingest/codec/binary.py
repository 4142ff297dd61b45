"""The binary motion frame: bytes to arrays and back. Frames of equal length are decoded together."""

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from core.model import Flag, Frames, Reason, Rejected, Strap, Worn
from ingest.codec.text import decode_json_motion, set_clock
from ingest.codec.topics import FRAME_BYTES_MAX, SAMPLES_MAX, VERSION, Message, parse_topic

HEADER = np.dtype(
    {
        "names": [
            *(
                "magic",
                "version",
                "flags",
                "helmet",
                "boot",
                "seq",
                "t0_us",
                "period_ns",
                "count",
                "worn",
                "strap",
            ),
            *("full_scale_g", "g_per_count", "rad_s_per_count", "peak_g", "lat_e7", "lon_e7", "accuracy_dm"),
            *("speed_cmps", "position_age_ms", "battery_pct", "reserved"),
        ],
        "formats": [
            *("S2", "u1", "u1", "S24", "<u4", "<u4", "<i8", "<u4", "<u2", "u1", "u1"),
            *("<f4", "<f4", "<f4", "<f4", "<i4", "<i4", "<u2", "<u2", "<u4", "u1", "V3"),
        ],
        "offsets": [0, 2, 3, 4, 28, 32, 36, 44, 48, 50, 51, 52, 56, 60, 64, 68, 72, 76, 78, 80, 84, 85],
        "itemsize": 88,
    }
)
"""The packed header of a binary frame, as a C struct and as a numpy dtype."""

_UNKNOWN_U16 = 65535
_KNOWN_FLAGS = Flag.GYRO | Flag.POSITION | Flag.CLIPPED | Flag.ON_IMPACT


class Decoded(NamedTuple):
    """What became of a batch of motion messages; every message is in exactly one of the two."""

    frames: list[Frames]
    rejected: list[tuple[Message, Rejected]]


def decode_motion(messages: Sequence[Message], *, future_s: float = 60.0) -> Decoded:
    """Decodes motion messages, binary and JSON mixed, of many helmets at once.

    Rows keep the order of arrival within each `Frames`; messages of equal length share one. A clock that cannot be
    right, never set or more than `future_s` ahead of the arrival, is replaced by the time of arrival, and counted.
    """
    frames: list[Frames] = []
    rejected: list[tuple[Message, Rejected]] = []
    by_length: dict[int, list[tuple[Message, str]]] = {}
    for message in messages:
        parsed = parse_topic(message.topic)
        size = len(message.payload)
        if isinstance(parsed, Rejected):
            rejected.append((message, parsed))
        elif size > FRAME_BYTES_MAX:
            rejected.append(
                (message, Rejected(message.topic, Reason.SIZE, f"{size} bytes, more than {FRAME_BYTES_MAX}"))
            )
        elif message.payload[:1] == b"{":
            one = decode_json_motion(message, parsed[0], future_s)
            if isinstance(one, Rejected):
                rejected.append((message, one))
            else:
                frames.append(one)
        elif size < HEADER.itemsize + 10:
            rejected.append(
                (message, Rejected(message.topic, Reason.SIZE, f"{size} bytes, less than one sample needs"))
            )
        else:
            by_length.setdefault(size, []).append((message, parsed[0]))
    for size, group in by_length.items():
        _decode_binary(size, group, future_s, frames, rejected)
    return Decoded(frames, rejected)


def _decode_binary(
    size: int,
    group: list[tuple[Message, str]],
    future_s: float,
    frames: list[Frames],
    rejected: list[tuple[Message, Rejected]],
) -> None:
    raw = np.frombuffer(b"".join([m.payload for m, _ in group]), np.uint8).reshape(len(group), size)
    header = np.ascontiguousarray(raw[:, : HEADER.itemsize]).view(HEADER)[:, 0]
    received = np.array([m.received_us for m, _ in group], np.int64)
    names = np.array([name.encode() for _, name in group], "S24")
    why = _faults(size, header, raw, names)
    bad = why >= 0
    for k in np.flatnonzero(bad).tolist():
        reason, detail = _FAULTS[why[k]]
        rejected.append((group[k][0], Rejected(group[k][0].topic, reason, detail)))
    # Rows of one length still differ in shape: 200 samples are as long as 100 with gyro.
    gyro = (header["flags"] & Flag.GYRO) > 0
    for with_gyro in (False, True):
        rows = np.flatnonzero(~bad & (gyro == with_gyro))
        if len(rows):
            helmet = [group[k][1] for k in rows.tolist()]
            body = raw[rows, HEADER.itemsize : -4]
            frames.append(_frames(helmet, header[rows], body, received[rows], with_gyro, future_s))


_FAULTS = [
    (Reason.MAGIC, "does not start with HW"),
    (Reason.VERSION, "a version other than 1"),
    (Reason.SIZE, "the length does not fit the sample count"),
    (Reason.CHECKSUM, "CRC-32 differs"),
    (Reason.FLAGS, "unknown flags or reserved bytes are set"),
    (Reason.IDENTITY, "the helmet in the payload is not the one in the topic"),
    (Reason.VALUE, "a number is out of range or not finite"),
]


def _faults(
    size: int,
    header: npt.NDArray[Any],
    raw: npt.NDArray[np.uint8],
    names: npt.NDArray[np.bytes_],
) -> npt.NDArray[np.intp]:
    """(K,) number of the first fault in `_FAULTS` that each row has, −1 for none."""
    count = header["count"].astype(np.int64)
    gyro = (header["flags"] & Flag.GYRO) > 0
    crc = np.array([zlib.crc32(row) for row in raw[:, :-4]], np.uint32)
    told = np.ascontiguousarray(raw[:, -4:]).view("<u4")[:, 0]
    with np.errstate(invalid="ignore", over="ignore"):
        faults = [
            header["magic"] != b"HW",
            header["version"] != VERSION,
            (count < 1) | (count > SAMPLES_MAX) | (HEADER.itemsize + 6 * count * (1 + gyro) + 4 != size),
            crc != told,
            ((header["flags"] & ~np.uint8(_KNOWN_FLAGS)) != 0) | (raw[:, 85:88] != 0).any(1),
            header["helmet"] != names,
            _bad_values(header, gyro),
        ]
    table = np.stack(faults)
    return np.where(table.any(0), table.argmax(0), -1)


def _bad_values(header: npt.NDArray[Any], gyro: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    full, scale, rate, peak = (
        header[f] for f in ("full_scale_g", "g_per_count", "rad_s_per_count", "peak_g")
    )
    position = (header["flags"] & Flag.POSITION) > 0
    # Written as "not good" so that NaN is bad.
    good = (
        (header["period_ns"] >= 312_500)
        & (header["period_ns"] <= 100_000_000)
        & (full >= 1)
        & (full <= 1000)
        & (scale > 0)
        & (scale * 32768 <= 2000)
        & (rate >= 0)
        & (rate * 32768 <= 1000)
        & (~gyro | (rate > 0))
        & (np.isnan(peak) | ((peak >= 0) & (peak <= 10000)))
        & (header["worn"] <= Worn.YES)
        & (header["strap"] <= Strap.CLOSED)
        & ((header["battery_pct"] <= 100) | (header["battery_pct"] == 255))
        & (header["t0_us"] >= 0)
        & (~position | (np.abs(header["lat_e7"].astype(np.int64)) <= 900_000_000))
        & (~position | (np.abs(header["lon_e7"].astype(np.int64)) <= 1_800_000_000))
    )
    return np.asarray(~good)


def _frames(
    helmet: list[str],
    header: npt.NDArray[Any],
    body: npt.NDArray[np.uint8],
    received: npt.NDArray[np.int64],
    with_gyro: bool,
    future_s: float,
) -> Frames:
    n = int(header["count"][0])
    samples = np.ascontiguousarray(body).view("<i2").reshape(len(helmet), 1 + with_gyro, n, 3)
    position = (header["flags"] & Flag.POSITION) > 0

    def unknown(field: str, missing: int, unit: float) -> npt.NDArray[np.float32]:
        return np.where(header[field] == missing, np.nan, header[field] * unit).astype(np.float32)

    def placed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.where(position, values, np.nan)

    return Frames(
        helmet=helmet,
        boot=header["boot"].copy(),
        seq=header["seq"].copy(),
        t0_us=set_clock(header["t0_us"], received, n, header["period_ns"], future_s),
        received_us=received,
        period_ns=header["period_ns"].copy(),
        full_scale_g=header["full_scale_g"].copy(),
        g_per_count=header["g_per_count"].copy(),
        rad_s_per_count=header["rad_s_per_count"].copy(),
        acc=samples[:, 0],
        gyro=samples[:, 1] if with_gyro else None,
        flags=header["flags"].copy(),
        worn=header["worn"].copy(),
        strap=header["strap"].copy(),
        battery_pct=header["battery_pct"].copy(),
        peak_g=header["peak_g"].copy(),
        lat_deg=placed(header["lat_e7"] * 1e-7),
        lon_deg=placed(header["lon_e7"] * 1e-7),
        accuracy_m=placed(unknown("accuracy_dm", _UNKNOWN_U16, 0.1)).astype(np.float32),
        position_age_s=placed(header["position_age_ms"] * 1e-3).astype(np.float32),
        speed_mps=unknown("speed_cmps", _UNKNOWN_U16, 0.01),
    )


def encode_motion(frames: Frames) -> list[bytes]:
    """The binary frames of `docs/payload.md`, one for each row; the inverse of `decode_motion`."""
    k, n = frames.acc.shape[:2]
    header = np.zeros(k, HEADER)
    header["magic"], header["version"], header["count"] = b"HW", VERSION, n
    header["helmet"] = np.array([name.encode() for name in frames.helmet], "S24")
    position = np.isfinite(frames.lat_deg) & np.isfinite(frames.lon_deg)
    flags = frames.flags & ~np.uint8(Flag.GYRO | Flag.POSITION)
    header["flags"] = flags | np.where(position, Flag.POSITION, 0) | (0 if frames.gyro is None else Flag.GYRO)
    for field in ("boot", "seq", "t0_us", "period_ns", "worn", "strap", "battery_pct"):
        header[field] = getattr(frames, field)
    for field in ("full_scale_g", "g_per_count", "rad_s_per_count", "peak_g"):
        header[field] = getattr(frames, field)
    header["lat_e7"] = np.where(position, np.rint(np.nan_to_num(frames.lat_deg) * 1e7), 0)
    header["lon_e7"] = np.where(position, np.rint(np.nan_to_num(frames.lon_deg) * 1e7), 0)
    header["accuracy_dm"] = _unsigned(frames.accuracy_m, 10, _UNKNOWN_U16)
    header["speed_cmps"] = _unsigned(frames.speed_mps, 100, _UNKNOWN_U16)
    header["position_age_ms"] = _unsigned(frames.position_age_s, 1000, 0)
    samples = frames.acc[:, None] if frames.gyro is None else np.stack([frames.acc, frames.gyro], 1)
    body = np.ascontiguousarray(samples, "<i2").reshape(k, -1).view(np.uint8)
    out = np.concatenate([header.view(np.uint8).reshape(k, -1), body], 1)
    return [(row := bytes(line)) + zlib.crc32(row).to_bytes(4, "little") for line in out]


def _unsigned(values: npt.NDArray[np.float32], per_unit: int, unknown: int) -> npt.NDArray[np.int64]:
    scaled = np.rint(np.nan_to_num(values.astype(np.float64)) * per_unit)
    return np.where(np.isfinite(values), np.clip(scaled, 0, 65534), unknown).astype(np.int64)
