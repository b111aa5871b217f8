"""
C{CArchive}: what MFC's archives write and read.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from twisted_casync.archive._archive import Archive
from twisted_casync.archive._classes import RUNTIME_CLASS, CObject, CRuntimeClass
from twisted_casync.archive._loading import Loading
from twisted_casync.archive._values import CString
from twisted_casync.archive._wire import NO_SCHEMA

__all__ = ["CArchive"]


class CArchive(Archive):
    """
    An archive (C{CArchive}), see L{Archive <_archive.Archive>}: of a file, of a C{CSocketFile}, or of what
    C{OnReceive} has received.

    What its members read is read whole or not at all; they raise C{ArchiveIncomplete}, L{CArchiveException} and
    C{ValueError} as C{>>} does.
    """

    # -- bytes, text and counts

    def Write(self, lpBuf: Any, nMax: int | None = None) -> None:
        """
        Write bytes as they are.

        @param lpBuf: any contiguous buffer.
        @param nMax: how many of them; all unless given.
        """
        self._half(True)
        view = memoryview(lpBuf).cast("B")
        self._storing.data += view if nMax is None else view[: _within(nMax, view)]
        self._spill()

    def Read(self, lpBuf: Any, nMax: int | None = None) -> Any:
        """
        Read bytes as they are: all that are asked for, and fewer only at the end.

        @param lpBuf: a writable buffer to fill; or how many bytes to give.
        @param nMax: how many to put into the buffer; as many as it has unless given.
        @return: the count; without a buffer, the bytes.
        """
        self._half(False)
        if isinstance(lpBuf, int):
            if lpBuf < 0:
                raise ValueError(f"a count of bytes can't be negative: {lpBuf}")
            return self._loading.item(("Read", lpBuf), lambda _: self._loading.upTo(lpBuf), self)
        view = memoryview(lpBuf).cast("B")
        count = len(view) if nMax is None else _within(nMax, view)
        data = self._loading.item(("Read", count), lambda _: self._loading.upTo(count), self)
        view[: len(data)] = data
        return len(data)

    def WriteString(self, lpsz: str) -> None:
        """
        Write text as it is: without a length, in Unicode or the code page as the archive was made.
        """
        self._half(True)
        self._storing.text(lpsz, self._wide)

    def ReadString(self, nMax: int | None = None) -> str | None:
        """
        Read a line of such text.

        @param nMax: the characters after which it is cut.
        @return: the line without its newline; L{None} at the end.
        """
        self._half(False)
        return self._loading.item(("line", nMax), lambda _: self._loading.line(self._wide, nMax), self)

    def WriteCount(self, dwCount: int) -> None:
        """
        Write the count of a collection.
        """
        self._half(True)
        self._storing.count(dwCount)

    def ReadCount(self) -> int:
        """
        @return: the count of a collection.
        """
        self._half(False)
        return self._loading.item("count", lambda _: self._loading.count(), self)

    def packString(self, text: str, bUnicode: bool | None = None) -> None:
        """
        Write a C{CString}.

        @param bUnicode: in Unicode, or in the code page; as the archive was made unless given.
        """
        self._half(True)
        self._storing.string(text, self._wide if bUnicode is None else bUnicode)

    def unpackString(self) -> str:
        """
        @return: a C{CString}.
        """
        self._half(False)
        return self._loading.item(CString, Loading.string, self._loading)

    def pack(self, form: struct.Struct, value: Any) -> None:
        """
        Write a value.

        @param form: how, for a C++ type that has no type here; it begins with C{"<"}.
        """
        self._half(True)
        self._storing.pack(form, value)

    def unpack(self, form: struct.Struct) -> Any:
        """
        Read a value.

        @param form: of one value; it begins with C{"<"}.
        @return: the value.
        """
        self._half(False)
        return self._loading.unpack(form)

    def packMany(self, code: str, values: Sequence[Any]) -> None:
        """
        Write many values of a kind at once, without a count.

        @param code: the letter of one in L{struct}.
        """
        self._half(True)
        self.Write(struct.pack(f"<{len(values)}{code}", *values))

    def unpackMany(self, code: str, count: int) -> tuple[Any, ...]:
        """
        Read many values of a kind at once.

        @param code: the letter of one in L{struct}.
        @param count: how many.
        """
        self._half(False)
        return self._loading.unpackMany(code, struct.calcsize(f"<{code}"), count)

    def require(self, count: int) -> None:
        """
        See that so many bytes are there, without taking them: before memory is taken for what a count announces, and
        so that nothing is begun that can't be whole.

        @raise ArchiveIncomplete: they may still come.
        @raise CArchiveException: they never will, or are too many.
        """
        self._half(False)
        self._loading.require(count)

    # -- objects

    def WriteObject(self, pOb: CObject | None) -> None:
        """
        Write an object, with its class and its identity (C{ar << pOb}): the second time only the latter.

        @param pOb: the object, or L{None}.
        @raise TypeError: its class has no C{IMPLEMENT_SERIAL}.
        @raise CArchiveException: C{genericException}, it is inside too many others; C{badIndex}, there are too many.
        """
        self._half(True)
        if pOb is not None and not isinstance(pOb, CObject):
            raise TypeError(f"pOb must be derived from CObject, not be a {type(pOb).__name__}")
        self._storing.item(self, lambda ar: self._storing.object(ar, pOb))

    def ReadObject(self, pClass: CRuntimeClass | type[CObject] | None = None) -> CObject | None:
        """
        Read an object (C{pOb = ar >> CMyClass}).

        @param pClass: the class that it must be of, or one derived from it; any in the registry unless given.
        @return: the object, or L{None}.
        @raise CArchiveException: C{badClass}, the class is not known, or another; C{badSchema}, the version is another;
            C{badIndex}, it refers to what has not come; C{genericException}, a limit was passed.
        """
        self._half(False)
        requested = None if pClass is None else RUNTIME_CLASS(pClass)
        return self._loading.item(("object", requested), lambda ar: self._loading.object(ar, requested), self)

    def WriteClass(self, pClassRef: CRuntimeClass | type[CObject]) -> None:
        """
        Write a class alone: of a base, whose version is then known to who reads.
        """
        self._half(True)
        self._storing.runtimeClass(RUNTIME_CLASS(pClassRef))

    def ReadClass(self, pClassRefRequested: CRuntimeClass | type[CObject] | None = None) -> CRuntimeClass:
        """
        Read a class that L{WriteClass} wrote.  Its version is then L{GetObjectSchema}.

        @param pClassRefRequested: what it must be, or be derived from.
        """
        self._half(False)
        requested = None if pClassRefRequested is None else RUNTIME_CLASS(pClassRefRequested)
        return self._loading.item(("class", requested), lambda _: self._loading.runtimeClass(requested), self)

    def SerializeClass(self, pClassRef: CRuntimeClass | type[CObject]) -> None:
        """
        L{WriteClass} or L{ReadClass}, as the archive goes.
        """
        if self.IsStoring():
            self.WriteClass(pClassRef)
        else:
            self.ReadClass(pClassRef)

    def MapObject(self, pOb: CObject) -> None:
        """
        Give an object an index without writing it, on both sides at the same place, so that others can refer to it.
        """
        self._half(self.IsStoring())
        if not isinstance(pOb, CObject):
            raise TypeError(f"pOb must be derived from CObject, not be a {type(pOb).__name__}")
        (self._storing.add if self.IsStoring() else self._loading.add)(pOb)

    def GetObjectSchema(self) -> int:
        """
        @return: the version of the object that is being read; C{(UINT)-1}, which is 0xFFFFFFFF, where it is not known,
            and when it is asked for again.
        """
        self._half(False)
        schema, self._loading.schema = self._loading.schema, NO_SCHEMA
        return schema

    def SetObjectSchema(self, nSchema: int) -> None:
        """
        Set what L{GetObjectSchema} answers next.
        """
        self._half(False)
        self._loading.schema = nSchema

    def SetLoadParams(self, nGrowBy: int = 1024) -> None:
        """
        Nothing: it tunes a table of MFC's.
        """

    def SetStoreParams(self, nHashSize: int = 2053, nBlockSize: int = 128) -> None:
        """
        Nothing: it tunes a table of MFC's.
        """


def _within(count: int, view: memoryview) -> int:
    if not 0 <= count <= len(view):
        raise ValueError(f"nMax must be 0 to the buffer's {len(view)}, not {count}")
    return count
