"""
One fault at a time under the gate: what the member says, what is announced again, and what is told of what is fatal.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest
from _faults import after, dying, failing, inTurn, noBuffers, script, short
from _play import Script as Play
from _play import played, turns
from _reactors import Recorder, must
from _streams import LOCALHOST, beginConnect, listening, peerOf, portOf, reset, told

from twisted_casync import SOCK_DGRAM, GetLastError, WSAError

# -- what is not fatal

ONLY_NOW = {
    errno.EAGAIN: WSAError.WSAEWOULDBLOCK,
    errno.EINTR: WSAError.WSAEWOULDBLOCK,
    errno.ENOBUFS: WSAError.WSAENOBUFS,
    errno.ENOMEM: WSAError.WSAENOBUFS,
}


class Tries(Recorder):
    """
    @ivar results: what each of its calls returned, or with which error it failed.
    """

    def __init__(self, reactor: Any = None, **handlers: Callable[..., Any]) -> None:
        super().__init__(reactor, **handlers)
        self.results: list[Any] = []

    def result(self, result: int) -> None:
        self.results.append(GetLastError() if result == -1 else result)

    def tryReceive(self) -> None:
        buffer = bytearray(100)
        self.result(self.Receive(buffer))

    def tryReceiveFrom(self) -> None:
        buffer = bytearray(100)
        self.result(self.ReceiveFrom(buffer)[0])

    def trySend(self) -> None:
        self.result(self.Send(b"data"))


def connected(reactor: Any, **handlers: Callable[..., Any]) -> tuple[Tries, socket.socket]:
    """
    @return: an accepted socket, which is due OnSend, and the plain one of its peer.
    """
    door = listening(reactor)
    peer = peerOf(door)
    child = Tries(reactor, **handlers)
    must(door.Accept(child))
    door.Close()
    return child, peer


def datagram(reactor: Any, **handlers: Callable[..., Any]) -> tuple[Tries, socket.socket]:
    """
    @return: a datagram socket, and a plain one that is its peer.
    """
    peer = socket.socket(type=socket.SOCK_DGRAM)
    peer.bind((LOCALHOST, 0))
    subject = Tries(reactor, **handlers)
    must(subject.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
    must(subject.Connect(*peer.getsockname()))
    peer.connect(must(subject.GetSockName()))
    return subject, peer


@played
def test_a_Receive_that_fails_for_the_moment_is_announced_again(reactor: Any) -> Play:
    cases = {number: connected(reactor, OnReceive=Tries.tryReceive) for number in ONLY_NOW}
    for number, (child, peer) in cases.items():
        script(child, inTurn({"recv_into": [failing(number), failing(number)]}))
        peer.sendall(b"data")
    yield lambda: all(len(child.results) == 3 for child, _ in cases.values())
    for _, peer in cases.values():
        peer.close()
    # And the connection has taken no harm.
    yield lambda: all("OnClose" in child.names() for child, _ in cases.values())
    for number, (child, _) in cases.items():
        child.tryReceive()
        assert child.results == [ONLY_NOW[number], ONLY_NOW[number], 4, 0]
        assert child.told == told("OnSend", "OnReceive", "OnReceive", "OnReceive", "OnClose")


@played
def test_a_ReceiveFrom_that_fails_for_the_moment_is_announced_again(reactor: Any) -> Play:
    cases = {number: datagram(reactor, OnReceive=Tries.tryReceiveFrom) for number in ONLY_NOW}
    for number, (subject, peer) in cases.items():
        script(subject, inTurn({"recvfrom_into": [failing(number), failing(number)]}))
        peer.send(b"data")
    yield lambda: all(len(subject.results) == 3 for subject, _ in cases.values())
    for number, (subject, peer) in cases.items():
        assert subject.results == [ONLY_NOW[number], ONLY_NOW[number], 4]
        peer.close()


@pytest.mark.parametrize("kind", [connected, datagram])
@played
def test_OnSend_comes_after_a_Send_that_would_have_blocked_and_after_no_other(
    reactor: Any, kind: Callable[..., tuple[Tries, socket.socket]]
) -> Play:
    cases = {number: kind(reactor) for number in ONLY_NOW}
    yield lambda: all(subject.told == told("OnSend") for subject, _ in cases.values())
    for number, (subject, _) in cases.items():
        script(subject, inTurn({"send": [failing(number)]}))
        subject.trySend()
    yield turns()
    for number, (subject, peer) in cases.items():
        blocks = ONLY_NOW[number] is WSAError.WSAEWOULDBLOCK
        assert subject.told == (told("OnSend", "OnSend") if blocks else told("OnSend"))
        subject.trySend()
        assert subject.results == [ONLY_NOW[number], 4]
        assert peer.recv(100) == b"data"
        peer.close()


@played
def test_OnSend_comes_after_a_Send_that_was_short(reactor: Any) -> Play:
    child, peer = connected(reactor)
    with peer:
        yield lambda: child.told == told("OnSend")
        script(child, inTurn({"send": [short(1)]}))
        child.trySend()
        assert child.results == [1]
        yield lambda: child.told == told("OnSend", "OnSend")
        yield turns()
        assert child.told == told("OnSend", "OnSend")


# What accept(2) fails with: about itself, or in the name of a connection that was lost in the queue.
NOT_ACCEPTED = {
    errno.EAGAIN: WSAError.WSAEWOULDBLOCK,
    errno.EINTR: WSAError.WSAEWOULDBLOCK,
    errno.ECONNABORTED: WSAError.WSAECONNABORTED,
    errno.EPROTO: WSAError.WSASYSCALLFAILURE,
    errno.ENETDOWN: WSAError.WSAENETDOWN,
    errno.EHOSTUNREACH: WSAError.WSAEHOSTUNREACH,
    errno.EPERM: WSAError.WSAEACCES,
    errno.EMFILE: WSAError.WSAEMFILE,
    errno.ENFILE: WSAError.WSAEMFILE,
    errno.ENOBUFS: WSAError.WSAENOBUFS,
    errno.ENOMEM: WSAError.WSAENOBUFS,
}


@played
def test_an_Accept_that_fails_is_announced_again(reactor: Any) -> Play:
    def accept(listener: Recorder) -> None:
        child = Recorder(reactor)
        results[listener].append(listener.Accept(child) or GetLastError())
        children.append(child)

    children: list[Recorder] = []
    listeners = {number: listening(reactor, OnAccept=accept) for number in NOT_ACCEPTED}
    results: dict[Recorder, list[Any]] = {listener: [] for listener in listeners.values()}
    peers = []
    for number, listener in listeners.items():
        script(listener, inTurn({"_accept": [failing(number)]}))
        peers.append(peerOf(listener))
        peers[-1].sendall(b"data")
    yield lambda: all(len(those) == 2 for those in results.values())
    for number, listener in listeners.items():
        assert results[listener] == [NOT_ACCEPTED[number], True]
        assert listener.told == told("OnAccept", "OnAccept")
    yield lambda: sum(child.told == told("OnReceive", "OnSend") for child in children) == len(listeners)
    for peer in peers:
        peer.close()


@played
def test_a_Connect_that_is_interrupted_goes_on(reactor: Any) -> Play:
    """As connect(2) says; a second call would fail."""

    def interruptedMeanwhile(name: str, call: Callable[..., int], arguments: tuple[Any, ...]) -> int:
        call(*arguments)
        return errno.EINTR

    listener = listening(reactor)
    client = Recorder(reactor)
    must(client.Create())
    script(client, inTurn({"connect_ex": [interruptedMeanwhile]}))
    beginConnect(client, portOf(listener))
    yield lambda: client.told == told("OnConnect", "OnSend")


@played
def test_a_Connect_that_fails_at_once_can_be_repeated(reactor: Any) -> Play:
    listener = listening(reactor)
    client = Recorder(reactor)
    must(client.Create())
    script(client, inTurn({"connect_ex": [failing(errno.ENETUNREACH), noBuffers]}))
    for code in WSAError.WSAENETUNREACH, WSAError.WSAENOBUFS:
        assert client.Connect(LOCALHOST, portOf(listener)) is False
        assert GetLastError() == code
    yield turns()
    assert client.told == []
    beginConnect(client, portOf(listener))
    yield lambda: client.told == told("OnConnect", "OnSend")


# -- what a call may not do, of which the connection takes no harm

OF_THE_CALL = {
    errno.EOPNOTSUPP: WSAError.WSAEOPNOTSUPP,
    errno.EINVAL: WSAError.WSAEINVAL,
    errno.EFAULT: WSAError.WSAEFAULT,
    errno.EPERM: WSAError.WSAEACCES,
    errno.EMSGSIZE: WSAError.WSAEMSGSIZE,
}


@played
def test_what_is_wrong_with_a_call_is_not_remembered_of_its_connection(reactor: Any) -> Play:
    cases = {number: connected(reactor) for number in OF_THE_CALL}
    for number, (child, peer) in cases.items():
        script(child, inTurn({"send": [failing(number)], "recv_into": [failing(number)]}))
        child.trySend()
        child.trySend()
        child.tryReceive()
        peer.sendall(b"data")
    yield lambda: all("OnReceive" in child.names() for child, _ in cases.values())
    for child, peer in cases.values():
        child.tryReceive()
        peer.shutdown(socket.SHUT_WR)
    yield lambda: all("OnClose" in child.names() for child, _ in cases.values())
    for number, (child, peer) in cases.items():
        child.tryReceive()
        assert child.results == [OF_THE_CALL[number], 4, OF_THE_CALL[number], 4, 0]
        assert child.told[-1] == ("OnClose", 0)
        peer.close()


# -- what is fatal

RESET = WSAError.WSAECONNRESET
ABORTED = WSAError.WSAECONNABORTED

FATAL = {
    errno.ECONNRESET: RESET,
    errno.ETIMEDOUT: ABORTED,
    errno.EHOSTUNREACH: ABORTED,
    errno.ENETUNREACH: ABORTED,
    errno.ENETRESET: ABORTED,
    errno.EIO: ABORTED,
    errno.ENETDOWN: WSAError.WSAENETDOWN,
}


@played
def test_a_Receive_that_finds_the_connection_lost_says_why_and_so_does_OnClose(reactor: Any) -> Play:
    def twice(child: Tries) -> None:
        child.tryReceive()
        child.tryReceive()

    cases = {number: connected(reactor, OnReceive=twice) for number in FATAL}
    for number, (child, peer) in cases.items():
        script(child, inTurn({"recv_into": [None, dying(peer, number)]}))
        peer.sendall(b"data")
    yield lambda: all("OnClose" in child.names() for child, _ in cases.values())
    yield turns()
    for number, (child, _) in cases.items():
        code = FATAL[number]
        assert child.told == [("OnSend", 0), ("OnReceive", 0), ("OnClose", code)]
        child.tryReceive()
        assert child.results == [4, code, code]


@played
def test_a_Send_that_finds_the_connection_lost_says_why_and_so_does_OnClose(reactor: Any) -> Play:
    cases = {number: connected(reactor, OnSend=Tries.trySend) for number in FATAL}
    for number, (child, peer) in cases.items():
        script(child, inTurn({"send": [dying(peer, number)]}))
    yield lambda: all("OnClose" in child.names() for child, _ in cases.values())
    yield turns()
    for number, (child, _) in cases.items():
        code = FATAL[number]
        assert child.told == [("OnSend", 0), ("OnClose", code)]
        child.tryReceive()
        # This one the reference has for Send alone.
        assert child.results == [WSAError.WSAENETRESET if number == errno.ENETRESET else code, code]


@played
def test_a_reset_between_the_readiness_and_Receive_leaves_what_came_before_it(reactor: Any) -> Play:
    child, peer = connected(reactor, OnReceive=Tries.tryReceive)
    script(child, inTurn({"recv_into": [after(lambda: reset(peer))]}))
    peer.sendall(b"data")
    yield lambda: "OnClose" in child.names()
    yield turns()
    assert child.told == [("OnSend", 0), ("OnReceive", 0), ("OnClose", RESET)]
    child.tryReceive()
    child.trySend()
    assert child.results == [4, RESET, RESET]


@played
def test_a_reset_between_the_readiness_and_Send(reactor: Any) -> Play:
    child, peer = connected(reactor, OnSend=Tries.trySend)
    script(child, inTurn({"send": [after(lambda: reset(peer))]}))
    yield lambda: "OnClose" in child.names()
    yield turns()
    assert child.told == [("OnSend", 0), ("OnClose", RESET)]
    child.trySend()
    child.tryReceive()
    assert child.results == [RESET, RESET, RESET]


@played
def test_a_reset_between_the_readiness_and_Accept(reactor: Any) -> Play:
    """Linux hands the dead connection over; the socket hears at once what it is."""
    child = Recorder(reactor)
    listener = listening(reactor, OnAccept=lambda self: must(self.Accept(child)))
    peer = peerOf(listener)
    script(listener, inTurn({"_accept": [after(lambda: reset(peer))]}))
    yield lambda: "OnClose" in child.names()
    yield turns()
    assert child.told == [("OnClose", RESET)]
    with peerOf(listener):
        child.Close()
        yield lambda: child.m_hSocket != -1


@played
def test_the_end_of_the_stream_between_the_readiness_and_the_call(reactor: Any) -> Play:
    child, peer = connected(reactor, OnReceive=Tries.tryReceive)
    script(child, inTurn({"recv_into": [after(peer.close)]}))
    peer.sendall(b"data")
    yield lambda: "OnClose" in child.names()
    yield turns()
    assert child.results == [4]
    assert child.told == told("OnSend", "OnReceive", "OnClose")


@played
def test_nothing_is_fatal_to_a_datagram_socket(reactor: Any) -> Play:
    numbers = errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH
    cases = {number: datagram(reactor, OnReceive=Tries.tryReceiveFrom) for number in numbers}
    for number, (subject, peer) in cases.items():
        script(subject, inTurn({"send": [failing(number)], "recvfrom_into": [failing(number)]}))
        subject.trySend()
        subject.trySend()
        peer.send(b"data")
    yield lambda: all(len(subject.results) == 4 for subject, _ in cases.values())
    for number, (subject, peer) in cases.items():
        code = WSAError[f"WSA{errno.errorcode[number]}"]
        assert subject.results == [code, 4, code, 4]
        assert "OnClose" not in subject.names()
        peer.close()
