"""The forward service in a process of its own, between clients and targets that know nothing of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _clients import connect, fill, pattern, read, readAll, run, stopped, urgentByte
from _twistd import BAD_USAGE, PATIENCE, Child, client, twistd

from twisted_casync.services._target import Target
from twisted_casync.services.forward import ForwardOptions

pytestmark = pytest.mark.programs

# Bytes in each direction of the test of its memory.
BULK = 1_000_000_000 if os.environ.get("TWISTED_CASYNC_LONG") else 150_000_000

LOOPBACK = "tcp:0:interface=127.0.0.1"


class Way:
    """A forward process and the listening socket that it goes on to."""

    def __init__(self, child: Child, target: socket.socket) -> None:
        self.child = child
        self.target = target
        self.tcp = child.listening("tcp")

    @contextlib.contextmanager
    def ends(self) -> Iterator[tuple[socket.socket, socket.socket]]:
        """A client's connection, and the target's end of it."""
        with connect(self.tcp) as near:
            far, _ = self.target.accept()
            far.settimeout(PATIENCE)
            with far:
                yield near, far


@contextlib.contextmanager
def forward(*arguments: str) -> Iterator[Way]:
    with socket.create_server(("127.0.0.1", 0)) as target:
        target.settimeout(PATIENCE)
        with twistd("forward", "--to", placeOf(target), *arguments, LOOPBACK) as child:
            yield Way(child, target)
            assert not [line for line in child.lines if "Traceback" in line or "Unhandled" in line]


def placeOf(listener: socket.socket) -> str:
    return "{}:{}".format(*listener.getsockname())


@pytest.fixture(scope="module")
def way() -> Iterator[Way]:
    with forward() as one:
        yield one


def backAndForth(ends: tuple[socket.socket, socket.socket]) -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = ends
    yield near, far
    yield far, near


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# -- bytes and ends --


def test_bytes_go_to_and_fro(way: Way) -> None:
    with way.ends() as ends:
        for number in range(20):
            for one, other in backAndForth(ends):
                data = pattern(number, 1 << number)
                sending = threading.Thread(target=one.sendall, args=(data,))
                sending.start()
                assert read(other, len(data)) == data
                sending.join()


@pytest.mark.parametrize("first", [0, 1])
def test_an_end_is_passed_on_and_the_other_direction_goes_on(way: Way, first: int) -> None:
    with way.ends() as ends:
        one, other = ends[first], ends[1 - first]
        one.sendall(b"that was it")
        one.shutdown(socket.SHUT_WR)
        assert readAll(other) == b"that was it"
        for data in (b"but I", b" have", b" more"):
            other.sendall(data)
            assert read(one, len(data)) == data
        other.close()
        assert readAll(one) == b""
        name = "{}:{}".format(*ends[0].getsockname()) if first == 0 else r"\S+"
        counts = ("11", "15") if first == 0 else ("15", "11")
        way.child.waitFor(r"closed: tcp {} \({} bytes in, {} out\)$".format(name, *counts))


def test_what_a_client_says_before_the_target_is_reached_is_kept(way: Way) -> None:
    with connect(way.tcp) as near:
        near.sendall(b"hello")
        near.shutdown(socket.SHUT_WR)
        far, _ = way.target.accept()
        with far:
            far.settimeout(PATIENCE)
            assert readAll(far) == b"hello"
            far.sendall(b"good-bye")
        assert readAll(near) == b"good-bye"


# -- flow control --


@pytest.mark.parametrize("first", [0, 1])
def test_who_does_not_read_is_not_sent_more(way: Way, first: int) -> None:
    with way.ends() as ends:
        one, other = ends[first], ends[1 - first]
        before = rss(way.child)
        length = fill(one)
        # The kernels' buffers of two connections, and not this process's memory.
        assert 400_000 < length < 128 << 20
        assert rss(way.child) - before < 4 << 20
        # The other direction is not concerned.
        other.sendall(b"meanwhile")
        assert read(one, 9) == b"meanwhile"
        one.shutdown(socket.SHUT_WR)
        assert readAll(other) == pattern(0, length)


def rss(child: Child) -> int:
    """The memory that the process has in use, in bytes."""
    for line in Path(f"/proc/{child.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


@pytest.mark.slow
def test_much_in_both_directions_with_a_checksum_and_flat_memory(way: Way) -> None:
    with way.ends() as (near, far):
        digests: dict[str, Any] = {}

        def send(name: str, connection: socket.socket) -> None:
            digest, block, left = hashlib.md5(), os.urandom(1 << 20), BULK
            while left:
                piece = left.to_bytes(8, "big") + block[: left - 8]
                piece = piece[: min(left, len(block))]
                digest.update(piece)
                connection.sendall(piece)
                left -= len(piece)
            connection.shutdown(socket.SHUT_WR)
            digests[f"sent by {name}"] = digest.digest()

        def receive(name: str, connection: socket.socket) -> None:
            digest, count = hashlib.md5(), 0
            while chunk := connection.recv(1 << 18):
                digest.update(chunk)
                count += len(chunk)
                if count > BULK / 10:
                    memory.append(rss(way.child))
            digests[f"received by {name}"] = digest.digest()
            assert count == BULK

        memory: list[int] = []
        threads = [
            threading.Thread(target=what, args=end)
            for what in (send, receive)
            for end in (("near", near), ("far", far))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert digests["sent by near"] == digests["received by far"]
    assert digests["sent by far"] == digests["received by near"]
    assert max(memory) - min(memory) < 2 << 20


# -- urgent bytes --


def test_urgent_bytes_stay_urgent_in_both_directions(way: Way) -> None:
    with way.ends() as ends:
        for number in range(5):
            for one, other in backAndForth(ends):
                byte = bytes([65 + number])
                one.sendall(b"before")
                assert read(other, 6) == b"before"
                one.send(byte, socket.MSG_OOB)
                assert urgentByte(other) == byte
                one.sendall(b"after")
                assert read(other, 5) == b"after"


def test_an_urgent_byte_waits_for_what_stands_before_it(way: Way) -> None:
    with way.ends() as ends:
        for one, other in backAndForth(ends):
            # In line, it can be seen where in the stream it comes.
            other.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
            length = fill(one)
            sending = threading.Thread(target=sendUrgent, args=(one,))
            sending.start()
            assert read(other, length) == pattern(0, length)
            poll = select.poll()
            poll.register(other, select.POLLPRI)
            assert poll.poll(PATIENCE * 1000)
            # Linux' recv stops before an urgent byte: what comes first now is nothing else.
            assert other.recv(1) == b"!"
            assert read(other, 5) == b"after"
            sending.join()


def sendUrgent(connection: socket.socket) -> None:
    connection.send(b"!", socket.MSG_OOB)
    connection.sendall(b"after")


def test_an_urgent_byte_before_the_end(way: Way) -> None:
    with way.ends() as ends:
        for one, other in backAndForth(ends):
            one.send(b"!", socket.MSG_OOB)
            one.shutdown(socket.SHUT_WR)
            assert urgentByte(other) == b"!"
            assert readAll(other) == b""
    way.child.waitFor(r"\(1 bytes in, 1 out\)$")


@pytest.mark.parametrize("seed", range(5))
def test_any_conversation_comes_through_as_it_is(way: Way, seed: int) -> None:
    lot = random.Random(seed)
    with way.ends() as ends:
        for one in ends:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
            one.setblocking(False)
        sent, received, urgent, ended = [b"", b""], [b"", b""], [0, 0], [False, False]
        for _ in range(400):
            number = lot.randrange(2)
            one, other = ends[number], 1 - number
            match lot.choice(["send", "send", "urgent", "read", "read", "read", "end"]):
                case "send" if not ended[number]:
                    data = pattern(len(sent[number]), lot.choice([1, 100, 10_000, 300_000]))
                    with contextlib.suppress(BlockingIOError):
                        sent[number] += data[: one.send(data)]
                case "urgent" if not ended[number] and urgent[number] <= len(received[other]):
                    # Linux keeps one, so that the next one comes when this was received.
                    with contextlib.suppress(BlockingIOError):
                        one.send(b"!", socket.MSG_OOB)
                        sent[number] += b"!"
                        urgent[number] = len(sent[number])
                case "read":
                    with contextlib.suppress(BlockingIOError):
                        received[number] += one.recv(lot.choice([1, 1000, 1_000_000]))
                case "end" if lot.random() < 0.01:
                    one.shutdown(socket.SHUT_WR)
                    ended[number] = True
        for number, one in enumerate(ends):
            if not ended[number]:
                one.shutdown(socket.SHUT_WR)
        for number, one in enumerate(ends):
            one.settimeout(PATIENCE)
            received[number] += readAll(one)
        assert received[1] == sent[0]
        assert received[0] == sent[1]


# -- what goes wrong --


@pytest.mark.parametrize("first", [0, 1])
def test_a_reset_is_passed_on(way: Way, first: int) -> None:
    with way.ends() as ends:
        one, other = ends[first], ends[1 - first]
        one.sendall(b"hello")
        assert read(other, 5) == b"hello"
        reset(one)
        with pytest.raises(ConnectionResetError):
            readAll(other)


def test_a_reset_is_passed_on_though_nobody_reads(way: Way) -> None:
    with way.ends() as (near, far):
        fill(far)
        reset(far)
        with pytest.raises(ConnectionResetError):
            readAll(near)


def test_a_target_that_refuses_resets_the_client() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with twistd("forward", "--to", f"127.0.0.1:{port}", LOOPBACK) as child:
            # It may be reset before it knows that it was connected.
            with pytest.raises(ConnectionResetError), connect(child.listening("tcp")) as near:
                readAll(near)
            name = child.waitFor(
                rf"forward#warn\] cannot connect to 127.0.0.1:{port} for (tcp \S+): WSAECONNREFUSED: .+$"
            )[1]
            child.waitFor(rf"closed: {name} \(0 bytes in, 0 out, WSAECONNREFUSED: .+\)$")
            assert not [line for line in child.lines if "Traceback" in line]


def test_a_target_that_nobody_knows_resets_the_client() -> None:
    with twistd("forward", "--to", "nobody.invalid:80", LOOPBACK) as child:
        with pytest.raises(ConnectionResetError), connect(child.listening("tcp")) as near:
            readAll(near)
        child.waitFor(r"cannot connect to nobody.invalid:80 for tcp \S+: WSA(HOST_NOT_FOUND|TRY_AGAIN|NO_DATA): .+$")
        assert len([line for line in child.lines if "cannot connect" in line]) == 1


def test_a_target_that_does_not_answer_is_given_up() -> None:
    with contextlib.ExitStack() as stack:
        # Linux doesn't answer who comes to a listener whose queue is full.
        busy = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(busy.getsockname())
        child = stack.enter_context(twistd("forward", "--to", placeOf(busy), "--connect-timeout", "0.3", LOOPBACK))
        address = child.listening("tcp")
        with connect(address) as near, pytest.raises(ConnectionResetError):
            readAll(near)
        child.waitFor(r"cannot connect to \S+ for tcp \S+: WSAETIMEDOUT: .+$")
        # Who goes meanwhile leaves nothing behind.
        reset(connect(address))
        child.waitFor(r"closed: tcp \S+ \(0 bytes in, 0 out, WSAECONNRESET: .+\)$")
        child.process.terminate()
        assert stopped(child)
        assert len([line for line in child.lines if "WSAETIMEDOUT" in line]) == 2  # the warning, and the end


def test_an_idle_connection_is_ended_on_both_sides() -> None:
    with forward("--idle-timeout", "0.4") as way, way.ends() as (near, far):
        near.sendall(b"hello")
        assert read(far, 5) == b"hello"
        far.sendall(b"and good-bye")
        assert readAll(near) == b"and good-bye"
        assert readAll(far) == b""
        way.child.waitFor(r"closed: tcp \S+ \(5 bytes in, 12 out\)$")


def test_a_connection_counts_for_two_descriptors() -> None:
    options = ForwardOptions()
    options.parseOptions(["--to", "a:1"])  # type: ignore[no-untyped-call]
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 0 < 2 * (options.limits().connections or 0) < soft
    options.parseOptions(["--to", "a:1", "--max-connections", "7"])  # type: ignore[no-untyped-call]
    assert options.limits().connections == 7


# -- programs, and other places --


def test_netcat_to_a_program_behind_socat() -> None:
    # md5sum answers after the end of its input only.
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(socat("TCP4-LISTEN:0,bind=127.0.0.1,fork", "SYSTEM:md5sum"))
        child = stack.enter_context(twistd("forward", "--to", f"127.0.0.1:{port}", LOOPBACK))
        host, number = child.listening("tcp")
        data = pattern(0, 3_000_000)
        answer = run([client("nc"), "-N", host, str(number)], data)
        assert answer.split()[0] == hashlib.md5(data).hexdigest().encode()
        answer = run([client("socat"), "-t30", "-", f"TCP4:{host}:{number}"], data)
        assert answer.split()[0] == hashlib.md5(data).hexdigest().encode()


@contextlib.contextmanager
def socat(listen: str, then: str) -> Iterator[int]:
    """A listening socat; its port."""
    with Child([client("socat"), "-d", "-d", listen, then]) as child:
        yield int(child.waitFor(r"listening on .*:(\d+)$")[1])


def test_curl_to_python_s_http_server(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(pattern(0, 5_000_000))
    server = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    with Child(server) as http:
        port = http.waitFor(r"port (\d+)")[1]
        with twistd("forward", "--to", f"localhost:{port}", LOOPBACK) as child:
            url = "http://{}:{}/".format(*child.listening("tcp"))
            assert run([client("curl"), "-sf", f"{url}file"], b"") == pattern(0, 5_000_000)
            assert subprocess.run([client("curl"), "-sf", f"{url}nothing"], check=False).returncode == 22


@pytest.mark.parametrize("kind", ["unix", "tcp6"])
def test_other_places_to_go_on_to(tmp_path: Path, kind: str) -> None:
    path = str(tmp_path / "target")
    if kind == "unix":
        target = socket.socket(socket.AF_UNIX)
        target.bind(path)
        target.listen()
        to = f"unix:{path}"
    else:
        target = socket.create_server(("::1", 0), family=socket.AF_INET6)
        to = f"[::1]:{target.getsockname()[1]}"
    with target, twistd("forward", "--to", to, LOOPBACK) as child:
        target.settimeout(PATIENCE)
        way = Way(child, target)
        with way.ends() as (near, far):
            near.sendall(b"hello")
            assert read(far, 5) == b"hello"
            near.send(b"!", socket.MSG_OOB)
            assert urgentByte(far) == b"!"
            near.sendall(b"after")
            assert read(far, 5) == b"after"
            far.sendall(b"and good-bye")
            far.close()
            assert readAll(near) == b"and good-bye"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("example.com:80", ("example.com", 80)),
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("[::1]:65535", ("::1", 65535)),
        ("unix:/run/some:thing:7", ("/run/some:thing:7",)),
        ("unix:here", ("here",)),
    ],
)
def test_targets(text: str, address: tuple[Any, ...]) -> None:
    assert Target.parse(text).address == address


@pytest.mark.parametrize(
    "text", ["", "80", "example.com", ":80", "host:", "host:0", "host:65536", "host:http", "::1:80", "[::1]", "[x]:1"]
)
def test_bad_targets(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected HOST:PORT, \[IPV6 ADDRESS\]:PORT or unix:PATH"):
        Target.parse(text)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ((), "say where to: --to HOST:PORT"),
        (("--to", "nowhere"), "--to 'nowhere': expected HOST:PORT"),
        (("--to", "a:1", "--connect-timeout", "0"), "expected a number of seconds, more than 0"),
        (("--to", "a:1", "udp:0"), "'udp:0': forward serves no datagrams"),
    ],
)
def test_a_bad_command_line_says_what_was_expected(arguments: tuple[str, ...], answer: str) -> None:
    with twistd("forward", *arguments) as child:
        assert child.wait() == BAD_USAGE
        assert answer in "\n".join(child.lines)
        assert "Traceback" not in "\n".join(child.lines)


# -- the end --


def test_sigterm_ends_idle_connections_at_once() -> None:
    with forward("--grace", "600") as way, way.ends() as (near, far):
        near.sendall(b"hello")
        assert read(far, 5) == b"hello"
        way.child.process.terminate()
        assert readAll(near) == readAll(far) == b""
        assert stopped(way.child)


@pytest.mark.parametrize("first", [0, 1])
def test_sigterm_delivers_what_was_received(first: int) -> None:
    with forward("--grace", "600") as way, way.ends() as ends:
        one, other = ends[first], ends[1 - first]
        length = fill(one)
        way.child.process.send_signal(signal.SIGTERM)
        way.child.waitFor("stopping, connections to finish: 1$")
        assert readAll(other) == pattern(0, length)
        assert stopped(way.child)


def test_sigterm_cuts_off_after_the_grace_time() -> None:
    with forward("--grace", "0.2") as way, way.ends() as (near, far):
        length = fill(near)
        way.child.process.terminate()
        way.child.waitFor("time is up, connections cut off: 1$")
        assert stopped(way.child)
        with pytest.raises(ConnectionResetError):
            assert len(readAll(far)) < length
