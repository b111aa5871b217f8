"""
A stream without a descriptor, and those that wait to be accepted: the conduits that carry data.

A L{Stream} behaves as a TCP socket of Linux does (tcp(7), C{tcp_poll()} and C{tcp_recvmsg()}): what was received
before the end, or before an error, can still be received; a reset is an error once; the state can be asked for with
C{TCP_INFO}.

Who carries it feeds it (L{Stream.feed} and its kin), and is asked to carry what is sent (L{Carrier}).
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Callable
from io import BytesIO
from typing import Any, Final, Protocol

from ._conduit import EVERYTHING, Conduit, failing
from ._readiness import ENDED, FAILED, HUNG_UP, READABLE, URGENT, WRITABLE
from ._sockaddr import SockAddr
from .winsock import AF_INET, WSAError, errnoFromError

__all__ = ["Backlog", "Carrier", "Stream"]

# The states of TCP_INFO, as Linux numbers them (net/tcp_states.h).
_ESTABLISHED: Final = 1
_SYN_SENT: Final = 2
_FIN_WAIT: Final = 4
_CLOSED: Final = 7

_RECEIVING: Final = (_ESTABLISHED, _FIN_WAIT)

_TCP_INFO: Final = (socket.IPPROTO_TCP, socket.TCP_INFO)
_ERROR: Final = (socket.SOL_SOCKET, socket.SO_ERROR)
_ACCEPTCONN: Final = (socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
_LINGER: Final = (socket.SOL_SOCKET, socket.SO_LINGER)
_OOBINLINE: Final = (socket.SOL_SOCKET, socket.SO_OOBINLINE)
_RESETTING: Final = struct.pack("ii", 1, 0)
# Plain integers: the socket module's make an object, by several calls, of each operation.
_OOB: Final = int(socket.MSG_OOB)
_PEEK: Final = int(socket.MSG_PEEK)


class Carrier(Protocol):
    """
    Who carries a stream, as the stream sees it.
    """

    def room(self) -> int:
        """
        @return: how many bytes can be sent now; 0 when a Send would block.
        """

    def carry(self, data: bytes, urgent: bool) -> int:
        """
        Send bytes, as many as there is room for.

        @param data: at least one.
        @param urgent: the last one is urgent.
        @return: how many were taken, the first ones; 0 when a Send would block.
        @raise OSError: C{EOPNOTSUPP}, there is no urgent data here.
        """

    def taken(self) -> None:
        """
        Some of what was fed has been received.
        """

    def finish(self) -> None:
        """
        This side's stream ends here.
        """

    def close(self, abort: bool) -> None:
        """
        Nobody uses the stream any more.

        @param abort: reset the connection; else what was sent still arrives.
        """


class Stream(Conduit):
    """
    A connection, or the attempt to make one.

    @ivar carrier: who carries it.
    @ivar size: how many bytes were fed and not received.
    """

    __slots__ = (
        "_behind",
        "_chunk",
        "_ended",
        "_failure",
        "_mark",
        "_peer",
        "_state",
        "_urgent",
        "carrier",
    )

    def __init__(self, carrier: Carrier, reactor: Any, name: SockAddr = "", peer: SockAddr | None = None) -> None:
        """
        @param peer: the name of the peer; L{None} when it is not connected yet.
        """
        super().__init__(reactor, name)
        self.carrier = carrier
        self._peer = peer
        self._state = _SYN_SENT if peer is None else _ESTABLISHED
        # What was fed and not received: nearly always one chunk, and what has come after it.
        self._chunk: bytes | memoryview = b""
        self._behind: deque[bytes] | None = None
        self._ended = False
        self._failure = WSAError.NO_ERROR
        # An urgent byte, and how many bytes stand before it.
        self._urgent = b""
        self._mark = -1

    @property
    def family(self) -> int:
        # Of an attempt nobody knows it yet; one by UNIX sockets would be no attempt to the members.
        return super().family if self._peer is not None else AF_INET

    # -- what its carrier says

    def connected(self, name: SockAddr, peer: SockAddr, now: bool = False) -> None:
        """
        The connection is made.
        """
        if self._state == _SYN_SENT:
            self._name, self._peer, self._state = name, peer, _ESTABLISHED
            self.changed(now)

    def connecting(self) -> None:
        """
        An attempt to connect begins, after one that failed say.
        """
        self._state, self._failure, self._ended = _SYN_SENT, WSAError.NO_ERROR, False

    def feed(self, data: bytes, now: bool = False) -> None:
        """
        Data has arrived.
        """
        if data and not self._ended and self._state in _RECEIVING:
            if not self.size:
                self._chunk = data
            elif self._behind is None:
                self._behind = deque((data,))
            else:
                self._behind.append(data)
            self.size += len(data)
            if self.watcher is not None:
                self.watcher.fed(self, now)

    def feedUrgent(self, byte: bytes, now: bool = False) -> None:
        """
        An urgent byte has arrived, behind what was fed; it replaces one that nobody has received.
        """
        if self._state in _RECEIVING and not self._ended:
            if self.getsockopt(*_OOBINLINE):
                self._mark = self.size
                self.feed(byte, now)
                return
            self._urgent, self._mark = byte, self.size
            self.changed(now)

    def withdraw(self) -> bytes:
        """
        Take back what was fed and not received.
        """
        data = b"".join((self._chunk, *(self._behind or ())))
        self._hold(b"")
        return data

    def _hold(self, data: bytes, *behind: bytes) -> None:
        self._chunk, self._behind = data, deque(behind) if behind else None
        self.size = len(data) + sum(map(len, behind))

    def end(self, now: bool = False) -> None:
        """
        The peer's stream has ended.
        """
        self._ended = True
        self.changed(now)

    def roomy(self, now: bool = False) -> None:
        """
        There is room to send.
        """
        self.changed(now)

    def lose(self, code: WSAError = WSAError.NO_ERROR, now: bool = False) -> None:
        """
        The connection is lost, or was not made.

        @param code: why; C{NO_ERROR} after both streams have come to their end.
        """
        if self._state != _CLOSED:
            self._state, self._failure, self._ended = _CLOSED, code, True
            self.changed(now)

    @property
    def peer(self) -> SockAddr | None:
        """
        The name of the peer, as long as there is anybody to ask.
        """
        return self._peer

    def wasConnected(self) -> bool:
        return self._peer is not None

    # -- what is ready

    def ready(self, wanted: int = EVERYTHING) -> int:
        state = self._state
        if state == _SYN_SENT:
            return 0
        bits = READABLE if self.size else 0
        if wanted & WRITABLE and (state != _ESTABLISHED or self.carrier.room() > 0):
            bits |= WRITABLE
        if self._urgent:
            bits |= URGENT
        if self._ended:
            # As it is when the connection is lost.
            bits |= READABLE | ENDED
            if state != _ESTABLISHED:
                bits |= HUNG_UP
            if self._failure:
                bits |= FAILED
        return bits

    def unread(self) -> int:
        """
        @return: how many bytes can be received (C{FIONREAD}).
        """
        # Those behind an urgent byte come after it (tcp_inq()).
        return min(self.size, self._mark) if self._urgent else self.size

    def isDrained(self) -> bool:
        """
        @return: whether all that was fed has been received.
        """
        return not (self.size or self._urgent)

    def atMark(self) -> bool:
        return self._mark == 0

    def failure(self) -> WSAError:
        code, self._failure = self._failure, WSAError.NO_ERROR
        return code

    # -- what a socket has

    def getpeername(self) -> SockAddr:
        if self._peer is None or self._state == _CLOSED:
            raise failing(WSAError.WSAENOTCONN)
        return self._peer

    def getsockopt(self, level: int, option: int) -> int:
        if (level, option) == _TCP_INFO:
            return self._state
        if (level, option) == _ERROR:
            return errnoFromError(self.failure())
        return super().getsockopt(level, option)

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        super().setsockopt(level, option, value)
        if (level, option) == _OOBINLINE and value and self._urgent:
            # One that waits already is received in line too.
            self._insert(self._mark, self._urgent)
            self._urgent = b""

    def _insert(self, at: int, data: bytes) -> None:
        chunks = self.withdraw()
        self._hold(*(part for part in (chunks[:at], data, chunks[at:]) if part))

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """
        C{recv(2)}, also of the urgent byte with C{MSG_OOB}.

        @raise OSError: as there.
        """
        if flags & _OOB:
            byte = self._urgent
            if not byte:
                raise failing(WSAError.WSAEINVAL)
            if not flags & _PEEK:
                self._urgent = b""
            return byte
        room = bytearray(min(bufsize, self.size or 1))
        return bytes(room[: self._received(memoryview(room), flags)])

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """
        C{recv(2)}: a receive stops before the mark of an urgent byte; one that begins there loses it.

        @raise OSError: as there.
        """
        size = self.size
        if size and not flags and self._behind is None and self._mark < 0 and type(buffer) is bytearray:
            room = len(buffer)
            if size <= (nbytes or room) <= room:
                # All that there is, as it came: copied once, where a slice of a bytearray would be twice.
                BytesIO(self._chunk).readinto(buffer)
                self._chunk, self.size = b"", 0
                self.carrier.taken()
                return size
        return self._filled(buffer, nbytes, flags)

    def _filled(self, buffer: Any, nbytes: int, flags: int) -> int:
        """
        Any receive into any buffer.
        """
        room = memoryview(buffer).cast("B")
        if room.readonly:
            raise TypeError("a buffer to receive into is not to be read-only")
        if nbytes:
            if not 0 < nbytes <= len(room):
                raise ValueError(f"{nbytes} bytes into a buffer of {len(room)}")
            room = room[:nbytes]
        return self._received(room, flags)

    def _received(self, room: memoryview, flags: int) -> int:
        if not self.size:
            return self._nothing()
        wanted = min(len(room), self.size)
        if self._mark > 0:
            wanted = min(wanted, self._mark)
        taken = min(len(self._chunk), wanted)
        room[:taken] = memoryview(self._chunk)[:taken]
        for chunk in self._behind or ():
            if taken == wanted:
                break
            piece = memoryview(chunk)[: wanted - taken]
            room[taken : taken + len(piece)] = piece
            taken += len(piece)
        if not flags & _PEEK:
            self._take(taken)
        return taken

    def _take(self, count: int) -> None:
        if not count:
            return
        if self._mark == 0:
            self._urgent = b""
        self._mark = max(self._mark - count, -1) if self._mark else -1
        self.size -= count
        while count >= len(self._chunk) and self._behind:
            count -= len(self._chunk)
            self._chunk = self._behind.popleft()
        self._chunk = memoryview(self._chunk)[count:] if self.size else b""
        self._behind = self._behind or None
        self.carrier.taken()

    def _nothing(self) -> int:
        """
        @return: 0 at the end of the stream.
        """
        if self._failure:
            raise failing(self.failure())
        if self._ended:
            return 0
        raise failing(WSAError.WSAEWOULDBLOCK if self._peer is not None else WSAError.WSAENOTCONN)

    def send(self, data: Any, flags: int = 0) -> int:
        """
        C{send(2)}.

        @return: how many bytes were taken.
        @raise OSError: as there.
        """
        if self._state != _ESTABLISHED:
            # What EPIPE is to Winsock; an error that is still to be said comes before it.
            raise failing(self.failure() or WSAError.WSAECONNABORTED)
        if type(data) is not bytes:
            view = memoryview(data)
            if not view.c_contiguous:
                # As send(2) has it.
                raise BufferError("a buffer to send is to be contiguous")
            data = view.tobytes()
        if not data:
            return 0
        count = self.carrier.carry(data, flags & _OOB != 0)
        if not count:
            raise failing(WSAError.WSAEWOULDBLOCK)
        return count

    def shutdown(self, how: int) -> None:
        """
        End this side's stream.

        @param how: C{SHUT_WR}: the other side's is the members' business.
        @raise OSError: C{ENOTCONN}.
        """
        if self._state not in _RECEIVING:
            raise failing(WSAError.WSAENOTCONN)
        if self._state == _ESTABLISHED:
            self._state = _FIN_WAIT
            self.carrier.finish()

    def close(self) -> None:
        """
        Give the stream up: what was sent still arrives, unless C{SO_LINGER} is set to no time.
        """
        super().close()
        self._state = _CLOSED
        # Who carries it may want to know whether all was received.
        self.carrier.close((self._options or {}).get(_LINGER) == _RESETTING)
        self._hold(b"")


class Backlog(Conduit):
    """
    Connections that wait to be accepted: what a listening socket is.
    """

    __slots__ = ("_closing", "_most", "_waiting")

    def __init__(self, reactor: Any, name: SockAddr, closing: Callable[[], None]) -> None:
        """
        @param closing: called when it is given up.
        """
        super().__init__(reactor, name)
        self._waiting: deque[Stream] = deque()
        self._most = 0x7FFFFFFF
        self._closing = closing

    def offer(self, stream: Stream, now: bool = False) -> bool:
        """
        A connection has come.

        @return: whether there is room for it.
        """
        if len(self._waiting) >= self._most:
            return False
        if stream.getsockname() == self._name:
            # As of nearly all of them: one object for all.
            stream.named(self._name)
        self._waiting.append(stream)
        self.changed(now)
        return True

    def ready(self, wanted: int = EVERYTHING) -> int:
        return READABLE if self._waiting else 0

    def getsockopt(self, level: int, option: int) -> int:
        return 1 if (level, option) == _ACCEPTCONN else super().getsockopt(level, option)

    def listen(self, backlog: int) -> None:
        """
        @param backlog: how many connections may wait.
        """
        self._most = backlog

    def accept(self) -> tuple[Stream, SockAddr]:
        """
        @return: the connection that came first, and the name of its peer.
        @raise OSError: C{EAGAIN}, there is none.
        """
        if not self._waiting:
            raise failing(WSAError.WSAEWOULDBLOCK)
        stream = self._waiting.popleft()
        return stream, stream.peer or ""

    def close(self) -> None:
        """
        Give it up: those that wait are reset, and those that come later find no room.
        """
        super().close()
        self._most = 0
        while self._waiting:
            stream = self._waiting.popleft()
            stream.setsockopt(*_LINGER, _RESETTING)
            stream.close()
        self._closing()
