"""
Which sockets a test has left open.
"""

from __future__ import annotations

from weakref import WeakSet

from twisted_casync import CAsyncSocket
from twisted_casync._threads import openSockets

__all__ = ["SocketCheck"]


class SocketCheck:
    """
    A look at the open sockets of this thread, to be compared with a later one.
    """

    def __init__(self) -> None:
        self._before: WeakSet[CAsyncSocket] = WeakSet(openSockets())

    def rest(self) -> list[CAsyncSocket]:
        """
        @return: those that were opened since, and are open.
        """
        return [sock for sock in openSockets() if sock not in self._before]

    def closeRest(self) -> list[str]:
        """
        Close them, so that the next test has none of them.

        @return: what they were.
        """
        described = []
        for sock in self.rest():
            described.append(repr(sock))
            sock.Close()
        return described
