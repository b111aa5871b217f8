"""
Where an archive meets its file: MFC's C{Read} and C{Write}, which may have to be awaited, or Python's, which may not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.python.failure import Failure

__all__ = ["AwaitedSink", "awaitedRead", "plainRead", "plainWrite", "unread"]

_AT_ONCE = 65536
"""Bytes that are asked for at once, at most: what a length announces is not allocated on its word."""


def awaitedRead(file: Any, nBufSize: int) -> Callable[[int], Any] | None:
    """
    @param file: with C{Read(count)}, which gives up to so many bytes, none at the end, or a C{Deferred} of them.
    @return: asks for what is missing, or for a buffer full; L{None} where the file has no such member.
    """
    read = getattr(file, "Read", None)
    return read and (lambda missing: read(max(nBufSize, min(missing, _AT_ONCE))))


def plainRead(file: Any, nBufSize: int) -> Callable[[int], bytes]:
    """
    @param file: with C{read(count)}.
    @return: asks for what is missing, or for a buffer full.
    @raise TypeError: the file can't be read.
    """
    read = getattr(file, "read", None)
    if read is None:
        raise TypeError(f"pFile must have Read or read, not be a {type(file).__name__}")

    def pull(missing: int) -> bytes:
        data = read(max(nBufSize, min(missing, _AT_ONCE)))
        if data is None:
            raise BlockingIOError("pFile has nothing to read now, and can't be waited for")
        return data  # type: ignore[no-any-return]  # as the io module has it

    return pull


def unread(file: Any, count: int) -> bool:
    """
    Let a file go on where an archive has stopped reading, as MFC's archives do.

    @param count: the bytes that were read from it, and not taken from the archive.
    @return: whether the file can.
    """
    seekable = getattr(file, "seekable", None)
    if seekable is None or not seekable():
        return False
    file.seek(-count, 1)
    return True


def plainWrite(file: Any, data: bytes) -> None:
    """
    @param file: with C{write(data)}.
    """
    left = memoryview(data)
    while left:
        count = file.write(left)
        if count is None:
            raise BlockingIOError("pFile takes nothing now, and can't be waited for")
        left = left[count:]


class AwaitedSink:
    """
    A file with C{Write(data)} that gives a C{Deferred}: one write at a time, in the order in which they were asked for.
    """

    def __init__(self, file: Any) -> None:
        """
        @param file: the file.
        """
        self._file = file
        self._lock = DeferredLock()
        self._failure: Failure | None = None

    def write(self, data: bytes) -> Deferred[None]:
        """
        @return: fires when this was written, and all before.  Once one has failed all later ones do: the stream
            lacks what that one had.
        """
        return self._lock.run(self._write, data)

    def _write(self, data: bytes) -> Deferred[None]:
        if self._failure is not None:
            self._failure.raiseException()
        written = self._file.Write(data) if data else None
        done = written if isinstance(written, Deferred) else succeed(written)
        return done.addCallbacks(lambda _: None, self._failed)

    def _failed(self, failure: Failure) -> Failure:
        self._failure = failure
        return failure
