"""
The conformance runner: the pumps, what a scenario does to a class, and the command as a whole.
"""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.task import Clock

from twisted_casync import CAsyncSocket
from twisted_casync.testing import _conformance
from twisted_casync.testing.__main__ import main
from twisted_casync.testing._addresses import shownAddress
from twisted_casync.testing._commands import COMMANDS
from twisted_casync.testing._compare import loadTrace
from twisted_casync.testing._runner import Pump
from twisted_casync.testing._scenario import (
    Command,
    HandlerRule,
    parseScenario,
)
from twisted_casync.testing._session import Session
from twisted_casync.winsock import SOCK_DGRAM, SOCK_STREAM

HERE = Path(__file__).parent / "conformance"
ROOT = HERE.parents[1]

Record = dict[str, Any]


def trace(path: Path) -> list[Record]:
    return loadTrace(path.read_text("utf-8"))


# -- pumps


class Turns(Clock):
    """A clock that turns as a reactor does: what is asked for during a turn waits for the next one."""

    def turn(self, seconds: float = 0) -> None:
        self.rightNow += seconds
        for call in [call for call in self.calls if call.getTime() <= self.seconds()]:
            self.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)


def finished(pump: Pump) -> list[bool]:
    ended: list[bool] = []
    pump.done.addCallback(ended.append)
    return ended


def test_a_pump_ends_when_it_was_quiet_and_the_reactor_has_turned() -> None:
    clock = Turns()
    pump = Pump(clock, 1.0)
    ended = finished(pump)
    clock.turn(0.9)
    pump.notified()
    clock.turn(0.9)
    clock.turn(0.2)  # the time is over, but the reactor has not looked at its descriptors since
    assert ended == []
    clock.turn()
    pump.notified()
    for _ in range(5):
        clock.turn()
    assert ended == []
    clock.turn(1.0)
    clock.turn()
    assert ended == []
    clock.turn()
    assert ended == [True]
    assert clock.getDelayedCalls() == []


def test_a_pump_that_is_never_quiet_is_cut_off() -> None:
    clock = Turns()
    pump = Pump(clock, 1.0)
    ended = finished(pump)
    for _ in range(20):
        pump.notified()
        clock.turn(0.5)
        if ended:
            break
    # 8 seconds are allowed: the notification at 8.5 is one too late, and the turn after it ends the pump.
    assert (ended, clock.seconds()) == ([False], 9.0)


def test_a_pump_ends_after_too_many_notifications_but_not_within_one() -> None:
    clock = Turns()
    pump = Pump(clock, 1.0)
    ended = finished(pump)
    for _ in range(2000):
        pump.notified()
    assert ended == []
    clock.turn()
    assert ended == [False]


# -- a class that misbehaves


class Faulty:
    """What a session needs of a socket; C{Receive} raises, C{Send} calls the handler it is given."""

    m_hSocket = -1

    def __init__(self, report: Callable[[str, int], None], handle: int = -1) -> None:
        self.report = report
        self.handle = handle

    def Detach(self) -> int:
        return self.handle

    def Receive(self, *arguments: Any) -> int:
        raise RuntimeError("broken")

    def Send(self, *arguments: Any) -> int:
        self.report("OnSend", 0)
        return 1

    def Close(self) -> None:
        """Nothing is open."""

    def __getattr__(self, name: str) -> Any:
        def unexpected(*arguments: Any) -> Any:
            raise AssertionError(f"{name} was reached")

        return unexpected


def play(text: str, listening: bool) -> list[Record]:
    session = Session("faulty", lambda report: cast(CAsyncSocket, Faulty(report)), COMMANDS)
    session.listening = listening
    for step in parseScenario(text):
        if isinstance(step, Command):
            session.execute(step)
        elif isinstance(step, HandlerRule):
            session.rule(step)
        else:
            session.mistake(step)
    session.finish()
    return session.records[1:-1]


def test_an_exception_of_a_member_is_an_answer() -> None:
    assert play("recv S 10\nlasterror", False) == [
        {"op": "recv", "exception": "RuntimeError: broken", "sock": "S", "line": 1},
        {"op": "lasterror", "value": 0, "line": 2},
    ]


def test_a_notification_outside_a_pump_shows_and_runs_no_handler() -> None:
    text = "on S OnSend: send S x\nsend S x"
    assert play(text, False) == [
        {"note": "OnSend", "sock": "S", "err": 0, "outside": "pump"},
        {"op": "send", "sock": "S", "ret": 1, "err": None, "line": 2},
    ]


def test_handlers_run_once_and_then_as_always() -> None:
    handlers = "on S Send: lasterror\nonce S Send: balance S S\nonce S Send: sleep 0\n"
    text = handlers + "send S a\nsend S b\nsend S c"
    assert [record["op"] for record in play(text, True) if "in" in record] == [
        "balance",
        "sleep",
        "lasterror",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "dance S",
        "recv S",
        "recv S -1",
        "recv S many",
        "send S",
        "send S hex:1",
        "send S x OFTEN",
        "select S READS",
        "connect S 127.0.0.1",
        "connect S 127.0.0.1 @nobody",
        "connect S 127.0.0.1 port",
        "create S type=seqpacket",
        "socket S family=x",
        "attach S nothing",
        "getsockopt S SO_NOTHING",
        "getsockopt S SO_ERROR level=x",
        "getsockopt S SO_ERROR optlen=-1",
        "setsockopt S SO_DEBUG",
        "setsockopt S SO_DEBUG on",
        "ioctl S FIOASYNC",
        "shutdown S all",
        "accept S",
        "pump",
        "balance S",
        "recv " + "S" * 32 + " 1",
        "on S OnRead: nop",
    ],
)
def test_a_mistake_is_a_record_and_the_scenario_goes_on(line: str) -> None:
    mistake, last = play(f"{line}\nlasterror", False)
    assert set(mistake) == {"script_error", "line"} and mistake["line"] == 1
    assert last["op"] == "lasterror"


def test_too_many_objects_are_a_mistake() -> None:
    records = play("\n".join(f"close S{n}" for n in range(65)) + "\non S65 Send: nop", False)
    assert ["script_error" in record for record in records] == [False] * 64 + [True, True]


def test_a_handle_is_closed_once() -> None:
    read, write = os.pipe()
    session = Session("handles", lambda report: cast(CAsyncSocket, Faulty(report, write)), COMMANDS)
    for step in parseScenario("detach S h\nclosehandle h\nclosehandle h\nclosehandle S"):
        assert isinstance(step, Command)
        session.execute(step)
    assert [record["ret"] for record in session.records[1:]] == [True, True, False, False]
    assert [record["err"] for record in session.records[3:]] == ["WSAENOTSOCK", "WSAENOTSOCK"]
    with open(read, "rb") as end:
        assert end.read() == b""  # the only writer is gone


def test_what_is_left_open_is_closed_at_the_end() -> None:
    read, write = os.pipe()
    session = Session("handles", lambda report: cast(CAsyncSocket, Faulty(report, write)), COMMANDS)
    session.execute(Command("detach", ("S", "h")))
    session.finish()
    with open(read, "rb") as end:
        assert end.read() == b""


def test_addresses_are_shown_by_the_name_of_their_port() -> None:
    session = Session("addresses", lambda report: cast(CAsyncSocket, Faulty(report)), COMMANDS)
    assert session.reservePort("@dead")
    port = session.port(SOCK_STREAM, "@dead")
    assert port is not None and port == session.port(SOCK_DGRAM, "@dead")
    shown = [shownAddress(session, SOCK_STREAM, ("::1", number, 0, 0)) for number in (port, 9, 0)]
    session.finish()
    assert shown == [["::1", "@dead"], ["::1", "@?"], ["::1", 0]]


def test_a_port_that_the_system_gives_again_has_the_name_that_was_asked_for() -> None:
    session = Session("addresses", lambda report: cast(CAsyncSocket, Faulty(report)), COMMANDS)
    subject = session.subject("M")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        subject.socket.m_hSocket = bound.fileno()  # type: ignore[misc]  # it is a Faulty
        for name in ("@p", None, "@q"):
            session.learnPort(subject, name)
        port = bound.getsockname()[1]
    assert (session.port(SOCK_STREAM, "@p"), session.port(SOCK_STREAM, "@q")) == (port, port)
    assert session.port(SOCK_STREAM, "@M") is None
    assert session.portName(SOCK_STREAM, port) == "@q"


def test_importing_it_installs_no_reactor() -> None:
    code = "import twisted_casync.testing.__main__, sys; print('twisted.internet.reactor' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


# -- the command


ECHO = """\
create L port=@p host=127.0.0.1
listen L
on L OnAccept: accept L S
on S OnReceive: recv S 100; send S pong
create C host=127.0.0.1
connect C 127.0.0.1 @p
pump
send C ping
pump
recv C 100 # \xe9
"""
ECHO_TRACE: list[Record] = [
    {"scenario": "echo"},
    {"op": "create", "sock": "L", "ret": True, "err": None, "line": 1},
    {"op": "listen", "sock": "L", "ret": True, "err": None, "line": 2},
    {"op": "create", "sock": "C", "ret": True, "err": None, "line": 5},
    {"op": "connect", "sock": "C", "ret": False, "err": "WSAEWOULDBLOCK", "line": 6},
    {"op": "pump", "line": 7},
    {"note": "OnConnect", "sock": "C", "err": 0},
    {"note": "OnSend", "sock": "C", "err": 0},
    {"note": "OnAccept", "sock": "L", "err": 0},
    {
        "op": "accept",
        "sock": "L",
        "new": "S",
        "ret": True,
        "err": None,
        "addr": ["127.0.0.1", "@C"],
        "in": "L.OnAccept",
        "line": 3,
    },
    {"note": "OnSend", "sock": "S", "err": 0},
    {"op": "send", "sock": "C", "ret": 4, "err": None, "line": 8},
    {"op": "pump", "line": 9},
    {"note": "OnReceive", "sock": "S", "err": 0},
    {"op": "recv", "sock": "S", "ret": 4, "err": None, "data": "ping", "in": "S.OnReceive", "line": 4},
    {"op": "send", "sock": "S", "ret": 4, "err": None, "in": "S.OnReceive", "line": 4},
    {"note": "OnReceive", "sock": "C", "err": 0},
    {"op": "recv", "sock": "C", "ret": 4, "err": None, "data": "pong", "line": 10},
    {"end": "echo"},
]


PEEKED = """\
create A type=dgram host=127.0.0.1
create B type=dgram host=127.0.0.1
sendto A 127.0.0.1 @B abc
sleep 0
recv B 3 PEEK
recvfrom B 10
balance A B
balance A A
"""
PEEKED_TRACE: list[Record] = [
    {"scenario": "peeked"},
    {"op": "create", "sock": "A", "ret": True, "err": None, "line": 1},
    {"op": "create", "sock": "B", "ret": True, "err": None, "line": 2},
    {"op": "sendto", "sock": "A", "ret": 3, "err": None, "line": 3},
    {"op": "sleep", "line": 4},
    {"op": "recv", "sock": "B", "ret": 3, "err": None, "data": "abc", "line": 5},
    {"op": "recvfrom", "sock": "B", "ret": 3, "err": None, "data": "abc", "from": ["127.0.0.1", "@A"], "line": 6},
    {"op": "balance", "sock": "A", "with": "B", "value": True, "line": 7},
    {"op": "balance", "sock": "A", "with": "A", "value": False, "line": 8},
    {"end": "peeked"},
]


class Suite:
    """A folder of scenarios and one of traces, and the command over them in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("scenarios", "traces"):
            (folder / name).mkdir()

    def add(self, name: str, scenario: str, records: list[Record] | None) -> None:
        (self.folder / "scenarios" / f"{name}.txt").write_text(scenario, "latin-1")
        if records is not None:
            lines = "".join(json.dumps(record) + "\n" for record in records)
            (self.folder / "traces" / f"{name}.jsonl").write_text(lines, "ascii")

    def deviations(self, text: str) -> str:
        path = self.folder / "deviations.json"
        path.write_text(text, "utf-8")
        return str(path)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "twisted_casync.testing",
            "conformance",
            "scenarios",
            "traces",
            *arguments,
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    made = Suite(tmp_path)
    made.add("echo", ECHO, ECHO_TRACE)
    return made


@pytest.mark.parametrize("reactor", ["epoll", "poll", "select", "asyncio", "uvloop", "casync"])
@pytest.mark.parametrize("direct", [False, True], ids=["window", "direct"])
def test_what_is_as_recorded_matches(suite: Suite, reactor: str, direct: bool) -> None:
    if reactor == "uvloop":
        pytest.importorskip("uvloop")
    result = suite.run("--reactor", reactor, *(["--direct"] if direct else []))
    assert (result.stdout, result.returncode) == (
        "1 scenarios, 1 match, 0 known deviations, 0 differ\n",
        0,
    ), result


def test_every_command_does_what_was_recorded(suite: Suite) -> None:
    # Together these use every command, on both families and both types, and nothing in them is known to deviate.
    names = [
        "accept-inherits-mask-none",
        "accept-inherits-options",
        "connect-refused-select-again",
        "detach-closed",
        "detach-drops",
        "dgram-autobind",
        "err-bind-addrlen",
        "err-closed-all",
        "opt-linger-optlen",
        "read-handler-big",
        "read-peek-in-handler",
        "v6-accept-in-handler",
        "write-fill-close",
    ]
    for name in names:
        scenario = (HERE / "scenarios" / f"{name}.txt").read_text("latin-1")
        lines = (HERE / "traces" / f"{name}.jsonl").read_text("utf-8")
        suite.add(name, scenario, loadTrace(lines))
    # Bytes that were only looked at are not part of the balance.
    suite.add("peeked", PEEKED, PEEKED_TRACE)
    result = suite.run()
    assert (result.stdout, result.returncode) == ("15 scenarios, 15 match, 0 known deviations, 0 differ\n", 0)


def test_direct_sockets_are_asked_for(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(_conformance, "installReactor", lambda name: f"reactor {name}")
    monkeypatch.setattr(_conformance, "AfxSocketInit", lambda *args, **kw: asked.append((args, kw)))
    monkeypatch.setattr(_conformance, "AfxSocketTerm", lambda: None)
    monkeypatch.setattr(_conformance, "runInReactor", lambda reactor, work: next(work.__await__(), None))
    for path in (suite.folder / "scenarios").iterdir():
        path.unlink()
    folders = [str(suite.folder / "scenarios"), str(suite.folder / "traces")]
    assert main(["conformance", *folders, "--reactor", "poll", "--direct"]) == 0
    assert main(["conformance", *folders]) == 0
    assert asked == [(("reactor poll",), {"direct": True}), (("reactor None",), {"direct": False})]


def test_a_difference_is_said_and_counts(suite: Suite) -> None:
    wrong = copy.deepcopy(ECHO_TRACE)
    wrong[14]["data"] = "pang"
    suite.add("wrong", ECHO, [{"scenario": "wrong"}, *wrong[1:-1], {"end": "wrong"}])
    suite.add("unrecorded", ECHO, None)
    result = suite.run()
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        'unrecorded:0 trace: expected "(missing)", got "19 records"',
        'wrong:9 S.OnReceive.recv.data: expected "pang", got "ping"',
        "3 scenarios, 1 match, 0 known deviations, 2 differ",
    ]


def test_known_deviations(suite: Suite) -> None:
    wrong = copy.deepcopy(ECHO_TRACE)
    wrong[17]["ret"] = 5
    suite.add("echo", ECHO, wrong)
    proposed = suite.run("--propose")
    assert proposed.returncode == 1
    path = suite.deviations(proposed.stdout)
    known = suite.run("--deviations", path)
    assert (known.stdout, known.returncode) == ("1 scenarios, 0 match, 1 known deviations, 0 differ\n", 0)
    suite.add("echo", ECHO, ECHO_TRACE)
    stale = suite.run("--deviations", path)
    assert stale.returncode == 1
    assert stale.stdout.splitlines() == [
        "stale row: echo:10 ret: expected 5, got 4",
        "1 scenarios, 1 match, 0 known deviations, 0 differ",
    ]


def test_own_traces_are_written_and_match(suite: Suite) -> None:
    suite.add("broken", "recv S\nfly\non S: x\n" + ECHO, None)
    suite.run("--write", "mine")
    result = suite.run("--only", "echo", "broken")
    assert result.stdout.endswith("2 scenarios, 1 match, 0 known deviations, 1 differ\n")
    written = suite.folder / "mine" / "broken.jsonl"
    assert [record.get("line") for record in trace(written) if "script_error" in record] == [1, 2, 3]
    for path in (suite.folder / "mine").iterdir():
        path.rename(suite.folder / "traces" / path.name)
    assert suite.run().stdout == "2 scenarios, 2 match, 0 known deviations, 0 differ\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--reactor", "perpetual"],
        ["--only", "nothing"],
        ["--deviations", "nowhere.json"],
        ["--deviations", "scenarios"],
    ],
)
def test_what_cannot_be_run_is_status_2(suite: Suite, arguments: list[str]) -> None:
    result = suite.run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr and "Traceback" not in result.stderr
