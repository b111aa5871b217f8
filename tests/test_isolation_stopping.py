"""
What one raises when all come to their end, and what a listener of a service, or over transports, raises: no other pays.
"""

from __future__ import annotations

import os
import select
import socket
from typing import Any

import pytest
from _bridged import Remembering, served
from _media import WINDOWS
from _play import Mistake, OnPurpose, Script, play, played, playedOn, turns
from _reactors import LIMIT, Recorder, must, reactorOf, run
from _streams import accepted, peerOf, portOf, told
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import Clock

from twisted_casync import CAsyncSocket, WSAError
from twisted_casync.bridges import listenOver, overCAsyncSockets
from twisted_casync.services import AsyncSocketService, StreamConnection, StreamListener

ABORTED = ("OnClose", WSAError.WSAECONNABORTED)


class Exiting(OnPurpose, SystemExit):
    """What C{sys.exit} raises."""


def fail(*_: object) -> None:
    raise Exiting


@played
def test_a_service_whose_class_can_not_be_made_goes_on(reactor: Any) -> Script:
    """The connection is reset, as there is nobody to serve it."""
    made: list[StreamConnection] = []

    def make(listener: StreamListener) -> StreamConnection:
        made.append(StreamConnection(listener))
        if len(made) == 1:
            raise Exiting
        return made[-1]

    listener = StreamListener(make, reactor)
    must(listener.Create(0, lpszSocketAddress="127.0.0.1"))
    must(listener.Listen())
    with peerOf(listener) as refused, peerOf(listener):
        yield lambda: len(listener.connections) == 1
        with pytest.raises(ConnectionResetError):
            refused.recv(1)
    yield lambda: not listener.connections
    listener.Close()


@playedOn(WINDOWS, reactorOf)
def test_a_listener_over_transports_whose_OnAccept_raises_goes_on(reactor: Any) -> Script:
    children: list[Recorder] = []

    def accept(door: Recorder) -> None:
        if len(door.told) == 1:
            raise Exiting
        children.append(Recorder(reactor, OnReceive=Recorder.readAll))
        must(door.Accept(children[-1]))
        if len(children) == 1:
            raise Exiting

    door = Recorder(reactor, OnAccept=accept)
    listenOver(door, TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"), reactor=reactor)
    yield lambda: door.m_hSocket != -1
    where = "127.0.0.1", portOf(door)
    for _ in range(2):
        with socket.create_connection(where, LIMIT) as refused:
            count = len(door.told)
            yield lambda count=count: len(door.told) > count  # type: ignore[misc]  # the default is a binding
            yield turns()
            with pytest.raises(ConnectionResetError):
                refused.recv(1)
    assert children[0].told == [ABORTED]
    with socket.create_connection(where, LIMIT) as peer:
        peer.sendall(b"as ever")
        yield lambda: len(children) == 2 and children[1].received == b"as ever"
    door.Close()
    children[1].Close()


class Endless(Remembering):
    """
    A protocol that can't even be asked for what is to be told it.
    """

    @property
    def connectionLost(self) -> Any:
        raise Exiting


@played
def test_what_is_left_to_the_end_of_a_turn_is_done_when_the_turn_fails(reactor: Any) -> Script:
    """What the producer of one has written to another."""
    other = Remembering()
    one = Endless()

    class Producer:
        def stopProducing(self) -> None:
            other.transport.write(b"hello")

    view = overCAsyncSockets(reactor)
    with served(view, one) as peer, served(view, other) as otherPeer:
        yield lambda: one.told == other.told == ["connectionMade"]
        one.transport.registerProducer(Producer(), True)
        peer.close()
        yield lambda: bool(select.select([otherPeer], [], [], 0)[0])
        assert otherPeer.recv(100) == b"hello"


class Stubborn(Recorder):
    """
    One that can't even be stopped.
    """

    def _as_stopped(self) -> None:
        raise Mistake


@pytest.mark.parametrize("way", ["epoll-window", "casync-window", "asyncio-window"])
def test_each_socket_hears_that_the_reactor_stops(way: str) -> None:
    with reactorOf(way) as reactor:
        raising, first = accepted(reactor, OnClose=fail)
        stubborn, second = accepted(reactor)
        quiet, third = accepted(reactor)
        stubborn.__class__ = Stubborn
        run(reactor, lambda: all(one.told for one in (raising, stubborn, quiet)))
        assert raising.told[-1] == quiet.told[-1] == ABORTED
        for peer in (first, second, third):
            peer.close()
        stubborn.__class__ = Recorder
        stubborn.Close()


@pytest.mark.parametrize("way", ["poll-window", "select-window", "poll-direct", "select-direct"])
def test_a_set_that_somebody_closes_is_not_the_end_of_its_sockets(way: str) -> None:
    """As far as a reactor says so: epoll knows nothing of what was closed."""
    with reactorOf(way) as reactor:
        child, peer = accepted(reactor, OnReceive=Recorder.readAll)

        def script() -> Script:
            yield lambda: child.told == told("OnSend")
            (number,) = [reader.fileno() for reader in reactor.getReaders() if "window" in repr(reader)]
            os.close(number)
            yield turns()
            with peer:
                peer.sendall(b"as ever")
                yield lambda: child.received == b"as ever"
            yield lambda: child.told[-1] == ("OnClose", 0)
            child.Close()

        play(reactor, script())


# -- services


class Failing(StreamConnection):
    """
    One that can't be ended.
    """

    def finish(self) -> None:
        raise Exiting

    def unfinished(self) -> bool:
        return True

    abort = fail


def drained(listener: StreamListener, clock: Clock) -> Script:
    """
    Stop a listener, and let all the time pass that its connections have.
    """
    done = listener.drain(clock, 5.0)
    for _ in range(30):
        clock.advance(0.25)
        yield turns(1)
    assert done.called


@played
def test_a_connection_that_can_not_be_ended_keeps_no_other_from_its_end(reactor: Any) -> Script:
    kinds = iter([StreamConnection, Failing, StreamConnection])
    listener = StreamListener(lambda listener: next(kinds, StreamConnection)(listener), reactor)
    must(listener.Create(0, lpszSocketAddress="127.0.0.1"))
    must(listener.Listen())
    peers = [peerOf(listener) for _ in range(3)]
    yield lambda: len(listener.connections) == 3
    (failing,) = [one for one in listener.connections if isinstance(one, Failing)]
    yield from drained(listener, Clock())
    assert listener.connections == {failing}
    CAsyncSocket.Close(failing)
    for peer in peers:
        peer.close()


@played
def test_a_listener_that_fails_to_take_the_last_ones_waits_for_those_that_it_has(reactor: Any) -> Script:
    made: list[StreamConnection] = []

    def make(listener: StreamListener) -> StreamConnection:
        if made:
            raise Exiting
        made.append(StreamConnection(listener))
        return made[0]

    listener = StreamListener(make, reactor)
    must(listener.Create(0, lpszSocketAddress="127.0.0.1"))
    must(listener.Listen())
    with peerOf(listener) as peer:
        yield lambda: len(listener.connections) == 1
        yield from drained(listener, Clock())
        assert peer.recv(1) == b""
    assert listener.fileno() == -1


class Unstoppable(StreamListener):
    """
    A listener whose end fails.
    """

    drain = fail  # type: ignore[assignment]  # it never returns


@played
def test_a_listener_that_fails_to_stop_keeps_no_other_of_its_service_from_it(reactor: Any) -> Script:
    listeners: list[StreamListener] = []

    def make(kind: str) -> StreamListener:
        listeners.append((Unstoppable if not listeners else StreamListener)(StreamConnection, reactor))
        return listeners[-1]

    running = AsyncSocketService(make, ["tcp:0:interface=127.0.0.1"] * 2, reactor=reactor)
    running.startService()
    yield turns()
    stopped = running.stopService()
    yield lambda: bool(stopped.called)
    assert [one.fileno() for one in listeners] == [-1, -1]
