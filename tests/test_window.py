"""
The socket window: what it asks of its reactor and of the kernel, and in which order it tells what it has found.
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

from twisted_casync import FD_ALL_EVENTS, FD_READ, FD_WRITE, MSG_PEEK, SOCK_DGRAM, CAsyncSocket, _window
from twisted_casync._readiness import READABLE
from twisted_casync._threads import windowOf

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


@pytest.mark.parametrize("name", REACTORS)
def test_a_reactor_has_one_reader_however_many_sockets_there_are(name: str) -> None:
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
        assert made == ["poll", *["recv_into", "send"] * count]
        for _, peer in connections:
            assert peer.recv(100) == b"hello"
    for _, peer in connections:
        peer.close()


def test_an_echo_of_datagrams_is_one_receive_and_one_send(reactor: Any) -> None:
    def echoFrom(one: Recorder) -> None:
        buffer = bytearray(100)
        count, source = one.ReceiveFrom(buffer)
        assert one.SendTo(buffer[:count], None, source) == count

    one = mailbox(reactor, OnReceive=echoFrom)
    quiet(reactor, one)
    for _ in range(3):
        mail(one)
        with systemCalls() as made:
            (window,) = reactor.getReaders()
            window.doRead()
        assert made == ["poll", "recvfrom_into", "sendto"]


def test_registrations_stay_as_they_are_while_messages_come_and_go(reactor: Any, epoll: type[RecordingEpoll]) -> None:
    child, peer = connection(reactor, OnReceive=echo)
    inner = epoll.made[-1]
    inner.asked.clear()
    for _ in range(10):
        peer.sendall(b"hello")
        arrived(child)
        turn(reactor)
        assert peer.recv(100) == b"hello"
    assert inner.asked == ["poll"] * 10
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
    # And a Receive puts it back.
    assert child.Receive(bytearray(2)) == 2
    turn(reactor)
    assert child.names() == ["OnReceive"] * 2
    assert Counter(inner.asked)["modify"] == 1
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


# -- in which order it tells


def test_a_turn_tells_a_bounded_number_of_sockets_and_starves_none(
    reactor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has something to receive all the time."""
    monkeypatch.setattr(_window, "MOST", 3)
    mailboxes = [mailbox(reactor, OnReceive=lambda one: one.Receive(bytearray(1), None, MSG_PEEK)) for _ in range(8)]
    quiet(reactor, *mailboxes)
    mail(*mailboxes)
    for turns in range(1, 9):
        turn(reactor)
        times = [len(one.told) for one in mailboxes]
        assert sum(times) == 3 * turns
        assert max(times) - min(times) <= 1


def test_what_a_handler_closes_is_not_told_any_more(reactor: Any) -> None:
    def closeOther(one: Recorder) -> None:
        one.handlers["other"](one).Close()

    pair = [mailbox(reactor, OnReceive=closeOther) for _ in range(2)]
    quiet(reactor, *pair)
    for one, other in (pair, pair[::-1]):
        one.handlers["other"] = lambda _, other=other: other
    mail(*pair)
    turn(reactor)
    assert sum(len(one.told) for one in pair) == 1
    assert sum(one.fileno() == -1 for one in pair) == 1


def test_what_takes_the_number_of_a_closed_socket_is_not_told_what_was_due_to_that(reactor: Any) -> None:
    replaced = []

    def replaceOther(one: Recorder) -> None:
        other = one.handlers["other"](one)
        number = other.fileno()
        other.Close()
        # The kernel gives the lowest number that is free, which may be a lower one.
        lower = []
        while (plain := socket.socket(type=SOCK_DGRAM)).fileno() != number:
            lower.append(plain)
        plain.bind(("127.0.0.1", 0))
        new = Recorder(reactor)
        must(new.Attach(plain))
        for spare in lower:
            spare.close()
        replaced.append((number, new))

    pair = [mailbox(reactor, OnReceive=replaceOther) for _ in range(2)]
    quiet(reactor, *pair)
    for one, other in (pair, pair[::-1]):
        one.handlers["other"] = lambda _, other=other: other
    mail(*pair)
    turn(reactor)
    ((number, new),) = replaced
    assert new.fileno() == number
    assert new.told == []
    turn(reactor)
    assert new.names() == ["OnSend"]


def test_what_a_handler_has_received_of_another_is_not_told_any_more(reactor: Any) -> None:
    def receiveOther(one: Recorder) -> None:
        assert one.handlers["other"](one).Receive(bytearray(10)) == 1

    pair = [mailbox(reactor, OnReceive=receiveOther) for _ in range(2)]
    quiet(reactor, *pair)
    for one, other in (pair, pair[::-1]):
        one.handlers["other"] = lambda _, other=other: other
    mail(*pair)
    turn(reactor)
    assert sorted(len(one.told) for one in pair) == [0, 1]


def test_what_a_handler_does_not_select_any_more_of_another_is_not_told(reactor: Any) -> None:
    def deafen(one: Recorder) -> None:
        must(one.handlers["other"](one).AsyncSelect(FD_WRITE))

    pair = [mailbox(reactor, OnReceive=deafen) for _ in range(2)]
    quiet(reactor, *pair)
    for one, other in (pair, pair[::-1]):
        one.handlers["other"] = lambda _, other=other: other
    mail(*pair)
    turn(reactor)
    assert sum("OnReceive" in one.names() for one in pair) == 1


def test_what_is_known_already_is_told_in_its_order(reactor: Any) -> None:
    order: list[Recorder] = []
    mailboxes = [mailbox(reactor, OnSend=order.append) for _ in range(4)]
    mailboxes[1].Close()
    assert order == []
    reactor.advance(0)
    assert order == [mailboxes[0], *mailboxes[2:]]


def test_what_is_known_already_is_told_before_what_the_kernel_says(reactor: Any) -> None:
    """Also when the reactor looks at its descriptors before its calls."""
    first = mailbox(reactor)
    quiet(reactor, first)
    order: list[str] = []
    first.handlers["OnReceive"] = lambda one: order.append("OnReceive of the first")
    second = mailbox(reactor, OnSend=lambda one: order.append("OnSend of the second"))
    mail(first)
    (window,) = reactor.getReaders()
    window.doRead()
    assert order == ["OnSend of the second", "OnReceive of the first"]
    assert reactor.getDelayedCalls() == []
    second.Close()


def test_what_becomes_known_while_that_is_told_is_for_a_later_turn(reactor: Any) -> None:
    made: list[Recorder] = []
    first = mailbox(reactor, OnSend=lambda one: made.append(mailbox(reactor)))
    (call,) = reactor.getDelayedCalls()
    call.func()
    assert first.names() == ["OnSend"]
    assert made[0].told == []
    (next_,) = reactor.getDelayedCalls()
    assert next_ is not call
    next_.func()
    assert made[0].names() == ["OnSend"]


def test_what_becomes_known_while_the_kernel_is_heard_is_told_at_the_end_of_the_turn(
    reactor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And asks for no call, which the reactor would have to make."""
    made: list[Recorder] = []
    first = mailbox(reactor, OnReceive=lambda one: made.append(mailbox(reactor)))
    quiet(reactor, first)
    mail(first)
    monkeypatch.setattr(reactor, "callLater", None)
    (window,) = reactor.getReaders()
    window.doRead()
    assert made[0].names() == ["OnSend"]


def test_what_becomes_known_of_a_socket_twice_is_told_together(reactor: Any) -> None:
    one = mailbox(reactor)
    mail(one)
    window = windowOf(reactor)
    assert window is not None
    window.post(one, READABLE)
    reactor.advance(0)
    assert one.names() == ["OnReceive", "OnSend"]


def test_a_handler_that_closes_what_is_known_already_is_the_last_word(reactor: Any) -> None:
    second: list[Recorder] = []
    mailbox(reactor, OnSend=lambda one: second[0].Close())
    second.append(mailbox(reactor))
    reactor.advance(0)
    assert second[0].told == []


def test_a_socket_is_told_in_one_turn_all_that_is_known_of_it(reactor: Any) -> None:
    """Of an accepted socket: the data that was there already, and that it can send."""
    with socket.socket() as peer:
        listener = Recorder(reactor)
        must(listener.Create(0, lpszSocketAddress="127.0.0.1"))
        must(listener.Listen())
        peer.connect(must(listener.GetSockName()))
        peer.sendall(b"hello")
        arrived(listener)
        child = Recorder(reactor)
        must(listener.Accept(child))
        arrived(child)
        must(child.AsyncSelect(FD_ALL_EVENTS))
        turn(reactor)
        assert child.names() == ["OnReceive", "OnSend"]


def test_a_socket_that_nobody_waits_for_any_more_does_not_keep_the_window(reactor: Any) -> None:
    """A datagram socket made for no event, and dropped."""
    one = Recorder(reactor)
    must(one.Create(0, SOCK_DGRAM, 0))
    assert reactor.getReaders() == []
    with pytest.warns(ResourceWarning, match="unclosed"):
        del one
    assert reactor.getReaders() == []
