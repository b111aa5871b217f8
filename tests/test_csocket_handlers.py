"""
CSocket: what its handlers are told, beside the calls that wait; and handlers that wait themselves.
"""

from __future__ import annotations

import copy
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from _awaited import caught, connected, listener, pair, played, turned, until
from _reactors import WAYS, must, reactorOf
from _streams import LOCALHOST, peerOf, reset
from twisted.internet.defer import Deferred, inlineCallbacks

from twisted_casync import (
    FD_CLOSE,
    FD_READ,
    FIONBIO,
    SO_OOBINLINE,
    AfxSocketTerm,
    CAsyncSocket,
    CSocket,
    GetLastError,
    SetLastError,
    WinsockArgumentError,
    WinsockConnectionAborted,
    WinsockConnectionReset,
    WinsockInterrupted,
    WinsockStateError,
    WSAError,
)

pytestmark = pytest.mark.parametrize("way", WAYS)


class Told(CSocket):
    """
    Writes down what it is told.
    """

    def __init__(self, reactor: Any = None) -> None:
        super().__init__(reactor)
        self.told: list[str] = []

    def _tell(self, name: str, nErrorCode: int) -> None:
        self.told.append(f"{name}({int(nErrorCode)})" if nErrorCode else name)

    def OnAccept(self, nErrorCode: int) -> None:
        self._tell("OnAccept", nErrorCode)

    def OnReceive(self, nErrorCode: int) -> None:
        self._tell("OnReceive", nErrorCode)

    def OnSend(self, nErrorCode: int) -> None:
        self._tell("OnSend", nErrorCode)

    def OnClose(self, nErrorCode: int) -> None:
        self._tell("OnClose", nErrorCode)


# -- who is told


def test_a_handler_is_told_what_no_call_waits_for(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected(Told)
        await turned(reactor)
        assert near.told == ["OnSend"]
        receiving = near.Receive()
        peer.sendall(b"waited for")
        assert await receiving == b"waited for"
        peer.sendall(b"told")
        await until(reactor, lambda: near.told == ["OnSend", "OnReceive"])
        assert await near.Receive() == b"told"

    played(way, program)


def test_who_waits_hears_of_the_end_first_and_on_close_then(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected(Told)
        near.Receive().addCallback(lambda data: near.told.append(repr(data)))
        peer.close()
        await until(reactor, lambda: "OnClose" in near.told)
        assert near.told == ["OnSend", "b''", "OnClose"]

    played(way, program)


def test_who_waits_hears_of_a_reset_first_and_on_close_then(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected(Told)
        waiting = near.Receive()
        waiting.addErrback(lambda failure: near.told.append(failure.trap(WinsockConnectionReset).__name__))
        reset(peer)
        await until(reactor, lambda: "OnClose(10054)" in near.told)
        assert near.told == ["OnSend", "WinsockConnectionReset", "OnClose(10054)"]

    played(way, program)


def test_on_close_has_nothing_to_say_to_who_has_closed_already(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected(Told)

        def again(data: bytes) -> None:
            near.Close()
            must(near.Create())

        near.Receive().addCallback(again)
        peer.close()
        await until(reactor, lambda: near.GetPeerName() is None)
        await turned(reactor)
        assert near.told == ["OnSend"]

    played(way, program)


def test_a_socket_that_waits_delays_no_other(way: str) -> None:
    async def program(reactor: Any) -> None:
        waiting, _ = await connected()
        other, peer = await connected(Told)
        call = waiting.Receive()
        peer.sendall(b"x")
        await until(reactor, lambda: "OnReceive" in other.told)
        assert not call.called
        waiting.Close()
        assert isinstance(await caught(call), WinsockInterrupted)

    played(way, program)


# -- what is selected is what handlers hear; calls hear what they wait for


def test_calls_wait_whatever_is_selected(way: str) -> None:
    async def program(reactor: Any) -> None:
        door = Told()
        must(door.Create(0, lpszSocketAddress=LOCALHOST) and door.AsyncSelect(0) and door.Listen())
        near = Told()
        must(near.Create() and near.AsyncSelect(0))
        accepting = door.Accept(Told())
        assert await near.Connect(*must(door.GetSockName())) is True
        far = await accepting
        receiving, sending = near.Receive(), far.Send(bytes(8_000_000))
        assert not sending.called
        got = len(await receiving)
        assert await near.receiveExactly(8_000_000 - got) == bytes(8_000_000 - got)
        await sending
        receiving = near.Receive()
        far.Close()
        assert await receiving == b""
        await turned(reactor)
        assert door.told + near.told + far.told == []
        # Nothing is left selected, on any of them.
        assert near.IOCtl(FIONBIO, 0) is True and door.IOCtl(FIONBIO, 0) is True

    played(way, program)


def test_selecting_while_a_call_waits_leaves_it_waiting(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected(Told)
        receiving = near.Receive()
        must(near.AsyncSelect(FD_CLOSE))
        peer.sendall(b"hello")
        assert await receiving == b"hello"
        peer.sendall(b"unselected")
        await turned(reactor)
        must(near.AsyncSelect(FD_READ))
        await until(reactor, lambda: "OnReceive" in near.told)
        assert near.told == ["OnReceive"]

    played(way, program)


def test_a_child_and_a_duplicate_select_what_was_selected(way: str) -> None:
    async def program(reactor: Any) -> None:
        door = listener()
        must(door.AsyncSelect(0))
        accepting = door.Accept()
        peer = peerOf(door)
        child = await accepting
        assert child.IOCtl(FIONBIO, 0) is True
        receiving = child.Receive()
        twin = copy.copy(child)
        assert twin.IOCtl(FIONBIO, 0) is True
        assert not twin.IsBlocking()
        peer.sendall(b"hello")
        assert await receiving == b"hello"
        peer.sendall(b"again")
        assert await twin.Receive() == b"again"

    played(way, program)


def test_urgent_data_in_line_ends_a_wait_for_it(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, _ = await connected()
        urgent = near.Receive(1, 1)
        must(near.SetSockOpt(SO_OOBINLINE, True))
        assert isinstance(await caught(urgent), WinsockArgumentError)

    played(way, program)


def test_members_of_the_base_class_do_not_wait(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected(Told)
        assert CAsyncSocket.Receive(near, bytearray(5)) == -1
        assert GetLastError() == WSAError.WSAEWOULDBLOCK
        assert CAsyncSocket.Send(near, b"hello") == 5
        assert peer.recv(10) == b"hello"

    played(way, program)


# -- handlers that wait


class Echo(Told):
    """
    An echo whose OnReceive waits, written in two ways.
    """

    async def OnReceive(self, nErrorCode: int) -> None:  # type: ignore[override]  # the base class's can't wait
        self.told.append("OnReceive")
        line = await self.receiveLine()
        await self.Send(line)
        self.told.append("done")


class CallbackEcho(Told):
    @inlineCallbacks
    def OnReceive(self, nErrorCode: int) -> Any:  # type: ignore[override]  # as above
        self.told.append("OnReceive")
        line = yield self.receiveLine()
        yield self.Send(line)
        self.told.append("done")


@pytest.mark.parametrize("kind", [Echo, CallbackEcho])
def test_a_handler_that_waits_is_not_entered_again(way: str, kind: type[Told]) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected(kind)
        peer.sendall(b"he")
        await until(reactor, lambda: "OnReceive" in near.told)
        peer.sendall(b"llo")
        await turned(reactor)
        assert near.told == ["OnSend", "OnReceive"]
        peer.sendall(b"\nagain\n")
        peer.shutdown(socket.SHUT_WR)
        await until(reactor, lambda: "OnClose" in near.told)
        assert near.told == ["OnSend", "OnReceive", "done", "OnReceive", "done", "OnClose"]
        assert peer.recv(100) == b"hello\nagain\n"

    played(way, program)


def test_what_came_while_a_handler_waited_is_told_when_it_has_ended(way: str) -> None:
    release: Deferred[None] = Deferred()

    class Slow(Told):
        async def OnReceive(self, nErrorCode: int) -> None:  # type: ignore[override]  # as above
            self.told.append(repr(await self.Receive()))
            await release
            self.told.append("done")

    async def program(reactor: Any) -> None:
        near, peer = await connected(Slow)
        other, otherPeer = await connected(Told)
        await turned(reactor)
        peer.sendall(b"one")
        await until(reactor, lambda: len(near.told) == 2)
        peer.sendall(b"two")
        peer.close()
        otherPeer.sendall(b"x")
        await until(reactor, lambda: "OnReceive" in other.told)
        assert near.told == ["OnSend", "b'one'"]
        release.callback(None)
        await until(reactor, lambda: "OnClose" in near.told)
        assert near.told == ["OnSend", "b'one'", "done", "b'two'", "done", "OnClose"]

    played(way, program)


@pytest.mark.parametrize("late", [False, True])
def test_a_handler_that_fails_after_it_has_waited_costs_its_socket(way: str, late: bool) -> None:
    class Failing(Told):
        async def OnReceive(self, nErrorCode: int) -> None:  # type: ignore[override]  # as above
            if late:
                await self.receiveLine()
            raise ZeroDivisionError("in a handler")

    seen = []

    async def program(reactor: Any) -> None:
        near, peer = await connected(Failing)
        peer.sendall(b"he")
        await turned(reactor)
        if late:
            assert near.fileno() >= 0
            peer.sendall(b"llo\n")
        await until(reactor, lambda: near.fileno() < 0)
        seen.extend(near.told)

    with pytest.raises(AssertionError, match="in a handler"):
        played(way, program)
    assert seen == ["OnSend", "OnClose(10053)"]


def test_closing_the_socket_of_a_handler_that_waits_is_no_failure(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected(Echo)
        peer.sendall(b"he")
        await until(reactor, lambda: "OnReceive" in near.told)
        near.Close()
        await turned(reactor)
        assert near.told == ["OnSend", "OnReceive"]
        # The object can be used again, and its new socket is told of everything.
        door = listener()
        must(near.Create())
        await near.Connect(*must(door.GetSockName()))
        far = await door.Accept()
        await far.Send(b"hello\n")
        assert await far.receiveLine() == b"hello\n"

    played(way, program)


def test_a_listener_s_handler_can_wait(way: str) -> None:
    class Listener(CSocket):
        served = 0

        async def OnAccept(self, nErrorCode: int) -> None:  # type: ignore[override]  # the base class's can't wait
            async with await self.Accept() as client:
                await client.Send(await client.receiveLine())
                self.served += 1

    async def program(reactor: Any) -> None:
        door = listener(Listener)
        peers = [peerOf(door) for _ in range(3)]
        for peer in reversed(peers):
            peer.sendall(b"hello\n")
        await until(reactor, lambda: door.served == 3)
        assert [peer.recv(100) for peer in peers] == [b"hello\n"] * 3

    played(way, program)


# -- the socket's thread, and its end


def test_another_thread_touches_nothing(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        receiving = near.Receive()
        codes: list[Any] = []

        def elsewhere() -> None:
            calls: list[Callable[[], Any]] = [lambda: near.Send(b"x"), lambda: near.Accept(), near.receiveLine]
            for call in calls:
                call().addErrback(lambda failure: codes.append(failure.value.code))
            SetLastError(0)
            near.CancelBlockingCall()
            codes.append(GetLastError())

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        uninitialised, busy = WSAError.WSANOTINITIALISED, WSAError.WSAEINPROGRESS
        assert codes == [uninitialised, uninitialised, busy, uninitialised]
        assert not receiving.called
        peer.sendall(b"hello")
        assert await receiving == b"hello"

    played(way, program)


def test_the_end_of_a_thread_s_sockets_ends_their_waits(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, _ = await connected()
        receiving = near.Receive()
        AfxSocketTerm()
        assert isinstance(await caught(receiving), WinsockInterrupted)
        assert isinstance(await caught(near.Receive()), WinsockStateError)

    played(way, program)


def test_the_end_of_the_reactor_ends_the_waits(way: str) -> None:
    ended: list[Any] = []
    with reactorOf(way) as reactor:

        async def program() -> None:
            near, far = await pair()
            far.Receive().addErrback(lambda failure: ended.append(failure.type))
            far.Send(bytes(16_000_000)).addErrback(lambda failure: ended.append(failure.type))
            reactor.stop()

        reactor.callWhenRunning(lambda: Deferred.fromCoroutine(program()))
        reactor.run(installSignalHandlers=False)
        for descriptor in reactor.removeAll():
            descriptor.connectionLost(None)
    # The first that is aborted resets the other.
    assert set(ended) <= {WinsockConnectionAborted, WinsockConnectionReset, WinsockInterrupted}
    assert len(ended) == 2


def test_from_handle_finds_what_waits_only(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, other = CSocket(), CAsyncSocket()
        must(near.Create() and other.Create())
        assert CSocket.FromHandle(near.m_hSocket) is near
        assert CSocket.FromHandle(other.m_hSocket) is None
        assert CAsyncSocket.FromHandle(near.m_hSocket) is near

    played(way, program)


def test_create_and_attach_take_what_mfc_s_take(way: str) -> None:
    async def program(reactor: Any) -> None:
        near = CSocket()
        must(near.Create(0, 1, LOCALHOST))
        assert must(near.GetSockName())[0] == LOCALHOST
        ends = socket.socketpair()
        with CSocket() as one:
            must(one.Attach(ends[0]))
            ends[1].sendall(b"hello")
            assert await one.Receive() == b"hello"
        assert near.Create() is False and GetLastError() == WSAError.WSAEINVAL

    played(way, program)
