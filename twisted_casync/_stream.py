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
from typing import Any, Final, Protocol

from ._conduit import Conduit, failing
from ._readiness import ENDED, FAILED, HUNG_UP, READABLE, URGENT, WRITABLE
from ._sockaddr import SockAddr
from .winsock import AF_INET, WSAError, errnoFromError

__all__ = ["Backlog", "Carrier", "Stream"]

# The states of TCP_INFO, as Linux numbers them (net/tcp_states.h).
_ESTABLISHED: Final = 1
_SYN_SENT: Final = 2
_FIN_WAIT: Final = 4
_CLOSED: Final = 7

_TCP_INFO: Final = (socket.IPPROTO_TCP, socket.TCP_INFO)
_ERROR: Final = (socket.SOL_SOCKET, socket.SO_ERROR)
_ACCEPTCONN: Final = (socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
_LINGER: Final = (socket.SOL_SOCKET, socket.SO_LINGER)
_OOBINLINE: Final = (socket.SOL_SOCKET, socket.SO_OOBINLINE)
_RESETTING: Final = struct.pack("ii", 1, 0)


class Carrier(Protocol):
    """
    Who carries a stream, as the stream sees it.
    """

    def room(self) -> int:
        """
        @return: how many bytes can be sent now; 0 when a Send would block.
        """

    def carry(self, data: bytes, urgent: bool) -> None:
        """
        Send bytes, no more than there is room for.

        @param urgent: the last one is urgent.
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

    def __init__(self, carrier: Carrier, reactor: Any, name: SockAddr = "", peer: SockAddr | None = None) -> None:
        """
        @param peer: the name of the peer; L{None} when it is not connected yet.
        """
        super().__init__(reactor, name)
        self.carrier = carrier
        self._peer = peer
        self._state = _SYN_SENT if peer is None else _ESTABLISHED
        self._chunks: deque[memoryview] = deque()
        self.size = 0
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
        if data and self._state in (_ESTABLISHED, _FIN_WAIT) and not self._ended:
            self._chunks.append(memoryview(data))
            self.size += len(data)
            self.changed(now)

    def feedUrgent(self, byte: bytes, now: bool = False) -> None:
        """
        An urgent byte has arrived, behind what was fed; it replaces one that nobody has received.
        """
        if self._state in (_ESTABLISHED, _FIN_WAIT) and not self._ended:
            if self._options.get(_OOBINLINE):
                self._mark = self.size
                self.feed(byte, now)
                return
            self._urgent, self._mark = byte, self.size
            self.changed(now)

    def withdraw(self) -> bytes:
        """
        Take back what was fed and not received.
        """
        data = b"".join(self._chunks)
        self._chunks.clear()
        self.size = 0
        return data

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

    # -- what is ready

    def ready(self) -> int:
        if self._state == _SYN_SENT:
            return 0
        bits = READABLE if self.size or self._ended else 0
        if self._ended:
            bits |= ENDED
        if self._state == _CLOSED or (self._ended and self._state == _FIN_WAIT):
            bits |= HUNG_UP
        if self._state != _ESTABLISHED or self.carrier.room() > 0:
            bits |= WRITABLE
        if self._urgent:
            bits |= URGENT
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
        """
        @return: whether the next byte stands where an urgent byte stands, or stood (C{SIOCATMARK}).
        """
        return self._mark == 0

    def failure(self) -> WSAError:
        """
        @return: why the connection was lost, or was not made; once.
        """
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
        chunks = b"".join(self._chunks)
        self._chunks = deque(memoryview(part) for part in (chunks[:at], data, chunks[at:]) if part)
        self.size += len(data)

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """
        C{recv(2)}, also of the urgent byte with C{MSG_OOB}.

        @raise OSError: as there.
        """
        if flags & socket.MSG_OOB:
            byte = self._urgent
            if not byte:
                raise failing(WSAError.WSAEINVAL)
            if not flags & socket.MSG_PEEK:
                self._urgent = b""
            return byte
        room = bytearray(min(bufsize, self.size or 1))
        return bytes(room[: self._received(memoryview(room), flags)])

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """
        C{recv(2)}: a receive stops before the mark of an urgent byte; one that begins there loses it.

        @raise OSError: as there.
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
        taken = 0
        for chunk in self._chunks:
            piece = chunk[: wanted - taken]
            room[taken : taken + len(piece)] = piece
            taken += len(piece)
            if taken == wanted:
                break
        if not flags & socket.MSG_PEEK:
            self._take(taken)
        return taken

    def _take(self, count: int) -> None:
        if not count:
            return
        if self._mark == 0:
            self._urgent = b""
        self._mark = max(self._mark - count, -1) if self._mark else -1
        self.size -= count
        while count:
            first = self._chunks[0]
            if len(first) > count:
                self._chunks[0] = first[count:]
                break
            count -= len(first)
            self._chunks.popleft()
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
        if self._failure:
            raise failing(self.failure())
        if self._state != _ESTABLISHED:
            # What EPIPE is to Winsock.
            raise failing(WSAError.WSAECONNABORTED)
        view = memoryview(data).cast("B")
        room = self.carrier.room()
        if not view:
            return 0
        if room <= 0:
            raise failing(WSAError.WSAEWOULDBLOCK)
        piece = bytes(view[:room])
        self.carrier.carry(piece, bool(flags & socket.MSG_OOB) and len(piece) == len(view))
        return len(piece)

    def shutdown(self, how: int) -> None:
        """
        End this side's stream.

        @param how: C{SHUT_WR}: the other side's is the members' business.
        @raise OSError: C{ENOTCONN}.
        """
        if self._state not in (_ESTABLISHED, _FIN_WAIT):
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
        self.carrier.close(self._options.get(_LINGER) == _RESETTING)
        self._chunks.clear()
        self.size = 0


class Backlog(Conduit):
    """
    Connections that wait to be accepted: what a listening socket is.
    """

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
        self._waiting.append(stream)
        self.changed(now)
        return True

    def ready(self) -> int:
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
