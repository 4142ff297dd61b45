"""Recorded messages: any topic tree with its timing, in a file that can be played, compared and exported.

A tape is eight bytes (`HWTAPE2` and a line feed), the start in microseconds since 1970 (u64) and then one record a
message, little-endian: offset from the start in microseconds (u64), flags (u8: bits 0 and 1 QoS, bit 2 retain),
length of the topic (u16), length of the payload (u32), topic (UTF-8), payload. There is nothing else in it, so
equal runs give equal bytes. Tapes of before (`HWTAPE1`) are the same but for their QoS, which was not that of the
message: it is read as 1. A name ending in `.gz` is compressed, again the same way every time.
"""

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self, cast

MAGIC = b"HWTAPE2\n"
_FIRST = b"HWTAPE1\n"
_START = struct.Struct("<Q")
_HEAD = struct.Struct("<QBHI")
_PAYLOAD_MAX = 16 << 20


class TapeError(Exception):
    """A file is not a tape; the message says which and why."""


class Recorded(NamedTuple):
    """One message of a tape."""

    offset_us: int
    topic: str
    payload: bytes
    qos: int
    retain: bool


class TapeWriter:
    """Writes a tape. What was written before the process was killed can be read, but for the last buffer."""

    def __init__(self, path: Path, start_us: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._plain = path.open("wb")
        # No name and no time of compression in the file: they would differ from run to run.
        packed = gzip.GzipFile("", "wb", 6, self._plain, mtime=0) if path.suffix == ".gz" else None
        self._file = cast(BinaryIO, packed or self._plain)
        self._file.write(MAGIC + _START.pack(start_us))
        self.start_us = start_us
        self.messages = 0

    def write(self, offset_us: int, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        """Appends a message; offsets before the start count as the start."""
        name = topic.encode()
        head = _HEAD.pack(max(0, offset_us), qos | retain << 2, len(name), len(payload))
        self._file.write(head + name + payload)
        self.messages += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._plain.close()


class Tape:
    """A tape to be read: `start_us` and, iterated, its messages. Raises `TapeError` and `OSError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as file:
            self.start_us, self._keeps_qos = self._header(file)

    def _open(self) -> BinaryIO:
        if self.path.suffix == ".gz":
            return cast(BinaryIO, gzip.open(self.path, "rb"))
        return self.path.open("rb")

    def _header(self, file: BinaryIO) -> tuple[int, bool]:
        try:
            head = file.read(len(MAGIC) + _START.size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise TapeError(f"{self.path}: {error}") from None
        if not head.startswith((MAGIC, _FIRST)) or len(head) < len(MAGIC) + _START.size:
            raise TapeError(f"{self.path} is not a tape that `helmetwatch simulate --record` wrote")
        return int(_START.unpack(head[len(MAGIC) :])[0]), head.startswith(MAGIC)

    def __iter__(self) -> Iterator[Recorded]:
        with self._open() as file:
            self._header(file)
            while len(head := _read(file, _HEAD.size)) == _HEAD.size:
                offset_us, flags, topic_len, payload_len = _HEAD.unpack(head)
                if payload_len > _PAYLOAD_MAX or flags > 7 or flags & 3 == 3:
                    raise TapeError(f"{self.path}: not a record at {offset_us} µs: the file is damaged")
                rest = _read(file, topic_len + payload_len)
                if len(rest) < topic_len + payload_len:
                    return  # cut off in the middle of a message by a kill
                topic = rest[:topic_len].decode(errors="replace")
                qos = flags & 3 if self._keeps_qos else 1
                yield Recorded(offset_us, topic, rest[topic_len:], qos, bool(flags & 4))


def _read(file: BinaryIO, n: int) -> bytes:
    try:
        return file.read(n)
    except (EOFError, zlib.error):  # a compressed file that was cut off
        return b""
