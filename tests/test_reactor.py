"""
The casync reactor: how it is chosen, and what it does for sockets that stock reactors do not.  That it is an epoll
reactor in all else is for Twisted's own tests to say: test_twisted_suites.py.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from _reactors import Recorder, must, reactorOf, run
from _streams import accepted
from _twistd import Child, script
from twisted.internet import reactor as _installed  # noqa: F401  # one is installed in this process, whichever
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ReactorAlreadyInstalledError
from twisted.internet.interfaces import IReactorFDSet
from twisted.python import log
from zope.interface.verify import verifyObject

from twisted_casync import SOCK_DGRAM, WSAECONNABORTED
from twisted_casync.reactor import CAsyncReactor, install

ROOT = Path(__file__).resolve().parent.parent
WAY = "casync-window"


def registered(reactor: CAsyncReactor) -> set[int]:
    """
    What is in the reactor's epoll set.
    """
    lines = Path(f"/proc/self/fdinfo/{reactor._poller.fileno()}").read_text().splitlines()
    return {int(line.split()[1]) for line in lines if line.startswith("tfd:")}


# -- choosing it


@pytest.mark.programs
def test_twistd_takes_it_by_its_name() -> None:
    where = "tcp:0:interface=127.0.0.1"
    with Child([script("twistd"), "-n", "--pidfile=", "--reactor=casync", "casync", "echo", where]) as server:
        server.waitFor("reactor class: twisted_casync.reactor.CAsyncReactor")
        with socket.create_connection(server.listening("tcp")) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"


@pytest.mark.programs
def test_install_makes_it_the_global_reactor() -> None:
    program = (
        "from twisted_casync import reactor as casync; casync.install(); from twisted.internet import reactor; "
        "print(type(reactor).__module__, type(reactor).__name__)"
    )
    output = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert output.stdout.split() == ["twisted_casync.reactor", "CAsyncReactor"]


def test_install_refuses_where_there_is_a_reactor_already() -> None:
    with pytest.raises(ReactorAlreadyInstalledError):
        install()


def test_it_provides_what_Twisted_s_epoll_reactor_provides() -> None:
    with reactorOf(WAY) as reactor:
        assert verifyObject(IReactorFDSet, reactor)


# -- its one set


def test_the_sockets_are_in_the_reactor_s_own_epoll_set_and_in_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with reactorOf(WAY) as reactor:
        monkeypatch.setattr(select, "epoll", None)
        before = registered(reactor)
        child, peer = accepted(reactor)
        listener = Recorder(reactor)
        must(listener.Create())
        must(listener.Listen())
        with peer:
            assert registered(reactor) - before == {int(child), int(listener)}
            child.Close()
            listener.Close()
            assert registered(reactor) == before


def test_the_sockets_are_among_its_readers_and_writers() -> None:
    with reactorOf(WAY) as reactor:
        child, peer = accepted(reactor)
        connecting = Recorder(reactor)
        must(connecting.Create())
        with peer, socket.create_server(("127.0.0.1", 0)) as server:
            connecting.Connect(*server.getsockname())
            assert child in reactor.getReaders()
            assert connecting in reactor.getWriters()
            connecting.Close()
            child.Close()


def test_a_number_that_is_another_s_by_now_is_left_alone() -> None:
    """The descriptor of a socket is closed beneath its object, and Twisted watches what has the number next."""
    with reactorOf(WAY) as reactor:
        one = Recorder(reactor)
        must(one.Create(0, SOCK_DGRAM))
        number = int(one)
        here, there = socket.socketpair()
        with there:
            os.dup2(here.fileno(), number)
            here.close()
            seen: list[bytes] = []
            with socket.socket(fileno=number) as other:
                reader = Receiver(other, seen)
                reactor.addReader(reader)
                must(one.AsyncSelect(0))
                there.sendall(b"hello")
                reactor.iterate()
                assert seen == [b"hello"]
                reactor.removeReader(reader)
                assert one.Detach() == number


class Receiver:
    """
    A reader of Twisted's kind.
    """

    def __init__(self, sock: socket.socket, seen: list[bytes]) -> None:
        self.sock = sock
        self.seen = seen

    def fileno(self) -> int:
        return self.sock.fileno()

    def logPrefix(self) -> str:
        return "Receiver"

    def doRead(self) -> None:
        self.seen.append(self.sock.recv(100))

    def connectionLost(self, reason: object) -> None:
        """The reactor stops."""


def test_a_turn_within_a_handler_takes_nothing_from_the_turn_around_it() -> None:
    with reactorOf(WAY) as reactor:
        first, peer = accepted(reactor)
        second, other = accepted(reactor)
        with peer, other:
            run_once: list[Any] = []

            def iterate(one: Recorder) -> None:
                one.readAll()
                if not run_once:
                    run_once.append(one)
                    reactor.iterate()

            first.handlers["OnReceive"] = second.handlers["OnReceive"] = iterate
            peer.sendall(b"a")
            other.sendall(b"b")
            run(reactor, lambda: bool(first.received and second.received))
            assert first.received + second.received in (b"ab", b"ba")
            assert len(run_once) == 1
            first.Close()
            second.Close()


def test_what_handlers_write_to_Twisted_s_log_is_marked_as_the_sockets_() -> None:
    systems: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        if event.get("message") == ("from a handler",):
            systems.append(event["system"])

    with reactorOf(WAY) as reactor:
        child, peer = accepted(reactor, None, OnReceive=lambda one: log.msg("from a handler"))
        log.addObserver(observe)
        try:
            with peer:
                peer.sendall(b"x")
                run(reactor, lambda: "OnReceive" in child.names())
        finally:
            log.removeObserver(observe)
        child.Close()
    assert systems == ["CAsyncSocket"]


def test_every_socket_hears_once_that_it_stops_also_one_that_waits_for_nothing() -> None:
    with reactorOf(WAY) as reactor:
        waiting, peer = accepted(reactor)
        idle, other = accepted(reactor)
        must(idle.AsyncSelect(0))
        with peer, other:
            run(reactor, lambda: bool(waiting.told))
            assert waiting.told == [("OnSend", 0), ("OnClose", WSAECONNABORTED)]
            assert idle.told == [("OnClose", WSAECONNABORTED)]


def test_what_is_left_open_is_named_to_whoever_removes_all() -> None:
    """trial says what a test has left behind."""
    with reactorOf(WAY) as reactor:
        one = Recorder(reactor)
        must(one.Create(0, SOCK_DGRAM))
        assert repr(one) in repr(reactor.removeAll())
        one.Close()


def test_on_request_the_sockets_register_as_on_any_reactor() -> None:
    with reactorOf("casync-direct") as reactor:
        one = Recorder(reactor)
        must(one.Create(0, SOCK_DGRAM))
        assert one in EPollReactor.getReaders(reactor)
        one.Close()


# -- what is none of the sockets


class Failing(Receiver):
    """
    One that logs, then fails, and fails again when it hears that it was dropped.
    """

    def __init__(self, sock: socket.socket, prefix: str | None) -> None:
        super().__init__(sock, [])
        self.prefix = prefix

    def logPrefix(self) -> str:
        if self.prefix is None:
            raise RuntimeError("no prefix")
        return self.prefix

    def doRead(self) -> None:
        log.msg("about to fail")
        raise RuntimeError("in doRead")

    def connectionLost(self, reason: object) -> None:
        raise RuntimeError("in connectionLost")


@pytest.mark.parametrize("prefix", ["Failing", None], ids=["named", "nameless"])
@pytest.mark.parametrize("sockets", [False, True], ids=["alone", "beside-sockets"])
def test_what_fails_is_logged_in_its_name_and_dropped_as_by_Twisted_s_own(prefix: str | None, sockets: bool) -> None:
    events: list[dict[str, Any]] = []
    with reactorOf(WAY) as reactor:
        beside = Recorder(reactor)
        if sockets:
            must(beside.Create(0, SOCK_DGRAM))
        here, there = socket.socketpair()
        with here, there:
            failing = Failing(here, prefix)
            reactor.addReader(failing)
            there.sendall(b"x")
            log.addObserver(events.append)
            try:
                reactor.iterate()
            finally:
                log.removeObserver(events.append)
            assert failing not in reactor.getReaders()
        beside.Close()
    name = prefix or "(buggy logPrefix method)"
    assert [event["system"] for event in events if event.get("message") == ("about to fail",)] == [name]
    failures = [str(event["failure"].value) for event in events if event["isError"]]
    assert failures == [*(["no prefix"] if prefix is None else []), "in doRead", "in connectionLost"]
