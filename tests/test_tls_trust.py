"""
TLS beneath a CAsyncSocket: who the peer is, what is spoken, and handshakes that come to nothing.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from _reactors import LIMIT, Recorder, must, reactorOf, run
from _streams import told
from _tls import (
    LOCALHOST,
    Aside,
    addressOf,
    authority,
    client,
    dial,
    identity,
    lines,
    listeningTLS,
    nothing,
    plainClient,
    play,
    server,
)
from twisted.logger import capturedLogs

from twisted_casync import (
    WSAError,
)
from twisted_casync._threads import openSockets
from twisted_casync.bridges import reasonOf, transportOf
from twisted_casync.bridges.tcp import Server
from twisted_casync.tls import clientOptions, connectTLS, peerCertificate, serverOptions

SOME = "epoll-window"


def refused(options: Any, serving: Any = None, *, lines_: int = 2, timeout: float = 30.0) -> Any:
    """
    Have a client connect to a server, and fail.

    @param lines_: how many lines of the log there are to be of it.
    @return: what the client was told, why, and the lines of the log: the client's first.
    """
    with capturedLogs() as logged, reactorOf(SOME) as reactor:
        near, door = Recorder(), listeningTLS(reactor, serving, timeout)
        connectTLS(near, LOCALHOST, addressOf(door)[1], options)
        run(reactor, lambda: near.told != [] and len(lines(logged)) == lines_)
        reason = reasonOf(near)
        assert door.told == []
        near.Close()
        door.Close()
    return near.told, reason, sorted(lines(logged), key=lambda line: "peer has closed" in line)


# -- who the peer is


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (lambda: clientOptions("localhost"), "certificate verify failed: unable to get local issuer certificate"),
        (lambda: client("elsewhere.example"), "the certificate is not for elsewhere.example"),
        (lambda: client(LOCALHOST), f"the certificate is not for {LOCALHOST}"),
    ],
)
def test_a_server_that_can_not_be_trusted_is_no_connection(options: Callable[[], Any], words: str) -> None:
    said, reason, logged = refused(options())
    assert said == told("OnConnect", code=WSAError.WSAECONNABORTED)
    assert reason is not None and reason.type.__name__ in ("Error", "VerificationError")
    assert logged[0].startswith(f"no TLS with {LOCALHOST}:") and logged[0].endswith(f": {words}")
    assert logged[1].startswith(f"no TLS with {LOCALHOST}:")


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (lambda: identity("localhost"), "self-signed certificate"),
        (lambda: identity("localhost", "authority.example", days=-1), "certificate has expired"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said(own: Callable[[], Any], words: str) -> None:
    made = own()
    said, _, logged = refused(client(), serverOptions(made.both))
    assert said == told("OnConnect", code=WSAError.WSAECONNABORTED)
    assert logged[0].endswith(f": certificate verify failed: {words}")


def test_the_trust_can_be_in_one_certificate() -> None:
    made = identity("localhost")
    with reactorOf(SOME) as reactor:
        found: list[Any] = []
        near = Recorder(OnConnect=lambda sock: found.append(peerCertificate(sock)))
        door = listeningTLS(reactor, serverOptions(made.both))
        options = clientOptions("localhost", trustRoot=made.certificate)
        connectTLS(near, LOCALHOST, addressOf(door)[1], options)
        run(reactor, lambda: near.told != [])
        assert near.told[0] == ("OnConnect", 0)
        assert found[0].getSubject().commonName == b"localhost"
        near.Close()
        assert peerCertificate(near) is None
        door.Close()


def test_an_address_can_be_verified_too() -> None:
    with reactorOf(SOME) as reactor:
        near, door = Recorder(), listeningTLS(reactor, server(LOCALHOST))
        connectTLS(near, LOCALHOST, addressOf(door)[1], client(LOCALHOST))
        run(reactor, lambda: near.told != [])
        assert near.told[0] == ("OnConnect", 0)
        near.Close()
        door.Close()


def test_the_server_is_told_the_name() -> None:
    """SNI, as Python's own server hears it."""
    own = identity("localhost", "authority.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.both)
    heard: list[str | None] = []
    context.sni_callback = lambda sock, name, its: heard.append(name)
    with reactorOf(SOME) as reactor, socket.create_server((LOCALHOST, 0)) as listener:
        near = Recorder(OnReceive=lambda sock: sock.readAll())

        def serve() -> None:
            with context.wrap_socket(listener.accept()[0], server_side=True) as peer:
                peer.sendall(b"good day")
                peer.unwrap()

        peer = Aside(serve)
        connectTLS(near, LOCALHOST, listener.getsockname()[1], client())
        run(reactor, lambda: "OnClose" in near.names() and peer.ended())
        assert heard == ["localhost"]
        assert near.received == b"good day" and near.told[-1] == ("OnClose", 0)
        near.Close()


# -- certificates of clients


def test_a_server_can_ask_clients_who_they_are() -> None:
    own = identity("a client", "authority.example")
    with reactorOf(SOME) as reactor:
        found: list[Any] = []
        near, far = Recorder(), Recorder(OnSend=lambda sock: found.append(peerCertificate(sock)))
        door = listeningTLS(
            reactor,
            server(trustRoot=authority().certificate),
            OnAccept=lambda sock: must(sock.Accept(far)),
        )
        options = client(privateKey=own.key, certKey=own.certificate)
        connectTLS(near, LOCALHOST, addressOf(door)[1], options)
        run(reactor, lambda: found != [])
        assert found[0].getSubject().commonName == b"a client"
        for sock in (near, far, door):
            sock.Close()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "peer did not return a certificate"),
        ({"privateKey": identity("a client").both}, "certificate verify failed: self-signed certificate"),
    ],
)
def test_a_client_without_a_good_certificate_is_not_accepted(keys: Any, words: str) -> None:
    """Since TLS 1.3 the client's own handshake is done when the server finds out: it hears of it afterwards."""
    with capturedLogs() as logged, reactorOf(SOME) as reactor:
        near, door = Recorder(), listeningTLS(reactor, server(trustRoot=authority().certificate))
        connectTLS(near, LOCALHOST, addressOf(door)[1], client(**keys))
        run(reactor, lambda: "OnClose" in near.names())
        assert door.told == []
        assert near.told == [*told("OnConnect", "OnSend"), ("OnClose", WSAError.WSAECONNABORTED)]
        near.Close()
        door.Close()
    assert any(line.startswith("no TLS with") and line.endswith(words) for line in lines(logged))
    assert any(line.startswith("the connection with") and "alert" in line for line in lines(logged))


# -- what is spoken


@pytest.mark.parametrize(
    ("offered", "taken", "agreed"),
    [
        ((b"h2", b"http/1.1"), (b"http/1.1",), b"http/1.1"),
        ((b"http/1.1", b"h2"), (b"h2", b"http/1.1"), b"h2"),
        ((), (b"h2",), None),
        ((b"h2",), (), None),
    ],
)
def test_both_know_what_is_spoken(offered: tuple[bytes, ...], taken: tuple[bytes, ...], agreed: bytes | None) -> None:
    with reactorOf(SOME) as reactor:
        spoken: list[bytes | None] = []

        def ask(sock: Recorder) -> None:
            spoken.append(transportOf(sock).negotiatedProtocol)

        near, far = Recorder(OnSend=ask), Recorder(OnSend=ask)
        serving = server(protocols=taken)
        door = listeningTLS(reactor, serving, OnAccept=lambda sock: must(sock.Accept(far)))
        connectTLS(near, LOCALHOST, addressOf(door)[1], client(protocols=offered))
        run(reactor, lambda: len(spoken) == 2)
        assert spoken == [agreed, agreed]
        for sock in (near, far, door):
            sock.Close()


def test_who_speaks_nothing_that_the_server_does_is_refused() -> None:
    said, _, logged = refused(client(protocols=(b"h2",)), server(protocols=(b"imap",)))
    assert said == told("OnConnect", code=WSAError.WSAECONNABORTED)
    assert any("no application protocol" in line for line in logged)


# -- handshakes that come to nothing


def test_what_is_no_tls_is_one_line_and_no_connection() -> None:
    with capturedLogs() as logged, reactorOf(SOME) as reactor:
        door = listeningTLS(reactor)
        address = addressOf(door)

        def visit() -> None:
            with socket.create_connection(address, LIMIT) as peer:
                peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
                while peer.recv(65536):
                    pass

        peer = Aside(visit)
        run(reactor, lambda: peer.ended() and lines(logged) != [])
        assert door.told == []
        door.Close()
    (line,) = lines(logged)
    assert line.startswith(f"no TLS with {LOCALHOST}:") and line.endswith(": http request")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        # The beginning of a handshake.
        b"\x16\x03\x01\x02\x00\x01",
        # An alert: the end of the connection, before it began.
        b"\x15\x03\x01\x00\x02\x01\x00",
    ],
)
def test_a_visitor_that_leaves_is_one_line(data: bytes) -> None:
    with capturedLogs() as logged, reactorOf(SOME) as reactor:
        door = listeningTLS(reactor)
        with socket.create_connection(addressOf(door), LIMIT) as peer:
            peer.sendall(data)
        run(reactor, lambda: lines(logged) != [])
        assert door.told == []
        door.Close()
    (line,) = lines(logged)
    assert line.startswith(f"no TLS with {LOCALHOST}:")


def test_a_handshake_has_its_time() -> None:
    with capturedLogs() as logged, reactorOf(SOME) as reactor:
        door = listeningTLS(reactor, timeout=0.05)
        with socket.create_connection(addressOf(door), LIMIT):
            run(reactor, lambda: lines(logged) != [])
        assert door.told == []
        door.Close()
    (line,) = lines(logged)
    assert line.endswith(": no handshake within 0.05 seconds.")


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    with capturedLogs() as logged, reactorOf(SOME) as reactor, socket.create_server((LOCALHOST, 0)) as listener:
        near = Recorder()
        connectTLS(near, LOCALHOST, listener.getsockname()[1], client(), timeout=0.05)
        run(reactor, lambda: near.told != [])
        assert near.told == told("OnConnect", code=WSAError.WSAETIMEDOUT)
        near.Close()
    (line,) = lines(logged)
    assert line.endswith(": no handshake within 0.05 seconds.")


def test_who_is_in_the_handshake_when_the_listener_closes_is_turned_away() -> None:
    with capturedLogs() as logged, reactorOf(SOME) as reactor:
        door = listeningTLS(reactor)
        context = plainClient()

        def visit() -> bytes:
            with socket.create_connection(address, LIMIT) as plain:
                ready.append(True)
                while not closed:
                    pass
                with context.wrap_socket(plain, server_hostname="localhost") as peer:
                    return peer.recv(1)

        address = addressOf(door)
        ready: list[bool] = []
        closed: list[bool] = []

        def close() -> None:
            door.Close()
            closed.append(True)

        peer = Aside(visit)

        def begun() -> bool:
            return any(isinstance(sock, Server) for sock in openSockets())

        play(reactor, (begun, close), (peer.ended, nothing))
        assert peer.result == b""
    assert [line for line in lines(logged) if "turned away" in line] != []


def test_waiting_connections_have_had_their_handshake() -> None:
    """A client is connected, and can send, before the server's program accepts it."""
    with reactorOf(SOME) as reactor:
        door, far = listeningTLS(reactor), Recorder(OnReceive=lambda sock: sock.readAll())
        address = addressOf(door)

        def visit() -> None:
            with dial(address) as peer:
                peer.sendall(b"early")
                peer.unwrap()

        visitor = Aside(visit)
        play(
            reactor,
            (lambda: door.told != [], lambda: must(door.Accept(far))),
            (lambda: "OnClose" in far.names() and visitor.ended(), nothing),
        )
        assert far.received == b"early" and far.told[-1] == ("OnClose", 0)
        far.Close()
        door.Close()
