"""
The types of C++ that have a form in an archive, so that C{ar << WORD(5)} and C{ar >> WORD} say which.

An integer of Python has no width, and its floating point numbers are doubles.  These types are what a cast is in C++:
C{WORD(70000)} is 4464, as C{(WORD)70000} is.  What is read has its type, so that a member that was read can be written
as it is.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from twisted_casync.archive._classes import CObject

if TYPE_CHECKING:
    from typing_extensions import Self

    from twisted_casync.archive._carchive import CArchive

__all__ = [
    "BOOL",
    "BOOLEAN",
    "BYTE",
    "CHAR",
    "DOUBLE",
    "DWORD",
    "FLOAT",
    "INT",
    "LONG",
    "LONGLONG",
    "NUMBERS",
    "SHORT",
    "UINT",
    "ULONGLONG",
    "WCHAR",
    "WORD",
    "CString",
    "CStringA",
    "CStringW",
    "Integer",
    "Real",
    "Serialized",
]

K = TypeVar("K", bound=CObject)


class Integer(int):
    """
    An integer of a width.
    """

    __slots__ = ()
    form: ClassVar[struct.Struct]
    code: ClassVar[str]
    _mask: ClassVar[int]
    _sign: ClassVar[int]

    def __init_subclass__(cls, code: str) -> None:
        cls.code = code
        cls.form = struct.Struct(f"<{code}")
        cls._mask = (1 << 8 * cls.form.size) - 1
        cls._sign = (cls._mask + 1) >> 1 if code.islower() else 0

    def __new__(cls, value: Any = 0) -> Self:
        """
        @param value: what is cast: its low bits count, as in C++.
        """
        number = int(value) & cls._mask
        return int.__new__(cls, number - 2 * cls._sign if number & cls._sign else number)

    def archiveStore(self, ar: CArchive) -> None:
        """
        C{ar << value}.
        """
        ar.pack(self.form, self)

    @classmethod
    def archiveLoad(cls, ar: CArchive) -> Self:
        """
        C{ar >> value}.
        """
        return int.__new__(cls, ar.unpack(cls.form))


class BYTE(Integer, code="B"):
    """
    C{BYTE}, C{unsigned char}: 8 bits.
    """

    __slots__ = ()


class CHAR(Integer, code="b"):
    """
    C{char}: 8 bits, signed.
    """

    __slots__ = ()


class BOOLEAN(Integer, code="B"):
    """
    C{bool}, which is not C{BOOL}: 8 bits.
    """

    __slots__ = ()

    def __new__(cls, value: Any = 0) -> Self:
        """
        @param value: what is converted: its truth counts, as in C++.
        """
        return int.__new__(cls, 1 if value else 0)


class WORD(Integer, code="H"):
    """
    C{WORD}, C{unsigned short}: 16 bits.
    """

    __slots__ = ()


class SHORT(Integer, code="h"):
    """
    C{short}: 16 bits, signed.
    """

    __slots__ = ()


class WCHAR(Integer, code="H"):
    """
    C{wchar_t}: one UTF-16 code unit, as a number.
    """

    __slots__ = ()


class DWORD(Integer, code="I"):
    """
    C{DWORD}, C{ULONG}, C{unsigned long}, which have 32 bits on Windows.
    """

    __slots__ = ()


class UINT(Integer, code="I"):
    """
    C{UINT}, C{unsigned}: 32 bits.
    """

    __slots__ = ()


class LONG(Integer, code="i"):
    """
    C{LONG}, C{long}, which have 32 bits on Windows, signed.
    """

    __slots__ = ()


class INT(Integer, code="i"):
    """
    C{int}: 32 bits, signed.
    """

    __slots__ = ()


class BOOL(Integer, code="i"):
    """
    C{BOOL}, which is an C{int}: 32 bits.
    """

    __slots__ = ()


class ULONGLONG(Integer, code="Q"):
    """
    C{ULONGLONG}, C{unsigned __int64}: 64 bits.
    """

    __slots__ = ()


class LONGLONG(Integer, code="q"):
    """
    C{LONGLONG}, C{__int64}: 64 bits, signed.
    """

    __slots__ = ()


class Real(float):
    """
    A floating point number of a width.
    """

    __slots__ = ()
    form: ClassVar[struct.Struct]
    code: ClassVar[str]

    def __init_subclass__(cls, code: str) -> None:
        cls.code = code
        cls.form = struct.Struct(f"<{code}")

    def archiveStore(self, ar: CArchive) -> None:
        """
        C{ar << value}.
        """
        ar.pack(self.form, self)

    @classmethod
    def archiveLoad(cls, ar: CArchive) -> Self:
        """
        C{ar >> value}.
        """
        return float.__new__(cls, ar.unpack(cls.form))


class FLOAT(Real, code="f"):
    """
    C{float}: IEEE 754, 32 bits.
    """

    __slots__ = ()

    def __new__(cls, value: Any = 0.0) -> Self:
        """
        @param value: what is cast: rounded, and infinite where it is too large.
        """
        number = float(value)
        try:
            (number,) = cls.form.unpack(cls.form.pack(number))
        except OverflowError:
            number = math.copysign(math.inf, number)
        return float.__new__(cls, number)


class DOUBLE(Real, code="d"):
    """
    C{double}: IEEE 754, 64 bits.
    """

    __slots__ = ()


NUMBERS: dict[Any, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(Integer.__subclasses__(), int.__new__),
    **dict.fromkeys(Real.__subclasses__(), float.__new__),
}
"""What makes a number of a type of one that fits, without the cast."""


class CString(str):
    """
    C{CString}: a string in the form of the archive's build (C{bUnicode}).  C{ar << "text"} does the same.  A string in
    either form can be read, and is a plain C{str}.
    """

    __slots__ = ()

    def archiveStore(self, ar: CArchive) -> None:
        """
        C{ar << value}.
        """
        ar.packString(self)

    @classmethod
    def archiveLoad(cls, ar: CArchive) -> str:
        """
        C{ar >> value}.
        """
        return ar.unpackString()


class CStringA(CString):
    """
    C{CStringA}: a string in the archive's code page, whatever the build.
    """

    __slots__ = ()

    def archiveStore(self, ar: CArchive) -> None:
        """
        C{ar << value}.
        """
        ar.packString(self, bUnicode=False)


class CStringW(CString):
    """
    C{CStringW}: a string in Unicode, whatever the build.
    """

    __slots__ = ()

    def archiveStore(self, ar: CArchive) -> None:
        """
        C{ar << value}.
        """
        ar.packString(self, bUnicode=True)


@dataclass(frozen=True)
class Serialized(Generic[K]):
    """
    An object by value: C{msg = ar >> Serialized(CMsg)} is C++'s C{CMsg msg; msg.Serialize(ar);}: a new object, and its
    data alone, without class or identity.  Where not all has come yet another new object is made later, so that none is
    ever filled twice.

    @ivar factory: makes the object: its class, or whatever else can be called without arguments.
    """

    factory: Callable[[], K]

    def archiveLoad(self, ar: CArchive) -> K:
        """
        C{ar >> Serialized(factory)}.
        """
        new = self.factory()
        new.Serialize(ar)
        return new
