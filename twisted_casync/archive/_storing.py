"""
Values become bytes, in the forms that MFC writes.  This knows no file and no socket.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeVar

from twisted_casync.archive._classes import CObject, CRuntimeClass
from twisted_casync.archive._errors import ArchiveLimits, CArchiveException, Cause
from twisted_casync.archive._wire import (
    BIG_CLASS,
    BIG_TAG,
    CLASS_TAG,
    LARGEST_MAP,
    LARGEST_SMALL_INDEX,
    LONG_BYTE,
    LONG_DWORD,
    LONG_WORD,
    NEW_CLASS_TAG,
    NULL_TAG,
    UNICODE_MARK,
    VERSIONABLE_SCHEMA,
    WORD_LENGTHS_END,
)

__all__ = ["Storing"]

T = TypeVar("T")

_WORD = struct.Struct("<H")
_BIG = struct.Struct("<HI")
_HUGE = struct.Struct("<HIQ")


class Storing:
    """
    The writing half of an archive.

    @ivar data: what was written and not yet taken away.
    """

    __slots__ = ("_codePage", "_depth", "_kept", "_limits", "_map", "_open", "data")

    def __init__(self, limits: ArchiveLimits, codePage: str) -> None:
        """
        @param limits: of which the depth holds here too: the other side is presumed to have the same.
        @param codePage: the encoding of strings that are not in Unicode.
        """
        self._limits = limits
        self._codePage = codePage
        self.data = bytearray()
        # By identity: that an object is equal to another makes it no less an object of its own.  What is in the map is
        # kept alive, or its identity would become another's.
        self._map: dict[int, int] = {}
        self._kept: list[object] = []
        self._depth = 0
        self._open = False

    def item(self, value: T, store: Callable[[T], None]) -> None:
        """
        Write something whole, or nothing: what fails in the middle leaves no half of it behind.

        @param value: what is written.
        @param store: writes it, given C{value}.
        """
        if self._open:
            store(value)
            return
        length, known = len(self.data), len(self._kept)
        self._open = True
        try:
            store(value)
        except BaseException:
            del self.data[length:]
            if len(self._kept) > known:
                del self._kept[known:]
                self._map = {id(entry): index for index, entry in enumerate(self._kept, 1)}
            self._depth = 0
            raise
        finally:
            self._open = False

    @property
    def whole(self) -> bool:
        """
        Whether no item is being written.
        """
        return not self._open

    # -- values

    def pack(self, form: struct.Struct, value: Any) -> None:
        """
        @param form: of one value.
        """
        self.data += form.pack(value)

    def count(self, number: int) -> None:
        """
        @param number: the count of a collection.
        """
        if not 0 <= number < 1 << 64:
            raise ValueError(f"a count is 0 to 2**64 - 1, not {number}")
        self.data += _long(number) if number >= LONG_WORD else _WORD.pack(number)

    def string(self, text: str, wide: bool) -> None:
        """
        @param text: what to write.
        @param wide: in Unicode, or in the archive's code page.
        @raise UnicodeEncodeError: the code page lacks a character of it.
        """
        if wide:
            coded = text.encode("utf-16-le", "surrogatepass")
            length = len(coded) // 2
            self.data.append(LONG_BYTE)
            self.data += _WORD.pack(UNICODE_MARK)
        else:
            coded = text.encode(self._codePage, "surrogateescape")
            length = len(coded)
        if length < LONG_BYTE:
            self.data.append(length)
        elif length < WORD_LENGTHS_END:
            self.data.append(LONG_BYTE)
            self.data += _WORD.pack(length)
        else:
            self.data.append(LONG_BYTE)
            self.data += _long(length)
        self.data += coded

    def text(self, text: str, wide: bool) -> None:
        """
        @param text: what to write, without a length.
        @param wide: in Unicode, or in the archive's code page.
        """
        self.data += (
            text.encode("utf-16-le", "surrogatepass") if wide else text.encode(self._codePage, "surrogateescape")
        )

    # -- objects

    def add(self, entry: object) -> None:
        """
        Give something the next index.

        @raise CArchiveException: C{badIndex}, there are no more.
        """
        if len(self._kept) >= LARGEST_MAP:
            raise CArchiveException(Cause.badIndex, "too many objects for one archive")
        self._kept.append(entry)
        self._map[id(entry)] = len(self._kept)

    def runtimeClass(self, runtimeClass: CRuntimeClass) -> None:
        """
        @param runtimeClass: the class to name.
        """
        index = self._map.get(id(runtimeClass))
        if index is not None:
            if index <= LARGEST_SMALL_INDEX:
                self.data += _WORD.pack(CLASS_TAG | index)
            else:
                self.data += _BIG.pack(BIG_TAG, BIG_CLASS | index)
            return
        name = runtimeClass.m_lpszClassName.encode("ascii")
        schema = runtimeClass.m_wSchema & ~VERSIONABLE_SCHEMA
        self.data += struct.pack("<HHH", NEW_CLASS_TAG, schema, len(name)) + name
        self.add(runtimeClass)

    def object(self, archive: Any, pOb: CObject | None) -> None:
        """
        @param archive: what to give to its Serialize.
        @param pOb: what to write.
        """
        if pOb is None:
            self.data += _WORD.pack(NULL_TAG)
            return
        index = self._map.get(id(pOb))
        if index is not None:
            self.data += _WORD.pack(index) if index <= LARGEST_SMALL_INDEX else _BIG.pack(BIG_TAG, index)
            return
        if not pOb.IsSerializable():
            raise TypeError(f"{type(pOb).__name__} needs IMPLEMENT_SERIAL")
        if self._depth >= self._limits.nMaxDepth:
            raise CArchiveException(
                Cause.genericException, f"more than {self._limits.nMaxDepth} objects inside each other (nMaxDepth)"
            )
        self.runtimeClass(pOb.GetRuntimeClass())
        # Before its own data, which can refer to it.
        self.add(pOb)
        self._depth += 1
        pOb.Serialize(archive)
        self._depth -= 1


def _long(number: int) -> bytes:
    """
    A length or a count that no WORD says.
    """
    return _BIG.pack(LONG_WORD, number) if number < LONG_DWORD else _HUGE.pack(LONG_WORD, LONG_DWORD, number)
