"""
What a test leaves open, and trial's janitor takes away: C{reactor.removeAll()}, after the tests of a class.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from _bridged import Remembering, served
from _play import Script, play, turns
from _reactors import REACTORS, WAYS, Recorder, must, reactorOf
from _streams import accepted, listening, told
from twisted.internet.protocol import Protocol, ServerFactory

from twisted_casync import SOCK_DGRAM
from twisted_casync.bridges import overCAsyncSockets

ROOT = Path(__file__).resolve().parent.parent


def left(reactor: Any) -> list[Any]:
    """
    @return: what trial would call unclean.
    """
    return [
        *(reader for reader in reactor.getReaders() if reader not in reactor._internalReaders),
        *reactor.getWriters(),
    ]


def echoes(reactor: Any) -> Script:
    """
    A test as others are: two connections over a listener, data, an end; nothing is left of it.
    """
    door = listening(reactor)
    for _ in range(2):
        child, peer = accepted(reactor, door, OnReceive=Recorder.readAll)
        with peer:
            peer.sendall(b"hello")
            yield lambda child=child: child.received == b"hello"  # type: ignore[misc]  # the default is a binding
        yield lambda child=child: child.names()[-1] == "OnClose"  # type: ignore[misc]  # as above
        child.Close()
    door.Close()


@pytest.mark.parametrize("way", WAYS)
def test_what_a_test_leaves_open_is_named_once_and_costs_no_later_test(way: str) -> None:
    """Of a listener, connections, a datagram socket; also while they, and what took them away, are still there."""
    with reactorOf(way) as reactor:
        door = listening(reactor)
        child, peer = accepted(reactor)
        mailbox = Recorder(reactor)
        must(mailbox.Create(0, SOCK_DGRAM))

        def tests() -> Script:
            yield turns()
            removed = reactor.removeAll()
            names = repr(removed)
            assert all(repr(one) in names for one in (door, child, mailbox))
            assert reactor.removeAll() == left(reactor) == []
            for _ in range(2):
                yield from echoes(reactor)
                assert reactor.removeAll() == left(reactor) == []
            child.told.clear()
            peer.sendall(b"x")
            yield turns()
            assert child.told == []
            # Whoever asks for something anew is told again, as one of Twisted's transports that resumes is.
            must(child.AsyncSelect())
            yield lambda: "OnReceive" in child.names()
            for one in (door, child, mailbox):
                one.Close()
            assert left(reactor) == []

        with peer:
            play(reactor, tests())


@pytest.mark.parametrize("way", WAYS)
def test_what_was_left_open_and_nobody_holds_is_closed(way: str) -> None:
    """As a transport of Twisted's is, so that the port is free for the next test."""
    with reactorOf(way) as reactor:
        door = listening(reactor)
        address = must(door.GetSockName())
        reactor.removeAll()
        with pytest.warns(ResourceWarning, match="unclosed"):
            del door
            again = listening(reactor, port=address[1])
        again.Close()


@pytest.mark.parametrize("way", WAYS)
def test_what_was_due_to_what_was_left_open_is_told_nobody(way: str) -> None:
    with reactorOf(way) as reactor:
        child, peer = accepted(reactor)
        for call in reactor.getDelayedCalls():
            # As the janitor does.
            call.cancel()
        reactor.removeAll()

        def script() -> Script:
            yield from echoes(reactor)
            assert child.told == []
            child.Close()

        with peer:
            play(reactor, script())


@pytest.mark.parametrize("way", WAYS)
def test_a_call_that_was_cancelled_keeps_no_later_socket_waiting(way: str) -> None:
    """Of a socket that is still open, and waits for what was posted to it."""
    with reactorOf(way) as reactor:
        first = Recorder(reactor)
        must(first.Create(0, SOCK_DGRAM))
        for call in reactor.getDelayedCalls():
            call.cancel()

        def script() -> Script:
            second = Recorder(reactor)
            must(second.Create(0, SOCK_DGRAM))
            yield lambda: first.told == second.told == told("OnSend")
            for one in (first, second):
                one.Close()

        play(reactor, script())


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_that_is_paused_is_no_more_dirt_than_one_of_Twisted_s(way: str) -> None:
    with reactorOf(way) as reactor:
        protocol = Remembering()
        idle = Recorder(reactor)

        def script() -> Script:
            must(idle.Create(0, SOCK_DGRAM))
            must(idle.AsyncSelect(0))
            peer = served(overCAsyncSockets(reactor), protocol)
            yield lambda: protocol.told == ["connectionMade"]
            protocol.transport.pauseProducing()
            assert reactor.removeAll() == left(reactor) == []
            protocol.transport.resumeProducing()
            with peer:
                peer.sendall(b"hello")
                yield lambda: protocol.received == b"hello"
            yield lambda: protocol.told[-1] == "connectionLost"
            idle.Close()

        play(reactor, script())


@pytest.mark.parametrize("way", WAYS)
def test_a_port_of_the_bridges_that_was_left_open_is_named(way: str) -> None:
    with reactorOf(way) as reactor:
        port = overCAsyncSockets(reactor).listenTCP(0, ServerFactory.forProtocol(Protocol), interface="127.0.0.1")
        assert repr(port) in repr(reactor.removeAll())
        assert reactor.removeAll() == []
        play(reactor, echoes(reactor))
        port.connectionLost()


@pytest.mark.parametrize("way", [way for way in WAYS if way.endswith("window")])
def test_of_many_that_were_left_open_some_are_named(way: str) -> None:
    with reactorOf(way) as reactor:
        many = [Recorder(reactor) for _ in range(300)]
        for one in many:
            must(one.Create(0, SOCK_DGRAM))
        (window,) = reactor.removeAll()
        assert "and 290 more" in repr(window) and len(repr(window)) < 2000
        for one in many:
            one.Close()


class Unspeakable(Recorder):
    """
    One that can't even be named.
    """

    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("way", [way for way in WAYS if way.endswith("window")])
def test_one_that_can_not_be_named_hides_no_other(way: str) -> None:
    with reactorOf(way) as reactor:
        one, other = Unspeakable(reactor), Recorder(reactor)
        for each in (one, other):
            must(each.Create(0, SOCK_DGRAM))
        names = repr(reactor.removeAll())
        assert "Unspeakable" in names and repr(other) in names
        for each in (one, other):
            each.Close()


TESTS = """
import socket
from twisted.internet import defer, reactor, task
from twisted.trial import unittest
from twisted_casync import AfxSocketInit, CAsyncSocket

if {direct}:
    AfxSocketInit(reactor, direct=True)


class Echo(CAsyncSocket):
    def OnReceive(self, nErrorCode):
        buffer = bytearray(100)
        count = self.Receive(buffer)
        if count > 0:
            self.Send(buffer[:count])

    def OnClose(self, nErrorCode):
        self.Close()


class Door(CAsyncSocket):
    def OnAccept(self, nErrorCode):
        self.Accept(Echo())


class Talking(unittest.TestCase):
    def listen(self):
        door = Door()
        assert door.Create(0, lpszSocketAddress="127.0.0.1") and door.Listen()
        return door

    @defer.inlineCallbacks
    def talk(self, door):
        peer = socket.create_connection(door.GetSockName())
        peer.setblocking(False)
        peer.sendall(b"hello")
        for _ in range(1000):
            yield task.deferLater(reactor, 0.005)
            try:
                got = peer.recv(100)
                break
            except BlockingIOError:
                pass
        self.assertEqual(got, b"hello")
        peer.close()
        yield task.deferLater(reactor, 0.05)


class Test1(Talking):
    def test_clean(self):
        door = self.listen()
        self.addCleanup(door.Close)
        return self.talk(door)


class Test2(Talking):
    def test_leaking(self):
        self.__class__.kept = self.listen()
        return self.talk(self.kept)


class Test3(Talking):
    def test_clean(self):
        door = self.listen()
        self.addCleanup(door.Close)
        return self.talk(door)


class Test4(Talking):
    def test_clean_again(self):
        door = self.listen()
        self.addCleanup(door.Close)
        return self.talk(door)
"""


@pytest.mark.programs
@pytest.mark.parametrize("registration", ["window", "direct"])
@pytest.mark.parametrize("name", [name for name in REACTORS if name != "uvloop"])
def test_trial_blames_the_one_test_that_leaks(name: str, registration: str, tmp_path: Path) -> None:
    (tmp_path / "test_talking.py").write_text(TESTS.format(direct=registration == "direct"))
    command = [sys.executable, "-m", "twisted.trial", f"--reactor={name}", "test_talking"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert run.stdout.splitlines()[-1] == "FAILED (errors=1, successes=4)", run.stdout
    report = run.stdout[run.stdout.index("[ERROR]") :]
    assert report.count("DirtyReactorAggregateError") == 1
    assert "<Door listening" in report and "test_talking.Test2.test_leaking" in report
