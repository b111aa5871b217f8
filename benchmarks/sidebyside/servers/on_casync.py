"""CAsyncSocket: on each reactor, through the socket window or registered with the reactor itself.

The connections are written as their users would: they share one buffer, receive once a notification, and keep what
the kernel doesn't take until OnSend.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from twisted.internet import asyncioreactor, epollreactor, pollreactor, selectreactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.tcp import Connection

from twisted_casync import (
    IPPROTO_TCP,
    SO_RCVBUF,
    SOCK_DGRAM,
    SOCKET_ERROR,
    TCP_NODELAY,
    AfxSocketInit,
    CAsyncSocket,
    GetLastError,
)
from twisted_casync.bridges import listenOver

from . import BACKLOG, DATAGRAM_BUFFER, announce, noDelay, pattern

__all__ = ["serve"]

BATCH = 64  # datagrams answered in one notification; a ReceiveFrom has more announced if there is more


def overUvloop() -> None:
    import uvloop

    asyncioreactor.install(uvloop.new_event_loop())


def casyncReactor() -> None:
    importlib.import_module("twisted_casync.reactor").install()


INSTALL: dict[str, Callable[[], None]] = {
    "epoll": epollreactor.install,
    "poll": pollreactor.install,
    "select": selectreactor.install,
    "asyncio": asyncioreactor.install,
    "uvloop": overUvloop,
    "casync": casyncReactor,
}


def must(result: object) -> None:
    """Members say that they have failed; here nothing may."""
    if not result:
        raise SystemExit(GetLastError().message)


class Listener(CAsyncSocket):
    def __init__(self, child: Callable[[], CAsyncSocket]) -> None:
        super().__init__()
        self.child = child

    def OnAccept(self, nErrorCode: int) -> None:
        self.Accept(self.child())


def echo(buffer: int) -> type[CAsyncSocket]:
    space = bytearray(buffer)
    view = memoryview(space)

    class Echo(CAsyncSocket):
        __slots__ = ("unsent",)

        def __init__(self) -> None:
            super().__init__()
            self.unsent: memoryview | None = None

        def OnReceive(self, nErrorCode: int) -> None:
            if self.unsent is not None:
                return  # OnSend receives when it is gone
            nRead = self.Receive(space)
            if nRead > 0:
                nSent = self.Send(view[:nRead])
                if nSent < nRead:
                    self.unsent = memoryview(bytes(view[max(nSent, 0) : nRead]))

        def OnSend(self, nErrorCode: int) -> None:
            if self.unsent is None:
                return
            nSent = self.Send(self.unsent)
            if nSent < len(self.unsent):
                if nSent > 0:
                    self.unsent = self.unsent[nSent:]
                return  # OnSend comes again; or the connection is gone, and OnClose comes
            self.unsent = None
            self.OnReceive(0)

        def OnClose(self, nErrorCode: int) -> None:
            self.Close()

    return Echo


def sink(buffer: int) -> type[CAsyncSocket]:
    space = bytearray(buffer)

    class Sink(CAsyncSocket):
        __slots__ = ()

        def OnReceive(self, nErrorCode: int) -> None:
            self.Receive(space)

        def OnClose(self, nErrorCode: int) -> None:
            self.Close()

    return Sink


def source(buffer: int) -> type[CAsyncSocket]:
    content = pattern(buffer)
    length = len(content)

    class Source(CAsyncSocket):
        __slots__ = ("position",)

        def __init__(self) -> None:
            super().__init__()
            self.position = 0

        def OnSend(self, nErrorCode: int) -> None:
            # Until a Send is short or would block: OnSend comes again after that only.
            while True:
                nSent = self.Send(content[self.position :])
                if nSent == SOCKET_ERROR:
                    return
                self.position += nSent
                if self.position < length:
                    return
                self.position = 0

        def OnClose(self, nErrorCode: int) -> None:
            self.Close()

    return Source


def datagrams(buffer: int, one: bool) -> CAsyncSocket:
    space = bytearray(buffer)
    most = 1 if one else BATCH

    class Datagrams(CAsyncSocket):
        def OnReceive(self, nErrorCode: int) -> None:
            for _ in range(most):
                nRead, peer = self.ReceiveFrom(space)
                if nRead == SOCKET_ERROR:
                    return
                self.SendTo(space, nRead, peer)

    here = Datagrams()
    must(here.Create(0, SOCK_DGRAM, lpszSocketAddress="127.0.0.1"))
    must(here.SetSockOpt(SO_RCVBUF, DATAGRAM_BUFFER))
    return here


def serve(service: str, buffer: int, option: str) -> None:
    """Serve one of the services.

    `option` is the name of the reactor; then "direct" where each socket registers with the reactor itself; "one" where
    a notification of datagrams is answered with one ReceiveFrom, as the reference's samples do; "transport" where the
    connections are over Twisted's transports.
    """
    name, *how = option.split()
    INSTALL[name]()
    from twisted.internet import reactor

    AfxSocketInit(direct="direct" in how)
    if service == "datagrams":
        here = datagrams(buffer, "one" in how)
    elif "transport" in how:
        here = Listener({"echo": echo, "sink": sink, "source": source}[service](buffer))
        Connection.bufferSize = buffer
        port: Any = []
        listenOver(here, TCP4ServerEndpoint(reactor, 0, BACKLOG, "127.0.0.1")).addCallback(port.append)
        noDelay(port[0].fileno())
    else:
        here = Listener({"echo": echo, "sink": sink, "source": source}[service](buffer))
        must(here.Create(lpszSocketAddress="127.0.0.1"))
        must(here.SetSockOpt(TCP_NODELAY, True, nLevel=IPPROTO_TCP))
        must(here.Listen(BACKLOG))
    address = here.GetSockName()
    assert address is not None
    reactor.callWhenRunning(announce, address[1])
    reactor.run()
