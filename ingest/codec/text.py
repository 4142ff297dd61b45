"""The JSON messages: the twin of the motion frame, event, status and prompt."""

from typing import Annotated, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core import metrics
from core.model import Flag, Frames, HelmetEvent, HelmetStatus, Prompt, Reason, Rejected, Strap, Worn
from ingest.codec.topics import CLOCK_SET_US, FRAME_BYTES_MAX, SAMPLES_MAX, VERSION, Message


class _Json(BaseModel):
    """JSON from a helmet: exact types, finite numbers, no unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    v: int
    helmet: str


_Vector = tuple[float, float, float]
_U32 = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
_Latitude = Annotated[float, Field(ge=-90, le=90)]
_Longitude = Annotated[float, Field(ge=-180, le=180)]


class _JsonMotion(_Json):
    boot: _U32
    seq: _U32
    t0_us: Annotated[int, Field(ge=0, lt=2**62)]
    hz: Annotated[float, Field(ge=10, le=3200)]
    acc_g: Annotated[list[_Vector], Field(min_length=1, max_length=SAMPLES_MAX)]
    full_scale_g: Annotated[float, Field(ge=1, le=500)] = 16
    worn: bool | None = None
    strap: Literal["open", "closed"] | None = None
    gyro_rad_s: list[_Vector] | None = None
    lat: _Latitude | None = None
    lon: _Longitude | None = None
    accuracy_m: Annotated[float, Field(ge=0)] | None = None
    position_age_s: Annotated[float, Field(ge=0)] | None = None
    speed_mps: Annotated[float, Field(ge=0)] | None = None
    battery_pct: Annotated[int, Field(ge=0, le=100)] | None = None
    on_impact: bool = False
    clipped: bool = False
    peak_g: Annotated[float, Field(ge=0, le=10000)] | None = None


class _JsonEvent(_Json):
    type: Literal["sos", "ok", "worn", "not_worn", "power_off"]
    t_us: int
    lat: _Latitude | None = None
    lon: _Longitude | None = None


class _JsonStatus(_Json):
    online: bool
    firmware: Annotated[str, Field(max_length=64)] = ""
    rate_hz: Annotated[float, Field(gt=0)] | None = None
    full_scale_g: Annotated[float, Field(gt=0)] | None = None


class _JsonPrompt(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    v: int = VERSION
    type: Literal["received", "ask", "remind"]
    boot: _U32 | None = None
    seq: _U32 | None = None
    incident: str | None = None
    until_us: int | None = None
    text: str | None = None


_JSON_HEADROOM = 4.0
_JSON_RAD_S = 100.0
"""Beyond any rate gyro: the common ±2000 °/s are 35 rad/s."""

_Shape = TypeVar("_Shape", bound=_Json)


def _parse(shape: type[_Shape], message: Message, helmet: str) -> _Shape | Rejected:
    if len(message.payload) > FRAME_BYTES_MAX:
        return Rejected(
            message.topic, Reason.SIZE, f"{len(message.payload)} bytes, more than {FRAME_BYTES_MAX}"
        )
    try:
        value = shape.model_validate_json(message.payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = Reason.JSON if first["type"] == "json_invalid" else Reason.VALUE
        return Rejected(message.topic, reason, f"{where}: {first['msg']}"[:200])
    if value.v != VERSION:
        return Rejected(message.topic, Reason.VERSION, "a version other than 1")
    if value.helmet != helmet:
        return Rejected(
            message.topic, Reason.IDENTITY, "the helmet in the payload is not the one in the topic"
        )
    return value


def set_clock(
    t0_us: npt.NDArray[np.int64],
    received_us: npt.NDArray[np.int64],
    n: int,
    period_ns: npt.NDArray[np.uint32],
    future_s: float,
) -> npt.NDArray[np.int64]:
    """(K,) device times, with those that cannot be right replaced by the time of arrival.

    Of clocks that were never set, or that are more than `future_s` ahead: of the helmet's clock or of ours, and
    neither may cost a crash.
    """
    length_us = n * period_ns.astype(np.int64) // 1000
    wrong = (t0_us < CLOCK_SET_US) | (t0_us > received_us + int(future_s * 1e6))
    metrics.FRAME_CLOCKS.inc(int(wrong.sum()))
    return np.where(wrong, received_us - length_us, t0_us)


def decode_json_motion(message: Message, helmet: str, future_s: float) -> Frames | Rejected:
    """One motion frame written as JSON."""
    value = _parse(_JsonMotion, message, helmet)
    if isinstance(value, Rejected):
        return value
    acc = np.array(value.acc_g, np.float64)
    gyro = None if value.gyro_rad_s is None else np.array(value.gyro_rad_s, np.float64).reshape(-1, 3)
    if gyro is not None and len(gyro) != len(acc):
        return Rejected(message.topic, Reason.VALUE, "acc_g and gyro_rad_s: of different lengths")
    # The scale must be the same from frame to frame, so it cannot follow the largest sample; whoever leaves out
    # full_scale_g may have more than the 16 g we assume.
    g_per_count = _JSON_HEADROOM * value.full_scale_g / 32767
    acc = np.clip(acc, -32767 * g_per_count, 32767 * g_per_count)
    rad_s_per_count = 0.0 if gyro is None else _JSON_RAD_S / 32767
    gyro = None if gyro is None else np.clip(gyro, -_JSON_RAD_S, _JSON_RAD_S)
    period_ns = np.array([round(1e9 / value.hz)], np.uint32)
    received = np.array([message.received_us], np.int64)
    position = value.lat is not None and value.lon is not None

    def column(number: float | None) -> npt.NDArray[np.float32]:
        return np.array([np.nan if number is None else number], np.float32)

    return Frames(
        helmet=[helmet],
        boot=np.array([value.boot], np.uint32),
        seq=np.array([value.seq], np.uint32),
        t0_us=set_clock(np.array([value.t0_us], np.int64), received, len(acc), period_ns, future_s),
        received_us=received,
        period_ns=period_ns,
        full_scale_g=column(value.full_scale_g),
        g_per_count=column(g_per_count),
        rad_s_per_count=column(rad_s_per_count),
        acc=np.rint(acc / g_per_count).astype(np.int16)[None],
        gyro=None if gyro is None else np.rint(gyro / rad_s_per_count).astype(np.int16)[None],
        flags=np.array([_json_flags(value, position)], np.uint8),
        worn=np.array(
            [Worn.UNKNOWN if value.worn is None else Worn.YES if value.worn else Worn.NO], np.uint8
        ),
        strap=np.array(
            [{None: Strap.UNKNOWN, "open": Strap.OPEN, "closed": Strap.CLOSED}[value.strap]], np.uint8
        ),
        battery_pct=np.array([255 if value.battery_pct is None else value.battery_pct], np.uint8),
        peak_g=column(value.peak_g),
        lat_deg=np.array([value.lat if position else np.nan], np.float64),
        lon_deg=np.array([value.lon if position else np.nan], np.float64),
        accuracy_m=column(value.accuracy_m if position else None),
        position_age_s=column((value.position_age_s or 0.0) if position else None),
        speed_mps=column(value.speed_mps),
    )


def _json_flags(value: _JsonMotion, position: bool) -> int:
    return (
        (Flag.GYRO if value.gyro_rad_s is not None else 0)
        | (Flag.POSITION if position else 0)
        | (Flag.CLIPPED if value.clipped else 0)
        | (Flag.ON_IMPACT if value.on_impact else 0)
    )


def decode_event(message: Message, helmet: str, *, future_s: float = 60.0) -> HelmetEvent | Rejected:
    """A button press or another happening besides motion.

    A time that cannot be true never costs a call for help: that of a clock never set, or more than `future_s` after
    the arrival, is replaced by the time of arrival.
    """
    value = _parse(_JsonEvent, message, helmet)
    if isinstance(value, Rejected):
        return value
    plausible = CLOCK_SET_US <= value.t_us <= message.received_us + int(future_s * 1e6)
    t_us = value.t_us if plausible else message.received_us
    if not plausible:
        metrics.EVENT_CLOCKS.inc()
    return HelmetEvent(helmet, value.type, t_us, message.received_us, value.lat, value.lon)


def decode_status(message: Message, helmet: str) -> HelmetStatus | Rejected:
    """A helmet's birth message or Last Will."""
    value = _parse(_JsonStatus, message, helmet)
    if isinstance(value, Rejected):
        return value
    return HelmetStatus(
        helmet, value.online, message.received_us, value.firmware, value.rate_hz, value.full_scale_g
    )


def decode_prompt(payload: bytes) -> Prompt | Rejected:
    """What the desk or the worker asks of a helmet."""
    try:
        value = _JsonPrompt.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return Rejected(
            "", Reason.JSON if first["type"] == "json_invalid" else Reason.VALUE, str(first["msg"])
        )
    if value.v != VERSION:
        return Rejected("", Reason.VERSION, "a version other than 1")
    return Prompt(value.type, value.boot, value.seq, value.incident, value.until_us, value.text)


def encode_event(event: HelmetEvent) -> bytes:
    """The JSON of an event."""
    value = _JsonEvent(
        v=VERSION, helmet=event.helmet, type=event.type, t_us=event.t_us, lat=event.lat_deg, lon=event.lon_deg
    )
    return value.model_dump_json(exclude_none=True).encode()


def encode_status(status: HelmetStatus) -> bytes:
    """The JSON of a birth message or Last Will."""
    value = _JsonStatus(
        v=VERSION,
        helmet=status.helmet,
        online=status.online,
        firmware=status.firmware,
        rate_hz=status.rate_hz,
        full_scale_g=status.full_scale_g,
    )
    return value.model_dump_json(exclude_none=True).encode()


def encode_prompt(prompt: Prompt) -> bytes:
    """The JSON of a prompt."""
    value = _JsonPrompt(
        type=prompt.type,
        boot=prompt.boot,
        seq=prompt.seq,
        incident=prompt.incident,
        until_us=prompt.until_us,
        text=prompt.text,
    )
    return value.model_dump_json(exclude_none=True).encode()
