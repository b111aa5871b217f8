"""
How a socket over an SSH channel ends: a half, the whole, in good order or not; and TLS over it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import _ssh
import _tls
import pytest
from _play import Script, play
from _reactors import REACTORS, Recorder, must, reactorOf, settle
from _streams import LOCALHOST
from twisted.internet import error

from twisted_casync import FIONREAD, SO_LINGER, SOCKET_ERROR, CAsyncSocket, GetLastError, WSAError
from twisted_casync.bridges import SocketProtocol, connectOver, reasonOf, transportOf
from twisted_casync.tls import startTLS

WINDOW = 131072
"""What conch lets the other side of a channel send (SSHChannel.localWindowSize)."""
SIDES = [("client", "server"), ("server", "client")]
HOOKS = {"eofReceived", "closeReceived", "addWindowBytes", "stopWriting"}


@contextmanager
def ssh(name: str, folder: Path) -> Iterator[tuple[Any, dict[str, Recorder], Callable[[Script], None]]]:
    """
    A real SSH connection with one channel, and a socket at each end of it.

    @return: the reactor, the sockets, and what plays a script when both are connected.
    """
    ends = {"client": Recorder(), "server": Recorder()}
    with reactorOf(f"{name}-window") as reactor:
        factory = _ssh.server(SocketProtocol(ends["server"], reactor=reactor))
        port = reactor.listenTCP(0, factory, interface=LOCALHOST)
        endpoint = _ssh.client(reactor, LOCALHOST, port.getHost().port, factory, str(folder))
        connectOver(ends["client"], endpoint, reactor=reactor)

        def whole(script: Script) -> Script:
            yield lambda: all("OnSend" in sock.names() for sock in ends.values())
            yield from script
            for sock in ends.values():
                sock.Close()
            port.stopListening()

        yield reactor, ends, lambda script: play(reactor, whole(script))
        settle(reactor)


def codes(sock: Recorder) -> list[int]:
    """
    @return: what each C{OnClose} was told.
    """
    return [code for name, code in sock.told if name == "OnClose"]


def cut(sock: CAsyncSocket) -> None:
    """
    Cut the connection off that the SSH connection of a socket goes over.
    """
    channel = transportOf(sock)
    channel.conn.transport.transport.abortConnection()


@pytest.mark.parametrize(("near", "far"), SIDES)
@pytest.mark.parametrize("name", REACTORS)
def test_shutdown_ends_one_half_when_all_that_was_sent_has_gone(name: str, near: str, far: str, tmp_path: Path) -> None:
    """More than the window takes; the answer comes back through the other half."""
    data, answer = os.urandom(5 * WINDOW), os.urandom(3 * WINDOW)
    with ssh(name, tmp_path) as (_, ends, run):
        one, other = ends[near], ends[far]

        def script() -> Script:
            channel = transportOf(one)
            assert one.Send(data) == len(data)
            assert one.ShutDown()
            assert channel.buf
            assert one.Send(b"x") == SOCKET_ERROR and GetLastError() == WSAError.WSAESHUTDOWN
            yield lambda: "OnReceive" in other.names()
            assert codes(other) == []
            other.handlers.update(OnReceive=lambda sock: sock.readAll())
            other.readAll()
            yield lambda: codes(other) == [0]
            assert other.received == data
            assert codes(one) == [] and not channel.localClosed
            one.handlers.update(OnReceive=lambda sock: sock.readAll())
            assert other.Send(answer) == len(answer)
            assert other.ShutDown()
            yield lambda: codes(one) == [0]
            assert one.received == answer
            # Both halves have ended: so has the channel, without a Close.
            yield lambda: channel.localClosed and channel.remoteClosed
            assert not HOOKS & set(vars(channel))
            assert (codes(one), codes(other)) == ([0], [0])

        run(script())


@pytest.mark.parametrize(("near", "far"), SIDES)
@pytest.mark.parametrize("name", REACTORS)
def test_close_sends_what_waits_in_the_channel_first(name: str, near: str, far: str, tmp_path: Path) -> None:
    data = os.urandom(5 * WINDOW)
    with ssh(name, tmp_path) as (_, ends, run):
        one, other = ends[near], ends[far]

        def script() -> Script:
            channel = transportOf(one)
            assert one.Send(data) == len(data)
            one.Close()
            assert channel.buf
            other.handlers.update(OnReceive=lambda sock: sock.readAll())
            yield lambda: codes(other) == [0]
            assert other.received == data
            yield lambda: bool(channel.remoteClosed)
            assert not HOOKS & set(vars(channel))

        run(script())


@pytest.mark.parametrize(("near", "far"), SIDES)
def test_to_linger_without_time_leaves_what_waits(near: str, far: str, tmp_path: Path) -> None:
    with ssh("epoll", tmp_path) as (_, ends, run):
        one, other = ends[near], ends[far]

        def script() -> Script:
            channel = transportOf(one)
            one.Send(bytes(5 * WINDOW))
            must(one.SetSockOpt(SO_LINGER, (1, 0)))
            one.Close()
            assert channel.localClosed and not channel.buf
            other.handlers.update(OnReceive=lambda sock: sock.readAll())
            yield lambda: codes(other) == [0]
            assert len(other.received) == WINDOW

        run(script())


@pytest.mark.parametrize(("near", "far"), SIDES)
def test_a_peer_that_closes_before_it_took_all_has_reset_the_channel(near: str, far: str, tmp_path: Path) -> None:
    """Else each side would wait for the other: for the window to open, and for the answer to CLOSE."""
    with ssh("epoll", tmp_path) as (_, ends, run):
        one, other = ends[near], ends[far]

        def script() -> Script:
            channel = transportOf(one)
            one.Send(bytes(5 * WINDOW))
            yield lambda: "OnReceive" in other.names()
            other.Close()
            yield lambda: codes(one) == [WSAError.WSAECONNRESET]
            assert channel.localClosed and channel.remoteClosed

        run(script())


@pytest.mark.parametrize(("near", "far"), SIDES)
def test_a_peer_that_has_said_all_may_close_before_it_took_all(near: str, far: str, tmp_path: Path) -> None:
    """As a command that does not read all its input; what it has said is received, be it late."""
    with ssh("epoll", tmp_path) as (_, ends, run):
        one, other = ends[near], ends[far]

        def script() -> Script:
            channel = transportOf(one)
            one.Send(bytes(5 * WINDOW))
            other.Send(b"answer")
            other.ShutDown()
            other.handlers.update(OnReceive=lambda sock: sock.Close())
            yield lambda: channel.localClosed and channel.remoteClosed
            assert codes(one) == []
            one.readAll()
            assert one.received == b"answer"
            yield lambda: codes(one) == [0]

        run(script())


@pytest.mark.parametrize(("near", "far"), SIDES)
@pytest.mark.parametrize("name", REACTORS)
def test_an_ssh_connection_that_is_lost_resets_its_channel(name: str, near: str, far: str, tmp_path: Path) -> None:
    """Also where conch would not say so, at the end that its client endpoint has connected."""
    with ssh(name, tmp_path) as (_, ends, run):
        one, other = ends[near], ends[far]

        def script() -> Script:
            channels = [transportOf(sock) for sock in ends.values()]
            one.handlers.update(OnReceive=lambda sock: sock.readAll())
            one.Send(bytes(5 * WINDOW))
            other.Send(b"last words")
            yield lambda: bool(one.received) and other.IOCtl(FIONREAD) == WINDOW
            other.handlers.update(OnReceive=lambda sock: sock.readAll())
            # What it makes the other side send does not come any more.
            other.readAll()
            cut(one)
            yield lambda: bool(codes(one) and codes(other))
            assert codes(one) == codes(other) == [WSAError.WSAECONNRESET]
            assert one.received == b"last words"
            assert len(other.received) == WINDOW
            reason = reasonOf(one)
            assert reason is not None and reason.check(error.ConnectionLost)
            for channel in channels:
                assert not HOOKS & set(vars(channel))
                assert "connectionLost" not in vars(channel.conn.transport)

        run(script())


def test_the_names_of_its_ends_are_those_of_the_connection(tmp_path: Path) -> None:
    with ssh("epoll", tmp_path) as (_, ends, run):

        def script() -> Script:
            one, other = ends["client"], ends["server"]
            assert one.GetPeerNameEx() == other.GetSockNameEx()
            assert one.GetSockNameEx() == other.GetPeerNameEx()
            assert must(one.GetPeerNameEx())[0] == LOCALHOST
            yield lambda: True

        run(script())


def secure(ends: dict[str, Recorder]) -> None:
    startTLS(ends["server"], _tls.server())
    startTLS(ends["client"], _tls.client())
    for sock in ends.values():
        sock.told.clear()


@pytest.mark.parametrize(("near", "far"), SIDES)
@pytest.mark.parametrize("name", REACTORS)
def test_tls_over_a_channel_ends_in_good_order(name: str, near: str, far: str, tmp_path: Path) -> None:
    data = os.urandom(5 * WINDOW)
    with ssh(name, tmp_path) as (_, ends, run):
        one, other = ends[near], ends[far]

        def script() -> Script:
            channel = transportOf(one)
            secure(ends)
            yield lambda: all("OnSend" in sock.names() for sock in ends.values())
            other.handlers.update(OnReceive=lambda sock: sock.readAll())
            assert one.Send(data) == len(data)
            yield lambda: len(other.received) == len(data)
            assert other.Send(b"answer") == 6
            yield lambda: "OnReceive" in one.names()
            one.readAll()
            assert one.received == b"answer"
            one.Close()
            yield lambda: codes(other) == [0]
            assert other.received == data
            yield lambda: channel.localClosed and channel.remoteClosed
            assert not HOOKS & set(vars(channel))

        run(script())


@pytest.mark.parametrize(("near", "far"), SIDES)
@pytest.mark.parametrize("name", REACTORS)
def test_tls_over_a_channel_is_aborted(name: str, near: str, far: str, tmp_path: Path) -> None:
    """By who has not received all; also during the handshake."""
    with ssh(name, tmp_path) as (_, ends, run):
        one, other = ends[near], ends[far]

        def script() -> Script:
            channel = transportOf(one)
            secure(ends)
            yield lambda: all("OnSend" in sock.names() for sock in ends.values())
            other.Send(b"nobody receives it")
            yield lambda: "OnReceive" in one.names()
            one.Close()
            assert channel.localClosed
            yield lambda: bool(codes(other)) and bool(channel.remoteClosed)
            assert not HOOKS & set(vars(channel))

        run(script())


@pytest.mark.parametrize(("near", "far"), SIDES)
def test_a_handshake_over_a_channel_is_given_up(near: str, far: str, tmp_path: Path) -> None:
    with ssh("epoll", tmp_path) as (_, ends, run):
        one, other = ends[near], ends[far]

        def script() -> Script:
            channel = transportOf(one)
            startTLS(one, _tls.client() if near == "client" else _tls.server(), handshake=0)
            yield lambda: codes(one) == [WSAError.WSAECONNABORTED]
            other.handlers.update(OnReceive=lambda sock: sock.readAll())
            other.readAll()
            yield lambda: codes(other) == [0]
            assert channel.localClosed and channel.remoteClosed

        run(script())


@pytest.mark.parametrize("end", ["eof", "lost"])
@pytest.mark.parametrize(("near", "far"), SIDES)
def test_tls_over_a_channel_tells_an_end_from_a_cut(near: str, far: str, end: str, tmp_path: Path) -> None:
    """EOF without the end of TLS is one."""
    with ssh("epoll", tmp_path) as (_, ends, run):
        one, other = ends[near], ends[far]

        def script() -> Script:
            channel = transportOf(one)
            secure(ends)
            yield lambda: all("OnSend" in sock.names() for sock in ends.values())
            if end == "eof":
                channel.conn.sendEOF(channel)
            else:
                channel.conn.transport.transport.abortConnection()
            yield lambda: codes(other) == [WSAError.WSAECONNABORTED]
            yield lambda: channel.localClosed and channel.remoteClosed

        run(script())
