"""
What a child process does with the sockets that it has inherited, and what its parent hears of that: nothing.
"""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _memory import connection, mail, mailbox, memoryReactor, quiet, turn
from _reactors import must, reactorOf, run
from _streams import accepted
from twisted.logger import capturedLogs, formatEvent

pytestmark = pytest.mark.programs


def inChild(work: Callable[[], None]) -> None:
    """
    Do something in a child process.

    @raise AssertionError: it failed there; its traceback is on standard error.
    """
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            # Nothing of the parent's is to be flushed, or cleaned up, twice.
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def reactor() -> Iterator[Any]:
    with memoryReactor() as reactor:
        yield reactor


def test_what_a_child_closes_stays_watched_in_its_parent(reactor: Any) -> None:
    child, peer = connection(reactor)
    with peer:
        inChild(child.Close)
        peer.sendall(b"hello")
        turn(reactor)
        assert child.names() == ["OnReceive"]
        child.Close()


def test_what_a_child_asks_for_its_parent_does_not_hear_of(reactor: Any) -> None:
    one = mailbox(reactor)
    quiet(reactor, one)
    inChild(lambda: must(one.AsyncSelect(0)))
    mail(one)
    turn(reactor)
    assert one.names() == ["OnReceive"]
    one.Close()


def test_a_child_goes_on_with_the_sockets_that_it_has(reactor: Any) -> None:
    """In a set of its own, with what each was watched for."""
    children = [connection(reactor) for _ in range(3)]

    def goOn() -> None:
        (first, _), (second, peer), (third, other) = children
        first.Close()
        must(third.AsyncSelect(0))
        peer.sendall(b"hello")
        other.sendall(b"hello")
        turn(reactor)
        assert [one.names() for one in (first, second, third)] == [[], ["OnReceive"], []]
        must(third.AsyncSelect())
        turn(reactor)
        assert third.names() == ["OnReceive", "OnSend"]

    inChild(goOn)
    turn(reactor)
    # The data is there for both, and the parent is told of it too: it was in nobody's way.
    assert [one.names() for one, _ in children] == [[], ["OnReceive"], ["OnReceive"]]
    for one, peer in children:
        one.Close()
        peer.close()


def test_a_child_that_touches_no_socket_makes_no_set(reactor: Any) -> None:
    """Most children only become another program."""
    child, peer = connection(reactor)
    (window,) = reactor.getReaders()
    before = os.readlink(f"/proc/self/fd/{window.fileno()}")

    def look() -> None:
        assert os.readlink(f"/proc/self/fd/{window.fileno()}") == before

    inChild(look)
    child.Close()
    peer.close()


def test_the_casync_reactor_of_a_child_has_a_set_of_its_own() -> None:
    """With the sockets and with what else it watches; and the parent's stays as it is."""
    with reactorOf("casync-window") as reactor:
        child, peer = accepted(reactor)
        here, there = socket.socketpair()
        reader = Reader(here)
        reactor.addReader(reader)

        def goOn() -> None:
            peer.sendall(b"hello")
            there.sendall(b"hello")
            run(reactor, lambda: "OnReceive" in child.names() and reader.times > 0)
            child.Close()
            reactor.removeReader(reader)

        with peer, here, there:
            inChild(goOn)
            run(reactor, lambda: "OnReceive" in child.names() and reader.times > 0)
            reactor.removeReader(reader)
            child.Close()


def test_a_child_of_a_reactor_that_is_not_known_says_what_it_can_not_see_to(reactor: Any) -> None:
    """What that one watches with may be shared; the sockets' own set is not."""
    child, peer = connection(reactor)

    def goOn() -> None:
        with capturedLogs() as events:
            peer.sendall(b"hello")
            turn(reactor)
        assert child.names() == ["OnReceive"]
        (event,) = [event for event in events if event["log_namespace"] == "casync"]
        assert "may share with the parent process" in formatEvent(event)

    inChild(goOn)
    child.Close()
    peer.close()


class Reader:
    """
    Something that the reactor watches, and that is no CAsyncSocket.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.times = 0

    def fileno(self) -> int:
        return self.sock.fileno()

    def logPrefix(self) -> str:
        return "Reader"

    def doRead(self) -> None:
        self.times += 1

    def connectionLost(self, reason: object) -> None:
        """The reactor stops."""
