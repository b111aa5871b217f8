"""
Connections that wait for a listener: they are offered one after the other, as many as there are, and no more.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
from _faults import failing, script
from _play import Script, played, turns
from _reactors import Recorder, must
from _streams import LOCALHOST, listening, peerOf, portOf, reset, told

from twisted_casync import CAsyncSocket, GetLastError, WSAError


def connect(listener: CAsyncSocket, count: int) -> list[socket.socket]:
    peers = [peerOf(listener)]
    return peers + [socket.create_connection((LOCALHOST, portOf(listener))) for _ in range(count - 1)]


class Taking:
    """
    Accepts so many connections in each OnAccept, and keeps them.
    """

    def __init__(self, reactor: Any, each: int = 1) -> None:
        self.reactor, self.each = reactor, each
        self.taken: list[Recorder] = []
        self.errors: list[WSAError] = []

    def __call__(self, listener: Recorder) -> None:
        for _ in range(self.each):
            child = Recorder(self.reactor)
            if listener.Accept(child):
                self.taken.append(child)
            else:
                self.errors.append(GetLastError())


@played
def test_each_connection_that_waits_is_offered_once(reactor: Any) -> Script:
    taking = Taking(reactor)
    listener = listening(reactor, OnAccept=taking)
    peers = connect(listener, 5)
    yield lambda: len(taking.taken) == 5
    yield turns()
    assert listener.told == told("OnAccept") * 5
    assert taking.errors == []
    for peer in peers:
        peer.close()


@pytest.mark.parametrize("each", [2, 3, 7])
@played
def test_what_a_handler_has_accepted_beside_is_not_offered(reactor: Any, each: int) -> Script:
    """The calls beyond the last connection would block, and that is all: no OnAccept comes for nothing."""
    taking = Taking(reactor, each)
    listener = listening(reactor, OnAccept=taking)
    peers = connect(listener, 6)
    yield lambda: len(taking.taken) == 6
    yield turns()
    assert listener.told == told("OnAccept") * -(-6 // each)
    assert taking.errors == [WSAError.WSAEWOULDBLOCK] * (-6 % each)
    for peer in peers:
        peer.close()


@played
def test_all_are_offered_where_the_kernel_does_not_say_how_many_wait(reactor: Any) -> Script:
    taking = Taking(reactor)
    listener = listening(reactor, OnAccept=taking)
    script(listener, lambda name: failing(errno.ENOPROTOOPT) if name == "getsockopt" else None)
    peers = connect(listener, 5)
    yield lambda: len(taking.taken) == 5
    yield turns()
    assert listener.told == told("OnAccept") * 5
    for peer in peers:
        peer.close()


@played
def test_who_selects_anew_in_OnAccept_is_offered_the_next_all_the_same(reactor: Any) -> Script:
    def take(listener: Recorder) -> None:
        taking(listener)
        must(listener.AsyncSelect())

    taking = Taking(reactor)
    listener = listening(reactor, OnAccept=take)
    peers = connect(listener, 4)
    yield lambda: len(taking.taken) == 4
    yield turns()
    assert listener.told == told("OnAccept") * 4
    for peer in peers:
        peer.close()


@played
def test_a_duplicate_of_an_accepted_socket_is_a_socket_of_its_own(reactor: Any) -> Script:
    taking = Taking(reactor)
    listener = listening(reactor, OnAccept=taking)
    (peer,) = connect(listener, 1)
    yield lambda: bool(taking.taken)
    (child,) = taking.taken
    copy = Recorder(reactor)
    must(copy.Assign(child))
    child.Close()
    yield turns()
    peer.sendall(b"data")
    yield lambda: "OnReceive" in copy.names()
    assert copy.readAll() == -1
    assert copy.received == b"data"
    peer.close()
    yield lambda: copy.told[-1] == ("OnClose", 0)


@played
def test_OnClose_tells_of_a_reset_that_came_while_another_handler_of_the_socket_ran(reactor: Any) -> Script:
    def receive(child: Recorder) -> None:
        child.readAll()
        if not child.received.endswith(b"."):
            return
        reset(peer)

    taking = Taking(reactor)
    listener = listening(reactor, OnAccept=taking)
    (peer,) = connect(listener, 1)
    yield lambda: bool(taking.taken)
    (child,) = taking.taken
    child.handlers["OnReceive"] = receive
    yield turns()
    peer.sendall(b"data.")
    peer.shutdown(socket.SHUT_WR)
    yield lambda: "OnClose" in child.names()
    # Linux calls it a broken pipe, for the stream of the peer had ended.
    assert child.told[-1] == ("OnClose", WSAError.WSAECONNABORTED)
