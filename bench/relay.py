"""A network cable between a browser and the desk that can be pulled."""

import asyncio
import threading
from contextlib import suppress


class Relay:
    """Passes TCP connections on to a port of this machine, until it is cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open = True
        self._links: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="relay", daemon=True).start()
        starting = asyncio.start_server(self._join, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(5)
        self.port: int = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Breaks every connection and takes no new one."""
        self._open = False
        self._loop.call_soon_threadsafe(self._break)

    def mend(self) -> None:
        """Takes connections again."""
        self._open = True

    def close(self) -> None:
        """Ends the relay."""
        self.cut()
        self._loop.call_soon_threadsafe(self._server.close)

    def _break(self) -> None:
        for link in self._links:
            link.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._links |= {writer, far_writer}
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        self._links -= {writer, far_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
