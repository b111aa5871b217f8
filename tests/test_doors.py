"""
The doors of a socket, C{doRead}, C{doWrite} and C{connectionLost}, called by a reactor that is late or mistaken.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _memory import connection, mailbox, memoryReactor, quiet, turn
from _reactors import Recorder, must
from _streams import LOCALHOST, listening, reset
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from twisted_casync import WSAECONNABORTED, WSAECONNRESET, GetLastError, WSAError
from twisted_casync._notify import Phase


@pytest.fixture(params=[False, True], ids=["window", "direct"])
def reactor(request: pytest.FixtureRequest) -> Iterator[Any]:
    with memoryReactor(direct=request.param) as reactor:
        yield reactor


def closed(reactor: Any) -> Recorder:
    one = Recorder(reactor)
    must(one.Create())
    one.Close()
    return one


def new(reactor: Any) -> Recorder:
    one = Recorder(reactor)
    must(one.Socket())
    return one


def bound(reactor: Any) -> Recorder:
    one = new(reactor)
    must(one.Bind(0, LOCALHOST))
    return one


def connecting(reactor: Any) -> Recorder:
    """Looking up a name, of which this reactor has no answer."""

    class Silent:
        def resolveHostName(self, resolutionReceiver: Any, *more: Any, **others: Any) -> Any:
            resolutionReceiver.resolutionBegan(self)
            return self

        def cancel(self) -> None:
            pass

    # Which the older ones of Twisted's reactors for tests don't say.
    alsoProvides(reactor, IReactorPluggableNameResolver)
    reactor.nameResolver = Silent()
    one = new(reactor)
    assert not one.Connect("name.example", 7)
    assert GetLastError() is WSAError.WSAEWOULDBLOCK
    return one


def connected(reactor: Any) -> Recorder:
    one, peer = connection(reactor)
    one.handlers["peer"] = peer.fileno
    return one


def unnamed(reactor: Any) -> Recorder:
    one = Recorder(reactor)
    must(one.Socket(socket.SOCK_DGRAM))
    quiet(reactor, one)
    return one


def datagram(reactor: Any) -> Recorder:
    one = mailbox(reactor)
    quiet(reactor, one)
    return one


PHASES: dict[Phase, Callable[[Any], Recorder]] = {
    Phase.CLOSED: closed,
    Phase.NEW: new,
    Phase.BOUND: bound,
    Phase.LISTENING: listening,
    Phase.CONNECTING: connecting,
    Phase.CONNECTED: connected,
    Phase.UNNAMED: unnamed,
    Phase.DATAGRAM: datagram,
}


def test_every_phase_is_here() -> None:
    assert set(PHASES) == set(Phase)


@pytest.mark.parametrize("phase", Phase, ids=lambda phase: phase.name)
@pytest.mark.parametrize("door", ["doRead", "doWrite"])
def test_a_door_that_is_opened_for_nothing_tells_nothing(reactor: Any, phase: Phase, door: str) -> None:
    one = PHASES[phase](reactor)
    assert one._as_phase is phase
    number, readers, writers = one.fileno(), set(reactor.getReaders()), set(reactor.getWriters())
    for _ in range(3):
        getattr(one, door)()
    assert one.told == []
    assert one._as_phase is phase
    assert (one.fileno(), set(reactor.getReaders()), set(reactor.getWriters())) == (number, readers, writers)


def test_a_door_that_is_opened_after_all_is_received_tells_nothing(reactor: Any) -> None:
    one, peer = connection(reactor)
    with peer:
        peer.sendall(b"hello")
        assert one.Receive(bytearray(10)) == 5
        one.doRead()
        assert one.told == []


def test_the_wrong_door_tells_nothing_but_what_is_selected_and_ready(reactor: Any) -> None:
    one, peer = connection(reactor)
    with peer:
        peer.sendall(b"hello")
        one.doWrite()
        assert one.told == []
        one.doRead()
        assert one.names() == ["OnReceive"]


@pytest.mark.parametrize("door", ["doRead", "doWrite"])
def test_a_reset_is_told_through_any_door(door: str) -> None:
    """Reactors differ in which of them they take."""
    with memoryReactor(direct=True) as reactor:
        one, peer = connection(reactor)
        if door == "doWrite":
            # A sender that waits for room.
            while one.Send(bytes(65536)) > 0:
                pass
        reset(peer)
        getattr(one, door)()
        assert one.told == [("OnClose", WSAECONNRESET)]
        one.doRead()
        one.doWrite()
        assert one.told == [("OnClose", WSAECONNRESET)]


def drop(reactor: Any, one: Recorder, reason: type[Exception] = ConnectionDone) -> None:
    """
    What a reactor does with a descriptor that has hung up, as far as it sees.
    """
    reactor.removeReader(one)
    reactor.removeWriter(one)
    one.connectionLost(Failure(reason()))


@pytest.mark.parametrize("reason", [ConnectionDone, ConnectionLost])
def test_a_reset_is_told_as_one_whatever_reason_the_reactor_gives(reactor: Any, reason: type[Exception]) -> None:
    one, peer = connection(reactor)
    reset(peer)
    drop(reactor, one, reason)
    assert one.told == [("OnClose", WSAECONNRESET)]


WATCHED = [Phase.LISTENING, Phase.CONNECTED, Phase.UNNAMED, Phase.DATAGRAM]


@pytest.mark.parametrize("phase", WATCHED, ids=lambda phase: phase.name)
def test_a_socket_that_a_reactor_drops_for_nothing_is_aborted_and_told_once(reactor: Any, phase: Phase) -> None:
    one = PHASES[phase](reactor)
    drop(reactor, one)
    assert one.told == [("OnClose", WSAECONNABORTED)]
    assert one.fileno() == -1
    drop(reactor, one)
    assert one.told == [("OnClose", WSAECONNABORTED)]


@pytest.mark.parametrize("reason", [ConnectionDone, ConnectionLost])
def test_a_reactor_that_goes_on_can_not_drop_a_socket_for_nothing(reason: type[Exception]) -> None:
    """It takes a socket for another one that had its number in the same turn, and has hung up."""
    with memoryReactor(direct=True) as reactor:
        one, peer = connection(reactor)
        reactor.running = True
        drop(reactor, one, reason)
        peer.send(b"hello")
        turn(reactor)
        assert one.told == [("OnReceive", 0)]
        one.Close()
        peer.close()


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in WATCHED], ids=lambda phase: phase.name)
def test_a_socket_that_no_reactor_has_can_not_be_dropped(reactor: Any, phase: Phase) -> None:
    one = PHASES[phase](reactor)
    drop(reactor, one)
    assert one.told == []
    assert one._as_phase is phase


def test_a_reactor_that_drops_the_window_stops_and_each_open_socket_hears_of_it_once() -> None:
    with memoryReactor() as reactor:
        sockets = [make(reactor) for phase, make in PHASES.items() if phase]
        (window,) = reactor.getReaders()
        window.connectionLost(Failure(ConnectionDone()))
        assert [one.told for one in sockets] == [[("OnClose", WSAECONNABORTED)]] * len(sockets)
        assert {one.fileno() for one in sockets} == {-1}
        assert reactor.getReaders() == []


def test_a_window_that_is_told_to_read_after_its_last_socket_was_closed_does_nothing() -> None:
    with memoryReactor() as reactor:
        one = datagram(reactor)
        (window,) = reactor.getReaders()
        one.Close()
        window.doRead()
        window.connectionLost(Failure(ConnectionDone()))
        assert one.told == []
