"""examples/chatsrvr.py and examples/chatter.py: between themselves, and with messages that were assembled by hand."""

from __future__ import annotations

import fcntl
import importlib
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from _examples import ENVIRONMENT, EXAMPLES, LIMIT, Server, example, toEnd
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

pytestmark = pytest.mark.programs


@pytest.fixture
def chatServer() -> Iterator[Server]:
    with Server("chatsrvr.py", "0") as server:
        yield server
        server.stopWell()


PIPE = 65536
"""Bytes that a pipe holds, pipe(7)."""


def unread(pipe: int) -> int:
    """How many bytes wait in a pipe."""
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))[0])


class Chatter:
    """A client as a child process, spoken to line by line."""

    def __init__(self, server: Server, handle: str) -> None:
        command = [sys.executable, str(EXAMPLES / "chatter.py"), *map(str, server.address), handle]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=ENVIRONMENT, text=True)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.input, self.output = self.process.stdin, self.process.stdout

    def say(self, text: str) -> None:
        self.input.write(text + "\n")
        self.input.flush()

    def hear(self) -> str:
        return self.output.readline().rstrip("\n")

    def leave(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, out, err


# A message, from the published format: the WORD m_bClose, the string m_strText, the count and strings of m_msgList.


def wide(text: str) -> bytes:
    """A CString of a Unicode build: the mark, the length in characters, UTF-16."""
    return b"\xff\xfe\xff" + bytes([len(text)]) + text.encode("utf-16-le")


def long(text: str) -> bytes:
    """One of 255 characters and more: their number behind the mark of a WORD."""
    return b"\xff\xfe\xff\xff" + struct.pack("<H", len(text)) + text.encode("utf-16-le")


def narrow(text: str) -> bytes:
    """A CString of an ANSI build: the length, the code page's bytes."""
    return bytes([len(text)]) + text.encode("cp1252")


def message(text: bytes, close: int = 0) -> bytes:
    return struct.pack("<H", close) + text + struct.pack("<H", 0)


def relayed(*texts: str) -> bytes:
    """What the server sends: no text of its own, and a list."""
    return struct.pack("<H", 0) + wide("") + struct.pack("<H", len(texts)) + b"".join(map(wide, texts))


def exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = client.recv(count - len(data))
        assert more, f"ended after {data!r}"
        data += more
    return data


def test_two_chat_with_each_other(chatServer: Server) -> None:
    lisa, bart = Chatter(chatServer, "Lisa"), Chatter(chatServer, "Bart")
    lisa.say("hello, is anybody there?")
    assert lisa.hear() == "Lisa: hello, is anybody there?"
    bart.say("¡Ay, caramba! 😀")
    # Whoever comes later is sent what was said before.
    assert [bart.hear(), bart.hear()] == ["Lisa: hello, is anybody there?", "Bart: ¡Ay, caramba! 😀"]
    assert lisa.hear() == "Bart: ¡Ay, caramba! 😀"
    assert lisa.leave() == (0, "", "")
    bart.say("alone")
    assert bart.hear() == "Bart: alone"
    assert bart.leave() == (0, "", "")


def test_a_whole_file_is_said(chatServer: Server) -> None:
    """More than a buffer, as fast as it can be read; and all of it comes back before the connection ends."""
    lines = [f"line {number}" for number in range(900)]
    result = example("chatter.py", *chatServer.address, "me", stdin="\n".join([*lines, ""]).encode())
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode().splitlines() == [f"me: {line}" for line in lines]


@pytest.mark.parametrize("form", [wide, narrow])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_the_server_understands_a_message_assembled_by_hand(chatServer: Server, form: object, size: int) -> None:
    """Of a Unicode and of an ANSI build, in any pieces."""
    assert form in (wide, narrow)
    text = "hand made é"
    data = message(wide(text) if form is wide else narrow(text))
    with chatServer.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for begin in range(0, len(data), size):
            client.sendall(data[begin : begin + size])
        assert exactly(client, len(relayed(text))) == relayed(text)
        client.sendall(message(narrow(""), close=1))
        assert toEnd(client) == b""


def test_several_messages_at_once_and_a_goodbye(chatServer: Server) -> None:
    with chatServer.connect() as client:
        client.sendall(message(wide("one")) + message(narrow("two")) + message(wide("bye"), close=1) + b"ignored")
        data = toEndOrReset(client)
    assert b"".join(map(wide, ("one", "two", "bye"))) in data


def toEndOrReset(client: socket.socket) -> bytes:
    """What a client gets whose last bytes nobody reads: the connection may end in a reset behind it."""
    data = b""
    try:
        while more := client.recv(65536):
            data += more
    except ConnectionResetError:
        pass
    return data


HOSTILE = {
    "a string that is too long": struct.pack("<H", 0) + b"\xff\xff\xff\xff\xff\xff\x7f",
    "a list that is too long": struct.pack("<H", 0) + b"\0" + b"\xff\xff\xff\xff\xff\x7f",
    "two marks": struct.pack("<H", 0) + b"\xff\xfe\xff" * 2,
    "half a message": struct.pack("<H", 0) + b"\5abc",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_client_that_talks_of_something_else_is_dropped_and_the_others_stay(chatServer: Server, data: bytes) -> None:
    with chatServer.connect() as good, chatServer.connect() as bad:
        bad.sendall(data)
        bad.shutdown(socket.SHUT_WR)
        assert toEnd(bad) == b""
        good.sendall(message(wide("still here")))
        assert exactly(good, len(relayed("still here"))) == relayed("still here")


def test_a_client_that_does_not_read_delays_nobody(chatServer: Server) -> None:
    text = "x" * 200
    with chatServer.connect() as lazy, chatServer.connect() as good:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.sendall(message(wide("I only talk")))
        heard = b""
        for number in range(3000):
            good.sendall(message(narrow(f"{number:04}{text}")))
            while f"{number:04}".encode("utf-16-le") + text.encode("utf-16-le") not in heard:
                more = good.recv(1 << 20)
                assert more
                heard = heard[-2000:] + more


def test_the_server_says_that_it_goes_and_the_client_that_it_is_gone() -> None:
    with Server("chatsrvr.py", "0") as server:
        chatter = Chatter(server, "Lisa")
        chatter.say("hello")
        assert chatter.hear() == "Lisa: hello"
        with closing(server.connect()) as client:
            client.sendall(message(wide("bytes")))
            assert chatter.hear() == "bytes"
            server.stopWell()
            assert toEnd(client).endswith(wide("Server has shut down"))
        status, out, err = chatter.leave()
        assert (status, out.splitlines()[-1], err) == (
            *(1, "Server has shut down", "the server has closed the connection\n"),
        )


def test_a_client_that_takes_nothing_at_the_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    chatsrvr = importlib.import_module("chatsrvr")
    clock = Clock()
    monkeypatch.setattr(chatsrvr, "reactor", clock)
    closed: list[bool] = []

    class Deaf:
        async def SendMsg(self, pMsg: object) -> None:
            await Deferred()

        def Close(self) -> None:
            closed.append(True)

    left = Deferred.fromCoroutine(chatsrvr.CServerDoc().Dismiss(Deaf(), None))
    assert not closed
    clock.advance(chatsrvr.PATIENCE)
    assert closed and left.called and left.result is None


def test_a_line_that_is_too_long_is_not_half_said(chatServer: Server) -> None:
    result = example("chatter.py", *chatServer.address, "me", stdin=b"x" * 5000 + b"\nshort\n")
    assert b"too long" in result.stderr
    assert result.stdout == b"me: short\n"
    assert result.returncode == 0


def test_a_line_is_as_long_as_it_is_on_the_wire(chatServer: Server) -> None:
    """Characters beyond the first 65,536 take two places in a CString."""
    chatter = Chatter(chatServer, "homer")
    chatter.say("\U0001f369" * 3000)
    chatter.say("mmm")
    assert chatter.hear() == "homer: mmm"
    status, _, said = chatter.leave()
    assert (status, "too long" in said) == (0, True)


def test_who_comes_late_is_told_all_that_is_kept_however_much_it_is(chatServer: Server) -> None:
    """In several messages: one would pass the limits of a client."""
    texts = [f"{n:04}".ljust(100, ".") for n in range(400)]
    first, late = Chatter(chatServer, "marge"), Chatter(chatServer, "bart")
    with first.process:
        for text in texts:
            first.say(text)
        assert [first.hear() for _ in texts] == [f"marge: {text}" for text in texts]
        late.say("hi")
        assert [late.hear() for _ in range(len(texts) + 1)] == [*(f"marge: {text}" for text in texts), "bart: hi"]
        assert late.leave()[0] == 0
    assert first.process.returncode == 0


def test_a_client_whose_output_is_not_read_for_a_while_loses_nothing(chatServer: Server) -> None:
    """More than a pipe holds."""
    texts = [f"{n:04}".ljust(4000, ".") for n in range(40)]
    chatter = Chatter(chatServer, "lisa")
    with socket.create_connection(chatServer.address) as other:
        for text in texts:
            other.sendall(struct.pack("<H", 0) + long(text) + struct.pack("<H", 0))
        chatter.say("hi")
        end = time.monotonic() + LIMIT
        while unread(chatter.output.fileno()) < PIPE - 4096:
            assert time.monotonic() < end
    status, out, err = chatter.leave()
    assert (status, err) == (0, "")
    assert out.splitlines() == [*texts, "lisa: hi"]
