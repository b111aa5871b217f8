"""
What the kernel says of a socket that comes from elsewhere: where it is in its life, which directions are shut down.

A connection that is over has no peer any more to Linux, as a socket that was never connected.  But the kernel keeps
the figures of the connection (C{TCP_INFO}, tcp(7)), and says that both directions are shut down.
"""

from __future__ import annotations

import socket
from typing import Any, Final, NamedTuple

from ._conduit import Conduit
from ._connecting import unconnected
from ._notify import CONNECTED, CONNECTING, LISTENING, Phase
from ._readiness import ENDED, FAILED, HUNG_UP
from ._sockaddr import UNIX
from .winsock import SOCK_STREAM

__all__ = ["Found", "inspected"]

_TCP_INFO: Final = (socket.IPPROTO_TCP, socket.TCP_INFO)
# States of TCP_INFO, as Linux numbers them (net/tcp_states.h).
_UNDER_WAY: Final = (2, 3)
_FINISHED: Final = (4, 5, 9, 11)
"""Those in which this side has ended its stream."""
_PEER_OPEN: Final = (1, 4, 5)
"""Those in which the peer has not."""
_CLOSED: Final = 7

_RECEIVE_SPACE: Final = 96
"""
Where C{tcpi_rcv_space} stands in C{struct tcp_info} (linux/tcp.h): the first figure that a connection has as soon as it
is made (tcp_init_buffer_space()), and an attempt that failed has not.
"""


class Found(NamedTuple):
    """
    What was found out.

    @ivar phase: where it is in its life.
    @ivar receives: its receiving side was not shut down on this side.
    @ivar sends: its sending side was not.
    """

    phase: Phase
    receives: bool = True
    sends: bool = True


def inspected(sock: Any, bits: int, connected: bool = False) -> Found:
    """
    @param sock: a C{socket.socket}, or a conduit.
    @param bits: what it is ready for, of L{_readiness.READABLE} and its kin.
    @param connected: it is known to have had a connection.
    @raise OSError: it is no socket.
    """
    if sock.type != SOCK_STREAM:
        # Of a datagram socket only this side can have shut anything down.
        lost = bits & HUNG_UP
        return Found(unconnected(sock), not (lost or bits & ENDED), not lost)
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return Found(LISTENING)
    try:
        sock.getpeername()
    except OSError:
        return _peerless(sock, bits, connected)
    if sock.family == UNIX and not isinstance(sock, Conduit):
        # Where the peer has left too nobody can say whether this side had ended its stream before.
        return Found(CONNECTED, sends=bool(bits & HUNG_UP) or not _refusesToSend(sock))
    state = _state(sock)
    # A conduit is not told that nobody receives.
    receives = isinstance(sock, Conduit) or not (bits & ENDED and state in _PEER_OPEN)
    return Found(CONNECTED, receives, state not in _FINISHED)


def _peerless(sock: Any, bits: int, connected: bool) -> Found:
    if sock.family == UNIX and not isinstance(sock, Conduit):
        return Found(unconnected(sock))
    state = _state(sock)
    if state in _UNDER_WAY:
        return Found(CONNECTING)
    if state == _CLOSED and bits & ENDED:
        if connected or _wasConnected(sock):
            # In order, after this side had ended its stream too; or lost, which is still to be said.
            return Found(CONNECTED, sends=bool(bits & FAILED))
        if bits & FAILED:
            # The attempt has failed, and nobody was told.
            return Found(CONNECTING)
    return Found(unconnected(sock))


def _wasConnected(sock: Any) -> bool:
    if isinstance(sock, Conduit):
        return sock.wasConnected()
    figures: bytes = sock.getsockopt(*_TCP_INFO, _RECEIVE_SPACE + 4)
    return any(figures[_RECEIVE_SPACE:])


def _refusesToSend(sock: socket.socket) -> bool:
    """
    Asks with nothing to send: Linux looks first whether the direction was shut down (unix_stream_sendmsg()).
    """
    try:
        sock.send(b"", socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
    except OSError:
        return True
    return False


def _state(sock: Any) -> int:
    return int(sock.getsockopt(*_TCP_INFO)) & 0xFF
