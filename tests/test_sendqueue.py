"""
SendTo to a host name: the datagram is taken, and leaves when the name was looked up, in its turn.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from _play import Script, played, turns
from _reactors import LIMIT, Recorder, must
from _resolvers import Book
from _streams import LOCALHOST, told
from twisted.internet.address import HostnameAddress, IPv4Address

from twisted_casync import (
    AF_INET6,
    SO_BROADCAST,
    SO_ERROR,
    SOCK_DGRAM,
    SOCKET_ERROR,
    CAsyncSocket,
    GetLastError,
    WSAError,
)

HOST = "server.invalid"
OTHER = "other.invalid"


class Books(Book):
    """A resolver that answers for one name at a time."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.receivers: dict[str, Any] = {}

    def resolveHostName(self, resolutionReceiver: Any, hostName: str, *arguments: Any, **options: Any) -> Any:
        self.receivers[hostName] = resolutionReceiver
        return super().resolveHostName(resolutionReceiver, hostName, *arguments, **options)

    def answerFor(self, host: str, *addresses: str) -> None:
        self.addresses, self.waiting = addresses, [self.receivers.pop(host)]
        self.answer()


def receiver(host: str = LOCALHOST) -> tuple[socket.socket, int]:
    """A plain datagram socket, and its port."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(LIMIT)
    made.bind((host, 0))
    return made, made.getsockname()[1]


def sender(reactor: Any, **handlers: Callable[..., Any]) -> Recorder:
    made = Recorder(reactor, **handlers)
    must(made.Create(0, SOCK_DGRAM))
    return made


def nothing(there: socket.socket) -> bool:
    there.setblocking(False)
    try:
        there.recv(1)
    except BlockingIOError:
        return True
    finally:
        there.settimeout(LIMIT)
    return False


def failed(one: CAsyncSocket, result: Any, code: WSAError) -> bool:
    return result in (SOCKET_ERROR, (SOCKET_ERROR, None)) and GetLastError() is code


# -- taken, and sent


@pytest.mark.parametrize("late", [True, False], ids=["answered-later", "answered-at-once"])
@played
def test_SendTo_by_name_takes_the_datagram_and_sends_it_when_the_name_is_known(reactor: Any, late: bool) -> Script:
    book = Book(reactor, "::1", LOCALHOST, late=late)
    (there, port), (other, otherPort) = receiver(), receiver()
    one = sender(reactor)
    with there, other:
        yield lambda: one.told == told("OnSend")
        assert one.SendTo(b"first", 5, port, HOST) == 5
        if late:
            assert nothing(there)
            book.answer()
        assert there.recv(100) == b"first"
        # It is known now, for every port.
        assert one.SendTo(b"second", 6, otherPort, HOST) == 6
        assert other.recv(100) == b"second"
        yield turns()
        # A SendTo that succeeds brings no OnSend.
        assert one.told == told("OnSend")
    assert book.asked == [(HOST, [IPv4Address], "UDP")]


ADDRESSES: dict[str, Callable[[int], tuple[Any, ...]]] = {
    "port and name": lambda port: (port, HOST),
    "tuple": lambda port: ((HOST, port),),
    "Twisted's": lambda port: (IPv4Address("UDP", HOST, port),),
    "Twisted's, of a name": lambda port: (HostnameAddress(HOST.encode(), port),),
}


@pytest.mark.parametrize("where", ADDRESSES.values(), ids=ADDRESSES)
@pytest.mark.parametrize("member", ["SendTo", "SendToEx"])
@played
def test_wherever_the_name_stands_it_is_looked_up(
    reactor: Any, member: str, where: Callable[[int], tuple[Any, ...]]
) -> Script:
    book = Book(reactor, LOCALHOST)
    there, port = receiver()
    one = sender(reactor)
    with there:
        assert getattr(one, member)(b"hello", None, *where(port)) == 5
        book.answer()
        assert there.recv(100) == b"hello"
    yield turns()


@played
def test_a_socket_of_IPv6_sends_to_names_too(reactor: Any) -> Script:
    book = Book(reactor, LOCALHOST, "::1")
    there, port = receiver("::1")
    one = Recorder(reactor)
    must(one.Socket(SOCK_DGRAM, nAddressFormat=AF_INET6))
    with there:
        assert one.SendTo(b"hello", None, port, HOST) == 5
        book.answer()
        assert there.recv(100) == b"hello"
    yield turns()


@played
def test_what_is_taken_is_a_copy(reactor: Any) -> Script:
    book = Book(reactor, LOCALHOST)
    there, port = receiver()
    one, data = sender(reactor), bytearray(b"hello")
    with there:
        assert one.SendTo(data, 4, port, HOST) == 4
        data[:] = b"xxxxx"
        book.answer()
        assert there.recv(100) == b"hell"
    yield turns()


@played
def test_what_was_not_bound_has_a_name_when_it_has_sent(reactor: Any) -> Script:
    book = Book(reactor, LOCALHOST)
    there, port = receiver()
    one = Recorder(reactor)
    must(one.Socket(SOCK_DGRAM))
    with there:
        assert one.SendTo(b"hello", None, port, HOST) == 5
        mine = must(one.GetSockName())[1]
        assert failed(one, one.Receive(bytearray(9)), WSAError.WSAEWOULDBLOCK)
        book.answer()
        assert there.recvfrom(100) == (b"hello", (LOCALHOST, mine))
        # It can be answered.
        there.sendto(b"answer", (LOCALHOST, mine))
        yield lambda: "OnReceive" in one.names()
        assert one.Receive(bytearray(9)) == 6


@pytest.mark.parametrize("late", [True, False], ids=["answered-later", "answered-at-once"])
@played
def test_what_cant_be_sent_fails_at_once(reactor: Any, late: bool) -> Script:
    Book(reactor, LOCALHOST, late=late)
    one = Recorder(reactor)
    must(one.Socket(SOCK_DGRAM))
    assert failed(one, one.SendTo(bytes(65508), None, 7, HOST), WSAError.WSAEMSGSIZE)
    assert failed(one, one.SendTo(b"x", None, 0, HOST), WSAError.WSAEINVAL)
    assert failed(one, one.SendTo(b"x", None, 7, "a..b"), WSAError.WSAEINVAL)
    assert failed(one, one.SendTo(b"x", None, 7, HOST, 0x4000), WSAError.WSAEINVAL)
    # It was not bound by what was not sent.
    assert one.GetSockName() is None
    must(one.SendTo(b"x", None, 7, HOST))
    if late:
        assert failed(one, one.SendTo(bytes(65508), None, 7, LOCALHOST), WSAError.WSAEMSGSIZE)
    yield turns()


# -- in order


@played
def test_datagrams_leave_in_the_order_in_which_they_were_sent(reactor: Any) -> Script:
    book = Books(reactor)
    there, port = receiver()
    one = sender(reactor)
    with there:
        for number, where in enumerate([HOST, LOCALHOST, OTHER, HOST, LOCALHOST]):
            assert one.SendTo(b"%d" % number, None, port, where) == 1
        assert sorted(book.receivers) == [OTHER, HOST]
        book.answerFor(OTHER, LOCALHOST)
        assert nothing(there)
        book.answerFor(HOST, LOCALHOST)
        assert [there.recv(9) for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
        # Nothing waits any more.
        assert one.SendTo(b"5", None, port, LOCALHOST) == 1
        assert there.recv(9) == b"5"
    assert len(book.asked) == 2
    yield turns()


@played
def test_an_answer_to_a_datagram_waits_behind_the_others(reactor: Any) -> Script:
    book = Books(reactor)
    there, port = receiver()

    def receive(self: Any) -> None:
        # The short ways of a handler.
        _, source = self.ReceiveFrom(bytearray(9))
        assert self.SendTo(b"2", None, source) == 1

    one = sender(reactor, OnReceive=receive)
    with there:
        assert one.SendTo(b"1", None, port, HOST) == 1
        there.sendto(b"question", (LOCALHOST, must(one.GetSockName())[1]))
        yield lambda: "OnReceive" in one.names()
        assert nothing(there)
        book.answerFor(HOST, LOCALHOST)
        assert [there.recv(9), there.recv(9)] == [b"1", b"2"]


@pytest.mark.parametrize("byName", [False, True], ids=["address", "name"])
@played
def test_what_is_sent_to_the_peer_waits_too_and_goes_to_the_peer_of_then(reactor: Any, byName: bool) -> Script:
    book = Books(reactor)
    (there, port), (other, otherPort) = receiver(), receiver()
    one = sender(reactor)
    with there, other:
        must(one.Connect(LOCALHOST, port))
        assert one.SendTo(b"1", None, port, HOST) == 1
        assert one.Send(b"2") == 1
        if byName:
            assert one.Connect(OTHER, otherPort) is False
            book.answerFor(OTHER, LOCALHOST)
            yield lambda: "OnConnect" in one.names()
        else:
            must(one.Connect(LOCALHOST, otherPort))
        assert one.Send(b"3") == 1
        assert nothing(other)
        book.answerFor(HOST, LOCALHOST)
        assert [there.recv(9), there.recv(9), other.recv(9)] == [b"1", b"2", b"3"]
        assert one.Send(b"4") == 1
        assert other.recv(9) == b"4"
    yield turns()


# -- no room


@pytest.mark.parametrize(("size", "most"), [(1, 64), (60000, 4), (0, 64)], ids=["datagrams", "bytes", "empty"])
@played
def test_when_too_many_wait_OnSend_says_when_there_is_room(reactor: Any, size: int, most: int) -> Script:
    book = Books(reactor)
    there, port = receiver()
    one = sender(reactor)
    with there:
        there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        yield lambda: one.told == told("OnSend")
        for _ in range(most):
            assert one.SendTo(bytes(size), None, port, HOST) == size
        for where in (HOST, LOCALHOST):
            assert failed(one, one.SendTo(bytes(size), None, port, where), WSAError.WSAEWOULDBLOCK)
        yield turns()
        # The system has room; the queue has none.
        assert one.told == told("OnSend")
        book.answerFor(HOST, LOCALHOST)
        yield lambda: one.told == told("OnSend", "OnSend")
        yield turns()
        assert one.told == told("OnSend", "OnSend")
        assert one.SendTo(b"more", None, port, HOST) == 4
        assert [len(there.recv(1 << 16)) for _ in range(most + 1)] == [size] * most + [4]


@played
def test_AsyncSelect_while_there_is_no_room_tells_OnSend_once(reactor: Any) -> Script:
    book = Books(reactor)
    there, port = receiver()
    one = sender(reactor)
    with there:
        yield lambda: one.told == told("OnSend")
        while one.SendTo(b"x", None, port, HOST) == 1:
            pass
        must(one.AsyncSelect())
        yield lambda: len(one.told) == 2
        yield turns()
        assert one.told == told("OnSend", "OnSend")
        must(one.AsyncSelect(0))
        book.answerFor(HOST, LOCALHOST)
        yield turns()
        assert there.recv(9) == b"x"
        assert one.told == told("OnSend", "OnSend")


# -- what can't be sent later


NEXT: dict[str, Callable[[CAsyncSocket, int], Any]] = {
    "SendTo": lambda one, port: one.SendTo(b"next", None, port, LOCALHOST),
    "SendTo a name": lambda one, port: one.SendTo(b"next", None, port, OTHER),
    "Send": lambda one, port: one.Send(b"next"),
    "Receive": lambda one, port: one.Receive(bytearray(9)),
    "ReceiveFrom": lambda one, port: one.ReceiveFrom(bytearray(9)),
}


@pytest.mark.parametrize("call", NEXT.values(), ids=NEXT)
@pytest.mark.parametrize("late", [True, False], ids=["answered-later", "answered-at-once"])
@played
def test_the_next_call_fails_when_the_name_has_no_address(
    reactor: Any, late: bool, call: Callable[[CAsyncSocket, int], Any]
) -> Script:
    book = Book(reactor, late=late)
    there, port = receiver()
    one = sender(reactor)
    with there:
        must(one.Connect(LOCALHOST, port))
        assert one.SendTo(b"x", None, port, HOST) == 1
        book.answer()
        assert failed(one, call(one, port), WSAError.WSAHOST_NOT_FOUND)
        # It was said once.
        assert one.Send(b"y") == 1
        assert there.recv(9) == b"y"
        assert failed(one, one.Receive(bytearray(9)), WSAError.WSAEWOULDBLOCK)
        yield turns()
        assert "OnReceive" not in one.names()
        # It is looked up again.
        book.addresses = (LOCALHOST,)
        assert one.SendTo(b"z", None, port, HOST) == 1
        book.answer()
        assert there.recv(9) == b"z"


@played
def test_OnReceive_tells_that_the_name_has_no_address(reactor: Any) -> Script:
    book = Book(reactor)
    codes: list[Any] = []

    def receive(self: Any) -> None:
        codes.append((self.ReceiveFrom(bytearray(9)), GetLastError()))

    one = sender(reactor, OnReceive=receive)
    assert one.SendTo(b"x", None, 7, HOST) == 1
    yield turns()
    assert one.told == told("OnSend")
    book.answer()
    yield lambda: "OnReceive" in one.names()
    yield turns()
    assert codes == [((SOCKET_ERROR, None), WSAError.WSAHOST_NOT_FOUND)]
    assert one.told == told("OnSend", "OnReceive")


@played
def test_only_the_datagrams_to_that_name_are_lost(reactor: Any) -> Script:
    book = Books(reactor)
    there, port = receiver()
    one = sender(reactor)
    with there:
        for number, where in enumerate([HOST, OTHER, HOST, LOCALHOST]):
            assert one.SendTo(b"%d" % number, None, port, where) == 1
        book.answerFor(HOST)
        book.answerFor(OTHER, LOCALHOST)
        assert [there.recv(9), there.recv(9)] == [b"1", b"3"]
        assert one.GetSockOpt(SO_ERROR) is WSAError.WSAHOST_NOT_FOUND
        assert failed(one, one.Send(b"x"), WSAError.WSAHOST_NOT_FOUND)
    yield turns()


@played
def test_what_fails_in_the_system_later_is_said_by_the_next_call(reactor: Any) -> Script:
    book = Books(reactor)
    there, port = receiver()
    one = sender(reactor)
    with there:
        assert one.SendTo(b"1", None, port, HOST) == 1
        # The options are those of the time of sending.
        assert one.SendTo(b"2", None, port) == 1
        book.answerFor(HOST, LOCALHOST)
        assert there.recv(9) == b"1"
        assert failed(one, one.SendTo(b"3", None, port, LOCALHOST), WSAError.WSAEACCES)
        assert one.SendTo(b"4", None, port, LOCALHOST) == 1
        assert there.recv(9) == b"4"
        must(one.SetSockOpt(SO_BROADCAST, True))
    yield turns()


@pytest.mark.parametrize("again", [False, True], ids=["looked-up", "known"])
@played
def test_a_name_whose_address_is_zeros_is_refused(reactor: Any, again: bool) -> Script:
    book = Book(reactor, "0.0.0.0")
    one = sender(reactor)
    assert one.SendTo(b"x", None, 7, HOST) == 1
    book.answer()
    assert failed(one, one.SendTo(b"x", None, 7, LOCALHOST), WSAError.WSAEADDRNOTAVAIL)
    if again:
        assert failed(one, one.SendTo(b"x", None, 7, HOST), WSAError.WSAEADDRNOTAVAIL)
    yield turns()


# -- the end


def free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


@played
def test_what_was_taken_is_sent_after_Close(reactor: Any) -> Script:
    book = Books(reactor)
    there, port = receiver()
    one = sender(reactor)
    with there:
        mine = must(one.GetSockName())[1]
        assert one.SendTo(b"1", None, port, HOST) == 1
        assert one.SendTo(b"2", None, port, LOCALHOST) == 1
        one.Close()
        # The object is free for another socket, which is not concerned.
        must(one.Create(0, SOCK_DGRAM))
        yield lambda: one.told == told("OnSend")
        assert one.SendTo(b"other", None, port, LOCALHOST) == 5
        assert there.recv(9) == b"other"
        assert not free(mine)
        book.answerFor(HOST, LOCALHOST)
        assert [there.recvfrom(9), there.recvfrom(9)] == [(b"1", (LOCALHOST, mine)), (b"2", (LOCALHOST, mine))]
        assert free(mine)
        yield turns()
        assert one.told == told("OnSend")


@played
def test_after_Close_nobody_hears_that_a_name_has_no_address(reactor: Any) -> Script:
    book = Books(reactor)
    one = sender(reactor)
    mine = must(one.GetSockName())[1]
    assert one.SendTo(b"1", None, 7, HOST) == 1
    one.Close()
    must(one.Create(0, SOCK_DGRAM))
    book.answerFor(HOST)
    assert free(mine)
    yield turns()
    assert one.told == told("OnSend")
    assert failed(one, one.Receive(bytearray(9)), WSAError.WSAEWOULDBLOCK)


@played
def test_what_was_taken_is_sent_after_Detach(reactor: Any) -> Script:
    book = Books(reactor)
    there, port = receiver()
    one = sender(reactor)
    with there:
        assert one.SendTo(b"1", None, port, HOST) == 1
        with socket.socket(fileno=one.Detach()) as handle:
            book.answerFor(HOST, LOCALHOST)
            assert there.recvfrom(9) == (b"1", (LOCALHOST, handle.getsockname()[1]))
            handle.sendto(b"2", (LOCALHOST, port))
            assert there.recv(9) == b"2"
    yield turns()


@played
def test_what_was_taken_is_sent_after_ShutDown(reactor: Any) -> Script:
    book = Books(reactor)
    there, port = receiver()
    one = sender(reactor)
    with there:
        assert one.SendTo(b"1", None, port, HOST) == 1
        must(one.ShutDown(CAsyncSocket.sends))
        assert failed(one, one.SendTo(b"2", None, port, HOST), WSAError.WSAESHUTDOWN)
        book.answerFor(HOST, LOCALHOST)
        assert there.recv(9) == b"1"
        for where in (HOST, LOCALHOST):
            assert failed(one, one.SendTo(b"2", None, port, where), WSAError.WSAESHUTDOWN)
    yield turns()
