"""discard, chargen, daytime and time in processes of their own, spoken to by programs that know nothing of them."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from _clients import connect, read, readAll, run, stopped
from _twistd import PATIENCE, Child, client, environment, script

pytestmark = pytest.mark.programs

# Five hours east of Greenwich, as POSIX writes it; nowhere is it called so.
ZONE = "XYZ-5"

# RFC 864's pattern: the 95 printing characters in a ring, 72 of them a line, each line one further.
LINES = ["".join(chr(0x20 + (number + place) % 95) for place in range(72)) + "\r\n" for number in range(95)]


class Server:
    """One process, and its addresses."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.tcp = child.listening("tcp")
        self.udp = child.listening("udp")

    @property
    def tcpPlace(self) -> list[str]:
        return [str(part) for part in self.tcp]


@contextlib.contextmanager
def serving(name: str, *arguments: str) -> Iterator[Server]:
    where = [f"{scheme}:0:interface=127.0.0.1" for scheme in ("tcp", "udp")]
    command = [script("twistd"), "-n", "--pidfile=", "casync", name, *arguments, *where]
    with Child(command, env={**environment(), "TZ": ZONE}) as child:
        yield Server(child)
        assert not [line for line in child.lines if "Traceback" in line or "Unhandled" in line]


def module(name: str) -> Any:
    @pytest.fixture(scope="module", name=name)
    def server() -> Iterator[Server]:
        with serving(name) as one:
            yield one

    return server


discard, chargen, daytime, time = (module(name) for name in ("discard", "chargen", "daytime", "time"))


def talk(address: tuple[str, int], *datagrams: bytes) -> list[bytes]:
    """The answers to datagrams, each waited for."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(PATIENCE)
        answers = []
        for datagram in datagrams:
            peer.sendto(datagram, address)
            answers.append(peer.recv(65536))
        return answers


# -- discard --


def test_discard_takes_all_and_answers_nothing(discard: Server) -> None:
    assert run([client("nc"), "-N", *discard.tcpPlace], bytes(10_000_000)) == b""
    discard.child.waitFor(r"closed: tcp \S+ \(10000000 bytes in, 0 out\)$")


def test_discard_takes_urgent_bytes_too(discard: Server) -> None:
    with connect(discard.tcp) as connection:
        for number in range(3):
            connection.sendall(b"before")
            connection.send(bytes([number]), socket.MSG_OOB)
            connection.sendall(b"after")
        connection.shutdown(socket.SHUT_WR)
        assert readAll(connection) == b""
        name = "{}:{}".format(*connection.getsockname())
    # Linux keeps the newest urgent byte only, and the others may stay in the stream or not.
    counted = int(discard.child.waitFor(rf"closed: tcp {name} \((\d+) bytes in, 0 out\)$")[1])
    assert 34 <= counted <= 36


# -- chargen --


def test_chargen_sends_the_pattern(chargen: Server) -> None:
    program = subprocess.Popen([client("socat"), "-u", "TCP4:{}:{}".format(*chargen.tcp), "-"], stdout=subprocess.PIPE)
    assert program.stdout is not None
    text = program.stdout.read(20_000_000)
    program.stdout.close()
    program.wait(PATIENCE)
    assert text == ("".join(LINES).encode() * (len(text) // 7030 + 1))[: len(text)]


def test_chargen_throws_away_what_comes(chargen: Server) -> None:
    with connect(chargen.tcp) as connection:
        # More than the kernels hold: it goes only if the service receives, though nobody reads what it sends.
        connection.sendall(bytes(30_000_000))
        assert read(connection, 74) == LINES[0].encode()


def test_chargen_serves_others_beside_a_fast_reader(chargen: Server) -> None:
    program = subprocess.Popen(
        [client("socat"), "-u", "-b1000000", "TCP4:{}:{}".format(*chargen.tcp), "OPEN:/dev/null"]
    )
    try:
        for _ in range(20):
            with connect(chargen.tcp) as connection:
                assert read(connection, 74 * 95) == "".join(LINES).encode()
        assert program.poll() is None
    finally:
        program.kill()
        program.wait(PATIENCE)


def test_chargen_answers_a_datagram_with_no_more_than_it_had(chargen: Server) -> None:
    data = [bytes(size) for size in (1, 10, 512, 9000) for _ in range(20)]
    answers = talk(chargen.udp, *data)
    for datagram, answer in zip(data, answers, strict=True):
        assert len(answer) <= min(512, len(datagram))
        assert "".join(LINES).encode().startswith(answer)
    # A random number of characters.
    assert len({len(answer) for answer in answers[-40:]}) > 10


def test_chargen_ends_on_stop_though_it_has_more_to_say() -> None:
    with serving("chargen", "--grace", "600") as server, connect(server.tcp) as connection:
        read(connection, 1_000_000)
        server.child.process.terminate()
        # The end of the stream and not a reset.
        rest = readAll(connection)
        assert len(rest) < 64 << 20
        assert stopped(server.child)


# -- daytime --


def moment(text: bytes) -> datetime:
    """What daytime says, which must be about now."""
    match = re.fullmatch(rb"(\w+day, \w+ \d\d, \d{4} \d\d:\d\d:\d\d)-XYZ\r\n", text)
    assert match, text
    said = datetime.strptime(match[1].decode(), "%A, %B %d, %Y %H:%M:%S").replace(tzinfo=timezone(timedelta(hours=5)))
    assert abs(datetime.now(timezone.utc) - said) < timedelta(seconds=PATIENCE)
    return said


def test_daytime_says_the_time_and_ends(daytime: Server) -> None:
    moment(run([client("nc"), "-N", *daytime.tcpPlace], b""))
    moment(run([client("curl"), "-sN", "telnet://{}:{}".format(*daytime.tcp)], b""))


def test_daytime_says_the_time_whatever_comes(daytime: Server) -> None:
    with connect(daytime.tcp) as connection:
        # Closing on what nobody has received would be a reset.
        connection.sendall(bytes(1_000_000))
        moment(readAll(connection))
        connection.sendall(b"thank you")


def test_daytime_answers_datagrams(daytime: Server) -> None:
    # Without shut-none, socat 1.8 sends an empty datagram at its end, which is answered too.
    moment(run([client("socat"), "-t0.5", "-", "UDP4:{}:{},shut-none".format(*daytime.udp)], b"?"))
    for answer in talk(daytime.udp, b"", b"what time is it?"):
        moment(answer)


def test_daytime_stops_at_once_when_its_peers_stay() -> None:
    with serving("daytime", "--grace", "600") as server, connect(server.tcp) as connection:
        moment(readAll(connection))
        server.child.process.terminate()
        assert stopped(server.child)


# -- time --


def number(answer: bytes) -> None:
    """What time says, which must be about now."""
    assert len(answer) == 4
    said = datetime(1900, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=int.from_bytes(answer, "big"))
    assert abs(datetime.now(timezone.utc) - said) < timedelta(seconds=PATIENCE)


def test_time_says_the_time_and_ends(time: Server) -> None:
    number(run([client("nc"), "-N", *time.tcpPlace], b""))


def test_time_answers_datagrams(time: Server) -> None:
    for answer in talk(time.udp, b"", b"what time is it?"):
        number(answer)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_rdate_reads_the_clock(time: Server, transport: str) -> None:
    host, port = getattr(time, transport)
    command = [client("rdate"), "-p", "-o", str(port), *(["-u"] if transport == "udp" else []), host]
    answer = subprocess.run(
        command, env={**environment(), "TZ": "UTC", "LC_ALL": "C"}, capture_output=True, timeout=PATIENCE, check=True
    ).stdout.decode()
    said = datetime.strptime(answer.strip(), "%a %b %d %H:%M:%S UTC %Y").replace(tzinfo=timezone.utc)
    assert abs(datetime.now(timezone.utc) - said) < timedelta(seconds=PATIENCE)
