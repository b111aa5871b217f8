"""
Urgent data as Linux keeps it: one byte, the newest, at a mark in the stream.

The kernel holds the urgent byte apart from the stream until it is received with C{MSG_OOB}; a receive stops before
the mark.  But a receive that starts I{at} the mark throws an unread urgent byte away (tcp(7), and C{tcp_recvmsg()}),
where Winsock keeps it.  So whoever receives at the mark takes the byte first.  C{MSG_PEEK} throws nothing away.

Received or not, the byte keeps its place in the stream until a receive passes it; and to close(2) that place is data
that nobody received, for which it resets the connection.
"""

from __future__ import annotations

import socket

from ._conduit import Conduit
from ._ioctl import atMark

__all__ = ["isTaken", "passInLine", "passUrgent", "peekUrgent", "takeUrgent"]


def _urgent(sock: socket.socket, flags: int) -> bytes:
    try:
        return sock.recv(1, socket.MSG_OOB | flags)
    except OSError:
        # EINVAL: there is none, or it was received already; EAGAIN: announced, and still on its way; EOPNOTSUPP: the
        # socket has no urgent data.  None of them is an error of the connection: recv(2) with MSG_OOB
        # does not look at those.
        return b""


def peekUrgent(sock: socket.socket) -> bytes:
    """
    @return: the unread urgent byte, which stays unread; empty when there is none.
    """
    return _urgent(sock, socket.MSG_PEEK)


def takeUrgent(sock: socket.socket) -> bytes:
    """
    @return: the unread urgent byte, which is received with this; empty when there is none.
    """
    return _urgent(sock, 0)


def passUrgent(sock: socket.socket) -> None:
    """
    Go past the place of an urgent byte that was received, when nothing stands behind it: nothing is unread then.

    For a socket that is about to be closed.  What comes between the two receives is lost, as it would be later.
    """
    # DONTWAIT: where another descriptor is of the same connection, its owner may have made both block.
    try:
        if atMark(sock) and not peekUrgent(sock) and not _behind(sock):
            sock.recv(1, socket.MSG_DONTWAIT)
    except OSError:
        # EAGAIN: passed, and the stream goes on.  Else the connection is lost, or the descriptor was closed beneath its
        # object, and there is nothing to pass.
        return


def isTaken(sock: socket.socket | Conduit) -> bool:
    """
    @return: whether the next byte of the stream is an urgent byte that was received.  An emulated socket keeps none.
    """
    return not isinstance(sock, Conduit) and atMark(sock) and not peekUrgent(sock)


def passInLine(sock: socket.socket) -> None:
    """
    Discard that byte after C{SO_OOBINLINE} was switched on: Linux would give it a second time.
    """
    try:
        sock.recv(1, socket.MSG_DONTWAIT)
    except OSError:
        # The connection was lost, and the next call fails.
        return


def _behind(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b""
