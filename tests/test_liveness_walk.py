"""
A connected socket in any order of what its program and its peer can do: an event that is selected and holds is told,
once, until it is enabled again; and nothing else is.

What holds the test reads from what was done, in the words of docs/decisions.md: it knows no bits, and no socket.
"""

from __future__ import annotations

import copy
import os
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from _memory import connection, memoryReactor, quiet, turn
from _reactors import Recorder, must
from _streams import fill
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from twisted_casync import FD_CLOSE, FD_OOB, FD_READ, FD_WRITE, MSG_OOB, SO_ERROR, SO_LINGER, CAsyncSocket
from twisted_casync.testing import MemoryNetwork

LONG = bool(os.environ.get("TWISTED_CASYNC_LONG"))
EVENTS = {"OnReceive": FD_READ, "OnOutOfBandData": FD_OOB, "OnSend": FD_WRITE, "OnClose": FD_CLOSE}

masks = st.frozensets(st.sampled_from(list(EVENTS)))


def bits(names: frozenset[str]) -> int:
    return sum(EVENTS[name] for name in names)


class Plain:
    """
    A peer that is a plain socket.
    """

    def __init__(self, peer: socket.socket) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peer = peer

    def send(self, data: bytes, urgent: bool = False) -> None:
        self.peer.send(data, socket.MSG_OOB if urgent else 0)

    def finish(self) -> None:
        self.peer.shutdown(socket.SHUT_WR)

    def drain(self, count: int) -> None:
        while count:
            count -= len(self.peer.recv(count))

    def reset(self) -> None:
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.peer.close()

    def close(self) -> None:
        self.peer.close()


class InMemory:
    """
    A peer that is a socket over the same network in memory.
    """

    def __init__(self, peer: CAsyncSocket) -> None:
        self.peer = peer

    def send(self, data: bytes, urgent: bool = False) -> None:
        assert self.peer.Send(data, None, MSG_OOB if urgent else 0) == len(data)

    def finish(self) -> None:
        must(self.peer.ShutDown())

    def drain(self, count: int) -> None:
        room = bytearray(65536)
        while self.peer.Receive(room) > 0:
            pass

    def reset(self) -> None:
        must(self.peer.SetSockOpt(SO_LINGER, (1, 0)))
        self.peer.Close()

    def close(self) -> None:
        self.peer.Close()


class World(RuleBasedStateMachine):
    """
    One connected socket, and what was done to it.

    @ivar due: the events that would be told if they held.
    @ivar unread: how many bytes wait; they stand behind the urgent byte, if one waits.
    @ivar full: how many bytes the peer has not received, after a Send would have blocked.
    @ivar known: how the connection was lost was told.
    """

    sock: Recorder
    peer: Any
    pump: Callable[[], object]

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.selected = self.due = frozenset(EVENTS)
        self.unread = self.full = 0
        self.urgent = self.ended = self.lost = self.known = False
        self.receives = self.sends = True

    def world(self) -> tuple[Recorder, Any, Callable[[], object]]:
        """
        @return: a socket that was told that it can send, its peer, and what lets everything happen that is to.
        """
        raise NotImplementedError

    @initialize()
    def connect(self) -> None:
        self.sock, self.peer, self.pump = self.world()
        self.due -= {"OnSend"}

    def teardown(self) -> None:
        if hasattr(self, "sock"):
            self.sock.Close()
            self.peer.close()
        self.stack.close()

    # -- what holds

    def holds(self) -> frozenset[str]:
        read = bool(self.unread) and self.receives
        waits = read and "OnReceive" in self.selected
        write = "OnClose" not in self.selected and not self.known if self.lost else not self.full
        return frozenset(
            name
            for name, holds in {
                "OnReceive": read,
                "OnOutOfBandData": self.urgent and self.receives,
                "OnSend": write and self.sends,
                "OnClose": self.lost or (self.ended and not waits),
            }.items()
            if holds
        )

    @invariant()
    def told(self) -> None:
        if not hasattr(self, "sock"):
            return
        self.sock.told.clear()
        self.pump()
        if self.lost and not self.known and self.sends and "OnSend" in self.due & self.selected:
            # A Send waits, or somebody would like to: whatever was told of the end of the stream.
            self.due |= {"OnClose"}
        expected = self.holds() & self.selected & self.due
        if self.full and not self.lost and "OnSend" in self.sock.names():
            # Linux has found more room, when the peer has acknowledged what it got.
            expected |= {"OnSend"} & self.selected & self.due
        assert sorted(self.sock.names()) == sorted(expected)
        for name, code in self.sock.told:
            assert bool(code) == (name == "OnClose" and self.lost)
        self.due -= expected
        self.known = self.known or (self.lost and "OnClose" in expected)

    # -- what the program does

    @rule(names=masks)
    def select(self, names: frozenset[str]) -> None:
        must(self.sock.AsyncSelect(bits(names)))
        self.selected, self.due = names, frozenset(EVENTS)

    @rule(count=st.sampled_from([1, 2, 100]))
    def receive(self, count: int) -> None:
        got = self.sock.Receive(bytearray(count))
        if self.receives:
            assert got == (min(count, self.unread) or (0 if self.ended and not self.lost else -1))
            self.unread -= max(got, 0)
        else:
            assert got == -1
        self.due |= {"OnReceive", "OnOutOfBandData"}

    @rule()
    def receiveUrgent(self) -> None:
        got = self.sock.Receive(bytearray(1), 1, MSG_OOB)
        assert (got == 1) == (self.urgent and self.receives)
        self.urgent = self.urgent and got != 1
        self.due |= {"OnOutOfBandData"}

    @precondition(lambda self: self.sends and not self.lost)
    @rule()
    def send(self) -> None:
        self.full += fill(self.sock)
        self.due |= {"OnSend"}

    @rule(how=st.sampled_from([CAsyncSocket.receives, CAsyncSocket.sends, CAsyncSocket.both]))
    def shutDown(self, how: int) -> None:
        must(self.sock.ShutDown(how))
        self.receives = self.receives and how == CAsyncSocket.sends
        self.sends = self.sends and how == CAsyncSocket.receives

    @rule()
    def ask(self) -> None:
        assert self.sock.GetSockOpt(SO_ERROR) == 0

    @rule(names=masks, how=st.sampled_from(["Attach", "copy"]))
    def handOn(self, names: frozenset[str], how: str) -> None:
        if how == "Attach":
            heir = Recorder(self.sock._as_asked)
            must(heir.Attach(self.sock.Detach(), bits(names)))
        else:
            heir = self.duplicate()
            self.sock.Close()
            must(heir.AsyncSelect(bits(names)))
        self.sock = heir
        self.selected, self.due, self.known = names, frozenset(EVENTS), False

    def duplicate(self) -> Recorder:
        heir = copy.copy(self.sock)
        heir.told = []
        return heir

    # -- what the peer does

    def _isGone(self) -> bool:
        return self.lost or self.ended

    @precondition(lambda self: not self._isGone())
    @rule(count=st.sampled_from([1, 3]))
    def peerSends(self, count: int) -> None:
        self.peer.send(bytes(count))
        self.unread += count

    @precondition(lambda self: not self._isGone() and not self.unread and not self.urgent)
    @rule()
    def peerSendsUrgent(self) -> None:
        self.peer.send(b"!", True)
        self.urgent = True

    @precondition(lambda self: not self._isGone())
    @rule()
    def peerFinishes(self) -> None:
        self.peer.finish()
        self.ended = True

    @precondition(lambda self: self.full and not self.lost)
    @rule()
    def peerReceives(self) -> None:
        self.peer.drain(self.full)
        self.full = 0

    @precondition(lambda self: not self.lost and not self.urgent and (self.sends or not self.ended))
    @rule()
    def peerResets(self) -> None:
        self.peer.reset()
        self.lost = True


class OverTCP(World):
    direct = False

    def world(self) -> tuple[Recorder, Any, Callable[[], object]]:
        reactor = self.stack.enter_context(memoryReactor(self.direct))
        child, peer = connection(reactor)

        def pump() -> None:
            for _ in range(4):
                turn(reactor)

        quiet(reactor, child)
        return child, Plain(peer), pump


class Directly(OverTCP):
    direct = True


class OverMemory(World):
    def world(self) -> tuple[Recorder, Any, Callable[[], object]]:
        network = self.stack.enter_context(MemoryNetwork().installed())
        near, far = Recorder(), CAsyncSocket()
        network.pair(near, far)
        network.settle()
        must(far.AsyncSelect(0))
        return near, InMemory(far), network.settle

    def duplicate(self) -> Recorder:
        # There is nothing to duplicate.
        heir = Recorder()
        must(heir.Attach(self.sock.Detach(), 0))
        return heir


TestOverTCP = OverTCP.TestCase
TestDirectly = Directly.TestCase
TestOverMemory = OverMemory.TestCase
for case in (TestOverTCP, TestDirectly, TestOverMemory):
    case.settings = settings(
        max_examples=1000 if LONG else 40,
        stateful_step_count=30,
        deadline=None,
        derandomize=not LONG,
    )
