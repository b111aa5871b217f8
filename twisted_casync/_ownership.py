"""
The socket that an object owns, from its adoption to its release, and what is remembered of it.

An application subclasses the class that these are the attributes of, and gives its objects attributes of its own.  So
that none of them replaces one of ours, ours begin with C{_as_}, but for the names of MFC and of Twisted.
"""

from __future__ import annotations

import socket
import struct
from typing import Any, Final

from ._connecting import Attempt, failureOf, unconnected
from ._kept import Kept
from ._notify import (
    ALL,
    CLOSED,
    CONNECTED,
    CONNECTING,
    DATAGRAM,
    OOB,
    POSSIBLE,
    READ,
    UNNAMED,
    WRITE,
    Notifications,
    Phase,
)
from ._observe import observers, opened
from ._options import Settings
from ._readiness import RELEASED, Window
from ._sendqueue import SendQueue
from ._sockaddr import SockAddr
from ._urgent import passUrgent
from .winsock import SOCK_STREAM, WSAError

__all__ = ["SocketOwner"]

_SENDING: Final = (CONNECTED, DATAGRAM, UNNAMED)
"""The phases in which a Send can succeed."""
_ABORT: Final = struct.pack("ii", 1, 0)  # struct linger: a close resets the connection (socket(7))


class SocketOwner:
    """
    An object that may own a socket, which a window watches for it.
    """

    __slots__ = (
        "__weakref__",
        "_as_ahead",
        "_as_attempt",
        "_as_blocking",
        "_as_ended",
        "_as_error",
        "_as_family",
        "_as_fast",
        "_as_fd",
        "_as_fresh",
        "_as_holed",
        "_as_interest",
        "_as_now",
        "_as_offered",
        "_as_peer",
        "_as_phase",
        "_as_queue",
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

    _as_interest: int
    _as_offered: Any
    _as_rules: Notifications
    _as_window: Window | None

    def _as_blank(self) -> None:
        """
        Have no socket, and remember nothing of one.
        """
        self._as_sock: socket.socket | None = None
        self._as_fd = -1
        self._as_family = 0
        self._as_phase = CLOSED
        # Not registered for all that a Receive re-enables, which has to see to that.
        self._as_stalled = True
        # What holds and is not told yet, while this turn's handlers run.
        self._as_now = 0
        # The thread that the reactor runs in, and the members may be called from.
        self._as_thread = 0
        # The thread that may receive without a further look: set while OnReceive runs, until the first Receive.  Of a
        # datagram socket it is the thread's complement, and stands until OnReceive returns.
        self._as_fresh = 0
        # What that is to be set to; 0 where a Receive has to look first, or the rules have to be asked.
        self._as_fast = 0
        # The thread that may send; 0 where no Send can succeed, and where one has to wait behind others.
        self._as_sending = 0
        # ENDED, FAILED, HUNG_UP: how the connection ended, as far as the kernel has told.
        self._as_ended = 0
        # What went wrong, for the notification and the calls that are to fail with it; SO_ERROR is read once.
        self._as_error: WSAError | None = None
        # The same for GetSockOpt(SO_ERROR), which takes it away.
        self._as_taken: WSAError | None = None
        # The kernel holds an urgent byte: a receive that begins at its mark would throw it away.
        self._as_ahead = False
        # An urgent byte was taken, whose place in the stream may not be passed.
        self._as_holed = False
        # An urgent byte that had to be taken from the kernel before its time.
        self._as_urgent = b""
        self._as_peer: SockAddr | None = None
        self._as_attempt: Attempt | None = None
        # What SendTo has taken and looks the names up of; None of a socket that has sent to no name.
        self._as_queue: SendQueue | None = None
        # The address that ReceiveFrom gave last: a SendTo to it needs no check.
        self._as_source: SockAddr | None = None
        self._as_settings: Settings | None = None
        # What FIONBIO was last set to: the mode in which Detach hands the descriptor over.
        self._as_blocking = False

    def fileno(self) -> int:
        """
        @return: the descriptor, C{operator SOCKET}; -1, C{INVALID_SOCKET}, when there is none.
        """
        return self._as_fd

    def _as_ready(self, bits: int) -> None:
        """
        What the window calls when something is ready.
        """
        raise NotImplementedError

    # -- the life of a descriptor

    def _as_adopt(self, sock: socket.socket, window: Window, phase: Phase, selected: int) -> None:
        """
        Become the owner of C{sock}.  The caller calls L{_as_settle} when all else is set.

        @raise OSError: the window has no descriptor; nothing is changed then.
        """
        window.open()
        self._as_own(sock, window, phase, selected, int(sock.family))
        if observers:
            opened(self)

    def _as_own(self, sock: socket.socket, window: Window, phase: Phase, selected: int, family: int) -> None:
        """
        The same, with a window that is open.
        """
        sock.setblocking(False)
        self._as_sock = sock
        self._as_fd = sock.fileno()
        self._as_family = family
        self._as_window = window
        self._as_thread = thread = window.thread
        self._as_phase = phase
        self._as_sending = thread if phase in _SENDING else 0
        # What Notifications.enter does, of rules that know of nothing due.
        rules = self._as_rules
        rules.selected = selected = selected & ALL
        rules.possible = possible = POSSIBLE[phase]
        rules.enabled = selected & possible

    def _as_enter(self, phase: Phase) -> None:
        self._as_phase = phase
        self._as_rules.enter(phase)
        self._as_sending = self._as_thread if phase in _SENDING else 0
        if self._as_queue is not None and not self._as_queue.isIdle():
            self._as_sending = 0

    def _as_moved(self, thread: int) -> None:
        """
        The reactor runs in another thread than the one that the socket was opened in.
        """
        self._as_thread = thread
        if self._as_sending:
            self._as_sending = thread
        if self._as_fast:
            self._as_fast = thread

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
        rules = self._as_rules
        rules.possible = rules.enabled = 0
        return sock

    def _as_sends(self) -> bool:
        """
        @return: whether this socket can send, at once or behind what waits, where its phase lets it.
        """
        return bool(self._as_sending or (self._as_queue is not None and self._as_rules.possible & WRITE))

    def _as_keep(self) -> Kept:
        """
        @return: what is to be kept of this socket, which another object takes.
        """
        rules, phase, attempt = self._as_rules, self._as_phase, self._as_attempt
        if attempt is not None and attempt.lookup is not None and self._as_sock is not None:
            # The answer goes to the one who asked; the socket itself is not connecting yet.
            phase, attempt = unconnected(self._as_sock), None
        moves = phase in _SENDING
        return Kept(
            phase=phase,
            receives=not moves or bool(rules.possible & READ),
            sends=not moves or self._as_sends(),
            error=self._as_error,
            taken=self._as_taken,
            urgent=self._as_urgent,
            holed=self._as_holed,
            peer=self._as_peer,
            attempt=attempt,
            settings=self._as_settings,
        )

    def _as_resume(self, kept: Kept) -> None:
        """
        Be the socket that something was kept of.
        """
        self._as_error, self._as_taken = kept.error, kept.taken
        self._as_urgent, self._as_holed = kept.urgent, kept.holed
        self._as_peer, self._as_settings = kept.peer, kept.settings
        self._as_limit(kept.receives, kept.sends)

    def _as_limit(self, receives: bool, sends: bool) -> None:
        """
        What was shut down, and what is received in line, can't be told.
        """
        sock = self._as_sock
        if not receives:
            self._as_rules.forbid(READ | OOB)
        if not sends:
            self._as_sending = 0
            self._as_rules.forbid(WRITE)
        if sock is not None and sock.type == SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE):
            self._as_rules.forbid(OOB)

    def _as_discard(self, abort: bool = False) -> None:
        """
        Give the descriptor up, and close it.

        @param abort: reset the connection.
        """
        holed, queue = self._as_holed, self._as_queue
        sock = self._as_release()
        if sock is None:
            return
        if queue is not None and queue.isWaiting() and not abort:
            queue.outlive(sock, True)
            return
        try:
            if holed:
                passUrgent(sock)
            if abort and sock.type == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            sock.close()
        except OSError:
            # Somebody has closed it beneath its object.  The number may be another's soon: it is forgotten.
            sock.detach()

    # -- what the kernel says once

    def _as_failure(self) -> WSAError | None:
        """
        The error of the socket, read from the kernel once.
        """
        if self._as_sock is not None:
            failure = failureOf(self._as_sock)
            if failure:
                code = self._as_note(failure)
                if self._as_phase is not CONNECTED:
                    self._as_taken = code
        return self._as_error

    def _as_note(self, code: WSAError) -> WSAError:
        """
        Remember an error that the kernel says only once.

        @return: what Winsock calls it.  A refusal of a datagram is a reset; a connection that ended otherwise than by
            a reset, or with the network, was aborted.
        """
        if self._as_phase is CONNECTED:
            if code is WSAError.WSAECONNABORTED and self._as_rules.waits():
                # What Linux calls a reset after the end of the stream (tcp_reset()).
                code = WSAError.WSAECONNRESET
            elif code not in (WSAError.WSAECONNRESET, WSAError.WSAENETDOWN):
                code = WSAError.WSAECONNABORTED
        elif self._as_phase is not CONNECTING and code is WSAError.WSAECONNREFUSED:
            code = WSAError.WSAECONNRESET
        if self._as_error is None:
            self._as_error = code
            # The next receive is to fail with it.
            self._as_fresh = max(self._as_fresh, 0)
        return code
