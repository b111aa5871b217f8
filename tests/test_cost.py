"""
What a message, and a connection, cost, in what can be counted: system calls, registrations, calls of functions,
instructions of the interpreter, memory.  None of it depends on the machine's mood: what is over a bound has grown.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from _costs import functionCalls, instructions, systemCalls
from _memory import connection, memoryReactor, turn
from _reactors import must

from twisted_casync import CAsyncSocket
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
