"""
What a message, and a connection, cost, in what can be counted: system calls, registrations, calls of functions,
instructions of the interpreter, memory.  None of it depends on the machine's mood: what is over a bound has grown.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any, cast

import pytest
from _costs import functionCalls, instructions, systemCalls
from _memory import LOCALHOST, connection, memoryReactor, turn
from _reactors import LIMIT, must

import twisted_casync
from twisted_casync import SOCK_DGRAM, CAsyncSocket
from twisted_casync._window import nobody

MESSAGES = 1000

SYSTEM_CALLS = {
    # scene: (in all, epoll_ctl), for each message; the last part of the first is what all share in one wait.
    "calls": (2.1, 0.0),
    # accept4, getsockname, FIONBIO, a look, epoll_ctl twice, recvfrom, sendto, a peek at the end, close; and a share of
    # epoll_wait, and of TCP_INFO, which says how many wait.
    "calls-connect": (10.4, 2.0),
    "calls-datagrams": (3.2, 0.0),
}

FUNCTION_CALLS = {
    # OnReceive, Receive, Send.
    "Python": 3,
    # recv_into, send, and whose thread it is, twice.
    "C": 4,
}

INSTRUCTIONS = 185
"""Of the interpreter, for the echo of one message that is a batch of its own: 165 with CPython 3.11."""

AT_ONCE = 10
CONNECTION_CALLS = {"Python": 42, "C": 32}
"""Of a connection, of which so many come at once: it is accepted, has a message echoed, and goes."""

DATAGRAM_CALLS = {"Python": 4.2, "C": 8.2}
"""Of an echo of one of so many datagrams that wait for one socket, with one ReceiveFrom a notification."""

BUFFER = bytearray(100)
VIEW = memoryview(BUFFER)


class Echo(CAsyncSocket):
    """
    As an application would write it.
    """

    __slots__ = ()

    def OnReceive(self, nErrorCode: int) -> None:
        nRead = self.Receive(BUFFER)
        if nRead > 0:
            self.Send(VIEW[:nRead])


@pytest.fixture
def echoes() -> Iterator[Callable[[int], None]]:
    """
    What echoes so many messages of one connection, each found ready by the kernel's word.
    """
    with memoryReactor() as reactor:
        child, peer = connection(reactor)
        one: Any = Echo(reactor)
        must(one.Attach(child.Detach()))
        turn(reactor)
        window: Any = one._as_window
        with peer:

            def run(count: int) -> None:
                for _ in range(count):
                    peer.send(b"hello")
                    batch = window._inner.ready(10)
                    window.tell(batch, nobody)
                    assert peer.recv(100) == b"hello"

            run(10)
            yield run
        one.Close()


class Guest(Echo):
    """
    Goes when its peer has.
    """

    __slots__ = ()

    def OnClose(self, nErrorCode: int) -> None:
        self.Close()


class Door(CAsyncSocket):
    """
    Accepts whoever comes.
    """

    def OnAccept(self, nErrorCode: int) -> None:
        must(self.Accept(Guest()))


class Mailbox(CAsyncSocket):
    """
    Answers one datagram a notification.
    """

    def OnReceive(self, nErrorCode: int) -> None:
        count, source = self.ReceiveFrom(BUFFER)
        self.SendTo(VIEW[:count], None, source)


def counted(turns: Callable[[], None]) -> dict[str, float]:
    """
    @return: the calls of this package's functions, and those that they make, for each of those that come at once.
    """
    turns()
    package = str(Path(twisted_casync.__file__).parent)
    calls = functionCalls(turns, lambda code: not code.co_filename.startswith(package))
    return {kind: count / AT_ONCE for kind, count in calls.items()}


def test_a_connection_calls_no_function_more() -> None:
    with memoryReactor():
        door = Door()
        must(door.Create(lpszSocketAddress=LOCALHOST))
        must(door.Listen(AT_ONCE))
        name, window = must(door.GetSockName()), cast(Any, door._as_window)

        def connections() -> None:
            peers = [socket.create_connection(name, LIMIT) for _ in range(AT_ONCE)]
            for peer in peers:
                peer.sendall(b"hello")
            window.turn()
            for peer in peers:
                assert peer.recv(100) == b"hello"
                peer.close()
            window.turn()
            assert list(window.handles) == [door]

        calls = counted(connections)
        door.Close()
    assert {kind: calls[kind] for kind in calls if calls[kind] > CONNECTION_CALLS[kind]} == {}


def test_a_datagram_calls_no_function_more() -> None:
    with memoryReactor() as reactor, socket.socket(type=socket.SOCK_DGRAM) as peer:
        mailbox = Mailbox()
        must(mailbox.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
        turn(reactor)
        peer.connect(must(mailbox.GetSockName()))
        window = cast(Any, mailbox._as_window)

        def datagrams() -> None:
            for _ in range(AT_ONCE):
                peer.send(b"hello")
            window.turn()
            for _ in range(AT_ONCE):
                assert peer.recv(100) == b"hello"

        calls = counted(datagrams)
        mailbox.Close()
    assert {kind: calls[kind] for kind in calls if calls[kind] > DATAGRAM_CALLS[kind]} == {}


def shared(code: CodeType) -> bool:
    """
    @return: whether a function is the test's own, or one that a batch shares: no message's.
    """
    return code.co_name in ("run", "ready", "tell")


def test_a_message_calls_no_function_more(echoes: Callable[[int], None]) -> None:
    calls = functionCalls(partial(echoes, MESSAGES), shared)
    assert {kind: count / MESSAGES for kind, count in calls.items()} == FUNCTION_CALLS


def test_a_message_takes_no_instruction_more(echoes: Callable[[int], None]) -> None:
    assert instructions(partial(echoes, 100), ("run", "ready")) / 100 <= INSTRUCTIONS


def test_messages_leave_no_memory_behind(echoes: Callable[[int], None]) -> None:
    before = sys.getallocatedblocks()
    echoes(MESSAGES)
    assert sys.getallocatedblocks() - before < 10


@pytest.mark.programs
@pytest.mark.slow
@pytest.mark.parametrize("server", ["window", "casync"])
def test_a_message_and_a_connection_make_no_system_call_more(server: str, tmp_path: Path) -> None:
    for scene, values in systemCalls(server, SYSTEM_CALLS, tmp_path).items():
        calls, registrations = SYSTEM_CALLS[scene]
        assert values["calls"] <= calls, values
        assert values["registering"] <= registrations + 0.01, values
