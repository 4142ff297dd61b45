"""Where messages come from: topics, and what holds for every message."""

import re
import zlib
from functools import lru_cache
from typing import Literal, NamedTuple

from core.model import Reason, Rejected

VERSION = 1
FRAME_BYTES_MAX = 65536
SAMPLES_MAX = 5000

CLOCK_SET_US = 1_577_836_800_000_000
"""Start of 2020: a helmet that dates its frames before has a clock that was never set."""

Leaf = Literal["motion", "event", "status", "prompt"]
LEAVES = ("motion", "event", "status", "prompt")
_HELMET = re.compile(r"[A-Za-z0-9_-]{1,24}", re.ASCII)


class Message(NamedTuple):
    """One MQTT message as it came."""

    topic: str
    payload: bytes
    received_us: int


def shard(helmet: str) -> str:
    """The two hex digits that stand before a helmet's id in its topics: CRC-32 modulo 256."""
    return f"{zlib.crc32(helmet.encode()) % 256:02x}"


def topic(helmet: str, leaf: Leaf) -> str:
    """The topic of one helmet, for example `helmets/3f/SF-000001/motion`."""
    return f"helmets/{shard(helmet)}/{helmet}/{leaf}"


@lru_cache(maxsize=400_000)
def parse_topic(name: str) -> tuple[str, str] | Rejected:
    """Helmet and leaf of a topic, or why it is not one of ours."""
    parts = name.split("/")
    if len(parts) != 4 or parts[0] != "helmets" or parts[3] not in LEAVES:
        return Rejected(name[:100], Reason.TOPIC, "the topic is not helmets/{shard}/{helmet}/{leaf}")
    if not _HELMET.fullmatch(parts[2]):
        return Rejected(name[:100], Reason.TOPIC, "the helmet id is not 1 to 24 of A-Z a-z 0-9 _ -")
    if parts[1] != shard(parts[2]):
        return Rejected(name[:100], Reason.TOPIC, f"the shard of this helmet is {shard(parts[2])}")
    return parts[2], parts[3]
