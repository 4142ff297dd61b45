"""A TCP proxy that does to a connection what networks do: pass, delay, slow down, swallow, cut."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Self

_PIECE_S = 0.05
"""A slow connection passes what it may in so long at a time, at least a byte."""


class Proxy:
    """Listens on `port` and passes everything on to `target`, as well as it is told to."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._swallows = False
        self.latency_s = 0.0
        """So long each byte is under way, in each direction."""
        self.bytes_per_s = 0.0
        """As many bytes pass, in each direction of each connection; 0 is full speed."""
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    @contextlib.contextmanager
    def black_hole(self) -> Iterator[None]:
        """Takes connections and bytes and passes on nothing, not even that one side has hung up.

        The bytes are lost: afterwards every connection is reset.
        """
        self._swallows = True
        try:
            yield
        finally:
            self.cut()
            self._swallows = False

    def cut(self) -> None:
        """Resets every connection (RST, not FIN)."""
        done = threading.Event()

        def reset() -> None:
            for writer in self._writers:
                sock = writer.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            self._writers.clear()
            done.set()

        self._loop.call_soon_threadsafe(reset)
        assert done.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if self._swallows:
            return
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(there_writer)
        await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Bounded, so that whoever sends into a slow connection feels it.
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(16)
        delivering = asyncio.create_task(self._deliver(under_way, writer))
        with contextlib.suppress(OSError):
            while data := await reader.read(16384):
                await under_way.put((self._loop.time() + self.latency_s, data))
        await under_way.put((self._loop.time(), b""))
        await delivering

    async def _deliver(
        self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while True:
                due_s, data = await under_way.get()
                await asyncio.sleep(max(0.0, due_s - self._loop.time()))
                if not data:
                    break
                while data:
                    size = len(data)
                    if self.bytes_per_s:
                        size = min(size, max(1, int(self.bytes_per_s * _PIECE_S)))
                        await asyncio.sleep(size / self.bytes_per_s)
                    if not self._swallows:
                        writer.write(data[:size])
                        await writer.drain()
                    data = data[size:]
        if not self._swallows:
            writer.close()
            self._writers.discard(writer)
