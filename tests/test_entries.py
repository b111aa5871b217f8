"""
Addresses as C{getaddrinfo} gives them (C{BindEx}, C{ConnectEx}), the scope of an IPv6 address, and the peer of a socket
that is connecting: what the members tell of an address, other members take.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from _members import fails
from _play import Script, played
from _reactors import Recorder, must, reactorOf
from _resolvers import Never
from _streams import LOCALHOST, refusingPort

from twisted_casync import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    SOCK_DGRAM,
    SOCK_STREAM,
    WSAEFAULT,
    WSAEINVAL,
    WSAENOTCONN,
    WSAEWOULDBLOCK,
    CSocket,
    GetLastError,
)
from twisted_casync.errors import WinsockError
from twisted_casync.testing import MemoryNetwork

hosts = pytest.mark.parametrize("host", [LOCALHOST, "::1"])
LO = socket.if_nametoindex("lo")


def entry(host: str, port: int = 0, kind: int = SOCK_STREAM) -> Any:
    (found,) = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)
    return found


def opened(reactor: Any, found: Any, **handlers: Any) -> Recorder:
    one = Recorder(reactor, **handlers)
    must(one.Socket(found[1], nAddressFormat=found[0]))
    return one


def bound(reactor: Any, host: str, kind: int = SOCK_STREAM) -> Recorder:
    found = entry(host, 0, kind)
    one = opened(reactor, found)
    assert one.BindEx(found) is True
    return one


# -- entries


@hosts
@played
def test_a_stream_is_bound_and_connected_by_entries(reactor: Any, host: str) -> Script:
    listener = bound(reactor, host)
    must(listener.Listen())
    there = entry(*must(listener.GetSockNameEx()))
    client = opened(reactor, there)
    assert (client.ConnectEx(there), GetLastError()) == (False, WSAEWOULDBLOCK)
    yield lambda: ("OnConnect", 0) in client.told and ("OnAccept", 0) in listener.told
    child = Recorder(reactor)
    must(listener.Accept(child))
    assert child.GetPeerNameEx() == client.GetSockNameEx()


@hosts
@played
def test_so_are_datagram_sockets(reactor: Any, host: str) -> Script:
    server = bound(reactor, host, SOCK_DGRAM)
    client = opened(reactor, entry(host, 0, SOCK_DGRAM))
    _, port = must(server.GetSockNameEx())
    assert client.ConnectEx(entry(host, port, SOCK_DGRAM)) is True
    must(client.Send(b"x") == 1)
    yield lambda: "OnReceive" in server.names()


@played
def test_an_entry_can_be_of_a_path(reactor: Any, tmp_path: Any) -> Script:
    path = str(tmp_path / "listener")
    listener, client = (opened(reactor, (AF_UNIX, SOCK_STREAM)) for _ in range(2))
    must(listener.BindEx((AF_UNIX, SOCK_STREAM, 0, "", path)) and listener.Listen())
    client.ConnectEx((AF_UNIX, SOCK_STREAM, 0, "", path))
    yield lambda: ("OnAccept", 0) in listener.told


@played
def test_an_awaited_ConnectEx_waits(reactor: Any) -> Script:
    listener, client = bound(reactor, LOCALHOST), CSocket(reactor)
    must(listener.Listen() and client.Create())
    outcome: list[Any] = []
    client.ConnectEx(entry(*must(listener.GetSockNameEx()))).addBoth(outcome.append)
    assert outcome == []
    yield lambda: bool(outcome)
    assert (outcome, GetLastError()) == ([True], 0)
    for wrong, code in ((None, WSAEINVAL), ((AF_INET, SOCK_STREAM, 0), WSAEFAULT)):
        failures: list[Any] = []
        client.ConnectEx(wrong).addErrback(failures.append)
        assert failures[0].check(WinsockError) and failures[0].value.winerror == code
    client.Close()


def test_what_is_no_entry_is_a_TypeError(idle: Any) -> None:
    one = opened(idle, (AF_INET, SOCK_STREAM))
    for member in (one.BindEx, one.ConnectEx):
        for wrong in (7, "127.0.0.1", (LOCALHOST, 7), {"family": 2}):
            with pytest.raises(TypeError, match="pAI must be an entry of getaddrinfo"):
                member(wrong)


# -- the peer of a socket that is connecting


@contextmanager
def full() -> Iterator[tuple[str, int]]:
    """
    The address of a listener that answers no more.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((LOCALHOST, 0), backlog=0))
        address: tuple[str, int] = listener.getsockname()
        while True:
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(address)
            try:
                one.getpeername()
            except OSError:
                # This one waits.
                break
        yield address


@played
def test_a_socket_that_is_connecting_knows_both_names(reactor: Any) -> Script:
    with full() as address:
        one = opened(reactor, (AF_INET, SOCK_STREAM))
        must(one.Bind(0, LOCALHOST))
        assert fails(WSAENOTCONN, one.GetPeerName)
        assert fails(WSAEWOULDBLOCK, one.Connect, *address)
        assert one.GetPeerName() == one.GetPeerNameEx() == address
        assert must(one.GetSockName())[0] == LOCALHOST
        assert fails(WSAENOTCONN, one.Send, b"x")
        yield lambda: True
        assert (one.told, one.GetPeerName()) == ([], address)
        one.Close()


@played
def test_a_refused_socket_has_no_peer(reactor: Any) -> Script:
    port, guard = refusingPort()
    with guard:
        one = opened(reactor, (AF_INET, SOCK_STREAM))
        assert fails(WSAEWOULDBLOCK, one.Connect, LOCALHOST, port)
        assert one.GetPeerName() == (LOCALHOST, port)
        yield lambda: bool(one.told)
        assert fails(WSAENOTCONN, one.GetPeerName)


def test_while_a_name_is_looked_up_nobody_knows_the_peer() -> None:
    with reactorOf("epoll-window") as reactor:
        reactor.installNameResolver(Never())
        one = opened(reactor, (AF_INET, SOCK_STREAM))
        assert fails(WSAEWOULDBLOCK, one.Connect, "a.name", 7)
        assert fails(WSAENOTCONN, one.GetPeerNameEx)


# -- scopes


def linkLocals() -> list[str]:
    """
    @return: the addresses of this machine that are of one link only, with their scopes.
    """
    with open("/proc/net/if_inet6", encoding="ascii") as table:
        rows = [row.split() for row in table]
    packed = [(bytes.fromhex(row[0]), int(row[1], 16)) for row in rows if row[3] == "20"]
    return [f"{socket.inet_ntop(socket.AF_INET6, address)}%{scope}" for address, scope in packed]


def talk(reactor: Any, host: str) -> Iterator[Any]:
    """
    Connect, and send datagrams, to what the members have told of addresses.
    """
    listener, client = (opened(reactor, (AF_INET6, SOCK_STREAM)) for _ in range(2))
    must(listener.Bind(0, host) and listener.Listen())
    name = must(listener.GetSockNameEx())
    assert name[0] == host
    client.Connect(*name)
    yield lambda: ("OnConnect", 0) in client.told and ("OnAccept", 0) in listener.told
    child = Recorder(reactor)
    peer = must(listener.Accept(child, True))
    assert child.GetPeerNameEx() == (f"{peer[0]}%{peer[3]}", peer[1]) == client.GetSockNameEx()
    assert client.GetPeerNameEx() == child.GetSockNameEx() == name

    one, other = (opened(reactor, (AF_INET6, SOCK_DGRAM)) for _ in range(2))
    must(one.Bind(0, host) and other.Bind(0, host))
    there, port = must(one.GetSockNameEx())
    assert other.SendTo(b"x", None, port, there) == 1
    yield lambda: "OnReceive" in one.names()
    count, source = one.ReceiveFrom(bytearray(9))
    assert count == 1 and source is not None and f"{source[0]}%{source[3]}" == host
    must(other.Connect(there, port))
    assert other.GetPeerNameEx() == (there, port)
    assert one.Connect(source) is True and one.GetPeerNameEx() == other.GetSockNameEx()


def test_a_scope_goes_with_an_address_in_memory() -> None:
    with MemoryNetwork().installed() as network:
        for condition in talk(network, "fe80::1%3"):
            network.settle()
            assert condition()


@played
def test_a_scope_goes_with_the_addresses_of_this_machine(reactor: Any) -> Script:
    for host in linkLocals():
        yield from talk(reactor, host)
    # Each machine has this one: a group of the loopback device.
    one, other, third = (opened(reactor, (AF_INET6, SOCK_DGRAM)) for _ in range(3))
    must(one.Bind(0, f"ff02::1%{LO}"))
    host, port = must(one.GetSockNameEx())
    assert host == f"ff02::1%{LO}"
    assert other.Bind(0, host) is True and must(other.GetSockNameEx())[0] == host
    assert third.BindEx(entry(host, 0, SOCK_DGRAM)) is True and must(third.GetSockNameEx())[0] == host
    assert port
