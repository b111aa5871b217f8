"""The echo service in a process of its own, spoken to by clients that know nothing of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from _clients import connect, cpuSeconds, fill, pattern, read, readAll, run, stopped, urgentByte
from _twistd import PATIENCE, Child, client, twistd
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

pytestmark = pytest.mark.programs

LOCAL = r"127.0.0.1"


class Server:
    """One echo process for the tests of this file, and its addresses."""

    def __init__(self, child: Child, unix: Path) -> None:
        self.child = child
        self.tcp = child.listening("tcp")
        self.tcp6 = child.listening("tcp6")
        self.udp = child.listening("udp")
        self.udp6 = child.listening("udp6")
        self.unix = str(unix)
        child.waitFor("listening on unix")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("echo") / "echo.sock"
    where = [f"{scheme}:0:interface={LOCAL}" for scheme in ("tcp", "udp")]
    where += [rf"{scheme}:0:interface=\:\:1" for scheme in ("tcp6", "udp6")]
    with twistd("echo", *where, f"unix:{path}:mode=600") as child:
        yield Server(child, path)


# -- Python's own socket --


@pytest.mark.parametrize("scheme", ["tcp", "tcp6", "unix"])
def test_a_stream_is_echoed_and_ends_after_its_peer(server: Server, scheme: str) -> None:
    family = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6, "unix": socket.AF_UNIX}[scheme]
    with connect(getattr(server, scheme), family) as connection:
        connection.sendall(b"hello")
        assert read(connection, 5) == b"hello"
        connection.sendall(b"and good-bye")
        connection.shutdown(socket.SHUT_WR)
        assert readAll(connection) == b"and good-bye"


def test_what_came_before_a_half_close_is_answered_however_much(server: Server) -> None:
    with connect(server.tcp) as connection:
        length = fill(connection)
        assert length > 200_000
        connection.shutdown(socket.SHUT_WR)
        assert readAll(connection) == pattern(0, length)


def test_a_peer_that_does_not_read_is_not_read_from(server: Server) -> None:
    # What the server takes is bounded by the kernels' buffers (some MB), not by its memory.
    with connect(server.tcp) as connection:
        assert fill(connection) < 64 << 20


@pytest.mark.slow
def test_a_hundred_megabytes_through_one_connection(server: Server) -> None:
    total, block = 100_000_000, os.urandom(1_000_000)
    expected = hashlib.sha256()

    def send() -> None:
        for number in range(total // len(block)):
            piece = number.to_bytes(8, "big") + block[8:]
            expected.update(piece)
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)

    received, count = hashlib.sha256(), 0
    with connect(server.tcp) as connection:
        sender = threading.Thread(target=send)
        sender.start()
        while chunk := connection.recv(1 << 18):
            received.update(chunk)
            count += len(chunk)
        sender.join()
    assert count == total
    assert received.digest() == expected.digest()


def test_five_hundred_connections_at_once(server: Server) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 700
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect(server.tcp)) for _ in range(500)]
        messages = [f"connection {number}\n".encode() * (number % 7 + 1) for number in range(500)]
        for connection, message in zip(connections, messages, strict=True):
            connection.sendall(message)
        for connection, message in zip(connections, messages, strict=True):
            assert read(connection, len(message)) == message


def test_urgent_bytes_come_back_urgent(server: Server) -> None:
    with connect(server.tcp) as connection:
        for number in range(10):
            byte = bytes([number + 65])
            connection.sendall(b"before")
            assert read(connection, 6) == b"before"
            connection.send(byte, socket.MSG_OOB)
            assert urgentByte(connection) == byte
            connection.sendall(b"after")
            assert read(connection, 5) == b"after"
        connection.shutdown(socket.SHUT_WR)
        assert readAll(connection) == b""


def test_an_urgent_byte_keeps_its_place_in_the_stream(server: Server) -> None:
    with connect(server.tcp) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        connection.sendall(b"before")
        assert read(connection, 6) == b"before"
        connection.send(b"!", socket.MSG_OOB)
        assert read(connection, 1) == b"!"
        connection.sendall(b"after")
        assert read(connection, 5) == b"after"


def test_a_lone_urgent_byte_before_the_end_is_answered(server: Server) -> None:
    with connect(server.tcp) as connection:
        connection.send(b"!", socket.MSG_OOB)
        connection.shutdown(socket.SHUT_WR)
        assert urgentByte(connection) == b"!"
        assert readAll(connection) == b""


@pytest.mark.parametrize("scheme", ["udp", "udp6"])
def test_datagrams_come_back_whole(server: Server, scheme: str) -> None:
    address = getattr(server, scheme)
    with socket.socket(socket.AF_INET6 if scheme == "udp6" else socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(PATIENCE)
        for size in (1, 0, 512, 1472, 9000, 60000):
            peer.sendto(pattern(size, size), address)
            data, source = peer.recvfrom(65536)
            assert data == pattern(size, size)
            assert source[:2] == address


def test_many_datagrams_in_one_notification(server: Server) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(PATIENCE)
        sent = {f"datagram {number}".encode() for number in range(100)}
        for datagram in sent:
            peer.sendto(datagram, server.udp)
        assert {peer.recv(100) for _ in sent} == sent


# -- programs --


def test_netcat(server: Server) -> None:
    data = pattern(0, 300_000)
    assert run([client("nc"), "-N", *map(str, server.tcp)], data) == data


def test_netcat_over_unix(server: Server) -> None:
    assert run([client("nc"), "-N", "-U", server.unix], b"hello\n") == b"hello\n"


@pytest.mark.parametrize("scheme", ["TCP4", "TCP6", "UNIX-CONNECT"])
def test_socat(server: Server, scheme: str) -> None:
    place = {
        "TCP4": "{}:{}".format(*server.tcp),
        "TCP6": "[{}]:{}".format(*server.tcp6),
        "UNIX-CONNECT": server.unix,
    }[scheme]
    data = pattern(0, 300_000)
    assert run([client("socat"), f"-t{PATIENCE:.0f}", "-", f"{scheme}:{place}"], data) == data


def test_socat_with_datagrams(server: Server) -> None:
    # -t: how long socat listens on after its input has ended, since a datagram socket has no end of its own.
    answer = run([client("socat"), "-t0.5", "-", "UDP4:{}:{}".format(*server.udp)], b"one datagram")
    assert answer == b"one datagram"


class Collector(Protocol):
    """A Twisted client that sends and collects until the other side closes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.received = bytearray()
        self.done: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self.data)
        self.transport.loseWriteConnection()  # type: ignore[attr-defined]

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.done.callback(bytes(self.received))


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_a_twisted_client(server: Server) -> None:
    from twisted.internet import reactor

    data = pattern(0, 2_000_000)
    endpoint = clientFromString(reactor, "tcp:{}:{}".format(*server.tcp))
    collector = await connectProtocol(endpoint, Collector(data))
    assert await collector.done == data


# -- the log --


def test_the_log_names_the_peer_and_counts_its_bytes(server: Server) -> None:
    with connect(server.tcp) as connection:
        name = "{}:{}".format(*connection.getsockname())
        server.child.waitFor(f"connected: tcp {name}$")
        connection.sendall(b"hello")
        assert read(connection, 5) == b"hello"
    server.child.waitFor(rf"closed: tcp {name} \(5 bytes in, 5 out\)$")


def test_the_log_says_why_a_connection_was_lost(server: Server) -> None:
    with connect(server.tcp) as connection:
        name = "{}:{}".format(*connection.getsockname())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.child.waitFor(f"connected: tcp {name}$")
    server.child.waitFor(rf"closed: tcp {name} \(0 bytes in, 0 out, WSAECONNRESET: .+\)$")


def test_nothing_went_wrong_unseen(server: Server) -> None:
    # Runs last in this module: whatever the tests above did, no handler raised.
    assert not [line for line in server.child.lines if "Traceback" in line or "Unhandled" in line]


# -- limits and the end --


@contextlib.contextmanager
def echo(*arguments: str) -> Iterator[tuple[Child, tuple[str, int]]]:
    with twistd("echo", *arguments, f"tcp:0:interface={LOCAL}") as child:
        address = child.listening("tcp")
        answers(child, connect(address))
        yield child, address


def answers(child: Child, connection: socket.socket) -> None:
    """Wait for an answer: the sockets are open before the reactor runs, and until then SIGTERM just kills."""
    with connection:
        connection.sendall(b"ready?")
        assert read(connection, 6) == b"ready?"
    child.waitFor("closed: ")


# What the README begins with, in the quick run too.
@pytest.mark.programs(always=True)
def test_sigterm_with_idle_connections_ends_at_once() -> None:
    with echo("--grace", "600") as (child, address), connect(address) as connection:
        connection.sendall(b"hello")
        assert read(connection, 5) == b"hello"
        child.process.terminate()
        assert readAll(connection) == b""
        assert stopped(child)


def test_sigterm_answers_what_was_accepted() -> None:
    with echo("--grace", "600") as (child, address), connect(address) as connection:
        length = fill(connection)
        child.process.terminate()
        child.waitFor("stopping, connections to finish: 1$")
        with pytest.raises(ConnectionRefusedError):
            connect(address)
        assert readAll(connection) == pattern(0, length)
        assert stopped(child)


def test_sigterm_answers_a_connection_that_nobody_took_yet() -> None:
    with echo("--grace", "600") as (child, address):
        # A stopped process has its kernel accept, but can't accept itself.
        child.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.process.pid, os.WSTOPPED | os.WNOWAIT)
        with connect(address) as connection:
            connection.sendall(b"still there?")
            child.process.terminate()
            child.process.send_signal(signal.SIGCONT)
            assert readAll(connection) == b"still there?"
        assert stopped(child)


def test_sigterm_cuts_off_after_the_grace_time() -> None:
    with echo("--grace", "0.2") as (child, address), connect(address) as connection:
        length = fill(connection)
        child.process.terminate()
        child.waitFor("time is up, connections cut off: 1$")
        assert stopped(child)
        # A reset, so that the client knows that it did not get all.
        with pytest.raises(ConnectionResetError):
            assert len(readAll(connection)) < length


def test_a_unix_socket_is_gone_after_the_end(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    with twistd("echo", f"unix:{path}") as child:
        child.waitFor(f"listening on unix {path}$")
        assert path.stat().st_mode & 0o777 == 0o666
        answers(child, connect(str(path), socket.AF_UNIX))
        child.process.terminate()
        assert stopped(child)
    assert list(tmp_path.iterdir()) == []


def test_without_descriptors_it_waits_and_then_goes_on() -> None:
    with echo() as (child, address), contextlib.ExitStack() as stack:
        # The first connection also opens whatever the process opens only once.
        first = stack.enter_context(connect(address))
        first.sendall(b"first")
        assert read(first, 5) == b"first"
        pid = child.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        opened = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (opened, hard))
        waiting = stack.enter_context(connect(address))
        waiting.sendall(b"hello")
        child.waitFor("cannot accept: WSAEMFILE")
        before = cpuSeconds(pid)
        first.sendall(b"meanwhile")
        assert read(first, 9) == b"meanwhile"
        first.close()
        assert read(waiting, 5) == b"hello"
        assert cpuSeconds(pid) - before < 0.5
        assert sum("cannot accept" in line for line in child.lines) <= 3
