"""
How connections over TLS end, and how much is kept of what nobody receives.
"""

from __future__ import annotations

import gc
import socket
import ssl
import warnings
from typing import Any

import pytest
from _reactors import LIMIT, Recorder, must, reactorOf, run
from _streams import reset, told
from _tls import LOCALHOST, Aside, addressOf, dial, identity, lines, listeningTLS, nothing, play, tlsPair
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from twisted_casync import FIONREAD, SO_LINGER, SOCKET_ERROR, GetLastError, WSAError
from twisted_casync.bridges import SocketProtocol
from twisted_casync.bridges._overendpoints import Once
from twisted_casync.tls import clientOptions, connectTLS, serverOptions

SOME = "epoll-window"
WAYS = ["epoll-window", "asyncio-window", "casync-window"]


def visited(way: str, visit: Any, **handlers: Any) -> tuple[Recorder, list[str]]:
    """
    Accept a visitor over TLS, and wait until the connection has ended.

    @param visit: what the visitor does, with Python's own TLS.
    @return: the socket that was accepted, and the lines of the log.
    """
    with capturedLogs() as logged, reactorOf(way) as reactor:
        far = Recorder(OnReceive=lambda sock: sock.readAll(), **handlers)
        door = listeningTLS(reactor, OnAccept=lambda sock: must(sock.Accept(far)))
        address = addressOf(door)
        visitor = Aside(lambda: visit(dial(address)))
        run(reactor, lambda: visitor.ended() and "OnClose" in far.names())
        far.Close()
        door.Close()
    return far, lines(logged)


def beneath(peer: ssl.SSLSocket) -> socket.socket:
    """
    @return: the TCP connection of one over TLS, which is left as it is.
    """
    plain = socket.socket(fileno=peer.detach())
    plain.settimeout(LIMIT)
    return plain


@pytest.mark.parametrize("way", WAYS)
def test_a_peer_that_ends_tls_is_the_end_of_the_stream(way: str) -> None:
    def visit(peer: ssl.SSLSocket) -> None:
        peer.sendall(b"all of it")
        peer.unwrap().close()

    far, logged = visited(way, visit)
    assert far.received == b"all of it"
    assert far.told[-1] == ("OnClose", 0)
    assert logged == []


@pytest.mark.parametrize("way", WAYS)
def test_a_peer_that_only_ends_tcp_may_have_been_cut_off(way: str) -> None:
    def visit(peer: ssl.SSLSocket) -> None:
        peer.sendall(b"a part of it")
        plain = beneath(peer)
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(65536):
            pass
        plain.close()

    far, _ = visited(way, visit)
    assert far.received == b"a part of it"
    assert far.told[-1] == ("OnClose", WSAError.WSAECONNABORTED)


def test_a_reset_is_no_end_either() -> None:
    far, _ = visited(SOME, reset)
    assert far.told[-1] == ("OnClose", WSAError.WSAECONNABORTED)


def test_a_record_that_was_tampered_with_is_an_error_in_the_log() -> None:
    def visit(peer: ssl.SSLSocket) -> None:
        plain = beneath(peer)
        # A record of application data that nobody has encrypted.
        plain.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        while plain.recv(65536):
            pass
        plain.close()

    far, logged = visited(SOME, visit)
    assert far.received == b""
    assert far.told[-1] == ("OnClose", WSAError.WSAECONNABORTED)
    (line,) = logged
    assert line.startswith(f"the connection with {LOCALHOST}:") and "bad record mac" in line


def test_shutdown_says_that_tls_ends_and_goes_on_receiving() -> None:
    def visit(peer: ssl.SSLSocket) -> bytes:
        # Up to the end of TLS: Python's recv would raise SSLEOFError where only TCP ends.
        assert peer.recv(100) == b"that was it"
        assert peer.recv(100) == b""
        # TLS 1.3 has halves; Python's sends on.
        peer.sendall(b"one thing more")
        peer.unwrap().close()
        return b""

    def leave(sock: Recorder) -> None:
        if sock.names().count("OnSend") == 1:
            must(sock.Send(b"that was it"))
            must(sock.ShutDown())
            assert sock.Send(b"?") == SOCKET_ERROR and GetLastError() == WSAError.WSAESHUTDOWN

    far, logged = visited(SOME, visit, OnSend=leave)
    assert far.received == b"one thing more"
    assert far.told[-1] == ("OnClose", 0)
    assert logged == []


def test_close_ends_tls_as_it_should() -> None:
    """What was sent before arrives, and the end with it."""
    data = bytes(range(256)) * 4096

    def visit(peer: ssl.SSLSocket) -> int:
        with peer:
            received = 0
            while chunk := peer.recv(65536):
                received += len(chunk)
            return received

    def leave(sock: Recorder) -> None:
        sock.handlers.clear()
        assert sock.Send(data) == len(data)
        sock.Close()

    with reactorOf(SOME) as reactor:
        far = Recorder(OnSend=leave)
        door = listeningTLS(reactor, OnAccept=lambda sock: must(sock.Accept(far)))
        address = addressOf(door)
        visitor = Aside(lambda: visit(dial(address)))
        run(reactor, visitor.ended)
        assert visitor.result == len(data)
        assert far.told == told("OnSend")
        door.Close()


def test_to_linger_without_time_is_no_end_of_tls() -> None:
    def leave(sock: Recorder) -> None:
        sock.SetSockOpt(SO_LINGER, (1, 0))
        sock.Close()

    with reactorOf(SOME) as reactor:
        near, far = Recorder(), Recorder(OnSend=leave)
        door = tlsPair(reactor, near, far)
        run(reactor, lambda: "OnClose" in near.names())
        assert near.told[-1] == ("OnClose", WSAError.WSAECONNABORTED)
        near.Close()
        door.Close()


# -- a peer that does not answer


class Half:
    """
    A server's side of TLS, on a clock, and a client's that is OpenSSL's alone.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.sock = Recorder()
        own = identity("localhost", "authority.example")
        protocol = SocketProtocol(self.sock, reactor=self.clock)
        options = serverOptions(own.both)
        factory = TLSMemoryBIOFactory(options, False, Once(protocol), self.clock)
        self.tls: Any = factory.buildProtocol(None)
        self.transport = StringTransport()
        self.tls.makeConnection(self.transport)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.peer = context.wrap_bio(self.into, self.out)

    def shake(self) -> None:
        while True:
            try:
                self.peer.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.exchange()
        self.exchange()

    def exchange(self) -> None:
        self.tls.dataReceived(self.out.read())
        self.clock.advance(0)
        self.into.write(self.transport.value())
        self.transport.clear()


def test_the_end_is_waited_for_a_minute() -> None:
    half = Half()
    assert half.sock.told == []
    half.shake()
    assert half.sock.told == told("OnSend")
    half.sock.Send(b"last words")
    half.sock.Close()
    half.clock.advance(59)
    half.into.write(half.transport.value())
    assert half.peer.read(100) == b"last words"
    assert half.peer.read(100) == b""
    # Whatever has not gone yet still may.
    assert not half.transport.disconnecting
    half.clock.advance(2)
    assert half.transport.disconnecting and not half.transport.disconnected
    half.clock.advance(60)
    assert half.transport.disconnected
    assert half.clock.getDelayedCalls() == []


def test_a_peer_that_answers_the_end_leaves_no_timer() -> None:
    half = Half()
    half.shake()
    half.sock.Close()
    half.into.write(half.transport.value())
    half.peer.unwrap()
    half.exchange()
    assert half.transport.disconnecting
    half.tls.connectionLost(Failure(ConnectionDone()))
    assert half.clock.getDelayedCalls() == []


def test_a_peer_that_ends_tls_and_leaves_at_once_has_ended_it() -> None:
    """The answer finds nobody, which resets the TCP connection: nothing is missing for that."""
    half = Half()
    half.shake()
    with pytest.raises(ssl.SSLWantReadError):
        half.peer.unwrap()
    half.exchange()
    half.tls.connectionLost(Failure(ConnectionLost()))
    half.clock.advance(0)
    assert half.sock.told[-1] == ("OnClose", 0)
    half.sock.Close()


# -- how much is kept


def test_back_pressure_goes_through_tls_in_both_directions() -> None:
    """Both ends send as long as they can and receive nothing; what is kept between them stays bounded."""
    with reactorOf(SOME) as reactor:
        totals = {"near": 0, "far": 0}

        def sending(name: str) -> Any:
            def send(sock: Recorder) -> None:
                while (count := sock.Send(bytes(65536))) > 0:
                    totals[name] += count
                    assert totals[name] < 64 << 20, "nothing makes it wait"

            return send

        near, far = Recorder(OnSend=sending("near")), Recorder(OnSend=sending("far"))
        door = tlsPair(reactor, near, far)
        seen: list[dict[str, int]] = []

        def still() -> bool:
            seen.append(dict(totals))
            return len(seen) > 10 and min(totals.values()) > 0 and seen[-10] == seen[-1]

        kept: list[int] = []
        play(reactor, (still, lambda: kept.extend(sock.IOCtl(FIONREAD) or 0 for sock in (near, far))))
        # What the transport was given in one piece before it was paused.
        assert len(kept) == 2 and max(kept) < 1 << 18
        for sock in (near, far, door):
            sock.SetSockOpt(SO_LINGER, (1, 0))
            sock.Close()


def test_who_begins_to_receive_gets_all_that_waited() -> None:
    with reactorOf(SOME) as reactor:
        total = {"sent": 0}

        def send(sock: Recorder) -> None:
            while total["sent"] < 8 << 20 and (count := sock.Send(bytes(65536))) > 0:
                total["sent"] += count
            if total["sent"] >= 8 << 20:
                sock.ShutDown()

        near, far = Recorder(OnSend=send), Recorder()
        door = tlsPair(reactor, near, far)
        got = {"bytes": 0}

        def receive(sock: Recorder) -> None:
            buffer = bytearray(65536)
            while (count := sock.Receive(buffer)) > 0:
                got["bytes"] += count

        seen: list[int] = []

        def still() -> bool:
            seen.append(total["sent"])
            return len(seen) > 10 and 0 < seen[-10] == seen[-1]

        def begin() -> None:
            far.handlers["OnReceive"] = receive
            receive(far)

        play(reactor, (still, begin), (lambda: "OnClose" in far.names(), nothing))
        assert got["bytes"] == total["sent"] == 8 << 20
        assert far.told[-1] == ("OnClose", 0)
        for sock in (near, far, door):
            sock.Close()


def test_a_connection_that_has_ended_is_not_kept() -> None:
    """Whether its handshake has come to nothing, or it was closed."""

    def alive() -> int:
        gc.collect()
        with warnings.catch_warnings():
            # Some modules warn of what an object of theirs is asked for.
            warnings.simplefilter("ignore")
            return sum(isinstance(each, TLSMemoryBIOProtocol) for each in gc.get_objects())

    def visit() -> None:
        with capturedLogs(), reactorOf(SOME) as reactor:
            near, far = Recorder(), Recorder(OnSend=lambda sock: sock.Close())
            door = tlsPair(reactor, near, far)
            stranger = Recorder()
            play(
                reactor,
                (lambda: "OnClose" in near.names(), near.Close),
                (lambda: True, lambda: connectTLS(stranger, LOCALHOST, addressOf(door)[1], clientOptions("localhost"))),
                (lambda: stranger.told != [], stranger.Close),
                (lambda: alive() <= before, nothing),
            )
            door.Close()

    before = alive()
    visit()
