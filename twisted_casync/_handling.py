"""
The handler that waits: C{async def OnReceive}.

In MFC a handler can call what blocks.  As long as it does, the other notifications of its socket are set aside, and are
told when it has returned.  So here a handler may be a coroutine, or give a C{Deferred}: until that has ended nothing
else is told of this socket, and of other sockets everything.

What is set aside is not kept, but looked at again when the handler has ended: what is told then still holds.
"""

from __future__ import annotations

import inspect
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ._casyncsocket import CAsyncSocket
from ._member import documented
from ._notify import ACCEPT, CONNECT
from .errors import WinsockInterrupted
from .interfaces import IAsyncSocketNotifications
from .winsock import WSAError

__all__ = ["Handling"]


@documented(IAsyncSocketNotifications)
class Handling(CAsyncSocket):
    """
    A C{CAsyncSocket} whose handlers can wait.
    """

    __slots__ = ("_as_aside", "_as_handler")

    _as_mayWait = True

    def _as_blank(self) -> None:
        super()._as_blank()
        # The handler that has not ended.
        self._as_handler: Deferred[Any] | None = None
        # The events that would have been told meanwhile.
        self._as_aside = 0

    def _as_call(self, event: int, code: WSAError) -> Any:
        if self._as_handler is not None and event != CONNECT:
            self._as_aside |= event
            return None
        given = super()._as_call(event, code)
        if given is not None:
            if inspect.iscoroutine(given):
                given = Deferred.fromCoroutine(given)
            if isinstance(given, Deferred):
                self._as_follow(event, given)
        return None

    def _as_isHandling(self) -> bool:
        return self._as_handler is not None

    def _as_follow(self, event: int, handler: Deferred[Any]) -> None:
        """
        A handler has not returned yet, or has just failed.
        """
        sock = self._as_sock
        if not handler.called and sock is not None:
            self._as_handler = handler

        def ended(result: object) -> None:
            if self._as_handler is handler:
                self._as_handler = None
            if isinstance(result, Failure):
                interrupted = result.check(WinsockInterrupted) and self._as_sock is not sock
                if not interrupted:
                    # A handler that waits when its program closes the socket has no more to say than that.
                    self._as_crashed(event, result)
            if event == ACCEPT:
                self._as_offered = None
            if self._as_sock is sock and self._as_aside:
                events, self._as_aside = self._as_aside, 0
                self._as_rules.reenable(events)
                self._as_rearm()

        handler.addBoth(ended)

    # -- the handlers, which may wait

    def OnAccept(self, nErrorCode: int) -> Any: ...

    def OnClose(self, nErrorCode: int) -> Any: ...

    def OnConnect(self, nErrorCode: int) -> Any: ...

    def OnOutOfBandData(self, nErrorCode: int) -> Any: ...

    def OnReceive(self, nErrorCode: int) -> Any: ...

    def OnSend(self, nErrorCode: int) -> Any: ...
