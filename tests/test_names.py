"""
Local names and peers' names: how they are given, read, and taken by another.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest
from _members import fails
from _reactors import Recorder, must
from _streams import LOCALHOST, accepted, freePort, listening, portOf
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress

from twisted_casync import (
    AF_INET,
    AF_INET6,
    SO_REUSEADDR,
    SOCK_DGRAM,
    SOCK_STREAM,
    CAsyncSocket,
    WSAError,
)

FOREIGN = "203.0.113.1"
"""An address of no machine (RFC 5737)."""

kinds = pytest.mark.parametrize("kind", [SOCK_STREAM, SOCK_DGRAM], ids=["stream", "datagram"])


def opened(reactor: Any, kind: int = SOCK_STREAM, family: int = AF_INET) -> Recorder:
    one = Recorder(reactor)
    must(one.CreateEx((family, kind, 0)))
    return one


def sharing(reactor: Any, kind: int = SOCK_STREAM) -> Recorder:
    one = opened(reactor, kind)
    must(one.SetSockOpt(SO_REUSEADDR, True))
    return one


# -- giving a name


def test_bind_takes_a_port_and_an_address(idle: Any) -> None:
    one = opened(idle)
    assert one.Bind(0, LOCALHOST) is True
    host, port = must(one.GetSockName())
    assert host == LOCALHOST and 0 < port < 65536


@kinds
def test_bind_without_an_address_is_for_all_of_them(idle: Any, kind: int) -> None:
    one = opened(idle, kind)
    assert one.Bind(0) is True
    assert must(one.GetSockName())[0] == "0.0.0.0"
    other = opened(idle, kind, AF_INET6)
    assert other.Bind(0, None) is True
    assert must(other.GetSockNameEx())[0] == "::"


@pytest.mark.parametrize(
    "address",
    [
        (LOCALHOST, 0),
        IPv4Address("TCP", LOCALHOST, 0),
        IPv4Address("UDP", LOCALHOST, 0),
        # The dotted numbers of inet_addr.
        ("127.1", 0),
    ],
)
@pytest.mark.parametrize("length", [None, 16, 28, 1000])
def test_bind_takes_a_sockaddr_and_its_length(idle: Any, address: Any, length: int | None) -> None:
    one = opened(idle)
    assert one.Bind(address, length) is True
    assert must(one.GetSockName())[0] == LOCALHOST


@pytest.mark.parametrize("address", [("::1", 0), ("::1", 0, 0, 0), ("0:0::1", 0, 0), IPv6Address("TCP", "::1", 0)])
def test_bind_takes_a_sockaddr_of_ipv6(idle: Any, address: Any) -> None:
    one = opened(idle, family=AF_INET6)
    assert one.Bind(address, 28) is True
    assert must(one.GetSockNameEx())[0] == "::1"


def test_an_empty_host_is_any_address(idle: Any) -> None:
    one = opened(idle)
    assert one.Bind(("", 0)) is True
    assert must(one.GetSockName())[0] == "0.0.0.0"


@pytest.mark.parametrize("text", ["127.1", "2130706433", "0x7f.1", "127.0.0.1"])
def test_an_address_is_read_as_inet_addr_reads_it(idle: Any, text: str) -> None:
    one = opened(idle)
    assert one.Bind(0, text) is True
    assert must(one.GetSockName())[0] == LOCALHOST


def test_a_length_that_is_too_small_is_a_fault(idle: Any) -> None:
    one, other = opened(idle), opened(idle, family=AF_INET6)
    for length in (15, 8, 0, -1):
        assert fails(WSAError.WSAEFAULT, one.Bind, (LOCALHOST, 0), length)
    for length in (27, 24, 16):
        assert fails(WSAError.WSAEFAULT, other.Bind, ("::1", 0), length)
    # The socket is as unbound as before.
    assert one.Bind((LOCALHOST, 0), 16) is True


@pytest.mark.parametrize("port", [-1, 65536, 2**31, 2**80])
def test_a_port_that_is_none_is_invalid(idle: Any, port: int) -> None:
    assert fails(WSAError.WSAEINVAL, opened(idle).Bind, port)
    assert fails(WSAError.WSAEINVAL, opened(idle).Bind, (LOCALHOST, port))
    assert fails(WSAError.WSAEINVAL, CAsyncSocket(idle).Create, port)


@pytest.mark.parametrize(
    "host", ["localhost", "", " ", "127.0.0.1.1", "256.1.1.1", "a\0b", "\ud800", "::1%lo", "x" * 999]
)
def test_a_name_is_no_local_address_and_is_not_looked_up(idle: Any, host: str) -> None:
    assert fails(WSAError.WSAEINVAL, opened(idle).Bind, 0, host)
    assert fails(WSAError.WSAEINVAL, CAsyncSocket(idle).Create, 0, SOCK_STREAM, 63, host)
    if host:
        # Without a host the tuple stands for all interfaces, as in the socket module.
        assert fails(WSAError.WSAEINVAL, opened(idle).Bind, (host, 0))
        assert fails(WSAError.WSAEINVAL, opened(idle).Bind, HostnameAddress(host.encode("utf-8", "surrogatepass"), 0))
        entry = (AF_INET, SOCK_STREAM, 0, "", (host, 0))
        assert fails(WSAError.WSAEINVAL, CAsyncSocket(idle).CreateEx, entry)


def test_an_address_of_another_family_is_refused(idle: Any) -> None:
    one, other = opened(idle), opened(idle, family=AF_INET6)
    for address in (("::1", 0), (LOCALHOST, 0, 0, 0), IPv6Address("TCP", "::1", 0), UNIXAddress("/x"), "/x", b"/x"):
        assert fails(WSAError.WSAEAFNOSUPPORT, one.Bind, address)
    for wrong in ((LOCALHOST, 0), IPv4Address("TCP", LOCALHOST, 0), UNIXAddress("/x")):
        assert fails(WSAError.WSAEAFNOSUPPORT, other.Bind, wrong)
    assert fails(WSAError.WSAEAFNOSUPPORT, one.Bind, 0, "::1")
    assert fails(WSAError.WSAEAFNOSUPPORT, other.Bind, 0, LOCALHOST)


@kinds
def test_a_foreign_address_is_not_available(idle: Any, kind: int) -> None:
    one = opened(idle, kind)
    assert fails(WSAError.WSAEADDRNOTAVAIL, one.Bind, 0, FOREIGN)
    assert fails(WSAError.WSAEADDRNOTAVAIL, opened(idle, kind, AF_INET6).Bind, 0, "2001:db8::1")
    created = CAsyncSocket(idle)
    assert fails(WSAError.WSAEADDRNOTAVAIL, created.Create, 0, kind, 63, FOREIGN)
    assert created.m_hSocket == -1
    # It may try again.
    assert one.Bind(0, LOCALHOST) is True


@kinds
def test_a_socket_is_bound_once(idle: Any, kind: int) -> None:
    one = opened(idle, kind)
    must(one.Bind(0, LOCALHOST))
    name = one.GetSockName()
    assert fails(WSAError.WSAEINVAL, one.Bind, 0, LOCALHOST)
    assert fails(WSAError.WSAEINVAL, one.Bind, 0)
    assert one.GetSockName() == name


@pytest.mark.parametrize("scope", [("fe80::1", 0, 0, 1), IPv6Address("TCP", "fe80::1", 0, 0, 1), ("fe80::1%1", 0)])
def test_the_scope_of_an_address_is_not_lost(idle: Any, scope: Any) -> None:
    """
    Linux calls a link-local address that comes without a scope invalid; the loopback device, of index 1, has none.
    """
    assert fails(WSAError.WSAEINVAL, opened(idle, family=AF_INET6).Bind, ("fe80::1", 0))
    assert fails(WSAError.WSAEADDRNOTAVAIL, opened(idle, family=AF_INET6).Bind, scope)
    assert fails(WSAError.WSAEADDRNOTAVAIL, opened(idle, family=AF_INET6).Bind, 0, "fe80::1%1")


@pytest.mark.parametrize("rest", [(2**20, 0), (-1, 0), (0, 2**32), (0, -1), (2**80, 2**80)])
def test_flow_and_scope_have_their_ranges(idle: Any, rest: tuple[int, int]) -> None:
    assert fails(WSAError.WSAEINVAL, opened(idle, family=AF_INET6).Bind, ("::1", 0, *rest))
    assert opened(idle, family=AF_INET6).Bind(("::1", 0, 2**20 - 1, 0)) is True


# -- names that are taken


@kinds
def test_a_name_that_is_taken_is_in_use(idle: Any, kind: int) -> None:
    one, port = opened(idle, kind), freePort(kind)
    must(one.Bind(port, LOCALHOST))
    two = opened(idle, kind)
    assert fails(WSAError.WSAEADDRINUSE, two.Bind, port, LOCALHOST)
    created = CAsyncSocket(idle)
    assert fails(WSAError.WSAEADDRINUSE, created.Create, port, kind, 63, LOCALHOST)
    assert created.m_hSocket == -1
    assert two.Bind(port, "127.0.0.2") is True
    one.Close()
    assert created.Create(port, kind, lpszSocketAddress=LOCALHOST) is True


def test_a_listener_shares_its_name_with_none(idle: Any) -> None:
    listener = listening(idle)
    port = portOf(listener)
    assert fails(WSAError.WSAEADDRINUSE, opened(idle).Bind, port, LOCALHOST)
    # Of sockets of other owners Linux says so, at the latest when the second one listens.
    plain = socket.socket()
    with plain, pytest.raises(OSError):
        plain.bind((LOCALHOST, port))


@kinds
def test_a_name_that_is_another_programs_is_in_use(idle: Any, kind: int) -> None:
    with socket.socket(AF_INET, kind) as plain:
        plain.bind((LOCALHOST, 0))
        port = plain.getsockname()[1]
        one = opened(idle, kind)
        assert fails(WSAError.WSAEADDRINUSE, one.Bind, port, LOCALHOST)
        must(one.SetSockOpt(SO_REUSEADDR, True))
        assert fails(WSAError.WSAEACCES, one.Bind, port, LOCALHOST)


def test_both_families_can_have_one_port(idle: Any) -> None:
    six, four = opened(idle, family=AF_INET6), opened(idle)
    port = freePort()
    must(six.Bind(port))
    assert four.Bind(port) is True
    assert six.Listen() is True
    assert four.Listen() is True


def test_a_connection_does_not_keep_a_listener_off_its_port(idle: Any) -> None:
    listener = listening(idle)
    port = portOf(listener)
    child, peer = accepted(idle, listener)
    with peer:
        listener.Close()
        again = listening(idle, port=port)
        assert portOf(again) == port
        assert child.GetSockName() == again.GetSockName()


def test_time_wait_does_not_keep_a_listener_off_its_port(idle: Any) -> None:
    listener = listening(idle)
    port = portOf(listener)
    child, peer = accepted(idle, listener)
    with peer:
        # Who closes first waits.
        child.Close()
        assert peer.recv(1) == b""
    listener.Close()
    with socket.socket() as plain, pytest.raises(OSError):
        # It would keep one off that does not reuse addresses.
        plain.bind((LOCALHOST, port))
    assert portOf(listening(idle, port=port)) == port


# -- reading names


@kinds
def test_an_unbound_socket_has_no_name(idle: Any, kind: int) -> None:
    one = opened(idle, kind)
    for member in (one.GetSockName, one.GetSockNameEx):
        assert fails(WSAError.WSAEINVAL, member)
    for member in (one.GetPeerName, one.GetPeerNameEx):
        assert fails(WSAError.WSAENOTCONN, member)


def test_neither_a_bound_socket_nor_a_listener_has_a_peer(idle: Any) -> None:
    bound = opened(idle)
    must(bound.Bind(0))
    for one in (bound, listening(idle)):
        assert fails(WSAError.WSAENOTCONN, one.GetPeerName)
        assert fails(WSAError.WSAENOTCONN, one.GetPeerNameEx)
        # That is said before the room is looked at.
        assert fails(WSAError.WSAENOTCONN, one.GetPeerName, 4)


def test_both_ends_of_a_connection_have_names(idle: Any) -> None:
    child, peer = accepted(idle)
    with peer:
        assert child.GetSockName() == child.GetSockNameEx() == peer.getpeername()
        assert child.GetPeerName() == child.GetPeerNameEx() == peer.getsockname()
        name = peer.getsockname()
    # It stays known when the peer has gone.
    assert child.Receive(bytearray(1)) == 0
    assert child.GetPeerName() == name
    child.Close()
    assert fails(WSAError.WSAENOTSOCK, child.GetPeerName)
    assert fails(WSAError.WSAENOTSOCK, child.GetSockName)


@pytest.mark.parametrize("length, enough", [(None, True), (16, True), (28, True), (15, False), (0, False), (-1, False)])
def test_the_room_for_a_name_of_ipv4(idle: Any, length: int | None, enough: bool) -> None:
    child, peer = accepted(idle)
    with peer:
        for member in (child.GetSockName, child.GetPeerName):
            if enough:
                assert must(member(length))[0] == LOCALHOST
            else:
                assert fails(WSAError.WSAEFAULT, member, length)


@pytest.mark.parametrize("length, enough", [(None, False), (16, False), (27, False), (28, True)])
def test_the_members_that_know_ipv4_only_need_to_be_told_of_more_room(
    idle: Any, length: int | None, enough: bool
) -> None:
    one = opened(idle, SOCK_DGRAM, AF_INET6)
    must(one.Bind(0, "::1"))
    must(one.Connect(*must(one.GetSockNameEx())))
    for member, ex in ((one.GetSockName, one.GetSockNameEx), (one.GetPeerName, one.GetPeerNameEx)):
        assert must(ex())[0] == "::1"
        if enough:
            assert member(length) == ex()
        else:
            assert fails(WSAError.WSAEFAULT, member, length)


@pytest.mark.parametrize("length, enough", [(None, True), (16, True), (15, False), (0, False)])
def test_the_room_for_the_name_of_an_accepted_peer(idle: Any, length: int | None, enough: bool) -> None:
    listener = listening(idle)
    child = CAsyncSocket(idle)
    with socket.create_connection(must(listener.GetSockName())) as peer:
        if enough:
            assert listener.Accept(child, True, length) == peer.getsockname()
        else:
            assert fails(WSAError.WSAEFAULT, listener.Accept, child, True, length)
            # It waits as before.
            assert listener.Accept(child, True) == peer.getsockname()


def test_an_accepted_peer_of_ipv6_has_the_address_of_its_family(idle: Any) -> None:
    listener = opened(idle, family=AF_INET6)
    must(listener.Bind(0, "::1"))
    must(listener.Listen())
    with socket.create_connection(must(listener.GetSockNameEx())) as peer:
        assert listener.Accept(CAsyncSocket(idle), True, 28) == peer.getsockname()
        assert len(peer.getsockname()) == 4
