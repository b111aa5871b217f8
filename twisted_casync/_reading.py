"""
What was received and nobody has asked for yet: exactly so many bytes, up to a delimiter, a line.

The kernel gives what there is.  Who asks for a line needs what stands before its end, and what stands behind it is
for the next call.  So it is kept here, and every call that receives takes from here first.  What a call does not get
to give, because it was cancelled, because the stream ended or because a limit was reached, stays here too: nothing is
lost.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, fail

from ._arguments import Rejected, filled
from ._awaiting import PENDING, Awaiting, failed, refusal
from ._handling import Handling
from ._notify import CONNECTED, DATAGRAM, READ, REENABLED_BY, UNNAMED
from ._readiness import READABLE
from .errors import IncompleteRead, LimitExceeded
from .winsock import FIONREAD, INVALID_SOCKET, MSG_OOB, MSG_PEEK, SOCKET_ERROR, GetLastError, SetLastError, WSAError

__all__ = ["LARGEST", "Reading"]

LARGEST: Final = 262144
"""How many bytes one call of the kernel receives at most, where the caller has no buffer."""
_LIMIT: Final = 65536
"""How far a delimiter is looked for unless the caller says."""
_RECEIVED: Final = REENABLED_BY["Receive"]
_PEEK: Final = int(MSG_PEEK)
_OOB: Final = int(MSG_OOB)


class _Scratch(threading.local):
    """
    Where each thread receives what nobody has given it a buffer for: only what came is copied out of it.
    """

    def __init__(self) -> None:
        self.buffer = bytearray(LARGEST)
        self.view = memoryview(self.buffer)


_scratch = _Scratch()


class Reading(Awaiting):
    """
    A socket of which bytes are asked for, rather than what there is.
    """

    __slots__ = ("_as_surplus",)

    def _as_blank(self) -> None:
        super()._as_blank()
        self._as_surplus = bytearray()

    # -- attempts

    def _as_some(self, size: int, flags: int) -> Any:
        """
        An attempt to receive what there is.

        @param size: at most how many bytes.
        @return: the bytes, none at the end of the stream; or L{PENDING}.
        @raise WinsockError: it failed.
        """
        if flags or self._as_surplus or size > LARGEST:
            return self._as_unusual(size, flags)
        if self._as_drained and not self._as_ended:
            # A moment ago the kernel had less than it was asked for.  What comes now, it will tell.
            return PENDING
        count = self._as_Receive(_scratch.buffer, size)
        if count < size:
            if count == SOCKET_ERROR:
                return self._as_nothing(_scratch.buffer, size, flags)
            self._as_exhausted()
        return bytes(_scratch.view[:count])

    def _as_unusual(self, size: int, flags: int) -> Any:
        if self._as_surplus and not flags & _OOB:
            return self._as_take(size, flags)
        count = self._as_fill(_scratch.buffer, min(size, LARGEST), flags)
        return count if count is PENDING else bytes(_scratch.view[:count])

    def _as_into(self, view: memoryview, flags: int) -> Any:
        """
        The same into a buffer.

        @return: how many bytes, 0 at the end of the stream; or L{PENDING}.
        """
        if not self._as_surplus or flags & _OOB:
            return self._as_fill(view, len(view), flags)
        data = self._as_take(len(view), flags)
        view[: len(data)] = data
        return len(data)

    def _as_fill(self, buffer: Any, size: int, flags: int) -> Any:
        if self._as_drained and not flags and not self._as_ended:
            return PENDING
        count = self._as_Receive(buffer, size, flags)
        if count < size:
            if count == SOCKET_ERROR:
                return self._as_nothing(buffer, size, flags)
            self._as_exhausted()
        return count

    def _as_exhausted(self) -> None:
        """
        The kernel had less than it was asked for.
        """
        if self._as_drained is False and self._as_phase is CONNECTED:
            self._as_drained = True

    def _as_nothing(self, buffer: Any, size: int, flags: int) -> Any:
        """
        Why nothing was received.

        @return: L{PENDING}; or 0, where an urgent byte is waited for that can't come any more.
        @raise WinsockError: it failed.
        """
        code = GetLastError()
        if code is WSAError.WSAEMSGSIZE:
            raise failed(code, bytes(memoryview(buffer)[:size]))
        if code is WSAError.WSAEWOULDBLOCK and flags & _OOB and self._as_ended:
            return 0
        return refusal()

    def _as_datagram(self, size: int, flags: int, lpSockAddrLen: Any) -> Any:
        """
        An attempt to receive a datagram with its source.

        @return: the bytes and the address; or L{PENDING}.
        """
        got = self._as_datagramInto(_scratch.view[: min(size, LARGEST)], flags, lpSockAddrLen)
        return got if got is PENDING else (bytes(_scratch.view[: got[0]]), got[1])

    def _as_datagramInto(self, view: memoryview, flags: int, lpSockAddrLen: Any) -> Any:
        """
        The same into a buffer.

        @return: how many bytes, and the address; or L{PENDING}.
        """
        count, address = self._as_ReceiveFrom(view, None, flags, lpSockAddrLen=lpSockAddrLen)
        return self._as_nothing(view, len(view), flags) if count == SOCKET_ERROR else (count, address)

    def _as_more(self, wanted: int) -> Any:
        """
        An attempt to have more of a stream here.

        @param wanted: at least how many bytes are missing.
        @return: how many have come, 0 at the end of the stream; or L{PENDING}.
        """
        if self._as_phase in (DATAGRAM, UNNAMED):
            raise failed(WSAError.WSAEOPNOTSUPP)
        count = self._as_fill(_scratch.buffer, min(max(wanted, _LIMIT), LARGEST), 0)
        if count is not PENDING:
            self._as_surplus += _scratch.view[:count]
        return count

    def _as_take(self, count: int, flags: int = 0) -> bytes:
        """
        Give of what is kept.  That is a Receive too: what it re-enables is told, while there is something left.
        """
        surplus = self._as_surplus
        data = bytes(memoryview(surplus)[:count])
        if not flags & _PEEK:
            del surplus[:count]
        if self._as_ended or type(self).OnReceive is not Handling.OnReceive:
            self._as_left()
        return data

    def _as_left(self) -> None:
        self._as_untold()
        self._as_rules.reenable(_RECEIVED)
        self._as_rearm()
        if self._as_window is not None and self._as_surplus:
            self._as_window.post(self, READABLE)
        elif self._as_window is not None:
            self._as_window.overtaken(self, READABLE)

    def _as_peek(self) -> int:
        # What is kept is unread too: OnClose waits for it.
        return READABLE if self._as_surplus else super()._as_peek()

    # -- helpers

    def receiveExactly(self, count: int) -> Deferred[bytes]:
        """
        Receive so many bytes.

        @param count: how many.
        @return: a Deferred of them.  It fails with L{IncompleteRead} when the stream ends before, and as C{Receive}
            does; what had come by then stays for the next call, as it does when it is cancelled.
        @raise ValueError: C{count} is negative.
        """
        if count < 0:
            raise ValueError(f"count must not be negative, and is {count}")
        surplus = self._as_surplus

        def attempt() -> Any:
            while len(surplus) < count:
                more = self._as_more(count - len(surplus))
                if more is PENDING:
                    return PENDING
                if not more:
                    raise IncompleteRead(bytes(surplus), count)
            return self._as_take(count)

        return self._as_await(READ, attempt)

    def receiveUntil(self, delimiter: bytes, limit: int = _LIMIT) -> Deferred[bytes]:
        """
        Receive up to a delimiter.

        @param delimiter: the bytes that end what is asked for.
        @param limit: within how many bytes, the delimiter's included, it must be found.
        @return: a Deferred of the bytes, with the delimiter.  It fails with L{LimitExceeded}, with L{IncompleteRead}
            when the stream ends before, and as C{Receive} does; what had come by then stays for the next call.
        @raise ValueError: C{delimiter} is empty.
        """
        return self._as_until(delimiter, limit, self._as_incomplete)

    def receiveLine(self, limit: int = _LIMIT) -> Deferred[bytes]:
        """
        Receive a line, as C{readline} reads one.

        @param limit: how many bytes it may have, its end included.
        @return: a Deferred of the line with its end, C{b"\\n"}; of what is left where the stream ends without one; of
            C{b""} at the end.  It fails with L{LimitExceeded}, and as C{Receive} does.
        """
        return self._as_until(b"\n", limit, self._as_rest)

    async def receiveLines(self, limit: int = _LIMIT) -> AsyncIterator[bytes]:
        """
        Receive line after line, to the end of the stream: C{async for line in socket.receiveLines()}.

        @param limit: as for L{receiveLine}.
        @return: an asynchronous iterator of lines.
        """
        while line := await self.receiveLine(limit):
            yield line

    def _as_receiveAll(self, lpBuf: Any, nBufLen: int | None) -> Deferred[Any]:
        """
        Receive all that was asked for, and less only at the end of the stream; what had come stays, as always, when
        that fails or is cancelled.

        @param lpBuf: a number of bytes, L{None} for all, or a buffer to fill.
        @param nBufLen: how much of that buffer.
        @return: a Deferred of the bytes, or of how many were put into the buffer.
        """
        if lpBuf is None or isinstance(lpBuf, int):
            view, size = None, lpBuf
        else:
            try:
                view = filled(lpBuf, nBufLen)
            except Rejected as rejected:
                return fail(failed(rejected.code))
            size = len(view)
        surplus = self._as_surplus

        def attempt() -> Any:
            while size is None or len(surplus) < size:
                more = self._as_more(LARGEST if size is None else size - len(surplus))
                if more is PENDING:
                    return PENDING
                if not more:
                    break
            data = self._as_take(len(surplus) if size is None else size)
            if view is None:
                return data
            view[: len(data)] = data
            return len(data)

        return self._as_await(READ, attempt)

    def _as_lineUpTo(self, size: int) -> Deferred[bytes]:
        """
        Receive a line, or as much of it as C{size} bytes are.
        """
        return self._as_until(b"\n", size, self._as_rest, lambda: self._as_take(size))

    def _as_rest(self) -> bytes:
        return self._as_take(len(self._as_surplus))

    def _as_incomplete(self) -> bytes:
        raise IncompleteRead(bytes(self._as_surplus), None)

    def _as_until(
        self,
        delimiter: bytes,
        limit: int,
        atEnd: Callable[[], bytes],
        atLimit: Callable[[], bytes] | None = None,
    ) -> Deferred[bytes]:
        if not delimiter:
            raise ValueError("delimiter must not be empty")
        surplus = self._as_surplus
        searched = 0

        def attempt() -> Any:
            nonlocal searched
            while True:
                found = surplus.find(delimiter, searched, limit)
                if found >= 0:
                    return self._as_take(found + len(delimiter))
                if len(surplus) >= limit:
                    if atLimit is not None:
                        return atLimit()
                    raise LimitExceeded(limit)
                searched = max(0, len(surplus) - len(delimiter) + 1)
                more = self._as_more(1)
                if more is PENDING:
                    return PENDING
                if not more:
                    return atEnd()

        return self._as_await(READ, attempt)

    # -- what is different while something is kept

    def IOCtl(self, lCommand: int, lpArgument: int = 0) -> Any:
        answer = super().IOCtl(lCommand, lpArgument)
        counts = lCommand & 0xFFFFFFFF == FIONREAD and answer is not None
        return answer + len(self._as_surplus) if counts else answer

    def Detach(self) -> int:
        if self._as_surplus:
            # The kernel doesn't take it back: who gets the descriptor would never see it.
            SetLastError(WSAError.WSAEINVAL)
            return INVALID_SOCKET
        return super().Detach()
