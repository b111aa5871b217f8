"""
A datagram socket in memory: the calls of one that the members of a socket make, over a network that is none.

It does what a UDP socket of Linux does (udp(7)); who has which name, and who gets what, the L{Post} knows.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import Any, ClassVar, Protocol

from twisted_casync._conduit import EVERYTHING, Conduit, failing
from twisted_casync._readiness import FAILED, READABLE, WRITABLE
from twisted_casync._sockaddr import ANY, SockAddr
from twisted_casync.testing._faults import Scripted
from twisted_casync.testing._mailway import MailWay
from twisted_casync.testing._post import Post
from twisted_casync.winsock import AF_INET, SOCK_DGRAM, WSAError, errnoFromError, errorFromErrno

__all__ = ["Mailbox", "addressed"]

_SNDBUF = (socket.SOL_SOCKET, socket.SO_SNDBUF)
_RCVBUF = (socket.SOL_SOCKET, socket.SO_RCVBUF)
_ERROR = (socket.SOL_SOCKET, socket.SO_ERROR)
_PEEK = int(socket.MSG_PEEK)
_TRUNC = int(socket.MSG_TRUNC)

_LONGEST = {AF_INET: 65507, int(socket.AF_INET6): 65527}
"""
The bytes of the longest datagram: what the 16 bits of a packet's length leave, less the headers that count among them
(RFC 768; RFC 791, 3.1; RFC 8200, 3).
"""


class _Net(Protocol):
    """
    The network, as a datagram socket sees it.
    """

    buffer: int
    delay: float
    post: Post
    scripted: Scripted

    def opened(self, sock: Any) -> None: ...

    def gone(self, sock: Any) -> None: ...


class Mailbox(Conduit):
    """
    A datagram socket of a memory network, from its creation to its end.

    @ivar out: the way on which it sends.
    @ivar scripted: calls that are to fail.
    @ivar peer: whom alone it hears, and what it sends goes to when nothing else is said; L{None} for nobody.
    """

    type: ClassVar[int] = SOCK_DGRAM

    def __init__(self, network: _Net, family: int) -> None:
        super().__init__(network, addressed(family, (ANY[family], 0)))
        self.scripted = Scripted()
        self.out = MailWay(network, self, network.delay)
        self.peer: SockAddr | None = None
        self._network = network
        # What Bind has asked for: it stays when the peer is taken away.
        self._asked = self._name
        self._mail: deque[tuple[bytes, SockAddr]] = deque()
        self._failure = WSAError.NO_ERROR
        for option in (_SNDBUF, _RCVBUF):
            self.setsockopt(*option, network.buffer)
        network.opened(self)

    def __repr__(self) -> str:
        # The same each time, for recordings.
        return f"<Mailbox {self._name!r}>"

    def mayFail(self, member: str) -> None:
        """
        @raise OSError: a test wants it so.
        """
        code = self.scripted.take(member) or self._network.scripted.take(member)
        if code is not None:
            raise failing(code)

    # -- what the post brings

    def arrived(self, data: bytes, source: SockAddr) -> None:
        """
        A datagram is there; one that there is no room for is lost.
        """
        # One that is empty takes room too, and the first one always has it, as where nothing waits yet in Linux.
        size = self.size + max(1, len(data))
        if not self._mail or size <= self.getsockopt(*_RCVBUF):
            self._mail.append((data, source))
            self.size = size
            self.changed()

    def unreachable(self, to: SockAddr) -> None:
        """
        Nobody was there for a datagram: who has a peer is told so of that one (udp(7)).
        """
        if self.peer == to:
            self._failure = WSAError.WSAECONNREFUSED
            self.changed()

    # -- what is ready

    def ready(self, wanted: int = EVERYTHING) -> int:
        bits = READABLE if self._mail else 0
        if wanted & WRITABLE and self.out.isOpen():
            bits |= WRITABLE
        return bits | FAILED if self._failure else bits

    def unread(self) -> int:
        return len(self._mail[0][0]) if self._mail else 0

    def _fail(self) -> None:
        """
        @raise OSError: what there is to say before anything else, once.
        """
        if self._failure:
            code, self._failure = self._failure, WSAError.NO_ERROR
            raise failing(code)

    # -- what a socket has

    def getsockopt(self, level: int, option: int) -> int:
        if (level, option) == _ERROR:
            code, self._failure = self._failure, WSAError.NO_ERROR
            return errnoFromError(code)
        return super().getsockopt(level, option)

    def getpeername(self) -> SockAddr:
        if self.peer is None or not self.peer[1]:
            raise failing(WSAError.WSAENOTCONN)
        return self.peer

    def bind(self, address: SockAddr) -> None:
        """
        C{bind(2)}.
        """
        self.mayFail("Bind")
        self._asked = self._network.post.bind(self, addressed(self.family, address))
        self.named(self._asked)

    def connect(self, address: SockAddr) -> None:
        """
        C{connect(2)}: have a peer, or another one.

        @raise OSError: C{EACCES}, only who has C{SO_BROADCAST} has all for a peer.
        """
        self.mayFail("Connect")
        peer = addressed(self.family, address)
        self._network.post.permit(self, peer)
        self._named()
        self.named(self._network.post.sourceOf(self, peer))
        self.peer = peer

    def connect_ex(self, address: SockAddr) -> int:
        """
        The same, with the C{errno} of a failure as its result.
        """
        try:
            self.connect(address)
        except OSError as error:
            return errnoFromError(errorFromErrno(error.errno))
        return 0

    def dissolve(self) -> None:
        """
        Have no peer any more, and no name but the one that it was bound to.
        """
        self.peer = None
        if not self._asked[1]:
            self._network.post.leave(self)
        self.named(self._asked)

    def _named(self) -> None:
        if not self._name[1]:
            # Who sends without a name gets one.
            self.named(self._network.post.bind(self, self._name))

    def send(self, data: Any, flags: int = 0) -> int:
        """
        C{send(2)}, to the peer.

        @return: how many bytes it was.
        @raise OSError: as there.
        """
        if self.peer is None:
            raise failing(WSAError.WSAEDESTADDRREQ)
        return self._sent(data, self.peer)

    def sendto(self, data: Any, *where: Any) -> int:
        """
        C{sendto(2)}.

        @param where: as the socket module has it: an address, or flags and an address.
        @return: how many bytes it was.
        @raise OSError: as there.
        """
        to = addressed(self.family, where[-1])
        if not to[1]:
            raise failing(WSAError.WSAEINVAL)
        return self._sent(data, to)

    def _sent(self, data: Any, to: SockAddr) -> int:
        view = memoryview(data)
        if not view.c_contiguous:
            # As send(2) has it.
            raise BufferError("a buffer to send is to be contiguous")
        if view.nbytes > _LONGEST[self.family]:
            raise failing(WSAError.WSAEMSGSIZE)
        self._network.post.permit(self, to)
        self._fail()
        if not self.out.isOpen():
            raise failing(WSAError.WSAEWOULDBLOCK)
        self.mayFail("Send")
        self._named()
        self._network.post.take(self, view.tobytes(), to)
        return view.nbytes

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, SockAddr]:
        """
        C{recvfrom(2)}: one datagram, of which the rest is lost where the buffer is too small.

        @return: how many bytes were received, with C{MSG_TRUNC} how many it was; and who has sent it.
        @raise OSError: as there.
        """
        room = memoryview(buffer).cast("B")
        if room.readonly:
            raise TypeError("a buffer to receive into is not to be read-only")
        self.mayFail("Receive")
        self._fail()
        if not self._mail:
            raise failing(WSAError.WSAEWOULDBLOCK)
        data, source = self._mail[0]
        count = min(len(data), nbytes or len(room))
        room[:count] = data[:count]
        if not flags & _PEEK:
            self._mail.popleft()
            self.size -= max(1, len(data))
        return len(data) if flags & _TRUNC else count, source

    def close(self) -> None:
        """
        Give it up: what it has sent still arrives, and what comes for it finds nobody.
        """
        super().close()
        self._mail.clear()
        self._network.post.leave(self)
        self._network.gone(self)


def addressed(family: int, address: SockAddr) -> SockAddr:
    """
    An address as the socket module writes those of its family.
    """
    if family == AF_INET:
        return address
    return (*address, 0, 0)[:4]
