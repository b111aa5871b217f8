"""
What handlers do to their own socket and to others, on every reactor: close, create anew, raise.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest
from _play import Mistake, Script, played, turns
from _reactors import Recorder, must
from _streams import accepted, beginConnect, listening, peerOf, portOf, told
from twisted.logger import capturedLogs

from twisted_casync import WSAError

HANDLERS = ["OnAccept", "OnConnect", "OnReceive", "OnSend", "OnOutOfBandData", "OnClose"]
ABORTED = ("OnClose", WSAError.WSAECONNABORTED)

everyHandler = pytest.mark.parametrize("name", HANDLERS)


def arranged(reactor: Any, name: str, then: Callable[[Recorder], Any]) -> tuple[Recorder, Recorder | socket.socket]:
    """
    @param name: a handler.
    @param then: what it does, when it is called.
    @return: a socket of which that handler is due, together with all others that can be due at the same moment; and
        its peer.
    """
    if name == "OnAccept":
        listener = listening(reactor, OnAccept=then)
        return listener, peerOf(listener)
    if name == "OnConnect":
        client, listener = Recorder(reactor, OnConnect=then), listening(reactor)
        must(client.Create())
        beginConnect(client, portOf(listener))
        return client, listener
    child, peer = accepted(reactor)
    child.handlers[name] = then
    peer.sendall(b"data")
    peer.send(b"!", socket.MSG_OOB)
    if name == "OnClose":
        child.handlers["OnReceive"] = Recorder.readAll
        peer.close()
    return child, peer


@everyHandler
@played
def test_nothing_is_told_after_a_handler_has_closed_its_socket(reactor: Any, name: str) -> Script:
    subject, peer = arranged(reactor, name, Recorder.Close)
    yield lambda: name in subject.names()
    yield turns()
    assert subject.names().count(name) == 1
    assert subject.names()[-1] == name
    assert subject.m_hSocket == -1
    if isinstance(peer, socket.socket):
        peer.close()


@everyHandler
@played
def test_nothing_is_told_after_a_handler_has_selected_nothing(reactor: Any, name: str) -> Script:
    subject, peer = arranged(reactor, name, lambda self: must(self.AsyncSelect(0)))
    yield lambda: name in subject.names()
    yield turns()
    assert subject.names().count(name) == 1
    assert subject.names()[-1] == name
    assert subject.m_hSocket != -1
    if isinstance(peer, socket.socket):
        peer.close()


def replace(former: Recorder, heir: Recorder, by: socket.socket) -> None:
    """Close C{former}, and give its number to C{heir} as that of another socket."""
    number = former.m_hSocket
    former.Close()
    os.dup2(by.fileno(), number)
    by.close()
    must(heir.Attach(number))


@pytest.mark.parametrize("number", ["another-number", "the-same-number"])
@everyHandler
@played
def test_a_handler_can_create_its_socket_anew(reactor: Any, name: str, number: str) -> Script:
    """The new socket is told nothing that was due of the old one, also if it has the number of that."""
    goal = listening(reactor)
    begun: list[bool] = []

    def anew(subject: Recorder) -> None:
        if begun:
            return
        if number == "the-same-number":
            replace(subject, subject, socket.socket())
        else:
            subject.Close()
            must(subject.Create())
        beginConnect(subject, portOf(goal))
        begun.append(True)

    subject, peer = arranged(reactor, name, anew)
    yield lambda: bool(begun) and subject.names()[-1] == "OnSend"
    yield turns()
    assert subject.told[-3:] == told(name, "OnConnect", "OnSend")
    if isinstance(peer, socket.socket):
        peer.close()


@pytest.mark.parametrize("name", [name for name in HANDLERS if name != "OnAccept"])
@played
def test_a_handler_that_raises_aborts_its_socket_and_no_other(reactor: Any, name: str) -> Script:
    def fail(subject: Recorder) -> None:
        raise Mistake

    other, otherPeer = accepted(reactor, OnReceive=Recorder.readAll)
    subject, peer = arranged(reactor, name, fail)
    with capturedLogs() as events:
        yield lambda: name in subject.names()
        yield turns()
    assert subject.m_hSocket == -1
    assert subject.names().count(name) == 1
    # OnClose is the last word, also of a handler that has failed at it.
    assert subject.told[-1] == (("OnClose", 0) if name == "OnClose" else ABORTED)
    assert subject.names().count("OnClose") == 1
    failures = [event for event in events if "log_failure" in event]
    assert [type(event["log_failure"].value) for event in failures] == [Mistake]
    assert failures[0]["handler"] == name
    assert failures[0]["socket"] is subject
    if isinstance(peer, socket.socket):
        if name != "OnClose":
            with pytest.raises(ConnectionResetError):
                peer.recv(1)
        peer.close()
    with otherPeer:
        otherPeer.sendall(b"as ever")
        yield lambda: other.received == b"as ever"
        must(other.Send(b"as well"))
        assert otherPeer.recv(100) == b"as well"
        assert "OnClose" not in other.names()


@played
def test_a_handler_that_raises_at_the_second_message_aborts_its_socket(reactor: Any) -> Script:
    def fail(child: Recorder) -> None:
        child.readAll()
        if child.received == b"onetwo":
            raise Mistake

    child, peer = accepted(reactor, OnReceive=fail)
    with peer:
        yield lambda: child.told == told("OnSend")
        peer.sendall(b"one")
        yield lambda: child.received == b"one"
        peer.sendall(b"two")
        yield lambda: child.m_hSocket == -1
        yield turns()
        assert child.told == [*told("OnSend", "OnReceive", "OnReceive"), ABORTED]
        with pytest.raises(ConnectionResetError):
            peer.recv(1)


@played
def test_a_handler_that_fails_to_bury_its_socket_is_logged_too(reactor: Any) -> Script:
    def fail(subject: Recorder) -> None:
        raise Mistake

    child, peer = accepted(reactor, OnSend=fail, OnClose=fail)
    with capturedLogs() as events, peer:
        yield lambda: ABORTED in child.told
        yield turns()
    assert child.told == [("OnSend", 0), ABORTED]
    assert [event["handler"] for event in events if "log_failure" in event] == ["OnSend", "OnClose"]


@played
def test_a_handler_that_raises_after_it_closed_its_socket_is_logged_and_told(reactor: Any) -> Script:
    def fail(subject: Recorder) -> None:
        subject.Close()
        raise Mistake

    child, peer = accepted(reactor, OnSend=fail)
    with capturedLogs() as events, peer:
        yield lambda: len(child.told) >= 2
        yield turns()
    assert child.told == [("OnSend", 0), ABORTED]
    assert [event["handler"] for event in events if "log_failure" in event] == ["OnSend"]


@played
def test_of_two_sockets_that_close_each_other_one_is_told(reactor: Any) -> Script:
    pair: list[Recorder] = []

    def both(_: Recorder) -> None:
        for child in pair:
            child.Close()

    one, peer = accepted(reactor, OnReceive=both)
    other, otherPeer = accepted(reactor, OnReceive=both)
    pair += one, other
    with peer, otherPeer:
        yield lambda: one.told != [] and other.told != []
        peer.sendall(b"x")
        otherPeer.sendall(b"x")
        yield lambda: one.m_hSocket == -1
        yield turns()
        assert sorted([one.told, other.told], key=len) == [told("OnSend"), told("OnSend", "OnReceive")]


@played
def test_two_ends_of_a_connection_that_close_each_other_in_OnClose(reactor: Any) -> Script:
    ends: list[Recorder] = []

    def both(_: Recorder) -> None:
        for end in ends:
            end.Close()

    here, there = Recorder(reactor, OnClose=both), Recorder(reactor, OnClose=both)
    listener = listening(reactor, OnAccept=lambda self: must(self.Accept(there)))
    must(here.Create())
    ends += here, there
    beginConnect(here, portOf(listener))
    yield lambda: here.told == told("OnConnect", "OnSend") and there.told == told("OnSend")
    must(here.ShutDown())
    must(there.ShutDown())
    yield lambda: here.m_hSocket == there.m_hSocket == -1
    yield turns()
    assert [*here.told, *there.told].count(("OnClose", 0)) == 1


@played
def test_a_number_that_is_used_again_is_not_told_what_was_due_of_its_former_socket(reactor: Any) -> Script:
    """Of two sockets with data in the same turn the first that is told replaces the other by one without data."""
    pair: list[Recorder] = []
    heir = Recorder(reactor)
    here, there = socket.socketpair()

    def other(first: Recorder) -> None:
        if heir.m_hSocket == -1:
            replace(pair[1 - pair.index(first)], heir, here)

    peers = []
    for _ in range(2):
        child, peer = accepted(reactor, OnReceive=other)
        pair.append(child)
        peers.append(peer)
    yield lambda: all(child.told != [] for child in pair)
    for peer in peers:
        peer.sendall(b"x")
    yield lambda: heir.m_hSocket != -1
    yield turns()
    assert heir.told == told("OnSend")
    with there:
        there.sendall(b"mine")
        yield lambda: heir.told == told("OnSend", "OnReceive")
    heir.readAll()
    assert heir.received == b"mine"
    for peer in peers:
        peer.close()


@played
def test_a_number_that_is_used_again_is_not_told_what_was_posted_to_its_former_socket(reactor: Any) -> Script:
    """An accepted socket is due OnSend in the next turn; until then it is closed, and its number another's."""
    former, peer = accepted(reactor)
    heir = Recorder(reactor)
    replace(former, heir, socket.socket())
    with peer:
        yield turns()
        assert former.told == heir.told == []


@played
def test_what_was_posted_to_an_objects_former_socket_is_not_told_of_its_next(reactor: Any) -> Script:
    here, there = socket.socketpair()
    here.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while here.send(bytes(1000)):
            pass
    child, peer = accepted(reactor)
    # It was due OnSend, and what it has now can't send.
    replace(child, child, here)
    with peer, there:
        yield turns()
        assert child.told == []


@played
def test_the_last_socket_can_be_closed_before_the_kernel_is_asked(reactor: Any) -> Script:
    """It is due OnSend from Accept when the reactor comes for its data."""
    yield turns()
    child, peer = accepted(reactor, OnSend=Recorder.Close)
    with peer:
        peer.sendall(b"x")
        yield lambda: child.told != []
        yield turns()
        assert child.told == told("OnSend")


@played
def test_an_accepted_socket_can_be_closed_at_once(reactor: Any) -> Script:
    def refuse(listener: Recorder) -> None:
        with Recorder(reactor) as child:
            must(listener.Accept(child))

    listener = listening(reactor, OnAccept=refuse)
    for _ in range(3):
        with peerOf(listener) as peer:
            count = len(listener.told)
            yield lambda count=count: len(listener.told) > count  # type: ignore[misc]  # the default is a binding
            assert peer.recv(1) == b""
