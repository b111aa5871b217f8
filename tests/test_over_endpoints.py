"""
A CAsyncSocket over real transports of Twisted's: those of endpoints, pipes.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import _ssh
import pytest
from _reactors import REACTORS, Recorder, must, reactorOf, run, settle
from _streams import LOCALHOST, refusingPort, reset, told
from twisted.internet import error
from twisted.internet.endpoints import (
    ProcessEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
)
from twisted.internet.interfaces import IReactorProcess
from twisted.internet.process import reapAllProcesses
from twisted.python.failure import Failure

from twisted_casync import (
    FIONREAD,
    INVALID_SOCKET,
    SO_LINGER,
    CAsyncSocket,
    WSAError,
)
from twisted_casync.bridges import connectOver, listenOver
from twisted_casync.services.echo import EchoListener


@pytest.mark.parametrize("name", REACTORS)
def test_a_server_and_a_client_over_endpoints_are_as_over_descriptors(name: str) -> None:
    data = os.urandom(300_000)
    with reactorOf(f"{name}-window") as reactor:
        listener = EchoListener(reactor)
        ports: list[Any] = []
        listenOver(listener, TCP4ServerEndpoint(reactor, 0, interface=LOCALHOST), reactor=reactor).addCallback(
            ports.append
        )
        (port,) = ports
        assert must(listener.GetSockName()) == (LOCALHOST, port.getHost().port)
        sent = {"bytes": 0}

        def send(sock: Recorder) -> None:
            while (count := sock.Send(data[sent["bytes"] :])) > 0:
                sent["bytes"] += count
                if sent["bytes"] == len(data):
                    sock.ShutDown()

        client = Recorder(OnSend=send, OnReceive=lambda sock: sock.readAll())
        connectOver(client, TCP4ClientEndpoint(reactor, LOCALHOST, port.getHost().port), reactor=reactor)
        run(reactor, lambda: "OnClose" in client.names())
        assert client.received == data
        assert client.told[0] == ("OnConnect", 0) and client.told[-1] == ("OnClose", 0)
        client.Close()
        listener.Close()


def listeningOver(reactor: Any, endpoint: Any, server: CAsyncSocket) -> Recorder:
    """
    @return: a socket that listens at an endpoint, and accepts into C{server}.
    """
    door = Recorder(OnAccept=lambda sock: must(sock.Accept(server)))
    failures: list[Failure] = []
    listenOver(door, endpoint, reactor=reactor).addErrback(failures.append)
    assert failures == []
    return door


def test_a_connection_that_is_reset_is_told_as_one() -> None:
    with reactorOf("epoll-window") as reactor:
        server = Recorder(OnSend=lambda sock: reset(peer))
        door = listeningOver(reactor, TCP4ServerEndpoint(reactor, 0, interface=LOCALHOST), server)
        peer = socket.create_connection(must(door.GetSockName()))
        run(reactor, lambda: "OnClose" in server.names())
        assert server.told == [("OnSend", 0), ("OnClose", WSAError.WSAECONNRESET)]
        server.Close()
        door.Close()


@pytest.mark.parametrize("handler", ["OnConnect", "OnSend"])
def test_a_client_can_close_in_the_handlers_of_a_new_connection(handler: str) -> None:
    """Its endpoint has connected by then, and has not said so yet."""
    with reactorOf("epoll-window") as reactor:
        server = Recorder(OnClose=lambda sock: sock.Close())
        door = listeningOver(reactor, TCP4ServerEndpoint(reactor, 0, interface=LOCALHOST), server)
        client = Recorder(**{handler: lambda sock: sock.Close()})
        connectOver(client, TCP4ClientEndpoint(reactor, *must(door.GetSockName())), reactor=reactor)
        run(reactor, lambda: "OnClose" in server.names())
        assert client.names()[-1] == handler and client.m_hSocket == INVALID_SOCKET
        door.Close()


def test_back_pressure_reaches_the_peer_and_comes_from_it() -> None:
    """Both ends send without end and receive nothing; what is kept between them stays bounded."""
    with reactorOf("epoll-window") as reactor:
        totals: dict[str, int] = {"server": 0, "client": 0}

        def sending(name: str) -> Any:
            def send(sock: Recorder) -> None:
                while (count := sock.Send(bytes(65536))) > 0:
                    totals[name] += count
                    assert totals[name] < 64 << 20, "nothing makes it wait"

            return send

        server = Recorder(OnSend=sending("server"))
        door = listeningOver(reactor, TCP4ServerEndpoint(reactor, 0, interface=LOCALHOST), server)
        client = Recorder(OnSend=sending("client"))
        connectOver(client, TCP4ClientEndpoint(reactor, *must(door.GetSockName())), reactor=reactor)
        seen: list[dict[str, int]] = []

        def still() -> bool:
            """Nothing has been sent since it was looked at ten times."""
            seen.append(dict(totals))
            return len(seen) > 10 and min(totals.values()) > 0 and seen[-10] == seen[-1]

        run(reactor, still)
        assert server.IOCtl(FIONREAD) < 1 << 18 and client.IOCtl(FIONREAD) < 1 << 18
        for sock in (server, client, door):
            sock.SetSockOpt(SO_LINGER, (1, 0))
            sock.Close()
        reactor.fireSystemEvent("shutdown")
        settle(reactor)


def test_nobody_at_the_port_is_a_refusal() -> None:
    port, keeper = refusingPort()
    with keeper, reactorOf("epoll-window") as reactor:
        client = Recorder()
        connectOver(client, TCP4ClientEndpoint(reactor, LOCALHOST, port), reactor=reactor)
        run(reactor, lambda: client.told != [])
        assert client.told == told("OnConnect", code=WSAError.WSAECONNREFUSED)
        client.Close()


def test_an_endpoint_that_can_not_listen_says_so() -> None:
    with reactorOf("epoll-window") as reactor, socket.create_server((LOCALHOST, 0)) as taken:
        failures: list[Failure] = []
        door = Recorder()
        listening = listenOver(door, TCP4ServerEndpoint(reactor, taken.getsockname()[1], interface=LOCALHOST))
        listening.addErrback(failures.append)
        assert [failure.type for failure in failures] == [error.CannotListenError]
        assert door.m_hSocket == INVALID_SOCKET


def test_a_unix_endpoint_has_a_path_for_a_name(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with reactorOf("epoll-window") as reactor:
        server = Recorder(OnReceive=lambda sock: sock.readAll())
        door = listeningOver(reactor, UNIXServerEndpoint(reactor, path), server)
        assert door.GetSockNameEx() == (path, 0)
        client = Recorder(OnConnect=lambda sock: sock.Send(b"hello"))
        connectOver(client, UNIXClientEndpoint(reactor, path), reactor=reactor)
        run(reactor, lambda: server.received == b"hello")
        assert client.GetPeerNameEx() == (path, 0)
        for sock in (server, client, door):
            sock.Close()
        settle(reactor)


@pytest.mark.programs
def test_a_child_process_is_spoken_to_through_its_pipes() -> None:
    """cat sends back what it is sent, and ends when its input does."""
    with reactorOf("epoll-window") as reactor:
        assert IReactorProcess.providedBy(reactor)

        def send(sock: Recorder) -> None:
            sock.Send(b"through a pipe")
            sock.ShutDown()

        client = Recorder(OnConnect=send, OnReceive=lambda sock: sock.readAll())
        connectOver(client, ProcessEndpoint(reactor, "cat", ("cat",), env=os.environ), reactor=reactor)

        def over() -> bool:
            # What the reactor does at SIGCHLD, which these reactors leave to others.
            reapAllProcesses()
            return "OnClose" in client.names()

        run(reactor, over)
        assert client.received == b"through a pipe"
        assert client.told[-1] == ("OnClose", 0)
        assert client.GetPeerNameEx() == ("", 0)
        client.Close()


def test_an_ssh_channel_carries_a_socket(tmp_path: Path) -> None:
    data = os.urandom(200_000)
    factory = _ssh.server()
    with reactorOf("epoll-window") as reactor:
        port = reactor.listenTCP(0, factory, interface=LOCALHOST)
        sent = {"bytes": 0}

        def send(sock: Recorder) -> None:
            while sent["bytes"] < len(data) and (count := sock.Send(data[sent["bytes"] :])) > 0:
                sent["bytes"] += count

        client = Recorder(OnConnect=send, OnSend=send, OnReceive=lambda sock: sock.readAll())
        endpoint = _ssh.client(reactor, LOCALHOST, port.getHost().port, factory, str(tmp_path))
        connectOver(client, endpoint, reactor=reactor)
        run(reactor, lambda: len(client.received) == len(data))
        assert client.received == data
        client.Close()
        port.stopListening()
        settle(reactor)
