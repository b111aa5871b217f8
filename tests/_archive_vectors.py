"""
Archives byte by byte: each vector is a list of the bytes, what they mean, and the page that says so.

The pages are those of C{docs/archive.md}, by the names that it gives them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from _archives import CAge, CNode, COldAge

from twisted_casync.archive import (
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
    CArchive,
    CArray,
    CByteArray,
    CDWordArray,
    CList,
    CMap,
    CMapStringToString,
    CMapWordToOb,
    CObArray,
    COleCurrency,
    COleDateTime,
    COleDateTimeSpan,
    CPoint,
    CRect,
    CSize,
    CString,
    CStringA,
    CStringArray,
    CStringList,
    CStringW,
    CTime,
    CWordArray,
    Serialized,
)


class Vector(NamedTuple):
    """
    Bytes with their meaning, and the values that they are.
    """

    parts: list[tuple[str, str, str]]
    """The bytes in hexadecimal, what they say, and where that is published."""
    store: Callable[[CArchive], Any]
    load: Any
    value: Any
    options: dict[str, Any] = {}

    @property
    def data(self) -> bytes:
        return b"".join(bytes.fromhex(part) for part, _, _ in self.parts)


def number(TYPE: Any, value: Any, data: str, meaning: str) -> Vector:
    return Vector([(data, meaning, "[operators]")], lambda ar: ar << TYPE(value), TYPE, value)


def long(text: str, head: list[tuple[str, str, str]], wide: bool = False) -> Vector:
    coded = text.encode("utf-16-le" if wide else "cp1252")
    TYPE = CStringW if wide else CStringA
    return Vector(
        [*head, (coded.hex(), f"{len(text)} characters", "[mish]")], lambda ar: ar << TYPE(text), CString, text
    )


MARK = ("ff fe ff", "a string in Unicode: its length follows", "[mish]")
AGE = [
    ("ff ff", "wNewClassTag: a class that has not come yet", "[TN002]"),
    ("01 00", "its schema", "[TN002]"),
    ("04 00", "the length of its name", "[VLab]"),
    ("43 41 67 65", "CAge, in ASCII: index 1", "[TN002]"),
]
_homer = CAge(36)
_bart = CAge(10)


def _cycle() -> CNode:
    node = CNode()
    node.m_pNext = node
    return node


def _named(ar: CArchive) -> Any:
    ar.SerializeClass(CAge)
    return ar.GetObjectSchema()


def _mapped(ar: CArchive) -> Any:
    owner = CNode()
    ar.MapObject(owner)
    return (ar >> CNode) is owner


def _storeMapped(ar: CArchive) -> None:
    owner = CNode()
    ar.MapObject(owner)
    ar << owner


VECTORS: dict[str, Vector] = {
    "BYTE": number(BYTE, 0xFE, "fe", "8 bits"),
    "CHAR": number(CHAR, -2, "fe", "8 bits, two's complement"),
    "bool": number(BOOLEAN, 1, "01", "a bool has one byte"),
    "BOOL": number(BOOL, 1, "01 00 00 00", "a BOOL is an int"),
    "WORD": number(WORD, 0x1234, "34 12", "16 bits, the low byte first"),
    "SHORT": number(SHORT, -2, "fe ff", "16 bits"),
    "wchar_t": number(WCHAR, 0x20AC, "ac 20", "one UTF-16 code unit: the euro"),
    "DWORD": number(DWORD, 0x12345678, "78 56 34 12", "32 bits"),
    "UINT": number(UINT, 0xFFFFFFFF, "ff ff ff ff", "32 bits"),
    "LONG": number(LONG, -2, "fe ff ff ff", "32 bits"),
    "INT": number(INT, -2, "fe ff ff ff", "32 bits"),
    "ULONGLONG": number(ULONGLONG, 0x123456789ABCDEF0, "f0 de bc 9a 78 56 34 12", "64 bits"),
    "LONGLONG": number(LONGLONG, -2, "fe ff ff ff ff ff ff ff", "64 bits"),
    "float": number(FLOAT, 0.5, "00 00 00 3f", "IEEE 754: exponent 126, no fraction"),
    "double": number(DOUBLE, -2.0, "00 00 00 00 00 00 00 c0", "IEEE 754: sign, exponent 1024"),
    "an empty string": long("", [("00", "length 0", "[mish]")]),
    "the string of the page": long("2010", [("04", "length 4", "[mish]")]),
    "the same in Unicode": long("2010", [MARK, ("04", "length 4", "[mish]")], wide=True),
    "an empty string in Unicode": long("", [MARK, ("00", "length 0", "[mish]")], wide=True),
    "code page 1252": Vector(
        [("02", "length 2", "[mish]"), ("80 e9", "the euro and e acute in 1252", "[mish]")],
        lambda ar: ar << "€é",
        CString,
        "€é",
        {"bUnicode": False},
    ),
    "beyond the BMP": Vector(
        [MARK, ("02", "two code units", "[mish]"), ("3d d8 00 de", "U+1F600 as a surrogate pair", "[mish]")],
        lambda ar: ar << "\U0001f600",
        CString,
        "\U0001f600",
    ),
    "254 characters": long("x" * 254, [("fe", "the longest length of a BYTE", "[mish]")]),
    "255 characters": long("x" * 255, [("ff", "a WORD follows", "[mish]"), ("ff 00", "length 255", "[mish]")]),
    "65533 characters": long("x" * 0xFFFD, [("ff", "a WORD follows", "[mish]"), ("fd ff", "the longest", "[mish]")]),
    "65534 characters": long(
        "x" * 0xFFFE,
        [
            ("ff", "a WORD follows", "[mish]"),
            ("ff ff", "a DWORD follows: FE FF would be the mark of Unicode", "[mish]"),
            ("fe ff 00 00", "length 65534", "[mish]"),
        ],
    ),
    "65535 characters": long(
        "x" * 0xFFFF,
        [
            ("ff", "a WORD follows", "[mish]"),
            ("ff ff", "a DWORD follows", "[mish]"),
            ("ff ff 00 00", "length 65535", "[mish]"),
        ],
    ),
    "254 characters in Unicode": long("é" * 254, [MARK, ("fe", "length 254", "[mish]")], wide=True),
    "255 characters in Unicode": long(
        "é" * 255, [MARK, ("ff", "a WORD follows", "[mish]"), ("ff 00", "length 255", "[mish]")], wide=True
    ),
    "65534 characters in Unicode": long(
        "é" * 0xFFFE,
        [MARK, ("ff", "a WORD", "[mish]"), ("ff ff", "a DWORD", "[mish]"), ("fe ff 00 00", "length 65534", "[mish]")],
        wide=True,
    ),
    "a count": Vector([("fe ff", "65534", "[VLab]")], lambda ar: ar.WriteCount(0xFFFE), CArchive.ReadCount, 0xFFFE),
    "a count of 65535": Vector(
        [("ff ff", "a DWORD follows", "[VLab]"), ("ff ff 00 00", "65535", "[VLab]")],
        lambda ar: ar.WriteCount(0xFFFF),
        CArchive.ReadCount,
        0xFFFF,
    ),
    "a count of 65536": Vector(
        [("ff ff", "a DWORD follows", "[VLab]"), ("00 00 01 00", "65536", "[VLab]")],
        lambda ar: ar.WriteCount(0x10000),
        CArchive.ReadCount,
        0x10000,
    ),
    "CTime": Vector(
        [
            ("0a 00 00 80", "INT_MIN + 10: 64 bits follow", "[m-ri]"),
            (
                "1b 0a 96 5d 00 00 00 00",
                "seconds since 1970",
                "[m-ri]; the first 8 bytes are those of [CTime question]",
            ),
        ],
        lambda ar: ar << CTime(0x5D960A1B),
        CTime,
        0x5D960A1B,
    ),
    "COleDateTime": Vector(
        [
            ("00 00 00 00", "the status: valid", "[CodeProject]"),
            ("00 00 00 00 00 00 16 40", "5.5 days: noon of 4 January 1900", "[CodeProject], [DATE]"),
        ],
        lambda ar: ar << COleDateTime(5.5),
        COleDateTime,
        COleDateTime(5.5),
    ),
    "COleDateTime, null": Vector(
        [("02 00 00 00", "the status: null", "[CodeProject]"), ("00" * 8, "no days", "[CodeProject]")],
        lambda ar: ar << COleDateTime(0.0, COleDateTime.null),
        COleDateTime,
        COleDateTime(0.0, COleDateTime.null),
    ),
    "COleDateTimeSpan": Vector(
        [
            ("00 00 00 00", "the status", "as COleDateTime"),
            ("00 00 00 00 00 00 e0 3f", "half a day", "as COleDateTime"),
        ],
        lambda ar: ar << COleDateTimeSpan(0.5),
        COleDateTimeSpan,
        COleDateTimeSpan(0.5),
    ),
    "COleCurrency": Vector(
        [
            ("00 00 00 00", "the status: valid", "[CodeProject]"),
            ("ff ff ff ff", "the high half, first", "[CodeProject]"),
            ("f0 d8 ff ff", "the low half: -10000 ten thousandths", "[CodeProject]"),
        ],
        lambda ar: ar << COleCurrency(-10000),
        COleCurrency,
        COleCurrency(-10000),
    ),
    "CPoint": Vector(
        [("ff ff ff ff", "x, a LONG", "[operators]"), ("02 00 00 00", "y", "[operators]")],
        lambda ar: ar << CPoint(-1, 2),
        CPoint,
        CPoint(-1, 2),
    ),
    "CSize": Vector(
        [("03 00 00 00", "cx", "[operators]"), ("04 00 00 00", "cy", "[operators]")],
        lambda ar: ar << CSize(3, 4),
        CSize,
        CSize(3, 4),
    ),
    "CRect": Vector(
        [
            ("01 00 00 00", "left", "[operators]"),
            ("02 00 00 00", "top", "[operators]"),
            ("03 00 00 00", "right", "[operators]"),
            ("04 00 00 00", "bottom", "[operators]"),
        ],
        lambda ar: ar << CRect(1, 2, 3, 4),
        CRect,
        CRect(1, 2, 3, 4),
    ),
    "CByteArray": Vector(
        [("03 00", "3 elements", "[VLab]"), ("01 02 ff", "the elements", "[collections]")],
        lambda ar: CByteArray(b"\1\2\xff").Serialize(ar),
        Serialized(CByteArray),
        CByteArray(b"\1\2\xff"),
    ),
    "CWordArray": Vector(
        [("02 00", "2 elements", "[VLab]"), ("01 00 ff ff", "the elements", "[collections]")],
        lambda ar: CWordArray([1, 0xFFFF]).Serialize(ar),
        Serialized(CWordArray),
        CWordArray([1, 0xFFFF]),
    ),
    "CDWordArray": Vector(
        [("01 00", "1 element", "[VLab]"), ("78 56 34 12", "the element", "[collections]")],
        lambda ar: CDWordArray([0x12345678]).Serialize(ar),
        Serialized(CDWordArray),
        CDWordArray([0x12345678]),
    ),
    "CStringArray": Vector(
        [
            ("02 00", "2 elements", "[VLab]"),
            ("01 61", "a string of 1 character", "[VLab]"),
            ("00", "an empty string", "[VLab]"),
        ],
        lambda ar: CStringArray(["a", ""]).Serialize(ar),
        Serialized(CStringArray),
        CStringArray(["a", ""]),
        {"bUnicode": False},
    ),
    "CStringList": Vector(
        [("01 00", "1 element", "[collections]"), MARK, ("01 61 00", "a string of 1 character", "[mish]")],
        lambda ar: CStringList(["a"]).Serialize(ar),
        Serialized(CStringList),
        CStringList(["a"]),
    ),
    "CArray of float": Vector(
        [("01 00", "1 element", "[CArray question]"), ("00 00 00 3f", "its bits", "[SerializeElements]")],
        lambda ar: CArray([0.5], TYPE=FLOAT).Serialize(ar),
        Serialized(lambda: CArray(TYPE=FLOAT)),
        CArray([0.5]),
    ),
    "CList of CPoint": Vector(
        [("01 00", "1 element", "[collections]"), ("01 00 00 00 02 00 00 00", "its bits", "[SerializeElements]")],
        lambda ar: CList([CPoint(1, 2)], TYPE=CPoint).Serialize(ar),
        Serialized(lambda: CList(TYPE=CPoint)),
        CList([CPoint(1, 2)]),
    ),
    "CMap of WORD to WORD": Vector(
        [("01 00", "1 pair", "[collections]"), ("01 00", "the key", "[collections]"), ("02 00", "the value", "")],
        lambda ar: CMap({1: 2}, KEY=WORD, VALUE=WORD).Serialize(ar),
        Serialized(lambda: CMap(KEY=WORD, VALUE=WORD)),
        CMap({1: 2}),
    ),
    "CMapStringToString": Vector(
        [("01 00", "1 pair", "[collections]"), ("01 6b", "the key", "[collections]"), ("01 76", "the value", "")],
        lambda ar: CMapStringToString({"k": "v"}).Serialize(ar),
        Serialized(CMapStringToString),
        CMapStringToString({"k": "v"}),
        {"bUnicode": False},
    ),
    "CMapWordToOb": Vector(
        [
            ("01 00", "1 pair", "[collections]"),
            ("07 00", "the key", "[collections]"),
            ("00 00", "no object", "[TN002]"),
        ],
        lambda ar: CMapWordToOb({7: None}).Serialize(ar),
        Serialized(CMapWordToOb),
        CMapWordToOb({7: None}),
    ),
    "no object": Vector([("00 00", "wNullTag", "[TN002]")], lambda ar: ar << None, CAge, None),
    "an object": Vector(
        [*AGE, ("24 00 00 00", "its m_years: index 2", "[TN002]")], lambda ar: ar << CAge(36), CAge, CAge(36)
    ),
    "an object twice": Vector(
        [*AGE, ("24 00 00 00", "its m_years: index 2", "[TN002]"), ("02 00", "the object of index 2", "[TN002]")],
        lambda ar: ar << _homer << _homer,
        (CAge, CAge),
        (_homer, _homer),
    ),
    "two objects of a class": Vector(
        [
            *AGE,
            ("24 00 00 00", "the m_years of index 2", "[TN002]"),
            ("01 80", "another object of the class of index 1", "[TN002]"),
            ("0a 00 00 00", "its m_years: index 3", "[TN002]"),
            ("03 00", "the object of index 3", "[TN002]"),
        ],
        lambda ar: ar << _homer << _bart << _bart,
        (CAge, CAge, CAge),
        (_homer, _bart, _bart),
    ),
    "an object that points to itself": Vector(
        [
            ("ff ff 00 00 05 00", "a new class with schema 0 and a name of 5 characters", "[TN002], [VLab]"),
            ("43 4e 6f 64 65", "CNode: index 1", "[TN002]"),
            ("02 00", "its m_pNext: index 2, which is itself", "[TN002]"),
        ],
        lambda ar: ar << _cycle(),
        CNode,
        _cycle(),
    ),
    "a CObArray as an object": Vector(
        [
            ("ff ff 00 00 08 00", "a new class with schema 0 and a name of 8 characters", "[TN002], [VLab]"),
            ("43 4f 62 41 72 72 61 79", "CObArray: index 1; the array itself is index 2", "[TN002]"),
            ("02 00", "2 elements", "[VLab]"),
            *AGE[:3],
            ("43 41 67 65", "CAge: index 3", "[TN002]"),
            ("24 00 00 00", "the m_years of index 4", "[TN002]"),
            ("04 00", "the object of index 4", "[TN002]"),
        ],
        lambda ar: ar << CObArray([_homer, _homer]),
        CObArray,
        CObArray([_homer, _homer]),
    ),
    "a class alone": Vector(AGE, lambda ar: ar.SerializeClass(CAge), _named, 1),
    "an object that was mapped": Vector(
        [("01 00", "index 1, which MapObject gave", "[TN002]")], _storeMapped, _mapped, True
    ),
    "a versionable class": Vector(
        [
            ("ff ff", "a new class", "[TN002]"),
            ("03 00", "its schema without VERSIONABLE_SCHEMA", "[TN002]"),
            ("07 00 43 4f 6c 64 41 67 65", "COldAge", "[TN002]"),
            ("46 00 00 00", "its m_years", ""),
            ("ff fe ff 01 41 00", "its m_name", "[mish]"),
        ],
        lambda ar: ar << COldAge(70, "A"),
        lambda ar: vars(ar >> COldAge),
        {"m_years": 70, "m_name": "A", "nSchema": 3},
    ),
}
