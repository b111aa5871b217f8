"""
An address with a NUL inside is refused by every member and in every description: the system would take what stands
before the NUL.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from _play import Script, played, turns
from _reactors import Recorder, must
from _streams import freePort, listening, portOf
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import CannotListenError, ConnectBindError, DNSLookupError
from twisted.internet.protocol import ClientFactory, Protocol

from twisted_casync import (
    AF_INET6,
    AF_UNIX,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOCKET_ERROR,
    CAsyncSocket,
    CSocket,
    GetLastError,
    WSAError,
)
from twisted_casync._where import parseWhere
from twisted_casync.bridges import overCAsyncSockets
from twisted_casync.services._target import Target

FOUR = "127.0.0.1\0.example.com"
SIX = "::1\0.example.com"
SCOPE = "::1%lo\0.example.com"
"""With a scope the text goes to getaddrinfo(3)."""

_Call = Callable[[CAsyncSocket, int], Any]

CALLS: dict[str, tuple[int, int, _Call]] = {
    "Connect": (socket.AF_INET, SOCK_STREAM, lambda one, port: one.Connect(FOUR, port)),
    "Connect, a NUL at the end": (socket.AF_INET, SOCK_STREAM, lambda one, port: one.Connect("127.0.0.1\0", port)),
    "Connect, a short form": (socket.AF_INET, SOCK_STREAM, lambda one, port: one.Connect("127.1\0.example.com", port)),
    "Connect, a tuple": (socket.AF_INET, SOCK_STREAM, lambda one, port: one.Connect((FOUR, port))),
    "Connect, a Twisted address": (
        socket.AF_INET,
        SOCK_STREAM,
        lambda one, port: one.Connect(IPv4Address("TCP", FOUR, port)),
    ),
    "Connect, IPv6": (AF_INET6, SOCK_STREAM, lambda one, port: one.Connect(SIX, port)),
    "Connect, IPv6 with a scope": (AF_INET6, SOCK_STREAM, lambda one, port: one.Connect(SCOPE, port)),
    "Connect, an IPv6 tuple": (AF_INET6, SOCK_STREAM, lambda one, port: one.Connect((SCOPE, port, 0, 0))),
    "Connect, a Twisted IPv6 address": (
        AF_INET6,
        SOCK_STREAM,
        lambda one, port: one.Connect(IPv6Address("TCP", SIX, port)),
    ),
    "Connect, datagrams": (socket.AF_INET, SOCK_DGRAM, lambda one, port: one.Connect(FOUR, port)),
    "Connect, a path": (AF_UNIX, SOCK_STREAM, lambda one, port: one.Connect("/tmp/a\0b")),
    "Bind": (socket.AF_INET, SOCK_STREAM, lambda one, port: one.Bind(0, FOUR)),
    "Bind, a tuple": (socket.AF_INET, SOCK_STREAM, lambda one, port: one.Bind((FOUR, 0))),
    "Bind, IPv6 with a scope": (AF_INET6, SOCK_DGRAM, lambda one, port: one.Bind(0, SCOPE)),
    "Bind, a path": (AF_UNIX, SOCK_STREAM, lambda one, port: one.Bind(b"/tmp/a\0")),
    "SendTo": (socket.AF_INET, SOCK_DGRAM, lambda one, port: one.SendTo(b"x", 1, port, FOUR) != SOCKET_ERROR),
    "SendTo, a tuple": (
        socket.AF_INET,
        SOCK_DGRAM,
        lambda one, port: one.SendTo(b"x", 1, (FOUR, port)) != SOCKET_ERROR,
    ),
}


@pytest.mark.parametrize(("family", "kind", "call"), CALLS.values(), ids=CALLS)
@played
def test_a_member_refuses_an_address_with_a_NUL(reactor: Any, family: int, kind: int, call: _Call) -> Script:
    listener = listening(reactor)
    one = Recorder(reactor)
    must(one.Socket(kind, nAddressFormat=family))
    assert call(one, portOf(listener)) is False
    assert GetLastError() is WSAError.WSAEINVAL
    yield turns()
    assert listener.told == []
    one.Close()
    listener.Close()


@played
def test_Create_and_CreateEx_refuse_an_address_with_a_NUL(reactor: Any) -> Script:
    one = Recorder(reactor)
    assert one.Create(0, SOCK_STREAM, 63, FOUR) is False
    assert GetLastError() is WSAError.WSAEINVAL
    assert one.CreateEx((socket.AF_INET, SOCK_STREAM, 0, "", (FOUR, 0))) is False
    assert GetLastError() is WSAError.WSAEINVAL
    yield turns()


@played
def test_an_awaited_Connect_refuses_an_address_with_a_NUL(reactor: Any) -> Script:
    one = CSocket(reactor)
    must(one.Create())
    failures: list[Any] = []
    one.Connect(FOUR, 7).addErrback(failures.append)
    yield lambda: failures != []
    assert failures[0].value.code is WSAError.WSAEINVAL
    one.Close()


@pytest.mark.parametrize(
    "description",
    [
        "tcp:7:interface=127.0.0.1\0.example.com",
        "udp:7:interface=127.0.0.1\0",
        "tcp6:7:interface=\\:\\:1\0",
        "udp6:7:interface=\\:\\:1%lo\0x",
        "ssl:7:privateKey=key.pem:interface=127.0.0.1\0",
        "unix:/run/a\0b",
        "unix:/run/a\0",
    ],
)
def test_a_description_with_a_NUL_is_refused(description: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parseWhere(description)


@pytest.mark.parametrize("text", ["127.0.0.1\0.example.com:7", "localhost\0:7", "[::1%lo\0x]:7", "unix:/run/a\0b"])
def test_forward_does_not_go_to_an_address_with_a_NUL(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Target.parse(text)


@pytest.mark.parametrize("parse", [clientFromString, serverFromString])
@pytest.mark.parametrize(
    "description",
    [
        "casync:unix:/run/a\0b",
        "casync:unix:path=/run/a\0b:lockfile=0",
        "casync:unix:address=/run/a\0",
        "casync:haproxy:unix:/run/a\0b",
        "casync:tcp:127.0.0.1\0x:7",
        "casync:tcp:host=127.0.0.1\0x:port=7",
        "casync:tcp:7:interface=127.0.0.1\0x",
    ],
)
@played
def test_a_description_of_an_endpoint_with_a_NUL_is_refused(reactor: Any, description: str, parse: Any) -> Script:
    with pytest.raises(ValueError, match="expected no NUL"):
        parse(reactor, description)
    yield turns()


@pytest.mark.parametrize("host", [FOUR, SIX, SCOPE], ids=["IPv4", "IPv6", "IPv6 with a scope"])
@played
def test_a_transport_does_not_go_to_an_address_with_a_NUL(reactor: Any, host: str) -> Script:
    view = overCAsyncSockets(reactor)
    failures: list[Any] = []

    class Client(ClientFactory):
        def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
            failures.append(reason.value)

    factory = Client.forProtocol(Protocol)
    view.connectTCP(host, 7, factory)
    view.connectTCP("127.0.0.1", 7, factory, bindAddress=(host, 0))
    yield lambda: len(failures) == 2
    bound, unknown = sorted(failures, key=lambda failure: not isinstance(failure, ConnectBindError))
    assert isinstance(bound, ConnectBindError)
    # What no resolver knows, with or without a scope.
    assert isinstance(unknown, DNSLookupError) or unknown.args[0] == socket.EAI_NONAME
    with pytest.raises(CannotListenError):
        view.listenTCP(freePort(), factory, interface=host)


def test_a_name_of_the_abstract_namespace_begins_with_a_NUL() -> None:
    assert Target.parse("unix:\0name").address == ("\0name",)
