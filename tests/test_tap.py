"""`twistd casync`: its command line, the service object, and how connections end."""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from _twistd import PATIENCE, Child, environment, script, twistd
from twisted.application.service import IService, IServiceMaker
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.python.usage import UsageError
from zope.interface.verify import verifyObject

from twisted_casync import CAsyncSocket, IAsyncSocketService, __version__
from twisted_casync._where import parseWhere
from twisted_casync.services import (
    SHIPPED,
    AsyncSocketService,
    ServiceOptions,
    StreamConnection,
    StreamListener,
)
from twisted_casync.services._drain import LULL, Drain
from twisted_casync.services.echo import DatagramEcho, EchoConnection, EchoListener
from twisted_casync.tap import Options, makeService

LOOPBACK = "tcp:0:interface=127.0.0.1"


def run(*command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False, **more
    )


# -- the command line --


def parse(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(arguments)
    return options


def test_the_defaults_are_the_services_own() -> None:
    options = parse("echo")
    assert options.subOptions["where"] == []
    assert options.subOptions["grace"] == 5.0
    assert SHIPPED[0].where == ("tcp:7007", "udp:7007")


@pytest.mark.parametrize("seconds", ["-1", "soon", "nan", "inf"])
def test_a_bad_grace_is_a_usage_error(seconds: str) -> None:
    with pytest.raises(UsageError):
        parse("echo", "--grace", seconds)


def test_a_bad_where_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="'tcp:http': port 'http': expected a number from 0 to 65535"):
        parse("echo", "tcp:http")


def test_nothing_to_serve_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="say what to serve: echo"):
        parse()
    with pytest.raises(UsageError, match="nonsense"):
        parse("nonsense")


def test_the_service_that_is_made() -> None:
    service = makeService(parse("echo", "--grace=2.5", LOOPBACK))
    assert isinstance(service, AsyncSocketService)
    assert verifyObject(IService, service)
    assert not service.listeners


def test_services_leave_the_private_names_of_the_socket_alone() -> None:
    # An attribute of a subclass that has the name of one of CAsyncSocket's would silently replace it.
    classes = (StreamListener, StreamConnection, EchoListener, EchoConnection, DatagramEcho)
    for one in classes:
        used = set(re.findall(r"(?:self\.|def )(_[a-zA-Z]\w*)", inspect.getsource(one)))
        assert not used & set(dir(CAsyncSocket)), one


@pytest.mark.parametrize("service", SHIPPED, ids=lambda service: service.name)
def test_shipped_services_are_what_plugins_must_be(service: Any) -> None:
    assert verifyObject(IAsyncSocketService, service)
    for description in service.where:
        place = parseWhere(description)
        assert isinstance(service.listener(service.options(), place.kind), CAsyncSocket)


@pytest.mark.programs
def test_help_lists_what_can_be_served() -> None:
    result = run(script("twistd"), "casync", "--help")
    assert result.returncode == 0
    assert "echo" in result.stdout
    assert "Send back what comes (RFC 862). Default: tcp:7007 udp:7007" in " ".join(result.stdout.split())


@pytest.mark.programs
def test_help_of_a_service() -> None:
    result = run(script("twistd"), "casync", "echo", "--help")
    assert result.returncode == 0
    for word in (
        "casync [options] echo [options] [WHERE...]",
        "--grace",
        "tcp:PORT[:interface=ADDRESS]",
        "unix:PATH[:mode=OCTAL]",
    ):
        assert word in result.stdout


@pytest.mark.programs
def test_the_version_is_ours() -> None:
    for command in (["casync"], ["casync", "echo"]):
        assert run(script("twistd"), *command, "--version").stdout == f"twisted_casync version: {__version__}\n"


@pytest.mark.programs
def test_a_bad_where_ends_twistd_with_a_message() -> None:
    result = run(script("twistd"), "-n", "--pidfile=", "casync", "echo", "tcp:70000")
    # Older releases of Twisted leave 0 after any bad command line.
    assert result.returncode == run(script("twistd"), "nonsense").returncode
    assert "'tcp:70000': port '70000': expected a number from 0 to 65535" in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.programs
def test_a_port_in_use_ends_twistd_with_a_message(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"
        message = f"cannot listen on {where}"
        with twistd("echo", where) as child:
            child.waitFor(rf"critical\] {message}: WSAEADDRINUSE: Address already in use")
            assert child.wait() == 1
        pidfile = tmp_path / "pid"
        log = tmp_path / "log"
        daemon = run(script("twistd"), "--pidfile", str(pidfile), "-l", str(log), "casync", "echo", where)
        assert daemon.returncode == 1
        assert message in daemon.stdout + daemon.stderr
        # The one that tells why is not yet the end of the one that failed.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            ended = os.pidfd_open(int(pidfile.read_text()))
            assert select.select([ended], [], [], PATIENCE)[0]
            os.close(ended)
        assert not pidfile.exists()


@pytest.mark.programs
def test_it_serves_as_a_daemon(tmp_path: Path) -> None:
    path, pidfile, log = tmp_path / "echo.sock", tmp_path / "pid", tmp_path / "log"
    where = f"unix:{path}"
    started = run(script("twistd"), "--pidfile", str(pidfile), "-l", str(log), "casync", "echo", where)
    assert started.returncode == 0, started.stdout + started.stderr
    pid = int(pidfile.read_text())
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            # The parent returns when the daemon has started its services, so there is nothing to wait for.
            connection.connect(str(path))
            connection.sendall(b"hello")
            assert connection.recv(5) == b"hello"
    finally:
        ended = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
        assert select.select([ended], [], [], PATIENCE)[0]
        os.close(ended)
    assert "Traceback" not in log.read_text()


@pytest.mark.programs
def test_it_runs_under_twist_too() -> None:
    # twist never calls privilegedStartService.
    with Child([script("twist"), "--log-format=text", "casync", "echo", LOOPBACK]) as child:
        with socket.create_connection(child.listening("tcp"), PATIENCE) as connection:
            connection.sendall(b"hello")
            assert connection.recv(5) == b"hello"
        child.process.terminate()
        child.wait()
        assert not any("Traceback" in line for line in child.lines)


@pytest.mark.programs
@pytest.mark.parametrize("reactor", ["epoll", "poll", "select", "asyncio", "casync"])
def test_it_runs_on_every_reactor(reactor: str) -> None:
    command = [script("twistd"), "-n", "--pidfile=", "--reactor", reactor, "casync", "echo", LOOPBACK]
    with Child(command) as child:
        with socket.create_connection(child.listening("tcp"), PATIENCE) as connection:
            connection.sendall(b"hello")
            assert connection.recv(5) == b"hello"
        child.process.terminate()
        child.wait()
        assert not any("Traceback" in line for line in child.lines)


# -- the drop-in and plugins --


@pytest.mark.programs
def test_the_drop_in_loads_nothing_heavy() -> None:
    program = (
        "import sys; from twisted.plugins import twisted_casync_dropin; "
        "print(sorted({'twisted_casync', 'twisted.internet.reactor'} & sys.modules.keys()))"
    )
    assert run(sys.executable, "-c", program).stdout == "[]\n"


@pytest.mark.programs
def test_the_command_line_installs_no_reactor() -> None:
    program = "import sys, twisted_casync.tap; print('twisted.internet.reactor' in sys.modules)"
    assert run(sys.executable, "-c", program).stdout == "False\n"


def test_the_drop_in_makes_this_service() -> None:
    from twisted.plugins.twisted_casync_dropin import casyncService

    assert verifyObject(IServiceMaker, casyncService)
    assert casyncService.tapname == "casync"
    assert casyncService.options is Options


PLUGIN = """
from twisted.plugin import IPlugin
from twisted_casync import CAsyncSocket, GetLastError, IAsyncSocketService
from twisted_casync.services import ServiceOptions
from zope.interface import implementer

class Greeter(CAsyncSocket):
    def OnAccept(self, nErrorCode):
        child = CAsyncSocket()
        if self.Accept(child):
            child.Send(b"greetings")
            child.Close()

@implementer(IAsyncSocketService)
class Service:
    name, description, where = "greet", "Greet and go.", ("tcp:7013",)
    options = ServiceOptions
    def listener(self, options, kind):
        return Greeter()

service = Service()
"""


@pytest.mark.programs
def test_a_plugin_of_someone_else_is_served(tmp_path: Path) -> None:
    plugins = tmp_path / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "greet_dropin.py").write_text(PLUGIN)
    environ = environment()
    environ["PYTHONPATH"] += os.pathsep + str(tmp_path)
    command = [script("twistd"), "-n", "--pidfile=", "casync"]
    listed = subprocess.run([*command, "--help"], env=environ, capture_output=True, text=True, check=True)
    assert "Greet and go." in listed.stdout
    with (
        Child([*command, "greet", LOOPBACK], environ) as child,
        socket.create_connection(child.listening("tcp"), PATIENCE) as connection,
    ):
        assert connection.makefile("rb").read() == b"greetings"


# -- the service object --


class Plain(CAsyncSocket):
    """A listening socket with nothing to finish."""


def addressOf(service: AsyncSocketService, index: int = 0) -> tuple[str, int]:
    name = service.listeners[index].GetSockNameEx()
    assert name is not None
    return name[0], name[1]


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_a_service_starts_stops_and_starts_again() -> None:
    kinds: list[str] = []

    def factory(kind: str) -> CAsyncSocket:
        kinds.append(kind)
        return Plain()

    service = AsyncSocketService(factory, [LOOPBACK, "udp:0:interface=127.0.0.1"])
    for _ in range(2):
        service.privilegedStartService()
        address = addressOf(service)
        service.startService()
        assert len(service.listeners) == 2
        assert service.running
        socket.create_connection(address, PATIENCE).close()
        await service.stopService()
        assert not service.running
        assert not service.listeners
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, PATIENCE)
    assert kinds == ["stream", "datagram"] * 2
    await service.stopService()


def test_when_one_place_cannot_be_had_none_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "first.sock"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        where = [f"unix:{path}", f"tcp:{port}:interface=127.0.0.1"]
        service = AsyncSocketService(lambda kind: Plain(), where)
        with pytest.raises(CannotListenError, match="WSAEADDRINUSE") as caught:
            service.startService()
    assert (caught.value.interface, caught.value.port) == ("127.0.0.1", port)
    assert not service.running
    assert not service.listeners
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_is_not_here() -> None:
    # 192.0.2.0/24 is set aside for documentation (RFC 5737), so no interface has it.
    service = AsyncSocketService(lambda kind: Plain(), ["tcp:0:interface=192.0.2.1"])
    with pytest.raises(CannotListenError, match="WSAEADDRNOTAVAIL"):
        service.startService()


def test_a_bad_description_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="expected one of"):
        AsyncSocketService(lambda kind: Plain(), ["nonsense"])


@pytest.mark.programs
@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_a_unix_socket_left_by_a_killed_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    with twistd("echo", f"unix:{path}") as child:
        child.waitFor("listening on unix")
        inUse = AsyncSocketService(lambda kind: Plain(), [f"unix:{path}"])
        with pytest.raises(CannotListenError, match=r"echo.sock.lock is held by a running process"):
            inUse.startService()
        assert path.exists()
    assert path.exists()
    service = AsyncSocketService(lambda kind: Plain(), [f"unix:{path}:mode=600"])
    service.startService()
    assert path.stat().st_mode & 0o777 == 0o600
    await service.stopService()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    service = AsyncSocketService(lambda kind: Plain(), [f"unix:{path}"])
    with pytest.raises(CannotListenError, match="WSAEADDRINUSE"):
        service.startService()
    assert path.read_text() == "data"
    assert list(tmp_path.iterdir()) == [path]


def test_options_of_a_service_can_be_extended() -> None:
    class More(ServiceOptions):
        optFlags = [["loud", None, "Speak up."]]

    options = More()
    options.parseOptions(["--loud", "-g", "1", "tcp:7"])  # type: ignore[no-untyped-call]
    assert options["loud"] == 1
    assert options["grace"] == 1.0
    assert [place.description for place in options["where"]] == ["tcp:7"]


# -- how connections end --


class FakeConnection:
    """Something with traffic, that leaves the set when it is told to end."""

    def __init__(self, connections: set[Any]) -> None:
        self.connections = connections
        self.bytesIn = self.bytesOut = 0
        self.rest = False
        self.end = ""
        self.drain: Drain | None = None
        connections.add(self)

    def unfinished(self) -> bool:
        return self.rest

    def _leave(self, end: str) -> None:
        assert self.drain is not None
        self.end = end
        self.connections.remove(self)
        self.drain.ended()

    def finish(self) -> None:
        self._leave("finished")

    def abort(self) -> None:
        self._leave("aborted")


def draining(count: int, grace: float) -> tuple[Clock, Drain, list[FakeConnection]]:
    connections: set[Any] = set()
    fakes = [FakeConnection(connections) for _ in range(count)]
    clock = Clock()
    drain = Drain(connections, clock, grace)
    for fake in fakes:
        fake.drain = drain
    return clock, drain, fakes


def test_drain_without_connections_is_over_at_once() -> None:
    clock, drain, _ = draining(0, 5)
    assert drain.done.called
    assert clock.getDelayedCalls() == []


def test_drain_finishes_the_quiet_and_waits_for_the_busy() -> None:
    clock, drain, (quiet, sending, receiving) = draining(3, 5)
    assert quiet.end == ""
    sending.rest = True
    receiving.bytesIn += 1
    clock.advance(LULL)
    assert (quiet.end, sending.end, receiving.end) == ("finished", "", "")
    clock.advance(LULL)
    assert (sending.end, receiving.end) == ("", "finished")
    assert not drain.done.called
    sending.rest = False
    clock.advance(LULL)
    assert sending.end == "finished"
    assert drain.done.called
    assert clock.getDelayedCalls() == []


def test_drain_cuts_off_after_the_grace_time() -> None:
    clock, drain, (stuck, other, busy) = draining(3, LULL * 9.5)
    stuck.rest = other.rest = True
    for _ in range(9):
        busy.bytesIn += 1
        clock.advance(LULL)
    assert not drain.done.called
    clock.advance(LULL)
    assert (stuck.end, other.end, busy.end) == ("aborted", "aborted", "finished")
    assert drain.done.called
    assert clock.getDelayedCalls() == []
