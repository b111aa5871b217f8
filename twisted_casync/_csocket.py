"""
C{CSocket}: the members of MFC's blocking class, awaited.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal, TypeVar, overload

from twisted.internet.defer import Deferred, fail, succeed

from ._arguments import Rejected, filled, integer, sent
from ._awaiting import PENDING, Try, failed, refusal
from ._casyncsocket import CAsyncSocket
from ._notify import ACCEPT, CONNECT, CONNECTED, OOB, READ, WRITE
from ._reading import LARGEST, Reading
from ._sockaddr import HostName, SockAddr, addressIn
from .errors import winsockError
from .winsock import (
    FD_ALL_EVENTS,
    MSG_OOB,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOCKET_ERROR,
    GetLastError,
    SetLastError,
    WSAError,
)

__all__ = ["CSocket"]

# Compared by identity, as in _transfer.
_NO_FLAGS: Final = 0
_COUNTED: Final = (bytes, bytearray)
_OOB: Final = int(MSG_OOB)

_Self = TypeVar("_Self", bound="CSocket")
_S = TypeVar("_S", bound=CAsyncSocket)


def _kept(view: memoryview) -> memoryview:
    """
    @return: the same bytes, which the caller of a Send can't change from now on.
    """
    return view if view.readonly else memoryview(bytes(view))


class CSocket(Reading):
    """
    A C{CAsyncSocket} whose calls wait, as MFC's C{CSocket}: each that would block there gives a C{Deferred} here.

    C{Connect}, C{Accept}, C{Receive}, C{ReceiveFrom}, C{Send}, C{SendTo} and the helpers C{receive...} give a
    C{Deferred}: of a result, never of an error code.  They fail with a L{WinsockError}, never with C{WSAEWOULDBLOCK}.
    One call of a kind can wait at a time; a second one fails with C{WSAEINPROGRESS}.  All other members are those of
    C{CAsyncSocket}.

    The handlers of a subclass are called as MFC calls them: with what no call waits for.
    """

    __slots__ = ("_as_count",)

    def _as_blank(self) -> None:
        super()._as_blank()
        self._as_count = 0

    @staticmethod
    def FromHandle(hSocket: int) -> CSocket | None:
        """
        Find the object, among those of the calling thread, that has a descriptor (C{CSocket::FromHandle}).

        @param hSocket: the descriptor.
        @return: the object; L{None} if there is none, or if it is no C{CSocket}.
        """
        found = CAsyncSocket.FromHandle(hSocket)
        return found if isinstance(found, CSocket) else None

    # MFC's CSocket takes no lEvent here: all is selected.  C++ hides the other overload as Python does.
    def Create(  # type: ignore[override]
        self, nSocketPort: int = 0, nSocketType: int = SOCK_STREAM, lpszSocketAddress: str | None = None
    ) -> bool:
        """
        Make an IPv4 socket and bind it (C{CSocket::Create}).

        @param nSocketPort: 0 lets the system choose.
        @param nSocketType: C{SOCK_STREAM} (TCP) or C{SOCK_DGRAM} (UDP).
        @param lpszSocketAddress: the local address in numbers; L{None} for all interfaces.
        @return: L{True} or L{False}; the errors are those of C{CAsyncSocket.Create}.
        """
        return super().Create(nSocketPort, nSocketType, FD_ALL_EVENTS, lpszSocketAddress)

    def Attach(self, hSocket: Any) -> bool:  # type: ignore[override]  # as for Create
        """
        Take over an open socket (C{CSocket::Attach}).

        @param hSocket: a descriptor, or a C{socket.socket}, which loses its own.
        @return: L{True} or L{False}; the errors are those of C{CAsyncSocket.Attach}.
        """
        return super().Attach(hSocket, FD_ALL_EVENTS)

    # -- connections

    def Connect(self, lpszHostAddress: Any, nHostPort: int | None = None) -> Deferred[bool]:  # type: ignore[override]
        """
        Connect, and wait until that is done (C{CAsyncSocket::Connect}).

        @param lpszHostAddress: an address in numbers, a host name, or a SOCKADDR.
        @param nHostPort: the peer's port.
        @return: a Deferred of L{True}.  It fails with the errors that C{CAsyncSocket.Connect} leaves and C{OnConnect}
            tells. When it is cancelled the attempt goes on, and C{OnConnect} tells how it ends; C{Close} ends it.
        """
        if self._as_isTaken(CONNECT):
            return fail(failed(WSAError.WSAEINPROGRESS))
        self._as_outcome = None
        if super().Connect(lpszHostAddress, nHostPort):
            return succeed(True)
        code = GetLastError()
        if code is not WSAError.WSAEWOULDBLOCK:
            return fail(winsockError(code))
        return self._as_wait(CONNECT, self._as_connected)

    def ConnectEx(self, pAI: Any) -> Deferred[bool]:  # type: ignore[override]
        """
        Connect to the address of an entry of C{getaddrinfo}, and wait until that is done (C{CAsyncSocket::ConnectEx}).

        @param pAI: the entry.
        @return: a Deferred, as L{Connect} gives.
        """
        try:
            address = addressIn(pAI)
        except Rejected as rejected:
            return fail(failed(rejected.code))
        return self.Connect(address)

    def _as_connected(self) -> Any:
        code = self._as_outcome
        if code is None:
            return PENDING
        if code:
            raise failed(code)
        # The attempt had left that it would block.
        SetLastError(code)
        return True

    @overload  # type: ignore[override]
    def Accept(
        self, rConnectedSocket: None = None, lpSockAddr: Literal[False] | None = False, lpSockAddrLen: int | None = None
    ) -> Deferred[CSocket]: ...

    @overload
    def Accept(
        self, rConnectedSocket: _S, lpSockAddr: Literal[False] | None = False, lpSockAddrLen: int | None = None
    ) -> Deferred[_S]: ...

    @overload
    def Accept(
        self, rConnectedSocket: _S, lpSockAddr: Literal[True], lpSockAddrLen: int | None = None
    ) -> Deferred[tuple[_S, SockAddr]]: ...

    @overload
    def Accept(
        self, rConnectedSocket: None, lpSockAddr: Literal[True], lpSockAddrLen: int | None = None
    ) -> Deferred[tuple[CSocket, SockAddr]]: ...

    def Accept(
        self, rConnectedSocket: CAsyncSocket | None = None, lpSockAddr: Any = False, lpSockAddrLen: int | None = None
    ) -> Deferred[Any]:
        """
        Wait for a connection (C{CAsyncSocket::Accept}).

        @param rConnectedSocket: an object without a socket, which gets the connection; L{None} for a new C{CSocket}.
        @param lpSockAddr: L{True} to be told the peer's address.
        @param lpSockAddrLen: room for that address in bytes.
        @return: a Deferred of the connected object; with C{lpSockAddr} of the object and the address.  It fails with
            the errors of C{CAsyncSocket.Accept}.
        """
        child = CSocket(self._as_asked) if rConnectedSocket is None else rConnectedSocket
        wanted = lpSockAddr is not None and integer(lpSockAddr, "lpSockAddr")

        def attempt() -> Any:
            address = CAsyncSocket.Accept(self, child, True, lpSockAddrLen)
            if address is None:
                return refusal()
            # What this call waits for, the child has not selected.
            child._as_rules.selected &= ~self._as_lent
            return (child, address) if wanted else child

        return self._as_await(ACCEPT, attempt)

    # -- receiving

    @overload  # type: ignore[override]
    def Receive(self, lpBuf: int = LARGEST, nBufLen: int | None = None, nFlags: int = 0) -> Deferred[bytes]: ...

    @overload
    def Receive(self, lpBuf: Any, nBufLen: int | None = None, nFlags: int = 0) -> Deferred[int]: ...

    def Receive(self, lpBuf: Any = LARGEST, nBufLen: Any = None, nFlags: int = 0) -> Deferred[Any]:
        """
        Wait until something has arrived, and fetch it (C{CAsyncSocket::Receive}).

        Receive(nBufLen=262144, nFlags=0) gives bytes; Receive(lpBuf, nBufLen=None, nFlags=0) fills a buffer.  The first
        argument tells which.

        @param lpBuf: the buffer to fill.
        @param nBufLen: at most how many bytes.
        @param nFlags: C{MSG_PEEK} leaves the data where it is; C{MSG_OOB} waits for the urgent byte.
        @return: a Deferred of the bytes, C{b""} at the end of the stream; or of their number, 0 at the end of the
            stream. It fails with the errors of C{CAsyncSocket.Receive} but C{WSAEWOULDBLOCK}.
        """
        if type(lpBuf) is int and lpBuf > 0 and nBufLen is None and nFlags is _NO_FLAGS:
            # The call that nearly every message is received with.
            return self._as_await(READ, partial(self._as_some, lpBuf, 0))
        try:
            attempt, flags = self._as_receiving(lpBuf, nBufLen, nFlags)
        except Rejected as rejected:
            return fail(failed(rejected.code))
        return self._as_await(OOB if flags & _OOB else READ, attempt)

    @overload  # type: ignore[override]
    def ReceiveFrom(
        self, lpBuf: int = LARGEST, nBufLen: int | None = None, nFlags: int = 0, *, lpSockAddrLen: int | None = None
    ) -> Deferred[tuple[bytes, SockAddr | None]]: ...

    @overload
    def ReceiveFrom(
        self,
        lpBuf: Any,
        nBufLen: int | None = None,
        nFlags: int = 0,
        *,
        lpSockAddrLen: int | None = None,
    ) -> Deferred[tuple[int, SockAddr | None]]: ...

    def ReceiveFrom(
        self, lpBuf: Any = LARGEST, nBufLen: Any = None, nFlags: int = 0, *, lpSockAddrLen: int | None = None
    ) -> Deferred[Any]:
        """
        Wait for a datagram, and fetch it with its sender's address (C{CAsyncSocket::ReceiveFrom}); a stream tells none.

        @param lpBuf: the buffer to fill, or left out, as for L{Receive}.
        @param nBufLen: at most how many bytes.  The rest of a longer datagram is lost: C{WSAEMSGSIZE}, with what
            there was room for as C{partial}.
        @param nFlags: C{MSG_PEEK} or C{MSG_OOB}, as for L{Receive}.
        @param lpSockAddrLen: room for the address in bytes.
        @return: a Deferred of the bytes, or their number, and the address.  It fails with the errors of
            C{CAsyncSocket.ReceiveFrom} but C{WSAEWOULDBLOCK}.
        """
        try:
            attempt, flags = self._as_receivingFrom(lpBuf, nBufLen, nFlags, lpSockAddrLen)
        except Rejected as rejected:
            return fail(failed(rejected.code))
        return self._as_await(OOB if flags & _OOB else READ, attempt)

    ReceiveFromEx = ReceiveFrom  # type: ignore[assignment]  # addresses are in numbers in both

    def _as_receiving(self, lpBuf: Any, nBufLen: Any, nFlags: Any) -> tuple[Try, int]:
        """
        @return: the attempt of a Receive, and its flags.
        @raise Rejected: C{WSAEFAULT}, the length.
        """
        if isinstance(lpBuf, int):
            size, flags = integer(lpBuf, "lpBuf"), integer(nFlags if nBufLen is None else nBufLen, "nFlags")
            if size < 0:
                raise Rejected(WSAError.WSAEFAULT)
            return partial(self._as_some, size, flags), flags
        flags = integer(nFlags, "nFlags")
        view = filled(lpBuf, nBufLen)
        return partial(self._as_into, view, flags), flags

    def _as_receivingFrom(self, lpBuf: Any, nBufLen: Any, nFlags: Any, lpSockAddrLen: Any) -> tuple[Try, int]:
        receive, flags = self._as_receiving(lpBuf, nBufLen, nFlags)

        def attempt() -> Any:
            if self._as_phase is CONNECTED:
                got = receive()
                return got if got is PENDING else (got, None)
            if isinstance(lpBuf, int):
                return self._as_datagram(lpBuf, flags, lpSockAddrLen)
            return self._as_datagramInto(filled(lpBuf, nBufLen), flags, lpSockAddrLen)

        return attempt, flags

    # -- sending

    def Send(self, lpBuf: Any, nBufLen: int | None = None, nFlags: int = 0) -> Deferred[int]:  # type: ignore[override]
        """
        Send all of it, and wait until the system has taken it (C{CAsyncSocket::Send}).

        @param lpBuf: the data.  It can be used again at once: of a buffer that can change, what has to wait is copied.
        @param nBufLen: how much of it, in bytes.
        @param nFlags: C{MSG_OOB} makes the last byte urgent; C{MSG_DONTROUTE} does not route.
        @return: a Deferred of the number of bytes, which is all.  It fails with the errors of C{CAsyncSocket.Send} but
            C{WSAEWOULDBLOCK}.  What was sent when it failed or was cancelled says L{bytesSent}.
        """
        if type(lpBuf) not in _COUNTED or nBufLen is not None or nFlags is not _NO_FLAGS or not self._as_spare:
            return self._as_sendAll(lpBuf, nBufLen, lambda left: self._as_Send(left, None, nFlags))
        if self._as_isTaken(WRITE):
            return fail(failed(WSAError.WSAEINPROGRESS))
        # The call that nearly every message is sent with.
        count = self._as_Send(lpBuf)
        if count == len(lpBuf):
            self._as_count = count
            self._as_spare -= 1
            return succeed(count)
        self._as_count = 0
        if count != SOCKET_ERROR:
            self._as_count = count
        elif GetLastError() is not WSAError.WSAEWOULDBLOCK:
            return fail(winsockError(GetLastError()))
        left = _kept(memoryview(lpBuf)[self._as_count :])
        return self._as_wait(WRITE, self._as_remainder(left, len(lpBuf), self._as_Send))

    def SendTo(  # type: ignore[override]
        self, lpBuf: Any, nBufLen: int | None, nHostPort: Any, lpszHostAddress: Any = None, nFlags: int = 0
    ) -> Deferred[int]:
        """
        Send a datagram to an address, and wait until the system has taken it (C{CAsyncSocket::SendTo}).

        @param lpBuf: the data; it can be used again at once.
        @param nBufLen: how much of it, in bytes; L{None} for all.
        @param nHostPort: the receiver's port, or a SOCKADDR.
        @param lpszHostAddress: an address in numbers, or a host name, the lookup of which is waited for; L{None} for a
            broadcast.  With a SOCKADDR its length.
        @param nFlags: as for L{Send}.
        @return: a Deferred of the number of bytes.  It fails with the errors of C{CAsyncSocket.SendTo} but
            C{WSAEWOULDBLOCK}.
        """
        answers: list[bool | None] = []

        def send(view: memoryview) -> int:
            try:
                to = self._as_whereTo(nHostPort, lpszHostAddress, answers)
            except Rejected as rejected:
                SetLastError(rejected.code)
                return SOCKET_ERROR
            if to is None:
                return self._as_SendTo(view, None, nHostPort, lpszHostAddress, nFlags)
            return self._as_SendTo(view, None, to, None, nFlags)

        return self._as_sendAll(lpBuf, nBufLen, send)

    def _as_whereTo(self, nHostPort: Any, lpszHostAddress: Any, answers: list[bool | None]) -> SockAddr | None:
        """
        Where an awaited SendTo to a host name goes.

        @param answers: L{None} when the name is looked up, and whether that has found an address when it has ended.
        @return: the address; L{None} where no name is given.
        @raise Rejected: C{WSAEWOULDBLOCK}, it is being looked up; C{WSAHOST_NOT_FOUND}.
        """
        sock = self._as_usable()
        to = self._as_destination(nHostPort, lpszHostAddress) if sock.type == SOCK_DGRAM else None
        if not isinstance(to, HostName):
            return None
        queue = self._as_sendQueue(sock)
        if not answers and isinstance(queue.addressOf(to), HostName):

            def answered(found: bool) -> None:
                answers.append(found)
                self._as_rules.reenable(WRITE)
                self._as_settle()

            answers.append(None)
            self._as_ask(queue, to.host, answered)
        where = queue.addressOf(to)
        if isinstance(where, HostName):
            raise Rejected(WSAError.WSAHOST_NOT_FOUND if False in answers else WSAError.WSAEWOULDBLOCK)
        return where

    SendToEx = SendTo  # type: ignore[assignment]  # as for ReceiveFromEx

    @property
    def bytesSent(self) -> int:
        """
        How many bytes of the last L{Send} were taken by the system; also of one that waits, that failed, or that was
        cancelled, the rest of which is not sent.
        """
        return self._as_count

    def _as_sendAll(self, lpBuf: Any, nBufLen: Any, send: Callable[[memoryview], int]) -> Deferred[int]:
        try:
            view = sent(lpBuf, nBufLen)
        except Rejected as rejected:
            return fail(failed(rejected.code))
        if self._as_isTaken(WRITE):
            return fail(failed(WSAError.WSAEINPROGRESS))
        self._as_count = 0
        left = view if self._as_spare else _kept(view)
        return self._as_await(WRITE, self._as_remainder(left, len(view), send))

    def _as_remainder(self, left: memoryview, size: int, send: Callable[[memoryview], int]) -> Try:
        """
        @param left: what is to be sent yet.
        @param size: the number of bytes of all.
        @return: attempts to send it.
        """

        def attempt() -> Any:
            nonlocal left
            count = send(left)
            if count == SOCKET_ERROR:
                refusal()
                count = 0
            self._as_count += count
            if self._as_count == size:
                return size
            left = _kept(left[count:])
            return PENDING

        return attempt

    # -- with Python's own words

    async def __aenter__(self: _Self) -> _Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.Close()

    def __aiter__(self: _Self) -> _Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self.Receive()
        if not chunk:
            raise StopAsyncIteration
        return chunk
