"""
A stream socket in memory: the calls of one that the members of a socket make, over a network that is none.

It does what a TCP socket of Linux does, as L{Stream} has it; the names, and who listens where, the network knows.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Iterable
from typing import Any, Protocol

from twisted_casync._conduit import EVERYTHING, failing
from twisted_casync._readiness import READABLE
from twisted_casync._sockaddr import ANY, SockAddr
from twisted_casync._stream import Stream
from twisted_casync.testing._faults import Scripted
from twisted_casync.testing._mailbox import addressed
from twisted_casync.testing._way import Way
from twisted_casync.winsock import WSAError, errnoFromError

__all__ = ["MemorySocket", "Net"]

_SNDBUF = (socket.SOL_SOCKET, socket.SO_SNDBUF)
_RCVBUF = (socket.SOL_SOCKET, socket.SO_RCVBUF)
_ACCEPTCONN = (socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
_LINGER = (socket.SOL_SOCKET, socket.SO_LINGER)
_RESETTING = struct.pack("ii", 1, 0)


class Net(Protocol):
    """
    The network, as a socket sees it.

    @ivar buffer: what C{SO_SNDBUF} is at first.
    @ivar delay: seconds that anything takes.
    @ivar scripted: calls of any socket that are to fail.
    """

    buffer: int
    delay: float
    scripted: Scripted

    def bind(self, sock: MemorySocket, address: SockAddr) -> SockAddr:
        """
        @return: the name that C{sock} has now.
        @raise OSError: C{EADDRINUSE}.
        """

    def opened(self, sock: MemorySocket) -> None:
        """
        It is there, until L{gone}.
        """

    def listens(self, sock: MemorySocket) -> None:
        """
        It can be connected to.

        @raise OSError: C{EADDRINUSE}.
        """

    def knock(self, sock: MemorySocket, address: SockAddr) -> None:
        """
        It wants to be connected.
        """

    def gone(self, sock: MemorySocket) -> None:
        """
        It was closed.
        """


class MemorySocket(Stream):
    """
    A stream socket of a memory network, from its creation to its end.

    @ivar out: the way on which it sends.
    @ivar scripted: calls that are to fail.
    """

    def __init__(self, network: Net, family: int) -> None:
        self._family = family
        self.out = Way(network, self, network.delay)
        super().__init__(self.out, network, addressed(family, (ANY[family], 0)))
        self._network = network
        # Neither connected nor about to be.
        self.lose()
        self.scripted = Scripted()
        self._bound: SockAddr = self.getsockname()
        self._waiting: deque[MemorySocket] | None = None
        self._most = 0
        self._left = self._lost = self._finished = False
        for option in (_SNDBUF, _RCVBUF):
            self.setsockopt(*option, network.buffer)
        network.opened(self)

    def __repr__(self) -> str:
        # The same each time, for recordings.
        return f"<MemorySocket {self.getsockname()!r}>"

    @property
    def family(self) -> int:
        return self._family

    def mayFail(self, member: str) -> None:
        """
        @raise OSError: a test wants it so.
        """
        code = self._taken(member)
        if code is not None:
            raise failing(code)

    def _taken(self, member: str) -> WSAError | None:
        return self.scripted.take(member) or self._network.scripted.take(member)

    # -- what the network says

    def joined(self, other: MemorySocket) -> None:
        """
        What it sends arrives at C{other}.
        """
        self.out.target = other

    def refused(self, code: WSAError) -> None:
        """
        The connection was not made.
        """
        # The address stays, the port only of one that was bound (tcp_done() in Linux).
        self.named((self.getsockname()[0], self._bound[1]))
        self.out.target = None
        self.lose(code)

    def finished(self) -> None:
        """
        The peer's stream has ended.
        """
        self._finished = True
        self.end()

    def lost(self, code: WSAError) -> None:
        """
        The connection is over, by no fault of this end.
        """
        # By another name where the peer had ended its stream (tcp_reset() in Linux).
        if code is WSAError.WSAECONNRESET and self._finished:
            code = WSAError.WSAECONNABORTED
        elif code is WSAError.WSAECONNABORTED:
            # What Linux says of a peer that does not answer.
            code = WSAError.WSAETIMEDOUT
        self._lost = True
        self.lose(code)

    def left(self) -> None:
        """
        Its program has closed it.
        """
        self._left = True
        self._network.gone(self)

    def isClosed(self) -> bool:
        """
        @return: whether its program has closed it.
        """
        return self._left

    def isLost(self) -> bool:
        """
        @return: whether its connection was reset.
        """
        return self._lost

    def hasRoom(self) -> bool:
        """
        @return: whether one more can wait to be accepted.
        """
        return self._waiting is not None and len(self._waiting) < self._most

    def offer(self, stream: MemorySocket) -> None:
        """
        Somebody has connected to it.
        """
        if self._waiting is not None:
            self._waiting.append(stream)
            self.changed()

    def inherit(self, listener: MemorySocket) -> None:
        """
        Have the options of a listener.
        """
        self._options = {option: value for option, value in listener.options() if option != _ACCEPTCONN}

    # -- what a socket has

    def ready(self, wanted: int = EVERYTHING) -> int:
        if self._waiting is not None:
            return READABLE if self._waiting else 0
        return super().ready(wanted)

    def bind(self, address: SockAddr) -> None:
        """
        C{bind(2)}.
        """
        self.mayFail("Bind")
        self._bound = self._network.bind(self, addressed(self._family, address))
        self.named(self._bound)

    def listen(self, backlog: int) -> None:
        """
        C{listen(2)}.
        """
        self.mayFail("Listen")
        self._network.listens(self)
        self._waiting, self._most = deque(), backlog
        self.setsockopt(*_ACCEPTCONN, 1)

    def accept(self) -> tuple[MemorySocket, SockAddr]:
        """
        C{accept(2)}.
        """
        self.mayFail("Accept")
        if not self._waiting:
            raise failing(WSAError.WSAEWOULDBLOCK)
        stream = self._waiting.popleft()
        return stream, stream.peer or ""

    def connect_ex(self, address: SockAddr) -> int:
        """
        C{connect(2)}.

        @return: C{EAGAIN}, or what it fails with.
        """
        code = self._taken("Connect")
        if code is not None:
            return errnoFromError(code)
        self.connecting()
        self._network.knock(self, addressed(self._family, address))
        return errnoFromError(WSAError.WSAEWOULDBLOCK)

    def sendBuffer(self) -> int:
        """
        @return: how many bytes may be on their way and unread: C{SO_SNDBUF}, and at least one.
        """
        return max(1, self.getsockopt(*_SNDBUF))

    def options(self) -> Iterable[tuple[tuple[int, int], Any]]:
        """
        @return: what is set, and to what.
        """
        return (self._options or {}).items()

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        # Each may be one that a test wants to fail: there is no short way.
        return self._filled(buffer, nbytes, flags)

    def _received(self, room: memoryview, flags: int) -> int:
        if not flags & socket.MSG_PEEK:
            # Not one with which the members only look.
            self.mayFail("Receive")
        return super()._received(room, flags)

    def shutdown(self, how: int) -> None:
        self.mayFail("ShutDown")
        super().shutdown(how)

    def close(self) -> None:
        """
        Give it up; those that wait to be accepted are reset.
        """
        while self._waiting:
            stream = self._waiting.popleft()
            stream.setsockopt(*_LINGER, _RESETTING)
            stream.close()
        super().close()
