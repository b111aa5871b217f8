"""
A Send to a connection that is gone fails, and brings no signal: the default action of SIGPIPE ends a process.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _play import Script, played
from _reactors import Recorder, must
from _streams import accepted, reset

from twisted_casync import (
    FD_WRITE,
    MSG_DONTROUTE,
    MSG_OOB,
    SOCKET_ERROR,
    CAsyncSocket,
    CSocket,
    GetLastError,
    WSAError,
)
from twisted_casync.errors import WinsockError


@pytest.fixture(autouse=True)
def signals() -> Iterator[list[int]]:
    """The SIGPIPEs that this process gets."""
    came: list[int] = []
    before = signal.signal(signal.SIGPIPE, lambda number, frame: came.append(number))
    yield came
    signal.signal(signal.SIGPIPE, before)


SENDS: dict[str, Callable[[CAsyncSocket], int]] = {
    "bytes": lambda one: one.Send(b"x"),
    "a part of the bytes": lambda one: one.Send(b"xy", 1),
    "a view": lambda one: one.Send(memoryview(b"x")),
    "flags": lambda one: one.Send(b"x", None, MSG_DONTROUTE),
    "SendTo": lambda one: one.SendTo(b"x", 1, 7, "127.0.0.1"),
}


@pytest.mark.parametrize("send", SENDS.values(), ids=SENDS)
@played
def test_a_Send_to_a_peer_that_is_gone_brings_no_SIGPIPE(
    reactor: Any, send: Callable[[CAsyncSocket], int], signals: list[int]
) -> Script:
    near, far = socket.socketpair()
    one = Recorder(reactor)
    must(one.Attach(near))
    far.close()
    assert send(one) == SOCKET_ERROR
    assert GetLastError() is WSAError.WSAECONNRESET
    yield lambda: "OnClose" in one.names()
    assert send(one) == SOCKET_ERROR
    assert signals == []
    one.Close()


@pytest.mark.parametrize("flags", [0, MSG_OOB], ids=["data", "urgent data"])
@played
def test_a_Send_after_a_reset_brings_no_SIGPIPE(reactor: Any, flags: int, signals: list[int]) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(FD_WRITE))
    reset(peer)
    for _ in range(3):
        assert child.Send(b"x", None, flags) == SOCKET_ERROR
    yield lambda: True
    assert signals == []
    child.Close()


@played
def test_a_Send_that_waits_brings_no_SIGPIPE(reactor: Any, signals: list[int]) -> Script:
    near, far = socket.socketpair()
    one = CSocket(reactor)
    must(one.Attach(near))
    far.close()
    failures: list[Any] = []
    one.Send(b"x").addErrback(failures.append)
    yield lambda: failures != []
    assert failures[0].check(WinsockError)
    assert signals == []
    one.Close()


PROGRAM = """
import signal, socket
from twisted_casync import CAsyncSocket, GetLastError
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
near, far = socket.socketpair()
one = CAsyncSocket()
one.Attach(near)
far.close()
print(one.Send(b"x"), GetLastError())
one.Close()
"""


@pytest.mark.programs
def test_a_program_with_the_default_action_survives_a_Send() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "-1 WSAECONNRESET\n", "")
