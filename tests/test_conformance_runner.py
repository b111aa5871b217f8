"""
The conformance runner: the pumps, and what a scenario does to a class.
"""

from __future__ import annotations

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
from twisted_casync.testing._addresses import shownAddress
from twisted_casync.testing._commands import COMMANDS
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


@pytest.mark.programs
def test_importing_it_installs_no_reactor() -> None:
    code = "import twisted_casync.testing.__main__, sys; print('twisted.internet.reactor' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"
