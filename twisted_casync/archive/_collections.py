"""
MFC's collections: lists and dictionaries of Python that have C{Serialize}.

An array and a list are a count and the elements, a map is a count and pairs.  An array that is read replaces what it
had, a list and a map add to it, as in MFC.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from twisted_casync.archive._classes import IMPLEMENT_SERIAL, CObject
from twisted_casync.archive._values import DWORD, WORD, CString, Integer, Real, Serialized

if TYPE_CHECKING:
    from twisted_casync.archive._carchive import CArchive

__all__ = [
    "CArray",
    "CByteArray",
    "CDWordArray",
    "CList",
    "CMap",
    "CMapStringToOb",
    "CMapStringToString",
    "CMapWordToOb",
    "CObArray",
    "CObList",
    "CStringArray",
    "CStringList",
    "CWordArray",
]


def _isNumber(TYPE: Any) -> bool:
    return isinstance(TYPE, type) and issubclass(TYPE, (Integer, Real))


def _isPointer(TYPE: Any) -> bool:
    return isinstance(TYPE, type) and issubclass(TYPE, CObject)


def _isString(TYPE: Any) -> bool:
    return isinstance(TYPE, type) and issubclass(TYPE, str)


def _least(TYPE: Any) -> int:
    """
    The bytes that an element has at least, so that a count can be held against what has come.
    """
    if _isNumber(TYPE):
        size: int = TYPE.form.size
        return size
    return 2 if _isPointer(TYPE) else 1 if _isString(TYPE) else getattr(TYPE, "leastBytes", 0)


def _store(ar: CArchive, TYPE: Any, value: Any) -> None:
    """
    Write an element; a number or a string need not have its type yet.
    """
    if _isPointer(TYPE):
        ar.WriteObject(value)
    elif isinstance(TYPE, Serialized):
        value.Serialize(ar)
    elif _isNumber(TYPE) or (_isString(TYPE) and isinstance(value, str)):
        ar << TYPE(value)
    else:
        ar << value


def _load(ar: CArchive, TYPE: Any) -> Iterator[Any]:
    """
    The elements that come.
    """
    count = ar.ReadCount()
    if _isNumber(TYPE):
        yield from ar.unpackMany(TYPE.code, count)
        return
    ar.require(count * _least(TYPE))
    for _ in range(count):
        yield ar >> TYPE


class _Sequence(list[Any], CObject):
    """
    A list of elements of a type, which can be written and read.
    """

    TYPE: Any = CObject

    def __init__(self, elements: Iterable[Any] = (), TYPE: Any = None) -> None:
        """
        @param elements: what it has at first.
        @param TYPE: the type of the elements: anything with a form in an archive.  C{CObject}, or a class derived from
            it: pointers.
        """
        super().__init__(elements)
        if TYPE is not None:
            self.TYPE = TYPE

    # Not by their contents: each is an object of its own in an archive.
    __hash__ = CObject.__hash__  # type: ignore[assignment]

    def _storeElements(self, ar: CArchive) -> None:
        ar.WriteCount(len(self))
        if _isNumber(self.TYPE):
            try:
                ar.packMany(self.TYPE.code, self)
            except (struct.error, OverflowError, TypeError):
                # One of them has to be cast.
                ar.packMany(self.TYPE.code, [self.TYPE(value) for value in self])
            return
        for value in self:
            _store(ar, self.TYPE, value)

    def GetCount(self) -> int:
        """
        @return: how many elements there are.
        """
        return len(self)

    def GetSize(self) -> int:
        """
        @return: how many elements there are.
        """
        return len(self)

    def IsEmpty(self) -> bool:
        """
        @return: whether there are none.
        """
        return not self

    def RemoveAll(self) -> None:
        """
        Remove all elements.
        """
        self.clear()

    def GetAt(self, nIndex: int) -> Any:
        """
        @return: an element.
        """
        return self[nIndex]

    def SetAt(self, nIndex: int, newElement: Any) -> None:
        """
        Replace an element.
        """
        self[nIndex] = newElement


class CArray(_Sequence):
    """
    An array (C{CArray<TYPE>}): C{CArray([1, 2], TYPE=WORD)}.  A subclass can have C{TYPE} as its attribute.

    C{CTypedPtrArray} is a C{CObArray} in an archive.
    """

    def Serialize(self, ar: CArchive) -> None:
        """
        Write the elements, or replace them by those that are read.
        """
        if ar.IsStoring():
            self._storeElements(ar)
        else:
            self[:] = _load(ar, self.TYPE)

    def Add(self, newElement: Any) -> int:
        """
        Add an element at the end.

        @return: its index.
        """
        self.append(newElement)
        return len(self) - 1


class CList(_Sequence):
    """
    A list (C{CList<TYPE>}): C{CList(TYPE=CPoint)}.

    C{CTypedPtrList} is a C{CObList} in an archive.
    """

    def Serialize(self, ar: CArchive) -> None:
        """
        Write the elements, or add those that are read.
        """
        if ar.IsStoring():
            self._storeElements(ar)
        else:
            self += list(_load(ar, self.TYPE))

    def AddTail(self, newElement: Any) -> None:
        """
        Add an element, or all of another list, at the end.
        """
        if isinstance(newElement, CList):
            self.extend(newElement)
        else:
            self.append(newElement)

    def AddHead(self, newElement: Any) -> None:
        """
        Add an element, or all of another list, before the first.
        """
        self[:0] = newElement if isinstance(newElement, CList) else [newElement]

    def GetHead(self) -> Any:
        """
        @return: the first element.
        """
        return self[0]

    def GetTail(self) -> Any:
        """
        @return: the last element.
        """
        return self[-1]

    def RemoveHead(self) -> Any:
        """
        @return: the first element, which is removed.
        """
        return self.pop(0)

    def RemoveTail(self) -> Any:
        """
        @return: the last element, which is removed.
        """
        return self.pop()


class CMap(dict[Any, Any], CObject):
    """
    A map (C{CMap<KEY, VALUE>}): C{CMap(KEY=WORD, VALUE=CString)}.
    """

    KEY: Any = CString
    VALUE: Any = CObject

    def __init__(
        self,
        pairs: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (),
        KEY: Any = None,
        VALUE: Any = None,
    ) -> None:
        """
        @param pairs: what it has at first.
        @param KEY: the type of the keys.
        @param VALUE: the type of the values.
        """
        super().__init__(pairs)
        if KEY is not None:
            self.KEY = KEY
        if VALUE is not None:
            self.VALUE = VALUE

    __hash__ = CObject.__hash__  # type: ignore[assignment]

    def Serialize(self, ar: CArchive) -> None:
        """
        Write the pairs, in the order of the dictionary, or add those that are read.
        """
        if ar.IsStoring():
            ar.WriteCount(len(self))
            for key, value in self.items():
                _store(ar, self.KEY, key)
                _store(ar, self.VALUE, value)
            return
        count = ar.ReadCount()
        ar.require(count * (_least(self.KEY) + _least(self.VALUE)))
        self.update([(ar >> self.KEY, ar >> self.VALUE) for _ in range(count)])

    def GetCount(self) -> int:
        """
        @return: how many pairs there are.
        """
        return len(self)

    def GetSize(self) -> int:
        """
        @return: how many pairs there are.
        """
        return len(self)

    def IsEmpty(self) -> bool:
        """
        @return: whether there are none.
        """
        return not self

    def RemoveAll(self) -> None:
        """
        Remove all pairs.
        """
        self.clear()

    def RemoveKey(self, key: Any) -> bool:
        """
        @return: whether there was such a pair, which is removed.
        """
        there = key in self
        self.pop(key, None)
        return there

    def SetAt(self, key: Any, newValue: Any) -> None:
        """
        Add a pair, or replace its value.
        """
        self[key] = newValue

    def Lookup(self, key: Any) -> Any:
        """
        @return: the value, or L{None}.
        """
        return self.get(key)


# All have version 0 in MFC.


@IMPLEMENT_SERIAL("CByteArray", CObject, 0)
class CByteArray(bytearray, CObject):
    """
    Bytes with a count (C{CByteArray}): a C{bytearray}.
    """

    __hash__ = CObject.__hash__  # type: ignore[assignment]

    def Serialize(self, ar: CArchive) -> None:
        """
        Write the bytes, or replace them by those that are read.
        """
        if ar.IsStoring():
            ar.WriteCount(len(self))
            ar.Write(self)
        else:
            count = ar.ReadCount()
            ar.require(count)
            self[:] = ar.Read(count)

    def GetSize(self) -> int:
        """
        @return: how many bytes there are.
        """
        return len(self)

    def GetCount(self) -> int:
        """
        @return: how many bytes there are.
        """
        return len(self)

    def RemoveAll(self) -> None:
        """
        Remove all bytes.
        """
        self.clear()


@IMPLEMENT_SERIAL("CWordArray", CObject, 0)
class CWordArray(CArray):
    """
    An array of C{WORD} (C{CWordArray}).
    """

    TYPE: Any = WORD


@IMPLEMENT_SERIAL("CDWordArray", CObject, 0)
class CDWordArray(CArray):
    """
    An array of C{DWORD} (C{CDWordArray}).
    """

    TYPE: Any = DWORD


@IMPLEMENT_SERIAL("CStringArray", CObject, 0)
class CStringArray(CArray):
    """
    An array of strings (C{CStringArray}).
    """

    TYPE: Any = CString


@IMPLEMENT_SERIAL("CObArray", CObject, 0)
class CObArray(CArray):
    """
    An array of objects (C{CObArray}); with C{TYPE}, of a class.
    """


@IMPLEMENT_SERIAL("CStringList", CObject, 0)
class CStringList(CList):
    """
    A list of strings (C{CStringList}).
    """

    TYPE: Any = CString


@IMPLEMENT_SERIAL("CObList", CObject, 0)
class CObList(CList):
    """
    A list of objects (C{CObList}); with C{TYPE}, of a class.
    """


@IMPLEMENT_SERIAL("CMapStringToString", CObject, 0)
class CMapStringToString(CMap):
    """
    A map of strings to strings (C{CMapStringToString}).
    """

    VALUE: Any = CString


@IMPLEMENT_SERIAL("CMapStringToOb", CObject, 0)
class CMapStringToOb(CMap):
    """
    A map of strings to objects (C{CMapStringToOb}).
    """


@IMPLEMENT_SERIAL("CMapWordToOb", CObject, 0)
class CMapWordToOb(CMap):
    """
    A map of C{WORD} to objects (C{CMapWordToOb}).
    """

    KEY: Any = WORD
