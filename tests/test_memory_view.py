"""
Twisted protocols over a network in memory, by the view of one.
"""

from __future__ import annotations

from typing import Any

import pytest
from _reactors import Recorder, must
from _streams import told
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.error import (
    CannotListenError,
    ConnectBindError,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.protocols.basic import LineReceiver
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from twisted_casync import SOCK_DGRAM, SOCK_STREAM, CAsyncSocket, WSAError
from twisted_casync._threads import openSockets
from twisted_casync.bridges import overCAsyncSockets
from twisted_casync.testing import Faults, MemoryNetwork

HERE = "127.0.0.1"


@pytest.fixture
def network() -> Any:
    with MemoryNetwork(delay=0.25).installed() as network:
        yield network
    assert network.flushFailures() == []
    assert list(openSockets()) == []
    assert repr(network).endswith(" 0 sockets>")


@pytest.fixture
def view(network: MemoryNetwork) -> Any:
    return overCAsyncSockets(network)


class Louder(LineReceiver, TimeoutMixin):
    """
    A server of lines that nobody may keep waiting for a minute.
    """

    lost: Failure | None = None

    def __init__(self, reactor: Any) -> None:
        self.callLater = reactor.callLater  # type: ignore[method-assign]  # as Twisted's documentation has it

    def connectionMade(self) -> None:
        self.setTimeout(60)  # type: ignore[no-untyped-call]  # Twisted has no types here, and below

    def lineReceived(self, line: bytes) -> None:
        self.resetTimeout()  # type: ignore[no-untyped-call]
        self.sendLine(line.upper())  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure = ConnectionDone) -> None:  # type: ignore[assignment]  # Twisted's default
        self.setTimeout(None)  # type: ignore[no-untyped-call]
        self.lost = reason


class Server(Factory):
    """
    Keeps its protocols.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.protocols: list[Louder] = []

    def buildProtocol(self, addr: Any) -> Louder:
        self.protocols.append(Louder(self._reactor))
        return self.protocols[-1]


class Asking(Protocol):
    """
    A client that keeps what it has received.
    """

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None

    def connectionMade(self) -> None:
        must(self.transport).write(b"hello\r\n")

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = ConnectionDone) -> None:  # type: ignore[assignment]  # Twisted's default
        self.lost = reason


def connecting(port: int = 7) -> Recorder:
    client = Recorder()
    must(client.Create())
    client.Connect(HERE, port)
    return client


# -- streams


def test_a_server_of_lines_talks_to_a_socket_on_the_clock(network: MemoryNetwork, view: Any) -> None:
    server = Server(view)
    view.listenTCP(7, server)
    client = connecting()
    network.advance(0.5)
    assert client.told == told("OnConnect", "OnSend")
    must(client.Send(b"hello\r\nyou"))
    network.advance(0.49)
    assert client.received == b""
    network.advance(0.01)
    assert client.readAll() == -1 and client.received == b"HELLO\r\n"
    must(client.Send(b"\r\n"))
    network.advance(0.5)
    client.readAll()
    assert client.received == b"HELLO\r\nYOU\r\n"
    client.Close()
    network.settle()
    assert server.protocols[0].lost is None
    network.advance(0.25)
    assert must(server.protocols[0].lost).check(ConnectionDone)


def test_who_says_nothing_is_dropped_by_the_clock(network: MemoryNetwork, view: Any) -> None:
    view.listenTCP(7, Server(view))
    client = connecting()
    network.advance(60)
    assert client.told == told("OnConnect", "OnSend")
    network.advance(1)
    assert client.told[-1] == ("OnClose", 0)


@pytest.mark.parametrize("faults", [Faults(pieces=1), Faults(shortSends=[1, 2]), Faults(blocked=5.0)])
def test_lines_are_whole_however_they_go(network: MemoryNetwork, view: Any, faults: Faults) -> None:
    view.listenTCP(7, Server(view))
    network.script((HERE, 7), toClient=faults)
    client = connecting()
    network.advance(6)
    must(client.Send(b"1"))
    must(client.Send(b"\r\n2\r\n"))
    network.advance(6)
    client.readAll()
    assert client.received == b"1\r\n2\r\n"


def test_a_reset_is_what_twisted_calls_it(network: MemoryNetwork, view: Any) -> None:
    server = Server(view)
    view.listenTCP(7, server)
    client = connecting()
    network.advance(1)
    network.reset(client)
    network.advance(1)
    assert must(server.protocols[0].lost).check(ConnectionLost)


@pytest.mark.parametrize("host", [HERE, "server.example"])
def test_a_protocol_connects_to_a_socket(network: MemoryNetwork, view: Any, host: str) -> None:
    network.hosts["server.example"] = ["10.0.0.7"]
    child, listener = Recorder(), Recorder(OnAccept=lambda sock: must(sock.Accept(child)))
    assert listener.Create(7) and listener.Listen()
    client = network.run(connectProtocol(HostnameEndpoint(view, host, 7), Asking()))
    assert must(client.transport).getPeer().host == ("10.0.0.7" if host == "server.example" else host)
    network.advance(1)
    child.readAll()
    assert child.received == b"hello\r\n"
    must(child.Send(b"bye"))
    child.Close()
    network.advance(1)
    assert client.received == b"bye" and must(client.lost).check(ConnectionDone)


def test_protocols_talk_to_each_other(network: MemoryNetwork, view: Any) -> None:
    port = network.run(TCP4ServerEndpoint(view, 0, interface=HERE).listen(Server(view)))
    where = port.getHost()
    client = network.run(connectProtocol(TCP4ClientEndpoint(view, where.host, where.port), Asking()))
    network.advance(1)
    assert client.received == b"HELLO\r\n"
    must(client.transport).loseConnection()
    stopped = port.stopListening()
    assert isinstance(stopped, Deferred)
    network.run(stopped)
    network.advance(1)
    assert must(client.lost).check(ConnectionDone)
    assert network.openSockets() == []


def test_who_can_not_connect_hears_why(network: MemoryNetwork, view: Any) -> None:
    with pytest.raises(ConnectionRefusedError):
        network.run(connectProtocol(TCP4ClientEndpoint(view, HERE, 7), Asking()))
    # One for whom a listener has no room.
    crowded, visitor = Recorder(), connecting()
    assert crowded.Create(7) and crowded.Listen(1)
    network.advance(1)
    before = network.seconds()
    with pytest.raises(TimeoutError):
        network.run(connectProtocol(TCP4ClientEndpoint(view, HERE, 7, timeout=10), Asking()))
    assert network.seconds() == before + 10
    network.fail("Create", WSAError.WSAEMFILE)
    with pytest.raises(ConnectBindError):
        network.run(connectProtocol(TCP4ClientEndpoint(view, HERE, 7), Asking()))
    visitor.Close()


@pytest.mark.parametrize("kind", [SOCK_STREAM, SOCK_DGRAM])
def test_a_port_that_is_taken_is_taken_for_protocols_too(network: MemoryNetwork, view: Any, kind: int) -> None:
    taken = CAsyncSocket()
    must(taken.Create(7, kind))
    listen = view.listenTCP if kind == SOCK_STREAM else view.listenUDP
    protocol = Server(view) if kind == SOCK_STREAM else DatagramProtocol()
    with pytest.raises(CannotListenError, match="[Ii]n use"):
        listen(7, protocol)
    listen(8, protocol)


def test_a_connection_that_there_is_no_descriptor_for_is_turned_away(network: MemoryNetwork, view: Any) -> None:
    server = Server(view)
    view.listenTCP(7, server)
    network.fail("Accept", WSAError.WSAEMFILE)
    client = connecting()
    network.advance(1)
    assert server.protocols == [] and client.told[-1][0] == "OnClose"


# -- datagrams


class Louderer(DatagramProtocol):
    """
    Answers; and asks a peer, which may not be there.
    """

    refused = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        must(self.transport).write(datagram.upper(), addr)

    def connectionRefused(self) -> None:
        self.refused += 1


def test_a_datagram_protocol_talks_to_a_socket(network: MemoryNetwork, view: Any) -> None:
    view.listenUDP(37, Louderer())
    client = Recorder()
    must(client.Create(0, SOCK_DGRAM, lpszSocketAddress=HERE))
    network.outgoing(client).script(Faults(copies=[0]))
    for data in (b"lost", b"hello"):
        assert client.SendTo(data, None, 37, HERE) == len(data)
    network.advance(0.5)
    buffer = bytearray(9)
    assert client.ReceiveFrom(buffer) == (5, (HERE, 37)) and buffer[:5] == b"HELLO"
    assert client.ReceiveFrom(buffer) == (-1, None)


def test_a_datagram_protocol_hears_that_nobody_is_there(network: MemoryNetwork, view: Any) -> None:
    protocol = Louderer()
    port = view.listenUDP(0, protocol, interface=HERE)
    port.connect(HERE, 7)
    port.write(b"anybody?")
    network.advance(0.49)
    assert protocol.refused == 0
    network.advance(0.01)
    assert protocol.refused == 1
    network.run(port.stopListening())


# -- whose reactor it is


def test_a_view_of_it_needs_no_reactor_of_the_thread() -> None:
    network = MemoryNetwork()
    view = overCAsyncSockets(network)
    port = view.listenTCP(7, Server(view))
    client = network.run(connectProtocol(TCP4ClientEndpoint(view, HERE, 7), Asking()))
    network.settle()
    assert client.received == b"HELLO\r\n"
    must(client.transport).abortConnection()
    network.run(port.stopListening())
    network.settle()
    assert network.openSockets() == [] and list(openSockets()) == []
