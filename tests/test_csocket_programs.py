"""
CSocket in each of the ways in which programs are written: coroutines, inlineCallbacks, callbacks, asyncio's tasks,
tests of pytest-twisted; many of them at once; and that nothing is left behind.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
import pytest_twisted
from _awaited import connected, listener, pair, played, turned
from _reactors import WAYS, must
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults, inlineCallbacks

from twisted_casync import CSocket

everyWay = pytest.mark.parametrize("way", WAYS)
asyncioWay = pytest.mark.parametrize("way", [way for way in WAYS if way.startswith(("asyncio", "uvloop"))])


# -- Twisted's ways


@everyWay
def test_inline_callbacks(way: str) -> None:
    @inlineCallbacks
    def exchange(near: CSocket, far: CSocket) -> Any:
        yield near.Send(b"hello\n")
        line = yield far.receiveLine()
        yield far.Send(line.upper())
        return (yield near.Receive())

    async def program(reactor: Any) -> None:
        near, far = await pair()
        assert await exchange(near, far) == b"HELLO\n"

    played(way, program)


@everyWay
def test_callbacks(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, far = await pair()
        got: list[bytes] = []
        done = far.Receive().addCallback(got.append).addCallback(lambda _: far.Send(b"bye"))
        near.Send(b"hello").addErrback(got.append)
        await done
        assert got == [b"hello"]
        assert await near.Receive() == b"bye"

    played(way, program)


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # it has no types
async def test_in_a_test_of_pytest_twisted() -> None:
    """With the global reactor, which pytest-twisted runs."""
    near, far = await pair()
    async with near, far:
        await near.Send(b"hello")
        assert await far.receiveExactly(5) == b"hello"


# -- asyncio's


def inLoop(way: str, task: Any) -> None:
    """
    Play an asyncio coroutine in the loop of an asyncio reactor.
    """

    async def program(reactor: Any) -> None:
        loop = reactor._asyncioEventloop
        await Deferred.fromFuture(loop.create_task(task(loop, reactor)))

    played(way, program)


@asyncioWay
def test_a_task_of_asyncio(way: str) -> None:
    async def task(loop: Any, reactor: Any) -> None:
        near, far = await ensureDeferred(pair()).asFuture(loop)
        receiving = loop.create_task(future(far.receiveLine(), loop))
        await near.Send(b"hello\n").asFuture(loop)
        assert await receiving == b"hello\n"
        near.Close()
        assert await far.Receive().asFuture(loop) == b""
        with pytest.raises(OSError, match="WSAENOTSOCK"):
            await near.Receive().asFuture(loop)

    async def future(call: Any, loop: Any) -> Any:
        return await call.asFuture(loop)

    inLoop(way, task)


@asyncioWay
def test_a_wait_that_asyncio_times_out_loses_nothing(way: str) -> None:
    async def task(loop: Any, reactor: Any) -> None:
        near, peer = await ensureDeferred(connected()).asFuture(loop)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(near.receiveExactly(5).asFuture(loop), 0.001)
        peer.sendall(b"hello")
        assert await near.Receive().asFuture(loop) == b"hello"

    inLoop(way, task)


@asyncioWay
def test_a_future_that_was_cancelled_takes_nothing_more(way: str) -> None:
    """Twisted hears of that a turn later only; the data comes before."""

    async def task(loop: Any, reactor: Any) -> None:
        near, peer = await ensureDeferred(connected()).asFuture(loop)
        future = near.Receive().asFuture(loop)
        future.cancel()
        # Nor does it keep the next call from waiting.
        second = near.Receive().asFuture(loop)
        peer.sendall(b"hello")
        second.cancel()
        near.doRead() if way.endswith("direct") else near._as_ready(1)
        assert await near.Receive().asFuture(loop) == b"hello"
        await asyncio.sleep(0)
        assert future.cancelled() and second.cancelled() and not near.IsBlocking()

    inLoop(way, task)


# -- many, and what is left


@pytest.mark.slow
@pytest.mark.parametrize("way", ["epoll-window", "uvloop-window"])
def test_thousands_wait_at_once(way: str) -> None:
    count = 2000

    async def serve(client: CSocket) -> int:
        async with client:
            answered = 0
            async for chunk in client:
                answered += await client.Send(chunk)
            return answered

    async def ask(port: int, number: int) -> None:
        async with CSocket() as client:
            must(client.Create())
            await client.Connect("127.0.0.1", port)
            for _ in range(3):
                text = b"%d\n" % number
                await client.Send(text)
                assert await client.receiveLine() == text

    async def program(reactor: Any) -> None:
        door = CSocket()
        must(door.Create(0, lpszSocketAddress="127.0.0.1") and door.Listen(1000))
        port = must(door.GetSockName())[1]
        serving = []

        async def accept() -> None:
            for _ in range(count):
                serving.append(ensureDeferred(serve(await door.Accept())))

        accepting = ensureDeferred(accept())
        await gatherResults([ensureDeferred(ask(port, number)) for number in range(count)])
        await accepting
        assert sum(await gatherResults(serving)) == sum(3 * len(b"%d\n" % number) for number in range(count))

    played(way, program)


@everyWay
def test_nothing_is_left_of_a_call_that_has_ended(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        gc.collect()
        gc.disable()
        try:
            refs = []
            for number in range(10):
                call = near.Receive() if number % 2 else near.receiveLine()
                refs.append(weakref.ref(call))
                peer.sendall(b"x\n")
                await call
                del call
                call = near.Receive()
                refs.append(weakref.ref(call))
                call.cancel()
                call.addErrback(lambda failure: None)
                del call
            await turned(reactor)
            # Without a garbage collection: no cycle is made with each message.
            assert [ref() for ref in refs].count(None) >= len(refs) - 1
        finally:
            gc.enable()
        assert not near.IsBlocking() and near._as_waits == {}

    played(way, program)


@everyWay
def test_a_socket_that_waits_lives_and_one_that_has_ended_does_not(way: str) -> None:
    async def program(reactor: Any) -> None:
        got: list[bytes] = []
        door = listener()

        async def serve() -> None:
            async with await door.Accept() as client:
                got.extend([line async for line in client.receiveLines()])

        serving = ensureDeferred(serve())
        client = CSocket()
        must(client.Create())
        await client.Connect(*must(door.GetSockName()))
        await turned(reactor)
        gc.collect()
        await client.Send(b"hello\n")
        client.Close()
        await serving
        assert got == [b"hello\n"]
        ref = weakref.ref(client)
        del client
        gc.collect()
        assert ref() is None

    played(way, program)
