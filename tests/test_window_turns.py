"""
The socket window: in which order, and how much of it in a turn, it tells what it has found.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _memory import arrived, connection, mail, mailbox, memoryReactor, quiet, turn
from _reactors import Recorder, must

from twisted_casync import FD_ALL_EVENTS, FD_WRITE, MSG_PEEK, SOCK_DGRAM, _window
from twisted_casync._readiness import READABLE
from twisted_casync._threads import windowOf


@pytest.fixture
def reactor() -> Iterator[Any]:
    with memoryReactor() as reactor:
        yield reactor


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


def test_what_becomes_known_while_that_is_told_is_told_after_it_in_the_same_turn(reactor: Any) -> None:
    order: list[str] = []

    def makeAnother(one: Recorder) -> None:
        mailbox(reactor, OnSend=lambda other: order.append("OnSend of the second"))
        order.append("OnSend of the first")

    mailbox(reactor, OnSend=makeAnother)
    (call,) = reactor.getDelayedCalls()
    call.func()
    assert order == ["OnSend of the first", "OnSend of the second"]
    assert reactor.getDelayedCalls() == []


def test_a_handler_that_has_itself_told_again_for_ever_keeps_nobody_waiting(reactor: Any) -> None:
    """AsyncSelect has OnSend told anew: a turn ends after a bounded number of rounds, and the next one goes on."""
    one = mailbox(reactor, OnSend=lambda one: must(one.AsyncSelect()))
    other = mailbox(reactor)
    quiet(reactor, other)
    one.told.clear()
    turn(reactor)
    once = len(one.told)
    assert 1 < once <= _window.ROUNDS
    mail(other)
    turn(reactor)
    assert other.names() == ["OnReceive"]
    assert once < len(one.told) <= once + _window.ROUNDS
    one.Close()


def test_what_becomes_known_while_the_kernel_is_heard_is_told_at_the_end_of_the_turn(
    reactor: Any,
) -> None:
    """And leaves no call behind, which the reactor would have to make."""
    made: list[Recorder] = []
    first = mailbox(reactor, OnReceive=lambda one: made.append(mailbox(reactor)))
    quiet(reactor, first)
    mail(first)
    (window,) = reactor.getReaders()
    window.doRead()
    assert made[0].names() == ["OnSend"]
    assert reactor.getDelayedCalls() == []


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


# -- how much of it


def test_a_turn_tells_a_bounded_number_of_what_was_posted(reactor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order in which it was posted; and the kernel is asked in each turn."""
    monkeypatch.setattr(_window, "MOST", 8)
    receiver = mailbox(reactor)
    quiet(reactor, receiver)
    order: list[Recorder] = []
    mailboxes = [mailbox(reactor, OnSend=order.append) for _ in range(20)]
    mail(receiver)
    (window,) = reactor.getReaders()
    for turns in range(1, 4):
        before = len(order)
        window.doRead()
        assert 4 <= len(order) - before <= 8
        assert receiver.names() == ["OnReceive"]
        assert order == mailboxes[: len(order)]
        if turns == 1:
            # It took a place of the turn's own.
            assert len(order) <= 7
    assert order == mailboxes


def test_what_is_posted_for_ever_keeps_nobody_waiting(reactor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By as many sockets as a turn tells."""
    monkeypatch.setattr(_window, "MOST", 8)
    for _ in range(8):
        mailbox(reactor, OnSend=lambda one: must(one.AsyncSelect()))
    other = mailbox(reactor)
    (window,) = reactor.getReaders()
    for _ in range(8):
        window.doRead()
    mail(other)
    for _ in range(3):
        # Half of a turn is for what the kernel says, which is something of all nine.
        window.doRead()
    assert other.names() == ["OnSend", "OnReceive"]


@pytest.fixture
def slow(reactor: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Recorder], None]:
    """
    A handler that receives, and takes as long as a turn may last; of which the window has learned already.
    """
    monkeypatch.setattr(_window, "STRIDE", _window.SLICE)

    def handler(one: Recorder) -> None:
        one.Receive(bytearray(1), None, MSG_PEEK)
        reactor.rightNow += _window.LONGEST

    return handler


def test_a_turn_ends_when_it_has_lasted_long_enough(reactor: Any, slow: Callable[[Recorder], None]) -> None:
    """Of what is ready all the time nobody starves: the next turn begins with those that were left out."""
    mailboxes = [mailbox(reactor, OnReceive=slow) for _ in range(3 * _window.SLICE)]
    while reactor.getDelayedCalls():
        turn(reactor)
    mail(*mailboxes)
    (window,) = reactor.getReaders()
    for turns in range(1, 7):
        window.doRead()
        times = [one.names().count("OnReceive") for one in mailboxes]
        assert sum(times) == turns * _window.SLICE
        assert max(times) - min(times) <= 1


def test_the_clock_is_looked_at_more_often_where_handlers_take_their_time(reactor: Any) -> None:
    """A turn that was not too long makes it seldom again, by and by."""
    pause = _window.LONGEST

    def handler(one: Recorder) -> None:
        one.Receive(bytearray(1), None, MSG_PEEK)
        reactor.rightNow += pause

    mailboxes = [mailbox(reactor, OnReceive=handler) for _ in range(3 * _window.STRIDE)]
    while reactor.getDelayedCalls():
        turn(reactor)
    mail(*mailboxes)
    (window,) = reactor.getReaders()

    def told() -> int:
        before = sum(len(one.told) for one in mailboxes)
        window.doRead()
        return sum(len(one.told) for one in mailboxes) - before

    assert [told() for _ in range(3)] == [_window.STRIDE, _window.SLICE, _window.SLICE]
    pause = 0.0
    for _ in range(3):
        assert told() >= len(mailboxes)
    pause = _window.LONGEST
    assert told() == _window.STRIDE


def test_those_that_a_turn_had_no_time_for_come_before_all_others(
    reactor: Any, slow: Callable[[Recorder], None]
) -> None:
    """Of more than a turn hears of: the kernel names them again after all others, and some would never be told."""
    mailboxes = [mailbox(reactor, OnReceive=slow) for _ in range(_window.MOST * 2)]
    while reactor.getDelayedCalls():
        turn(reactor)
    mail(*mailboxes)
    (window,) = reactor.getReaders()
    for _ in range(2 * len(mailboxes) // _window.SLICE):
        window.doRead()
    assert {one.names().count("OnReceive") for one in mailboxes} == {2}


def test_what_was_posted_ends_a_turn_that_has_lasted_long_enough(reactor: Any) -> None:
    def slow(one: Recorder) -> None:
        reactor.rightNow += _window.LONGEST

    receiver = mailbox(reactor)
    quiet(reactor, receiver)
    mailboxes = [mailbox(reactor, OnSend=slow) for _ in range(5 * _window.SLICE)]
    mail(receiver)
    (window,) = reactor.getReaders()
    window.doRead()
    # The clock is read when as many were told for the first time.
    assert sum(len(one.told) for one in mailboxes) == 2 * _window.SLICE
    assert receiver.names() == ["OnReceive"]
    # What is left is due at once.
    (call,) = reactor.getDelayedCalls()
    assert call.getTime() <= reactor.seconds()
    turn(reactor)
    turn(reactor)
    assert [one.told for one in mailboxes] == [[("OnSend", 0)]] * len(mailboxes)


def test_a_single_socket_that_is_slow_ends_a_turn_too(reactor: Any, slow: Callable[[Recorder], None]) -> None:
    """It is told in a round after the other."""
    child, peer = connection(reactor, OnReceive=slow)
    peer.sendall(b"x")
    arrived(child)
    turn(reactor)
    assert len(child.told) == 2 * _window.SLICE < _window.ROUNDS
    child.Close()
    peer.close()


def test_the_clock_of_a_turn_that_tells_few_is_not_read(reactor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mailboxes = [mailbox(reactor, OnReceive=Recorder.readAll) for _ in range(_window.SLICE - 1)]
    quiet(reactor, *mailboxes)
    mail(*mailboxes)
    (window,) = reactor.getReaders()
    monkeypatch.setattr(reactor, "seconds", None)
    window.doRead()
    assert [one.names() for one in mailboxes] == [["OnReceive"]] * len(mailboxes)


def test_what_closes_those_that_a_turn_had_no_time_for_is_the_last_word(
    reactor: Any, slow: Callable[[Recorder], None]
) -> None:
    """Also where the handler that ends the turn has closed them, and others have their numbers."""

    def closeRest(one: Recorder) -> None:
        slow(one)
        if len(mailboxes) == 3 * _window.SLICE:
            told = [other for other in mailboxes if "OnReceive" in other.names()]
            if len(told) == _window.SLICE:
                for other in mailboxes:
                    if other not in told:
                        other.Close()
                mailboxes[:] = told

    mailboxes = [mailbox(reactor, OnReceive=closeRest) for _ in range(3 * _window.SLICE)]
    everybody = list(mailboxes)
    while reactor.getDelayedCalls():
        turn(reactor)
    mail(*mailboxes)
    (window,) = reactor.getReaders()
    for _ in range(3):
        window.doRead()
    assert sum("OnReceive" in one.names() for one in everybody) == _window.SLICE
