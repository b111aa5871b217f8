"""
Names instead of addresses, on every reactor: nothing blocks, and every address of the socket's family is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from _play import Script, played, turns
from _reactors import WAYS, Recorder, must, reactorOf, run
from _resolvers import Book
from _streams import LOCALHOST, beginConnect, listening, portOf, refusingPort, told
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address

from twisted_casync import AF_INET6, SOCK_DGRAM, SOCK_STREAM, SOCKET_ERROR, CSocket, GetLastError, WSAError
from twisted_casync._lookup import Lookup
from twisted_casync._sockaddr import SockAddr

HOST = "server.invalid"
DEAD = "127.0.0.2"


def client(reactor: Any) -> Recorder:
    made = Recorder(reactor)
    must(made.Create())
    return made


# -- Connect


@pytest.mark.parametrize("late", [True, False], ids=["answered-later", "answered-at-once"])
@played
def test_Connect_by_name_ends_in_OnConnect(reactor: Any, late: bool) -> Script:
    book = Book(reactor, LOCALHOST, late=late)
    listener, socket = listening(reactor), client(reactor)
    beginConnect(socket, portOf(listener), HOST)
    assert book.asked == [(HOST, [IPv4Address], "TCP")]
    assert socket.told == []
    if late:
        yield turns()
        assert socket.told == []
        book.answer()
    yield lambda: len(socket.told) >= 2
    yield turns()
    assert socket.told == told("OnConnect", "OnSend")
    assert socket.GetPeerName() == (LOCALHOST, portOf(listener))


ADDRESSES: dict[str, Callable[[str, int], Any]] = {
    "tuple": lambda host, port: (host, port),
    "Twisted's": lambda host, port: IPv4Address("TCP", host, port),
    "Twisted's, of a name": lambda host, port: HostnameAddress(host.encode(), port),
}


@pytest.mark.parametrize("made", ADDRESSES.values(), ids=ADDRESSES)
@played
def test_Connect_looks_up_the_name_in_an_address(reactor: Any, made: Callable[[str, int], Any]) -> Script:
    book = Book(reactor, LOCALHOST)
    listener, socket = listening(reactor), client(reactor)
    assert socket.Connect(made(HOST, portOf(listener))) is False
    assert GetLastError() == WSAError.WSAEWOULDBLOCK
    assert book.asked == [(HOST, [IPv4Address], "TCP")]
    book.answer()
    yield lambda: len(socket.told) >= 2
    assert socket.told == told("OnConnect", "OnSend")
    assert socket.GetPeerName() == (LOCALHOST, portOf(listener))


@played
def test_Connect_looks_up_the_name_in_an_IPv6_address(reactor: Any) -> Script:
    book = Book(reactor, "::1")
    listener = Recorder(reactor)
    must(listener.Socket(nAddressFormat=AF_INET6))
    must(listener.Bind(0, "::1"))
    must(listener.Listen())
    port = must(listener.GetSockNameEx())[1]
    for address in ((HOST, port), (HOST, port, 0, 0), IPv6Address("TCP", HOST, port)):
        socket = Recorder(reactor)
        must(socket.Socket(nAddressFormat=AF_INET6))
        assert socket.Connect(address) is False
        assert GetLastError() == WSAError.WSAEWOULDBLOCK
        book.answer()
        yield lambda socket=socket: len(socket.told) >= 2  # type: ignore[misc]  # the default is a binding
        assert socket.told == told("OnConnect", "OnSend")
    assert book.asked == 3 * [(HOST, [IPv6Address], "TCP")]


@played
def test_only_an_address_has_a_scope(reactor: Any) -> Script:
    book = Book(reactor, "::1")
    socket = Recorder(reactor)
    must(socket.Socket(nAddressFormat=AF_INET6))
    for address in ((HOST, 7, 0, 1), (HOST, 7, 1)):
        assert socket.Connect(address) is False
        assert GetLastError() == WSAError.WSAEINVAL
    assert book.asked == []
    yield turns()


@played
def test_an_awaited_Connect_looks_up_the_name_in_an_address(reactor: Any) -> Script:
    Book(reactor, LOCALHOST, late=False)
    listener, socket = listening(reactor), CSocket(reactor)
    must(socket.Create())
    results: list[bool] = []
    socket.Connect((HOST, portOf(listener))).addCallback(results.append)
    yield lambda: results == [True]
    assert socket.GetPeerName() == (LOCALHOST, portOf(listener))


@played
def test_every_address_of_the_family_is_tried_in_turn(reactor: Any) -> Script:
    book = Book(reactor, "::1", DEAD, LOCALHOST, "127.0.0.3")
    listener, socket = listening(reactor), client(reactor)
    beginConnect(socket, portOf(listener), HOST)
    book.answer()
    yield lambda: len(socket.told) >= 2
    yield turns()
    assert socket.told == told("OnConnect", "OnSend")
    assert socket.GetPeerName() == (LOCALHOST, portOf(listener))


@played
def test_an_IPv6_socket_asks_for_IPv6_addresses(reactor: Any) -> Script:
    book = Book(reactor, LOCALHOST, "::1")
    listener, socket = Recorder(reactor), Recorder(reactor)
    must(listener.Socket(nAddressFormat=AF_INET6))
    must(listener.Bind(0, "::1"))
    must(listener.Listen())
    must(socket.Socket(nAddressFormat=AF_INET6))
    beginConnect(socket, must(listener.GetSockNameEx())[1], HOST)
    assert book.asked == [(HOST, [IPv6Address], "TCP")]
    book.answer()
    yield lambda: len(socket.told) >= 2
    assert socket.told == told("OnConnect", "OnSend")
    assert socket.GetPeerNameEx() == listener.GetSockNameEx()


def test_a_link_local_address_keeps_its_scope() -> None:
    with reactorOf("epoll-window") as reactor:
        book = Book(reactor)
        answers: list[Sequence[SockAddr]] = []
        Lookup(7, lambda lookup, found: answers.append(found)).start(reactor, HOST, AF_INET6, SOCK_STREAM)
        for scope in (3, 4, 3):
            book.waiting[0].addressResolved(IPv6Address("TCP", "fe80::1", 0, 0, scope))
        book.answer()
        assert answers == [[("fe80::1", 7, 0, 3), ("fe80::1", 7, 0, 4)]]


@played
def test_when_no_address_answers_the_error_of_the_last_is_told_once(reactor: Any) -> Script:
    book = Book(reactor, DEAD, LOCALHOST)
    port, holder = refusingPort()
    socket = client(reactor)
    with holder:
        beginConnect(socket, port, HOST)
        book.answer()
        yield lambda: socket.told != []
        yield turns()
    assert socket.told == told("OnConnect", code=WSAError.WSAECONNREFUSED)


@pytest.mark.parametrize("addresses", [[], ["::1"]], ids=["no-address", "of-another-family"])
@pytest.mark.parametrize("late", [True, False], ids=["answered-later", "answered-at-once"])
@played
def test_a_name_without_an_address_is_not_found(reactor: Any, late: bool, addresses: list[str]) -> Script:
    book = Book(reactor, *addresses, late=late)
    listener, socket = listening(reactor), client(reactor)
    beginConnect(socket, portOf(listener), HOST)
    assert socket.told == []
    book.answer()
    yield lambda: socket.told != []
    yield turns()
    assert socket.told == told("OnConnect", code=WSAError.WSAHOST_NOT_FOUND)
    # The object can try again.
    book.addresses = (LOCALHOST,)
    beginConnect(socket, portOf(listener), HOST)
    book.answer()
    yield lambda: len(socket.told) >= 3
    assert socket.told[1:] == told("OnConnect", "OnSend")


@played
def test_while_a_name_is_looked_up_the_socket_is_connecting(reactor: Any) -> Script:
    book = Book(reactor, LOCALHOST)
    listener, socket = listening(reactor), client(reactor)
    port = portOf(listener)
    beginConnect(socket, port, HOST)
    for host in (HOST, "other.invalid", LOCALHOST):
        assert socket.Connect(host, port) is False
        assert GetLastError() == WSAError.WSAEALREADY
    assert len(book.asked) == 1
    assert socket.Send(b"x") == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAENOTCONN
    assert socket.Receive(bytearray(1)) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAENOTCONN
    must(socket.AsyncSelect())
    yield turns()
    assert socket.told == []
    book.answer()
    yield lambda: len(socket.told) >= 2
    assert socket.told == told("OnConnect", "OnSend")


@played
def test_Close_while_a_name_is_looked_up_ends_it(reactor: Any) -> Script:
    book = Book(reactor, LOCALHOST)
    listener, socket = listening(reactor), client(reactor)
    beginConnect(socket, portOf(listener), HOST)
    socket.Close()
    book.answer()
    yield turns()
    assert socket.told == listener.told == []


@played
def test_an_answer_that_comes_too_late_does_not_disturb_the_objects_next_socket(reactor: Any) -> Script:
    book = Book(reactor, DEAD)
    listener, socket = listening(reactor), client(reactor)
    beginConnect(socket, portOf(listener), HOST)
    former, book.waiting = book.waiting, []
    socket.Close()
    must(socket.Create())
    beginConnect(socket, portOf(listener), HOST)
    newer, book.waiting = book.waiting, former
    book.answer()
    yield turns()
    assert socket.told == []
    book.waiting, book.addresses = newer, (LOCALHOST,)
    book.answer()
    yield lambda: len(socket.told) >= 2
    yield turns()
    assert socket.told == told("OnConnect", "OnSend")


@pytest.mark.parametrize("name", ["", ".", "..", "a..b", "a..", "\udc80", 64 * "x" + ".invalid", "nul\0.invalid"])
@played
def test_what_can_be_no_name_fails_at_once(reactor: Any, name: str) -> Script:
    book = Book(reactor, LOCALHOST)
    socket = client(reactor)
    datagram = Recorder(reactor)
    must(datagram.Create(0, SOCK_DGRAM))
    assert socket.Connect(name, 7) is False
    assert GetLastError() == WSAError.WSAEINVAL
    assert datagram.SendTo(b"x", 1, 7, name) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAEINVAL
    assert book.asked == []
    yield turns()
    assert socket.told == []


@played
def test_an_address_needs_no_resolver(reactor: Any) -> Script:
    book = Book(reactor)
    listener = listening(reactor)
    for text in (LOCALHOST, "127.1"):
        socket = client(reactor)
        beginConnect(socket, portOf(listener), text)
        yield lambda socket=socket: len(socket.told) >= 2  # type: ignore[misc]  # the default is a binding
        assert socket.told == told("OnConnect", "OnSend")
    assert book.asked == []


@played
def test_localhost_is_found_by_the_reactors_own_resolver(reactor: Any) -> Script:
    listener, socket = listening(reactor), client(reactor)
    beginConnect(socket, portOf(listener), "localhost")
    yield lambda: len(socket.told) >= 2
    assert socket.told == told("OnConnect", "OnSend")
    assert socket.GetPeerName() == (LOCALHOST, portOf(listener))


@pytest.mark.parametrize("way", WAYS)
def test_a_name_waits_until_its_reactor_runs_and_an_address_does_not(way: str) -> None:
    """docs/testing.md says so: Twisted looks names up in threads, which begin when the reactor does."""
    with reactorOf(way) as reactor:
        listener, named, numbered = listening(reactor), client(reactor), client(reactor)
        beginConnect(named, portOf(listener), "localhost")
        beginConnect(numbered, portOf(listener), LOCALHOST)
        while not numbered.told:
            reactor.iterate(0.1)
        # An answer of the resolver would have come by way of the reactor.
        for _ in range(20):
            reactor.iterate(0)
        assert named.told == []
        run(reactor, lambda: len(named.told) >= 2)
        # The reactor ended, and its open sockets with it.
        assert named.told[:2] == told("OnConnect", "OnSend")
        for one in (listener, named, numbered):
            one.Close()
