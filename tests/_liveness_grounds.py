"""
What random programs run on: every reactor, a network in memory, and stock transports, with the turns of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from _liveness_subjects import WRITABLE, WaitingSubject
from _reactors import WAYS, reactorOf
from _resolvers import Resolution
from _streams import LOCALHOST, refusingPort
from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IHostnameResolver
from zope.interface import implementer

from twisted_casync import SO_RCVBUF, SO_SNDBUF, CAsyncSocket, GetLastError, WSAError
from twisted_casync.bridges import connectOver, listenOver
from twisted_casync.testing import MemoryNetwork
from twisted_casync.testing._scenario import parseMask

__all__ = ["FORKING", "GROUNDS", "NAME", "Ground", "groundOf"]

NAME: Final = "somewhere.test"
_BUFFER: Final = 8192


@implementer(IHostnameResolver)
class _Resolver:
    """
    A resolver that knows one name, and answers in the next turn.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def resolveHostName(self, resolutionReceiver: Any, hostName: str, *arguments: Any, **options: Any) -> Any:
        def answer() -> None:
            if hostName == NAME:
                resolutionReceiver.addressResolved(IPv4Address("TCP", LOCALHOST, 0))
            resolutionReceiver.resolutionComplete()

        resolutionReceiver.resolutionBegan(Resolution(hostName))
        self._reactor.callLater(0, answer)
        return resolutionReceiver


class Ground:
    """
    A reactor, and how sockets are made and connected there.

    @ivar creates: whether a stream is created before it is connected or listens.
    @ivar reenters: whether a handler can make a turn.
    @ivar janitor: whether all sockets are descriptors, so that what watches them can be taken away by a janitor.
    """

    creates = reenters = janitor = True

    def __init__(self, reactor: Any, deadPort: int) -> None:
        self.reactor = reactor
        self.deadPort = deadPort
        self.start()

    def start(self) -> None:
        """
        The reactor runs from now on, in turns.
        """
        self.reactor.startRunning(installSignalHandlers=False)

    def turn(self) -> None:
        """
        One turn, which waits for nothing.
        """
        self.reactor.runUntilCurrent()
        self.reactor.doIteration(0)

    def narrow(self, one: CAsyncSocket) -> None:
        """
        Have a Send that would block soon.
        """
        one.SetSockOpt(SO_SNDBUF, _BUFFER)
        one.SetSockOpt(SO_RCVBUF, _BUFFER)

    def listen(self, one: Any) -> bool:
        """
        @return: whether it listens.
        """
        return bool(one.Listen())

    def connect(self, one: Any, host: str, port: int) -> bool:
        """
        @return: whether an attempt was begun.
        """
        if isinstance(one, WaitingSubject):
            call = one.Connect(host, port)
            one.wait(WRITABLE, call)
            return not call.called
        return bool(one.Connect(host, port)) or GetLastError() == WSAError.WSAEWOULDBLOCK


class _Loop(Ground):
    """
    A reactor over an event loop, which turns as long as that runs.
    """

    reenters = False

    def turn(self) -> None:
        loop = self.reactor._asyncioEventloop
        loop.call_soon(loop.stop)
        loop.run_forever()


class _Memory(Ground):
    """
    A network in memory.
    """

    reenters = janitor = False

    def start(self) -> None:
        """It always does."""

    def turn(self) -> None:
        self.reactor.settle()

    def narrow(self, one: CAsyncSocket) -> None:
        """They are made so."""


class _Over(Ground):
    """
    Sockets over stock transports.
    """

    creates = janitor = False

    def listen(self, one: Any) -> bool:
        if one.isOpen:
            return False
        mask = one.wanted
        listenOver(one, TCP4ServerEndpoint(self.reactor, 0, interface=LOCALHOST), parseMask(mask), reactor=self.reactor)
        one.begin("listening", one.world.eventsOf(mask))
        return True

    def connect(self, one: Any, host: str, port: int) -> bool:
        if one.isOpen:
            return bool(one.stage == "datagram" and one.Connect(host, port))
        if port == 0:
            return False
        mask = one.wanted
        selected = one.world.eventsOf(mask)
        one.begin("connecting" if "OnConnect" in selected else "unknown", selected)
        endpoint = TCP4ClientEndpoint(self.reactor, host, port)
        call = connectOver(one, endpoint, parseMask(mask), reactor=self.reactor)
        if isinstance(one, WaitingSubject) and call is not None:
            one.wait(WRITABLE, call)
        return bool(one.isOpen)


@contextmanager
def groundOf(name: str) -> Iterator[Ground]:
    """
    @param name: one of L{GROUNDS}.
    """
    with ExitStack() as stack:
        if name == "memory":
            network = MemoryNetwork(buffer=_BUFFER, hosts={NAME: [LOCALHOST]})
            stack.enter_context(network.installed())
            yield _Memory(network, 9)
            return
        deadPort, holder = refusingPort()
        stack.enter_context(holder)
        over = name.endswith("-over")
        reactor = stack.enter_context(reactorOf(name.replace("-over", "-window")))
        reactor.installNameResolver(_Resolver(reactor))
        loop = name.startswith(("asyncio", "uvloop"))
        yield (_Over if over else _Loop if loop else Ground)(reactor, deadPort)


GROUNDS: Final = (*WAYS, "memory", "epoll-over", "casync-over")
"""Every way, a network in memory, and sockets over stock transports."""
FORKING: Final = tuple(way for way in WAYS if not way.startswith("uvloop"))
"""Those on which a child process can go on."""
