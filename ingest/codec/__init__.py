"""The wire format of `docs/payload.md`. Any bytes give a value or a `Rejected`, never an exception."""

from ingest.codec.binary import HEADER, Decoded, decode_motion, encode_motion
from ingest.codec.text import (
    decode_event,
    decode_prompt,
    decode_status,
    encode_event,
    encode_prompt,
    encode_status,
)
from ingest.codec.topics import VERSION, Leaf, Message, parse_topic, shard, topic

__all__ = [
    "HEADER",
    "VERSION",
    "Decoded",
    "Leaf",
    "Message",
    "decode_event",
    "decode_motion",
    "decode_prompt",
    "decode_status",
    "encode_event",
    "encode_motion",
    "encode_prompt",
    "encode_status",
    "parse_topic",
    "shard",
    "topic",
]
