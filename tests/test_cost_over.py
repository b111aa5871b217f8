"""
What a message, and an idle connection, cost over a transport, beside what the transport itself takes: calls of
functions, instructions of the interpreter, memory.  None of it depends on the machine's mood, as in C{test_cost.py}.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from types import CodeType
from typing import Any

import pytest
from _costs import functionCalls, instructions
from _reactors import must
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from twisted_casync import CAsyncSocket
from twisted_casync.bridges import listenOver

MESSAGES = 1000

FUNCTION_CALLS = {
    # dataReceived, feed, fed, tell, OnReceive, Receive, recv_into, taken, Send, send, carry.
    "Python": 11,
    # Whose thread it is, three times; which socket, twice; how many bytes, three times; a copy out and one in.
    "C": 10,
}

INSTRUCTIONS = 460
"""Of the interpreter, for the echo of one message: 417 with CPython 3.11."""

IDLE = 880
"""Bytes of memory for one connection, the socket of the program included: 815 with CPython 3.11."""

BUFFER = bytearray(100)
VIEW = memoryview(BUFFER)
LOCAL = "127.0.0.1"


class Echo(CAsyncSocket):
    """
    As an application would write it.
    """

    __slots__ = ()

    def OnReceive(self, nErrorCode: int) -> None:
        nRead = self.Receive(BUFFER)
        if nRead > 0:
            self.Send(VIEW[:nRead])


class Door(CAsyncSocket):
    """
    Accepts whoever comes.
    """

    def OnAccept(self, nErrorCode: int) -> None:
        must(self.Accept(Echo()))


class Transport:
    """
    One that costs as good as nothing.
    """

    __slots__ = ("client", "producer", "protocol", "written")

    def __init__(self, port: int) -> None:
        self.client = (LOCAL, port)
        self.protocol: Any = None
        self.producer: Any = None
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written = data

    def getHost(self) -> IPv4Address:
        # Anew each time, as Twisted's do.
        return IPv4Address("TCP", ".".join(["127", "0", "0", "1"]), 8080)

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", *self.client)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def loseConnection(self) -> None:
        self.protocol = None


class Here:
    """
    An endpoint, and its port, for what a test connects.
    """

    def __init__(self) -> None:
        self.clock = Clock()

    def listen(self, factory: Any) -> Deferred[Any]:
        self.factory = factory
        return succeed(self)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", LOCAL, 8080)

    def stopListening(self) -> None:
        pass

    def connect(self, transport: Transport) -> Any:
        """
        @return: the protocol of a connection that is accepted.
        """
        transport.protocol = protocol = self.factory.buildProtocol(None)
        protocol.makeConnection(transport)
        self.clock.advance(0)
        return protocol


@pytest.fixture
def here() -> Iterator[Here]:
    endpoint, door = Here(), Door()
    listenOver(door, endpoint, reactor=endpoint.clock)  # type: ignore[arg-type]  # as much of one as is used
    yield endpoint
    door.Close()


@pytest.fixture
def echoes(here: Here) -> Callable[[int], None]:
    """
    What echoes so many messages of one connection.
    """
    transport = Transport(1)
    dataReceived = here.connect(transport).dataReceived

    def run(count: int) -> None:
        for _ in range(count):
            dataReceived(b"hello")
        assert transport.written == b"hello"

    run(10)
    return run


def outside(code: CodeType) -> bool:
    """
    @return: whether a function is the test's own, and no message's.
    """
    return code.co_filename == __file__ and code.co_name != "OnReceive"


def test_a_message_calls_no_function_more(echoes: Callable[[int], None]) -> None:
    calls = functionCalls(partial(echoes, MESSAGES), outside)
    assert {kind: count / MESSAGES for kind, count in calls.items()} == FUNCTION_CALLS


def test_a_message_takes_no_instruction_more(echoes: Callable[[int], None]) -> None:
    assert instructions(partial(echoes, 100), ("run", "write")) / 100 <= INSTRUCTIONS


def test_messages_leave_no_memory_behind(echoes: Callable[[int], None]) -> None:
    before = sys.getallocatedblocks()
    echoes(MESSAGES)
    assert sys.getallocatedblocks() - before < 10


def test_an_idle_connection_keeps_no_byte_more(here: Here) -> None:
    transports = [Transport(port) for port in range(10_000, 12_000)]
    gc.collect()
    tracemalloc.start(1)
    try:
        for transport in transports:
            here.connect(transport)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept / len(transports) <= IDLE
