"""
Classes of which objects are archived, and archives over memory.
"""

from __future__ import annotations

import io
from typing import Any

from twisted_casync.archive import (
    IMPLEMENT_SERIAL,
    INT,
    VERSIONABLE_SCHEMA,
    CArchive,
    CByteArray,
    CDWordArray,
    ClassRegistry,
    CMapStringToOb,
    CMapStringToString,
    CMapWordToOb,
    CObArray,
    CObject,
    CObList,
    CString,
    CStringArray,
    CStringList,
    CWordArray,
)

OURS = ClassRegistry()
"""The classes of these tests, and MFC's collections."""

for _cls in (CByteArray, CWordArray, CDWordArray, CStringArray, CObArray, CStringList, CObList):
    OURS.add(_cls)
for _map in (CMapStringToString, CMapStringToOb, CMapWordToOb):
    OURS.add(_map)


@IMPLEMENT_SERIAL("CAge", CObject, 1, classes=OURS)
class CAge(CObject):
    """The class of the reference's own examples of collections."""

    def __init__(self, years: int = 0) -> None:
        self.m_years = INT(years)

    def Serialize(self, ar: CArchive) -> None:
        super().Serialize(ar)
        if ar.IsStoring():
            ar << self.m_years
        else:
            self.m_years = ar >> INT

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.m_years})"


@IMPLEMENT_SERIAL("COldAge", CAge, VERSIONABLE_SCHEMA | 3, classes=OURS)
class COldAge(CAge):
    """A derived class, which reads older versions of itself."""

    def __init__(self, years: int = 0, name: str = "") -> None:
        super().__init__(years)
        self.m_name = name
        self.nSchema = 3

    def Serialize(self, ar: CArchive) -> None:
        if ar.IsStoring():
            ar << self.m_years << self.m_name
        else:
            self.nSchema = ar.GetObjectSchema()
            self.m_years = ar >> INT
            self.m_name = ar >> CString if self.nSchema >= 2 else "nobody"


@IMPLEMENT_SERIAL("CNode", CObject, 0, classes=OURS)
class CNode(CObject):
    """A thing with a pointer to the next."""

    def __init__(self, pNext: CNode | None = None) -> None:
        self.m_pNext = pNext

    def Serialize(self, ar: CArchive) -> None:
        if ar.IsStoring():
            ar << self.m_pNext
        else:
            self.m_pNext = ar >> CNode


def state(value: Any, seen: dict[int, int] | None = None) -> Any:
    """
    A value as something that can be compared: its type, what it has, and which of its objects are the same.
    """
    seen = {} if seen is None else seen
    if isinstance(value, CObject):
        if id(value) in seen:
            return ("again", seen[id(value)])
        seen[id(value)] = len(seen)
        inside: Any = None
        if isinstance(value, dict):
            inside = [(state(key, seen), state(item, seen)) for key, item in value.items()]
        elif isinstance(value, list):
            inside = [state(item, seen) for item in value]
        elif isinstance(value, bytearray):
            inside = bytes(value)
        members = {
            name: state(item, seen) for name, item in vars(value).items() if name not in ("TYPE", "KEY", "VALUE")
        }
        return (type(value).__name__, inside, members)
    if isinstance(value, tuple):
        return tuple(state(item, seen) for item in value)
    return value


def stored(*values: Any, **options: Any) -> bytes:
    """
    What C{ar << value} writes for each.
    """
    ar = CArchive(None, CArchive.store, **options)
    for value in values:
        ar << value
    return ar.takeStored()


def serialized(ob: CObject, **options: Any) -> bytes:
    """
    What C{ob.Serialize(ar)} writes.
    """
    ar = CArchive(None, CArchive.store, **options)
    ob.Serialize(ar)
    return ar.takeStored()


def fromMemory(data: bytes, **options: Any) -> CArchive:
    """
    An archive over a file in memory.
    """
    return CArchive(io.BytesIO(data), CArchive.load, classes=OURS, **options)


def fed(data: bytes = b"", **options: Any) -> CArchive:
    """
    An archive that was given so much.
    """
    ar = CArchive(None, CArchive.load, classes=OURS, **options)
    ar.feed(data)
    return ar
