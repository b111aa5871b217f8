"""
Endpoints over C{CAsyncSocket}s, as classes and as C{casync:} in a description.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import textwrap
import threading
from typing import Any

import pytest
from _bridged import LOCALHOST, Connecting, Remembering, Serving, viewOf
from _reactors import LIMIT, WAYS, reactorOf, run
from _tls import identity
from _twistd import environment
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import (
    IReactorFDSet,
    IReactorTCP,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.test import test_endpoints
from zope.interface import alsoProvides
from zope.interface.verify import verifyObject

from twisted_casync.bridges import IReactorOverCAsyncSocket, overCAsyncSockets
from twisted_casync.bridges.tcp import Client, Port, Server
from twisted_casync.endpoints import CAsyncSocketClientEndpoint, CAsyncSocketServerEndpoint

# Twisted makes and uses certificates in ways that pyOpenSSL advises against.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:twisted", "ignore::DeprecationWarning:OpenSSL")

PROXY = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n"


@pytest.fixture(params=WAYS)
def reactor(request: pytest.FixtureRequest) -> Any:
    with reactorOf(request.param) as reactor:
        yield reactor


def echo(protocol: Remembering, data: bytes) -> None:
    protocol.transport.write(data)


def listening(endpoint: Any, protocol: Remembering) -> Any:
    """
    Have an endpoint listen for one protocol.

    @return: the port.
    """
    ports: list[Any] = []
    endpoint.listen(Serving(protocol)).addCallback(ports.append)
    return ports[0]


# -- Twisted's own tests of endpoints


class CAsyncSocketEndpointsTests(test_endpoints.TCP4EndpointsTests):
    """
    On a reactor that only remembers what it is asked to do, and says that its connections already are C{CAsyncSocket}s.
    """

    def createServerEndpoint(  # type: ignore[override]  # of two bases whose parameters differ
        self, reactor: Any, factory: Any, **listenArgs: Any
    ) -> Any:
        alsoProvides(reactor, IReactorOverCAsyncSocket)
        made: Any = super().createServerEndpoint(reactor, factory, **listenArgs)  # type: ignore[no-untyped-call]
        _, arguments, address = made
        return CAsyncSocketServerEndpoint(reactor, address.port, **listenArgs), arguments, address

    def createClientEndpoint(self, reactor: Any, clientFactory: Any, **connectArgs: Any) -> Any:
        alsoProvides(reactor, IReactorOverCAsyncSocket)
        _, arguments, address = super().createClientEndpoint(reactor, clientFactory, **connectArgs)
        host, port = arguments[:2]
        return CAsyncSocketClientEndpoint(reactor, host, port, **connectArgs), arguments, address  # type: ignore[arg-type]


# -- the classes


def test_a_client_endpoint_and_a_server_endpoint_talk(reactor: Any) -> None:
    server = Remembering(dataReceived=echo)
    endpoint = CAsyncSocketServerEndpoint(reactor, 0, interface=LOCALHOST)
    assert verifyObject(IStreamServerEndpoint, endpoint)
    port = listening(endpoint, server)
    client = Remembering(connectionMade=lambda client: client.transport.write(b"hello"))
    connecting = CAsyncSocketClientEndpoint(reactor, LOCALHOST, port.getHost().port)
    assert verifyObject(IStreamClientEndpoint, connecting)
    connecting.connect(Connecting(client))
    run(reactor, lambda: client.received == b"hello")
    assert (type(port), type(server.transport), type(client.transport)) == (Port, Server, Client)


def test_over_ipv6(reactor: Any) -> None:
    server = Remembering(dataReceived=echo)
    port = listening(CAsyncSocketServerEndpoint(reactor, 0, interface="::1"), server)
    addresses: list[Any] = []

    def made(client: Remembering) -> None:
        addresses.extend([client.transport.getPeer(), client.transport.getHost()])
        client.transport.write(b"hello")

    client = Remembering(connectionMade=made)
    CAsyncSocketClientEndpoint(reactor, "::1", port.getHost().port).connect(Connecting(client))
    run(reactor, lambda: client.received == b"hello")
    assert [address.host for address in addresses] == ["::1", "::1"]
    assert addresses[1] == server.transport.getPeer()


# -- the view


def test_a_view_is_all_that_its_reactor_is(reactor: Any) -> None:
    view = overCAsyncSockets(reactor)
    for interface in (IReactorFDSet, IReactorTCP, IReactorTime, IReactorOverCAsyncSocket):
        assert verifyObject(interface, view, tentative=True)
    assert overCAsyncSockets(view) is view
    assert view.seconds == reactor.seconds


def test_what_can_t_watch_descriptors_has_no_view() -> None:
    with pytest.raises(TypeError, match="IReactorFDSet"):
        overCAsyncSockets(object())


# -- descriptions


@pytest.mark.parametrize("description", ["casync:tcp:0:interface=127.0.0.1", "CASYNC:tcp:interface=127.0.0.1:port=0"])
def test_a_server_and_a_client_that_are_described(reactor: Any, description: str) -> None:
    server = Remembering(dataReceived=echo)
    port = listening(serverFromString(reactor, description), server)
    client = Remembering(connectionMade=lambda client: client.transport.write(b"hello"))
    clientFromString(reactor, f"casync:tcp:127.0.0.1:{port.getHost().port}:timeout=5").connect(Connecting(client))
    run(reactor, lambda: client.received == b"hello")
    assert (type(port), type(server.transport), type(client.transport)) == (Port, Server, Client)


def test_over_ipv6_as_described(reactor: Any) -> None:
    server = Remembering(connectionMade=lambda server: server.transport.write(b"welcome"))
    port = listening(serverFromString(reactor, r"casync:tcp6:0:interface=\:\:1"), server)
    with socket.create_connection(("::1", port.getHost().port), LIMIT) as peer:
        run(reactor, lambda: server.transport is not None and not server.transport.isWriting())
        assert peer.recv(100) == b"welcome"
    assert type(port) is Port


def test_tls_as_described(reactor: Any) -> None:
    pem = identity("localhost").both
    server = Remembering(dataReceived=echo)
    port = listening(
        serverFromString(reactor, f"casync:ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}"), server
    )
    answers: list[bytes] = []

    def client() -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection((LOCALHOST, port.getHost().port), LIMIT) as plain,
            context.wrap_socket(plain) as peer,
        ):
            peer.sendall(b"hello")
            answers.append(peer.recv(100))

    thread = threading.Thread(target=client, daemon=True)
    thread.start()
    run(reactor, lambda: bool(answers))
    thread.join(LIMIT)
    assert answers == [b"hello"]
    assert type(port) is Port


@pytest.mark.parametrize("nesting", ["haproxy:casync", "casync:haproxy"])
def test_the_proxy_protocol_in_either_nesting(reactor: Any, nesting: str) -> None:
    server = Remembering()
    port = listening(serverFromString(reactor, f"{nesting}:tcp:0:interface=127.0.0.1"), server)
    with socket.create_connection((LOCALHOST, port.getHost().port), LIMIT) as peer:
        peer.sendall(PROXY + b"hello")
        run(reactor, lambda: bool(server.received))
    assert server.received == b"hello"
    assert server.transport.getPeer().host == "192.0.2.1"


def test_what_is_no_description_says_so() -> None:
    with viewOf(WAYS[0]) as view:
        with pytest.raises(ValueError, match="nonsense"):
            serverFromString(view, "casync:nonsense:1")
        with pytest.raises(ValueError, match="nonsense"):
            clientFromString(view, "casync:nonsense:1")


def test_a_refusal_reaches_who_connects(reactor: Any) -> None:
    holder = socket.socket()
    holder.bind((LOCALHOST, 0))
    failures: list[Any] = []
    endpoint = clientFromString(reactor, f"casync:tcp:127.0.0.1:{holder.getsockname()[1]}")
    endpoint.connect(Connecting(Remembering())).addErrback(failures.append)
    with holder:
        run(reactor, lambda: bool(failures))
    assert failures[0].check(ConnectionRefusedError)


# -- in processes of their own


def child(program: str) -> str:
    """
    What a Python of its own prints.
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.programs
def test_a_listening_socket_of_systemd_s() -> None:
    answer = child(
        """
        import os, socket, threading

        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        address = listener.getsockname()
        # The endpoint closes this one when it has a duplicate.
        os.dup2(listener.detach(), 3)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")

        from twisted.internet import reactor
        from twisted.internet.endpoints import serverFromString
        from twisted.internet.protocol import Factory
        from twisted.protocols.wire import Echo

        def client():
            with socket.create_connection(address) as peer:
                peer.sendall(b"hello")
                print(peer.recv(100).decode())
            reactor.callFromThread(reactor.stop)

        def listening(port):
            print(type(port).__module__)
            threading.Thread(target=client).start()

        endpoint = serverFromString(reactor, "casync:systemd:domain=INET:name=web")
        endpoint.listen(Factory.forProtocol(Echo)).addCallback(listening)
        reactor.run()
        """
    )
    assert answer.split() == ["twisted_casync.bridges._ports", "hello"]


@pytest.mark.programs
def test_other_descriptions_import_nothing_of_ours() -> None:
    answer = child(
        """
        import sys
        from twisted.internet import reactor
        from twisted.internet.endpoints import serverFromString

        serverFromString(reactor, "tcp6:0")
        before = "twisted_casync" in sys.modules
        serverFromString(reactor, "casync:tcp:0")
        print(before, "twisted_casync" in sys.modules)
        """
    )
    assert answer == "False True"
