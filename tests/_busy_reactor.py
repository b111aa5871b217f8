"""
The casync reactor with a socket open from the beginning, so that the window takes part in all that the reactor does.
"""

from __future__ import annotations

from typing import Any

from twisted_casync import SOCK_DGRAM, AfxSocketInit, CAsyncSocket
from twisted_casync.reactor import CAsyncReactor

__all__ = ["BusyCAsyncReactor"]


class BusyCAsyncReactor(CAsyncReactor):
    """
    A reactor that watches a datagram socket, which nobody sends to.
    """

    def __init__(self) -> None:
        super().__init__()
        AfxSocketInit(self)
        self.mailbox = CAsyncSocket(self)
        assert self.mailbox.Create(0, SOCK_DGRAM, lpszSocketAddress="127.0.0.1")
        AfxSocketInit()

    def getReaders(self) -> list[Any]:
        """Without the socket: a test that looks at all of the reactor must not see it."""
        return [reader for reader in super().getReaders() if reader is not self.mailbox]

    def removeAll(self) -> list[Any]:
        """The socket goes when all goes."""
        self.mailbox.Close()
        return super().removeAll()
