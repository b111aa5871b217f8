"""
A C{CAsyncSocket} over a Twisted transport: an endpoint's, TLS's, an SSH channel's, a pipe's.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_casync import FD_ALL_EVENTS, INVALID_SOCKET, CAsyncSocket, GetLastError
from twisted_casync._stream import Stream

from ._carrying import Carrying

__all__ = ["SocketProtocol", "carrierOf", "checkedClosed", "reasonOf", "transportOf"]

_log = Logger("casync")


class SocketProtocol(Carrying):
    """
    The protocol of a transport that is a socket's.
    """

    __slots__ = ("_lEvent", "_sock")

    def __init__(self, sock: CAsyncSocket, lEvent: int = FD_ALL_EVENTS, *, reactor: Any = None) -> None:
        """
        @param sock: a closed socket.  It is connected when the transport is, and has selected C{lEvent} then.
        @param reactor: the reactor of the transport; L{None} for the global one.
        @raise ValueError: the socket is open.
        """
        super().__init__(reactor)
        self._sock: CAsyncSocket | None = checkedClosed(sock)
        self._lEvent = lEvent

    def made(self) -> None:
        """
        Attach the socket.
        """
        sock, self._sock = self._sock, None
        if sock is not None and not CAsyncSocket.Attach(sock, self.stream, self._lEvent):
            _log.error("{socket!r} can't be attached to its transport: {error}", socket=sock, error=GetLastError())
            self.close(True)


def transportOf(sock: CAsyncSocket) -> Any:
    """
    The Twisted transport beneath a socket, to ask what only that knows (C{getPeerCertificate}, C{negotiatedProtocol}).

    @return: the transport; L{None} of a socket that has a descriptor, or nothing yet, or is closed.
    """
    carrier = carrierOf(sock)
    return None if carrier is None else carrier.transport


def reasonOf(sock: CAsyncSocket) -> Failure | None:
    """
    How the connection beneath a socket has ended, or why it was not made, in Twisted's words: those say more than
    the code of C{OnClose} or C{OnConnect}, which what is called from there can look up here.

    @return: the reason; L{None} while there is none, of a socket that has a descriptor, or is closed.
    """
    carrier = carrierOf(sock)
    return None if carrier is None else carrier.reason


def carrierOf(sock: CAsyncSocket) -> Carrying | None:
    """
    @return: what carries a socket; L{None} of one that no transport does.
    """
    stream: Any = sock._as_sock
    carrier = stream.carrier if isinstance(stream, Stream) else None
    return carrier if isinstance(carrier, Carrying) else None


def checkedClosed(sock: CAsyncSocket) -> CAsyncSocket:
    """
    @return: C{sock}, which can be given a connection.
    @raise ValueError: it is open.
    """
    if sock.m_hSocket != INVALID_SOCKET:
        raise ValueError(f"{sock!r} is open: it can't be given another connection")
    return sock
