"""
The socket whose calls can wait: a notification goes to the call that waits for it, and else to the handler.

A call first tries, and waits only where C{CAsyncSocket} would leave C{WSAEWOULDBLOCK}.  It waits for the event that
C{CAsyncSocket}'s rules then have enabled: for C{FD_READ}, C{FD_WRITE}, C{FD_OOB}, C{FD_ACCEPT} or C{FD_CONNECT}, one
call for each.  When the event is told the call is tried again.  Until then nothing was taken from the socket, so that
nothing is lost with a wait that is cancelled.

What a socket's handlers are to hear, C{AsyncSelect} says.  What its calls wait for they hear whatever that says: an
event that is not selected is selected for as long as a call waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import get_ident
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, succeed

from ._arguments import integer
from ._casyncsocket import CAsyncSocket
from ._handle import Handle
from ._handling import Handling
from ._member import documented
from ._notify import ALL, CLOSE, CONNECT, OOB, READ
from ._readiness import READABLE
from .errors import WinsockError, winsockError
from .interfaces import IAsyncSocket
from .winsock import (
    FD_ALL_EVENTS,
    INVALID_SOCKET,
    GetLastError,
    SetLastError,
    WSAError,
)

__all__ = ["PENDING", "Awaiting", "Try", "failed", "refusal"]

PENDING: Final = object()
"""What a L{Try} gives that would have blocked."""

Try = Callable[[], Any]
"""One attempt of a call: gives its result or L{PENDING}, raises its failure, and takes nothing unless it gives it."""

MOST: Final = 32
"""
How many calls of a socket end without waiting before one waits for the next round, in which the other sockets are told
of what has come for them: a coroutine that always finds something to receive must not keep it from everybody else. The
reactor has its turn after some rounds.
"""

_CONNECT_OR_READ: Final = CONNECT | READ


def failed(code: WSAError, partial: bytes = b"") -> WinsockError:
    """
    @return: the exception of a failure, which is the last error from now on.
    """
    SetLastError(code)
    return winsockError(code, partial)


def refusal() -> Any:
    """
    What has come of a member of C{CAsyncSocket} that has just failed.

    @return: L{PENDING}, when it would have blocked.
    @raise WinsockError: it has failed for another reason.
    """
    code = GetLastError()
    if code is not WSAError.WSAEWOULDBLOCK:
        raise winsockError(code)
    return PENDING


class _Wait(Deferred[Any]):
    """
    A call that waits, and the C{Deferred} of its result.
    """

    _future: Any = None

    def __init__(self, owner: Awaiting, event: int, attempt: Try) -> None:
        super().__init__(_cancelled)
        self.owner = owner
        self.event = event
        self.attempt = attempt

    def retry(self) -> bool:
        """
        What the call waits for has happened, or can't happen any more.

        @return: whether anybody still waits.
        """
        if self.isAbandoned():
            return False
        try:
            result = self.attempt()
        except Exception as error:
            self.owner._as_over(self)
            self.errback(error)
            return True
        if result is not PENDING:
            self.owner._as_over(self)
            self.callback(result)
        return True

    def isAbandoned(self) -> bool:
        """
        Has its future been cancelled?  asyncio says so to the C{Deferred} in a later turn only, and what were taken
        from the socket until then would be nobody's.
        """
        abandoned = self._future is not None and self._future.cancelled()
        if abandoned:
            self.cancel()
        return bool(abandoned)

    def interrupt(self, code: WSAError) -> None:
        """
        End the wait with an error.
        """
        if not self.called:
            self.owner._as_over(self)
            self.errback(failed(code))

    def asFuture(self, loop: Any) -> Any:
        """
        @param loop: the event loop that the asyncio reactor runs.
        @return: an C{asyncio.Future}, as of any C{Deferred}; when that is cancelled nothing is lost.
        """
        self._future = super().asFuture(loop)
        return self._future


def _cancelled(wait: Deferred[Any]) -> None:
    # Not a method of the wait: a Deferred that refers to itself is left to the garbage collector.
    assert isinstance(wait, _Wait)
    wait.owner._as_over(wait)


@documented(IAsyncSocket)
class Awaiting(Handling):
    """
    A socket whose calls can wait.
    """

    __slots__ = ("_as_drained", "_as_lent", "_as_outcome", "_as_spare", "_as_turn", "_as_waits", "_as_yielded")

    # What moves data for the calls that wait, under names that theirs do not hide: who observes a socket sees these.
    _as_Receive = CAsyncSocket.Receive
    _as_ReceiveFrom = CAsyncSocket.ReceiveFrom
    _as_Send = CAsyncSocket.Send
    _as_SendTo = CAsyncSocket.SendTo

    def _as_blank(self) -> None:
        super()._as_blank()
        # The calls that wait, by the event that each waits for.
        self._as_waits: dict[int, _Wait] = {}
        # The events that are selected for them alone.
        self._as_lent = 0
        # How many calls may still end without waiting, and in which turn.
        self._as_spare, self._as_turn = MOST, 0
        # A call waits for nothing but its turn.
        self._as_yielded = False
        # While the socket is told that it is readable: whether a Receive has had all there was since.
        self._as_drained: bool | None = None
        # How the attempt to connect has ended.
        self._as_outcome: WSAError | None = None

    # -- the calls that wait

    def _as_await(self, event: int, attempt: Try) -> Deferred[Any]:
        """
        Make a call.

        @param event: what to wait for if it would block.
        @return: a Deferred of the result, which has fired already if the call did not have to wait.
        """
        if event in self._as_waits and self._as_isTaken(event):
            return fail(failed(WSAError.WSAEINPROGRESS))
        window = self._as_window
        if self._as_spare or window is None or get_ident() != self._as_thread:
            try:
                result = attempt()
            except Exception as error:
                return fail(error)
            if result is not PENDING:
                self._as_spare -= 1
                return succeed(result)
        else:
            self._as_yielded = True
            window.later(self, 0, self._as_resumed)
        return self._as_wait(event, attempt)

    def _as_isTaken(self, event: int) -> bool:
        """
        Does a call wait for C{event} already?
        """
        wait = self._as_waits.get(event)
        return wait is not None and not wait.isAbandoned()

    def _as_wait(self, event: int, attempt: Try) -> Deferred[Any]:
        wait = self._as_waits[event] = _Wait(self, event, attempt)
        if not self._as_rules.selected & event:
            self._as_rules.selected |= event
            self._as_lent |= event
            self._as_rules.reenable(event)
            self._as_settle()
        return wait

    def _as_over(self, wait: _Wait) -> None:
        """
        A call waits no more.
        """
        event = wait.event
        if self._as_waits.get(event) is wait:
            del self._as_waits[event]
            if self._as_lent & event:
                self._as_lent &= ~event
                self._as_rules.selected &= ~event
                self._as_rules.enabled &= ~event
                # The end of the stream waits for unread data no more.
                self._as_rearm()

    def _as_retry(self, events: int = ALL) -> None:
        """
        Try the calls again that wait for any of C{events}.
        """
        for event, wait in list(self._as_waits.items()):
            # One of them may have ended another.
            if event & events and self._as_waits.get(event) is wait:
                wait.retry()

    @staticmethod
    def _as_interrupt(waits: Iterable[_Wait], code: WSAError) -> None:
        for wait in waits:
            wait.interrupt(code)

    def IsBlocking(self) -> bool:
        """
        Ask whether a call of this socket waits (C{CSocket::IsBlocking}).

        @return: whether one does.
        """
        return bool(self._as_waits)

    def CancelBlockingCall(self) -> None:
        """
        End the calls that wait with C{WSAEINTR} (C{CSocket::CancelBlockingCall}).

        Nothing was taken from the socket by a call that was cancelled, and it can be used on; MFC guarantees only
        that it can be closed.  An attempt to connect goes on, as in Winsock: C{OnConnect} tells how it ends.
        """
        if self._as_sock is not None and get_ident() != self._as_thread:
            SetLastError(WSAError.WSANOTINITIALISED)
            return
        self._as_interrupt(list(self._as_waits.values()), WSAError.WSAEINTR)

    # -- what is told

    def _as_resumed(self) -> None:
        """
        The reactor has had its turn, which a call waited for.
        """
        self._as_spare = MOST
        self._as_ready(0)

    def _as_ready(self, bits: int) -> None:
        rules = self._as_rules
        turn = self._as_window.turns if self._as_window is not None else 0
        if turn != self._as_turn:
            self._as_spare, self._as_turn = MOST, turn
        self._as_drained = False
        plain = bits == READABLE and rules.possible & OOB and rules.enabled & _CONNECT_OR_READ == READ
        if plain and not self._as_stalled and not self._as_ahead:
            # The door that nearly every message comes through.  As in L{tell}, FD_READ stays enabled.
            self._as_fresh = self._as_thread
            self._as_call(READ, WSAError.NO_ERROR)
            self._as_untold()
        else:
            yielded, self._as_yielded = self._as_yielded, False
            super()._as_ready(bits)
            # At the end of a stream, or after a reset, not everything that a call waits for is told any more.
            if self._as_waits and (yielded or self._as_ended):
                self._as_retry()
        self._as_drained = None

    def _as_settle(self) -> None:
        super()._as_settle()
        # Whom an event is for is decided here each time.
        self._as_fast = 0

    def _as_mail(self) -> None:
        # One datagram a turn: who waits has its turn after each.
        self._as_now = 0
        self._as_rules.enabled ^= READ
        self._as_fresh = ~self._as_thread
        self._as_call(READ, WSAError.NO_ERROR)
        self._as_fresh = 0

    def _as_call(self, event: int, code: WSAError) -> Any:
        wait = self._as_waits.get(event)
        if wait is not None:
            if event == CONNECT:
                self._as_outcome = code
            if wait.retry():
                return None
        if event == CLOSE and self._as_waits:
            # Who waits hears of it first, and may close the socket; then OnClose has nothing left to say.
            sock = self._as_sock
            self._as_retry()
            if self._as_sock is not sock:
                return None
        return super()._as_call(event, code)

    # -- what ends a wait, or changes what is told

    def _as_discard(self, abort: bool = False) -> None:
        waits = list(self._as_waits.values())
        super()._as_discard(abort)
        self._as_interrupt(waits, WSAError.WSAECONNABORTED if abort else WSAError.WSAEINTR)

    def Detach(self) -> int:
        waits = list(self._as_waits.values())
        handle = super().Detach()
        if handle != INVALID_SOCKET:
            self._as_interrupt(waits, WSAError.WSAEINTR)
        return handle

    def Assign(self, rSrc: Handle) -> bool:
        done = super().Assign(rSrc)
        lent = rSrc._as_lent if isinstance(rSrc, Awaiting) and rSrc is not self else 0
        if done and lent:
            # What the other's calls wait for is not selected here.
            self.AsyncSelect(self._as_rules.selected & ~lent)
        return done

    def AsyncSelect(self, lEvent: int = FD_ALL_EVENTS) -> bool:
        selected = integer(lEvent, "lEvent") & ALL
        waiting = sum(self._as_waits)
        done = super().AsyncSelect(selected | waiting)
        if done:
            self._as_lent = waiting & ~selected
        return done

    def ShutDown(self, nHow: int = CAsyncSocket.sends) -> bool:
        done = super().ShutDown(nHow)
        if done:
            self._as_retry(~self._as_rules.possible)
        return done

    def SetSockOpt(
        self, nOptionName: int, lpOptionValue: Any, nOptionLen: int | None = None, nLevel: int | None = None
    ) -> bool:
        done = super().SetSockOpt(nOptionName, lpOptionValue, nOptionLen, nLevel)
        if done:
            # Urgent data that is received in line is not told any more.
            self._as_retry(~self._as_rules.possible)
        return done
