"""
The numbers of a service: that they are exact, and how they are shown.
"""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from _awaited import played
from _memory import connection, memoryReactor, turn
from _reactors import must
from _streams import LOCALHOST, accepted, listening, peerOf, portOf, refusingPort, reset
from _twistd import BAD_USAGE, PATIENCE, client, environment, script, twistd
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.logger import capturedLogs

from twisted_casync import MSG_OOB, MSG_PEEK, SOCK_DGRAM, CAsyncSocket, CSocket, CSocketFile
from twisted_casync._observe import observe, unobserve
from twisted_casync._threads import openSockets
from twisted_casync.services import Limits
from twisted_casync.services._counters import Counters, Counts
from twisted_casync.services._limits import Limiter
from twisted_casync.services._metrics import CountersCollector
from twisted_casync.services.echo import EchoListener

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@contextmanager
def counting() -> Iterator[Counters]:
    counters = Counters("test")
    observe(counters, openSockets())
    try:
        yield counters
    finally:
        unobserve(counters, openSockets())


def of(counters: Counters, name: str = "Recorder") -> Counts:
    return counters.byClass()[name]


def samples(text: str) -> Samples:
    """
    What a page of metrics says, as Prometheus would read it.
    """
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def sample(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def sendMuch(sender: CAsyncSocket) -> int:
    """
    Send until a Send would block, once.
    """
    total = 0
    while (count := sender.Send(bytes(65536))) > 0:
        total += count
    return total


def test_bytes_are_those_that_were_moved() -> None:
    with memoryReactor() as reactor:
        child, peer = connection(reactor)
        with peer, counting() as counters:
            sent = must(child.Send(b"12345")) + must(child.Send(bytearray(10), 7)) + must(child.Send(b"!", 1, MSG_OOB))
            sent += sendMuch(child)
            peer.send(b"abcdefg")
            turn(reactor)
            buffer = bytearray(4)
            assert child.Receive(buffer, None, MSG_PEEK) == 4, "seen is not received"
            assert child.Receive(buffer, nFlags=MSG_PEEK) == 4
            assert child.Receive(buffer) == 4
            assert child.Receive(buffer) == 3
            assert child.Receive(buffer) == -1
            peer.send(b"?", socket.MSG_OOB)
            turn(reactor)
            assert child.Receive(buffer, 1, MSG_OOB) == 1
        counts = of(counters)
        assert (counts.bytesOut, counts.bytesIn, counts.receives) == (sent, 8, 3)
        assert counts.wouldBlock == {"Send": 1, "Receive": 1}
        assert counts.errors == {}
        child.Close()


def test_datagrams_in_every_way_to_move_them() -> None:
    with memoryReactor() as reactor, counting() as counters:
        one = CAsyncSocket(reactor)
        must(one.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
        port = portOf(one)
        buffer = bytearray(3)
        for send in (one.SendTo, one.SendToEx):
            assert send(b"123", None, port, LOCALHOST) == 3
        assert send(b"12345", None, (LOCALHOST, port)) == 5
        assert one.ReceiveFrom(buffer)[0] == 3
        assert one.ReceiveFromEx(buffer)[0] == 3
        assert one.ReceiveFrom(buffer)[0] == -1, "longer than the buffer"
        assert one.ReceiveFrom(buffer)[0] == -1
        counts = of(counters, "CAsyncSocket")
        assert (counts.bytesOut, counts.bytesIn, counts.receives) == (11, 9, 3)
        assert counts.errors == {("ReceiveFrom", "WSAEMSGSIZE"): 1}
        assert counts.wouldBlock == {"ReceiveFrom": 1}
        one.Close()


def test_a_class_with_members_of_its_own_is_passed_what_its_program_passes() -> None:
    class Short(CAsyncSocket):
        def Receive(self, lpBuf: Any) -> int:  # type: ignore[override]  # as a program may write it
            return super().Receive(lpBuf)

        def Send(self, lpBuf: Any, *, more: str = "") -> int:  # type: ignore[override]  # the same
            return super().Send(lpBuf)

    with memoryReactor() as reactor:
        child, peer = connection(reactor)
        one = Short(reactor)
        must(one.Attach(child.Detach()))
        with peer, counting() as counters, one:
            peer.send(b"xyz")
            turn(reactor)
            assert one.Receive(bytearray(9)) == 3
            assert one.Send(b"ab", more="!") == 2
        assert (of(counters, "Short").bytesIn, of(counters, "Short").bytesOut) == (3, 2)


def test_accepted_and_active_however_a_connection_ends() -> None:
    with memoryReactor() as reactor, counting() as counters, capturedLogs():
        listener = listening(reactor)
        ends: list[Any] = []

        def failing(one: Any) -> None:
            raise ValueError("enough")

        for number, close in enumerate(("Close", "Detach", "crash", "drop")):
            child, peer = accepted(reactor, listener, OnReceive=failing)
            assert (of(counters).accepted, of(counters).active) == (number + 1, 1)
            if close == "crash":
                peer.send(b"x")
                turn(reactor)
                turn(reactor)
            elif close == "drop":
                child.AsyncSelect(0)
                turn(reactor)
                with pytest.warns(ResourceWarning):
                    del child
            else:
                ends.append(getattr(child, close)())
            assert of(counters).active == 0, close
            peer.close()
        assert of(counters).failures == 1
        socket.socket(fileno=ends[1]).close()
        listener.Close()
        assert of(counters).accepted == 4


def test_notifications_and_errors_by_kind() -> None:
    port, holder = refusingPort()
    with holder, memoryReactor() as reactor, counting() as counters:
        child, peer = connection(reactor)
        reset(peer)
        turn(reactor)
        child.Close()
        child.Bind(0)
        one = type(child)(reactor)
        must(one.Create())
        assert not one.Connect(LOCALHOST, port)
        turn(reactor)
        one.Close()
    counts = of(counters)
    told = {name: count for name, count in counts.notifications.items() if count}
    assert told == {"OnSend": 1, "OnClose": 1, "OnConnect": 1}
    assert counts.errors == {
        ("OnClose", "WSAECONNRESET"): 1,
        ("Bind", "WSAENOTSOCK"): 1,
        ("OnConnect", "WSAECONNREFUSED"): 1,
    }
    assert counts.wouldBlock == {"Connect": 1}


class Awaited(CSocket):
    """A class of its own, so that its numbers are."""


def test_what_is_awaited_counts_as_it_is_moved() -> None:
    port, holder = refusingPort()

    async def program(reactor: Any) -> Counts:
        listener, client, server = CSocket(reactor), CSocket(reactor), Awaited(reactor)
        must(listener.Create(0, lpszSocketAddress=LOCALHOST))
        must(listener.Listen())
        with counting() as counters, holder:
            must(client.Create())
            await client.Connect(LOCALHOST, portOf(listener))
            await listener.Accept(server)
            assert of(counters, "Awaited").accepted == 1
            await client.Send(b"one\ntwo")
            assert await server.receiveLine() == b"one\n"
            await server.Send(b"answer")
            file = CSocketFile(server)
            await file.Write(b"more")
            assert await file.Read(3) == b"two"
            assert await client.receiveExactly(10) == b"answermore"
            client.Close()
            assert await server.Receive() == b""
            server.Close()
            lost = Awaited(reactor)
            must(lost.Create())
            with pytest.raises(OSError):
                await lost.Connect(LOCALHOST, port)
            lost.Close()
            assert of(counters, "Awaited").active == 0
        listener.Close()
        return of(counters, "Awaited")

    counts = played("epoll-window", program)
    assert (counts.bytesIn, counts.bytesOut) == (7, 10)
    assert counts.errors == {("Connect", "WSAECONNREFUSED"): 1}


def test_what_a_limit_turned_away_or_ended_counts_by_limit() -> None:
    with memoryReactor() as reactor, counting() as counters, capturedLogs():
        listener = EchoListener(reactor)
        must(listener.Create(0, lpszSocketAddress=LOCALHOST) and listener.Listen())
        peerOf(listener).close()
        assert listener.takeOne()

        def counts() -> Counts:
            return of(counters, "EchoConnection")

        assert counts().limited == {"max-connections": 0, "max-per-address": 0, "idle-timeout": 0}, "before any is met"
        while listener.connections:
            turn(reactor)
        limiter = Limiter(Limits(connections=2, idle=60), reactor)
        listener.keepTo(limiter)
        peers = [peerOf(listener) for _ in range(5)]
        while counts().accepted < 6:
            turn(reactor)
        assert (counts().accepted, counts().active) == (6, 2)
        assert counts().limited == {"max-connections": 3, "max-per-address": 0, "idle-timeout": 0}
        reactor.pump([15] * 5)
        assert counts().limited == {"max-connections": 3, "max-per-address": 0, "idle-timeout": 2}
        assert counts().active == 0
        limiter.stop()
        limiter = Limiter(Limits(perAddress=1), reactor)
        listener.keepTo(limiter)
        peers += [peerOf(listener) for _ in range(2)]
        while counts().accepted < 8:
            turn(reactor)
        assert counts().limited == {"max-connections": 3, "max-per-address": 1, "idle-timeout": 2}
        registry = CollectorRegistry()
        registry.register(CountersCollector(counters))
        found = samples(generate_latest(registry).decode())
        for limit, count in counts().limited.items():
            labels = {"service": "test", "socket": "EchoConnection", "limit": limit}
            assert sample(found, "casync_limited_total", **labels) == count
        for peer in peers:
            peer.close()
        while listener.connections:
            turn(reactor)
        listener.Close()
        limiter.stop()


def test_the_page_is_what_prometheus_reads() -> None:
    with memoryReactor() as reactor:
        listener = listening(reactor)
        with counting() as counters:
            child, peer = accepted(reactor, listener)
            turn(reactor)
            sendMuch(child)
            reset(peer)
            turn(reactor)
            registry = CollectorRegistry()
            registry.register(CountersCollector(counters))
            found = samples(generate_latest(registry).decode())
        child.Close()
        listener.Close()
    labels = {"service": "test", "socket": "Recorder"}
    assert sample(found, "casync_accepted_total", **labels) == 1
    assert sample(found, "casync_active", **labels) == 1
    assert sample(found, "casync_sent_bytes_total", **labels) == of(counters).bytesOut > 0
    assert sample(found, "casync_notifications_total", **labels, handler="OnClose") == 1
    assert sample(found, "casync_would_block_total", **labels, member="Send") == 1
    assert sample(found, "casync_errors_total", **labels, member="OnClose", code="WSAECONNRESET") == 1
    assert sample(found, "casync_handler_failures_total", **labels) == 0
    assert sample(found, "casync_receives_total", **labels) == 0


# -- twistd


@pytest.mark.programs
def test_a_running_service_is_scraped_with_curl() -> None:
    curl = client("curl")
    with twistd("--metrics=tcp:0:interface=127.0.0.1", "echo", "tcp:0:interface=127.0.0.1") as server:
        port = int(server.waitFor(r"MetricsSite starting on (\d+)")[1])

        def scraped() -> Samples:
            command = [curl, "--silent", "--show-error", "--fail", f"http://127.0.0.1:{port}/metrics"]
            return samples(subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout)

        labels = {"service": "echo", "socket": "EchoConnection"}
        with socket.create_connection(server.listening("tcp"), PATIENCE) as one:
            one.sendall(b"x" * 1000)
            received = b""
            while len(received) < 1000:
                received += one.recv(1000)
            found = scraped()
            assert sample(found, "casync_accepted_total", **labels) == 1
            assert sample(found, "casync_active", **labels) == 1
        server.waitFor("closed: ")
        found = scraped()
        assert sample(found, "casync_active", **labels) == 0
        for name in ("casync_received_bytes_total", "casync_sent_bytes_total"):
            assert sample(found, name, **labels) == 1000
        assert found["process_open_fds", frozenset()] > 3
        server.process.terminate()
        assert server.wait() in (0, -signal.SIGTERM)
        assert not re.search("Traceback|GET /metrics", "\n".join(server.lines))


@pytest.mark.programs
def test_a_place_can_be_a_unix_socket_and_the_answer_compressed(tmp_path: Path) -> None:
    curl = client("curl")
    with twistd(f"--metrics=unix:{tmp_path}/metrics", "echo", "tcp:0:interface=127.0.0.1") as server:
        server.waitFor("listening on tcp")
        command = [
            curl,
            "-sS",
            "--fail",
            "--include",
            "--unix-socket",
            f"{tmp_path}/metrics",
            "http://localhost/metrics",
        ]

        def answer(*more: str) -> str:
            return subprocess.run(
                [*command, *more], capture_output=True, text=True, timeout=PATIENCE, check=True
            ).stdout

        for text in (plain := answer(), answer("--compressed")):
            assert "\nprocess_open_fds " in text
        assert "Content-Encoding" not in plain and "Content-Encoding: gzip" in answer("--compressed")
        assert answer("-H", "Accept: application/openmetrics-text; version=1.0.0").rstrip().endswith("# EOF")
        server.process.terminate()
        server.wait()
        assert not any("Traceback" in line for line in server.lines)


def refused(*arguments: str, env: dict[str, str] | None = None) -> str:
    """
    What twistd says to a command line that it doesn't take.
    """
    command = [script("twistd"), "-n", "--pidfile=", "casync", *arguments]
    result = subprocess.run(
        command, env=env or environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert result.returncode == BAD_USAGE
    return (result.stdout + result.stderr).strip().splitlines()[-1]


@pytest.mark.programs
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--metrics", "tcp:http"], "--metrics 'tcp:http': port 'http': expected a number from 0 to 65535"),
        (
            ["--metrics", "systemd:index=0"],
            "--metrics 'systemd:index=0': systemd has passed no socket to this process (LISTEN_FDS is not set)",
        ),
        (["--metrics", "udp:9090"], "--metrics 'udp:9090': HTTP is not served over datagrams"),
        (["--trace", "/no/such/folder/x"], "--trace /no/such/folder/x: /no/such/folder does not exist"),
        (["--trace", "/"], "--trace /: is a directory"),
    ],
)
def test_a_bad_option_says_what_is_wrong(arguments: list[str], complaint: str) -> None:
    assert refused(*arguments, "echo").endswith(complaint)


@pytest.mark.programs
def test_a_missing_extra_is_named() -> None:
    program = "import sys; sys.modules['prometheus_client'] = None\nfrom twisted.scripts.twistd import run\nrun()"
    result = subprocess.run(
        [sys.executable, "-c", program, "-n", "--pidfile=", "casync", "--metrics", "tcp:0", "echo"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == BAD_USAGE
    assert "--metrics needs prometheus_client: pip install 'twisted_casync[metrics]'" in result.stdout + result.stderr


@pytest.mark.programs
def test_a_place_that_is_taken_ends_twistd() -> None:
    with socket.create_server((LOCALHOST, 0)) as taken:
        where = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        with twistd("--metrics", where, "echo", "tcp:0:interface=127.0.0.1") as server:
            server.waitFor("Address already in use")
            assert server.wait() == 1
