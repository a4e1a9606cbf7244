"""A TCP proxy that cuts every connection on command, as a network or a load balancer does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class CuttingProxy:
    """Forwards bytes both ways between its clients and one server.

    Attributes:
        target: `host:port` of the server.
        connections: how many clients were served so far.
        refused: how many clients were turned away while the server was down.
        is_down: whether the server is to seem gone.
    """

    target: str
    connections: int = 0
    refused: int = 0
    is_down: bool = False
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Abort every connection, in the middle of whatever is under way."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def go_down(self) -> None:
        """Abort every connection and turn clients away, as a server that restarts does."""
        self.is_down = True
        self.cut()

    def come_back(self) -> None:
        """Serve clients again."""
        self.is_down = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        if self.is_down:
            self.refused += 1
            writer.transport.abort()
            return
        self.connections += 1
        host, port = self.target.rsplit(":", 1)
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        self._writers |= {writer, there_writer}
        await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        self._writers -= {writer, there_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def cutting(target: str) -> AsyncIterator[tuple[str, CuttingProxy]]:
    """Serve on a free port; yield the address and the proxy."""
    proxy = CuttingProxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", proxy
    finally:
        server.close()
        proxy.cut()
