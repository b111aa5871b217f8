"""
CSocket: exactly so many bytes, up to a delimiter, line after line; and that no way to end such a call loses a byte.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest
from _awaited import caught, connected, pair, played, turned, until
from _reactors import WAYS, must
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from twisted_casync import FIONREAD, INVALID_SOCKET, CSocket, GetLastError, IncompleteRead, LimitExceeded, WSAError
from twisted_casync._awaiting import MOST

everyWay = pytest.mark.parametrize("way", WAYS)


# -- what each gives


@everyWay
def test_exactly_so_many_bytes(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        receiving = near.receiveExactly(5)
        for piece in (b"h", b"e", b"llo wor"):
            assert not receiving.called
            peer.sendall(piece)
            await turned(reactor)
        assert await receiving == b"hello"
        assert await near.receiveExactly(0) == b""
        assert near.receiveExactly(4).called
        peer.sendall(b"ld")
        peer.close()
        error = await caught(near.receiveExactly(3))
        assert isinstance(error, IncompleteRead) and isinstance(error, ConnectionError)
        assert (error.partial, error.expected) == (b"ld", 3)
        assert [await near.Receive(), await near.Receive()] == [b"ld", b""]
        with pytest.raises(ValueError, match="count"):
            near.receiveExactly(-1)

    played(way, program)


@everyWay
def test_up_to_a_delimiter(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        receiving = near.receiveUntil(b"\r\n\r\n")
        for piece in (b"GET /\r\n", b"\r", b"\nbody\r\n\r\n"):
            assert not receiving.called
            peer.sendall(piece)
            await turned(reactor)
        assert await receiving == b"GET /\r\n\r\n"
        assert await near.receiveUntil(b"\r\n\r\n") == b"body\r\n\r\n"
        with pytest.raises(ValueError, match="delimiter"):
            near.receiveUntil(b"")
        peer.sendall(b"rest")
        peer.close()
        error = await caught(near.receiveUntil(b"\n"))
        assert isinstance(error, IncompleteRead)
        assert (error.partial, error.expected) == (b"rest", None)
        assert "delimiter" in str(error)
        assert await near.receiveLine() == b"rest"

    played(way, program)


@everyWay
def test_a_limit_is_kept_and_loses_nothing(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        peer.sendall(b"12345\n")
        assert await near.receiveLine(limit=6) == b"12345\n"
        peer.sendall(b"123456\n7\n")
        for call in (near.receiveLine, lambda limit: near.receiveUntil(b"\n", limit)):
            error = await caught(call(limit=6))
            assert isinstance(error, LimitExceeded) and isinstance(error, ValueError)
            assert error.limit == 6
        assert await near.receiveLine(limit=7) == b"123456\n"
        assert await near.receiveLine() == b"7\n"

    played(way, program)


@everyWay
def test_a_peer_that_never_ends_its_line_is_not_kept_without_limit(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, far = await pair()
        sending = far.Send(bytes(16_000_000))
        assert isinstance(await caught(near.receiveLine(limit=1000)), LimitExceeded)
        await turned(reactor)
        assert len(near._as_surplus) <= 65536
        far.Close()
        assert isinstance(await caught(sending), InterruptedError)

    played(way, program)


@everyWay
def test_lines_to_the_end_of_the_stream(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        peer.sendall(b"one\n\ntwo\r\nlast")
        peer.close()
        assert [line async for line in near.receiveLines()] == [b"one\n", b"\n", b"two\r\n", b"last"]
        assert await near.receiveLine() == b""

    played(way, program)


# -- what is kept


@everyWay
def test_every_call_takes_first_what_is_kept(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        peer.sendall(b"a\nbcdefgh")
        assert await near.receiveLine() == b"a\n"
        assert near.IOCtl(FIONREAD) == 7
        peer.sendall(b"ij")
        await turned(reactor)
        assert near.IOCtl(FIONREAD) == 9
        assert await near.Receive(2, nFlags=2) == b"bc"
        assert await near.Receive(2) == b"bc"
        buffer = bytearray(2)
        assert (await near.Receive(buffer), bytes(buffer)) == (2, b"de")
        assert await near.ReceiveFrom(1) == (b"f", None)
        assert await near.receiveExactly(4) == b"ghij"

    played(way, program)


@everyWay
def test_what_is_kept_can_not_be_detached(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        peer.sendall(b"a\nb")
        await near.receiveLine()
        assert near.Detach() == INVALID_SOCKET
        assert GetLastError() == WSAError.WSAEINVAL
        assert await near.Receive() == b"b"
        handle = near.Detach()
        assert handle != INVALID_SOCKET
        peer.sendall(b"c")
        other = CSocket()
        must(other.Attach(handle))
        assert await other.Receive() == b"c"

    played(way, program)


@everyWay
def test_what_is_kept_is_gone_with_the_socket(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        peer.sendall(b"a\nb")
        await near.receiveLine()
        near.Close()
        must(near.Create())
        assert near.IOCtl(FIONREAD) == 0

    played(way, program)


@everyWay
def test_urgent_data_passes_what_is_kept(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        peer.sendall(b"a\nb")
        await near.receiveLine()
        peer.send(b"!", socket.MSG_OOB)
        assert await near.Receive(1, 1) == b"!"
        assert await near.Receive() == b"b"

    played(way, program)


class Told(CSocket):
    """
    Reads a line in each OnReceive, and writes down what it is told.
    """

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []

    def OnReceive(self, nErrorCode: int) -> None:
        self.told.append("OnReceive")
        self.receiveLine().addCallback(self.told.append)

    def OnClose(self, nErrorCode: int) -> None:
        self.told.append("OnClose")


@everyWay
def test_what_is_kept_is_told_as_what_the_kernel_has(way: str) -> None:
    """In MFC an archive that has read ahead leaves its program waiting for a notification that doesn't come."""

    async def program(reactor: Any) -> None:
        near, peer = await connected(Told)
        peer.sendall(b"a\nb\nc\n")
        peer.close()
        await until(reactor, lambda: "OnClose" in near.told)
        assert near.told == ["OnReceive", b"a\n", "OnReceive", b"b\n", "OnReceive", b"c\n", "OnClose"]

    played(way, program)


@everyWay
def test_what_was_taken_meanwhile_is_not_told(way: str) -> None:
    class Greedy(Told):
        def OnReceive(self, nErrorCode: int) -> None:
            super().OnReceive(nErrorCode)
            self.Receive().addCallback(self.told.append)

    async def program(reactor: Any) -> None:
        near, peer = await connected(Greedy)
        peer.sendall(b"a\nb\n")
        await until(reactor, lambda: len(near.told) == 3)
        await turned(reactor)
        assert near.told == ["OnReceive", b"a\n", b"b\n"]
        peer.sendall(b"c\nd")
        await until(reactor, lambda: len(near.told) == 6)

    played(way, program)


# -- the reactor's other work


@everyWay
def test_who_always_finds_something_lets_the_reactor_turn(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        peer.sendall(b"\n" * 3000)
        peer.close()
        seen = [0]
        most = 0

        def tick() -> None:
            nonlocal most
            most = max(most, seen[0])
            seen[0] = 0
            if near.fileno() >= 0:
                reactor.callLater(0, tick)

        tick()
        async for _ in near.receiveLines():
            seen[0] += 1
        near.Close()
        # asyncio runs a timer once for several turns.
        assert MOST <= most <= 10 * MOST

    played(way, program)


@everyWay
def test_a_send_that_waits_for_its_turn_keeps_what_it_was_given(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, far = await pair()
        buffer = bytearray(1)
        sending = []
        for number in range(3 * MOST):
            buffer[0] = number
            call = near.Send(buffer)
            sending.append(call.called)
            buffer[0] = 255
            await call
        assert not all(sending)
        assert await far.receiveExactly(3 * MOST) == bytes(range(3 * MOST))

    played(way, program)


# -- nothing is lost, wherever a wait ends

CALLS = {
    "Receive": lambda near, count: near.Receive(count),
    "buffer": lambda near, count: near.Receive(bytearray(count)),
    "exactly": lambda near, count: near.receiveExactly(count),
    "until": lambda near, count: near.receiveUntil(b"\n", count + 1),
    "line": lambda near, count: near.receiveLine(count + 1),
}

steps = st.one_of(
    st.tuples(st.just("send"), st.binary(min_size=1, max_size=12)),
    st.tuples(st.just("send"), st.sampled_from([b"\n", b"a\n", b"ab\ncd\n"])),
    st.tuples(st.sampled_from(sorted(CALLS)), st.integers(1, 12)),
    st.tuples(st.sampled_from(["turn", "cancel", "CancelBlockingCall"]), st.just(0)),
)


async def collected(reactor: Any, script: list[tuple[str, Any]]) -> tuple[bytes, bytes]:
    """
    Play a script on a connected socket.

    @return: what was sent, and what all calls together have given.
    """
    near, peer = await connected()
    sent, got = b"", b""
    waiting: Deferred[Any] | None = None
    buffer = bytearray()

    def ended(result: Any) -> None:
        nonlocal got, waiting
        waiting = None
        if isinstance(result, Failure):
            result.trap(CancelledError, InterruptedError, LimitExceeded)
        else:
            got += bytes(buffer[:result]) if isinstance(result, int) else result

    for step, argument in script:
        if step == "send":
            sent += argument
            peer.sendall(argument)
        elif step == "turn":
            await turned(reactor)
        elif step == "cancel" and waiting is not None:
            waiting.cancel()
        elif step == "CancelBlockingCall":
            near.CancelBlockingCall()
        elif step in CALLS and waiting is None:
            buffer = bytearray(argument)
            waiting = near.Receive(buffer) if step == "buffer" else CALLS[step](near, argument)
            waiting.addBoth(ended)
    near.CancelBlockingCall()
    peer.close()
    got += b"".join([chunk async for chunk in near])
    near.Close()
    return sent, got


@pytest.mark.parametrize("way", ["epoll-window", "select-direct", "uvloop-window"])
def test_nothing_is_lost_and_nothing_comes_twice(way: str) -> None:
    # Not a parametrized test itself: pytest-twisted wraps what hypothesis calls once more for each parameter.
    @given(script=st.lists(steps, max_size=25))
    @settings(max_examples=100, deadline=None)
    def holds(script: list[tuple[str, Any]]) -> None:
        sent, got = played(way, lambda reactor: collected(reactor, script))
        assert got == sent

    holds()


@pytest.mark.parametrize("call", sorted(CALLS))
@everyWay
def test_a_wait_that_is_cancelled_at_any_byte_loses_nothing(way: str, call: str) -> None:
    text = b"hello,\nworld"

    async def program(reactor: Any) -> None:
        for cut in range(len(text) + 1):
            near, peer = await connected()
            waiting = CALLS[call](near, len(text))
            peer.sendall(text[:cut])
            await turned(reactor)
            had = b""
            if waiting.called:
                had = await waiting
                had = text[:had] if isinstance(had, int) else had
            else:
                waiting.cancel()
                assert isinstance(await caught(waiting), CancelledError)
            peer.sendall(text[cut:])
            peer.close()
            assert had + b"".join([chunk async for chunk in near]) == text
            near.Close()

    played(way, program)
