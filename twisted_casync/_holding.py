"""
Which events hold: what is ready, and what is known already, in terms of the events that an application selects.

The kernel says several things only once, and repeats others for ever.  What it has said of how a connection ended is
remembered (L{_ownership}), and no poller is needed for it any more.
"""

from __future__ import annotations

import socket
from typing import Final

from ._ioctl import atMark
from ._notify import CLOSE, CONNECT, DATAGRAM, OOB, READ, UNNAMED, WRITE
from ._ownership import SocketOwner
from ._readiness import ENDED, FAILED, HUNG_UP, READABLE, UNWATCHED, URGENT, WRITABLE
from ._urgent import peekUrgent
from .winsock import WSAError, errorFromErrno

__all__ = ["Holding"]

_LOST: Final = FAILED | HUNG_UP


class Holding(SocketOwner):
    """
    A socket that knows which events hold.
    """

    __slots__ = ()

    def _as_arriving(self, bits: int) -> int:
        """
        The events that hold of a socket that has no connection.
        """
        if self._as_phase is not DATAGRAM and self._as_phase is not UNNAMED:
            return 0
        if bits & FAILED and self._as_window is not None:
            # An ICMP error: Receive fails.  Read off, for the kernel repeats it; and libuv stops, as in a connect.
            self._as_failure()
            self._as_window.watch(self, self._as_interest, UNWATCHED)
            self._as_interest = UNWATCHED
        if bits & HUNG_UP:
            # Shut down, through another descriptor: the kernel repeats it for ever.
            self._as_ended |= HUNG_UP
            self._as_limit(False, False)
        events = READ if bits & READABLE or self._as_error is not None else 0
        return events | WRITE if bits & WRITABLE else events

    def _as_holding(self, bits: int) -> int:
        """
        The events that hold of a connection.
        """
        rules = self._as_rules
        # The result of a connection attempt that was found to have succeeded before the reactor said so.
        events = rules.enabled & CONNECT
        if not bits and self._as_window is not None:
            bits = self._as_window.look(self) & ~READABLE
        if bits & (FAILED | HUNG_UP | ENDED):
            self._as_ended |= bits & (FAILED | HUNG_UP | ENDED)
            if bits & _LOST:
                self._as_failure()
        if self._as_ended & _LOST:
            events |= self._as_lost()
        elif bits & WRITABLE:
            events |= WRITE
        if self._as_ended:
            # Data before the end of the stream is told first, and FD_CLOSE waits for it; a reset does not wait.
            unread = bool(self._as_peek() & READABLE)
            if unread:
                events |= READ
            if not unread or self._as_error is not None or not rules.selected & rules.possible & READ:
                events |= CLOSE
        elif bits & READABLE:
            events |= READ
        if bits & URGENT and self._as_ended & _LOST and self._as_sock is not None and not peekUrgent(self._as_sock):
            # Linux announces the urgent byte of a connection that was reset for ever, and gives it to nobody.
            bits ^= URGENT
        if bits & URGENT:
            self._as_ahead = True
            self._as_fast = 0
        if bits & URGENT or self._as_urgent:
            events |= OOB
            if rules.enabled & OOB and self._as_sock is not None and atMark(self._as_sock):
                # What is readable stands behind the urgent byte.
                events &= ~READ
        return events

    def _as_lost(self) -> int:
        """
        A connection is lost.  Nothing can be sent: FD_WRITE is still due only where a Send waits for it, and where
        nobody has been told of the loss.  FD_CLOSE tells that, also after the end of the stream was told; where it is
        not selected, FD_WRITE does.

        @return: FD_WRITE, or nothing.
        """
        rules = self._as_rules
        if rules.waits():
            if self._as_error is None:
                # What a Send fails with.
                self._as_note(WSAError.WSAECONNRESET)
            rules.reenable(CLOSE)
        return 0 if rules.selected & CLOSE else rules.enabled & WRITE

    def _as_parting(self) -> WSAError:
        """
        @return: the code of FD_CLOSE, which is told now.
        """
        code = self._as_error
        if code is not None or self._as_ended & _LOST:
            # It is told: no Send waits for it any more.
            self._as_rules.forbid(WRITE)
        return code or WSAError.NO_ERROR

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
