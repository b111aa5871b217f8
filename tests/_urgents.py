"""
What tests of urgent data receive.
"""

from __future__ import annotations

from _reactors import Recorder

from twisted_casync import FD_ALL_EVENTS, FD_WRITE, MSG_OOB, SOCKET_ERROR, GetLastError, WSAError

__all__ = ["QUIET", "normal", "urgent"]

QUIET = FD_ALL_EVENTS & ~FD_WRITE


def urgent(child: Recorder, flags: int = 0) -> bytes:
    """The urgent byte, received; empty where there is none."""
    byte = bytearray(1)
    count = child.Receive(byte, 1, MSG_OOB | flags)
    if count == SOCKET_ERROR:
        assert GetLastError() == WSAError.WSAEWOULDBLOCK
        return b""
    return bytes(byte[:count])


def normal(child: Recorder, size: int = 100) -> bytes:
    """What one Receive gives; empty where it would block."""
    buffer = bytearray(size)
    count = child.Receive(buffer)
    if count == SOCKET_ERROR:
        assert GetLastError() == WSAError.WSAEWOULDBLOCK
        return b""
    return bytes(buffer[:count])
