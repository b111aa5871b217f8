"""
CSocket: each call that MFC blocks in, awaited, over every reactor.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest
from _awaited import caught, connected, listener, pair, played, turned
from _reactors import WAYS, must
from _streams import LOCALHOST, peerOf, portOf, refusingPort, reset

from twisted_casync import (
    MSG_OOB,
    MSG_PEEK,
    SOCK_DGRAM,
    CAsyncSocket,
    CSocket,
    GetLastError,
    WinsockArgumentError,
    WinsockBusy,
    WinsockConnectionRefused,
    WinsockConnectionReset,
    WinsockNameError,
    WinsockShutDown,
    WinsockStateError,
    WSAError,
)

pytestmark = pytest.mark.parametrize("way", WAYS)

LOTS = 4_000_000
"""More bytes than the two buffers of a connection take."""


# -- connecting and accepting


def test_connect_waits_for_the_connection(way: str) -> None:
    async def program(reactor: Any) -> None:
        door = listener()
        client = CSocket()
        must(client.Create())
        assert await client.Connect(LOCALHOST, portOf(door)) is True
        assert client.GetPeerName() == (LOCALHOST, portOf(door))

    played(way, program)


def test_connect_waits_for_the_name(way: str) -> None:
    async def program(reactor: Any) -> None:
        door = listener()
        client = CSocket()
        must(client.Create())
        assert await client.Connect("localhost", portOf(door)) is True

    played(way, program)


def test_connect_is_refused(way: str) -> None:
    async def program(reactor: Any) -> None:
        port, holder = refusingPort()
        client = CSocket()
        must(client.Create())
        error = await caught(client.Connect(LOCALHOST, port))
        assert isinstance(error, WinsockConnectionRefused) and isinstance(error, ConnectionRefusedError)
        assert (error.winerror, error.name, GetLastError()) == (10061, "WSAECONNREFUSED", WSAError.WSAECONNREFUSED)
        holder.listen()
        # The same object can try again.
        assert await client.Connect(LOCALHOST, port) is True
        holder.close()

    played(way, program)


def test_connect_to_a_name_that_nobody_has(way: str) -> None:
    async def program(reactor: Any) -> None:
        client = CSocket()
        must(client.Create())
        assert isinstance(await caught(client.Connect("no-such-host.invalid", 7)), WinsockNameError)
        assert isinstance(await caught(client.Connect("a..b", 7)), WinsockArgumentError)

    played(way, program)


def test_on_connect_is_not_called_where_connect_waits(way: str) -> None:
    async def program(reactor: Any) -> None:
        told = []

        class Client(CSocket):
            def OnConnect(self, nErrorCode: int) -> None:
                told.append("OnConnect")

            def OnSend(self, nErrorCode: int) -> None:
                told.append("OnSend")

        door = listener()
        client = Client()
        must(client.Create())
        await client.Connect(LOCALHOST, portOf(door))
        await turned(reactor)
        assert told == ["OnSend"]

    played(way, program)


def test_accept_waits_for_a_client(way: str) -> None:
    async def program(reactor: Any) -> None:
        door = listener()
        accepting = door.Accept()
        assert not accepting.called and door.IsBlocking()
        peer = peerOf(door)
        child = await accepting
        assert type(child) is CSocket
        assert not door.IsBlocking()
        peer.sendall(b"hello")
        assert await child.Receive() == b"hello"

    played(way, program)


def test_accept_into_an_object_and_with_the_address(way: str) -> None:
    async def program(reactor: Any) -> None:
        door = listener()
        peer, child, other = peerOf(door), CSocket(), CAsyncSocket()
        assert await door.Accept(child) is child
        second = peerOf(door)
        assert await door.Accept(other, True) == (other, second.getsockname())
        third = peerOf(door)
        assert isinstance(await caught(door.Accept(child)), WinsockArgumentError)
        # Nothing was taken by the call that failed.
        assert (await door.Accept(None, True))[1] == third.getsockname()
        assert peer.getsockname() == child.GetPeerName()

    played(way, program)


def test_what_is_not_open_fails_at_once(way: str) -> None:
    async def program(reactor: Any) -> None:
        closed = CSocket()
        for call in (closed.Receive(), closed.Send(b"x"), closed.Connect(LOCALHOST, 7), closed.Accept()):
            assert call.called
            error = await caught(call)
            assert isinstance(error, WinsockStateError) and error.code is WSAError.WSAENOTSOCK

    played(way, program)


# -- receiving


def test_receive_gives_what_there_is_without_waiting(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        peer.sendall(b"hello")
        receiving = near.Receive()
        assert receiving.called
        assert await receiving == b"hello"

    played(way, program)


def test_receive_waits_for_data(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        receiving = near.Receive(3)
        assert not receiving.called
        peer.sendall(b"hello")
        assert await receiving == b"hel"
        assert await near.Receive() == b"lo"

    played(way, program)


def test_receive_fills_a_buffer(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        buffer = bytearray(8)
        receiving = near.Receive(buffer, 3)
        peer.sendall(b"hello")
        assert (await receiving, bytes(buffer)) == (3, b"hel\0\0\0\0\0")
        assert (await near.Receive(memoryview(buffer)[4:]), bytes(buffer)) == (2, b"hel\0lo\0\0")
        error = await caught(near.Receive(buffer, 9))
        assert isinstance(error, WinsockArgumentError) and error.code is WSAError.WSAEFAULT
        assert isinstance(await caught(near.Receive(-1)), ValueError)

    played(way, program)


def test_the_end_of_the_stream_is_no_error(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        receiving = near.Receive()
        peer.sendall(b"last")
        peer.shutdown(socket.SHUT_WR)
        assert await receiving == b"last"
        assert [await near.Receive(), await near.Receive(bytearray(5))] == [b"", 0]
        # The other direction goes on.
        await near.Send(b"answer")
        assert peer.recv(100) == b"answer"

    played(way, program)


def test_the_end_of_the_stream_ends_a_wait(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        receiving = near.Receive()
        peer.close()
        assert await receiving == b""

    played(way, program)


def test_a_reset_ends_a_wait(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        receiving = near.Receive()
        reset(peer)
        error = await caught(receiving)
        assert isinstance(error, WinsockConnectionReset) and isinstance(error, ConnectionResetError)
        assert isinstance(await caught(near.Send(b"x")), WinsockConnectionReset)

    played(way, program)


def test_data_before_the_end_of_the_stream_breaks_no_wait(way: str) -> None:
    """MFC's pump ends with FD_CLOSE, and the data is lost to who waits."""

    async def program(reactor: Any) -> None:
        near, peer = await connected()
        receiving = near.receiveExactly(LOTS)
        peer.setblocking(True)
        data = bytes(LOTS)
        sent = 0
        peer.setblocking(False)
        while sent < LOTS:
            try:
                sent += peer.send(data[sent:])
            except BlockingIOError:
                await turned(reactor, 1)
        peer.close()
        assert await receiving == data
        assert await near.Receive() == b""

    played(way, program)


def test_peeking_takes_nothing(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        peeking = near.Receive(10, MSG_PEEK)
        peer.sendall(b"hello")
        assert await peeking == b"hello"
        assert await near.Receive(nFlags=MSG_PEEK) == b"hello"
        assert await near.Receive(2, nFlags=MSG_PEEK) == b"he"
        assert await near.Receive() == b"hello"

    played(way, program)


def test_urgent_data_is_waited_for_beside_the_other(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        urgent, normal = near.Receive(1, MSG_OOB), near.Receive()
        peer.send(b"!", socket.MSG_OOB)
        assert await urgent == b"!"
        assert not normal.called
        peer.sendall(b"hello")
        assert await normal == b"hello"
        urgent = near.Receive(1, MSG_OOB)
        peer.close()
        assert await urgent == b""

    played(way, program)


def test_async_for_goes_to_the_end_of_the_stream(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, far = await pair()
        sending = near.Send(bytes(LOTS))
        sending.addCallback(lambda _: near.ShutDown())
        count = 0
        async for chunk in far:
            count += len(chunk)
        assert count == LOTS
        await sending

    played(way, program)


def test_async_with_closes(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        async with near as entered:
            assert entered is near
        assert near.m_hSocket == -1
        peer.settimeout(10)
        assert peer.recv(1) == b""

    played(way, program)


# -- sending


def test_send_is_all_of_it(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, far = await pair()
        data = bytearray(range(256)) * (LOTS // 256)
        sending = near.Send(data)
        assert not sending.called and 0 < near.bytesSent < len(data)
        expected = bytes(data)
        # What waits was copied: the buffer is the caller's again.
        data.clear()
        assert await far.receiveExactly(len(expected)) == expected
        assert await sending == len(expected) == near.bytesSent

    played(way, program)


def test_send_of_nothing_and_of_a_part(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, far = await pair()
        assert await near.Send(b"") == 0
        assert await near.Send(b"hello", 2) == 2
        assert isinstance(await caught(near.Send(b"hello", 6)), WinsockArgumentError)
        assert await near.Send(b"!", None, MSG_OOB) == 1
        assert await far.Receive(2) == b"he"
        assert await far.Receive(1, MSG_OOB) == b"!"

    played(way, program)


def test_a_send_that_waits_ends_with_the_connection(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        sending = near.Send(bytes(LOTS * 4))
        await turned(reactor)
        reset(peer)
        assert isinstance(await caught(sending), WinsockConnectionReset)
        assert 0 < near.bytesSent < LOTS * 4

    played(way, program)


def test_a_send_that_waits_ends_with_a_connection_that_the_peer_had_finished(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        sending = near.Send(bytes(LOTS * 4))
        peer.shutdown(socket.SHUT_WR)
        assert await near.Receive() == b""
        await turned(reactor)
        assert not sending.called
        reset(peer)
        assert isinstance(await caught(sending), ConnectionError)

    played(way, program)


def test_shut_down_ends_the_waits_of_its_direction(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, peer = await connected()
        receiving, sending = near.Receive(), near.Send(bytes(LOTS * 4))
        must(near.ShutDown(CSocket.receives))
        assert isinstance(await caught(receiving), WinsockShutDown)
        assert not sending.called
        must(near.ShutDown(CSocket.sends))
        assert isinstance(await caught(sending), WinsockShutDown)
        assert isinstance(await caught(near.Receive()), BrokenPipeError)

    played(way, program)


# -- datagrams


def mailbox() -> CSocket:
    box = CSocket()
    must(box.Create(0, SOCK_DGRAM, LOCALHOST))
    return box


def test_datagrams_are_waited_for_with_their_source(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, far = mailbox(), mailbox()
        receiving = far.ReceiveFrom()
        assert not receiving.called
        assert await near.SendTo(b"hello", None, portOf(far), LOCALHOST) == 5
        data, source = await receiving
        assert (data, source) == (b"hello", near.GetSockName())
        assert await far.SendTo(b"", None, source) == 0
        buffer = bytearray(10)
        assert await near.ReceiveFrom(buffer) == (0, far.GetSockName())
        await far.SendTo(b"hi", None, source)
        assert await near.ReceiveFrom(buffer) == (2, far.GetSockName())
        assert bytes(buffer[:2]) == b"hi"
        assert isinstance(await caught(far.receiveExactly(1)), WinsockArgumentError)

    played(way, program)


def test_a_datagram_that_is_too_long_fails_with_its_beginning(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, far = mailbox(), mailbox()
        for receive in (far.Receive, far.ReceiveFrom):
            await near.SendTo(b"hello", None, portOf(far), LOCALHOST)
            error = await caught(receive(2))
            assert isinstance(error, WinsockArgumentError)
            assert (error.code, error.partial) == (WSAError.WSAEMSGSIZE, b"he")

    played(way, program)


def test_send_to_waits_for_the_name(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, far = mailbox(), mailbox()
        sending = near.SendTo(b"hello", None, portOf(far), "localhost")
        assert isinstance(await caught(near.SendTo(b"again", None, portOf(far), LOCALHOST)), WinsockBusy)
        assert await sending == 5
        assert await far.Receive() == b"hello"
        assert isinstance(await caught(near.SendTo(b"x", None, 7, "no-such-host.invalid")), WinsockNameError)

    played(way, program)


def test_a_connected_datagram_socket(way: str) -> None:
    async def program(reactor: Any) -> None:
        near, far = mailbox(), mailbox()
        assert await near.Connect(LOCALHOST, portOf(far)) is True
        assert await far.Connect("localhost", portOf(near)) is True
        await near.Send(b"one")
        await near.Send(b"two")
        assert [await far.Receive(), await far.Receive()] == [b"one", b"two"]
        far.Close()
        await near.Send(b"three")
        assert isinstance(await caught(near.Receive()), WinsockConnectionReset)

    played(way, program)
