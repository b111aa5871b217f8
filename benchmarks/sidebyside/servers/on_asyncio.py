"""asyncio's transports, on its own loop or on uvloop's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

from . import BACKLOG, DATAGRAM_BUFFER, announce, pattern

__all__ = ["serve"]

LIMIT = 1 << 20  # bytes that may wait to be sent before the other side is not read from any more


class Echo(asyncio.Protocol):
    """Stops receiving while its peer doesn't. asyncio sets TCP_NODELAY by itself."""

    buffer: int

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Typed as any: that a transport has these is known, how many bytes it receives at a time only to asyncio's.
        given: Any = transport
        given.set_write_buffer_limits(LIMIT)
        if hasattr(given, "max_size"):
            given.max_size = self.buffer
        self.write = given.write
        self.pause_writing = given.pause_reading  # type: ignore[method-assign]  # a call less
        self.resume_writing = given.resume_reading  # type: ignore[method-assign]

    def data_received(self, data: bytes) -> None:
        self.write(data)


class Sink(Echo):
    def data_received(self, data: bytes) -> None:
        pass


class Source(asyncio.Protocol):
    buffer: int
    content: bytes
    writing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)
        self.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.writing = False

    def pause_writing(self) -> None:
        self.writing = False

    def resume_writing(self) -> None:
        self.writing = True
        while self.writing and not self.transport.is_closing():
            self.transport.write(self.content)


class BufferedEcho(asyncio.BufferedProtocol):
    """All connections receive into one buffer: whatever can't be sent at once is copied."""

    buffer: int
    space = bytearray()
    copied = False  # uvloop keeps a reference to what it is to send; asyncio copies

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        given: Any = transport
        given.set_write_buffer_limits(LIMIT)
        self.write = given.write
        self.pause_writing = given.pause_reading  # type: ignore[method-assign]  # a call less
        self.resume_writing = given.resume_reading  # type: ignore[method-assign]
        if len(self.space) != self.buffer:
            type(self).space = bytearray(self.buffer)
        self.view = memoryview(self.space)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.space

    def buffer_updated(self, nbytes: int) -> None:
        self.write(self.view[:nbytes])


class BufferedSink(BufferedEcho):
    def buffer_updated(self, nbytes: int) -> None:
        pass


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.sendto = cast(asyncio.DatagramTransport, transport).sendto

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.sendto(data, addr)


PROTOCOLS: dict[tuple[str, str], Any] = {
    ("protocol", "echo"): Echo,
    ("protocol", "sink"): Sink,
    ("protocol", "source"): Source,
    ("buffered", "echo"): BufferedEcho,
    ("buffered", "sink"): BufferedSink,
    ("buffered", "source"): Source,
}


async def served(service: str, buffer: int, kind: str) -> None:
    loop = asyncio.get_running_loop()
    if service == "datagrams":
        here = socket.socket(type=socket.SOCK_DGRAM)
        here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAM_BUFFER)
        here.bind(("127.0.0.1", 0))
        here.setblocking(False)
        await loop.create_datagram_endpoint(Datagrams, sock=here)
        announce(here.getsockname()[1])
    else:
        protocol = PROTOCOLS[kind, service]
        protocol.buffer = buffer
        Source.content = bytes(pattern(buffer))
        server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=BACKLOG)
        announce(server.sockets[0].getsockname()[1])
    await asyncio.Event().wait()


def serve(service: str, buffer: int, option: str) -> None:
    """Serve one of the services; `option` is the kind of protocol, and "over uvloop"."""
    kind, *over = option.split()
    newLoop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if over:
        import uvloop

        newLoop = uvloop.new_event_loop
    newLoop().run_until_complete(served(service, buffer, kind))
