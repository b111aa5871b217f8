"""
The programs of docs/asyncore.md, each beside its port: the same clients see the same.
"""

from __future__ import annotations

import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest
from _clients import connect, read, readAll
from _ports import portOfItsOwn
from _streams import refusingPort
from _twistd import CHECKOUT, PATIENCE, Child

from twisted_casync import CAsyncSocket
from twisted_casync.testing import Faults, MemoryNetwork

PAGE = (CHECKOUT / "docs" / "asyncore.md").read_text()
FILES = dict(re.findall(r"^`(\w+\.py)`\n```python\n(.*?)^```", PAGE, re.M | re.S))

# What asyncore is where Python has it no more: two packages of PyPI.
BEFORE = pytest.param(
    True,
    id="before",
    marks=pytest.mark.skipif(
        not (find_spec("asyncore") and find_spec("asynchat")),
        reason="needs Python before 3.12, or pyasyncore and pyasynchat",
    ),
)
bothWays = pytest.mark.parametrize("before", [BEFORE, pytest.param(False, id="ported")])


def started(name: str, folder: Path, *arguments: object) -> Child:
    path = folder / name
    path.write_text(FILES[name])
    # asyncore says of itself that it is going to be removed.
    return Child([sys.executable, "-W", "ignore::DeprecationWarning", str(path), *map(str, arguments)], cwd=folder)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[[str], tuple[str, int]]]:
    """
    Start one of the page's servers, and give its address when it listens.
    """
    children: list[Child] = []

    def start(name: str) -> tuple[str, int]:
        port = portOfItsOwn()
        children.append(started(name, tmp_path, port))
        # The servers say nothing: ask until one is there.
        while True:
            with socket.socket() as visitor:
                if not visitor.connect_ex(("127.0.0.1", port)):
                    return "127.0.0.1", port
            assert children[-1].process.poll() is None, children[-1].lines

    try:
        yield start
        for child in children:
            assert child.process.poll() is None
            assert not any("Traceback" in line for line in child.lines)
    finally:
        for child in children:
            with child:
                pass


def test_every_program_has_its_port() -> None:
    ported = {"asyncore_echo.py": "echo.py", "asyncore_fetch.py": "fetch.py", "asynchat_chat.py": "chat.py"}
    assert sorted(FILES) == sorted([*ported, *ported.values()])


def test_the_names_of_the_table_exist() -> None:
    (table,) = re.findall(r"^## The names\n(.*?)^## ", PAGE, re.M | re.S)
    ours = " ".join(row.split("|")[2] for row in table.splitlines() if row.count("|") == 3)
    named = set(re.findall(r"\b((?:[A-Z][a-z]+)+|On[A-Z]\w+|AsyncSelect|CreateEx)\(", ours))
    named -= {"LoopingCall", "Handler", "GetLastError"}
    assert {"OnReceive", "Receive", "OnAccept", "Accept", "Create", "Listen", "Send"} <= named
    assert [name for name in named if not hasattr(CAsyncSocket, name)] == []


@pytest.mark.programs
@bothWays
def test_the_echo_gives_back_what_it_gets(before: bool, serving: Callable[[str], tuple[str, int]]) -> None:
    with connect(serving("asyncore_echo.py" if before else "echo.py")) as client:
        client.sendall(b"hello")
        assert read(client, 5) == b"hello"


def answering() -> tuple[socket.socket, int]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(PATIENCE)
    return listener, listener.getsockname()[1]


@pytest.mark.programs
@bothWays
def test_the_client_fetches_a_page(before: bool, tmp_path: Path) -> None:
    listener, port = answering()
    with listener, started("asyncore_fetch.py" if before else "fetch.py", tmp_path, "127.0.0.1", port) as client:
        peer, _ = listener.accept()
        with peer:
            request = b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"
            assert read(peer, len(request)) == request
            peer.sendall(b"HTTP/1.0 200 OK\n\nhello\n")
        assert client.wait() == 0
        assert client.lines == ["HTTP/1.0 200 OK", "", "hello"]


@pytest.mark.programs
def test_the_ported_client_says_why_it_failed(tmp_path: Path) -> None:
    port, keeper = refusingPort()
    with keeper, started("fetch.py", tmp_path, "127.0.0.1", port) as client:
        assert client.wait() == 0
        assert client.lines == ["Connection refused."]


@pytest.mark.programs
def test_the_ported_client_can_be_interrupted(tmp_path: Path) -> None:
    listener, port = answering()
    with listener, started("fetch.py", tmp_path, "127.0.0.1", port) as client:
        peer, _ = listener.accept()
        with peer:
            # Once it has asked, its reactor runs, and takes the signal.
            assert peer.recv(1)
            client.process.send_signal(signal.SIGINT)
            assert client.wait() == 0
            assert client.lines == []


@pytest.mark.programs
@bothWays
def test_members_of_the_chat_hear_each_other(before: bool, serving: Callable[[str], tuple[str, int]]) -> None:
    address = serving("asynchat_chat.py" if before else "chat.py")
    with connect(address) as ada, connect(address) as bob:
        assert [read(one, 8) for one in (ada, bob)] == [b"welcome\n"] * 2
        ada.sendall(b"hel")
        ada.sendall(b"lo\nhow are ")
        assert read(bob, 6) == b"hello\n"
        ada.sendall(b"you?\n")
        assert read(bob, 13) == b"how are you?\n"
        ada.sendall(b"/quit\n")
        assert readAll(ada) == b"goodbye\n"
        bob.sendall(b"/quit\n")
        assert readAll(bob) == b"goodbye\n"


def compiled(name: str, until: str) -> dict[str, Any]:
    """
    The beginning of a program of the page: its classes, without a server.
    """
    names: dict[str, Any] = {}
    exec(compile(FILES[name].partition(until)[0], name, "exec"), names)
    return names


def test_the_echo_keeps_what_can_not_be_sent_yet(memory_network: MemoryNetwork) -> None:
    peer, handler = CAsyncSocket(), compiled("echo.py", "class EchoServer")["EchoHandler"]()
    memory_network.pair(peer, handler)
    memory_network.outgoing(handler).script(Faults(blocked=60.0, shortSends=[3, 1]))
    peer.Send(b"hello, ")
    memory_network.settle()
    peer.Send(b"world")
    memory_network.advance(100)
    buff = bytearray(100)
    assert buff[: peer.Receive(buff)] == b"hello, world"
    peer.Close()
    memory_network.settle()
    assert handler.fileno() < 0


@pytest.fixture
def chatting(memory_network: MemoryNetwork) -> type[CAsyncSocket]:
    """
    The page's C{AsyncChat}, of a class that writes down what it is told.
    """
    base: Any = compiled("chat.py", "class Member")["AsyncChat"]

    class Noting(base):  # type: ignore[misc]  # what is compiled here has no type
        def __init__(self, terminators: list[Any]) -> None:
            super().__init__()
            self.terminators = terminators
            self.told: list[bytes | None] = []
            self.found_terminator()

        def collect_incoming_data(self, data: bytes) -> None:
            self.told.append(data)

        def found_terminator(self) -> None:
            self.told.append(None)
            self.set_terminator(self.terminators.pop(0))

    return cast("type[CAsyncSocket]", Noting)


@pytest.mark.parametrize("length", range(1, 12))
@pytest.mark.parametrize(
    ("terminators", "units"),
    [
        ([b"\r\n"] * 5, [b"GET /", b"", b"a\rb", b"\n"]),
        ([b"\r\n", 3, b"\n", 1, None], [b"length 3", b"abc", b"tail", b"!"]),
        ([5, 5, 5, 5], [b"hello", b"world", b"again"]),
    ],
)
def test_a_terminator_is_found_however_the_stream_is_cut(
    chatting: Any, memory_network: MemoryNetwork, terminators: list[Any], units: list[bytes], length: int
) -> None:
    ends = [end if isinstance(end, bytes) else b"" for end in terminators]
    stream = b"".join(unit + end for unit, end in zip(units, ends, strict=False))
    peer, chat = CAsyncSocket(), chatting([None, *terminators])
    chat.set_terminator(chat.terminators.pop(0))
    memory_network.pair(peer, chat)
    for start in range(0, len(stream), length):
        peer.Send(stream[start : start + length])
        memory_network.settle()
    told = b"".join(b"|" if piece is None else piece for piece in chat.told)
    assert told == b"|" + b"".join(unit + b"|" for unit in units)
    chat.Close()
    peer.Close()


def test_what_is_pushed_goes_before_the_end(chatting: Any, memory_network: MemoryNetwork) -> None:
    peer, chat = CAsyncSocket(), chatting([None])
    memory_network.pair(peer, chat)
    memory_network.outgoing(chat).script(Faults(blocked=60.0, shortSends=7))
    chat.push(b"goodbye, ")
    chat.push(b"and thank you")
    chat.close_when_done()
    memory_network.settle()
    assert chat.fileno() >= 0
    memory_network.advance(100)
    buff = bytearray(100)
    assert buff[: peer.Receive(buff)] == b"goodbye, and thank you"
    assert peer.Receive(buff) == 0 and chat.fileno() < 0
    peer.Close()
