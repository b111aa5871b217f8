"""`twistd casync run`: any importable class of sockets serves, and what can't is told before anything is opened."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _twistd import PATIENCE, Child, script
from twisted.python.usage import UsageError

from twisted_casync import CAsyncSocket
from twisted_casync.tap import Options

LOOPBACK = "tcp:0:interface=127.0.0.1"

# What a program of MFC looks like: the listener makes its children.
CHAT = """
from twisted_casync import CAsyncSocket, SOCKET_ERROR

class ChatSocket(CAsyncSocket):
    def __init__(self, room):
        super().__init__()
        self.room = room

    def OnReceive(self, nErrorCode):
        buff = bytearray(4096)
        nRead = self.Receive(buff)
        if nRead > 0:
            for other in self.room:
                other.Send(buff, nRead)

    def OnClose(self, nErrorCode):
        self.room.remove(self)
        self.Close()

class ChatListener(CAsyncSocket):
    def __init__(self):
        super().__init__()
        self.room = []

    def OnAccept(self, nErrorCode):
        child = ChatSocket(self.room)
        if self.Accept(child):
            self.room.append(child)

class Shout(CAsyncSocket):
    def OnReceive(self, nErrorCode):
        buff = bytearray(4096)
        nRead, peer = self.ReceiveFrom(buff)
        if nRead != SOCKET_ERROR:
            self.SendTo(bytes(buff[:nRead]).upper(), None, peer)

class Room:
    class Listener(ChatListener):
        pass

class NeedsARoom(ChatListener):
    def __init__(self, room):
        super().__init__()

def make(kind):
    return ChatListener() if kind == "stream" else Shout()

def noArguments():
    return ChatListener()

one = ChatListener()
number = 7
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory, with a program in it."""
    (tmp_path / "chat").mkdir()
    (tmp_path / "chat" / "__init__.py").touch()
    (tmp_path / "chat" / "sockets.py").write_text(CHAT)
    (tmp_path / "chat" / "broken.py").write_text("from chat.nothing import Something")
    (tmp_path / "chat" / "dies.py").write_text("\n\nopened = open('/nonexistent/file')")
    (tmp_path / "chat" / "typo.py").write_text("class A(:")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "chat"]:
        del sys.modules[name]


def parse(*arguments: str) -> Any:
    options = Options()
    options.parseOptions(["run", *arguments])
    return options


def serving(*arguments: str) -> Child:
    return Child([script("twistd"), "-n", "--pidfile=", "casync", "run", *arguments])


@pytest.mark.programs
def test_a_class_of_the_current_directory_serves_at_all_places(folder: Path) -> None:
    path = folder / "chat.sock"
    with serving("chat.sockets:ChatListener", LOOPBACK, LOOPBACK, f"unix:{path}") as child:
        child.waitFor("listening on unix")
        first = child.waitFor(r"listening on tcp 127.0.0.1:(\d+)", 1)[1]
        second = child.waitFor(r"listening on tcp 127.0.0.1:(\d+)", 2)[1]
        assert first != second
        for port in (first, second):
            with (
                socket.create_connection(("127.0.0.1", int(port)), PATIENCE) as one,
                socket.create_connection(("127.0.0.1", int(port)), PATIENCE) as other,
            ):
                # The second is in the room once it has heard itself.
                other.sendall(b"hello")
                assert other.recv(5, socket.MSG_WAITALL) == b"hello"
                assert one.recv(5, socket.MSG_WAITALL) == b"hello"
                one.sendall(b"good-bye")
                assert other.recv(8, socket.MSG_WAITALL) == b"good-bye"
        with socket.socket(socket.AF_UNIX) as alone:
            alone.settimeout(PATIENCE)
            alone.connect(str(path))
            alone.sendall(b"anyone?")
            assert alone.recv(7, socket.MSG_WAITALL) == b"anyone?"
        child.process.terminate()
        child.wait()
        assert not any("Traceback" in line for line in child.lines)
    assert not path.exists()


@pytest.mark.programs
def test_a_function_makes_what_each_kind_of_place_needs(folder: Path) -> None:
    with serving("chat.sockets:make", LOOPBACK, "udp:0:interface=127.0.0.1") as child:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.settimeout(PATIENCE)
            peer.sendto(b"hello", child.listening("udp"))
            assert peer.recv(10) == b"HELLO"
        with socket.create_connection(child.listening("tcp"), PATIENCE) as one:
            one.sendall(b"hello")
            assert one.recv(5, socket.MSG_WAITALL) == b"hello"


def test_a_class_inside_of_another_can_be_named(folder: Path) -> None:
    options = parse("chat.sockets:Room.Listener", LOOPBACK)
    made = options.service.listener(options.subOptions, "stream")
    assert isinstance(made, CAsyncSocket)
    assert type(made).__qualname__ == "Room.Listener"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nothing.sockets:Listener", "no module 'nothing.sockets', since no 'nothing'; looked for in {folder} and"),
        ("nothing:Listener", "no module 'nothing'; looked for in {folder} and the rest of Python's path"),
        ("chat.nothing:Listener", "no module 'chat.nothing'; looked for"),
        ("chat.sokets:Listener", "rest of Python's path; did you mean 'chat.sockets'?"),
        ("chatt.sockets:Listener", "rest of Python's path; did you mean 'chat'?"),
        ("chat.sockets:ChatListner", "chat.sockets has no 'ChatListner'; did you mean 'ChatListener'?"),
        ("chat.sockets:Room.Xyzzy", "Room has no 'Xyzzy'"),
        ("chat.sockets:Room", "expected a subclass of CAsyncSocket, or a function that makes a socket, and it is the"),
        ("chat.sockets:number", "and it is of type int"),
        ("chat.sockets:one", "and it is an object; its class ChatListener makes new ones"),
        ("chat.sockets:NeedsARoom", "can't be called as NeedsARoom(): missing a required argument: 'room'"),
        ("chat.sockets:noArguments", "can't be called as noArguments('stream'): too many positional arguments"),
        ("chat.sockets:Shout", "{where}: chat.sockets:Shout has no OnAccept of its own, so it can't serve streams"),
        ("chat.sockets", "'chat.sockets': expected PACKAGE.MODULE:NAME, as mypackage.sockets:ChatListener"),
        ("chat/sockets.py:ChatListener", "expected PACKAGE.MODULE:NAME"),
        ("chat/sockets.py:ChatListener", "; did you mean 'chat.sockets:ChatListener'?"),
        ("chat.sockets.ChatListener", "; did you mean 'chat.sockets:ChatListener'?"),
        (".sockets:ChatListener", "expected PACKAGE.MODULE:NAME"),
        (
            "chat.broken:Something",
            "chat.broken can't be imported: ModuleNotFoundError: No module named 'chat.nothing' "
            "({folder}/chat/broken.py, line 1)",
        ),
        (
            "chat.dies:opened",
            "chat.dies can't be imported: FileNotFoundError: [Errno 2] No such file or directory: "
            "'/nonexistent/file' ({folder}/chat/dies.py, line 3)",
        ),
        ("chat.typo:A", "chat.typo can't be imported: SyntaxError: invalid syntax ({folder}/chat/typo.py, line 1)"),
    ],
)
def test_what_cannot_serve_is_a_usage_error(folder: Path, name: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(name, LOOPBACK)
    assert reason.format(folder=folder, where=LOOPBACK) in str(caught.value)


def test_a_listener_does_not_serve_datagrams(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"udp:0: .* has no OnReceive of its own, so it can't serve datagrams"):
        parse("chat.sockets:ChatListener", LOOPBACK, "udp:0")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "say what is to listen, and where"),
        (("chat.sockets:ChatListener",), "say where to listen, as in: run chat.sockets:ChatListener tcp:7007"),
        (("chat.sockets:ChatListener", "nonsense"), "'nonsense': expected one of tcp"),
    ],
)
def test_a_command_that_lacks_something(folder: Path, arguments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse(*arguments)
