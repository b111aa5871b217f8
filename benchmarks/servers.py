"""The echo servers that echo.py compares, one a name.

    python servers.py NAME

listens on a port of 127.0.0.1 that the system chooses, prints its number, and serves until SIGTERM. All of
them echo what they receive, set TCP_NODELAY, and ask for the same backlog; they differ in what they are
written on.
"""

from __future__ import annotations

import asyncio
import select
import socket
import sys
from collections.abc import Callable
from typing import cast

BACKLOG = 1024
BUFFER = 65536  # bytes; also what Twisted receives at most at a time


def raw() -> None:
    """An epoll loop with nothing around it: what CPython can do."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    listener.setblocking(False)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    poller = select.epoll()
    poller.register(listener, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    unsent: dict[int, bytes] = {}
    buffer = bytearray(BUFFER)
    view = memoryview(buffer)
    print(listener.getsockname()[1], flush=True)
    while True:
        for descriptor, _ in poller.poll():
            client = clients.get(descriptor)
            if client is None:
                client, _ = listener.accept()
                client.setblocking(False)
                clients[client.fileno()] = client
                poller.register(client, select.EPOLLIN)
                continue
            try:
                if descriptor in unsent:
                    data = memoryview(unsent[descriptor])
                else:
                    data = view[: client.recv_into(buffer)]
                    if not data:
                        clients.pop(descriptor).close()
                        continue
                try:
                    sent = client.send(data)
                except BlockingIOError:
                    sent = 0
            except OSError:
                clients.pop(descriptor).close()
                unsent.pop(descriptor, None)
                continue
            if sent < len(data):
                unsent[descriptor] = bytes(data[sent:])
                poller.modify(descriptor, select.EPOLLOUT)
            elif descriptor in unsent:
                del unsent[descriptor]
                poller.modify(descriptor, select.EPOLLIN)


def twistedProtocol() -> None:
    """A plain Protocol on the stock epoll reactor."""
    from twisted.internet import epollreactor

    epollreactor.install()
    from twisted.internet import reactor
    from twisted.internet.address import IPv4Address
    from twisted.internet.interfaces import ITCPTransport
    from twisted.internet.protocol import Protocol, ServerFactory

    class Echo(Protocol):
        def connectionMade(self) -> None:
            ITCPTransport(self.transport).setTcpNoDelay(True)

        def dataReceived(self, data: bytes) -> None:
            assert self.transport is not None
            self.transport.write(data)

    factory = ServerFactory()
    factory.protocol = Echo
    address = reactor.listenTCP(0, factory, backlog=BACKLOG, interface="127.0.0.1").getHost()
    assert isinstance(address, IPv4Address)
    reactor.callWhenRunning(print, address.port, flush=True)
    reactor.run()


def casync(install: Callable[[], None], direct: bool) -> None:
    """CAsyncSocket, through the socket window or registered with the reactor itself."""
    install()
    from twisted.internet import reactor

    from twisted_casync import IPPROTO_TCP, TCP_NODELAY, AfxSocketInit, CAsyncSocket

    buffer = bytearray(BUFFER)
    view = memoryview(buffer)

    class Echo(CAsyncSocket):
        unsent = b""

        def OnReceive(self, nErrorCode: int) -> None:
            if self.unsent:
                return
            nRead = self.Receive(buffer)
            if nRead > 0:
                nSent = self.Send(view[:nRead])
                if nSent < nRead:
                    self.unsent = bytes(view[max(nSent, 0) : nRead])  # OnSend comes when there is room

        def OnSend(self, nErrorCode: int) -> None:
            if not self.unsent:
                return
            while self.unsent:
                nSent = self.Send(self.unsent)
                if nSent < 0:
                    return  # OnSend comes again; or the connection is gone, and OnClose comes
                self.unsent = self.unsent[nSent:]
            self.OnReceive(0)

        def OnClose(self, nErrorCode: int) -> None:
            self.Close()

    class Listener(CAsyncSocket):
        def OnAccept(self, nErrorCode: int) -> None:
            self.Accept(Echo())

    AfxSocketInit(direct=direct)
    listener = Listener()
    listening = listener.Create(lpszSocketAddress="127.0.0.1") and listener.Listen(BACKLOG)
    name = listener.GetSockName()
    assert listening and name is not None
    listener.SetSockOpt(TCP_NODELAY, True, nLevel=IPPROTO_TCP)
    reactor.callWhenRunning(print, name[1], flush=True)
    reactor.run()


def casyncEpoll(direct: bool = False) -> None:
    from twisted.internet import epollreactor

    casync(epollreactor.install, direct)


def casyncUvloop() -> None:
    """CAsyncSocket on the asyncio reactor over uvloop's loop."""
    import uvloop
    from twisted.internet import asyncioreactor

    casync(lambda: asyncioreactor.install(uvloop.new_event_loop()), direct=False)


async def asyncioProtocol() -> None:
    """A plain Protocol of asyncio, which sets TCP_NODELAY by itself."""

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.write = cast(asyncio.WriteTransport, transport).write

        def data_received(self, data: bytes) -> None:
            self.write(data)

    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def uvloopProtocol() -> None:
    """The same on uvloop."""
    import uvloop

    loop = uvloop.new_event_loop()
    loop.run_until_complete(asyncioProtocol())


SERVERS: dict[str, Callable[[], None]] = {
    "raw epoll loop": raw,
    "CAsyncSocket": casyncEpoll,
    "CAsyncSocket direct": lambda: casyncEpoll(direct=True),
    "CAsyncSocket on uvloop": casyncUvloop,
    "Twisted Protocol": twistedProtocol,
    "asyncio Protocol": lambda: asyncio.run(asyncioProtocol()),
    "uvloop Protocol": uvloopProtocol,
}

if __name__ == "__main__":
    SERVERS[sys.argv[1]]()
