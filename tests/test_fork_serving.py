"""
A child that goes on to serve with the sockets that it has inherited, whatever becomes of its parent: a daemon, whose
sockets were made before it went to the background.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from _reactors import LIMIT, REACTORS, WAYS, must
from _twistd import script

from twisted_casync import AfxSocketInit, CAsyncSocket

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.programs


class Echo(CAsyncSocket):
    """
    One connection.
    """

    def OnReceive(self, nErrorCode: int) -> None:
        buffer = bytearray(100)
        count = self.Receive(buffer)
        if count > 0:
            self.Send(buffer[:count])

    def OnClose(self, nErrorCode: int) -> None:
        self.Close()


class Door(CAsyncSocket):
    """
    The listener.
    """

    def OnAccept(self, nErrorCode: int) -> None:
        self.Accept(Echo(self._as_asked))


class Daemon:
    """
    A process of the test's own that makes a listener, and its child, which serves.
    """

    def __init__(self, way: str, running: bool, parent: Callable[[Door], bool]) -> None:
        """
        @param running: the child is made when the reactor runs already.
        @param parent: what the parent does with the listener and the reactor, and the child's number.
        """
        here, there = os.pipe()
        self.parent = os.fork()
        if not self.parent:
            try:
                self._make(way, running, parent, there)
            finally:
                os._exit(1)
        os.close(there)
        with os.fdopen(here) as lines:
            self.log = lines
            port, child = lines.readline().split()
            self.address, self.child = ("127.0.0.1", int(port)), int(child)
            # Until the parent has done what it does, or is gone.
            assert lines.readline() in ("done\n", "")

    @staticmethod
    def _make(way: str, running: bool, parent: Callable[[Door], bool], pipe: int) -> None:
        signal.alarm(60)
        name, _, registration = way.partition("-")
        reactor = REACTORS[name]()
        AfxSocketInit(reactor, direct=registration == "direct")
        door = Door(reactor)
        must(door.Create(0, lpszSocketAddress="127.0.0.1"))
        must(door.Listen())

        def fork() -> None:
            child = os.fork()
            if not child:
                os.close(pipe)
                signal.alarm(60)
                return
            os.write(pipe, b"%d %d\n" % (must(door.GetSockName())[1], child))
            goesOn = parent(door)
            os.write(pipe, b"done\n")
            if not goesOn:
                os.waitpid(child, 0)
                os._exit(0)

        if running:
            reactor.callLater(0, fork)
        else:
            fork()
        reactor.run(installSignalHandlers=False)

    def end(self) -> None:
        for process in (self.child, self.parent):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.parent, 0)


def answers(address: tuple[str, int]) -> None:
    """
    Three clients, one after the other, each of which says something, twice.
    """
    for count in range(3):
        with socket.create_connection(address, LIMIT) as client:
            client.settimeout(LIMIT)
            for text in (b"hello", b"%d" % count):
                client.sendall(text)
                assert client.recv(100) == text


def exits(door: Door) -> bool:
    os._exit(0)


def stays(door: Door) -> bool:
    """It waits for its child."""
    return False


def closes(door: Door) -> bool:
    door.Close()
    return False


def serves(door: Door) -> bool:
    """Both do: each connection is one's or the other's."""
    return True


PARENTS: list[Callable[[Door], bool]] = [exits, stays, closes, serves]
CASES = [
    pytest.param(way, parent, id=f"{way}-{parent.__name__}")
    for way in WAYS
    for parent in PARENTS
    # libuv's set stays one for both: not even Twisted's own ports survive that.  It is said in the log: test_fork.py.
    if not (way.startswith("uvloop") and parent in (closes, serves))
]


@pytest.mark.parametrize("running", [False, True], ids=["before the reactor runs", "while it runs"])
@pytest.mark.parametrize(("way", "parent"), CASES)
def test_a_child_serves_whatever_becomes_of_its_parent(way: str, parent: Callable[[Door], bool], running: bool) -> None:
    daemon = Daemon(way, running, parent)
    try:
        if parent is exits:
            os.waitpid(daemon.parent, 0)
        answers(daemon.address)
    finally:
        daemon.end()


TAC = """
from twisted.application.service import Application
from twisted_casync import CAsyncSocket

class Echo(CAsyncSocket):
    def OnReceive(self, nErrorCode):
        buffer = bytearray(100)
        count = self.Receive(buffer)
        if count > 0:
            self.Send(buffer[:count])

    def OnClose(self, nErrorCode):
        self.Close()

class Door(CAsyncSocket):
    def OnAccept(self, nErrorCode):
        self.Accept(Echo())

door = Door()
assert door.Create(0, lpszSocketAddress="127.0.0.1") and door.Listen()
with open("port", "w") as file:
    print(door.GetSockName()[1], file=file)

application = Application("echo")
"""


@pytest.mark.parametrize("name", [None, *(name for name in REACTORS if name != "uvloop")])
def test_twistd_serves_in_the_background_what_a_tac_file_has_made(name: str | None, tmp_path: Path) -> None:
    """It reads the file before it becomes a daemon."""
    (tmp_path / "echo.tac").write_text(TAC)
    reactor = [] if name is None else [f"--reactor={name}"]
    subprocess.run(
        [script("twistd"), *reactor, "-l", "log", "-y", "echo.tac"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=300,
    )
    daemon = int((tmp_path / "twistd.pid").read_text())
    ended = os.pidfd_open(daemon)
    try:
        answers(("127.0.0.1", int((tmp_path / "port").read_text())))
    finally:
        os.kill(daemon, signal.SIGTERM)
        assert select.select([ended], [], [], LIMIT)[0], (tmp_path / "log").read_text()
        os.close(ended)
