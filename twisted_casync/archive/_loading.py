"""
Bytes become values: what has come so far, and where in it the archive is.

This knows no file and no socket.  Bytes are given to it; what is asked for and not all there is L{ArchiveIncomplete},
and then nothing has been taken: an item is read from its beginning again when more has come.  That is what lets
C{Serialize} be plain code, as it is in C++, although nothing may block here.  What it costs is bounded, see
L{ArchiveLimits}.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeVar

from twisted_casync.archive._classes import ClassRegistry, CObject, CRuntimeClass
from twisted_casync.archive._errors import ArchiveIncomplete, ArchiveLimits, CArchiveException, Cause
from twisted_casync.archive._wire import (
    BIG_CLASS,
    BIG_TAG,
    CLASS_TAG,
    LONG_BYTE,
    LONG_DWORD,
    LONG_WORD,
    LONGEST_CLASS_NAME,
    NEW_CLASS_TAG,
    NO_SCHEMA,
    UNICODE_MARK,
    VERSIONABLE_SCHEMA,
)

__all__ = ["Loading"]

A = TypeVar("A")
T = TypeVar("T")

_BYTE = struct.Struct("<B")
_WORD = struct.Struct("<H")
_DWORD = struct.Struct("<I")
_QWORD = struct.Struct("<Q")


class _SeenClass:
    """
    A class in the map: which, and of which version its objects here are.
    """

    __slots__ = ("runtimeClass", "schema")

    def __init__(self, runtimeClass: CRuntimeClass, schema: int) -> None:
        self.runtimeClass = runtimeClass
        self.schema = schema


class Loading:
    """
    The reading half of an archive.

    @ivar schema: of the object that is being read, until it was asked for.
    """

    __slots__ = (
        "_asked",
        "_at",
        "_classes",
        "_codePage",
        "_data",
        "_depth",
        "_doomed",
        "_ended",
        "_limits",
        "_map",
        "_needed",
        "_pull",
        "_reread",
        "_start",
        "schema",
    )

    def __init__(
        self,
        classes: ClassRegistry,
        limits: ArchiveLimits,
        codePage: str,
        pull: Callable[[int], bytes] | None = None,
    ) -> None:
        """
        @param classes: those whose objects may come.
        @param codePage: the encoding of strings that are not in Unicode.
        @param pull: gives more, when asked for at least so many bytes, or nothing at the end; never waits.  Where there
            is one, nothing has to be read again.
        """
        self._classes = classes
        self._limits = limits
        self._codePage = codePage
        self._pull = pull
        self._data = bytearray()
        self._at = 0
        self._ended = False
        # Index 0 is the null pointer's.
        self._map: list[_SeenClass | CObject | None] = [None]
        self._depth = 0
        self.schema = NO_SCHEMA
        # The item that is being read, or was not whole: where it begins while it is read, what was asked for, how many
        # bytes it has at least, and how many were read again for it.
        self._start: int | None = None
        self._asked: Any = None
        self._needed = 0
        self._reread = 0
        self._doomed: ArchiveIncomplete | None = None

    # -- what comes

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """
        @param data: what has come; it is copied.
        """
        if self._at and self._start is None:
            # What was read is not needed any more.
            del self._data[: self._at]
            self._at = 0
        self._data += data

    def end(self) -> None:
        """
        No more will come.
        """
        self._ended = True

    @property
    def available(self) -> int:
        """
        The bytes that have come and were not taken.
        """
        return len(self._data) - self._at

    # -- an item: all or nothing

    def item(self, asked: Any, read: Callable[[A], T], archive: A) -> T:
        """
        Read something whole, or take nothing.

        @param asked: what is asked for: the same question is not tried again before the bytes are there of which the
            last attempt knew.
        @param read: reads it, given C{archive}, and may be called again later.
        @raise ArchiveIncomplete: not all has come.
        @raise CArchiveException: what came is not what it should be.
        """
        if self._start is not None:
            return read(archive)
        try:
            return read(archive) if self._pull is not None else self._attempt(asked, read, archive)
        except RecursionError:
            raise _excess("nested more deeply than Python's stack allows") from None

    def _attempt(self, asked: Any, read: Callable[[A], T], archive: A) -> T:
        missing = self._needed - self.available
        if missing > 0 and not self._ended and self._asked == asked:
            raise ArchiveIncomplete(missing)
        start, known, schema = self._at, len(self._map), self.schema
        self._start = start
        try:
            value = read(archive)
            if self._doomed is not None:
                # Someone caught it on its way: what he made of it is not what was sent.
                raise self._doomed
            if self._at - start > self._limits.nMaxItem:
                # As when it comes in pieces.
                raise self._tooLong()
        except BaseException as problem:
            if isinstance(problem, ArchiveIncomplete):
                self._asked, self._needed = asked, len(self._data) - start + problem.missing
                self._reread += self._at - start
            self._at = start
            self.schema = schema
            self._depth = 0
            del self._map[known:]
            if self._reread > self._limits.nMaxReread:
                raise _excess("came in too many pieces: load its parts, or raise nMaxReread") from None
            raise
        finally:
            self._start = self._doomed = None
        self._asked, self._needed, self._reread = None, 0, 0
        return value

    def require(self, count: int) -> None:
        """
        See that so many bytes are there, without taking them.

        @raise ArchiveIncomplete: they may still come.
        @raise CArchiveException: C{endOfFile}, they never will; C{genericException}, the item would be too long.
        """
        while (missing := count - self.available) > 0:
            if self._doomed is not None:
                raise self._doomed
            if self._start is not None and self._at - self._start + count > self._limits.nMaxItem:
                raise self._tooLong()
            if self._ended:
                raise CArchiveException(Cause.endOfFile, f"{missing} bytes are missing")
            if self._pull is None:
                if self._start is None:
                    raise ArchiveIncomplete(missing)
                # In no local variable: the exception's traceback would have it, and both would wait for the collector.
                self._doomed = ArchiveIncomplete(missing)
                raise self._doomed
            more = self._pull(missing)
            self.feed(more)
            self._ended = not more

    def _tooLong(self) -> CArchiveException:
        return _excess(f"an item of more than {self._limits.nMaxItem} bytes (nMaxItem)")

    # -- values

    def unpack(self, form: struct.Struct) -> Any:
        """
        @param form: of one value.
        @return: the value.
        """
        size = form.size
        if size > len(self._data) - self._at:
            self.require(size)
        (value,) = form.unpack_from(self._data, self._at)
        self._at += size
        return value

    def unpackMany(self, code: str, size: int, count: int) -> tuple[Any, ...]:
        """
        @param code: the letter of a value in L{struct}.
        @param size: its bytes.
        @param count: how many come.
        @return: the values.
        """
        self.require(count * size)
        values = struct.unpack_from(f"<{count}{code}", self._data, self._at)
        self._at += count * size
        return values

    def take(self, count: int) -> bytes:
        """
        @return: so many bytes.
        """
        self.require(count)
        self._at += count
        return bytes(self._data[self._at - count : self._at])

    def upTo(self, count: int) -> bytes:
        """
        @return: so many bytes, or fewer at the end.
        """
        try:
            self.require(count)
        except CArchiveException as problem:
            if problem.m_cause != Cause.endOfFile:
                raise
            count = self.available
        return self.take(count)

    def count(self) -> int:
        """
        @return: the count of a collection.
        @raise CArchiveException: C{genericException}, there are more than C{nMaxCount}.
        """
        number: int = self.unpack(_WORD)
        if number == LONG_WORD:
            number = self.unpack(_DWORD)
            if number == LONG_DWORD:
                number = self.unpack(_QWORD)
        if number > self._limits.nMaxCount:
            raise _excess(f"a count of {number} (nMaxCount is {self._limits.nMaxCount})")
        return number

    def _length(self) -> int:
        number: int = self.unpack(_BYTE)
        if number == LONG_BYTE:
            number = self.unpack(_WORD)
            if number == UNICODE_MARK:
                return -1
            if number == LONG_WORD:
                number = self.unpack(_DWORD)
                if number == LONG_DWORD:
                    number = self.unpack(_QWORD)
        return number

    def string(self) -> str:
        """
        @return: a string in whichever of its forms it comes.
        @raise CArchiveException: C{genericException}, it is longer than C{nMaxString}.
        """
        length = self._length()
        wide = length == -1
        if wide:
            length = self._length()
            if length == -1:
                raise CArchiveException(Cause.badIndex, "two marks of Unicode before one string")
        if length > self._limits.nMaxString:
            raise _excess(f"a string of {length} characters (nMaxString is {self._limits.nMaxString})")
        return self._decoded(self.take(length * 2 if wide else length), wide)

    def _decoded(self, data: bytes, wide: bool) -> str:
        try:
            # What Windows lets through comes through: half a surrogate pair, a byte that the code page has not.
            return data.decode("utf-16-le", "surrogatepass") if wide else data.decode(self._codePage, "surrogateescape")
        except UnicodeDecodeError as problem:
            raise CArchiveException(Cause.badIndex, str(problem)) from None

    def line(self, wide: bool, longest: int | None) -> str | None:
        """
        @param wide: whether characters have two bytes.
        @param longest: the characters after which the line is cut.
        @return: the characters up to the next newline, which is taken too, or to the end; L{None} where there are none.
        """
        newline, width = (b"\n\0", 2) if wide else (b"\n", 1)
        most = (self._limits.nMaxString if longest is None else longest) * width
        seen = 0
        while (found := self._find(newline, width, seen)) < 0 and self.available < most + width:
            seen = self.available
            try:
                self.require(seen + 1)
            except ArchiveIncomplete:
                # Looking for a byte is some fifty times cheaper than reading values.
                self._reread += seen // 64
                raise
            except CArchiveException as problem:
                if problem.m_cause != Cause.endOfFile:
                    raise
                break
        if found < 0 or found > most:
            if self.available > most and longest is None:
                raise _excess(f"a line of more than {self._limits.nMaxString} characters (nMaxString)")
            data = self.take(min(self.available, most))
            return self._decoded(data, wide) if data or longest == 0 else None
        text = self._decoded(self.take(found), wide)
        self.take(width)
        return text.removesuffix("\r")

    def _find(self, newline: bytes, width: int, seen: int) -> int:
        position = self._at + seen - seen % width
        while (position := self._data.find(newline, position)) >= 0:
            if (position - self._at) % width == 0:
                return position - self._at
            position += 1
        return -1

    # -- objects

    def _tag(self) -> tuple[bool, int]:
        """
        @return: whether it is a class's, and the index; a new class has 0.
        """
        word: int = self.unpack(_WORD)
        if word == NEW_CLASS_TAG:
            return True, 0
        if word == BIG_TAG:
            big: int = self.unpack(_DWORD)
            if big == BIG_CLASS:
                raise CArchiveException(Cause.badIndex, "a class with the index of the null pointer")
            return big >= BIG_CLASS, big & ~BIG_CLASS
        if word == CLASS_TAG:
            raise CArchiveException(Cause.badIndex, "a class with the index of the null pointer")
        return word >= CLASS_TAG, word & ~CLASS_TAG

    def _entry(self, index: int) -> _SeenClass | CObject | None:
        if index >= len(self._map):
            raise CArchiveException(Cause.badIndex, f"index {index}, and {len(self._map) - 1} have come")
        return self._map[index]

    def add(self, entry: _SeenClass | CObject) -> None:
        """
        Give something the next index.

        @raise CArchiveException: C{genericException}, there are C{nMaxObjects} already.
        """
        if len(self._map) > self._limits.nMaxObjects:
            raise _excess(f"more than {self._limits.nMaxObjects} objects and classes (nMaxObjects)")
        self._map.append(entry)

    def _newClass(self) -> _SeenClass:
        schema: int = self.unpack(_WORD)
        length: int = self.unpack(_WORD)
        if length > LONGEST_CLASS_NAME:
            raise CArchiveException(Cause.badClass, f"a class name of {length} bytes")
        name = self.take(length)
        found = self._classes.classNamed(name.decode("ascii", "replace"))
        if found is None:
            raise CArchiveException(Cause.badClass, f"no class is called {name!r} here")
        if schema != found.m_wSchema & ~VERSIONABLE_SCHEMA and not found.m_wSchema & VERSIONABLE_SCHEMA:
            raise CArchiveException(
                Cause.badSchema, f"version {schema} of {found.m_lpszClassName}, which has {found.m_wSchema} here"
            )
        seen = _SeenClass(found, schema)
        self.add(seen)
        return seen

    def _class(self, index: int, requested: CRuntimeClass | None) -> _SeenClass:
        seen = self._entry(index) if index else self._newClass()
        if not isinstance(seen, _SeenClass):
            raise CArchiveException(Cause.badIndex, f"index {index} is an object's, not a class's")
        if requested is not None and not seen.runtimeClass.IsDerivedFrom(requested):
            raise _wrong(seen.runtimeClass, requested)
        return seen

    def runtimeClass(self, requested: CRuntimeClass | None) -> CRuntimeClass:
        """
        @param requested: the class that it must be, or be derived from.
        @return: a class that stands alone; its version is then the schema.
        """
        isClass, index = self._tag()
        if not isClass:
            raise CArchiveException(Cause.badIndex, f"object {index}, where a class should be")
        seen = self._class(index, requested)
        self.schema = seen.schema
        return seen.runtimeClass

    def object(self, archive: Any, requested: CRuntimeClass | None) -> CObject | None:
        """
        @param archive: what to give to its Serialize.
        @param requested: the class that it must be of, or one derived from it.
        @return: the object: a new one, one that has come before, or L{None}.
        """
        isClass, index = self._tag()
        if not isClass:
            known = self._entry(index)
            if isinstance(known, _SeenClass):
                raise CArchiveException(Cause.badIndex, f"index {index} is a class's, not an object's")
            if known is not None and requested is not None and not known.GetRuntimeClass().IsDerivedFrom(requested):
                raise _wrong(known.GetRuntimeClass(), requested)
            return known
        seen = self._class(index, requested)
        if self._depth >= self._limits.nMaxDepth:
            raise _excess(f"more than {self._limits.nMaxDepth} objects inside each other (nMaxDepth)")
        new = seen.runtimeClass.CreateObject()
        # Before its own data, which can refer to it.
        self.add(new)
        outer, self.schema = self.schema, seen.schema
        self._depth += 1
        try:
            new.Serialize(archive)
        finally:
            self._depth -= 1
            self.schema = outer
        return new


def _excess(what: str) -> CArchiveException:
    return CArchiveException(Cause.genericException, what)


def _wrong(found: CRuntimeClass, requested: CRuntimeClass) -> CArchiveException:
    return CArchiveException(Cause.badClass, f"a {found.m_lpszClassName}, and no {requested.m_lpszClassName}")
