"""What an operator sees of a service that can't be started: one line that says why, no traceback, a status of 1."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from _tls import LOCALHOST, identity
from _twistd import BAD_USAGE, PATIENCE, Child, environment, script, twistd
from twisted.internet.error import CannotListenError

from twisted_casync.services import AsyncSocketService, ObservedService
from twisted_casync.services.echo import EchoListener

LOOPBACK = f"tcp:0:interface={LOCALHOST}"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else has, for streams and for datagrams."""
    while True:
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(socket.create_server((LOCALHOST, 0)))
            datagram = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            port: int = stream.getsockname()[1]
            try:
                datagram.bind((LOCALHOST, port))
            except OSError:
                continue
            yield port
            return


def mustSayOnce(child: Child, expected: str) -> None:
    """One line of the log, besides those of twistd's own, and perhaps of what had been opened."""
    assert child.wait() == 1
    critical = [line.partition("#critical] ")[2] for line in child.lines if "#critical]" in line]
    assert critical == [expected]
    assert not [line for line in child.lines if "Traceback" in line or "stderr" in line], child.lines


IN_USE = "WSAEADDRINUSE: Address already in use."
UNREACHABLE = "WSAEADDRNOTAVAIL: Cannot assign requested address."


@pytest.mark.programs
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("echo tcp:{taken}:interface=127.0.0.1", f"cannot listen on tcp:{{taken}}:interface=127.0.0.1: {IN_USE}"),
        ("time udp:{taken}:interface=127.0.0.1", f"cannot listen on udp:{{taken}}:interface=127.0.0.1: {IN_USE}"),
        # The first of them is closed again.
        ("chat {free} tcp:{taken}", f"cannot listen on tcp:{{taken}}: {IN_USE}"),
        ("echo ssl:{taken}:privateKey={key}", f"cannot listen on ssl:{{taken}}:privateKey={{key}}: {IN_USE}"),
        ("echo tcp:0:interface=192.0.2.1", f"cannot listen on tcp:0:interface=192.0.2.1: {UNREACHABLE}"),
        ("echo unix:/nowhere/x.sock", "cannot listen on unix:/nowhere/x.sock: No such file or directory."),
        ("echo unix:{key}", f"cannot listen on unix:{{key}}: {IN_USE}"),
        (
            "--metrics tcp:{taken}:interface=127.0.0.1 echo {free}",
            "cannot serve metrics at tcp:{taken}:interface=127.0.0.1: Address already in use.",
        ),
        (
            "--metrics unix:/nowhere/x.sock echo {free}",
            "cannot serve metrics at unix:/nowhere/x.sock: No such file or directory.",
        ),
        # A directory that takes no file, not even root's.
        (
            "--trace /proc/trace.jsonl --status echo {free}",
            "cannot write the trace /proc/trace.jsonl: [Errno 2] No such file or directory: '/proc/trace.jsonl'",
        ),
    ],
)
def test_what_can_not_be_started_is_one_line(taken: int, arguments: str, complaint: str) -> None:
    names = {"taken": taken, "free": LOOPBACK, "key": identity("localhost", "authority.example").both}
    with twistd(*arguments.format(**names).split()) as child:
        mustSayOnce(child, complaint.format(**names))


@pytest.mark.programs
@pytest.mark.skipif(os.getuid() != 0, reason="others than root may not say who may have which port")
def test_a_port_of_root_is_one_line(tmp_path: Path) -> None:
    # Root without its capabilities, since another user may not be able to read the environment of the tests.
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", script("twistd"), "-n", "--pidfile=", "casync"]
    with Child([*command, "echo", f"tcp:7:interface={LOCALHOST}"]) as child:
        mustSayOnce(child, "cannot listen on tcp:7:interface=127.0.0.1: WSAEACCES: Permission denied.")


@pytest.mark.programs
def test_a_tac_file_is_one_line(taken: int, tmp_path: Path) -> None:
    (tmp_path / "echo.tac").write_text(
        f"""
from twisted.application.service import Application
from twisted_casync.services import AsyncSocketService
from twisted_casync.services.echo import EchoListener

application = Application("echo")
AsyncSocketService(EchoListener, ["tcp:{taken}:interface=127.0.0.1"]).setServiceParent(application)
"""
    )
    with Child([script("twistd"), "--pidfile=", "-ny", "echo.tac"], cwd=tmp_path) as child:
        mustSayOnce(child, f"cannot listen on tcp:{taken}:interface=127.0.0.1: {IN_USE}")


@pytest.mark.programs
@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("tcp:{taken}:interface=127.0.0.1", "cannot listen on tcp:{taken}:interface=127.0.0.1: " + IN_USE),
        # What does not fit into what twistd shows is left out in the middle.
        ("unix:{long}/x", "...: No such file or directory."),
        ("ssl:{taken}:privateKey={key}:interface=127.0.0.1", "...: " + IN_USE),
        ("tcp:0:interface=192.0.2.1", "...: " + UNREACHABLE),
    ],
)
def test_in_the_background_the_terminal_and_the_log_say_it_and_no_pid_file_stays(
    taken: int, tmp_path: Path, where: str, shown: str
) -> None:
    names = {"taken": taken, "long": "/nowhere/" + "long/" * 12, "key": identity("localhost", "authority.example").both}
    where, shown = where.format(**names), shown.format(**names)
    pidfile, log = tmp_path / "pid", tmp_path / "log"
    command = [script("twistd"), f"--pidfile={pidfile}", f"--logfile={log}", "casync", "echo", where]
    result = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=tmp_path
    )
    assert result.returncode == 1
    assert "An error has occurred: b'Failed: cannot listen on " in result.stderr
    assert f"{shown}'\n" in result.stderr
    # The one that tells why is not yet the end of the one that failed.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        ended = os.pidfd_open(int(pidfile.read_text()))
        assert select.select([ended], [], [], PATIENCE)[0]
        os.close(ended)
    assert not pidfile.exists()
    said = log.read_text()
    assert said.count(f"cannot listen on {where}: ") == 1
    assert "Traceback" not in said


def test_metrics_say_that_it_is_they_that_can_not_be_served(taken: int) -> None:
    where = f"tcp:{taken}:interface=127.0.0.1"
    service = ObservedService(AsyncSocketService(EchoListener, [LOOPBACK]), "echo", metrics=where)
    with pytest.raises(CannotListenError) as caught:
        service.privilegedStartService()
    assert str(caught.value) == f"cannot serve metrics at {where}: Address already in use."


def test_a_long_reason_that_is_not_ASCII_fits_too() -> None:
    where = "unix:/nowhere/" + "\N{LATIN SMALL LETTER E WITH ACUTE}" * 40
    with pytest.raises(CannotListenError) as caught:
        AsyncSocketService(EchoListener, [where]).privilegedStartService()
    (line,) = traceback.format_exception_only(type(caught.value), caught.value)
    written = f"1 {line.strip()}".encode("ascii", "backslashreplace")
    assert written.startswith(b"1 Failed: cannot listen on unix:/nowhere/")
    assert written.endswith(b"...: No such file or directory.")
    assert len(written) <= 100
    assert str(caught.value.__cause__) == f"cannot listen on {where}: No such file or directory."


def test_a_program_that_starts_a_service_gets_the_error(taken: int) -> None:
    for start in ("privilegedStartService", "startService"):
        service = AsyncSocketService(EchoListener, [f"tcp:{taken}:interface=127.0.0.1"])
        with pytest.raises(CannotListenError) as caught:
            getattr(service, start)()
        assert caught.value.port == taken
        assert IN_USE in str(caught.value)


@pytest.mark.programs
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("echo --grace=soon", "--grace 'soon': expected a number of seconds, 0 or more"),
        ("echo --max-connections=", "--max-connections '': expected a number, 0 or more"),
        ("echo --max-per-address=-1", "--max-per-address '-1': expected a number, 0 or more"),
        ("echo --idle-timeout=nan", "--idle-timeout 'nan': expected a number of seconds, 0 or more"),
        (
            "--metrics=ssl:0:privateKey=/nowhere echo",
            "--metrics 'ssl:0:privateKey=/nowhere': [Errno 2] No such file or directory: '/nowhere'",
        ),
        ("forward --to=x", "--to 'x': expected HOST:PORT, [IPV6 ADDRESS]:PORT or unix:PATH"),
        ("forward --to=x:1 --connect-timeout=0", "--connect-timeout '0': expected a number of seconds, more than 0"),
    ],
)
def test_a_bad_value_is_told_with_its_option(arguments: str, complaint: str) -> None:
    with twistd(*arguments.split()) as child:
        assert child.wait() == BAD_USAGE
        assert child.lines[-1].endswith(f": {complaint}")
