"""A TCP proxy in front of a server, for the faults of a network: cut, gone, silent, or saying something else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Forwards to a server; the attributes may be changed at any time."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._server: asyncio.Server | None = None
        self._streams: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self.port = 0
        self.cut_before: bytes | None = None
        """The connection on which a client sends this is cut; the server never sees it."""
        self.cut_after: bytes | None = None
        """The connection on which a client sends this is cut once the server has answered."""
        self.cut_within: bytes | None = None
        """The connection on which a client sends this is cut in the middle of the server's answer."""
        self.silent_after: bytes | None = None
        """Once a client has sent this, and the server has got it, `silent` is set."""
        self.silent_before: bytes | None = None
        """When a client sends this, `silent` is set, and the server never gets it."""
        self.delay = 0.0
        """Seconds by which everything comes later, in either direction."""
        self.replace: tuple[bytes, bytes] | None = None
        """What the server says, said differently; of one length."""

        self.silent = asyncio.Event()
        """While it is set nothing passes, in either direction, and nothing is closed: a black hole."""
        self.deaf = asyncio.Event()
        """While it is set nothing passes from clients to the server; the other way all does."""

    @property
    def listening(self) -> bool:
        """Whether it accepts connections."""
        return self._server is not None

    async def listen(self) -> None:
        """Accepts connections, on the same port as before where it was listening."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def vanish(self) -> None:
        """Cuts every connection and refuses new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for stream in list(self._streams):
            stream.transport.abort()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._serving.add(serving)
        self._streams.add(writer)
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._upstream)
            self._streams.add(server_writer)
            try:
                await self._both_ways(reader, writer, server_reader, server_writer)
            finally:
                self._streams.discard(server_writer)
                server_writer.transport.abort()
        finally:
            self._streams.discard(writer)
            self._serving.discard(serving)
            writer.transport.abort()

    async def _passing(self, *holding: asyncio.Event) -> bool:
        """Waits until what was said may pass; whether it was held up."""
        await asyncio.sleep(self.delay)
        held = False
        while self.listening and any(event.is_set() for event in holding):
            held = True
            await asyncio.sleep(0.01)
        return held

    async def _both_ways(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        cut, half = asyncio.Event(), asyncio.Event()

        async def up() -> None:
            while said := await client.read(65536):
                if await self._passing(self.silent, self.deaf) and client.at_eof():
                    return  # who said it has hung up meanwhile: it is lost in the black hole
                if self.cut_before is not None and self.cut_before in said:
                    self.cut_before = None
                    return
                if self.silent_before is not None and self.silent_before in said:
                    self.silent_before = None
                    self.silent.set()
                    await self._passing(self.silent)
                    return
                if self.cut_after is not None and self.cut_after in said:
                    self.cut_after = None
                    cut.set()
                if self.cut_within is not None and self.cut_within in said:
                    self.cut_within = None
                    half.set()
                if self.silent_after is not None and self.silent_after in said:
                    self.silent_after = None
                    self.silent.set()
                to_server.write(said)
                await to_server.drain()

        async def down() -> None:
            while said := await server.read(65536):
                await self._passing(self.silent)
                if cut.is_set():
                    return
                if half.is_set():
                    to_client.write(said[: len(said) // 2])
                    await to_client.drain()
                    return
                if self.replace is not None:
                    said = said.replace(*self.replace)
                to_client.write(said)
                await to_client.drain()

        ways = [asyncio.create_task(up()), asyncio.create_task(down())]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        with suppress(ConnectionError):
            await asyncio.gather(*ways, return_exceptions=True)


@asynccontextmanager
async def proxy_to(host: str, port: int) -> AsyncIterator[Proxy]:
    """A listening proxy on a free port of the loopback interface."""
    proxy = Proxy(host, port)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.vanish()
