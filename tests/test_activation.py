"""Sockets that systemd has opened: what is passed, which is meant, and that they serve."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from _ports import portOfItsOwn
from _twistd import PATIENCE, Child, client, environment, script
from twisted.python.usage import UsageError

from twisted_casync._where import CannotListen, _inherited, _place, parseWhere
from twisted_casync._where._inherited import Inherited, passed
from twisted_casync.services import AsyncSocketService
from twisted_casync.services.echo import EchoListener
from twisted_casync.tap import Options

ECHO = [script("twistd"), "-n", "--pidfile=", "casync", "echo"]

# Does what systemd does: the sockets become the descriptors from 3 on, and the process that they are for is told so.
PASSING = """
import fcntl, os, sys
names, count = sys.argv[1], int(sys.argv[2])
given, command = sys.argv[3 : 3 + count], sys.argv[3 + count :]
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in given]
for number, fd in enumerate(high):
    os.dup2(fd, 3 + number, inheritable=True)
os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] = str(count), str(os.getpid())
if names:
    os.environ["LISTEN_FDNAMES"] = names
os.execv(command[0], command)
"""


def activated(sockets: list[socket.socket], *command: str, names: str = "") -> Child:
    """A program that was started with sockets, as by systemd."""
    fds = [one.fileno() for one in sockets]
    words = [sys.executable, "-c", PASSING, names, str(len(fds)), *map(str, fds), *command]
    return Child(words, passing=fds)


def listening(family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, address: Any = None) -> socket.socket:
    made = socket.socket(family, kind)
    made.bind(address or ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made


def echoed(address: Any, family: int = socket.AF_INET) -> bytes:
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(address)
        connection.sendall(b"hello")
        return connection.recv(5, socket.MSG_WAITALL)


# -- systemd's own


@pytest.mark.programs
def test_systemd_starts_it_at_the_first_connection(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    port = portOfItsOwn()
    settings = [f"-E{name}" for name in ("PYTHONPATH", "PATH")]
    command = [client("systemd-socket-activate"), *settings, "--fdname=web:local", f"-l127.0.0.1:{port}", f"-l{path}"]
    where = ["systemd:domain=INET:name=web", "systemd:domain=UNIX:name=local"]
    with Child([*command, *ECHO, *where]) as child:
        child.waitFor(f"Listening on {path}")
        assert echoed(("127.0.0.1", port)) == b"hello"
        child.waitFor(f"listening on tcp 127.0.0.1:{port}$")
        child.waitFor(f"listening on unix {path}$")
        assert echoed(str(path), socket.AF_UNIX) == b"hello"
        child.process.terminate()
        child.wait()
        assert not any("Traceback" in line for line in child.lines)
    # It is systemd's.
    assert path.exists()


# -- the same environment


@pytest.mark.programs
def test_sockets_of_all_kinds_are_served(tmp_path: Path) -> None:
    tcp, udp6 = listening(), listening(socket.AF_INET6, socket.SOCK_DGRAM)
    stream = listening(socket.AF_UNIX, address=str(tmp_path / "stream"))
    datagrams = listening(socket.AF_UNIX, socket.SOCK_DGRAM, str(tmp_path / "datagrams"))
    sockets = [tcp, udp6, stream, datagrams]
    where = ["systemd:domain=INET:index=0", "systemd:INET6:1", "systemd:name=s", "systemd:UNIX:name=d"]
    with activated(sockets, *ECHO, *where, names="t:u:s:d") as child:
        child.waitFor(f"listening on unix {tmp_path}/datagrams$")
        assert child.listening("udp6") == udp6.getsockname()[:2]
        assert echoed(tcp.getsockname()) == b"hello"
        assert echoed(stream.getsockname(), socket.AF_UNIX) == b"hello"
        for family, address, mine in (
            (socket.AF_INET6, udp6.getsockname(), ("::1", 0)),
            (socket.AF_UNIX, datagrams.getsockname(), str(tmp_path / "mine")),
        ):
            with socket.socket(family, socket.SOCK_DGRAM) as peer:
                peer.settimeout(PATIENCE)
                peer.bind(mine)
                peer.sendto(b"datagram", address)
                assert peer.recv(10) == b"datagram"
    for one in sockets:
        one.close()


@pytest.mark.programs
def test_without_names_they_are_found_by_their_number() -> None:
    with listening() as tcp, activated([tcp], *ECHO, "systemd:domain=INET:index=0"):
        assert echoed(tcp.getsockname()) == b"hello"


@pytest.mark.programs
def test_a_daemon_keeps_them(tmp_path: Path) -> None:
    # It is another process than the one that they were passed to.
    log = tmp_path / "log"
    daemon = [script("twistd"), f"--pidfile={tmp_path}/pid", f"--logfile={log}", "casync", "echo", "systemd:index=0"]
    with listening() as tcp:
        with activated([tcp], *daemon) as child:
            assert child.wait() == 0, child.lines
        pid = int((tmp_path / "pid").read_text())
        try:
            assert echoed(tcp.getsockname()) == b"hello"
        finally:
            ended = os.pidfd_open(pid)
            os.kill(pid, signal.SIGTERM)
            assert select.select([ended], [], [], PATIENCE)[0]
            os.close(ended)
    assert "Traceback" not in log.read_text()


@pytest.mark.programs
def test_they_are_found_where_twisted_has_taken_the_variables_and_are_not_inherited_further() -> None:
    program = (
        "import os, twisted.internet.endpoints; from twisted_casync._where._inherited import inherited; "
        "print('found', *inherited(), os.get_inheritable(3))"
    )
    with listening() as tcp, activated([tcp], sys.executable, "-c", program, names="web") as child:
        child.waitFor(r"^found 0 \(web\) False$")


def test_none_was_passed_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"'systemd:name=web': systemd has passed no socket to this process"):
        Options().parseOptions(["echo", "systemd:name=web"])


# -- which is meant


def test_what_an_environment_says() -> None:
    environ = {"LISTEN_FDS": "2", "LISTEN_PID": "7", "LISTEN_FDNAMES": "web:dns", "HOME": "/"}
    assert passed(environ, 7) == (Inherited(0, "web", 3), Inherited(1, "dns", 4))
    assert passed({**environ, "LISTEN_FDNAMES": ""}, 7) == (Inherited(0, "unknown", 3), Inherited(1, "unknown", 4))
    assert "LISTEN_FDS" in environ
    assert passed({"HOME": "/"}, 7) == ()


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"LISTEN_PID": "8"}, "passed sockets to process 8, and this is 7: a command between them has to end in exec"),
        ({"LISTEN_FDS": "two"}, "LISTEN_FDS is 'two', expected a number"),
        ({"LISTEN_FDNAMES": "web"}, "LISTEN_FDS is 2, and LISTEN_FDNAMES has 1 names"),
    ],
)
def test_an_environment_that_is_wrong(change: dict[str, str], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        passed({"LISTEN_FDS": "2", "LISTEN_PID": "7", "LISTEN_FDNAMES": "web:dns", **change}, 7)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have sockets passed to this process."""

    def give(**sockets: socket.socket) -> None:
        found = tuple(Inherited(index, name[0], one.fileno()) for index, (name, one) in enumerate(sockets.items()))
        monkeypatch.setattr(_place, "inherited", lambda: found)

    return give


@pytest.mark.parametrize(
    ("description", "wrong"),
    [
        ("systemd:index=9", "no socket of index 9; systemd has passed 0 .a., 1 .b., 2 .b., 3 .c., 4 .q."),
        ("systemd:name=z", "no socket of name 'z'; systemd has passed 0 .a., 1 .b.,"),
        ("systemd:INET6:0", "the socket of index 0 is of domain=INET, not INET6"),
        ("systemd:name=b", "2 sockets have the name 'b', expected index=1 or index=2"),
        ("systemd:name=c", "expected a socket that listens, and it is a connection; its unit needs Accept=no"),
        ("systemd:index=4", "expected a socket of INET, INET6 or UNIX, stream or datagram, and it is"),
    ],
)
def test_one_that_cannot_serve(given: Callable[..., None], description: str, wrong: str) -> None:
    one, other, third = listening(), listening(), listening(socket.AF_INET6)
    connection, packets = socket.socketpair(), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    given(a=one, b1=other, b2=third, c=connection[0], q=packets)
    # With the domain the name is enough.
    parseWhere("systemd:INET6:name=b").check()
    with pytest.raises(ValueError, match=wrong) as caught:
        AsyncSocketService(EchoListener, [description])
    assert str(caught.value).startswith(repr(description))
    for made in (one, other, third, *connection, packets):
        made.close()


def test_a_descriptor_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_place, "inherited", lambda: (Inherited(0, "web", 987654),))
    with pytest.raises(ValueError, match="the descriptor 987654 that was passed is no open socket"):
        parseWhere("systemd:index=0").check()


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_a_service_that_stops_leaves_the_socket_and_can_start_again(given: Callable[..., None]) -> None:
    from twisted.internet.threads import deferToThread

    with listening() as tcp:
        given(web=tcp)
        service = AsyncSocketService(EchoListener, ["systemd:name=w"])
        for _ in range(2):
            service.startService()
            assert await deferToThread(echoed, tcp.getsockname()) == b"hello"
            await service.stopService()
        # Connections wait for the next one who accepts them.
        with socket.create_connection(tcp.getsockname(), PATIENCE):
            tcp.accept()[0].close()


class Refusing(EchoListener):
    def Attach(self, hSocket: Any, lEvent: int = 0) -> bool:
        return False


def test_one_that_cannot_be_attached_is_not_kept(given: Callable[..., None]) -> None:
    with listening() as tcp:
        given(web=tcp)
        service = AsyncSocketService(Refusing, ["systemd:name=w"])
        before = os.listdir("/proc/self/fd")
        with pytest.raises(CannotListen, match="cannot listen on systemd:name=w"):
            service.startService()
        assert os.listdir("/proc/self/fd") == before


def test_the_environment_of_this_process_is_read_without_touching_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert _inherited._environment()["LISTEN_FDS"] == "1"
    monkeypatch.delenv("LISTEN_FDS")
    assert "PATH" in _inherited._environment()
    assert environment()["PATH"] == _inherited._environment()["PATH"]
