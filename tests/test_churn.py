"""
Connections that come and go in every way, and messages without end, leave nothing behind.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from _reactors import WAYS, must, reactorOf, run
from _streams import LOCALHOST, refusingPort
from twisted.logger import ILogObserver, LogEvent, Logger, capturedLogs

from twisted_casync import (
    LINGER,
    MSG_OOB,
    SO_LINGER,
    SOCK_DGRAM,
    SOMAXCONN,
    CAsyncSocket,
    _failures,
)

LONG = bool(os.environ.get("TWISTED_CASYNC_LONG"))

# On each of the ten ways to be registered.
CONNECTIONS = 2_000 if LONG else 200
MESSAGES = 100_000 if LONG else 10_000

AT_ONCE = 20
"""How many connections are open at the same time."""


class Mistake(Exception):
    """
    What a handler raises.
    """


# -- connections


class Peer(CAsyncSocket):
    """
    One end of a connection that ends in a certain way.

    @ivar course: what this end does, by the name of the handler.
    @ivar ended: what to call when it has ended.
    """

    def __init__(self, reactor: Any, course: dict[str, Callable[[Peer], Any]], ended: Callable[[], None]) -> None:
        super().__init__(reactor)
        self.course = course
        self.ended = ended
        self.received = 0

    def _do(self, handler: str) -> None:
        if handler in self.course:
            self.course[handler](self)

    def OnConnect(self, nErrorCode: int) -> None:
        if nErrorCode:
            self.end()
        else:
            self._do("OnConnect")

    def OnReceive(self, nErrorCode: int) -> None:
        self._do("OnReceive")

    def OnSend(self, nErrorCode: int) -> None:
        self._do("OnSend")

    def OnOutOfBandData(self, nErrorCode: int) -> None:
        self._do("OnOutOfBandData")

    def OnClose(self, nErrorCode: int) -> None:
        self._do("OnClose")
        self.end()

    def end(self) -> None:
        self.Close()
        self.ended()

    def abort(self) -> None:
        """
        Close with a reset.
        """
        must(self.SetSockOpt(SO_LINGER, LINGER(1, 0)))
        self.end()

    def hello(self) -> None:
        must(self.Send(b"hello"))

    def read(self) -> None:
        buffer = bytearray(100)
        self.received += max(0, self.Receive(buffer))

    def urge(self) -> None:
        must(self.Send(b"!", 1, MSG_OOB))

    def readUrgent(self) -> None:
        must(self.Receive(bytearray(1), 1, MSG_OOB))
        self.end()

    def answerAndEnd(self) -> None:
        """
        Of a stream that the peer has ended: all of it came, and an answer can still be sent.
        """
        assert self.received == 5
        self.hello()

    def fail(self) -> None:
        raise Mistake

    def helloAndEnd(self) -> None:
        self.hello()
        self.end()

    def helloAndAbort(self) -> None:
        self.hello()
        self.abort()

    def helloAndHalfClose(self) -> None:
        self.hello()
        must(self.ShutDown())


Course = dict[str, Callable[[Peer], Any]]

READS: Course = {"OnReceive": Peer.read}

# What the client does, and what the accepted socket does.
COURSES: dict[str, tuple[Course, Course]] = {
    "closed by the client": ({"OnConnect": Peer.end}, READS),
    "closed by the server": (READS, {"OnSend": Peer.end}),
    "closed with data unread": ({"OnConnect": Peer.hello}, {"OnReceive": Peer.end}),
    "closed behind data": ({"OnConnect": Peer.helloAndEnd}, READS),
    "half closed": ({"OnConnect": Peer.helloAndHalfClose, **READS}, {**READS, "OnClose": Peer.answerAndEnd}),
    "reset by the client": ({"OnConnect": Peer.abort}, READS),
    "reset by the server": ({"OnConnect": Peer.hello, **READS}, {"OnReceive": Peer.abort}),
    "reset with data unread": ({"OnConnect": Peer.helloAndAbort}, {}),
    "ended after an urgent byte": ({"OnConnect": Peer.urge}, {"OnOutOfBandData": Peer.readUrgent}),
    "ended by a mistake of the server": ({"OnConnect": Peer.hello}, {"OnReceive": Peer.fail}),
    "ended by a mistake of the client": ({"OnConnect": Peer.fail}, {}),
}
MISTAKES = sum("mistake" in name for name in COURSES)


class Churn:
    """
    Opens connections, some at the same time, each on the course that is next.

    @ivar opened: every socket there was.
    """

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.opened: weakref.WeakSet[CAsyncSocket] = weakref.WeakSet()
        self.left = 0
        # Of connections, each of which has two.
        self.ends = 0
        # Of the connections that were not accepted yet: the kernel keeps them in order, also those that were reset.
        self.courses: deque[Course] = deque()
        self.deadPort, self._holder = refusingPort()
        churn = self

        class Listener(CAsyncSocket):
            def OnAccept(self, nErrorCode: int) -> None:
                child = Peer(churn.reactor, {}, churn.ended)
                churn.opened.add(child)
                must(self.Accept(child))
                child.course = churn.courses.popleft()

        self.listener = Listener(reactor)
        must(self.listener.Create(lpszSocketAddress=LOCALHOST))
        must(self.listener.Listen(SOMAXCONN))
        self.port = must(self.listener.GetSockName())[1]

    def begin(self, count: int) -> None:
        """
        @param count: how many connections of each course are to come and go.
        """
        self.left = count * len(COURSES)
        self.more()

    def more(self) -> None:
        while self.left and self.ends < 2 * AT_ONCE:
            self.left -= 1
            self.connect(*list(COURSES.values())[self.left % len(COURSES)])
            if self.left % len(COURSES) == 0:
                self.ends += 1
                self.client({}).Connect(LOCALHOST, self.deadPort)

    def connect(self, ours: Course, theirs: Course) -> None:
        self.ends += 2
        self.courses.append(theirs)
        self.client(ours).Connect(LOCALHOST, self.port)

    def client(self, course: Course) -> Peer:
        client = Peer(self.reactor, course, self.ended)
        self.opened.add(client)
        must(client.Create())
        return client

    def ended(self) -> None:
        self.ends -= 1
        self.reactor.callLater(0, self.more)

    def close(self) -> None:
        self.listener.Close()
        self._holder.close()

    def done(self) -> bool:
        return (not self.left and not self.ends) or self.listener.m_hSocket == -1


@contextmanager
def withoutCollector() -> Iterator[None]:
    """
    What is garbage goes at once, or it is in a cycle, which nothing of ours is to be.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


# A descriptor that only Python's own destructor closes was forgotten.
@pytest.mark.filterwarnings("error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", WAYS)
def test_connections_that_end_in_every_way_leave_nothing_behind(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mistakes: list[LogEvent] = []
    # Twisted's own log keeps what it is told until somebody listens.
    monkeypatch.setattr(_failures, "_log", Logger(observer=cast(ILogObserver, mistakes.append)))
    perCourse = CONNECTIONS // len(COURSES) + 1
    with reactorOf(way) as reactor, capturedLogs() as events, withoutCollector():
        began = descriptors()
        churn = Churn(reactor)
        churn.begin(perCourse)
        run(reactor, churn.done, limit=120)
        churn.close()
        assert [type(event["log_failure"].value) for event in mistakes] == [Mistake] * (MISTAKES * perCourse)
        mistakes.clear()
        assert [event for event in events if "log_failure" in event] == []
        assert len(churn.opened) == 0, f"still there: {list(churn.opened)}"
        assert not churn.courses
        assert descriptors() == began
        assert not [reader for reader in reactor.getReaders() if reader not in reactor._internalReaders]
        assert not reactor.getWriters()
        assert not [call for call in reactor.getDelayedCalls() if call.func.__module__.startswith("twisted_casync")]


# -- messages


class Player(CAsyncSocket):
    """
    Sends back what comes.
    """

    def __init__(self, reactor: Any, buffer: memoryview) -> None:
        super().__init__(reactor)
        self.buffer = buffer
        self.count = 0

    def OnReceive(self, nErrorCode: int) -> None:
        self.count += 1
        must(self.Send(self.buffer[: must(self.Receive(self.buffer))]))


class DatagramPlayer(Player):
    def OnReceive(self, nErrorCode: int) -> None:
        self.count += 1
        count, peer = must(self.ReceiveFrom(self.buffer))
        must(self.SendTo(self.buffer, count, peer))


def streams(reactor: Any, buffer: memoryview) -> list[Player]:
    """
    @return: the two ends of a connection.
    """
    here, there = Player(reactor, buffer), Player(reactor, buffer)
    listener = CAsyncSocket(reactor)
    must(listener.Create(lpszSocketAddress=LOCALHOST))
    must(listener.Listen())
    must(here.Create())
    here.Connect(must(listener.GetSockName()))
    must(listener.Accept(there))
    listener.Close()
    return [here, there]


def datagrams(reactor: Any, buffer: memoryview) -> list[Player]:
    """
    @return: two that know each other.
    """
    players: list[Player] = [DatagramPlayer(reactor, buffer) for _ in range(2)]
    for player in players:
        must(player.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
    must(players[0].Connect(must(players[1].GetSockName())))
    return players


def resident() -> int:
    """
    @return: the bytes of memory that this process has.
    """
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def occupied() -> tuple[int, int]:
    """
    @return: the small objects that there are, and the bytes of memory.
    """
    gc.collect()
    return sys.getallocatedblocks(), resident()


@pytest.mark.parametrize("way", WAYS)
def test_messages_without_end_cost_no_memory(way: str) -> None:
    buffer = memoryview(bytearray(2000))
    with reactorOf(way) as reactor:
        players = [player for _ in range(4) for pair in (streams, datagrams) for player in pair(reactor, buffer)]
        measured: list[tuple[int, int]] = []

        def enough() -> bool:
            count = sum(player.count for player in players)
            if not measured and count > MESSAGES // 5 or measured and count > MESSAGES + MESSAGES // 5:
                measured.append(occupied())
            return len(measured) == 2

        for player in players[::2]:
            must(player.Send(b"over and over"))
        run(reactor, enough, limit=120)
        assert min(player.count for player in players) > 0
    (objects, size), (moreObjects, moreSize) = measured
    # Not one in a hundred messages leaves something behind.
    assert moreObjects - objects < MESSAGES // 100
    assert moreSize - size < 1_000_000
