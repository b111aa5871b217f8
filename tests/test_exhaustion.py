"""
Out of descriptors: what can't be opened fails with WSAEMFILE and leaves nothing behind; a server goes on, and accepts
again by itself when there are descriptors.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from _play import Script, play, played, turns
from _reactors import WAYS, Recorder, must, reactorOf
from _streams import LOCALHOST, accepted, listening, portOf, told
from _twistd import PATIENCE, twistd

from twisted_casync import SOCK_DGRAM, SOCK_STREAM, CAsyncSocket, GetLastError, WSAError
from twisted_casync._threads import windowOf
from twisted_casync.reactor import ReactorWindow

TRIES = 4
"""How often Accept fails in these tests: nearly half a second at the pace of ten times a second."""


class Scarcity:
    """
    A process that has few descriptors left.
    """

    def __init__(self) -> None:
        self._fillers: list[int] = []

    def left(self) -> int:
        """
        @return: how many could be opened; none of them can from now on.
        """
        count = 0
        while True:
            try:
                self._fillers.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                return count
            count += 1

    def free(self, count: int) -> None:
        """
        @param count: how many more can be opened from now on.
        """
        for _ in range(count):
            os.close(self._fillers.pop())

    def leave(self, count: int) -> None:
        """
        @param count: how many can be opened from now on.
        """
        self.left()
        self.free(count)


@contextmanager
def scarcity() -> Iterator[Scarcity]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (most + 40, hard))
    scarce = Scarcity()
    try:
        yield scarce
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        scarce.free(len(scarce._fillers))


# -- accepting


class Server:
    """
    A listener that takes one connection a notification, or all there are; they echo.
    """

    def __init__(self, reactor: Any, all: bool) -> None:
        self.reactor = reactor
        self.all = all
        self.children: list[Recorder] = []
        self.failures: list[WSAError] = []
        self.listener = listening(reactor, OnAccept=self.accept)

    def accept(self, listener: Recorder) -> None:
        while True:
            child = Recorder(self.reactor, OnReceive=self.echo)
            if not listener.Accept(child):
                assert child.m_hSocket == -1
                if GetLastError() != WSAError.WSAEWOULDBLOCK:
                    self.failures.append(GetLastError())
                return
            self.children.append(child)
            if not self.all:
                return

    @staticmethod
    def echo(child: Recorder) -> None:
        buffer = bytearray(100)
        count = child.Receive(buffer)
        if count > 0:
            must(child.Send(buffer, count))


def answered(peer: socket.socket) -> bool:
    """
    @return: whether the echo of what was sent has come.
    """
    peer.setblocking(False)
    try:
        return bool(peer.recv(100))
    except BlockingIOError:
        return False


def waitingForDescriptors(reactor: Any) -> Script:
    servers = [Server(reactor, all=False), Server(reactor, all=True)]
    established = [socket.create_connection((LOCALHOST, portOf(server.listener))) for server in servers]
    yield lambda: all(len(server.children) == 1 for server in servers)
    late = [(socket.socket(), server) for server in servers for _ in range(3)]
    with scarcity() as scarce:
        scarce.leave(0)
        for peer, server in late:
            peer.connect((LOCALHOST, portOf(server.listener)))
            peer.sendall(b"late")
        yield lambda: all(server.failures for server in servers)
        began, used = time.monotonic(), time.thread_time()
        # What is connected goes on meanwhile.
        for peer in established:
            peer.sendall(b"early")
        for peer in established:
            yield lambda peer=peer: answered(peer)  # type: ignore[misc]  # the default is a binding
        yield lambda: all(len(server.failures) >= TRIES for server in servers)
        assert time.monotonic() - began > 0.1 * (TRIES - 1.5)
        assert time.thread_time() - used < 0.1, "it spins"
        for server in servers:
            assert set(server.failures) == {WSAError.WSAEMFILE}
            assert len(server.failures) <= TRIES + 1
            assert len(server.children) == 1
        scarce.free(len(late))
        yield lambda: all(len(server.children) == 4 for server in servers)
    for peer, _ in late:
        yield lambda peer=peer: answered(peer)  # type: ignore[misc]  # the default is a binding
        peer.close()
    for peer in established:
        peer.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_listener_waits_for_descriptors_and_then_accepts_by_itself(way: str) -> None:
    with reactorOf(way) as reactor:
        # At the usual pace a poll reactor, which counts milliseconds, is kept busy by looking whether it is time.
        play(reactor, waitingForDescriptors(reactor), pace=0.02)


@played
def test_a_listener_that_waits_for_descriptors_can_be_closed(reactor: Any) -> Script:
    server = Server(reactor, all=False)
    peer = socket.socket()
    with scarcity() as scarce, peer:
        scarce.leave(0)
        peer.connect((LOCALHOST, portOf(server.listener)))
        yield lambda: bool(server.failures)
        server.listener.Close()
    assert not [call for call in reactor.getDelayedCalls() if call.func.__module__.startswith("twisted_casync")]
    yield turns()
    assert server.listener.told == told("OnAccept")


def used(pid: int) -> float:
    """
    @return: the seconds of processor time that a process has used.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.programs
def test_the_echo_service_waits_for_descriptors_and_then_accepts_by_itself() -> None:
    with twistd("echo", f"tcp:0:interface={LOCALHOST}:backlog=200") as child:
        address = child.listening("tcp")
        pid = child.process.pid
        refusals = r"cannot accept: WSAEMFILE"
        with socket.create_connection(address, PATIENCE) as first:
            first.sendall(b"x")
            assert first.recv(1) == b"x"
            most = max(int(name) for name in os.listdir(f"/proc/{pid}/fd")) + 10
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
            peers = [socket.create_connection(address, PATIENCE) for _ in range(50)]
            for peer in peers:
                peer.sendall(b"y")
            child.waitFor(refusals)
            before = used(pid)
            began = time.monotonic()
            # A line a second, which counts the others; ten of them is the pace.
            others = int(child.waitFor(rf"{refusals}.* \(and (\d+) others\)$")[1])
            assert others < 10 * (time.monotonic() - began) + 2
            assert used(pid) - before < 0.1, "it spins"
            first.sendall(b"z")
            assert first.recv(1) == b"z"
            # Each that goes makes room for another, until all have been served.
            for peer in peers:
                assert peer.recv(1) == b"y"
                peer.close()
        child.process.send_signal(signal.SIGTERM)
        assert child.wait() in (0, -signal.SIGTERM)
        assert not any("Traceback" in line for line in child.lines)


# -- opening


def create(subject: CAsyncSocket) -> bool:
    return subject.Create(lpszSocketAddress=LOCALHOST)


def createDatagram(subject: CAsyncSocket) -> bool:
    return subject.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST)


def openUnbound(subject: CAsyncSocket) -> bool:
    return subject.Socket()


def createEx(subject: CAsyncSocket) -> bool:
    return subject.CreateEx((socket.AF_INET, SOCK_STREAM, 0, "", (LOCALHOST, 0)))


def extra(reactor: Any) -> int:
    """
    How many descriptors the first socket of a reactor needs beside its own: one for the window, which the casync
    reactor has already.
    """
    return 0 if isinstance(windowOf(reactor), ReactorWindow) else 1


# A descriptor that only Python's own destructor closes was forgotten.
@pytest.mark.filterwarnings("error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning")
@played
def test_what_can_not_be_opened_leaves_nothing_behind(reactor: Any) -> Script:
    with scarcity() as scarce:
        for opening in create, createDatagram, openUnbound, createEx:
            subject = Recorder(reactor)
            for few in range(1 + extra(reactor)):
                scarce.leave(few)
                assert opening(subject) is False
                assert GetLastError() == WSAError.WSAEMFILE
                assert subject.m_hSocket == -1
                assert scarce.left() == few
            scarce.leave(1 + extra(reactor))
            assert opening(subject) is True
            assert scarce.left() == 0
            scarce.leave(1)
            with Recorder(reactor) as second:
                assert opening(second) is True
            subject.Close()
            assert scarce.left() == 2 + extra(reactor)
    yield turns()


@played
def test_a_descriptor_that_can_not_be_attached_stays_its_owners(reactor: Any) -> Script:
    here, there = socket.socketpair()
    subject = Recorder(reactor)
    with scarcity() as scarce, there:
        if extra(reactor):
            scarce.leave(0)
            assert subject.Attach(here) is False
            assert GetLastError() == WSAError.WSAEMFILE
            assert subject.m_hSocket == -1
        there.sendall(b"x")
        assert here.recv(1) == b"x"
        scarce.leave(extra(reactor))
        assert subject.Attach(here) is True
        yield lambda: subject.told == told("OnSend")
        there.sendall(b"x")
        yield lambda: subject.told == told("OnSend", "OnReceive")


@played
def test_an_Assign_that_fails_leaves_both_as_they_were(reactor: Any) -> Script:
    source, peer = accepted(reactor)
    target, other = accepted(reactor)
    with scarcity() as scarce, peer, other:
        scarce.leave(0)
        assert target.Assign(source) is False
        assert GetLastError() == WSAError.WSAEMFILE
        for child, end in (source, peer), (target, other):
            end.sendall(b"x")
            yield lambda child=child: "OnReceive" in child.names()  # type: ignore[misc]  # the default is a binding
            assert child.Send(b"y") == 1
            assert end.recv(1) == b"y"
