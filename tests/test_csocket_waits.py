"""
CSocket: waits that end from this side, over every reactor.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest
from _awaited import caught, connected, listener, pair, played, turned
from _reactors import WAYS, must
from _streams import LOCALHOST, portOf
from twisted.internet.defer import CancelledError, Deferred, TimeoutError

from twisted_casync import (
    CSocket,
    WinsockBusy,
    WinsockConnectionAborted,
    WinsockInterrupted,
    WSAError,
)

pytestmark = pytest.mark.parametrize("way", WAYS)

LOTS = 4_000_000
"""More bytes than the two buffers of a connection take."""


def test_one_call_of_a_kind_waits(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        receiving, sending = near.Receive(), near.Send(bytes(LOTS * 4))
        for call in (near.Receive(), near.receiveLine(), near.ReceiveFrom(), near.Send(b"x")):
            error = await caught(call)
            assert isinstance(error, WinsockBusy) and error.code is WSAError.WSAEINPROGRESS
        peer.sendall(b"hello")
        assert await receiving == b"hello"
        near.Close()
        assert isinstance(await caught(sending), WinsockInterrupted)

    played(way, program)


@pytest.mark.parametrize("how", ["CancelBlockingCall", "Close", "Detach"])
def test_waits_are_interrupted(way: str, how: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        door = listener()
        client = CSocket()
        must(client.Create())
        waits = [(near, near.Receive()), (near, near.Send(bytes(LOTS * 4))), (door, door.Accept())]
        waits.append((client, client.Connect(LOCALHOST, portOf(door))))
        for waiting in (near, door, client):
            handle = getattr(waiting, how)()
            if how == "Detach":
                socket.close(handle)
        for waiting, call in waits:
            error = await caught(call)
            assert isinstance(error, WinsockInterrupted) and isinstance(error, InterruptedError)
            assert not waiting.IsBlocking()

    played(way, program)


def test_after_a_cancelled_call_the_socket_goes_on(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        receiving = near.Receive()
        near.CancelBlockingCall()
        assert isinstance(await caught(receiving), WinsockInterrupted)
        peer.sendall(b"hello")
        assert await near.Receive() == b"hello"

    played(way, program)


def test_a_wait_that_times_out_loses_nothing(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        calls = (near.Receive, near.ReceiveFrom, near.receiveLine, lambda: near.receiveExactly(5))
        for call in calls:
            waiting: Deferred[Any] = call()
            assert isinstance(await caught(waiting.addTimeout(0.001, reactor)), TimeoutError)
            assert not near.IsBlocking()
        peer.sendall(b"hel")
        assert isinstance(await caught(near.receiveExactly(5).addTimeout(0.001, reactor)), TimeoutError)
        peer.sendall(b"lo\n")
        assert await near.receiveLine() == b"hello\n"

    played(way, program)


def test_a_send_that_was_cancelled_says_what_went(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, far = await pair()
        sending = near.Send(bytes(LOTS * 4))
        await turned(reactor)
        sending.cancel()
        assert isinstance(await caught(sending), CancelledError)
        sent = near.bytesSent
        assert 0 < sent < LOTS * 4
        near.ShutDown()
        assert len(await far.receiveExactly(sent)) == sent
        assert await far.Receive() == b""

    played(way, program)


def test_an_attempt_whose_wait_was_cancelled_goes_on(way: str) -> None:
    async def program(reactor: Any) -> None:
        told = []

        class Client(CSocket):
            def OnConnect(self, nErrorCode: int) -> None:
                told.append(nErrorCode)

        door = listener()
        client = Client()
        must(client.Create())
        connecting = client.Connect("localhost", portOf(door))
        connecting.cancel()
        assert isinstance(await caught(connecting), CancelledError)
        assert isinstance(await caught(client.Connect(LOCALHOST, portOf(door))), WinsockBusy)
        child = await door.Accept()
        await client.Send(b"hello") if told else await turned(reactor)
        assert told == [0]
        await client.Send(b"hello")
        assert (await child.Receive()).startswith(b"hello")

    played(way, program)


def test_a_handler_that_fails_aborts_the_waits(way: str) -> None:
    class Failing(CSocket):
        def OnOutOfBandData(self, nErrorCode: int) -> None:
            raise ZeroDivisionError

    async def program(reactor: Any) -> None:
        near, peer = await connected(Failing)
        receiving = near.Receive()
        peer.send(b"!", socket.MSG_OOB)
        assert isinstance(await caught(receiving), WinsockConnectionAborted)

    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        played(way, program)
