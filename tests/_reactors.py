"""
Every reactor that sockets must work on, one at a time in this process, and sockets that tell what happened to them.

A reactor can run once.  So each test gets one of its own, runs it until what it waits for has happened, and looks at
the outcome afterwards; nothing sleeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet import asyncioreactor, epollreactor, pollreactor, selectreactor

from twisted_casync import AfxSocketInit, AfxSocketTerm, CAsyncSocket, GetLastError
from twisted_casync.reactor import CAsyncReactor

LIMIT = 120.0
"""Seconds after which a test that waits for something that doesn't happen fails."""


def _asyncio() -> Any:
    import asyncio

    return asyncioreactor.AsyncioSelectorReactor(asyncio.SelectorEventLoop())


def _uvloop() -> Any:
    import uvloop

    return asyncioreactor.AsyncioSelectorReactor(uvloop.new_event_loop())


REACTORS: dict[str, Callable[[], Any]] = {
    "epoll": epollreactor.EPollReactor,
    "poll": pollreactor.PollReactor,
    "select": selectreactor.SelectReactor,
    "asyncio": _asyncio,
    "uvloop": _uvloop,
    "casync": CAsyncReactor,
}
REGISTRATIONS = ("window", "direct")
WAYS = [f"{name}-{way}" for name in REACTORS for way in REGISTRATIONS]


def _dispose(reactor: Any) -> None:
    """
    Close the descriptors of a reactor that will not run again: Twisted expects that the process ends with it, and
    select(2) can't watch numbers beyond 1023.
    """
    for waker in list(reactor._internalReaders):
        reactor.removeReader(waker)
        waker.connectionLost(None)
    if isinstance(reactor, epollreactor.EPollReactor):
        reactor._poller.close()
    elif isinstance(reactor, asyncioreactor.AsyncioSelectorReactor):
        reactor._asyncioEventloop.close()


@contextmanager
def reactorOf(way: str) -> Iterator[Any]:
    """
    A reactor of its own for this thread; C{way} is one of L{WAYS}.
    """
    name, registration = way.split("-")
    reactor = REACTORS[name]()
    AfxSocketInit(reactor, direct=registration == "direct")
    try:
        yield reactor
    finally:
        AfxSocketTerm()
        leftReaders = [reader for reader in reactor.getReaders() if reader not in reactor._internalReaders]
        leftWriters = list(reactor.getWriters())
        reactor.fireSystemEvent("shutdown")
        _dispose(reactor)
        AfxSocketInit()
        assert leftReaders == [] and leftWriters == [], "closed sockets left registrations behind"


def run(reactor: Any, until: Callable[[], bool], limit: float = LIMIT, pace: float = 0.002) -> None:
    """
    Run the reactor until a condition holds.

    @param pace: the seconds after which the condition is looked at again.
    @raise AssertionError: it did not come to hold within C{limit} seconds.
    """
    state = {"late": False}

    def look() -> None:
        if until():
            reactor.stop()
        else:
            reactor.callLater(pace, look)

    def late() -> None:
        state["late"] = True
        reactor.stop()

    timeout = reactor.callLater(limit, late)
    reactor.callWhenRunning(look)
    reactor.run(installSignalHandlers=False)
    if timeout.active():
        timeout.cancel()
    assert not state["late"], f"waited {limit} s in vain"


class Recorder(CAsyncSocket):
    """
    A socket that records its notifications, and does in each what the test says.
    """

    def __init__(self, reactor: Any = None, **handlers: Callable[..., Any]) -> None:
        """
        @param handlers: by the name of a handler (C{OnReceive=...}), what to call with the socket when it is told.
        """
        super().__init__(reactor)
        self.told: list[tuple[str, int]] = []
        self.handlers = handlers
        self.received = b""

    def _tell(self, name: str, nErrorCode: int) -> None:
        self.told.append((name, int(nErrorCode)))
        if name in self.handlers:
            self.handlers[name](self)

    def names(self) -> list[str]:
        """
        @return: the notifications so far, without their codes.
        """
        return [name for name, _ in self.told]

    def readAll(self) -> int:
        """
        Receive until it would block or the stream ends, into C{received}.

        @return: the result of the last Receive.
        """
        buffer = bytearray(65536)
        while (count := self.Receive(buffer)) > 0:
            self.received += buffer[:count]
        return count

    def OnAccept(self, nErrorCode: int) -> None:
        self._tell("OnAccept", nErrorCode)

    def OnConnect(self, nErrorCode: int) -> None:
        self._tell("OnConnect", nErrorCode)

    def OnReceive(self, nErrorCode: int) -> None:
        self._tell("OnReceive", nErrorCode)

    def OnSend(self, nErrorCode: int) -> None:
        self._tell("OnSend", nErrorCode)

    def OnOutOfBandData(self, nErrorCode: int) -> None:
        self._tell("OnOutOfBandData", nErrorCode)

    def OnClose(self, nErrorCode: int) -> None:
        self._tell("OnClose", nErrorCode)


def must(result: Any) -> Any:
    """
    @return: the result of a member that must not have failed.
    """
    assert result is not None and result is not False and result != -1, f"failed with {GetLastError()}"
    return result


def settle(reactor: Any) -> None:
    """
    Let a reactor that has stopped do what was left for its next turn.
    """
    reactor.runUntilCurrent()
