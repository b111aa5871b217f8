"""
Every error code that the reference lists, of every member: it comes when the table says, or never for its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from _errortable import FURTHER, Row
from _play import play
from _reactors import WAYS, reactorOf
from error_table import REFERENCE, TABLE
from make_errors_page import FAILURE, PAGE, page

from twisted_casync import INVALID_SOCKET, SOCKET_ERROR, WSAEMSGSIZE

LISTED = [(member, code) for member, codes in REFERENCE.items() for code in codes]
CALLED = [row for row in [*TABLE, *FURTHER] if row.scene is not None and row.member in FAILURE]
TOLD = [row for row in [*TABLE, *FURTHER] if row.scene is not None and row.member not in FAILURE]


def named(row: Row) -> str:
    """
    @return: what a row's test is called.
    """
    return f"{row.member}-{row.code.name}"


def test_each_row_of_the_reference_is_in_the_table_once() -> None:
    assert Counter((row.member, row.code.name) for row in TABLE) == Counter(LISTED)


def test_what_is_beyond_the_reference_is_in_the_table_once() -> None:
    further = Counter((row.member, row.code.name) for row in FURTHER)
    assert max(further.values()) == 1
    assert not further.keys() & set(LISTED)


@pytest.mark.parametrize("row", CALLED, ids=named)
def test_a_member_fails_as_the_table_says(row: Row) -> None:
    """
    With that code and that result; the socket stays open, or is closed, as it should, and what the scene does with it
    afterwards still works.
    """
    with reactorOf("epoll-window") as reactor:
        scene: Any = row.scene(reactor, row.member)  # type: ignore[misc,call-arg]  # CALLED has a scene, of a member
        failing = next(scene)
        handle = failing.subject.m_hSocket
        result, code = failing.made()
        assert code is row.code
        if row.member.startswith("ReceiveFrom"):
            # Of a datagram that was too long the sender is told all the same.
            assert (result[1] is not None) is (row.code is WSAEMSGSIZE)
            assert result[0] == SOCKET_ERROR
        else:
            assert result is FAILURE[row.member] or result == FAILURE[row.member] == SOCKET_ERROR
        assert failing.subject.m_hSocket == (INVALID_SOCKET if failing.closed else handle)
        assert failing.closed or handle != INVALID_SOCKET
        assert next(scene, None) is None
        assert failing.subject.told == [], "a member's failure is not told to a handler before the reactor's turn"


def _ways() -> list[Any]:
    """
    Every row on every reactor; what takes a second, on one that registers each way.
    """
    return [
        pytest.param(row, way, id=f"{named(row)}-{way}")
        for row in TOLD
        for way in (WAYS if not row.slow else ["epoll-window", "poll-direct"])
    ]


@pytest.mark.parametrize(("row", "way"), _ways())
def test_a_handler_is_told_as_the_table_says(row: Row, way: str) -> None:
    with reactorOf(way) as reactor:
        scene: Any = row.scene(reactor)  # type: ignore[misc,call-arg]  # TOLD has a scene, of a handler

        def script() -> Generator[Callable[[], bool], None, None]:
            subject = yield from scene
            codes = [code for handler, code in subject.told if handler == row.member]
            assert codes == [row.code]

        play(reactor, script())


def test_what_never_comes_has_a_reason() -> None:
    for row in TABLE:
        assert (row.scene is None) is (row.how == "meaningless")
        assert row.when.endswith((".", ":"))


def test_the_page_is_what_the_table_says() -> None:
    assert Path(PAGE).read_text() == page(), "docs/errors.md is stale: run `python tests/make_errors_page.py`"
