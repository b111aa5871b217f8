"""Limits on connections: who is turned away and who isn't, what is logged of it, and what it costs."""

from __future__ import annotations

import contextlib
import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from _reactors import reactorOf, run
from _twistd import PATIENCE, twistd
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, capturedLogs, formatEvent
from twisted.python.usage import UsageError

from twisted_casync import CAsyncSocket
from twisted_casync._seldom import PAUSE, Seldom
from twisted_casync._where import CannotListen
from twisted_casync.services import AsyncSocketService, Limits, StreamConnection, StreamListener
from twisted_casync.services._limits import Limiter, networkOf
from twisted_casync.services.echo import EchoListener
from twisted_casync.tap import Options

LOOPBACK = "tcp:0:interface=127.0.0.1"

# A reactor of each kind, with the sockets in the window and in the reactor itself.
SOME_WAYS = ["epoll-window", "select-direct", "asyncio-window", "casync-window"]

PEER = ("192.0.2.1", 5)


# -- one line a second


def lines(events: Sequence[LogEvent]) -> list[str]:
    return [formatEvent(event) for event in events]


def test_the_first_is_said_at_once_and_then_one_line_a_second() -> None:
    clock = Clock()
    with capturedLogs() as events:
        seldom = Seldom(Logger(), "refused: {peer}", clock)
        for number in range(5):
            seldom.happened(peer=number)
        assert lines(events) == ["refused: 0"]
        clock.advance(PAUSE)
        assert lines(events)[1:] == ["refused: 4 (and 3 others)"]
        seldom.happened(peer=5)
        clock.advance(PAUSE)
        assert lines(events)[2:] == ["refused: 5"]
        clock.advance(PAUSE)
        assert clock.getDelayedCalls() == []
        seldom.happened(peer=6)
        assert lines(events)[3:] == ["refused: 6"]
        seldom.happened(peer=7)
        seldom.stop()
        assert lines(events)[4:] == ["refused: 7"]
    assert clock.getDelayedCalls() == []
    assert [event["count"] for event in events] == [1, 4, 1, 1, 1]


# -- what is counted


class FakeConnection:
    """Something with traffic that its limiter knows."""

    def __init__(self, limiter: Limiter, address: Any = PEER) -> None:
        self.limiter = limiter
        self.peer = str(address)
        self.bytesIn = self.bytesOut = 0
        self.rest = False
        self.end = ""
        self.met: list[str] = []
        self.admitted = limiter.admit(self, address)

    def unfinished(self) -> bool:
        return self.rest

    def limited(self, limit: str) -> None:
        assert not self.end, "it is told before it ends"
        self.met.append(limit)

    def _leave(self, end: str) -> None:
        self.end = end
        self.limiter.ended(self)

    def finish(self) -> None:
        self._leave("finished")

    def abort(self) -> None:
        self._leave("aborted")


def connected(limiter: Limiter, *addresses: Any) -> list[str | None]:
    """Which limit each met; None for those that may stay."""
    connections = [FakeConnection(limiter, address) for address in addresses]
    assert [not one.met for one in connections] == [one.admitted for one in connections]
    return [one.met[0] if one.met else None for one in connections]


def test_connections_in_all() -> None:
    limiter = Limiter(Limits(connections=2), Clock())
    first, second = FakeConnection(limiter), FakeConnection(limiter)
    assert connected(limiter, PEER, "") == ["max-connections"] * 2
    first.finish()
    assert connected(limiter, PEER, PEER) == [None, "max-connections"]
    assert (second.end, second.met) == ("", [])


def test_connections_of_one_address() -> None:
    limiter = Limiter(Limits(perAddress=1), Clock())
    first = FakeConnection(limiter)
    many = "max-per-address"
    assert connected(limiter, PEER, ("192.0.2.2", 5), ("192.0.2.2", 6), "", "") == [many, None, many, None, None]
    first.finish()
    assert connected(limiter, ("192.0.2.1", 7)) == [None]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:ffff::1", 5, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%lo", 5, 0, 1), "fe80::/64"),
        (("::1", 5, 0, 0), "::/64"),
        # Of a socket of systemd's that serves both.
        (("::ffff:192.0.2.1", 5, 0, 0), "192.0.2.1"),
        ("", None),
        ("/run/client", None),
        (b"\0abstract", None),
    ],
)
def test_what_counts_as_one_address(address: Any, network: str | None) -> None:
    assert networkOf(address) == network


def test_without_a_number_descriptors_are_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, most in ((1024, 960), (20, 1), (resource.RLIM_INFINITY, 0)):
        monkeypatch.setattr(resource, "getrlimit", lambda which, soft=soft: (soft, soft))
        assert Limits().most() == most
    assert Limits(connections=5).most() == 5
    assert Limits(connections=0).most() == 0


@pytest.mark.parametrize("limits", [{"connections": -1}, {"perAddress": -1}, {"idle": -0.5}, {"idle": float("nan")}])
def test_a_limit_below_zero_is_none(limits: Any) -> None:
    with pytest.raises(ValueError, match="expected no limit below 0"):
        Limits(**limits)


def test_idle_connections_end_and_others_do_not() -> None:
    clock = Clock()
    limiter = Limiter(Limits(idle=60), clock)
    quiet, receiving, sending, stuck = (FakeConnection(limiter) for _ in range(4))
    stuck.rest = True
    for second in range(1, 300):
        if second % 59 == 0:
            receiving.bytesIn += 1
            sending.bytesOut += 1
        clock.advance(1)
        if second < 60:
            assert quiet.end == stuck.end == ""
        if second > 75:
            assert (quiet.end, stuck.end) == ("finished", "aborted")
        assert receiving.end == sending.end == ""
    assert [one.met for one in (quiet, stuck, receiving)] == [["idle-timeout"], ["idle-timeout"], []]
    limiter.stop()
    assert clock.getDelayedCalls() == []


def test_nothing_is_left_of_connections_that_are_over() -> None:
    limiter = Limiter(Limits(connections=5, perAddress=5, idle=60), Clock())
    for number in range(100):
        FakeConnection(limiter, (f"192.0.2.{number}", 5)).finish()
    assert not limiter._admitted
    assert not limiter._networks
    assert connected(limiter, *[PEER] * 6) == [None] * 5 + ["max-connections"]


def test_without_idle_time_there_is_no_timer_and_nothing_is_kept() -> None:
    clock = Clock()
    limiter = Limiter(Limits(), clock)
    connected(limiter, PEER)
    assert clock.getDelayedCalls() == []
    assert not limiter._admitted
    assert not limiter._networks


def test_a_connection_that_fails_to_end_keeps_no_other_from_it() -> None:
    clock = Clock()
    limiter = Limiter(Limits(idle=4), clock)
    bad, good = FakeConnection(limiter), FakeConnection(limiter)

    def fail() -> None:
        raise RuntimeError("not today")

    bad.finish = fail  # type: ignore[method-assign]
    with capturedLogs() as events:
        clock.pump([1] * 5)
    assert good.end == "finished"
    assert any("can't be ended" in line for line in lines(events))


def test_a_connection_that_fails_to_hear_of_its_limit_is_limited_all_the_same() -> None:
    class Deaf(FakeConnection):
        def limited(self, limit: str) -> None:
            raise RuntimeError("not today")

    clock = Clock()
    limiter = Limiter(Limits(connections=2, idle=4), clock)
    with capturedLogs() as events:
        bad, good, refused = Deaf(limiter), FakeConnection(limiter), Deaf(limiter)
        clock.pump([1] * 5)
    assert (bad.admitted, good.admitted, refused.admitted) == (True, True, False)
    assert bad.end == good.end == "finished"
    assert lines(events).count(f"limited() of {PEER} failed") == 2
    limiter.stop()
    assert clock.getDelayedCalls() == []


# -- real connections


class Clients:
    """Plain sockets, used in a thread while the reactor runs in this one."""

    def __init__(self, address: Any) -> None:
        self.address = address
        self.stack = contextlib.ExitStack()

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        connection = self.stack.enter_context(socket.socket(socket.AF_INET))
        connection.settimeout(PATIENCE)
        connection.bind((source, 0))
        connection.connect(self.address)
        return connection

    def served(self, connection: socket.socket) -> bool:
        """Whether it is echoed; else it has been closed."""
        try:
            connection.sendall(b"hello")
            return connection.recv(5, socket.MSG_WAITALL) == b"hello"
        except (ConnectionResetError, BrokenPipeError):
            return False


Talk = Callable[[Clients, Callable[..., None]], None]


def serve(way: str, limits: Limits, talk: Talk, clock: Clock | None = None) -> list[str]:
    """Run an echo service on a reactor of its own while `talk` uses it.

    talk: called in a thread with the clients, and a function that calls another in the reactor's thread.

    Returns what was logged as a warning; nothing may have been logged as worse.
    """
    failed: list[BaseException] = []
    with reactorOf(way) as reactor, capturedLogs() as events:
        made: list[EchoListener] = []

        def factory(kind: str) -> EchoListener:
            made.append(EchoListener(reactor))
            return made[-1]

        service = AsyncSocketService(factory, [LOOPBACK], limits=limits, reactor=clock or reactor)
        service.startService()
        clients = Clients(made[0].GetSockNameEx())

        def inReactor(function: Callable[..., object], *arguments: Any) -> None:
            done = threading.Event()

            def both() -> None:
                function(*arguments)
                done.set()

            reactor.callFromThread(both)
            assert done.wait(PATIENCE)

        def body() -> None:
            try:
                with clients.stack:
                    talk(clients, inReactor)
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        stopped: list[None] = []
        left: list[object] = []

        def over() -> bool:
            if not thread.is_alive() and not made[0].connections and service.running:
                service.stopService().addCallback(stopped.append)
                left.extend(call for call in reactor.getDelayedCalls() if "twisted_casync" in call.func.__module__)
            return bool(stopped)

        run(reactor, over, limit=PATIENCE)
        assert left == []
    if failed:
        raise failed[0]
    assert not [event for event in events if event["log_level"].name in ("error", "critical")]
    return [line for event, line in zip(events, lines(events), strict=True) if event["log_level"].name == "warn"]


@pytest.mark.parametrize("way", SOME_WAYS)
def test_too_many_connections_are_closed_at_once_and_the_others_go_on(way: str) -> None:
    def talk(clients: Clients, inReactor: Callable[..., None]) -> None:
        first = [clients.connect() for _ in range(50)]
        assert all(map(clients.served, first))
        more = [clients.connect() for _ in range(150)]
        assert not any(map(clients.served, more))
        assert all(map(clients.served, first))
        # One goes, one can come.
        first[0].shutdown(socket.SHUT_WR)
        assert first[0].recv(1) == b""
        assert clients.served(clients.connect())
        assert not clients.served(clients.connect())

    said = serve(way, Limits(connections=50), talk)
    assert re.fullmatch(r"refused: tcp 127.0.0.1:\d+, since there are 50 connections", said[0])
    assert len(said) < 20
    assert sum(counted(line) for line in said) == 151


def counted(line: str) -> int:
    """How many a line stands for."""
    match = re.search(r"and (\d+) others", line)
    return 1 + (int(match[1]) if match else 0)


@pytest.mark.parametrize("way", SOME_WAYS)
def test_too_many_connections_of_one_address_leave_others_their_place(way: str) -> None:
    def talk(clients: Clients, inReactor: Callable[..., None]) -> None:
        first = [clients.connect("127.0.0.2") for _ in range(20)]
        assert all(map(clients.served, first))
        assert not any(clients.served(clients.connect("127.0.0.2")) for _ in range(50))
        others = [clients.connect(f"127.0.0.{number}") for number in range(3, 100)]
        assert all(map(clients.served, others + first))
        first[0].shutdown(socket.SHUT_WR)
        assert first[0].recv(1) == b""
        assert clients.served(clients.connect("127.0.0.2"))

    said = serve(way, Limits(perAddress=20), talk)
    assert re.fullmatch(r"refused: tcp 127.0.0.2:\d+, since its address has 20", said[0])
    assert sum(counted(line) for line in said) == 50


@pytest.mark.parametrize("way", SOME_WAYS)
def test_only_connections_without_traffic_end(way: str) -> None:
    clock = Clock()

    def talk(clients: Clients, inReactor: Callable[..., None]) -> None:
        quiet, busy = ([clients.connect() for _ in range(50)] for _ in range(2))
        assert all(map(clients.served, quiet + busy))
        for _ in range(5):
            inReactor(clock.advance, 15)
            assert all(map(clients.served, busy))
        assert all(one.recv(1) == b"" for one in quiet)
        assert all(map(clients.served, busy))

    said = serve(way, Limits(idle=60), talk, clock)
    assert re.fullmatch(r"ended: tcp 127.0.0.1:\d+, since it was idle for 60 seconds", said[0])
    assert sum(counted(line) for line in said) == 50
    assert clock.getDelayedCalls() == []


def test_a_peer_that_does_not_read_is_cut_off_with_a_reset() -> None:
    clock = Clock()

    def talk(clients: Clients, inReactor: Callable[..., None]) -> None:
        greedy = clients.connect()
        assert clients.served(greedy)
        greedy.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            while True:
                greedy.send(bytes(1 << 16))
        for _ in range(6):
            inReactor(clock.advance, 15)
        greedy.settimeout(PATIENCE)
        with pytest.raises(ConnectionResetError):
            while greedy.recv(1 << 20):
                pass

    serve("epoll-window", Limits(idle=60), talk, clock)


def test_all_places_of_a_service_share_its_limits(tmp_path: Path) -> None:
    with reactorOf("epoll-window") as reactor:
        where = [LOOPBACK, LOOPBACK, f"unix:{tmp_path}/echo.sock"]
        service = AsyncSocketService(EchoListener, where, limits=Limits(connections=2), reactor=reactor)
        service.startService()
        listeners: Any = service.listeners
        peers = [socket.create_connection(one.GetSockNameEx()) for one in listeners[:2]]
        peers.append(socket.socket(socket.AF_UNIX))
        peers[2].connect(f"{tmp_path}/echo.sock")
        accepted: list[int] = []

        def settled() -> bool:
            if not accepted and sum(len(one.connections) for one in listeners) == 2:
                accepted.extend(len(one.connections) for one in listeners)
                for peer in peers:
                    peer.close()
            if accepted and service.running and not any(one.connections for one in listeners):
                service.stopService()
            return not service.running

        run(reactor, settled)
    assert sorted(accepted) == [0, 1, 1]


# -- where limits can't be kept


class Plain(CAsyncSocket):
    def OnAccept(self, nErrorCode: int) -> None:
        self.Accept(CAsyncSocket())


def test_limits_that_nobody_would_keep_are_refused() -> None:
    service = AsyncSocketService(Plain, [LOOPBACK], limits=Limits(connections=5))
    with pytest.raises(CannotListen, match="Plain is no StreamListener, which could keep to limits"):
        service.startService()
    assert not service.listeners
    with pytest.raises(UsageError, match=r"test_limits:Plain is no StreamListener, which could keep to limits"):
        Options().parseOptions(["run", "--max-connections=5", "test_limits:Plain", LOOPBACK])


class Connection(StreamConnection):
    pass


class Listener(StreamListener):
    def __init__(self) -> None:
        super().__init__(Connection)


def test_the_command_line_says_limits() -> None:
    options = Options()
    words = ["--max-connections=5", "--max-per-address", "2", "--idle-timeout=1.5", "test_limits:Listener", LOOPBACK]
    options.parseOptions(["run", *words])
    assert options.subOptions.limits() == Limits(connections=5, perAddress=2, idle=1.5)
    options = Options()
    options.parseOptions(["echo"])
    assert options.subOptions.limits() == Limits()


@pytest.mark.parametrize(
    "word", ["--max-connections=-1", "--max-connections=many", "--max-per-address=1.5", "--idle-timeout=-1"]
)
def test_a_bad_limit_is_a_usage_error(word: str) -> None:
    with pytest.raises(UsageError, match="expected a number"):
        Options().parseOptions(["echo", word])


# -- a flood, from outside


def memory(pid: int) -> int:
    """Resident kilobytes of a process."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


@pytest.mark.programs
def test_a_flood_costs_a_line_a_second_and_no_memory() -> None:
    with twistd("echo", "--max-connections=10", LOOPBACK) as child:
        clients = Clients(child.listening("tcp"))
        with clients.stack:
            first = [clients.connect() for _ in range(10)]
            assert all(map(clients.served, first))

            def flood(count: int) -> None:
                for _ in range(count):
                    with socket.create_connection(clients.address, PATIENCE) as turnedAway:
                        assert turnedAway.recv(1) == b""

            flood(1000)
            before = memory(child.process.pid)
            started = time.monotonic()
            flood(9000)
            seconds = time.monotonic() - started
            assert all(map(clients.served, first))
            assert memory(child.process.pid) - before < 1000
            said = [line for line in child.lines if "refused" in line]
            assert len(said) <= seconds + 3
        child.process.terminate()
        child.wait()
        said = [line for line in child.lines if "refused" in line]
        assert re.search(r"refused: tcp 127.0.0.1:\d+, since there are 10 connections \(and \d+ others\)$", said[-1])
        assert sum(counted(line) for line in said) == 10_000
        assert not any("Traceback" in line for line in child.lines)
