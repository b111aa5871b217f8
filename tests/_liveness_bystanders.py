"""
Others on the reactor of a random program, who have nothing to do with it and must not be harmed: sockets of this
package, and a descriptor and a timer of Twisted's.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any, Final, cast

from _reactors import must
from _streams import LOCALHOST
from twisted.internet.interfaces import IReactorFDSet, ITransport
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from twisted_casync import SOCK_DGRAM, CAsyncSocket
from twisted_casync._conduit import Conduit
from twisted_casync.bridges import overCAsyncSockets

__all__ = ["Bystanders"]

_ARRIVAL: Final = 0.5
"""Seconds that what was sent over the loopback device takes at the most; nearly always it is there at once."""


class _Neighbour(CAsyncSocket):
    """
    Is asked, and counts the bytes of the answers; or answers.
    """

    def __init__(self, reactor: Any, answers: bool) -> None:
        super().__init__(reactor)
        self.answers = answers
        self.asked = self.count = 0
        self.lost = ""

    def OnReceive(self, nErrorCode: int) -> None:
        buffer = bytearray(64)
        count, source = self.ReceiveFrom(buffer)
        if count > 0:
            self.count += count
            if self.answers and source is not None:
                self.SendTo(buffer, count, source)
            elif self.answers:
                self.Send(buffer, count)

    def ask(self) -> None:
        """
        Ask its peer something.
        """
        self.asked += 1
        self.Send(b"?")

    def OnClose(self, nErrorCode: int) -> None:
        self.lost = f"a bystander is told OnClose({nErrorCode})"
        self.Close()


class _Door(CAsyncSocket):
    """
    Accepts whoever comes.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.guests: list[_Neighbour] = []

    def OnAccept(self, nErrorCode: int) -> None:
        guest = _Neighbour(None, True)
        if self.Accept(guest):
            self.guests.append(guest)


class _Echo(Protocol):
    """
    Answers over a transport of the bridges.
    """

    def dataReceived(self, data: bytes) -> None:
        cast(ITransport, self.transport).write(data)


class _Asking(Protocol):
    """
    Is asked over one, as a L{_Neighbour} is.
    """

    def __init__(self) -> None:
        self.asked = self.count = 0
        self.lost = ""
        self.closing = False

    def ask(self) -> None:
        self.asked += 1
        cast(ITransport, self.transport).write(b"?")

    def dataReceived(self, data: bytes) -> None:
        self.count += len(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.closing:
            self.lost = f"a transport is lost: {reason.value!r}"


class _Protocols:
    """
    A server and a client of Twisted's, over sockets of this package.
    """

    def __init__(self, reactor: Any) -> None:
        self.view = overCAsyncSockets(reactor)
        self.echo, self.asking = _Echo(), _Asking()
        self.port = self.view.listenTCP(0, Factory.forProtocol(lambda: self.echo), interface=LOCALHOST)
        factory = ClientFactory.forProtocol(lambda: self.asking)
        factory.noisy = self.port.factory.noisy = False
        self.view.connectTCP(LOCALHOST, self.port.getHost().port, factory)

    def transports(self) -> list[CAsyncSocket]:
        ends: list[Any] = [self.echo.transport, self.asking.transport]
        return [end for end in ends if end is not None and end.m_hSocket != -1]

    def close(self) -> None:
        self.asking.closing = True
        self.port.stopListening()
        cast(Any, self.asking.transport).abortConnection()


class _Reader:
    """
    Something that the reactor watches, and that is none of this package.
    """

    def __init__(self) -> None:
        self.here, self.there = socket.socketpair()
        self.here.setblocking(False)
        self.count = 0

    def fileno(self) -> int:
        return self.here.fileno()

    def logPrefix(self) -> str:
        return "Reader"

    def doRead(self) -> None:
        try:
            self.count += len(self.here.recv(64))
        except BlockingIOError:
            # A turn within the turn has come to it before.
            return

    def connectionLost(self, reason: object) -> None:
        """The reactor stops."""

    def close(self) -> None:
        self.here.close()
        self.there.close()


class Bystanders:
    """
    They are asked something, and must all have answered a few turns later.
    """

    def __init__(self, ground: Any) -> None:
        self.ground = ground
        self.reactor = reactor = ground.reactor
        self.door = _Door(reactor)
        must(self.door.Create(lpszSocketAddress=LOCALHOST))
        must(self.door.Listen())
        self.asking = _Neighbour(reactor, False)
        must(self.asking.Create())
        self.asking.Connect(must(self.door.GetSockName()))
        self.mailbox, self.mailing = _Neighbour(reactor, True), _Neighbour(reactor, False)
        for one in (self.mailbox, self.mailing):
            must(one.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
        must(self.mailing.Connect(must(self.mailbox.GetSockName())))
        self.newcomers: list[_Neighbour] = []
        self.protocols = _Protocols(reactor)
        self.reader = _Reader() if IReactorFDSet.providedBy(reactor) else None
        if self.reader is not None:
            reactor.addReader(self.reader)
        self.asked = self.timed = 0

    def meet(self, turn: Callable[[], object], most: int) -> None:
        """
        They come to know each other.

        @param turn: makes a turn of the reactor.
        @param most: how many it takes at the most.
        """
        for _ in range(most):
            turn()

    def sockets(self) -> list[CAsyncSocket]:
        """
        @return: all of them that are open, but those of the transports.
        """
        all_ = [self.door, *self.door.guests, *self.newcomers, self.asking, self.mailbox, self.mailing]
        return [one for one in all_ if one.m_hSocket != -1]

    def ask(self) -> None:
        """
        Ask each of them.
        """
        self.asked += 1
        self.asking.ask()
        self.mailing.ask()
        self.protocols.asking.ask()
        if self.reader is not None:
            self.reader.there.send(b"?")
        self.reactor.callLater(0, self._time)

    def _time(self) -> None:
        self.timed += 1

    def silent(self) -> str:
        """
        @return: which of them have not answered all; nothing when they have.
        """
        said = {
            "a connection": self.asking.asked - self.asking.count,
            "a mailbox": self.mailing.asked - self.mailing.count,
            "a transport": self.protocols.asking.asked - self.protocols.asking.count,
            "a newcomer": sum(one.asked - one.count for one in self.newcomers),
            "a timer": self.asked - self.timed,
            "a reader": 0 if self.reader is None else self.asked - self.reader.count,
        }
        return ", ".join(which for which, left in said.items() if left)

    def arrived(self) -> bool:
        """
        Wait, but not for ever, until something that they were asked or answered is there.

        @return: whether it is, or this does not tell.
        """
        sockets = [*self.sockets(), *self.protocols.transports()]
        fds = [one.m_hSocket for one in sockets if not isinstance(one._as_sock, Conduit)]
        if self.reader is not None:
            fds.append(self.reader.fileno())
        # The timer has only turns to wait for.
        waits = bool(fds) and self.timed == self.asked
        return not waits or bool(select.select(fds, [], [], _ARRIVAL)[0])

    def lost(self) -> str:
        """
        @return: what has happened to them; nothing when nothing has.
        """
        everyone: tuple[Any, ...] = (self.asking, self.protocols.asking, *self.newcomers, *self.door.guests)
        return next((str(one.lost) for one in everyone if one.lost), "")

    def newcomer(self) -> _Neighbour:
        """
        @return: somebody new, who connects.
        """
        one = _Neighbour(self.reactor, False)
        self.newcomers.append(one)
        must(one.Create())
        one.Connect(must(self.door.GetSockName()))
        return one

    def close(self) -> None:
        """
        They leave.
        """
        for one in self.sockets():
            one.Close()
        self.protocols.close()
        if self.reader is not None:
            self.reactor.removeReader(self.reader)
            self.reader.close()
