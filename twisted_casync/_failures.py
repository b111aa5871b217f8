"""
What an exception costs that nobody has caught: the socket that was told something when it was raised, and no other.

That holds for everything that can be raised, C{SystemExit} and C{KeyboardInterrupt} too, as it does for the protocols
on Twisted's epoll, poll and select reactors: all the sockets of a reactor would pay for it.  A listener goes on, as
Twisted's ports do: it is the connection that was being accepted that ends.
"""

from __future__ import annotations

import traceback
from typing import Any, ClassVar

from twisted.logger import Logger
from twisted.python.failure import Failure

from ._notify import ACCEPT, CLOSE, HANDLERS, LISTENING
from ._ownership import SocketOwner
from .winsock import WSAError

__all__ = ["Failing", "logFailure"]

_log = Logger("casync")


def logFailure(text: str, why: Failure | None = None, **fields: Any) -> None:
    """
    Log an exception, whatever the observers of the log do.

    @param text: the line, in the format of C{twisted.logger}.
    @param why: the exception; L{None} for the one that is being handled.
    @param fields: of the event.
    """
    try:
        _log.failure(text, why, **fields)
    except BaseException:
        # An observer's, and no Exception, which the log would have dealt with: there is nobody else to tell.
        traceback.print_exc()


class Failing(SocketOwner):
    """
    A socket that can be aborted for what happened on this side.
    """

    __slots__ = ()

    # Whether what a handler gives is waited for; else a coroutine would be thrown away before its first line.
    _as_mayWait: ClassVar[bool] = False

    def _as_call(self, event: int, code: WSAError) -> Any:
        """
        Call the handler of an event; no exception leaves this.
        """
        raise NotImplementedError

    def _as_abandon(self, code: WSAError, told: bool) -> None:
        """
        Abort the connection for a reason of this side, and say so once.

        @param told: C{OnClose} was called already.
        """
        self._as_discard(abort=True)
        if not told:
            self._as_call(CLOSE, code)

    def _as_crashed(self, event: int = 0, why: Failure | None = None) -> None:
        """
        A handler has raised, or something else has failed while this socket was told.

        @param event: that of the handler; 0 for something else.
        @param why: the exception; L{None} for the one that is being handled.
        """
        accepted, self._as_offered = self._as_offered, None
        listens = event == ACCEPT and self._as_phase is LISTENING
        text = "{handler} of {socket!r} failed; " + ("its connection is reset" if listens else "the socket is aborted")
        logFailure(text, why, handler=HANDLERS.get(event, "telling"), socket=self)
        if accepted:
            if accepted._as_sock is not None:
                accepted._as_abandon(WSAError.WSAECONNABORTED, told=False)
        elif listens:
            # It would be offered again, for ever.
            self._as_turnAway()
        if not listens:
            self._as_abandon(WSAError.WSAECONNABORTED, told=event == CLOSE)

    def _as_isHandling(self) -> bool:
        """
        @return: whether a handler that waits has not ended.
        """
        return False

    def _as_turnAway(self) -> None:
        """
        Take the connection that has waited longest, if one waits, and reset it.
        """
        raise NotImplementedError
