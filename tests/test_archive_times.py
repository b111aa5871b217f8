"""
Times, spans and amounts in archives, and as what Python has for them.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from _archives import fed, stored

from twisted_casync.archive import (
    COleCurrency,
    COleDateTime,
    COleDateTimeSpan,
    CTime,
)


def test_a_ctime_of_either_form_is_read() -> None:
    assert fed(b"\xff\xff\xff\x7f") >> CTime == 2**31 - 1
    assert fed(b"\xff\xff\xff\xff") >> CTime == -1
    assert fed(stored(CTime(2**40))) >> CTime == 2**40
    moment = datetime(2004, 2, 29, 23, 59, 59, tzinfo=timezone.utc)
    assert CTime.fromDatetime(moment).asDatetime() == moment
    assert CTime.fromDatetime(moment).GetTime() == int(moment.timestamp())
    with pytest.raises(OverflowError):
        CTime(2**60).asDatetime()


@pytest.mark.parametrize(
    ("days", "moment"),
    [
        (0.0, datetime(1899, 12, 30)),
        (5.25, datetime(1900, 1, 4, 6)),
        (5.875, datetime(1900, 1, 4, 21)),
        (-1.0, datetime(1899, 12, 29)),
        (-12.25, datetime(1899, 12, 18, 6)),
        (-12.75, datetime(1899, 12, 18, 18)),
        (-11.0, datetime(1899, 12, 19)),
    ],
)
def test_a_date_is_what_the_table_of_the_page_says(days: float, moment: datetime) -> None:
    """The table of [DATE]: before 1899 the fraction counts forward from midnight too."""
    assert COleDateTime(days).asDatetime() == moment
    assert COleDateTime.fromDatetime(moment) == COleDateTime(days)


@pytest.mark.parametrize("days", [math.nan, math.inf, -math.inf, 1e300, 3e6])
def test_a_date_that_python_has_not_is_an_error_of_its_own(days: float) -> None:
    assert stored(fed(stored(COleDateTime(days))) >> COleDateTime) == stored(COleDateTime(days))
    with pytest.raises((ValueError, OverflowError)):
        COleDateTime(days).asDatetime()


def test_spans_and_amounts() -> None:
    assert COleDateTimeSpan(0.5).asTimedelta() == timedelta(hours=12)
    with pytest.raises(ValueError, match="status"):
        COleDateTimeSpan(0.5, 1).asTimedelta()
    with pytest.raises(ValueError, match="status"):
        COleDateTime(0.5, COleDateTime.invalid).asDatetime()
    for cur in (0, 1, -1, 12345678901234, -(2**63), 2**63 - 1):
        assert fed(stored(COleCurrency(cur))) >> COleCurrency == COleCurrency(cur)
    assert COleCurrency(-12345).amount == Decimal("-1.2345")
