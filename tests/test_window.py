"""
The socket window: what it asks of its reactor and of the kernel.
"""

from __future__ import annotations

import fcntl
import select
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from _memory import arrived, connection, mail, mailbox, memoryReactor, quiet, turn
from _reactors import REACTORS, Recorder, must, reactorOf
from _streams import fill

from twisted_casync import FD_ALL_EVENTS, FD_READ, FD_WRITE, CAsyncSocket

EPOLL = select.epoll
POLL = type(select.poll())


class RecordingEpoll:
    """
    An epoll set that writes down what it is asked.
    """

    made: list[RecordingEpoll]

    def __init__(self) -> None:
        self._epoll = EPOLL()
        self.asked: list[str] = []
        self.made.append(self)

    def register(self, fd: int, events: int) -> None:
        self.asked.append("register")
        self._epoll.register(fd, events)

    def modify(self, fd: int, events: int) -> None:
        self.asked.append("modify")
        self._epoll.modify(fd, events)

    def unregister(self, fd: int) -> None:
        self.asked.append("unregister")
        self._epoll.unregister(fd)

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        self.asked.append("poll")
        return self._epoll.poll(timeout, most)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def close(self) -> None:
        self.asked.append("close")
        self._epoll.close()


@pytest.fixture
def reactor() -> Iterator[Any]:
    with memoryReactor() as reactor:
        yield reactor


@pytest.fixture
def epoll(monkeypatch: pytest.MonkeyPatch, reactor: Any) -> type[RecordingEpoll]:
    RecordingEpoll.made = []
    monkeypatch.setattr(select, "epoll", RecordingEpoll)
    return RecordingEpoll


@contextmanager
def systemCalls() -> Iterator[list[str]]:
    """
    The names of the calls that are made of sockets and pollers.
    """
    made: list[str] = []

    def profile(frame: object, event: str, function: Any) -> None:
        if event == "c_call":
            owner = getattr(function, "__self__", None)
            if isinstance(owner, (socket.SocketType, EPOLL, POLL)) or function is fcntl.ioctl:
                made.append(function.__name__)

    sys.setprofile(profile)
    try:
        yield made
    finally:
        sys.setprofile(None)
        # They ask the kernel nothing.
        made[:] = [name for name in made if name != "fileno"]


def echo(one: Recorder) -> None:
    buffer = bytearray(100)
    count = one.Receive(buffer)
    assert one.Send(buffer[:count]) == count


# -- how it comes and goes


def test_the_window_comes_with_the_first_socket_and_goes_with_the_last(
    reactor: Any, epoll: type[RecordingEpoll]
) -> None:
    assert reactor.getReaders() == []
    first, second = mailbox(reactor), mailbox(reactor)
    turn(reactor)
    (window,) = reactor.getReaders()
    (inner,) = epoll.made
    assert window.fileno() == inner.fileno() >= 0
    first.Close()
    assert reactor.getReaders() == [window]
    second.Close()
    assert reactor.getReaders() == []
    assert inner.asked[-1] == "close"
    assert window.fileno() == -1
    third = mailbox(reactor)
    turn(reactor)
    assert len(reactor.getReaders()) == 1
    assert len(epoll.made) == 2
    third.Close()


def test_a_window_that_nothing_waits_at_is_no_reader(reactor: Any) -> None:
    one = mailbox(reactor)
    turn(reactor)
    assert len(reactor.getReaders()) == 1
    must(one.AsyncSelect(0))
    assert reactor.getReaders() == []
    must(one.AsyncSelect())
    assert len(reactor.getReaders()) == 1


def test_the_window_is_registered_once_whatever_its_sockets_wait_for(
    reactor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def recording(name: str) -> Callable[[Any], None]:
        ask: Callable[[Any], None] = getattr(reactor, name)

        def recorded(descriptor: Any) -> None:
            asked.append(name)
            ask(descriptor)

        return recorded

    for name in ("addReader", "removeReader", "addWriter", "removeWriter"):
        monkeypatch.setattr(reactor, name, recording(name))
    mailboxes = [mailbox(reactor) for _ in range(3)]
    quiet(reactor, *mailboxes)
    for mask in (FD_READ, FD_WRITE, FD_ALL_EVENTS):
        for one in mailboxes:
            must(one.AsyncSelect(mask))
            turn(reactor)
    for one in mailboxes:
        one.Close()
    assert asked == ["addReader", "removeReader"]


def test_a_stream_that_is_not_connected_is_not_watched(reactor: Any, epoll: type[RecordingEpoll]) -> None:
    """Linux would say for ever that it has hung up."""
    one = Recorder(reactor)
    must(one.Socket())
    must(one.Bind(0, "127.0.0.1"))
    must(one.AsyncSelect())
    turn(reactor)
    assert reactor.getReaders() == []
    assert epoll.made[0].asked == []


@pytest.mark.parametrize("name", [name for name in REACTORS if name != "casync"])
def test_a_stock_reactor_has_one_reader_however_many_sockets_there_are(name: str) -> None:
    with reactorOf(f"{name}-window") as reactor:
        before = set(map(id, reactor.getReaders()))
        mailboxes = [mailbox(reactor) for _ in range(20)]
        mailboxes[0].Close()
        assert len([reader for reader in reactor.getReaders() if id(reader) not in before]) == 1
        assert list(reactor.getWriters()) == []


def test_registered_with_the_reactor_itself_each_socket_is_its_own_reader() -> None:
    with memoryReactor(direct=True) as reactor:
        mailboxes = [mailbox(reactor) for _ in range(3)]
        turn(reactor)
        assert {reader for reader in reactor.getReaders() if isinstance(reader, CAsyncSocket)} == set(mailboxes)


def test_closing_leaves_no_call_in_the_reactor(reactor: Any) -> None:
    """A datagram socket is to be told in a later turn that it can send."""
    one, other = mailbox(reactor), mailbox(reactor)
    one.Close()
    assert len(reactor.getDelayedCalls()) == 1
    other.Close()
    assert reactor.getDelayedCalls() == []


def test_the_window_of_sockets_that_nobody_has_closed_goes_with_AfxSocketTerm() -> None:
    with memoryReactor() as reactor:
        held = mailbox(reactor)
    assert held.fileno() == -1


# -- what a message costs


@pytest.mark.parametrize("count", [1, 5])
def test_an_echo_is_one_receive_and_one_send_and_all_share_a_poll(reactor: Any, count: int) -> None:
    connections = [connection(reactor, OnReceive=echo) for _ in range(count)]
    for _ in range(3):
        for child, peer in connections:
            peer.sendall(b"hello")
            arrived(child)
        with systemCalls() as made:
            (window,) = reactor.getReaders()
            window.doRead()
        # A turn ends when the kernel has nothing more.
        assert made == ["poll", *["recv_into", "send"] * count, "poll"]
        for _, peer in connections:
            assert peer.recv(100) == b"hello"
    for _, peer in connections:
        peer.close()


def test_where_one_peer_is_spoken_to_the_kernel_is_asked_once_a_turn(reactor: Any) -> None:
    """It is learned from turns in which asking again was in vain, and given up when it is not any more."""
    (one, peer), (other, otherPeer) = (connection(reactor, OnReceive=echo) for _ in range(2))
    (window,) = reactor.getReaders()

    def asked() -> int:
        peer.sendall(b"hello")
        arrived(one)
        with systemCalls() as made:
            window.doRead()
        assert peer.recv(100) == b"hello"
        return made.count("poll")

    assert [asked() for _ in range(16)] == [2] * 16
    assert sum(asked() for _ in range(32)) == 34

    def echoAndMore(one: Recorder) -> None:
        otherPeer.sendall(b"too")
        arrived(other)
        echo(one)

    one.handlers["OnReceive"] = echoAndMore
    # What has come meanwhile is told in the next turn.
    assert [asked() for _ in range(2)] == [1, 2]
    one.handlers["OnReceive"] = echo
    asked()
    assert otherPeer.recv(100) == b"tootoo"
    peer.close()
    otherPeer.close()


def test_an_echo_of_datagrams_is_one_receive_and_one_send(reactor: Any) -> None:
    def echoFrom(one: Recorder) -> None:
        buffer = bytearray(100)
        count, source = one.ReceiveFrom(buffer)
        assert one.SendTo(buffer[:count], None, source) == count

    one = mailbox(reactor, OnReceive=echoFrom)
    quiet(reactor, one)
    looks = []
    for _ in range(3):
        mail(one)
        with systemCalls() as made:
            (window,) = reactor.getReaders()
            window.doRead()
        # Alone in its round, it is looked at once more; and a turn ends when the kernel has nothing more.
        assert (made[:3], made[-2:]) == (["poll", "recvfrom_into", "sendto"], ["poll", "poll"])
        looks.append(made[3:-2])
    assert looks == [["register"], [], []]


def test_registrations_stay_as_they_are_while_messages_come_and_go(reactor: Any, epoll: type[RecordingEpoll]) -> None:
    child, peer = connection(reactor, OnReceive=echo)
    inner = epoll.made[-1]
    inner.asked.clear()
    for _ in range(10):
        peer.sendall(b"hello")
        arrived(child)
        turn(reactor)
        assert peer.recv(100) == b"hello"
    assert inner.asked == ["poll", "poll"] * 10
    peer.close()


def test_what_nobody_receives_takes_the_interest_back_once(reactor: Any, epoll: type[RecordingEpoll]) -> None:
    child, peer = connection(reactor)
    inner = epoll.made[-1]
    inner.asked.clear()
    peer.sendall(b"hello")
    arrived(child)
    for _ in range(5):
        turn(reactor)
    assert child.names() == ["OnReceive"]
    assert Counter(inner.asked)["modify"] == 1
    inner.asked.clear()
    for _ in range(5):
        turn(reactor)
    assert inner.asked == []
    # And a Receive puts it back, until again nobody has received what is told then.
    assert child.Receive(bytearray(2)) == 2
    assert inner.asked == ["modify"]
    turn(reactor)
    assert child.names() == ["OnReceive"] * 2
    assert Counter(inner.asked)["modify"] == 2
    peer.close()


def test_a_send_that_would_block_asks_for_room_once_and_no_longer_than_needed(
    reactor: Any, epoll: type[RecordingEpoll]
) -> None:
    child, peer = connection(reactor)
    inner = epoll.made[-1]
    inner.asked.clear()
    total = fill(child)
    assert inner.asked == ["modify"]
    turn(reactor)
    assert child.told == []
    while total:
        total -= len(peer.recv(1 << 20))
    assert select.select([], [child], [], 20)[1]
    turn(reactor)
    turn(reactor)
    assert child.names() == ["OnSend"]
    assert Counter(inner.asked)["modify"] == 2
    peer.close()


def test_selecting_the_same_again_changes_no_registration(reactor: Any, epoll: type[RecordingEpoll]) -> None:
    child, peer = connection(reactor)
    must(child.AsyncSelect(FD_READ))
    inner = epoll.made[-1]
    inner.asked.clear()
    must(child.AsyncSelect(FD_READ))
    assert inner.asked == []
    peer.close()
