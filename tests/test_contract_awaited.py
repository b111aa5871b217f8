"""
What holds of a connected stream whatever it is made of, where its calls are awaited.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from _contract import holds, quiet
from _play import Script
from _reactors import must
from twisted.internet.defer import CancelledError, Deferred

from twisted_casync import SO_LINGER, CSocket, WSAError
from twisted_casync.errors import WinsockError


def awaited(work: Coroutine[Any, Any, None]) -> Script:
    """
    Wait until a coroutine is through; what it raises is raised.
    """
    ended: list[Any] = []
    through = Deferred.fromCoroutine(work)
    through.addBoth(ended.append)
    yield lambda: ended != []
    if ended[0] is not None:
        ended[0].raiseException()


@holds(near=CSocket, far=CSocket)
def test_lines_and_counts_are_received_as_they_were_sent(reactor: Any, near: CSocket, far: CSocket) -> Script:
    async def program() -> None:
        assert await far.Send(b"first\nsecond\n12345") == 18
        assert await near.receiveUntil(b"\n") == b"first\n"
        assert await near.receiveUntil(b"\n") == b"second\n"
        assert await near.receiveExactly(5) == b"12345"
        asked = near.Receive(100)
        assert await far.Send(b"late") == 4
        assert await asked == b"late"
        far.Close()
        assert await near.Receive(100) == b""

    yield from awaited(program())


@holds(near=CSocket, far=CSocket)
def test_a_send_waits_until_all_was_taken(reactor: Any, near: CSocket, far: CSocket) -> Script:
    size = 12_000_000

    async def program() -> None:
        sending = near.Send(bytes(size))
        left = size
        while left:
            left -= len(await far.Receive(1 << 20))
        assert await sending == size

    yield from awaited(program())


@holds(near=CSocket, far=CSocket)
def test_a_cancelled_wait_loses_nothing(reactor: Any, near: CSocket, far: CSocket) -> Script:
    async def program() -> None:
        waiting = near.receiveExactly(5)
        await far.Send(b"abc")
        waiting.cancel()
        with pytest.raises(CancelledError):
            await waiting
        await far.Send(b"de")
        assert await near.receiveExactly(5) == b"abcde"

    yield from awaited(program())


@holds("reset", near=CSocket, far=CSocket)
def test_a_wait_fails_with_the_reset_of_the_connection(reactor: Any, near: CSocket, far: CSocket) -> Script:
    async def program() -> None:
        waiting = near.Receive(1)
        must(far.SetSockOpt(SO_LINGER, (1, 0)))
        far.Close()
        with pytest.raises(ConnectionResetError) as caught:
            await waiting
        assert isinstance(caught.value, WinsockError)
        assert caught.value.code is WSAError.WSAECONNRESET

    yield from awaited(program())


@holds(near=CSocket, far=CSocket)
def test_a_wait_ends_with_its_socket(reactor: Any, near: CSocket, far: CSocket) -> Script:
    async def program() -> None:
        waiting = near.Receive(1)
        near.Close()
        with pytest.raises(WinsockError):
            await waiting
        assert await far.Receive(1) == b""

    yield from awaited(program())
    yield quiet()
