"""
Times, amounts and rectangles as MFC puts them into an archive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from twisted_casync.archive._values import DOUBLE, DWORD, LONG, LONGLONG
from twisted_casync.archive._wire import TIME64_MARK

if TYPE_CHECKING:
    from typing_extensions import Self

    from twisted_casync.archive._carchive import CArchive

__all__ = ["COleCurrency", "COleDateTime", "COleDateTimeSpan", "CPoint", "CRect", "CSize", "CTime"]

_OLE_EPOCH = datetime(1899, 12, 30)
_DAY = timedelta(days=1)
_MICROSECONDS = 86_400_000_000


class CTime(int):
    """
    Seconds since 1970 in UTC (C{CTime}).

    It is written as MFC 8 and later write it, with a mark before 64 bits, and read in that form and in the older one of
    32 bits.  C{Serialize64} of C++ is a C{LONGLONG}.
    """

    __slots__ = ()
    leastBytes: ClassVar[int] = 4

    @classmethod
    def fromDatetime(cls, moment: datetime) -> Self:
        """
        @param moment: with a time zone; without one it is local time.
        """
        return cls(int(moment.timestamp() // 1))

    def asDatetime(self) -> datetime:
        """
        @return: the moment, in UTC.
        @raise OverflowError: Python has no such year.
        """
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=int(self))

    def GetTime(self) -> int:
        """
        @return: the seconds.
        """
        return int(self)

    def archiveStore(self, ar: CArchive) -> None:
        """
        C{ar << value}.
        """
        ar << LONG(TIME64_MARK) << LONGLONG(self)

    @classmethod
    def archiveLoad(cls, ar: CArchive) -> Self:
        """
        C{ar >> value}.
        """
        first = ar >> LONG
        return cls(ar >> LONGLONG if first == TIME64_MARK else first)


@dataclass(frozen=True)
class COleDateTime:
    """
    Days since 30 December 1899, of a clock that nobody says the zone of (C{COleDateTime}, Automation's C{DATE}).

    @ivar m_dt: the days; the fraction counts forward from midnight, also before 1899.
    @ivar m_status: C{valid}, C{invalid} or C{null}.
    """

    valid: ClassVar[int] = 0
    invalid: ClassVar[int] = 1
    null: ClassVar[int] = 2
    leastBytes: ClassVar[int] = 12

    m_dt: float = 0.0
    m_status: int = 0

    @classmethod
    def fromDatetime(cls, moment: datetime) -> Self:
        """
        @param moment: whose zone, if it has one, does not count.
        """
        since = moment.replace(tzinfo=None) - _OLE_EPOCH
        fraction = (since - timedelta(days=since.days)) / _DAY
        return cls(since.days + fraction if since.days >= 0 else since.days - fraction)

    def asDatetime(self) -> datetime:
        """
        @return: the moment, to the microsecond, without a zone.
        @raise ValueError: the status is not C{valid}, or the days are no number.
        @raise OverflowError: Python has no such year.
        """
        if self.m_status != self.valid:
            raise ValueError(f"a COleDateTime with the status {self.m_status} is no moment")
        days = int(self.m_dt)
        return _OLE_EPOCH + timedelta(days=days, microseconds=round(abs(self.m_dt - days) * _MICROSECONDS))

    def archiveStore(self, ar: CArchive) -> None:
        """
        C{ar << value}.
        """
        ar << DWORD(self.m_status) << DOUBLE(self.m_dt)

    @classmethod
    def archiveLoad(cls, ar: CArchive) -> Self:
        """
        C{ar >> value}.
        """
        status = ar >> DWORD
        return cls(float(ar >> DOUBLE), int(status))


@dataclass(frozen=True)
class COleDateTimeSpan:
    """
    Days (C{COleDateTimeSpan}).

    @ivar m_span: how many.
    @ivar m_status: as of L{COleDateTime}.
    """

    leastBytes: ClassVar[int] = 12

    m_span: float = 0.0
    m_status: int = 0

    def asTimedelta(self) -> timedelta:
        """
        @raise ValueError: the status is not 0, or the days are no number.
        @raise OverflowError: Python has no such span.
        """
        if self.m_status:
            raise ValueError(f"a COleDateTimeSpan with the status {self.m_status} is no span")
        return timedelta(days=self.m_span)

    def archiveStore(self, ar: CArchive) -> None:
        """
        C{ar << value}.
        """
        ar << DWORD(self.m_status) << DOUBLE(self.m_span)

    @classmethod
    def archiveLoad(cls, ar: CArchive) -> Self:
        """
        C{ar >> value}.
        """
        status = ar >> DWORD
        return cls(float(ar >> DOUBLE), int(status))


@dataclass(frozen=True)
class COleCurrency:
    """
    An amount (C{COleCurrency}, Automation's C{CURRENCY}).

    @ivar m_cur: ten thousandths.
    @ivar m_status: as of L{COleDateTime}.
    """

    leastBytes: ClassVar[int] = 12

    m_cur: int = 0
    m_status: int = 0

    @property
    def amount(self) -> Decimal:
        """
        The amount itself.
        """
        return Decimal(self.m_cur).scaleb(-4)

    def archiveStore(self, ar: CArchive) -> None:
        """
        C{ar << value}: the status, the high half, the low half.
        """
        ar << DWORD(self.m_status) << LONG(self.m_cur >> 32) << DWORD(self.m_cur)

    @classmethod
    def archiveLoad(cls, ar: CArchive) -> Self:
        """
        C{ar >> value}.
        """
        status, high, low = ar >> (DWORD, LONG, DWORD)
        return cls((int(high) << 32) | int(low), int(status))


def _stored(ar: CArchive, values: tuple[int, ...]) -> None:
    for value in values:
        ar << LONG(value)


class CPoint(NamedTuple):
    """
    C{CPoint}, C{POINT}: two C{LONG}.
    """

    x: int = 0
    y: int = 0

    def archiveStore(self, ar: CArchive) -> None:
        """
        C{ar << value}.
        """
        _stored(ar, self)

    @classmethod
    def archiveLoad(cls, ar: CArchive) -> Any:
        """
        C{ar >> value}.
        """
        return cls(*ar.unpackMany("i", 2))


class CSize(NamedTuple):
    """
    C{CSize}, C{SIZE}: two C{LONG}.
    """

    cx: int = 0
    cy: int = 0

    def archiveStore(self, ar: CArchive) -> None:
        """
        C{ar << value}.
        """
        _stored(ar, self)

    @classmethod
    def archiveLoad(cls, ar: CArchive) -> Any:
        """
        C{ar >> value}.
        """
        return cls(*ar.unpackMany("i", 2))


class CRect(NamedTuple):
    """
    C{CRect}, C{RECT}: four C{LONG}.
    """

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def archiveStore(self, ar: CArchive) -> None:
        """
        C{ar << value}.
        """
        _stored(ar, self)

    @classmethod
    def archiveLoad(cls, ar: CArchive) -> Any:
        """
        C{ar >> value}.
        """
        return cls(*ar.unpackMany("i", 4))
