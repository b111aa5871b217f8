"""
MFC's archives: values and objects as bytes, in the format of C{CArchive}, for files, sockets and memory.

 - C{_wire}: the numbers of the format, with their sources.  C{_errors}: what can go wrong, and what is too much.
 - C{_classes}: classes whose objects can be sent.  C{_loading}, C{_storing}: bytes become values, and the reverse.
 - C{_values}, C{_windows}: the types of C++ and of Windows.  C{_collections}: MFC's collections.
 - C{_file}, C{_archive}: files, and what may have to be awaited.  C{_carchive}: L{CArchive}.

Nothing here knows a socket.  C{docs/archive.md} says how C++ reads in Python.
"""

from __future__ import annotations

from twisted_casync.archive._carchive import CArchive
from twisted_casync.archive._classes import IMPLEMENT_SERIAL, RUNTIME_CLASS, ClassRegistry, CObject, CRuntimeClass
from twisted_casync.archive._collections import (
    CArray,
    CByteArray,
    CDWordArray,
    CList,
    CMap,
    CMapStringToOb,
    CMapStringToString,
    CMapWordToOb,
    CObArray,
    CObList,
    CStringArray,
    CStringList,
    CWordArray,
)
from twisted_casync.archive._errors import ArchiveIncomplete, ArchiveLimits, CArchiveException
from twisted_casync.archive._values import (
    BOOL,
    BOOLEAN,
    BYTE,
    CHAR,
    DOUBLE,
    DWORD,
    FLOAT,
    INT,
    LONG,
    LONGLONG,
    SHORT,
    UINT,
    ULONGLONG,
    WCHAR,
    WORD,
    CString,
    CStringA,
    CStringW,
    Serialized,
)
from twisted_casync.archive._windows import COleCurrency, COleDateTime, COleDateTimeSpan, CPoint, CRect, CSize, CTime
from twisted_casync.archive._wire import VERSIONABLE_SCHEMA

__all__ = [
    "BOOL",
    "BOOLEAN",
    "BYTE",
    "CHAR",
    "DOUBLE",
    "DWORD",
    "FLOAT",
    "IMPLEMENT_SERIAL",
    "INT",
    "LONG",
    "LONGLONG",
    "RUNTIME_CLASS",
    "SHORT",
    "UINT",
    "ULONGLONG",
    "VERSIONABLE_SCHEMA",
    "WCHAR",
    "WORD",
    "ArchiveIncomplete",
    "ArchiveLimits",
    "CArchive",
    "CArchiveException",
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
    "CObject",
    "COleCurrency",
    "COleDateTime",
    "COleDateTimeSpan",
    "CPoint",
    "CRect",
    "CRuntimeClass",
    "CSize",
    "CString",
    "CStringA",
    "CStringArray",
    "CStringList",
    "CStringW",
    "CTime",
    "CWordArray",
    "ClassRegistry",
    "Serialized",
]
