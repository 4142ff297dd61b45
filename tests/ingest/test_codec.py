"""The wire format: golden bytes, round trips, and that no bytes whatever raise."""

import math
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from frames import NOW_US, frames
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core import metrics
from core.model import Flag, Frames, HelmetEvent, HelmetStatus, Prompt, Reason, Rejected
from ingest import codec
from ingest.codec import HEADER, Message
from ingest.codec.topics import CLOCK_SET_US

GOLDEN = Path(__file__).parents[1] / "data" / "golden_frame.hex"


def message(payload: bytes, helmet: str = "SF-000001") -> Message:
    return Message(codec.topic(helmet, "motion"), payload, NOW_US + 1_000_000)


def same(a: Frames, b: Frames) -> bool:
    names = [n for n in Frames.__dataclass_fields__ if n not in ("helmet", "gyro")]
    gyro = (a.gyro is None) == (b.gyro is None) and (a.gyro is None or np.array_equal(a.gyro, b.gyro))
    columns = all(
        np.allclose(getattr(a, n), getattr(b, n), rtol=1e-6, atol=1e-7, equal_nan=True) for n in names
    )
    return a.helmet == b.helmet and gyro and columns


def sealed(payload: bytes) -> bytes:
    return payload[:-4] + zlib.crc32(payload[:-4]).to_bytes(4, "little")


ONE = codec.encode_motion(frames(np.array([[[0, -1, 2048], [100, 200, 2000]]], np.int16)))[0]


def test_the_golden_frame_is_these_bytes_and_these_fields() -> None:
    golden = bytes.fromhex(GOLDEN.read_text())
    assert golden == ONE
    assert golden[:4] == b"HW\x01\x02"
    assert golden[4:28] == b"SF-000001" + bytes(15)
    assert int.from_bytes(golden[28:32], "little") == 3
    assert int.from_bytes(golden[32:36], "little") == 41
    assert int.from_bytes(golden[36:44], "little") == NOW_US
    assert int.from_bytes(golden[44:48], "little") == 10_000_000
    assert golden[48:52] == b"\x02\x00\x02\x01"
    assert np.frombuffer(golden[52:68], "<f4")[:3].tolist() == [16, 1 / 2048, 0]
    assert np.frombuffer(golden[68:76], "<i4").tolist() == [225_431_000, 1_140_579_000]
    assert np.frombuffer(golden[76:80], "<u2").tolist() == [45, 610]
    assert int.from_bytes(golden[80:84], "little") == 400
    assert golden[84:88] == b"\x57\x00\x00\x00"
    assert np.frombuffer(golden[88:100], "<i2").tolist() == [0, -1, 2048, 100, 200, 2000]
    assert int.from_bytes(golden[100:], "little") == zlib.crc32(golden[:100])
    assert len(golden) == 104 and HEADER.itemsize == 88


samples = hnp.arrays(np.int16, st.tuples(st.integers(1, 4), st.integers(1, 40), st.just(3)))


@given(samples, st.booleans(), st.booleans())
def test_decode_inverts_encode(acc: np.ndarray, with_gyro: bool, positioned: bool) -> None:
    nowhere = (
        {} if positioned else dict.fromkeys(("lat_deg", "lon_deg", "accuracy_m", "position_age_s"), math.nan)
    )
    flags = (Flag.GYRO if with_gyro else 0) | (Flag.POSITION if positioned else 0) | Flag.ON_IMPACT
    sent = frames(acc, acc[:, ::-1] if with_gyro else None, flags=flags, **nowhere)
    got = codec.decode_motion([message(p) for p in codec.encode_motion(sent)])
    assert not got.rejected
    assert len(got.frames) == 1 and same(got.frames[0], sent)


@given(
    st.lists(st.one_of(st.binary(max_size=300), st.just(ONE), st.binary(max_size=60).map(lambda b: ONE + b)))
)
def test_every_message_of_a_batch_ends_as_a_frame_or_as_rejected(payloads: list[bytes]) -> None:
    got = codec.decode_motion([message(p) for p in payloads])
    assert sum(len(f) for f in got.frames) + len(got.rejected) == len(payloads)
    assert sum(len(f) for f in got.frames) >= payloads.count(ONE)


@given(st.integers(0, len(ONE) - 1), st.integers(1, 255))
def test_one_changed_byte_anywhere_is_noticed(at: int, change: int) -> None:
    broken = bytearray(ONE)
    broken[at] ^= change
    got = codec.decode_motion([message(bytes(broken)), message(ONE)])
    assert [len(f) for f in got.frames] == [1] and len(got.rejected) == 1


def patched(offset: int, data: bytes) -> bytes:
    return sealed(ONE[:offset] + data + ONE[offset + len(data) :])


NAN = np.float32(np.nan).tobytes()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.SIZE),
        (ONE[:50], Reason.SIZE),
        (ONE[:-7] + ONE[-4:], Reason.SIZE),
        (bytes(70_000), Reason.SIZE),
        (sealed(b"XX" + ONE[2:]), Reason.MAGIC),
        (patched(2, b"\x02"), Reason.VERSION),
        (ONE[:-1] + bytes([ONE[-1] ^ 1]), Reason.CHECKSUM),
        (patched(3, b"\x12"), Reason.FLAGS),
        (patched(86, b"\x01"), Reason.FLAGS),
        (patched(4, b"SF-000002"), Reason.IDENTITY),
        (patched(44, b"\x00\x00\x00\x00"), Reason.VALUE),
        (patched(52, NAN), Reason.VALUE),
        (patched(56, NAN), Reason.VALUE),
        (patched(60, np.float32(np.inf).tobytes()), Reason.VALUE),
        (patched(50, b"\x03"), Reason.VALUE),
        (patched(84, b"\x65"), Reason.VALUE),
        (b"{", Reason.JSON),
        (b'{"v": 1, "helmet": "SF-000001", "boot": 1, "seq": 1, "t0_us": 1, "hz": 100, "acc_g": [[NaN, 0, 0]]}',
         Reason.VALUE),
        (b'{"v": 1, "helmet": "SF-000001", "boot": 1, "seq": 1, "t0_us": 1, "hz": 100, "acc": []}', Reason.VALUE),
        (b'{"v": 2, "helmet": "SF-000001", "boot": 1, "seq": 1, "t0_us": 1, "hz": 100, "acc_g": [[0, 0, 1]]}',
         Reason.VERSION),
        (b'{"v": 1, "helmet": "SF-9", "boot": 1, "seq": 1, "t0_us": 1, "hz": 100, "acc_g": [[0, 0, 1]]}',
         Reason.IDENTITY),
        (b"{" * 5000, Reason.JSON),
    ],
)  # fmt: skip
def test_a_bad_payload_is_rejected_with_its_own_reason_among_good_ones(
    payload: bytes, reason: Reason
) -> None:
    got = codec.decode_motion([message(ONE), message(payload), message(ONE)])
    assert [r.reason for _, r in got.rejected] == [reason]
    assert sum(len(f) for f in got.frames) == 2


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "helmets",
        "helmets/00/SF-000001/motion",
        "helmets/zz/a b/motion",
        "x/y/z/motion",
        "helmets/00//motion",
    ],
)
def test_a_wrong_topic_is_rejected(topic: str) -> None:
    got = codec.decode_motion([Message(topic, ONE, NOW_US)])
    assert [r.reason for _, r in got.rejected] == [Reason.TOPIC]


def test_the_json_twin_says_the_same_as_the_binary_frame() -> None:
    text = (
        b'{"v": 1, "helmet": "SF-000001", "boot": 3, "seq": 41, "t0_us": 1790000000000000, "hz": 100, "worn": true,'
        b'"acc_g": [[0, -0.5, 1.0], [2.5, 0.25, 16]], "lat": 22.5431, "lon": 114.0579, "accuracy_m": 4.5,'
        b'"position_age_s": 0.4, "speed_mps": 6.1, "battery_pct": 87, "strap": "open"}'
    )
    (one,) = codec.decode_motion([message(text)]).frames
    binary = frames(one.acc, g_per_count=float(one.g_per_count[0]))
    assert same(one, binary)
    assert np.allclose(one.acc[0] * one.g_per_count[0], [[0, -0.5, 1], [2.5, 0.25, 16]], atol=2e-3)


@given(
    st.integers(0, 2**62 - 1) | st.integers(NOW_US - 10**9, NOW_US + 10**9),
    st.floats(0.001, 1e5),
    st.booleans(),
)
def test_no_clock_costs_a_frame_or_dates_it_into_the_future(
    t0_us: int, future_s: float, as_json: bool
) -> None:
    text = f'{{"v": 1, "helmet": "SF-000001", "boot": 3, "seq": 1, "t0_us": {t0_us}, "hz": 100, "acc_g": [[0, 0, 1]]}}'
    payload = text.encode() if as_json else patched(36, t0_us.to_bytes(8, "little"))
    before = metrics.FRAME_CLOCKS._value.get()
    (one,) = codec.decode_motion([message(payload)], future_s=future_s).frames
    true = CLOCK_SET_US <= t0_us <= NOW_US + int(future_s * 1e6)
    length_us = one.acc.shape[1] * 10_000
    assert one.t0_us[0] == (t0_us if true else one.received_us[0] - length_us)
    assert metrics.FRAME_CLOCKS._value.get() - before == (not true)


def test_the_shard_is_the_checksum_that_the_document_says() -> None:
    assert (
        codec.topic("SF-000001", "motion") == f"helmets/{zlib.crc32(b'SF-000001') % 256:02x}/SF-000001/motion"
    )
    assert codec.parse_topic(codec.topic("SF-000001", "event")) == ("SF-000001", "event")


def test_events_status_and_prompts_round_trip() -> None:
    event = HelmetEvent("SF-1", "sos", NOW_US, NOW_US + 5, 22.5, 114.0)
    assert codec.decode_event(Message("", codec.encode_event(event), NOW_US + 5), "SF-1") == event
    status = HelmetStatus("SF-1", True, NOW_US, "2.4.1", 100.0, 16.0)
    assert codec.decode_status(Message("", codec.encode_status(status), NOW_US), "SF-1") == status
    prompt = Prompt("received", boot=3, seq=41)
    assert codec.decode_prompt(codec.encode_prompt(prompt)) == prompt


@given(
    st.integers(-(2**80), 2**80) | st.integers(NOW_US - 10**9, NOW_US + 10**9),
    st.floats(0.001, 1e5),
    st.sampled_from(["sos", "ok", "worn"]),
)
def test_no_clock_of_a_helmet_costs_an_event_or_dates_it_into_the_future(
    t_us: int, future_s: float, kind: str
) -> None:
    before = metrics.EVENT_CLOCKS._value.get()
    text = f'{{"v": 1, "helmet": "SF-1", "type": "{kind}", "t_us": {t_us}}}'
    event = codec.decode_event(Message("t", text.encode(), NOW_US), "SF-1", future_s=future_s)
    assert isinstance(event, HelmetEvent) and event.type == kind
    true = CLOCK_SET_US <= t_us <= NOW_US + int(future_s * 1e6)
    assert event.t_us == (t_us if true else NOW_US)
    assert metrics.EVENT_CLOCKS._value.get() - before == (not true)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_small_messages_raise(payload: bytes) -> None:
    for got in (
        codec.decode_event(Message("t", payload, NOW_US), "SF-1"),
        codec.decode_status(Message("t", payload, NOW_US), "SF-1"),
        codec.decode_prompt(payload),
    ):
        assert isinstance(got, Rejected)


def test_a_helmet_written_in_c_from_the_document_sends_the_golden_frame(tmp_path: Path) -> None:
    program = tmp_path / "golden_frame"
    subprocess.run(
        ["gcc", "-std=c99", "-Wall", "-Werror", "-o", program, GOLDEN.with_suffix(".c")], check=True
    )
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    assert bytes.fromhex(printed) == bytes.fromhex(GOLDEN.read_text())


@given(st.floats(-60, 60), st.floats(-60, 60))
def test_the_json_twins_scale_does_not_follow_its_samples(one: float, other: float) -> None:
    """A scale that changed from frame to frame would look like another sensor and begin a new track."""
    text = '{"v": 1, "helmet": "SF-000001", "boot": 1, "seq": 1, "t0_us": 1790000000000000, "hz": 50, "acc_g": [[0, %r, 1]]}'
    got = [codec.decode_motion([message((text % x).encode())]).frames[0] for x in (one, other)]
    assert got[0].g_per_count[0] == got[1].g_per_count[0]
    assert math.isclose(got[0].acc[0, 0, 1] * got[0].g_per_count[0], one, abs_tol=2e-3)
