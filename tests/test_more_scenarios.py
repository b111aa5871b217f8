"""
Whole courses of events that the scenario language can't say: a handle goes from one reactor to another, UNIX sockets,
and host names.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from _play import Script, play, played, turns
from _reactors import WAYS, Recorder, must, reactorOf
from _streams import LOCALHOST, accepted, listening, peerOf, portOf, told

from twisted_casync import (
    AF_UNIX,
    FD_CLOSE,
    FD_READ,
    INVALID_SOCKET,
    MSG_OOB,
    PF_UNIX,
    SOCK_STREAM,
    CAsyncSocket,
    GetLastError,
    WSAError,
)
from twisted_casync.testing._resolver import KnownHosts

# -- from one reactor to another

PAIRS = list(zip(WAYS, WAYS[3:] + WAYS[:3], strict=True))
acrossReactors = pytest.mark.parametrize("former, latter", PAIRS, ids=["-to-".join(pair) for pair in PAIRS])


@acrossReactors
def test_what_is_due_goes_with_the_handle_to_another_reactor(former: str, latter: str) -> None:
    """Data, an urgent byte and the end are due on a reactor that has stopped to run; none of them is lost."""
    handles: list[int] = []

    def before(reactor: Any) -> Script:
        child, peer = accepted(reactor)
        yield lambda: child.told == told("OnSend")
        peer.sendall(b"data")
        peer.send(b"!", socket.MSG_OOB)
        peer.close()
        yield lambda: "OnReceive" in child.names()
        handles.append(child.Detach())

    with reactorOf(former) as reactor:
        play(reactor, before(reactor))
    assert handles[0] != INVALID_SOCKET
    urgent = bytearray(1)

    def after(reactor: Any) -> Script:
        heir = Recorder(reactor, OnReceive=lambda self: must(self.Receive(bytearray(4))))
        heir.handlers["OnOutOfBandData"] = lambda self: must(self.Receive(urgent, 1, MSG_OOB))
        must(heir.Attach(handles[0]))
        yield lambda: "OnClose" in heir.names()
        assert heir.told == told("OnReceive", "OnOutOfBandData", "OnSend", "OnClose")
        assert urgent == b"!"

    with reactorOf(latter) as reactor:
        play(reactor, after(reactor))


@acrossReactors
def test_clients_that_wait_go_with_the_listener_to_another_reactor(former: str, latter: str) -> None:
    handles: list[int] = []
    peers: list[socket.socket] = []

    def before(reactor: Any) -> Script:
        listener = listening(reactor)
        peers.extend(peerOf(listener) for _ in range(2))
        yield lambda: listener.told == told("OnAccept")
        handles.append(listener.Detach())

    with reactorOf(former) as reactor:
        play(reactor, before(reactor))

    def after(reactor: Any) -> Script:
        children = [Recorder(reactor), Recorder(reactor)]
        left = iter(children)
        heir = Recorder(reactor, OnAccept=lambda self: must(self.Accept(next(left))))
        must(heir.Attach(handles[0]))
        yield lambda: all(child.told == told("OnSend") for child in children)
        assert heir.told == told("OnAccept", "OnAccept")
        assert [child.GetPeerName() for child in children] == [peer.getsockname() for peer in peers]
        for child in children:
            child.Close()

    with reactorOf(latter) as reactor:
        play(reactor, after(reactor))
    for peer in peers:
        assert peer.recv(1) == b""
        peer.close()


@acrossReactors
def test_a_handler_hands_its_socket_to_a_reactor_that_does_not_run_yet(former: str, latter: str) -> None:
    """Both reactors are this thread's; the former one tells nothing more of the handle."""
    with reactorOf(former) as first, reactorOf(latter) as second:
        heir = Recorder(second, OnReceive=Recorder.readAll)

        def hand(self: Recorder) -> None:
            handle = self.Detach()
            must(heir.Attach(handle))

        child, peer = accepted(first, OnReceive=hand)

        def before() -> Script:
            peer.sendall(b"one ")
            yield lambda: child.m_hSocket == INVALID_SOCKET
            peer.sendall(b"two")
            yield turns()
            assert child.names()[-1] == "OnReceive"
            assert heir.told == []

        def after() -> Script:
            yield lambda: heir.received == b"one two"
            yield turns()
            assert sorted(heir.told) == told("OnReceive", "OnSend")
            must(heir.Send(b"thanks"))

        play(first, before())
        play(second, after())
        assert peer.recv(100) == b"thanks"
        peer.close()


# -- UNIX sockets

UNIX_HANDLERS = ["OnAccept", "OnConnect", "OnReceive", "OnSend", "OnClose"]
everyHandler = pytest.mark.parametrize("name", UNIX_HANDLERS)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """
    The path of a socket, short enough for one.
    """
    monkeypatch.chdir(tmp_path)
    return "door"


def unixListener(reactor: Any, path: str, **handlers: Callable[..., Any]) -> Recorder:
    listener = Recorder(reactor, **handlers)
    must(listener.CreateEx((AF_UNIX, SOCK_STREAM, 0, "", path)))
    must(listener.Listen())
    return listener


def unixConnect(client: Recorder, path: str) -> None:
    must(client.Socket(nAddressFormat=PF_UNIX))
    assert client.Connect(path) or GetLastError() == WSAError.WSAEWOULDBLOCK


def unixPair(reactor: Any, path: str, **handlers: Callable[..., Any]) -> tuple[Recorder, Recorder]:
    """
    @param handlers: of the second one.
    @return: the two ends of a connection; its listener is closed.
    """
    listener, client, child = unixListener(reactor, path), Recorder(reactor), Recorder(reactor, **handlers)
    unixConnect(client, path)
    must(listener.Accept(child))
    listener.Close()
    return client, child


def unixArranged(
    reactor: Any, path: str, name: str, then: Callable[[Recorder], Any]
) -> Generator[Callable[[], bool], None, Recorder]:
    """
    @return: a socket of which a handler is due, which does C{then}.
    """
    if name == "OnAccept":
        listener = unixListener(reactor, path, OnAccept=then)
        unixConnect(Recorder(reactor), path)
        return listener
    if name == "OnConnect":
        unixListener(reactor, path)
        client = Recorder(reactor, OnConnect=then)
        unixConnect(client, path)
        return client
    client, child = unixPair(reactor, path, **{name: then})
    if name != "OnSend":
        yield lambda: child.told == told("OnSend")
    if name == "OnReceive":
        client.Send(b"data")
    elif name == "OnClose":
        client.Close()
    return child


@everyHandler
@played
def test_nothing_is_told_after_a_unix_socket_was_closed_in_its_handler(reactor: Any, path: str, name: str) -> Script:
    subject = yield from unixArranged(reactor, path, name, Recorder.Close)
    yield lambda: name in subject.names()
    yield turns()
    assert subject.names()[-1] == name
    assert subject.names().count(name) == 1


@everyHandler
@played
def test_a_handler_of_a_unix_socket_can_create_it_anew(reactor: Any, path: str, name: str) -> Script:
    goal = unixListener(reactor, "goal")
    begun: list[bool] = []

    def anew(self: Recorder) -> None:
        if not begun:
            begun.append(True)
            self.Close()
            unixConnect(self, "goal")

    subject = yield from unixArranged(reactor, path, name, anew)
    yield lambda: bool(begun) and subject.names()[-1] == "OnSend"
    yield turns()
    assert subject.told[-3:] == told(name, "OnConnect", "OnSend")
    assert goal.told == told("OnAccept")


@everyHandler
@played
def test_AsyncSelect_in_a_handler_of_a_unix_socket_tells_what_holds(reactor: Any, path: str, name: str) -> Script:
    def again(self: Recorder) -> None:
        if self.names().count(name) == 1:
            must(self.AsyncSelect())

    expected = {
        "OnAccept": ("OnAccept", "OnAccept"),
        "OnConnect": ("OnConnect", "OnSend"),
        "OnReceive": ("OnReceive", "OnReceive", "OnSend"),
        "OnSend": ("OnSend", "OnSend"),
        # The other end is closed, and not only its direction: nothing can be sent.
        "OnClose": ("OnClose", "OnClose"),
    }
    subject = yield from unixArranged(reactor, path, name, again)
    yield lambda: name in subject.names()
    yield turns()
    assert subject.told[subject.names().index(name) :] == told(*expected[name])


@played
def test_a_unix_stream_ends_after_its_data_and_can_be_answered(reactor: Any, path: str) -> Script:
    client, child = unixPair(reactor, path, OnClose=lambda self: must(self.Send(b"answer")))
    yield lambda: child.told == told("OnSend")
    client.handlers["OnReceive"] = Recorder.readAll
    must(client.Send(b"question"))
    must(client.ShutDown())
    yield turns()
    assert child.told == told("OnSend", "OnReceive")
    assert child.Receive(bytearray(5)) == 5
    yield turns()
    assert child.told == told("OnSend", "OnReceive", "OnReceive")
    assert child.Receive(bytearray(5)) == 3
    yield lambda: client.received == b"answer"
    assert child.told[-1] == ("OnClose", 0)
    child.Close()
    yield lambda: client.told[-1] == ("OnClose", 0)


@played
def test_a_unix_socket_with_the_number_of_another_is_not_told_what_was_due_to_that(reactor: Any, path: str) -> Script:
    client, child = unixPair(reactor, path)
    must(client.Send(b"due"))
    number = child.m_hSocket
    here, there = socket.socketpair()
    child.Close()
    os.dup2(here.fileno(), number)
    here.close()
    heir = Recorder(reactor)
    must(heir.Attach(number))
    with there:
        yield turns()
        assert child.told == []
        assert heir.told == told("OnSend")
        assert client.told[-1] == ("OnClose", WSAError.WSAECONNRESET)
        there.sendall(b"mine")
        yield lambda: heir.told == told("OnSend", "OnReceive")


# -- host names

HOSTS = {"server.example": [LOCALHOST]}


def lookingUp(reactor: Any, name: str, port: int, **handlers: Callable[..., Any]) -> Recorder:
    reactor.installNameResolver(KnownHosts(reactor, HOSTS))
    client = Recorder(reactor, **handlers)
    must(client.Create())
    beginByName(client, name, port)
    return client


def beginByName(client: CAsyncSocket, name: str, port: int) -> None:
    assert client.Connect(name, port) is False
    assert GetLastError() == WSAError.WSAEWOULDBLOCK


@played
def test_OnConnect_of_a_name_that_is_not_found_can_try_another(reactor: Any) -> Script:
    port = portOf(listening(reactor))

    def other(self: Recorder) -> None:
        if len(self.told) == 1:
            beginByName(self, "server.example", port)

    client = lookingUp(reactor, "nowhere.example", port, OnConnect=other)
    yield lambda: len(client.told) == 3
    yield turns()
    assert client.told == [("OnConnect", WSAError.WSAHOST_NOT_FOUND), *told("OnConnect", "OnSend")]


@played
def test_what_is_selected_while_a_name_is_looked_up_is_told_of_the_connection(reactor: Any) -> Script:
    listener = listening(reactor, OnAccept=lambda self: must(self.Accept(child)))
    child = Recorder(reactor)
    client = lookingUp(reactor, "server.example", portOf(listener))
    must(client.AsyncSelect(0))
    yield lambda: child.told == told("OnSend")
    must(child.Send(b"x"))
    child.Close()
    yield turns()
    assert client.told == []
    must(client.AsyncSelect(FD_READ | FD_CLOSE))
    yield lambda: client.told == told("OnReceive")
    assert client.readAll() == 0
    yield lambda: client.told == told("OnReceive", "OnClose")


@played
def test_a_handle_that_is_detached_while_its_name_is_looked_up_is_not_connected(reactor: Any) -> Script:
    listener = listening(reactor)
    client, heir = lookingUp(reactor, "server.example", portOf(listener)), Recorder(reactor)
    must(heir.Attach(client.Detach()))
    yield turns()
    assert client.told == heir.told == listener.told == []
    beginByName(heir, "server.example", portOf(listener))
    yield lambda: heir.told == told("OnConnect", "OnSend")


@played
def test_a_socket_that_another_closes_while_its_name_is_looked_up_is_not_told(reactor: Any) -> Script:
    port = portOf(listening(reactor))
    pair: list[Recorder] = []

    def both(_: Recorder) -> None:
        for client in pair:
            client.Close()

    # Both answers come in the same turn.
    pair += [lookingUp(reactor, "nowhere.example", port, OnConnect=both) for _ in range(2)]
    yield lambda: any(client.told for client in pair)
    yield turns()
    assert sorted(client.told for client in pair) == [[], [("OnConnect", WSAError.WSAHOST_NOT_FOUND)]]
