"""
Nothing is busy, whatever a program leaves undone: the processor time of a second in which nothing happens.

Each state is one function that brings a socket there and leaves it to its handlers, which do nothing.  Per reactor all
states are measured together, in one second; only when they take too long, one by one, to name the culprit.
"""

from __future__ import annotations

import gc
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from _reactors import LIMIT, WAYS, Recorder, must, reactorOf
from _streams import LOCALHOST, accepted, beginConnect, fill, listening, peerOf, portOf, reset
from twisted.internet.interfaces import IHostnameResolver, IReadDescriptor
from zope.interface import implementer

from twisted_casync import (
    AF_UNIX,
    FD_ALL_EVENTS,
    FD_CLOSE,
    FD_READ,
    FD_WRITE,
    MSG_OOB,
    SO_OOBINLINE,
    SOCK_DGRAM,
    SOCK_STREAM,
    CAsyncSocket,
)

MOST = 0.1
"""Seconds of the processor that a quiet second may take; a busy loop takes all of them."""

States = dict[str, Callable[[Any, list[Any]], None]]
STATES: States = {}
MASKS = {
    "all": FD_ALL_EVENTS,
    "nothing": 0,
    "OnReceive": FD_READ,
    "OnSend": FD_WRITE,
    "OnClose": FD_CLOSE,
    "all but OnOutOfBandData": FD_ALL_EVENTS & ~4,
}


def state(bring: Callable[[Any, list[Any]], None]) -> Callable[[Any, list[Any]], None]:
    """A state, by its name; C{bring} puts what is to be kept open into its second argument."""
    STATES[bring.__name__.replace("_", " ")] = bring
    return bring


def ofAPeerThat(act: Callable[[Recorder, socket.socket], object]) -> Callable[[Recorder, socket.socket], object]:
    """A state of a connected stream, which C{act} brings about; under each mask."""
    for name, mask in MASKS.items():

        def bring(reactor: Any, kept: list[Any], mask: int = mask) -> None:
            child, peer = accepted(reactor)
            must(child.AsyncSelect(mask))
            kept += child, peer
            act(child, peer)

        STATES[f"a peer that {act.__name__.replace('_', ' ')}, selected {name}"] = bring
    return act


# -- streams that are connected


@ofAPeerThat
def does_nothing(child: Recorder, peer: socket.socket) -> None: ...


@ofAPeerThat
def sends_what_is_never_received(child: Recorder, peer: socket.socket) -> None:
    peer.sendall(b"unread")


@ofAPeerThat
def half_closes(child: Recorder, peer: socket.socket) -> None:
    peer.shutdown(socket.SHUT_WR)


@ofAPeerThat
def half_closes_after_data(child: Recorder, peer: socket.socket) -> None:
    peer.sendall(b"unread")
    peer.shutdown(socket.SHUT_WR)


@ofAPeerThat
def half_closes_after_data_that_is_received(child: Recorder, peer: socket.socket) -> None:
    peer.sendall(b"read")
    peer.shutdown(socket.SHUT_WR)
    child.handlers["OnReceive"] = Recorder.readAll


@ofAPeerThat
def half_closes_and_is_answered_so(child: Recorder, peer: socket.socket) -> None:
    peer.shutdown(socket.SHUT_WR)
    must(child.ShutDown())


@ofAPeerThat
def closes(child: Recorder, peer: socket.socket) -> None:
    peer.close()


@ofAPeerThat
def closes_after_data_and_is_answered_so(child: Recorder, peer: socket.socket) -> None:
    peer.sendall(b"unread")
    peer.close()
    must(child.ShutDown())


@ofAPeerThat
def resets(child: Recorder, peer: socket.socket) -> None:
    reset(peer)


@ofAPeerThat
def resets_after_data(child: Recorder, peer: socket.socket) -> None:
    peer.sendall(b"unread")
    reset(peer)


@ofAPeerThat
def sends_to_who_receives_no_more(child: Recorder, peer: socket.socket) -> None:
    must(child.ShutDown(CAsyncSocket.receives))
    peer.sendall(b"unread")


@ofAPeerThat
def sends_to_who_has_shut_down_both_and_closes(child: Recorder, peer: socket.socket) -> None:
    must(child.ShutDown(CAsyncSocket.both))
    peer.sendall(b"unread")
    peer.close()


@ofAPeerThat
def never_reads(child: Recorder, peer: socket.socket) -> None:
    fill(child)


@ofAPeerThat
def never_reads_and_half_closes(child: Recorder, peer: socket.socket) -> None:
    fill(child)
    peer.shutdown(socket.SHUT_WR)


@ofAPeerThat
def sends_an_urgent_byte(child: Recorder, peer: socket.socket) -> None:
    peer.send(b"!", MSG_OOB)


@ofAPeerThat
def sends_an_urgent_byte_among_data(child: Recorder, peer: socket.socket) -> None:
    peer.sendall(b"before")
    peer.send(b"!", MSG_OOB)
    peer.sendall(b"behind")


@ofAPeerThat
def sends_an_urgent_byte_among_data_that_is_received(child: Recorder, peer: socket.socket) -> None:
    sends_an_urgent_byte_among_data(child, peer)
    child.handlers["OnReceive"] = Recorder.readAll


@ofAPeerThat
def sends_an_urgent_byte_that_is_peeked_at_once(child: Recorder, peer: socket.socket) -> None:
    peer.send(b"!", MSG_OOB)
    child.Receive(bytearray(1), 1, MSG_OOB | socket.MSG_PEEK)


@ofAPeerThat
def sends_an_urgent_byte_and_closes(child: Recorder, peer: socket.socket) -> None:
    peer.send(b"!", MSG_OOB)
    peer.close()


@ofAPeerThat
def sends_an_urgent_byte_in_line(child: Recorder, peer: socket.socket) -> None:
    must(child.SetSockOpt(SO_OOBINLINE, True))
    sends_an_urgent_byte_among_data(child, peer)


# -- streams that are not


@state
def a_stream_without_a_name(reactor: Any, kept: list[Any]) -> None:
    for mask in MASKS.values():
        kept.append(Recorder(reactor))
        must(kept[-1].Socket(SOCK_STREAM, mask))


@state
def a_bound_stream(reactor: Any, kept: list[Any]) -> None:
    for mask in MASKS.values():
        kept.append(Recorder(reactor))
        must(kept[-1].Create(0, SOCK_STREAM, mask))


@state
def a_listener_that_nobody_connects_to(reactor: Any, kept: list[Any]) -> None:
    kept.append(listening(reactor))


@state
def a_listener_that_nobody_accepts_from(reactor: Any, kept: list[Any]) -> None:
    for mask in MASKS.values():
        listener = listening(reactor)
        must(listener.AsyncSelect(mask))
        kept += listener, peerOf(listener), peerOf(listener)


@state
def a_listener_with_a_client_that_has_gone(reactor: Any, kept: list[Any]) -> None:
    listener = listening(reactor)
    reset(peerOf(listener))
    kept.append(listener)


@state
def a_refused_stream(reactor: Any, kept: list[Any]) -> None:
    holder = socket.socket()
    holder.bind((LOCALHOST, 0))
    for mask in MASKS.values():
        client = Recorder(reactor)
        must(client.Create(0, SOCK_STREAM, mask))
        beginConnect(client, holder.getsockname()[1])
        kept += client, holder


@state
def a_connect_that_is_not_answered(reactor: Any, kept: list[Any]) -> None:
    door = socket.socket()
    door.bind((LOCALHOST, 0))
    door.listen(0)
    kept.append(door)
    for _ in range(3):
        client = Recorder(reactor)
        must(client.Create())
        beginConnect(client, door.getsockname()[1])
        kept.append(client)


@state
def a_connect_whose_name_is_not_found_out(reactor: Any, kept: list[Any]) -> None:
    @implementer(IHostnameResolver)
    class Silent:
        def resolveHostName(self, resolutionReceiver: Any, *args: Any) -> Any:
            kept.append(resolutionReceiver)

    reactor.installNameResolver(Silent())
    client = Recorder(reactor)
    must(client.Create())
    beginConnect(client, 7, "server.invalid")
    kept.append(client)


# -- datagrams


def datagram(reactor: Any, kept: list[Any], mask: int) -> tuple[Recorder, socket.socket]:
    """A datagram socket, and a plain one that is connected to it."""
    here = Recorder(reactor)
    must(here.Create(0, SOCK_DGRAM, mask, LOCALHOST))
    there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    there.connect((LOCALHOST, portOf(here)))
    kept += here, there
    return here, there


@state
def a_datagram_socket_without_a_name(reactor: Any, kept: list[Any]) -> None:
    for mask in MASKS.values():
        kept.append(Recorder(reactor))
        must(kept[-1].Socket(SOCK_DGRAM, mask))


@state
def a_datagram_that_is_never_received(reactor: Any, kept: list[Any]) -> None:
    for mask in MASKS.values():
        for content in (b"unread", b""):
            datagram(reactor, kept, mask)[1].send(content)


@state
def a_datagram_to_who_receives_no_more(reactor: Any, kept: list[Any]) -> None:
    here, there = datagram(reactor, kept, FD_ALL_EVENTS)
    must(here.ShutDown(CAsyncSocket.both))
    there.send(b"unread")


@state
def a_datagram_that_was_refused(reactor: Any, kept: list[Any]) -> None:
    for mask in MASKS.values():
        here, there = datagram(reactor, kept, mask)
        port = there.getsockname()[1]
        there.close()
        must(here.Connect(LOCALHOST, port))
        assert here.Send(b"to nobody") == 9


# -- UNIX sockets


@state
def a_unix_stream(reactor: Any, kept: list[Any]) -> None:
    """Its peer does nothing, or sends; half closes, or closes."""
    for mask in MASKS.values():
        for content in (b"", b"unread"):
            for end in (None, socket.SHUT_WR, socket.SHUT_RDWR):
                here, there = socket.socketpair()
                child = Recorder(reactor)
                must(child.Attach(here, mask))
                there.sendall(content)
                if end is not None:
                    there.shutdown(end)
                kept += child, there


@state
def a_unix_stream_whose_peer_has_gone(reactor: Any, kept: list[Any]) -> None:
    for mask in MASKS.values():
        for content in (b"", b"never read by the peer"):
            here, there = socket.socketpair()
            here.sendall(content)
            child = Recorder(reactor)
            must(child.Attach(here, mask))
            there.close()
            kept.append(child)


@state
def a_unix_datagram_that_is_never_received(reactor: Any, kept: list[Any]) -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    child = Recorder(reactor)
    must(child.Attach(here))
    there.send(b"unread")
    kept += child, there


@state
def a_unix_listener_that_nobody_accepts_from(reactor: Any, kept: list[Any]) -> None:
    listener = Recorder(reactor)
    must(listener.CreateEx((AF_UNIX, SOCK_STREAM, 0, "", f"\0{id(kept)} {time.monotonic_ns()}")))
    must(listener.Listen())
    client = socket.socket(socket.AF_UNIX)
    client.connect(must(listener.GetSockNameEx())[0])
    kept += listener, client


def quietSecond(way: str, states: States, atLeast: float = 0.0) -> float:
    """
    This thread's processor time of one second, after all has been told; of more than one, while it is not C{atLeast}.
    """
    kept: list[Any] = []
    begun: list[float] = []
    taken: list[float] = []
    with reactorOf(way) as reactor:
        for bring in states.values():
            bring(reactor, kept)

        def settle(turns: int) -> None:
            if turns:
                reactor.callLater(0, settle, turns - 1)
                return
            gc.collect()
            begun.append(time.thread_time())
            reactor.callLater(1.0, end)

        def end() -> None:
            taken.append(time.thread_time() - begun[0])
            if taken[-1] >= atLeast or len(taken) >= LIMIT:
                reactor.stop()
            else:
                reactor.callLater(1.0, end)

        reactor.callWhenRunning(settle, 50)
        reactor.run(installSignalHandlers=False)
        for one in kept:
            if isinstance(one, (CAsyncSocket, socket.socket)):
                one.close() if isinstance(one, socket.socket) else one.Close()
    return taken[-1]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_quiet_second_takes_no_time_of_the_processor(way: str) -> None:
    together = quietSecond(way, STATES)
    if together >= MOST:
        busy = {name: taken for name, bring in STATES.items() if (taken := quietSecond(way, {name: bring})) >= MOST}
        pytest.fail(f"{together:.2f} s in all; each of these alone: {busy}")


@implementer(IReadDescriptor)
class Unread:
    """A descriptor that is readable for ever."""

    def __init__(self, descriptor: socket.socket) -> None:
        self.fileno = descriptor.fileno

    def logPrefix(self) -> str:
        return "unread"

    def doRead(self) -> None: ...

    def connectionLost(self, reason: Any) -> None: ...


@pytest.mark.slow
def test_the_measure_finds_what_is_busy() -> None:
    def busy(reactor: Any, kept: list[Any]) -> None:
        here, there = socket.socketpair()
        there.send(b"x")
        reactor.addReader(Unread(here))
        kept += here, there

    # On a busy machine it gets little of one second.
    assert quietSecond("epoll-window", {**STATES, "busy": busy}, MOST) >= MOST
