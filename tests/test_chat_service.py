"""The chat service: what its clients are told, and that none of them can hold up the others."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator

import pytest
from _clients import connect, readAll, stopped
from _memory import LOCALHOST, memoryReactor, turn
from _reactors import must
from _streams import peerOf
from _twistd import PATIENCE, Child, client, twistd

from twisted_casync import SO_SNDBUF
from twisted_casync.services.chat import ChatListener

pytestmark = pytest.mark.programs

WELCOME = "* welcome; what is your nickname?"


class Guest:
    """A client that reads line by line."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = connect(address)
        self._file = self.socket.makefile("r", encoding="utf-8", newline="\r\n")

    def line(self) -> str:
        line = self._file.readline()
        assert line.endswith("\r\n"), line
        return line[:-2]

    def say(self, line: str) -> None:
        self.socket.sendall(line.encode() + b"\n")

    def ask(self, line: str) -> str:
        self.say(line)
        return self.line()

    def rest(self) -> list[str]:
        return [line.removesuffix("\r\n") for line in self._file]

    def close(self) -> None:
        self._file.close()
        self.socket.close()


class Room:
    """A chat process."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.address = child.listening("tcp")

    @contextlib.contextmanager
    def guests(self, *nicknames: str) -> Iterator[list[Guest]]:
        """Clients that came in this order, and have heard of each other."""
        guests: list[Guest] = []
        try:
            for nickname in nicknames:
                guest = Guest(self.address)
                assert guest.line() == WELCOME
                here = ", ".join(nicknames[: len(guests) + 1])
                answer = guest.ask(nickname)
                assert answer.startswith(f"* you are {nickname}; here: ") and answer.endswith(here)
                for other in guests:
                    assert other.line() == f"* {nickname} has joined"
                guests.append(guest)
            yield guests
        finally:
            for guest in guests:
                guest.close()


@contextlib.contextmanager
def chat(*arguments: str) -> Iterator[Room]:
    with twistd("chat", *arguments, "tcp:0:interface=127.0.0.1") as child:
        yield Room(child)
        assert not [line for line in child.lines if "Traceback" in line or "Unhandled" in line]


@pytest.fixture
def room() -> Iterator[Room]:
    with chat() as one:
        yield one


# -- who is there, and what is said --


@pytest.mark.parametrize("program", ["nc", "socat", "telnet"])
def test_a_program_takes_part(room: Room, program: str) -> None:
    host, port = room.address
    command = {"nc": ["-N", host, str(port)], "socat": ["-", f"TCP4:{host}:{port}"], "telnet": [host, str(port)]}
    with (
        room.guests("Ann") as (ann,),
        subprocess.Popen(
            [client(program), *command[program]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None

        def until(expected: str) -> None:
            # telnet says something of its own first.
            assert process.stdout is not None
            while line := process.stdout.readline().decode():
                if line.rstrip("\r\n") == expected:
                    return
            raise AssertionError(f"ended without {expected}")

        until(WELCOME)
        process.stdin.write(b"Bob\n")
        until("* you are Bob; here: Ann, Bob")
        assert ann.line() == "* Bob has joined"
        process.stdin.write(b"hello\n")
        assert ann.line() == "Bob: hello"
        ann.say("hi there")
        until("Ann: hi there")
        process.stdin.write(b"/quit\n")
        assert ann.line() == "* Bob has left"
        process.stdin.close()
        assert process.wait(PATIENCE) in (0, 1)  # telnet calls it a failure that the other side ended


def test_names(room: Room) -> None:
    with room.guests("Ann", "bob") as (ann, bob):
        assert bob.ask("/nick ANN") == "* ANN is here already; what else?"
        for wrong in ("", "a b", "x" * 21, "*", "a:", "\N{ZERO WIDTH SPACE}"):
            assert bob.ask(f"/nick {wrong}") == "* a nickname has 1 to 20 letters, digits, - and _"
        assert bob.ask("/nick Bób_2-x") == "* you are Bób_2-x; here: Ann, Bób_2-x"
        assert ann.line() == "* bob is now Bób_2-x"
        # Another way to write the own one, and one that is free again.
        assert bob.ask("/nick BÓB_2-X") == "* you are BÓB_2-X; here: Ann, BÓB_2-X"
        assert ann.line() == "* Bób_2-x is now BÓB_2-X"
        assert ann.ask("/nick bob") == "* you are bob; here: BÓB_2-X, bob"


def test_commands(room: Room) -> None:
    with room.guests("Ann", "Bob") as (ann, bob):
        assert ann.ask("/who") == "* here: Ann, Bob"
        assert ann.ask("/what") == "* /nick NAME, /who, /quit; anything else is said to everyone"
        assert bob.ask("/") == "* /nick NAME, /who, /quit; anything else is said to everyone"
        ann.say("/quit")
        ann.say("nobody hears this")
        assert ann.rest() == []
        assert bob.line() == "* Ann has left"
        assert bob.ask("/who") == "* here: Bob"


def test_who_has_no_nickname_hears_and_says_nothing(room: Room) -> None:
    with room.guests("Ann") as (ann,), contextlib.closing(Guest(room.address)) as nobody:
        assert nobody.line() == WELCOME
        ann.say("hello")
        assert nobody.ask("no nickname") == "* a nickname has 1 to 20 letters, digits, - and _"
        assert nobody.ask("/who") == "* here: Ann"
        nobody.say("/quit")
        assert nobody.rest() == []
        assert ann.ask("/who") == "* here: Ann"


def test_the_ways_to_leave(room: Room) -> None:
    with room.guests("Ann", "Bob", "Carl", "Dora") as (ann, bob, carl, dora):
        bob.socket.sendall(b"I have to go")
        bob.socket.shutdown(socket.SHUT_WR)
        assert [ann.line(), ann.line()] == ["Bob: I have to go", "* Bob has left"]
        assert bob.rest() == []
        carl.close()
        assert ann.line() == "* Carl has left"
        dora.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        dora.close()
        assert ann.line() == "* Dora has left"


# -- what a line may be --


def test_lines_end_in_lf_or_cr_lf_and_come_in_any_pieces(room: Room) -> None:
    with room.guests("Ann", "Bob") as (ann, bob):
        for piece in ("on", "e\r\n\r\n\ntwo\nthr", "ee\r", "\nfour\n"):
            bob.socket.sendall(piece.encode())
        assert [ann.line() for _ in range(4)] == ["Bob: one", "Bob: two", "Bob: three", "Bob: four"]
        for byte in "Grüße".encode() + b"\n":
            bob.socket.sendall(bytes([byte]))
        assert ann.line() == "Bob: Grüße"


def test_nobody_can_write_on_another_s_terminal(room: Room) -> None:
    with room.guests("Ann", "Bob") as (ann, bob):
        # Escape sequences, a bell, what writes backwards, a telnet command, what is no UTF-8.
        bob.socket.sendall(b"\x1b[2Ja\x07b\xe2\x80\xaec\xff\xf4d\x80\tx\x00 \xc3\n")
        assert ann.line() == "Bob: [2Jabcd x"
        bob.socket.send(b"\xf2", socket.MSG_OOB)
        bob.say("on it goes")
        assert ann.line() == "Bob: on it goes"


def test_a_line_has_a_limit(room: Room) -> None:
    with room.guests("Ann", "Bob") as (ann, bob):
        longest = "x" * 1000
        for end in ("\n", "\r\n"):
            bob.socket.sendall(longest.encode() + end.encode())
            assert ann.line() == f"Bob: {longest}"
        for many in (longest + "x\n", longest + "\r\r\n", longest + "é\n", "x" * 20_000_000 + "\n"):
            bob.socket.sendall(many.encode())
            assert bob.line() == "* too long: a line has 1000 bytes at the most"
        bob.say("short")
        assert ann.line() == "Bob: short"


# -- who doesn't read --


def silent(room: Room, count: int) -> list[Guest]:
    """Clients with a nickname that read nothing but that they have one."""
    guests = [Guest(room.address) for _ in range(count)]
    for number, guest in enumerate(guests):
        assert guest.line() == WELCOME
        assert guest.ask(f"silent{number}").startswith(f"* you are silent{number}")
    return guests


def test_who_does_not_read_is_dropped_and_nobody_waits(room: Room) -> None:
    with contextlib.ExitStack() as stack:
        for guest in silent(room, 10):
            stack.callback(guest.close)
            last = guest
        ann, bob = stack.enter_context(room.guests("Ann", "Bob"))
        left: set[str] = set()
        number = 0
        while len(left) < 10:
            # Each line is heard before the next one is said.
            line = f"{number} {'x' * 900}"
            bob.say(line)
            while (heard := ann.line()) != f"Bob: {line}":
                left.add(re.fullmatch(r"\* (silent\d) has left", heard)[1])  # type: ignore[index]
            number += 1
            assert number < 100_000
        with pytest.raises(ConnectionResetError):
            readAll(last.socket)
        assert ann.ask("/who") == "* here: Ann, Bob"
    room.child.waitFor(r"chat#warn\] dropped: tcp \S+, who does not read$")


def test_who_asks_and_does_not_read_is_dropped(room: Room) -> None:
    with room.guests("Ann", "x" * 20) as (ann, rude):
        asking = b"/what\n" * 10_000
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while True:
                rude.socket.sendall(asking)
        assert ann.line() == f"* {'x' * 20} has left"


def test_who_reads_late_has_lost_nothing() -> None:
    with memoryReactor() as reactor:
        listener = ChatListener(reactor)
        must(listener.Create(0, lpszSocketAddress=LOCALHOST) and listener.Listen())
        late, speaker = peerOf(listener), peerOf(listener)
        settle(reactor, lambda: len(listener.connections) == 2)
        late.sendall(b"late\n")
        settle(reactor, lambda: len(listener.room) == 1)
        speaker.sendall(b"speaker\n")
        settle(reactor, lambda: len(listener.room) == 2)
        connection = listener.room["late"]
        must(connection.SetSockOpt(SO_SNDBUF, 4096))
        expected = [WELCOME, "* you are late; here: late", "* speaker has joined"]
        while not connection.unfinished():
            expected.append(f"speaker: {len(expected)} {'x' * 900}")
            listener.say(expected[-1])
            listener.flush()
        # It waits behind what waits already, up to a limit.
        for _ in range(20):
            expected.append(f"speaker: {len(expected)} {'x' * 900}")
            listener.say(expected[-1])
            listener.flush()
        text = ""
        late.setblocking(False)
        while text.count("\n") < len(expected):
            with contextlib.suppress(BlockingIOError):
                text += late.recv(65536).decode()
            turn(reactor)
        assert text.split("\r\n")[:-1] == expected
        assert not connection.unfinished()
        late.close()
        speaker.close()
        settle(reactor, lambda: not listener.connections)
        listener.Close()


def settle(reactor: object, until: Callable[[], bool]) -> None:
    """Make turns until something is so."""
    for _ in range(1000):
        if until():
            return
        turn(reactor)
    raise AssertionError("it did not come to be so")


# -- the end --


def test_sigterm_says_so_and_ends() -> None:
    with chat("--grace", "600") as room, room.guests("Ann", "Bob") as guests:
        room.child.process.terminate()
        for guest in guests:
            assert guest.rest() == ["* the chat is closing"]
        assert stopped(room.child)
