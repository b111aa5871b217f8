"""A command line that can't be used: a short error, with the name that was meant and where an option belongs."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from _twistd import PATIENCE, environment, script
from twisted.python.usage import UsageError
from twisted.scripts._twistd_unix import ServerOptions

from twisted_casync import CAsyncSocket
from twisted_casync.services import SHIPPED, ServiceOptions, SocketService


class Mute(CAsyncSocket):
    """A socket that is never opened."""


class Loud(ServiceOptions):
    optFlags = [["loud", "l", "Speak up."]]


DATAGRAMS = SocketService("mail", "Datagrams only.", datagram=Mute, options=Loud, where=["udp:7099"])


@pytest.fixture(autouse=True)
def withDatagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twisted_casync.tap.SHIPPED", (*SHIPPED, DATAGRAMS))
    monkeypatch.setattr("sys.argv", ["twistd"])


def failed(line: str) -> tuple[Any, str]:
    """twistd's options after a command line that is wrong, and what is said of it."""
    options = ServerOptions()
    with pytest.raises(UsageError) as caught:
        options.parseOptions(line.split())
    return options, str(caught.value)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("casync ecko", "there is no service 'ecko'; did you mean 'echo'?"),
        ("casync Echo", "there is no service 'Echo'; did you mean 'echo'?"),
        ("casync --trace=trace.jsonl foward tcp:1", "there is no service 'foward'; did you mean 'forward'?"),
        ("casync --trace trace.jsonl foward", "there is no service 'foward'; did you mean 'forward'?"),
        ("casync help", "there is no service 'help'; did you mean twistd casync --help?"),
        ("casync tcp:80", "say what to serve, before where: twistd casync SERVICE tcp:80"),
        (
            "casync my.sockets:Chat tcp:80",
            "there is no service 'my.sockets:Chat'; did you mean twistd casync run my.sockets:Chat WHERE?",
        ),
        ("casync --statsu echo", "option --statsu not recognized; did you mean --status?"),
        ("casync echo --graec=1", "option --graec not recognized; did you mean --grace?"),
        ("casync mail --lout", "option --lout not recognized; did you mean --loud?"),
        (
            "casync echo --metric=tcp:1",
            "option --metric not recognized; did you mean --metrics, which belongs before the name of the service?",
        ),
        (
            "casync echo --pidflie=x",
            "option --pidflie not recognized; did you mean --pidfile, which belongs before casync?",
        ),
        ("casync -h", "option -h not recognized; did you mean --help?"),
        ("casync echo --max=3", "--max may stand for --max-connections or --max-per-address"),
        ("casync --trace=/nowhere/x ecko", "--trace /nowhere/x: /nowhere does not exist"),
        ("casync echo --xyzzy", "option --xyzzy not recognized"),
        ("casync echo --grace", "option --grace requires argument"),
    ],
)
def test_the_name_that_was_meant(line: str, complaint: str) -> None:
    assert failed(line)[1] == complaint


def test_what_is_like_no_service_is_told_which_there_are() -> None:
    assert "there is no service 'xyzzy'; there are echo, discard," in failed("casync xyzzy")[1]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            "casync echo --metrics tcp:1",
            "--metrics belongs before the name of the service: twistd casync --metrics=... echo",
        ),
        ("casync echo --status", "--status belongs before the name of the service: twistd casync --status echo"),
        ("casync --grace 3 echo", "--grace belongs behind the name of the service: twistd casync echo --grace=..."),
        ("casync -g 3 echo", "-g (--grace) belongs behind the name of the service: twistd casync echo -g ..."),
        ("casync --to=a:1 forward", "--to belongs behind the name of the service: twistd casync forward --to=..."),
        ("casync --loud mail", "--loud belongs behind the name of the service: twistd casync mail --loud"),
        ("casync --grace 3", "--grace belongs behind the name of the service: twistd casync SERVICE --grace=..."),
        ("casync -n echo", "-n (--nodaemon) belongs before casync: twistd -n casync echo"),
        ("casync echo -n", "-n (--nodaemon) belongs before casync: twistd -n casync echo"),
        ("casync echo --reactor=poll", "--reactor belongs before casync: twistd --reactor=... casync echo"),
        ("casync echo tcp:0 --grace=3", "--grace belongs before WHERE: twistd casync echo --grace=..."),
        ("casync echo tcp:0 -n", "-n (--nodaemon) belongs before casync: twistd -n casync echo"),
        ("casync echo tcp:0 --graec=3", "'--graec=3': options stand before WHERE; did you mean --grace?"),
        ("casync run a.b:C tcp:0 --grace=3", "--grace belongs before WHERE: twistd casync run --grace=..."),
    ],
)
def test_where_an_option_belongs(line: str, complaint: str) -> None:
    assert failed(line)[1] == complaint


@pytest.mark.parametrize("option", ["--port=80", "--prot=80", "-p 80", "--host=::1", "--listen=80"])
def test_where_to_listen_is_no_option(option: str) -> None:
    assert failed(f"casync echo {option}")[1].endswith("; where to listen is no option: twistd casync echo tcp:PORT")
    assert failed(f"casync mail {option}")[1].endswith("; where to listen is no option: twistd casync mail udp:PORT")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("casync echo 8080", "did you mean 'tcp:8080'?"),
        ("casync echo tpc:80", "did you mean 'tcp'?"),
        (
            "casync mail upd:80",
            "'upd:80': expected one of udp, udp6, systemd and a colon at the start; did you mean 'udp'?",
        ),
        ("casync chat x:80", "'x:80': expected one of tcp, tcp6, unix, ssl, systemd and a colon at the start"),
        (
            "casync echo tcp:80:interfcae=::1",
            "tcp has no 'interfcae', expected port, interface, backlog; did you mean 'interface'?",
        ),
    ],
)
def test_a_place_that_was_meant(line: str, complaint: str) -> None:
    assert failed(line)[1].endswith(complaint)


@pytest.mark.parametrize("line", ["casync", "casync ecko", "casync --x echo", "casync echo --x", "casync echo 80"])
def test_an_error_is_not_behind_a_page_of_help(line: str) -> None:
    options, _ = failed(line)
    service = "echo " if line.startswith("casync echo") else ""
    assert str(options).splitlines() == ["Usage: twistd [options]", f"`twistd casync {service}--help` tells more."]


@pytest.mark.parametrize(
    ("service", "schemes"),
    [
        ("echo", ["tcp", "udp", "unix", "ssl", "systemd"]),
        ("chat", ["tcp", "unix", "ssl", "systemd"]),
        ("forward", ["tcp", "unix", "ssl", "systemd"]),
        ("mail", ["udp", "systemd"]),
        ("run", ["tcp", "udp", "unix", "ssl", "systemd"]),
    ],
)
def test_the_help_lists_the_places_of_what_a_service_serves(
    service: str, schemes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        ServerOptions().parseOptions(["casync", service, "--help"])
    places = capsys.readouterr().out.partition("Each WHERE is")[2].splitlines()[1:]
    assert [line.strip().partition(":")[0] for line in places if line.strip()] == schemes


@pytest.mark.programs
@pytest.mark.parametrize("program", ["twistd", "twist"])
def test_twistd_and_twist_show_it(program: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [script(program), "casync", "echo", "--statsu"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=tmp_path,
    )
    lines = result.stdout.splitlines()
    assert len(lines) <= 6 or program == "twist"
    assert [line for line in lines if "did you mean --status" in line] == [lines[-1 if program == "twistd" else 0]]
    assert f"`{program} casync echo --help` tells more." in lines
