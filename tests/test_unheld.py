"""
A connection that is over keeps nobody alive: what nobody holds is closed, with a warning, when it can hear no more.
"""

from __future__ import annotations

import gc
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import ref

import pytest
from _play import Script, played, turns
from _reactors import LIMIT, Recorder, must
from _streams import accepted, fill, listening, peerOf, reset
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from twisted_casync import FD_ALL_EVENTS, FD_CLOSE, FD_READ, FD_WRITE, CAsyncSocket, CSocket
from twisted_casync.bridges import SocketProtocol
from twisted_casync.testing import MemoryNetwork


class Reader(CAsyncSocket):
    """A class without OnClose."""

    def OnReceive(self, nErrorCode: int) -> None:
        self.Receive(bytearray(99))


class Silent(CAsyncSocket):
    """A class without handlers."""


class Both(Reader):
    """A class whose OnClose does not close."""

    def OnClose(self, nErrorCode: int) -> None: ...


class Awaited(CSocket):
    """A class of sockets whose calls can wait, none of which does."""

    def OnReceive(self, nErrorCode: int) -> None:
        self._as_Receive(bytearray(99))


CLASSES: list[Callable[[Any], CAsyncSocket]] = [Reader, Silent, Both, Awaited]


def end(peer: socket.socket, data: bytes) -> None:
    if data:
        peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)


ENDS: dict[str, Callable[[socket.socket], None]] = {
    "closes": socket.socket.close,
    "ends its stream": lambda peer: end(peer, b""),
    "ends its stream after data": lambda peer: end(peer, b"data"),
    "resets": reset,
}


@contextmanager
def warned() -> Iterator[list[str]]:
    """What was warned of unclosed sockets.  The warnings themselves hold the sockets."""
    messages: list[str] = []

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if category is ResourceWarning and str(message).startswith("unclosed socket <"):
            messages.append(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield messages


def gone(alive: Callable[[], object]) -> bool:
    gc.collect()
    return alive() is None


def unheld(
    reactor: Any, make: Callable[[Any], CAsyncSocket], lEvent: int = FD_ALL_EVENTS
) -> tuple[Any, int, socket.socket]:
    """A connection that nobody holds, its handle, and the plain socket of its peer."""
    listener = listening(reactor)
    peer = peerOf(listener)
    one = make(reactor)
    must(listener.Accept(one))
    listener.Close()
    must(one.AsyncSelect(lEvent))
    return ref(one), int(one), peer


@pytest.mark.parametrize("make", CLASSES)
@pytest.mark.parametrize("how", ENDS.values(), ids=ENDS)
@played
def test_when_its_peer_ends_what_nobody_holds_is_closed_with_a_warning(
    reactor: Any, make: Callable[[Any], CAsyncSocket], how: Callable[[socket.socket], None]
) -> Script:
    with warned() as messages:
        alive, handle, peer = unheld(reactor, make)
        yield turns()
        # It waits for what comes.
        assert not gone(alive)
        assert CAsyncSocket.FromHandle(handle) is alive()
        how(peer)
        yield lambda: gone(alive)
        assert len(messages) == 1
        assert messages[0].startswith(f"unclosed socket <{make.__name__} connected {handle} with")
        assert CAsyncSocket.FromHandle(handle) is None
        peer.close()


@pytest.mark.parametrize("lEvent", [FD_READ, FD_CLOSE, FD_READ | FD_CLOSE], ids=["FD_READ", "FD_CLOSE", "both"])
@played
def test_whatever_is_selected_of_it(reactor: Any, lEvent: int) -> Script:
    with warned() as messages:
        alive, _, peer = unheld(reactor, Reader, lEvent)
        with peer:
            peer.sendall(b"data")
            peer.shutdown(socket.SHUT_WR)
            yield lambda: gone(alive)
            assert len(messages) == 1


@pytest.mark.parametrize("lEvent", [FD_READ, FD_WRITE, FD_READ | FD_WRITE], ids=["FD_READ", "FD_WRITE", "both"])
@played
def test_when_all_that_is_selected_was_told(reactor: Any, lEvent: int) -> Script:
    with warned() as messages:
        alive, _, peer = unheld(reactor, Silent, lEvent)
        with peer:
            peer.sendall(b"data")
            yield lambda: gone(alive)
            assert len(messages) == 1


@played
def test_not_before_it_is_told_again(reactor: Any) -> Script:
    alive, handle, peer = unheld(reactor, Reader, FD_WRITE)
    with peer:
        one: Any = alive()
        yield turns()
        must(one.AsyncSelect(FD_READ))
        del one
        yield turns()
        assert not gone(alive)
        peer.sendall(b"data")
        yield turns()
        assert not gone(alive)
        with warned() as messages:
            peer.shutdown(socket.SHUT_WR)
            yield lambda: gone(alive)
            assert len(messages) == 1


@played
def test_when_it_listens_no_more(reactor: Any) -> Script:
    one: Any = listening(reactor)
    alive = ref(one)
    with socket.socket(fileno=socket.dup(int(one))) as other, warned() as messages:
        del one
        yield turns()
        assert not gone(alive)
        other.shutdown(socket.SHUT_RDWR)
        yield lambda: gone(alive)
        assert len(messages) == 1


@played
def test_when_both_ends_have_ended_their_streams(reactor: Any) -> Script:
    with warned() as messages:
        alive, handle, peer = unheld(reactor, Reader)
        with peer:
            found: Any = CAsyncSocket.FromHandle(handle)
            must(found.ShutDown())
            del found
            peer.shutdown(socket.SHUT_WR)
            yield lambda: gone(alive)
            assert len(messages) == 1


@played
def test_a_UNIX_stream_too(reactor: Any) -> Script:
    near, far = socket.socketpair()
    one: Any = Reader(reactor)
    must(one.Attach(near))
    alive = ref(one)
    del one
    with warned() as messages:
        yield turns()
        assert not gone(alive)
        far.close()
        yield lambda: gone(alive)
        assert len(messages) == 1


@played
def test_a_refused_connection_too(reactor: Any) -> Script:
    holder = listening(reactor)
    port = must(holder.GetSockName())[1]
    holder.Close()
    one: Any = Reader(reactor)
    must(one.Create())
    one.Connect("127.0.0.1", port)
    alive = ref(one)
    del one
    with warned() as messages:
        yield lambda: gone(alive)
        assert len(messages) == 1


class Sending(Reader):
    """What goes on sending after its peer has ended its stream."""

    told: list[str]

    def OnSend(self, nErrorCode: int) -> None:
        self.told.append("OnSend")

    def OnClose(self, nErrorCode: int) -> None:
        self.told.append("OnClose")


@played
def test_what_waits_to_send_is_kept_alive_after_the_end_of_its_peers_stream(reactor: Any) -> Script:
    with warned() as messages:
        alive, handle, peer = unheld(reactor, Sending)
        one: Any = alive()
        told = one.told = []
        yield lambda: told == ["OnSend"]
        total = fill(one)
        del one
        with peer:
            peer.settimeout(LIMIT)
            peer.shutdown(socket.SHUT_WR)
            yield lambda: told == ["OnSend", "OnClose"]
            assert not gone(alive)
            while total:
                total -= len(peer.recv(1 << 20))
            # It was told that there is room, and has done nothing.
            yield lambda: told == ["OnSend", "OnClose", "OnSend"]
            yield lambda: gone(alive)
            assert len(messages) == 1
            assert peer.recv(1) == b""


@played
def test_who_holds_it_hears_of_a_reset_that_comes_before_the_data_was_received(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    peer.sendall(b"data")
    peer.shutdown(socket.SHUT_WR)
    yield lambda: "OnReceive" in child.names()
    yield turns()
    assert "OnClose" not in child.names()
    gc.collect()
    reset(peer)
    yield lambda: "OnClose" in child.names()
    child.Close()


@played
def test_who_holds_it_hears_all_that_it_asks_for_again(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    with peer:
        peer.shutdown(socket.SHUT_WR)
        yield lambda: child.names() == ["OnSend", "OnClose"]
        assert list(openOf(child)) == [child]
        must(child.AsyncSelect())
        yield lambda: child.names() == ["OnSend", "OnClose", "OnSend", "OnClose"]
        must(child.AsyncSelect(0))
        must(child.AsyncSelect(FD_CLOSE))
        yield lambda: child.names()[4:] == ["OnClose"]
        assert child.Send(b"answer") == 6
        assert peer.recv(9) == b"answer"
        child.Close()


def openOf(one: CAsyncSocket) -> Iterator[Any]:
    window: Any = one._as_window
    return (found for found in window.handles if found is one)


@pytest.mark.parametrize("make", CLASSES)
def test_in_memory_too(make: Callable[[Any], CAsyncSocket]) -> None:
    network = MemoryNetwork()
    with warned() as messages:
        near: Any = make(network)
        far = Recorder(network)
        network.pair(near, far)
        network.settle()
        alive = ref(near)
        del near
        assert not gone(alive)
        must(far.Send(b"data"))
        far.Close()
        network.settle()
        assert gone(alive)
        assert len(messages) == 1
        assert repr(network) == "<MemoryNetwork at 0 s, 0 sockets>"


@pytest.mark.parametrize("make", CLASSES)
def test_over_a_transport_too(make: Callable[[Any], CAsyncSocket]) -> None:
    clock = Clock()
    with warned() as messages:
        one: Any = make(None)
        protocol: Any = SocketProtocol(one, reactor=clock)
        protocol.makeConnection(StringTransport())
        clock.advance(0)
        alive = ref(one)
        del one
        assert not gone(alive)
        protocol.dataReceived(b"data")
        protocol.connectionLost(Failure(ConnectionDone()))
        clock.advance(0)
        clock.advance(0)
        assert gone(alive)
        assert len(messages) == 1
