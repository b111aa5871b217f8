"""
The socket as the reactor's descriptor.

A reactor says that something is ready through one of three doors, and each reactor says it in its own way: a refused
connection is a C{doRead} on one, a C{doWrite} on another, a C{connectionLost} on a third.  The socket window says
it with the bits of C{epoll_wait}.  Here all of them become one, L{SocketDescriptor._as_ready}, with bits that say what
is ready.  From there it is: which events hold, which of them are news (L{_notify}), and the C{On...} handler of each.

A notification is told only of what still holds, and not of what was used up since the kernel was asked.

An application subclasses this class and gives its objects attributes of its own.  So that none of them replaces one
of ours, ours begin with C{_as_}, but for the names of MFC and of Twisted.

Registrations are changed by difference and as late as possible.  After C{OnReceive} the socket stays registered,
because the handler nearly always receives, which enables the notification again; only when data is reported that
nobody wants to hear of is the interest taken back, once.
"""

from __future__ import annotations

import socket
import struct
from typing import Any, Final

from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ._connecting import Attempt, failureOf, unconnected
from ._lookup import Lookup
from ._notify import ACCEPT, ALL, CLOSE, CONNECT, HANDLERS, OOB, READ, WRITE, Notifications, Phase
from ._options import Settings
from ._readiness import ENDED, FAILED, HUNG_UP, INTEREST, READABLE, RELEASED, UNWATCHED, URGENT, WRITABLE, Window
from ._sockaddr import SockAddr
from ._urgent import atMark
from .winsock import WSAError, errorFromErrno

__all__ = ["SocketDescriptor"]

_CONNECT_OR_READ: Final = CONNECT | READ
_ABORT: Final = struct.pack("ii", 1, 0)  # struct linger: a close resets the connection (socket(7))
_NO_ERROR: Final = WSAError.NO_ERROR
_log = Logger()


@implementer(IReadDescriptor, IWriteDescriptor)
class SocketDescriptor:
    """
    A socket that a reactor, or the socket window, watches; the C{On...} handlers are its subclass's.
    """

    __slots__ = (
        "__weakref__",
        "_as_ahead",
        "_as_attempt",
        "_as_blocking",
        "_as_ended",
        "_as_error",
        "_as_family",
        "_as_fd",
        "_as_fresh",
        "_as_interest",
        "_as_now",
        "_as_peer",
        "_as_phase",
        "_as_names",
        "_as_rules",
        "_as_sending",
        "_as_settings",
        "_as_sock",
        "_as_source",
        "_as_stalled",
        "_as_taken",
        "_as_thread",
        "_as_urgent",
        "_as_window",
    )

    def __init__(self) -> None:
        self._as_window: Window | None = None
        self._as_rules, self._as_interest = Notifications(), RELEASED
        self._as_blank()

    def _as_blank(self) -> None:
        self._as_sock: socket.socket | None = None
        self._as_fd = -1
        self._as_family = 0
        self._as_phase = Phase.CLOSED
        # Not registered for all that a Receive re-enables, which has to see to that.
        self._as_stalled = True
        # What holds and is not told yet, while this turn's handlers run.
        self._as_now = 0
        # The thread that the reactor runs in, and the members may be called from.
        self._as_thread = 0
        # The thread that may receive without a further look: set while OnReceive runs, until the first Receive.
        self._as_fresh = 0
        # The thread that may send; 0 where no Send can succeed.
        self._as_sending = 0
        # ENDED, FAILED, HUNG_UP: how the connection ended, as far as the kernel has told.
        self._as_ended = 0
        # What went wrong, for the notification and the calls that are to fail with it; SO_ERROR is read once.
        self._as_error: WSAError | None = None
        # The same for GetSockOpt(SO_ERROR), which takes it away.
        self._as_taken: WSAError | None = None
        # The kernel holds an urgent byte: a receive that begins at its mark would throw it away.
        self._as_ahead = False
        # An urgent byte that had to be taken from the kernel before its time.
        self._as_urgent = b""
        self._as_peer: SockAddr | None = None
        self._as_attempt: Attempt | None = None
        # What SendTo has looked up: an address, an empty one for a name that has none, the lookup under way.
        self._as_names: dict[str, SockAddr | Lookup] | None = None
        # The address that ReceiveFrom gave last: a SendTo to it needs no check.
        self._as_source: SockAddr | None = None
        self._as_settings: Settings | None = None
        # What FIONBIO was last set to: the mode in which Detach hands the descriptor over.
        self._as_blocking = False

    # -- the life of a descriptor

    def _as_adopt(self, sock: socket.socket, window: Window, phase: Phase, selected: int) -> None:
        """
        Become the owner of C{sock}.  The caller calls L{_as_settle} when all else is set.

        @raise OSError: the window has no descriptor; nothing is changed then.
        """
        window.open()
        sock.setblocking(False)
        self._as_sock = sock
        self._as_fd = sock.fileno()
        self._as_family = int(sock.family)
        self._as_window = window
        self._as_thread = window.thread
        self._as_rules.selected = selected & ALL
        self._as_enter(phase)

    def _as_enter(self, phase: Phase) -> None:
        self._as_phase = phase
        self._as_rules.enter(phase)
        sends = phase is Phase.CONNECTED or phase is Phase.DATAGRAM or phase is Phase.UNNAMED
        self._as_sending = self._as_thread if sends else 0

    def _as_moved(self, thread: int) -> None:
        """
        The reactor runs in another thread than the one that the socket was opened in.
        """
        self._as_thread = thread
        if self._as_sending:
            self._as_sending = thread

    def _as_release(self) -> socket.socket | None:
        """
        Give the descriptor up, unwatched.  Watching ends before closing: a number that was closed while a poller
        held it makes that poller deaf or busy when the number is used again.

        @return: the socket, still open; L{None} when there is none.
        """
        sock, window = self._as_sock, self._as_window
        if sock is None or window is None:
            return None
        window.forget(self, self._as_interest)
        self._as_interest = RELEASED
        self._as_blank()
        self._as_enter(Phase.CLOSED)
        return sock

    def _as_discard(self, abort: bool = False) -> None:
        """
        Give the descriptor up, and close it.

        @param abort: reset the connection.
        """
        sock = self._as_release()
        if sock is None:
            return
        try:
            if abort and sock.type == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            sock.close()
        except OSError:
            # Somebody has closed it beneath its object.  The number may be another's soon: it is forgotten.
            sock.detach()

    def _as_abandon(self, code: WSAError, told: bool) -> None:
        """
        Abort the connection for a reason of this side, and say so once.

        @param told: C{OnClose} was called already.
        """
        self._as_discard(abort=True)
        if not told:
            self._as_call(CLOSE, code)

    # -- registration by difference

    def _as_settle(self) -> None:
        """
        Be registered for just what would be news.
        """
        window = self._as_window
        phase = self._as_phase
        if window is None or phase is Phase.CLOSED:
            return
        if phase is Phase.CONNECTING:
            # Whatever is selected: when the attempt ends, the socket's phase changes.
            waiting = self._as_attempt is not None and self._as_attempt.lookup is not None
            interest = UNWATCHED if waiting else WRITABLE
        elif phase is Phase.NEW or phase is Phase.BOUND or not self._as_rules.selected:
            # Linux reports an unconnected stream as hung up, for ever.
            interest = RELEASED
        elif self._as_ended & (FAILED | HUNG_UP):
            # The kernel would repeat this for ever too, and has nothing else to say.
            interest = UNWATCHED
        else:
            rules = self._as_rules
            interest = INTEREST[rules.enabled]
            if interest & READABLE and rules.possible & OOB and not self._as_ahead:
                # Whether it is selected or not: who receives must know that there is an urgent byte.
                interest |= URGENT
            if self._as_ended:
                interest &= WRITABLE | URGENT
            elif not rules.possible & CLOSE:
                # Only a connection ends.  Two pollers for one datagram socket would not agree who tells its error.
                interest &= ~ENDED
        if interest != self._as_interest:
            window.watch(self, self._as_interest, interest)
            self._as_interest = interest
            watched = READABLE | URGENT if self._as_rules.possible & OOB else READABLE
            self._as_stalled = interest < 0 or interest & watched != watched

    def _as_rearm(self) -> None:
        """
        Something may be news that was none: register for it, or, of what no poller will say again, look again.
        """
        self._as_settle()
        known = self._as_ended or self._as_urgent or self._as_error is not None
        if known and self._as_window is not None and self._as_rules.enabled:
            self._as_window.post(self, 0)

    # -- the doors

    def fileno(self) -> int:
        """
        @return: the descriptor, C{operator SOCKET}; -1, C{INVALID_SOCKET}, when there is none.
        """
        return self._as_fd

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
        interest = self._as_interest
        # A poll reactor comes also for an event of a registration that was removed earlier in the same turn.
        if interest >= 0 and (interest & door or not interest) and self._as_window is not None:
            bits = self._as_window.look(self) & (interest | FAILED | HUNG_UP)
            if bits:
                self._as_ready(bits)

    def _as_stopped(self) -> None:
        """
        The reactor stops: nothing more can be told of this socket, but that.
        """
        if self._as_sock is not None:
            rules = self._as_rules
            told = bool(rules.selected & rules.possible & ~rules.enabled & CLOSE)
            self._as_abandon(WSAError.WSAECONNABORTED, told)

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor's door: it has dropped this descriptor, because it hung up, or because the reactor stops.

        @param reason: not looked at: every reactor gives another one.
        """
        if self._as_interest >= 0 and self._as_window is not None:
            self._as_interest = self._as_window.dropped(self._as_interest)
            self._as_stalled = True
        bits = self._as_window.look(self) if self._as_window is not None and self._as_sock is not None else 0
        if bits & (FAILED | HUNG_UP | ENDED):
            self._as_ready(bits)
        elif self._as_sock is not None:
            self._as_abandon(WSAError.WSAECONNABORTED, told=False)

    def _as_ready(self, bits: int) -> None:
        """
        The one door behind all: tell the application what it is to know.

        @param bits: what is ready, of L{READABLE} and its kin; 0 asks to look again at what is known.
        """
        rules = self._as_rules
        if bits == READABLE and rules.enabled & _CONNECT_OR_READ == READ:
            # The door that nearly every message comes through.
            rules.enabled &= ~READ
            self._as_fresh = 0 if self._as_ahead else self._as_thread
            try:
                self.OnReceive(_NO_ERROR)
            except Exception:
                self._as_crashed(READ)
            self._as_fresh = 0
            return
        outcome = _NO_ERROR
        if self._as_phase is Phase.CONNECTING:
            concluded = self._as_conclude(bits)
            if concluded is None:
                self._as_settle()
                return
            outcome = concluded
            self._as_now = CONNECT if outcome else CONNECT | WRITE
        else:
            self._as_now = self._as_holding(bits)
        told = 0
        while event := rules.news(self._as_now):
            self._as_now &= ~event
            rules.tell(event)
            told |= event
            if event == CONNECT:
                self._as_call(event, outcome)
            elif event == CLOSE:
                # A reset may have come since the end of the stream was found.
                self._as_call(event, self._as_failure() or _NO_ERROR)
            else:
                if event == READ and not self._as_ahead:
                    self._as_fresh = self._as_thread
                self._as_call(event, _NO_ERROR)
                self._as_fresh = 0
        if told & rules.enabled:
            self._as_rearm()
        else:
            self._as_settle()

    def OnReceive(self, nErrorCode: int) -> None:
        """
        The handler that nearly every message calls; the others are found by L{HANDLERS}.
        """

    def _as_call(self, event: int, code: WSAError) -> Any:
        try:
            return getattr(self, HANDLERS[event])(code)
        except Exception:
            self._as_crashed(event)

    def _as_crashed(self, event: int, why: Failure | None = None) -> None:
        _log.failure("{handler} of {socket!r} failed; the socket is aborted", why, handler=HANDLERS[event], socket=self)
        self._as_abandon(WSAError.WSAECONNABORTED, told=event == CLOSE)

    # -- what holds

    def _as_holding(self, bits: int) -> int:
        """
        The events that hold.
        """
        phase = self._as_phase
        if phase is Phase.CONNECTED:
            return self._as_holding_connected(bits)
        if phase is Phase.LISTENING:
            return ACCEPT if bits & READABLE else 0
        if phase is Phase.DATAGRAM or phase is Phase.UNNAMED:
            if bits & FAILED and self._as_window is not None:
                # An ICMP error: Receive fails.  Read off, for the kernel repeats it; and libuv stops, as in a connect.
                self._as_failure()
                self._as_window.watch(self, self._as_interest, UNWATCHED)
                self._as_interest = UNWATCHED
            events = READ if bits & READABLE or self._as_error is not None else 0
            return events | WRITE if bits & WRITABLE else events
        return 0

    def _as_holding_connected(self, bits: int) -> int:
        # The result of a connection attempt that was found to have succeeded before the reactor said so.
        events = self._as_rules.enabled & CONNECT
        if not bits and self._as_window is not None:
            bits = self._as_window.look(self) & ~READABLE
        if bits & (FAILED | HUNG_UP | ENDED):
            self._as_ended |= bits & (FAILED | HUNG_UP | ENDED)
            if bits & (FAILED | HUNG_UP):
                self._as_failure()
                self._as_rules.forbid(WRITE)
        if bits & WRITABLE and not self._as_ended & (FAILED | HUNG_UP):
            events |= WRITE
        if self._as_ended:
            # Data before the end of the stream is told first, and FD_CLOSE waits for it; a reset does not wait.
            unread = bool(self._as_peek() & READABLE)
            if unread:
                events |= READ
            if not unread or self._as_error is not None or not self._as_rules.possible & READ:
                events |= CLOSE
        elif bits & READABLE:
            events |= READ
        if bits & URGENT:
            self._as_ahead = True
        if bits & URGENT or self._as_urgent:
            events |= OOB
            if self._as_rules.enabled & OOB and self._as_sock is not None and atMark(self._as_sock):
                # What is readable stands behind the urgent byte.
                events &= ~READ
        return events

    def _as_peek(self) -> int:
        """
        Is it data, the end of the stream, or an error, that makes a connected stream readable?
        """
        if self._as_sock is None:
            return 0
        try:
            return READABLE if self._as_sock.recv(1, socket.MSG_PEEK) else ENDED
        except BlockingIOError:
            return 0
        except OSError as error:
            self._as_note(errorFromErrno(error.errno))
            return FAILED | HUNG_UP

    def _as_failure(self) -> WSAError | None:
        """
        The error of the socket, read from the kernel once.
        """
        if self._as_sock is not None:
            failure = failureOf(self._as_sock)
            if failure:
                code = self._as_note(failure)
                if self._as_phase is not Phase.CONNECTED:
                    self._as_taken = code
        return self._as_error

    def _as_note(self, code: WSAError) -> WSAError:
        """
        Remember an error that the kernel says only once.

        @return: what Winsock calls it.  A refusal of a datagram is a reset; a connection that ended otherwise than by
            a reset, or with the network, was aborted.
        """
        if self._as_phase is Phase.CONNECTED:
            if code not in (WSAError.WSAECONNRESET, WSAError.WSAENETDOWN):
                code = WSAError.WSAECONNABORTED
        elif self._as_phase is not Phase.CONNECTING and code is WSAError.WSAECONNREFUSED:
            code = WSAError.WSAECONNRESET
        if self._as_error is None:
            self._as_error = code
        return code

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
        self._as_enter(Phase.CONNECTED if sock.type == socket.SOCK_STREAM else Phase.DATAGRAM)

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
