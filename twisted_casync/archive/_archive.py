"""
The life of an archive: its file, what waits to be written, what is awaited, and the two operators.
"""

from __future__ import annotations

import codecs
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, overload

from twisted.internet.defer import Deferred, succeed

from twisted_casync.archive._classes import ClassRegistry, theClasses
from twisted_casync.archive._errors import ArchiveIncomplete, ArchiveLimits, CArchiveException, Cause
from twisted_casync.archive._file import AwaitedSink, awaitedRead, plainRead, plainWrite, unread
from twisted_casync.archive._loading import Loading
from twisted_casync.archive._storing import Storing
from twisted_casync.archive._values import NUMBERS, CString

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Archive"]

T = TypeVar("T")
Tco = TypeVar("Tco", covariant=True)


class _Loads(Protocol[Tco]):
    """
    A type that can be read: C{WORD}, C{CString}, a class derived from C{CObject}, C{Serialized(...)}, or another with
    such a method, which is C++'s C{operator>>}.
    """

    def archiveLoad(self, ar: Any) -> Tco: ...


class Archive:
    """
    An archive: writes values and objects to a file, or reads them from one.

    The file has MFC's C{Read} and C{Write}, and what they give may be a C{Deferred}, as those of a C{CSocketFile}: then
    what is written waits for L{Flush}, and what is read is awaited with L{whenLoaded}.  Or it has Python's C{read} and
    C{write}, such as C{io.BytesIO} or an opened file, and is read and written at once.  An archive without a file is
    given what it reads by L{feed}, and what it wrote is had with L{takeStored}: for C{OnReceive} and C{Send} of a
    C{CAsyncSocket}.

    @ivar m_pDocument: for the program.
    """

    store: ClassVar[int] = 0
    load: ClassVar[int] = 1
    bNoFlushOnDelete: ClassVar[int] = 2
    bNoByteSwap: ClassVar[int] = 4

    def __init__(
        self,
        pFile: Any,
        nMode: int,
        nBufSize: int = 4096,
        lpBuf: object = None,
        *,
        classes: ClassRegistry | None = None,
        limits: ArchiveLimits | None = None,
        bUnicode: bool = True,
        codePage: str = "cp1252",
    ) -> None:
        """
        @param pFile: the file, or L{None}.
        @param nMode: C{CArchive.load} or C{CArchive.store}; with C{CArchive.bNoFlushOnDelete}, an archive that is
            thrown away with data in it says nothing.  C{CArchive.bNoByteSwap} changes nothing, as on Windows.
        @param nBufSize: the bytes that are read, and written, at once.
        @param lpBuf: not used: MFC's buffer.
        @param classes: the classes whose objects may be read; all with C{IMPLEMENT_SERIAL} unless given.
        @param limits: how much may come.
        @param bUnicode: whether strings are written in Unicode, as programs do that were built so.
        @param codePage: the encoding of strings that are not in Unicode.
        @raise TypeError: the file can be neither read nor written, as C{nMode} asks.
        @raise ValueError: the mode or the buffer's size is none.
        @raise LookupError: there is no such encoding.
        """
        if nMode & ~(self.load | self.bNoFlushOnDelete | self.bNoByteSwap):
            raise ValueError(f"nMode must be CArchive.load or CArchive.store, not {nMode}")
        if nBufSize < 1:
            raise ValueError(f"nBufSize must be positive, not {nBufSize}")
        codecs.lookup(codePage)
        self.m_pDocument: Any = None
        self._file = pFile
        self._mode = nMode
        self._bufSize = nBufSize
        self._wide = bUnicode
        self._waits = False
        self._fed: Deferred[None] | None = None
        self._sink: AwaitedSink | None = None
        self._read: Callable[[int], Any] | None = None
        limits = ArchiveLimits() if limits is None else limits
        if nMode & self.load:
            self._read = awaitedRead(pFile, nBufSize)
            pull = None if pFile is None or self._read else plainRead(pFile, nBufSize)
            self._loading = Loading(theClasses if classes is None else classes, limits, codePage, pull)
            self._plain = pull is not None
        else:
            if hasattr(pFile, "Write"):
                self._sink = AwaitedSink(pFile)
            elif pFile is not None and not hasattr(pFile, "write"):
                raise TypeError(f"pFile must have Write or write, not be a {type(pFile).__name__}")
            self._storing = Storing(limits, codePage)
            self._plain = pFile is not None and self._sink is None
        self._closed = False

    def __repr__(self) -> str:
        kind = "closed" if self._closed else "loading" if self.IsLoading() else "storing"
        return f"<CArchive {kind} {self._file!r}>"

    # -- the archive itself

    def IsLoading(self) -> bool:
        """
        @return: whether the archive is read.
        """
        return bool(self._mode & self.load)

    def IsStoring(self) -> bool:
        """
        @return: whether the archive is written.
        """
        return not self._mode & self.load

    def IsBufferEmpty(self) -> bool:
        """
        @return: whether all was taken that has come, so that the next message has to be waited for; while storing,
            whether nothing waits for L{Flush}.
        """
        return not (self._loading.available if self.IsLoading() else self._storing.data)

    def GetFile(self) -> Any:
        """
        @return: the file, L{None} after L{Close}.
        """
        return self._file

    def Flush(self) -> Deferred[None]:
        """
        Write what waits in the archive.  While loading, let a file that can seek go on behind what was taken.

        @return: fires when it was written; it has fired already where nothing has to be awaited.  An error of a file
            that is not awaited is raised instead.
        """
        self._half(self.IsStoring())
        if self.IsLoading():
            left = self._loading.available
            if left and self._plain and unread(self._file, left):
                self._loading.take(left)
            return succeed(None)
        if self._file is None:
            return succeed(None)
        data = self.takeStored()
        if self._sink is not None:
            return self._sink.write(data)
        plainWrite(self._file, data)
        return succeed(None)

    def Close(self) -> Deferred[None]:
        """
        L{Flush}, and forget the file, which stays open.  A second C{Close} does nothing.

        @return: as L{Flush}.
        """
        if self._closed:
            return succeed(None)
        flushed = self.Flush()
        self._forget()
        return flushed

    def Abort(self) -> None:
        """
        Forget the file, and what waits to be written to it.
        """
        if self.IsStoring():
            self._storing.data.clear()
        self._forget()

    def _forget(self) -> None:
        if self._fed is not None:
            # Who waits for what will never be fed hears of the end.
            self.feedEnd()
        self._closed = True
        self._file = self._sink = self._read = None

    def __enter__(self) -> Self:
        if self._sink is not None:
            raise TypeError("the file is to be awaited: async with CArchive(...)")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.Close()
        else:
            self.Abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self.Close()
        else:
            self.Abort()

    def __del__(self) -> None:
        # What its __init__ has refused has no _closed.
        if getattr(self, "_closed", True) or self._mode & (self.load | self.bNoFlushOnDelete) or self._file is None:
            return
        if self._storing.data:
            warnings.warn(f"{self!r} was thrown away with data in it", ResourceWarning, stacklevel=2, source=self)

    # -- values

    def __lshift__(self, value: Any) -> Self:
        """
        Store a value (C{ar << value}): one of a type that has a form here, a C{str}, a C{CObject}, or L{None}, no
        object.

        @return: the archive.
        @raise TypeError: the value has no form of its own, such as an C{int}, which has no width.
        @raise CArchiveException: C{readOnly}, the archive is being loaded.
        """
        if self._closed or self._mode & self.load:
            self._half(True)
        # Numbers and strings are most of what is written, and whole by themselves.
        kind = type(value)
        if kind in NUMBERS:
            self._storing.data += kind.form.pack(value)
        elif kind is str:
            self._storing.string(value, self._wide)
        elif (store := getattr(value, "archiveStore", None)) is not None and not isinstance(value, type):
            self._storing.item(self, store)
        elif isinstance(value, str):
            self._storing.string(value, self._wide)
        elif value is None:
            self._storing.object(self, None)
        else:
            raise TypeError(_noForm(value))
        if self._plain:
            self._spill()
        return self

    def _spill(self) -> None:
        """
        A file that takes everything at once needs no more than a buffer.
        """
        if self._plain and len(self._storing.data) >= self._bufSize and self._storing.whole:
            self.Flush()

    @overload
    def __rshift__(self, what: type[str]) -> str: ...

    @overload
    def __rshift__(self, what: _Loads[T]) -> T: ...

    @overload
    def __rshift__(self, what: tuple[Any, ...]) -> tuple[Any, ...]: ...

    @overload
    def __rshift__(self, what: Callable[[Any], T]) -> T: ...

    def __rshift__(self, what: Any) -> Any:
        """
        Load a value (C{value = ar >> type}): all of it or nothing.

        @param what: its type; several in a tuple; or a function that is given the archive, and reads.
        @return: the value.
        @raise ArchiveIncomplete: not all of it has come, and the archive can't wait for it here.  Nothing was taken.
        @raise CArchiveException: C{writeOnly}, the archive is being stored; or what comes is not that.
        @raise TypeError: C{what} is no type that has a form here.
        """
        if self._closed or not self._mode & self.load:
            self._half(False)
        # As for numbers in <<.
        isType = isinstance(what, type)
        if isType and (make := NUMBERS.get(what)) is not None:
            return make(what, self._loading.unpack(what.form))
        if what is CString:
            return self._loading.item(CString, Loading.string, self._loading)
        load = getattr(what, "archiveLoad", None)
        # A class method of an instance is its type's: that is a value, and not what says how to read one.
        if load is None or not (isType or getattr(load, "__self__", None) is what):
            load = _loader(what)
        return self._loading.item(what, load, self)

    def whenLoaded(self, what: Any) -> Deferred[Any]:
        """
        Load a value that may still have to come (C{value = await ar.whenLoaded(type)}).

        @param what: as for C{>>}.  A function may be called several times, from the beginning of the same data: it
            should make what it fills.
        @return: the value; fails as C{>>} does, with C{endOfFile} when no more comes, and with the error of the file.
            It can be cancelled: nothing was taken then.
        @raise RuntimeError: another one waits.
        """
        if self._waits:
            raise RuntimeError("one at a time: another whenLoaded of this archive waits")
        self._waits = True
        return Deferred.fromCoroutine(self._load(what))

    async def _load(self, what: Any) -> Any:
        try:
            while True:
                try:
                    return self >> what
                except ArchiveIncomplete as incomplete:
                    missing = incomplete.missing
                await self._arrival(missing)
        finally:
            self._waits = False

    async def _arrival(self, missing: int) -> None:
        if self._read is None:
            self._fed = Deferred()
            try:
                await self._fed
            finally:
                self._fed = None
            return
        data = self._read(missing)
        if not isinstance(data, (bytes, bytearray, memoryview)):
            data = await data
        if data:
            self._loading.feed(data)
        else:
            self._loading.end()

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """
        Give an archive without a file what has come.

        @param data: any number of bytes; they are copied.
        """
        self._ownSource().feed(data)
        if self._fed is not None:
            self._fed.callback(None)

    def feedEnd(self) -> None:
        """
        Tell an archive without a file that no more will come.
        """
        self._ownSource().end()
        if self._fed is not None:
            self._fed.callback(None)

    def takeStored(self) -> bytes:
        """
        @return: what was written, and not flushed; it is the caller's to send.  Without a file also after L{Close}.
        """
        if self.IsLoading():
            self._half(True)
        data = bytes(self._storing.data)
        self._storing.data.clear()
        return data

    def _ownSource(self) -> Loading:
        self._half(False)
        if self._file is not None:
            raise ValueError("this archive reads its file")
        return self._loading

    def _half(self, storing: bool) -> None:
        if self._closed:
            raise ValueError("the archive is closed")
        if storing is not self.IsStoring():
            name = getattr(self._file, "name", "")
            cause, word = (Cause.readOnly, "loaded") if storing else (Cause.writeOnly, "stored")
            raise CArchiveException(cause, f"the archive is being {word}", name if isinstance(name, str) else "")


def _loader(what: Any) -> Callable[[Any], Any]:
    """
    What reads something that is no type with a form here.
    """
    if isinstance(what, tuple):
        return lambda ar: tuple(ar >> part for part in what)
    if what is str:
        return CString.archiveLoad
    if not isinstance(what, type):
        if callable(what) and not hasattr(what, "archiveLoad"):
            return what  # type: ignore[no-any-return]  # of whatever the program has made
        raise TypeError(f"a value is loaded by its type, value = ar >> {type(what).__name__}, not into {what!r}")
    raise TypeError(_noForm(what()) if what in _HINTS else f"{what.__name__} has no form in an archive")


_HINTS = {
    int: "it has no width: say BYTE, WORD, DWORD, LONG, ...",
    float: "it has no width: say FLOAT or DOUBLE",
    bool: "say BOOL, which has 4 bytes, or BOOLEAN, C++'s bool, which has 1",
    bytes: "say ar.Write(data), or CByteArray(data).Serialize(ar), with a count",
    bytearray: "say ar.Write(data), or CByteArray(data).Serialize(ar), with a count",
}


def _noForm(value: object) -> str:
    hint = _HINTS.get(type(value))
    return f"{type(value).__name__} has no form in an archive" + (f": {hint}" if hint else "")
