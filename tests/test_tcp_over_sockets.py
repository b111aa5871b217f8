"""
Ports and connectors over C{CAsyncSocket}s: what Twisted's own tests of them (test_transport_suites.py) leave open.
"""

from __future__ import annotations

import errno
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from _bridged import LOCALHOST, Connecting, Remembering, Serving, viewOf
from _reactors import LIMIT, WAYS, run
from _resolvers import Never, Nobody
from _streams import refusingPort
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    CannotListenError,
    ConnectBindError,
    ConnectionRefusedError,
    DNSLookupError,
    NotConnectingError,
    TimeoutError,
    UnsupportedAddressFamily,
    UserError,
)
from twisted.internet.interfaces import IConnector, IListeningPort
from twisted.internet.protocol import Factory
from zope.interface.verify import verifyObject


@pytest.fixture(params=WAYS)
def view(request: pytest.FixtureRequest) -> Any:
    with viewOf(request.param) as view:
        yield view


def echo(protocol: Remembering, data: bytes) -> None:
    protocol.transport.write(data)


# -- who listens


def test_a_client_and_a_server_talk(view: Any) -> None:
    server = Remembering(dataReceived=echo)
    port = view.listenTCP(0, Serving(server), interface=LOCALHOST)
    assert verifyObject(IListeningPort, port)
    client = Remembering(connectionMade=lambda client: client.transport.write(b"hello"))
    client.does["dataReceived"] = lambda client, data: client.transport.loseConnection()
    factory = Connecting(client)
    connector = view.connectTCP(LOCALHOST, port.getHost().port, factory)
    assert verifyObject(IConnector, connector)
    run(view, lambda: "connectionLost" in server.told and factory.lost is not None)
    assert (server.received, client.received) == (b"hello", b"hello")
    assert client.told == server.told == ["connectionMade", "dataReceived", "connectionLost"]


def test_in_a_thread_that_has_no_sockets_nobody_can_listen(view: Any) -> None:
    with ThreadPoolExecutor(1) as thread:
        failure = thread.submit(view.listenTCP, 0, Serving(Remembering())).exception(LIMIT)
    assert isinstance(failure, CannotListenError)


@pytest.mark.parametrize("count", [1, 300])
def test_all_that_connect_at_once_are_served(view: Any, count: int) -> None:
    servers: list[Remembering] = []

    class EveryOne(Factory):
        def buildProtocol(self, addr: Any) -> Remembering:
            servers.append(Remembering(connectionMade=lambda server: server.transport.write(b"welcome")))
            return servers[-1]

    port = view.listenTCP(0, EveryOne(), backlog=1000, interface=LOCALHOST)
    peers = [socket.create_connection((LOCALHOST, port.getHost().port), LIMIT) for _ in range(count)]
    run(view, lambda: len(servers) == count and not any(server.transport.isWriting() for server in servers))
    for peer in peers:
        with peer:
            assert peer.recv(100) == b"welcome"
    assert [server.transport.sessionno for server in servers] == list(range(count))


def test_a_factory_that_wants_no_connection_has_it_closed(view: Any) -> None:
    class Nobody(Factory):
        asked = 0

        def buildProtocol(self, addr: Any) -> None:
            self.asked += 1

    factory = Nobody()
    port = view.listenTCP(0, factory, interface=LOCALHOST)
    with socket.create_connection((LOCALHOST, port.getHost().port), LIMIT) as peer:
        run(view, lambda: bool(factory.asked))
        assert peer.recv(1) == b""


def test_a_factory_that_fails_costs_one_connection(view: Any) -> None:
    class Failing(Factory):
        asked = 0

        def buildProtocol(self, addr: Any) -> Remembering:
            self.asked += 1
            if self.asked == 1:
                raise ZeroDivisionError("of the application")
            return Remembering(connectionMade=lambda server: server.transport.write(b"welcome"))

    factory = Failing()
    port = view.listenTCP(0, factory, interface=LOCALHOST)
    address = (LOCALHOST, port.getHost().port)
    with socket.create_connection(address, LIMIT) as first, socket.create_connection(address, LIMIT) as second:
        run(view, lambda: factory.asked == 2)
        assert first.recv(1) == b""
        assert second.recv(100) == b"welcome"


def test_a_port_that_is_taken_can_t_be_listened_at(view: Any) -> None:
    port, holder = refusingPort()
    with holder, pytest.raises(CannotListenError) as failure:
        view.listenTCP(port, Factory(), interface=LOCALHOST)
    assert failure.value.port == port
    assert failure.value.socketError.errno == errno.EADDRINUSE


def test_a_port_that_does_not_read_accepts_when_it_does_again(view: Any) -> None:
    server = Remembering()
    port = view.listenTCP(0, Serving(server), interface=LOCALHOST)
    view.removeReader(port)
    told: list[list[str]] = []

    def again() -> None:
        told.append(list(server.told))
        view.addReader(port)

    with socket.create_connection((LOCALHOST, port.getHost().port), LIMIT):
        assert port not in view.getReaders()
        view.callLater(0.01, again)
        run(view, lambda: "connectionMade" in server.told)
    assert told == [[]]


def test_a_port_is_free_when_its_deferred_fires(view: Any) -> None:
    port = view.listenTCP(0, Factory(), interface=LOCALHOST)
    number = port.getHost().port
    again: list[Any] = []

    def stopped(result: None) -> None:
        again.append(view.listenTCP(number, Factory(), interface=LOCALHOST))
        assert again[0].connected and not again[0].disconnected

    stopping = port.stopListening()
    assert isinstance(stopping, Deferred)
    stopping.addCallback(stopped)
    run(view, lambda: bool(again))
    assert port.stopListening() is None
    assert "not listening" in repr(port)
    assert port.disconnected and not port.connected


def test_who_gives_up_waiting_for_a_port_to_stop_does_not_have_it_listen_on(view: Any) -> None:
    port = view.listenTCP(0, Factory(), interface=LOCALHOST)
    given: list[Any] = []
    stopping = port.stopListening()
    stopping.addErrback(given.append)
    stopping.cancel()
    assert given[0].check(CancelledError)
    run(view, lambda: port.disconnected)
    assert port.socket is None


def test_a_port_that_is_closed_at_once_lets_the_factory_s_failure_through(view: Any) -> None:
    class Failing(Factory):
        def stopFactory(self) -> None:
            raise ZeroDivisionError("of the application")

    port = view.listenTCP(0, Failing(), interface=LOCALHOST)
    with pytest.raises(ZeroDivisionError):
        port.connectionLost(None)
    assert port.disconnected


def test_the_families_that_are_not_ours_are_the_reactor_s(view: Any) -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    server = Remembering()
    with left, right:
        left.setblocking(False)
        view.adoptStreamConnection(left.fileno(), socket.AF_UNIX, Serving(server))
        right.sendall(b"data")
        run(view, lambda: bool(server.received))
    with pytest.raises(UnsupportedAddressFamily):
        view.adoptStreamPort(0, 9999, Factory())


# -- who connects


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost"])
def test_zeros_and_names_are_this_machine(view: Any, host: str) -> None:
    server = Remembering()
    port = view.listenTCP(0, Serving(server), interface=LOCALHOST)
    client = Remembering()
    view.connectTCP(host, port.getHost().port, Connecting(client))
    run(view, lambda: "connectionMade" in server.told and "connectionMade" in client.told)
    assert client.transport.getPeer().host == LOCALHOST


def test_a_refusal_is_twisted_s_with_the_system_s_number(view: Any) -> None:
    port, holder = refusingPort()
    factory = Connecting(Remembering())
    with holder:
        view.connectTCP(LOCALHOST, port, factory)
        run(view, lambda: factory.failed is not None)
    assert factory.failed is not None and isinstance(factory.failed.value, ConnectionRefusedError)
    assert factory.failed.value.osError == errno.ECONNREFUSED


@pytest.mark.parametrize("name", ["unknown.example", "no..name"])
def test_a_name_that_has_no_address(view: Any, name: str) -> None:
    view.installNameResolver(Nobody())
    factory = Connecting(Remembering())
    view.connectTCP(name, 1, factory)
    run(view, lambda: factory.failed is not None)
    assert factory.failed is not None and factory.failed.check(DNSLookupError)


def test_a_timeout(view: Any) -> None:
    view.installNameResolver(Never())
    factory = Connecting(Remembering())
    view.connectTCP("never.example", 1, factory, timeout=0.01)
    run(view, lambda: factory.failed is not None)
    assert factory.failed is not None and factory.failed.check(TimeoutError)


def test_a_connector_that_is_stopped(view: Any) -> None:
    server = Remembering()
    port = view.listenTCP(0, Serving(server), interface=LOCALHOST)
    factory = Connecting(Remembering())
    connector = view.connectTCP(LOCALHOST, port.getHost().port, factory)
    connector.stopConnecting()
    assert factory.failed is not None and factory.failed.check(UserError)
    with pytest.raises(NotConnectingError):
        connector.stopConnecting()
    turns: list[None] = []
    view.callLater(0.01, turns.append, None)
    run(view, lambda: bool(turns))
    # It was stopped before it had begun.
    assert server.told == []


def test_a_local_address_that_can_t_be_had(view: Any) -> None:
    factory = Connecting(Remembering())
    view.connectTCP(LOCALHOST, 1, factory, bindAddress=("192.0.2.1", 0))
    run(view, lambda: factory.failed is not None)
    assert factory.failed is not None and factory.failed.check(ConnectBindError)


def test_a_connection_has_the_local_address_that_it_was_to_have(view: Any) -> None:
    server = Remembering()
    port = view.listenTCP(0, Serving(server), interface=LOCALHOST)
    view.connectTCP(LOCALHOST, port.getHost().port, Connecting(Remembering()), bindAddress=("127.0.0.2", 0))
    run(view, lambda: "connectionMade" in server.told)
    assert server.transport.getPeer().host == "127.0.0.2"


# -- who is adopted


def adopted(view: Any, protocol: Any) -> bytes:
    """
    Have a protocol adopt a connection, which fails.

    @return: what its peer gets, up to the end of the stream.
    """
    with socket.create_server((LOCALHOST, 0)) as listener:
        peer = socket.create_connection(listener.getsockname(), LIMIT)
        accepted, _ = listener.accept()
    with peer:
        with accepted, pytest.raises(ZeroDivisionError):
            view.adoptStreamConnection(accepted.fileno(), accepted.family, Serving(protocol))
        return peer.recv(100)


def test_a_protocol_that_fails_when_it_adopts_a_connection_loses_it(view: Any) -> None:
    def fail(protocol: Remembering) -> None:
        protocol.transport.write(b"never sent")
        raise ZeroDivisionError("of the application")

    protocol = Remembering(connectionMade=fail)
    assert adopted(view, protocol) == b""
    assert protocol.told == ["connectionMade", "connectionLost"]
    assert protocol.reason is not None and protocol.reason.check(ZeroDivisionError)
    assert protocol.transport not in view.getReaders()


class Nameless(Remembering):
    """
    One that can't say what the log is to call it.
    """

    def logPrefix(self) -> str:
        raise ZeroDivisionError("of the application")


def test_one_that_fails_before_it_has_a_transport_is_told_nothing(view: Any) -> None:
    protocol = Nameless()
    assert adopted(view, protocol) == b""
    assert protocol.told == []


def test_one_that_fails_so_is_not_served_either(view: Any) -> None:
    protocol = Nameless()
    port = view.listenTCP(0, Serving(protocol), interface=LOCALHOST)
    with socket.create_connection((LOCALHOST, port.getHost().port), LIMIT) as peer:
        peer.sendall(b"data")
        ended: list[bytes] = []

        def look() -> bool:
            peer.setblocking(False)
            try:
                ended.append(peer.recv(1))
            except BlockingIOError:
                return False
            except ConnectionResetError:
                # It had not read what was sent.
                ended.append(b"")
            return True

        run(view, look)
    assert (ended, protocol.told) == ([b""], [])
