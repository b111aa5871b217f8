"""
C{CSocketFile}: a stream socket as a file, MFC's and Python's at once.

MFC's members have MFC's names, a binary file's have Python's; they are the same calls.  What MFC's file supports
without meaning for a socket fails as there, with L{CNotSupportedException}.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar, overload

from twisted.internet.defer import Deferred, succeed

from ._csocket import CSocket
from ._reading import LARGEST
from .winsock import SO_TYPE, SOCK_STREAM

__all__ = ["CNotSupportedException", "CSocketFile"]

_Self = TypeVar("_Self", bound="CSocketFile")


class CNotSupportedException(io.UnsupportedOperation):
    """
    A socket is no disk file: MFC's C{CNotSupportedException}, and what Python's files raise there.
    """


class CSocketFile:
    """
    A stream socket as a file (MFC's C{CSocketFile}).

    Reading and writing gives a C{Deferred}, which fails as the socket's members do, where C++ throws a
    C{CFileException}. To have closed the file does not close the socket.
    """

    def __init__(self, pSocket: CSocket, bArchiveCompatible: bool = True) -> None:
        """
        @param pSocket: the socket.
        @param bArchiveCompatible: whether C{Read} gives what one C{Receive} gives, as an archive wants it; else it
            gives as many bytes as were asked for, unless the stream ends.
        @raise TypeError: C{pSocket} is no C{CSocket}.
        @raise CNotSupportedException: it is a datagram socket.
        """
        if not isinstance(pSocket, CSocket):
            raise TypeError(f"pSocket must be a CSocket, not {type(pSocket).__name__}")
        if pSocket.fileno() >= 0 and pSocket.GetSockOpt(SO_TYPE) != SOCK_STREAM:
            raise CNotSupportedException("a datagram socket is no file")
        self._socket: CSocket | None = pSocket
        self._short = bool(bArchiveCompatible)

    def _open(self) -> CSocket:
        if self._socket is None:
            raise ValueError("I/O operation on closed file")
        return self._socket

    # -- MFC's

    @property
    def m_pSocket(self) -> CSocket | None:
        """
        The socket; L{None} when the file is closed.
        """
        return self._socket

    @overload
    def Read(self, lpBuf: int, nCount: None = None) -> Deferred[bytes]: ...

    @overload
    def Read(self, lpBuf: Any, nCount: int | None = None) -> Deferred[int]: ...

    def Read(self, lpBuf: Any, nCount: int | None = None) -> Deferred[Any]:
        """
        Read (C{CFile::Read}): Read(nCount) gives bytes; Read(lpBuf, nCount=None) fills a buffer.

        @param lpBuf: the buffer to fill.
        @param nCount: how many bytes.
        @return: a Deferred of the bytes, or of their number; none at the end of the stream.  An archive-compatible file
            gives what there is, another one all that was asked for, and less only at the end of the stream.  Fails as
            C{CSocket.Receive}.
        @raise ValueError: the file is closed.
        """
        pSocket = self._open()
        if self._short:
            return pSocket.Receive(lpBuf) if isinstance(lpBuf, int) else pSocket.Receive(lpBuf, nCount)
        return pSocket._as_receiveAll(lpBuf, nCount)

    def Write(self, lpBuf: Any, nCount: int | None = None) -> Deferred[int]:
        """
        Write all of it (C{CFile::Write}).

        @param lpBuf: the data; it can be used again at once.
        @param nCount: how much of it, in bytes; L{None} for all.
        @return: a Deferred of the number of bytes.  Fails as C{CSocket.Send}.
        @raise ValueError: the file is closed.
        """
        return self._open().Send(lpBuf, nCount)

    def Close(self) -> None:
        """
        Let go of the socket, which stays open (C{CFile::Close}).
        """
        self._socket = None

    def Abort(self) -> NoReturn:
        """
        @raise CNotSupportedException: always, as in MFC.
        """
        raise CNotSupportedException("Abort")

    def Flush(self) -> None:
        """
        Nothing: what was written is on its way (C{CFile::Flush}).
        """

    def Seek(self, lOff: int, nFrom: int = 0) -> int:
        """
        Go nowhere, as MFC's (C{CFile::Seek}).

        @param lOff: ignored.
        @param nFrom: ignored.
        @return: 0.
        """
        return 0

    def GetLength(self) -> NoReturn:
        """
        @raise CNotSupportedException: always, as in MFC: nobody knows the length of a stream.
        """
        raise CNotSupportedException("GetLength")

    def SetLength(self, dwNewLen: int) -> NoReturn:
        """
        @param dwNewLen: ignored.
        @raise CNotSupportedException: always, as in MFC.
        """
        raise CNotSupportedException("SetLength")

    def GetPosition(self) -> NoReturn:
        """
        @raise CNotSupportedException: always, as in MFC.
        """
        raise CNotSupportedException("GetPosition")

    def LockRange(self, dwPos: int, dwCount: int) -> NoReturn:
        """
        @param dwPos: ignored.
        @param dwCount: ignored.
        @raise CNotSupportedException: always, as in MFC.
        """
        raise CNotSupportedException("LockRange")

    def UnlockRange(self, dwPos: int, dwCount: int) -> NoReturn:
        """
        @param dwPos: ignored.
        @param dwCount: ignored.
        @raise CNotSupportedException: always, as in MFC.
        """
        raise CNotSupportedException("UnlockRange")

    def Duplicate(self) -> NoReturn:
        """
        @raise CNotSupportedException: always, as in MFC.
        """
        raise CNotSupportedException("Duplicate")

    def Open(self, lpszFileName: str, nOpenFlags: int = 0) -> NoReturn:
        """
        @param lpszFileName: ignored.
        @param nOpenFlags: ignored.
        @raise CNotSupportedException: always, as in MFC.
        """
        raise CNotSupportedException("Open")

    # -- Python's

    def read(self, size: int | None = -1) -> Deferred[bytes]:
        """
        Read as a binary file does, awaited.

        @param size: how many bytes; -1 or L{None} for all to the end of the stream.
        @return: as of L{Read}.
        @raise ValueError: the file is closed.
        """
        if size is None or size < 0:
            return self._open()._as_receiveAll(None, None)
        return self.Read(size)

    def read1(self, size: int = -1) -> Deferred[bytes]:
        """
        Read what there is.

        @param size: at most how many bytes; -1 for what one C{Receive} gives.
        @return: as of C{CSocket.Receive}.
        @raise ValueError: the file is closed.
        """
        return self._open().Receive(LARGEST if size < 0 else size)

    def readinto(self, buffer: Any) -> Deferred[int]:
        """
        Read into a buffer.

        @param buffer: a writable buffer, to be filled.
        @return: as of L{Read}.
        @raise ValueError: the file is closed.
        """
        return self.Read(buffer, None)

    def readline(self, size: int = -1) -> Deferred[bytes]:
        """
        Read a line.

        @param size: at most how many bytes of it; -1 for the socket's own limit, which is an error to exceed.
        @return: a Deferred of the line with its end; of C{b""} at the end of the stream.  Fails as
            C{CSocket.receiveLine}.
        @raise ValueError: the file is closed.
        """
        pSocket = self._open()
        return pSocket.receiveLine() if size < 0 else pSocket._as_lineUpTo(size)

    def write(self, data: Any) -> Deferred[int]:
        """
        Write all of it.

        @param data: the data; it can be used again at once.
        @return: as of L{Write}.
        @raise ValueError: the file is closed.
        """
        return self.Write(data)

    def writelines(self, lines: Iterable[Any]) -> Deferred[int]:
        """
        Write one after the other.

        @param lines: pieces of data.
        @return: as of L{Write}.
        @raise ValueError: the file is closed.
        """
        return self.Write(b"".join(lines))

    def flush(self) -> Deferred[None]:
        """
        Nothing.

        @return: a Deferred that has fired.
        @raise ValueError: the file is closed.
        """
        self._open()
        return succeed(None)

    def close(self) -> Deferred[None]:
        """
        Let go of the socket, which stays open.

        @return: a Deferred that has fired.
        """
        self.Close()
        return succeed(None)

    @property
    def closed(self) -> bool:
        """
        Whether the file is closed.
        """
        return self._socket is None

    def fileno(self) -> int:
        """
        @return: the socket's descriptor.
        @raise ValueError: the file is closed.
        """
        return self._open().fileno()

    def readable(self) -> bool:
        """
        @return: L{True}.
        """
        return True

    def writable(self) -> bool:
        """
        @return: L{True}.
        """
        return True

    def seekable(self) -> bool:
        """
        @return: L{False}.
        """
        return False

    def isatty(self) -> bool:
        """
        @return: L{False}.
        """
        return False

    def seek(self, offset: int, whence: int = 0) -> NoReturn:
        """
        @param offset: ignored.
        @param whence: ignored.
        @raise CNotSupportedException: always; C{Seek} does as MFC's.
        """
        raise CNotSupportedException("seek")

    def tell(self) -> NoReturn:
        """
        @raise CNotSupportedException: always.
        """
        raise CNotSupportedException("tell")

    def truncate(self, size: int | None = None) -> NoReturn:
        """
        @param size: ignored.
        @raise CNotSupportedException: always.
        """
        raise CNotSupportedException("truncate")

    async def __aenter__(self: _Self) -> _Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.Close()

    def __aiter__(self: _Self) -> _Self:
        return self

    async def __anext__(self) -> bytes:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line
