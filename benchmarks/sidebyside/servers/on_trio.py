"""trio's socket streams. trio sets TCP_NODELAY by itself."""

from __future__ import annotations

from contextlib import suppress

import trio

from . import BACKLOG, DATAGRAM_BUFFER, announce, pattern

__all__ = ["serve"]


async def streams(service: str, buffer: int) -> None:
    content = pattern(buffer)

    async def echo(stream: trio.SocketStream) -> None:
        while data := await stream.receive_some(buffer):
            await stream.send_all(data)

    async def sink(stream: trio.SocketStream) -> None:
        while await stream.receive_some(buffer):
            pass

    async def source(stream: trio.SocketStream) -> None:
        while True:
            await stream.send_all(content)

    handler = {"echo": echo, "sink": sink, "source": source}[service]

    async def handled(stream: trio.SocketStream) -> None:
        # The peer may reset it.
        with suppress(trio.BrokenResourceError):
            await handler(stream)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=BACKLOG)
    announce(listeners[0].socket.getsockname()[1])
    await trio.serve_listeners(handled, listeners)


async def datagrams(buffer: int) -> None:
    here = trio.socket.socket(type=trio.socket.SOCK_DGRAM)
    here.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, DATAGRAM_BUFFER)
    await here.bind(("127.0.0.1", 0))
    announce(here.getsockname()[1])
    while True:
        data, peer = await here.recvfrom(buffer)
        await here.sendto(data, peer)


def serve(service: str, buffer: int) -> None:
    """Serve one of the services."""
    if service == "datagrams":
        trio.run(datagrams, buffer)
    else:
        trio.run(streams, service, buffer)
