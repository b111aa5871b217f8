"""
The socket as the reactor's descriptor.

A reactor says that something is ready through one of three doors, and each reactor says it in its own way: a refused
connection is a C{doRead} on one, a C{doWrite} on another, a C{connectionLost} on a third.  The socket window says
it with the bits of C{epoll_wait}.  Here all of them become one, L{SocketDescriptor._as_ready}, with bits that say what
is ready.  From there it is: which events hold (L{_holding}), which of them are news (L{_notify}), and the C{On...}
handler of each.

A notification is told only of what still holds, and not of what was used up since the kernel was asked.

Registrations are changed by difference and as late as possible.  After C{OnReceive} the socket stays registered,
because the handler nearly always receives, which enables the notification again; only when data is reported that
nobody wants to hear of is the interest taken back, once.
"""

from __future__ import annotations

import inspect
import socket
from collections.abc import Callable
from typing import Any, ClassVar, Final

from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from ._connecting import Attempt, unconnected
from ._failures import Failing
from ._handlernames import warnOfNames
from ._holding import Holding
from ._notify import (
    ACCEPT,
    BOUND,
    CLOSE,
    CLOSED,
    CONNECT,
    CONNECTED,
    CONNECTING,
    DATAGRAM,
    FIRST,
    HANDLERS,
    LISTENING,
    NEW,
    OOB,
    READ,
    REENABLED_BY,
    WRITE,
)
from ._readiness import ENDED, FAILED, HUNG_UP, INTEREST, READABLE, RELEASED, UNWATCHED, URGENT, WRITABLE
from .winsock import WSAError

__all__ = ["SocketDescriptor", "tell"]

_CONNECT_OR_READ: Final = CONNECT | READ
_BLOCKED: Final = REENABLED_BY["Send that would have blocked"]
_END: Final = READABLE | ENDED
_OFFERS: Final = 64
"""How many connections a listener offers in one round."""
_MAILS: Final = 8
"""How many datagrams a socket is told of in one round."""
_NO_ERROR: Final = WSAError.NO_ERROR


@implementer(IReadDescriptor, IWriteDescriptor)
class SocketDescriptor(Failing, Holding):
    """
    A socket that a reactor, or the socket window, watches; the C{On...} handlers are its subclass's.
    """

    __slots__ = ()

    # Whether OnSend is the application's.
    _as_hears: ClassVar[bool] = False

    def __init_subclass__(cls, **arguments: Any) -> None:
        """
        Warns of a name that is nearly a handler's.

        @raise TypeError: a handler has a C{yield}, and nobody decorated it; or is C{async def}, and this is no
            C{CSocket}.
        """
        super().__init_subclass__(**arguments)
        for name in HANDLERS.values():
            handler = getattr(cls, name, None)
            if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
                raise TypeError(f"{cls.__name__}.{name} would never run: it has a yield, and no @inlineCallbacks")
            if not cls._as_mayWait and inspect.iscoroutinefunction(handler):
                raise TypeError(f"{cls.__name__}.{name} would never run: only the handlers of a CSocket can wait")
        cls._as_hears = sum(HANDLERS[WRITE] in vars(base) for base in cls.__mro__) > 1
        warnOfNames(cls, HANDLERS.values(), SocketDescriptor)

    # -- registration by difference

    def _as_settle(self) -> None:
        """
        Be registered for just what would be news.
        """
        window = self._as_window
        phase = self._as_phase
        if window is None or phase is CLOSED:
            return
        rules = self._as_rules
        if phase is CONNECTED and rules.selected and not self._as_ended:
            interest = INTEREST[rules.enabled]
            if interest & READABLE and rules.possible & OOB and not self._as_ahead:
                # Whether it is selected or not: who receives must know that there is an urgent byte.
                interest |= URGENT
        elif phase is CONNECTING:
            # Whatever is selected: when the attempt ends, the socket's phase changes.
            waiting = self._as_attempt is not None and self._as_attempt.lookup is not None
            interest = UNWATCHED if waiting else WRITABLE
        elif phase is NEW or phase is BOUND or not rules.selected:
            # Linux reports an unconnected stream as hung up, for ever.
            interest = RELEASED
        elif self._as_ended & (FAILED | HUNG_UP):
            # The kernel would repeat this for ever too, and has nothing else to say.
            interest = UNWATCHED
        elif phase is CONNECTED:
            # What comes before the end is looked for, not waited for.
            interest = INTEREST[rules.enabled] & (WRITABLE | URGENT)
            if rules.enabled & READ and rules.possible & OOB and not self._as_ahead:
                interest |= URGENT
        else:
            # Only a connection ends.  Two pollers for one datagram socket would not agree who tells its error.
            interest = INTEREST[rules.enabled] & ~ENDED
        before = self._as_interest
        if interest != before:
            window.watch(self, before, interest)
            self._as_interest = interest
            watched = READABLE | URGENT if rules.possible & OOB else READABLE
            self._as_stalled = interest < 0 or interest & watched != watched
        if phase is CONNECTED and (self._as_ended or not (interest and before)) and interest != RELEASED:
            # Where all was told, nothing more is before a member is called; nor after the end, but that there is room
            # for a Send that waits.  Only what holds the socket can call one.  What is known was posted, and holds it.
            window.keep(self, bool(rules.enabled & WRITE if self._as_ended else rules.enabled) and interest >= 0)
        plain = rules.possible & OOB and rules.enabled & _CONNECT_OR_READ == READ
        self._as_fast = self._as_thread if plain and not self._as_stalled and not self._as_ahead else 0

    def _as_rearm(self) -> None:
        """
        Something may be news that was none: register for it, or, of what no poller will say again, look again.
        """
        self._as_settle()
        known = self._as_ended or self._as_urgent or self._as_error is not None
        if known and self._as_window is not None and self._as_rules.enabled:
            self._as_window.post(self, 0)

    def _as_blocked(self) -> None:
        """
        A send would have blocked, or was short: OnSend says when there is room.
        """
        if self._as_window is not None:
            self._as_window.overtaken(self, WRITABLE)
        self._as_now &= ~WRITE
        self._as_rules.reenable(_BLOCKED)
        self._as_settle()

    # -- the doors

    def logPrefix(self) -> str:
        """
        @return: what names this socket in a line of Twisted's log.
        """
        return type(self).__name__

    def doRead(self) -> None:
        """
        The reactor's door: readable.  It doesn't say whether by data, by the end of the stream or by an error.
        """
        self._as_entered(READABLE)

    def doWrite(self) -> None:
        """
        The reactor's door: writable, or failed.
        """
        self._as_entered(WRITABLE)

    def _as_entered(self, door: int) -> None:
        """
        Something has happened; what, the window knows.

        @param door: the bits that whoever says so was asked to look for; without any, a failure.
        """
        if self._as_window is not None:
            self._as_window.deliver()
        if self._as_window is not None and self._as_window.spares(self):
            # Told a moment ago: the reactor comes again.
            return
        if self._as_fresh:
            # OnReceive has the reactor turn, and has not received.
            self._as_untold()
        interest = self._as_interest
        # A poll reactor comes also for an event of a registration that was removed earlier in the same turn.
        if interest >= 0 and (interest & door or not interest) and self._as_window is not None:
            bits = self._as_window.look(self) & (interest | FAILED | HUNG_UP)
            if bits:
                try:
                    self._as_ready(bits)
                except BaseException:
                    self._as_crashed()

    def _as_stopped(self) -> None:
        """
        The reactor stops: nothing more can be told of this socket, but that.
        """
        if self._as_sock is not None:
            rules = self._as_rules
            told = bool(rules.selected & rules.possible & ~rules.enabled & CLOSE) and not rules.waits()
            self._as_abandon(WSAError.WSAECONNABORTED, told)

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor's door: it has dropped this descriptor, because it hung up, as far as it saw, or because the reactor
        stops.

        @param reason: not looked at: every reactor gives another one.
        """
        if self._as_interest >= 0 and self._as_window is not None:
            self._as_interest = self._as_window.dropped(self._as_interest)
            self._as_stalled = True
        bits = self._as_window.look(self) if self._as_window is not None and self._as_sock is not None else 0
        if bits & (FAILED | HUNG_UP | ENDED):
            self._as_ready(bits)
        elif getattr(getattr(self._as_window, "reactor", None), "running", False):
            # It does not stop: it has taken this socket for one that had the number before it, in the same turn.
            self._as_settle()
        elif self._as_sock is not None:
            self._as_abandon(WSAError.WSAECONNABORTED, told=False)

    def _as_ready(self, bits: int) -> None:
        """
        The one door behind all: tell the application what it is to know.

        @param bits: what is ready, of L{READABLE} and its kin; 0 asks to look again at what is known.
        """
        rules, phase = self._as_rules, self._as_phase
        outcome = _NO_ERROR
        if bits == READABLE and phase is DATAGRAM and rules.enabled & READ and self._as_error is None:
            self._as_mail()
            return
        if phase is CONNECTED:
            if bits == _END and self._as_fast and self._as_error is None and not self._as_urgent:
                # Nothing else is known, or can hold: how nearly every connection ends.
                self._as_ended = ENDED
                self._as_now = READ if self._as_peek() & READABLE else CLOSE
            else:
                self._as_now = self._as_holding(bits)
        elif phase is LISTENING:
            self._as_offer(bits)
            return
        elif phase is CONNECTING:
            concluded = self._as_conclude(bits)
            if concluded is None:
                self._as_settle()
                return
            outcome = concluded
            self._as_now = CONNECT if outcome else CONNECT | WRITE
        else:
            self._as_now = self._as_arriving(bits)
        told = 0
        while event := FIRST[self._as_now & rules.enabled]:
            self._as_now ^= event
            rules.enabled ^= event
            told |= event
            if event == READ:
                self._as_readable()
            elif event == CONNECT:
                self._as_call(event, outcome)
            elif event == CLOSE:
                if told != CLOSE or bits & WRITABLE:
                    # A reset may have come while another handler ran, or since what was posted was found.
                    self._as_failure()
                self._as_call(event, self._as_parting())
            else:
                self._as_call(event, _NO_ERROR)
        if self._as_sock is None:
            return
        known = self._as_ended or self._as_urgent or self._as_error is not None
        if self._as_fast and not known and INTEREST[rules.enabled] == self._as_interest:
            # Registered for just that already, and nothing is known that no poller would say again.
            return
        if told & rules.enabled or (told and self._as_ended and rules.enabled & READ):
            # Then there may be data of which no poller tells: behind an urgent byte, or left by a handler.
            self._as_rearm()
        else:
            self._as_settle()

    def _as_offer(self, bits: int) -> None:
        """
        A listener may have connections waiting: offer them one after the other, as long as each is accepted.

        Whoever serves many short connections is slowed down more by going back and forth between the listener and the
        connections than by accepting itself.
        """
        rules, window = self._as_rules, self._as_window
        if bits & HUNG_UP:
            due = rules.enabled & ACCEPT
            self._as_ceased()
            if due:
                self._as_call(ACCEPT, WSAError.WSAEINVAL)
            return
        # How many are known to wait, from which Accept takes those that it has.
        self._as_now, several = bits & READABLE, False
        for _ in range(_OFFERS):
            if not (self._as_now and rules.enabled & ACCEPT) or window is None:
                break
            rules.enabled ^= ACCEPT
            if self._as_mayWait and self._as_isHandling():
                # It is offered when that handler has ended.
                self._as_call(ACCEPT, _NO_ERROR)
            else:
                # A handler can have the reactor turn within it, and this called again.
                outer, self._as_offered = self._as_offered, False
                self._as_call(ACCEPT, _NO_ERROR)
                if not (self._as_mayWait and self._as_isHandling()):
                    self._as_offered = outer
            if self._as_phase is not LISTENING or not rules.enabled & ACCEPT:
                break
            if not self._as_now and not several:
                # Once of several: those that have come since then are named again, with what these have sent.
                self._as_now = window.queued(self)
                several = self._as_now > 1
        self._as_now = 0
        if not rules.enabled & ACCEPT or self._as_stalled:
            self._as_settle()

    def _as_ceased(self) -> None:
        """
        It listens no more: it was shut down through another descriptor.
        """
        if self._as_sock is not None:
            self._as_enter(unconnected(self._as_sock))
            self._as_settle()

    def _as_mail(self) -> None:
        """
        A datagram socket has something to receive, and nothing else is to be told of it: what nearly every datagram is.

        Who receives one at a time, and is the only one in its round, is told of the next one at once.
        """
        rules, window = self._as_rules, self._as_window
        self._as_now = 0
        again: Callable[[int], object] | None = None
        for _ in range(_MAILS):
            rules.enabled ^= READ
            self._as_fresh = fresh = ~self._as_thread
            try:
                self.OnReceive(_NO_ERROR)
            except BaseException:
                self._as_crashed(READ)
            more, self._as_fresh = self._as_fresh == fresh, 0
            if not (more and rules.enabled & READ):
                break
            if again is None:
                if window is None or not window.alone():
                    break
                again, mail = window.reader(self)
            if again(0) != mail:
                break

    def _as_readable(self) -> None:
        """
        FD_READ was told: call OnReceive.
        """
        if self._as_phase is DATAGRAM and self._as_error is None and not self._as_stalled:
            self._as_fresh = ~self._as_thread
        elif self._as_fast:
            # Told, and with the first Receive news again: which L{tell} leaves as it is.
            self._as_rules.enabled |= READ
            self._as_fresh = self._as_fast
        self._as_call(READ, _NO_ERROR)
        if self._as_fresh:
            self._as_untold()

    def _as_untold(self) -> None:
        """
        End what L{_as_fresh} begins: nobody has received, so that FD_READ, which was told, is no news.
        """
        if self._as_fresh > 0:
            self._as_rules.tell(READ)
            self._as_fast = 0
        self._as_fresh = 0

    def OnReceive(self, nErrorCode: int) -> None:
        """
        The handler that nearly every message calls; the others are found by L{HANDLERS}.
        """

    def _as_call(self, event: int, code: WSAError) -> Any:
        try:
            return getattr(self, HANDLERS[event])(code)
        except BaseException:
            self._as_crashed(event)

    # -- connecting

    def _as_conclude(self, bits: int) -> WSAError | None:
        """
        A connection attempt may have ended, whichever door the reactor chose to say so.

        @return: how it ended; L{None} when it goes on.
        """
        sock, window, attempt = self._as_sock, self._as_window, self._as_attempt
        if sock is None or window is None or attempt is None or attempt.lookup is not None:
            return None
        failure = self._as_failure()
        if failure is None and bits & HUNG_UP and not attempt.arrived():
            # The kernel has told another descriptor of this socket why: a duplicate's, or a child's.
            failure = WSAError.WSAECONNREFUSED
        code = attempt.conclude(failure)
        if failure is not None:
            # Of a connection that was made and lost OnClose is to tell it.
            self._as_error = failure if code is _NO_ERROR else None
            # libuv stops to watch what has failed, and does not say so: the next attempt is registered anew.
            window.watch(self, self._as_interest, UNWATCHED)
            self._as_interest = UNWATCHED
        if code:
            self._as_attempt = self._as_peer = None
            self._as_enter(unconnected(sock))
        elif code is not None:
            self._as_arrived(sock, attempt)
        return code

    def _as_arrived(self, sock: socket.socket, attempt: Attempt) -> None:
        self._as_attempt, self._as_peer = None, attempt.peer
        self._as_enter(CONNECTED if sock.type == socket.SOCK_STREAM else DATAGRAM)

    def _as_progress(self) -> None:
        """
        A member is called while connecting: over the loopback device, say, the connection may be there already.  It
        can be used then; that it was made is still told by the reactor.
        """
        sock, window, attempt = self._as_sock, self._as_window, self._as_attempt
        if sock is not None and window is not None and attempt is not None and attempt.arrived():
            self._as_arrived(sock, attempt)
            self._as_settle()
            window.post(self, WRITABLE)


def tell(sockets: dict[int, Any], batch: list[tuple[int, int]], other: Callable[[int, int], None]) -> None:
    """
    Tell a batch of sockets what is ready: the loop that every message comes through.

    What nearly every message is, data for a stream that receives as it is told to, is recognised and told here: a call
    a message is a thirtieth of all that a message costs.  FD_READ stays enabled then, as it is after the first Receive,
    and is disabled when OnReceive returns without one.

    @param sockets: those that wait for something, by descriptor.
    @param batch: descriptors, and the bits of what is ready; it may be changed meanwhile.
    @param other: called with the descriptors that are in the batch and not in C{sockets}.
    """
    find = sockets.get
    for fd, bits in batch:
        one = find(fd)
        if one is None:
            other(fd, bits)
            continue
        fast = one._as_fast
        if fast and bits == READABLE:
            one._as_fresh = fast
            try:
                one.OnReceive(_NO_ERROR)
            except BaseException:
                one._as_crashed(READ)
            if one._as_fresh:
                one._as_untold()
        else:
            try:
                one._as_ready(bits)
            except BaseException:
                one._as_crashed()
