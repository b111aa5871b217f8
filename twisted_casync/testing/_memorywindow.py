"""
The window of a memory network: it makes sockets of memory, and tells one socket at a time.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, cast

from twisted_casync._conduit import failing
from twisted_casync._conduitwindow import ConduitWindow
from twisted_casync._window import nobody
from twisted_casync.testing._mailbox import Mailbox
from twisted_casync.testing._memorysocket import MemorySocket
from twisted_casync.winsock import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM, WSAError

__all__ = ["MemoryWindow"]

_KINDS = {SOCK_STREAM: MemorySocket, SOCK_DGRAM: Mailbox}


class MemoryWindow(ConduitWindow):
    """
    A window each turn of which is the turn of one socket, so that a test can stop between any two.
    """

    def __init__(self, network: Any, thread: int, gone: Callable[[], object]) -> None:
        """
        @param network: a L{MemoryNetwork}.
        """
        super().__init__(network, thread, gone)
        self._network = network

    def create(self, family: int, kind: int, protocol: int) -> socket.socket:
        code = self._network.scripted.take("Create")
        if code is None and family not in (AF_INET, AF_INET6):
            code = WSAError.WSAEAFNOSUPPORT
        if code is not None:
            raise failing(code)
        return cast(socket.socket, _KINDS[kind](self._network, family))

    def adopted(self, fd: int) -> socket.socket:
        # A descriptor can't be watched by a clock.
        raise failing(WSAError.WSAENOTSOCK)

    def turn(self) -> None:
        if self._batch is not None:
            return
        self._begin()
        if self.posted:
            self.tellPosted(1)
        else:
            batch = self._ready(1)
            if batch:
                self.tell(batch, nobody)
        self._end(False)
