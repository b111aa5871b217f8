"""
What only ioctl(2) says of a socket, Python's socket object having no method for it; a conduit says it itself.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import Any, Final

from ._conduit import Conduit

__all__ = ["atMark", "unread"]

_SIOCATMARK: Final = 0x8905
"""Linux' number (asm-generic/sockios.h); Python's modules don't have it."""
_NOTHING: Final = struct.pack("i", 0)


def atMark(sock: socket.socket | Conduit) -> bool:
    """
    Does the next byte of the stream stand where an urgent byte stands, or stood?

    @raise OSError: the socket is of a kind that has no mark.
    """
    return sock.atMark() if isinstance(sock, Conduit) else bool(_asked(sock, _SIOCATMARK))


def unread(sock: socket.socket | Conduit) -> int:
    """
    How many bytes could be received: those of the first datagram, of a stream those before an urgent byte.

    @raise OSError: the descriptor was closed beneath the socket.
    """
    return sock.unread() if isinstance(sock, Conduit) else _asked(sock, termios.FIONREAD)


def _asked(sock: socket.socket, request: int) -> int:
    answer: tuple[Any, ...] = struct.unpack("i", fcntl.ioctl(sock.fileno(), request, _NOTHING))
    return int(answer[0])
