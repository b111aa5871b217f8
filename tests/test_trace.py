"""
A trace: what is written of sockets, when, and what becomes of it when the file takes no more.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from _awaited import played
from _memory import connection, memoryReactor, turn
from _reactors import must
from _streams import LOCALHOST, fill, peerOf, portOf, reset
from _twistd import CHECKOUT, PATIENCE, Child, twistd
from twisted.logger import capturedLogs

from twisted_casync import (
    MSG_OOB,
    SO_KEEPALIVE,
    SOCK_DGRAM,
    SOCK_STREAM,
    CAsyncSocket,
    CSocket,
    GetLastError,
    SetLastError,
    WSAError,
)
from twisted_casync._observe import observers
from twisted_casync.trace import Trace
from twisted_casync.trace._file import DELAY

WOULD_BLOCK = WSAError.WSAEWOULDBLOCK


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.jsonl"


def lines(path: Path) -> list[dict[str, Any]]:
    """
    The lines of a trace but the first, without the times.
    """
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert found[0]["trace"] == 1 and found[0]["pid"] == os.getpid()
    for line in found[1:]:
        assert line.pop("t") >= 0
        assert line.pop("d", 0) >= 0
    return found[1:]


def acts(path: Path) -> list[dict[str, Any]]:
    """
    Calls, notifications and ends of notifications.
    """
    return [line for line in lines(path) if line.keys() & {"call", "told", "ended", "completed"}]


class Echo(CAsyncSocket):
    __slots__ = ("failing",)

    def OnReceive(self, nErrorCode: int) -> None:
        buffer = bytearray(10)
        nRead = self.Receive(buffer)
        self.Send(buffer, nRead)

    def OnOutOfBandData(self, nErrorCode: int) -> None:
        raise ValueError("enough")


class Listener(CAsyncSocket):
    def OnAccept(self, nErrorCode: int) -> None:
        self.Accept(Echo(), True)


def test_a_course_of_calls_and_notifications(path: Path) -> None:
    with memoryReactor() as reactor, Trace(path, reactor=reactor):
        listener = Listener()
        must(listener.Create(0, lpszSocketAddress=LOCALHOST))
        must(listener.Listen())
        with peerOf(listener) as peer:
            here, port = peer.getsockname()[1], peer.getpeername()[1]
            turn(reactor)
            turn(reactor)
            peer.send(b"hello")
            turn(reactor)
            assert peer.recv(10) == b"hello"
        turn(reactor)
        listener.Close()
    address = f"{LOCALHOST}:{port}"
    found = lines(path)
    handle, other = (line["opened"] for line in found if "opened" in line)
    sized = {"args": [10], "result": 5, "bytes": 5, "in": 3}
    assert found == [
        {"socket": 1, "class": "Listener", "module": __name__},
        {"socket": 1, "opened": handle},
        {"socket": 1, "call": "Create", "args": [0, 1, 63, LOCALHOST], "result": True},
        {"socket": 1, "local": address},
        {"socket": 1, "call": "Listen", "result": True},
        {"socket": 1, "call": "GetSockName", "result": [LOCALHOST, port]},
        {"socket": 1, "told": "OnAccept", "n": 1},
        {"socket": 2, "class": "Echo", "module": __name__},
        {"socket": 2, "opened": other, "local": address, "peer": f"{LOCALHOST}:{here}", "listener": 1},
        {"socket": 1, "call": "Accept", "args": [{"socket": 2}, True], "result": [LOCALHOST, here], "in": 1},
        {"socket": 1, "ended": 1},
        {"socket": 2, "told": "OnSend", "n": 2},
        {"socket": 2, "ended": 2},
        {"socket": 2, "told": "OnReceive", "n": 3},
        {"socket": 2, "call": "Receive", **sized},
        {"socket": 2, "call": "Send", **sized, "args": [10, 5]},
        {"socket": 2, "ended": 3},
        {"socket": 2, "told": "OnClose", "n": 4},
        {"socket": 2, "ended": 4},
        # Its connection is over, and nobody holds it.
        {"socket": 2, "closed": True},
        {"socket": 1, "closed": True},
        {"socket": 1, "call": "Close", "result": None},
    ]


def test_the_names_that_entries_give_are_written(path: Path) -> None:
    with memoryReactor() as reactor, Trace(path, reactor=reactor):
        one = CAsyncSocket(reactor)
        must(one.Socket())
        must(one.BindEx((socket.AF_INET, SOCK_STREAM, 6, "", (LOCALHOST, 0))))
        port = must(one.GetSockName())[1]
        one.Close()
    assert lines(path)[-5:-2] == [
        {"socket": 1, "call": "BindEx", "args": [["AF_INET", 1, 6, "", [LOCALHOST, 0]]], "result": True},
        {"socket": 1, "local": f"{LOCALHOST}:{port}"},
        {"socket": 1, "call": "GetSockName", "result": [LOCALHOST, port]},
    ]


def test_failures_are_written_with_their_codes_and_leave_the_last_error_alone(path: Path) -> None:
    with memoryReactor() as reactor, Trace(path, reactor=reactor):
        one = CAsyncSocket(reactor)
        assert not one.Listen()
        assert GetLastError() == WSAError.WSAENOTSOCK
        one.Close()
        assert GetLastError() == WSAError.WSAENOTSOCK, "Close leaves it, as where nothing is traced"
        must(one.Create())
        assert GetLastError() == 0, "a member that succeeds clears it"
        assert one.SetSockOpt(SO_KEEPALIVE, True) and one.GetSockOpt(SO_KEEPALIVE) is True
        SetLastError(0)
        with pytest.raises(TypeError):
            one.Send(3.5)
        assert one.Receive(bytearray(7)) == -1
        one.Close()
    assert acts(path) == [
        {"socket": 1, "call": "Listen", "result": False, "error": "WSAENOTSOCK"},
        {"socket": 1, "call": "Close", "result": None},
        {"socket": 1, "call": "Create", "result": True},
        {"socket": 1, "call": "SetSockOpt", "args": ["SO_KEEPALIVE", True], "result": True},
        {"socket": 1, "call": "GetSockOpt", "args": ["SO_KEEPALIVE"], "result": True},
        {
            "socket": 1,
            "call": "Send",
            "args": ["3.5"],
            "raised": "TypeError: lpBuf must be a contiguous buffer of bytes, not float",
        },
        {"socket": 1, "call": "Receive", "args": [7], "result": -1, "error": "WSAENOTCONN"},
        {"socket": 1, "call": "Close", "result": None},
    ]


def test_data_is_shown_when_it_is_asked_for_and_no_more_of_it(path: Path) -> None:
    with memoryReactor() as reactor:
        child, peer = connection(reactor)
        with peer:
            with Trace(path, preview=4, reactor=reactor):
                must(child.Send(b"\0\xffabcdef"))
                peer.send(b"xyz")
                turn(reactor)
                must(child.Receive(bytearray(10)))
            assert child.names() == ["OnReceive"]
        child.Close()
    moved = [(line["call"], line["bytes"], line["data"]) for line in acts(path) if "bytes" in line]
    assert moved == [("Send", 8, "\0\xffab"), ("Receive", 3, "xyz")]


def test_what_was_not_moved_has_no_bytes_and_datagrams_have_addresses(path: Path) -> None:
    with memoryReactor() as reactor, Trace(path, reactor=reactor):
        one = CAsyncSocket(reactor)
        must(one.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
        port = portOf(one)
        must(one.SendTo(b"12345", None, port, LOCALHOST))
        assert one.ReceiveFrom(bytearray(3)) == (-1, (LOCALHOST, port))
        assert one.ReceiveFrom(bytearray(3)) == (-1, None)
        one.Close()
    calls = [line for line in acts(path) if line["call"].endswith(("To", "From"))]
    assert calls == [
        {"socket": 1, "call": "SendTo", "args": [5, None, port, LOCALHOST], "result": 5, "bytes": 5},
        {
            "socket": 1,
            "call": "ReceiveFrom",
            "args": [3],
            "result": [-1, [LOCALHOST, port]],
            "error": "WSAEMSGSIZE",
            "bytes": 3,
        },
        {"socket": 1, "call": "ReceiveFrom", "args": [3], "result": [-1, None], "error": "WSAEWOULDBLOCK"},
    ]


def test_what_a_member_calls_by_itself_is_not_written_and_what_a_program_calls_is(path: Path) -> None:
    class Chatty(CAsyncSocket):
        def Send(self, lpBuf: Any, nBufLen: int | None = None, nFlags: int = 0) -> int:
            self.GetPeerName()
            return super().Send(lpBuf, nBufLen, nFlags)

    with memoryReactor() as reactor:
        child, peer = connection(reactor)
        one = Chatty(reactor)
        must(one.Attach(child.Detach()))
        with peer, Trace(path, reactor=reactor), one:
            must(one.Send(b"x"))
            must(one.SendTo(b"y", None, 7, LOCALHOST))
            one.SendToEx(b"z", None, 7, LOCALHOST)
    assert [line["call"] for line in acts(path)] == ["GetPeerName", "Send", "SendTo", "SendToEx", "Close"]


def test_a_handler_that_fails_and_what_that_brings_about(path: Path) -> None:
    with memoryReactor() as reactor:
        child, peer = connection(reactor)
        one = Echo(reactor)
        must(one.Attach(child.Detach()))
        turn(reactor)
        with peer, Trace(path, reactor=reactor), capturedLogs():
            peer.send(b"!", MSG_OOB)
            turn(reactor)
    assert [line for line in lines(path) if "class" not in line and "opened" not in line] == [
        {"socket": 1, "told": "OnOutOfBandData", "n": 1},
        {"socket": 1, "ended": 1, "raised": "ValueError: enough"},
        {"socket": 1, "closed": True},
        {"socket": 1, "told": "OnClose", "n": 2, "error": "WSAECONNABORTED"},
        {"socket": 1, "ended": 2},
    ]


def test_the_code_of_a_notification(path: Path) -> None:
    with memoryReactor() as reactor:
        child, peer = connection(reactor)
        with Trace(path, reactor=reactor):
            reset(peer)
            turn(reactor)
        child.Close()
    (told,) = [line for line in acts(path) if "told" in line]
    assert told == {"socket": 1, "told": "OnClose", "n": 1, "error": "WSAECONNRESET"}


def test_a_send_that_would_block(path: Path) -> None:
    with memoryReactor() as reactor:
        child, peer = connection(reactor)
        with peer, Trace(path, reactor=reactor):
            total = fill(child)
        child.Close()
    found = acts(path)
    assert sum(line.get("bytes", 0) for line in found) == total
    assert found[-1] == {
        "socket": 1,
        "call": "Send",
        "args": [65536],
        "result": -1,
        "error": "WSAEWOULDBLOCK",
    }


# -- what is awaited


class Answering(CSocket):
    async def OnReceive(self, nErrorCode: int) -> None:  # type: ignore[override]  # the base class's can't wait
        line = await self.receiveLine()
        await self.Send(line.upper())


def test_calls_that_wait_and_handlers_that_wait(path: Path) -> None:
    async def program(reactor: Any) -> bytes:
        listener, client, server = CSocket(reactor), CSocket(reactor), Answering(reactor)
        must(listener.Create(0, lpszSocketAddress=LOCALHOST))
        must(listener.Listen())
        with Trace(path, reactor=reactor):
            must(client.Create())
            await client.Connect(LOCALHOST, portOf(listener))
            await listener.Accept(server)
            await client.Send(b"he")
            await reactorTurns(reactor)
            await client.Send(b"llo\n")
            answer = await client.receiveLine()
            server.Close()
            with pytest.raises(OSError):
                await client.receiveExactly(3)
        client.Close()
        listener.Close()
        return answer

    assert played("epoll-window", program) == b"HELLO\n"
    found = acts(path)
    number = {line["class"]: line["socket"] for line in lines(path) if "class" in line}["Answering"]
    (told,) = [line["n"] for line in found if line.get("told") == "OnReceive"]
    within = [line for line in found if line.get("in") == told]
    calls = [line["call"] for line in within if not line["call"].startswith("CAsyncSocket.")]
    assert calls == ["receiveLine", "Send"], "also what the handler calls after it has waited"
    assert all(line["socket"] == number for line in within)
    waited = next(line for line in within if line["call"] == "receiveLine")
    ends = {line["completed"]: line for line in found if "completed" in line}
    assert ends[waited["pending"]]["result"] == {"buffer": 6}
    assert found.index(ends[waited["pending"]]) < found.index({"socket": number, "ended": told})
    tries = [line for line in within if line["call"].startswith("CAsyncSocket.")]
    assert [line["call"] for line in tries if line.get("bytes")][-1] == "CAsyncSocket.Send"
    assert found[-1]["raised"].startswith("IncompleteRead")


async def reactorTurns(reactor: Any) -> None:
    from twisted.internet.task import deferLater

    for _ in range(5):
        await deferLater(reactor, 0, lambda: None)


# -- the file


def test_lines_are_in_the_file_a_second_later_and_when_the_trace_ends(path: Path) -> None:
    with memoryReactor() as reactor:
        trace = Trace(path, reactor=reactor)
        trace.start()
        reactor.advance(DELAY)
        assert len(path.read_text().splitlines()) == 1
        one = CAsyncSocket(reactor)
        one.Listen()
        assert len(path.read_text().splitlines()) == 1
        reactor.advance(DELAY)
        assert [line["call"] for line in acts(path)] == ["Listen"]
        one.Bind(0)
        trace.stop()
        assert [line["call"] for line in acts(path)] == ["Listen", "Bind"]
        one.Listen()
        trace.stop()
        assert len(acts(path)) == 2 and observers == []


def test_a_trace_begins_once_and_can_begin_again(path: Path, tmp_path: Path) -> None:
    with memoryReactor() as reactor:
        trace = Trace(path, reactor=reactor)
        with trace, pytest.raises(ValueError, match="has begun already"):
            trace.start()
        with trace:
            CAsyncSocket(reactor).Listen()
        assert len(acts(path)) == 1
        with pytest.raises(OSError):
            Trace(tmp_path / "missing" / "x", reactor=reactor).start()
        assert observers == []


def test_a_full_disk_ends_the_trace_with_one_line_and_not_the_program() -> None:
    with memoryReactor() as reactor, capturedLogs() as events:
        child, peer = connection(reactor)
        trace = Trace("/dev/full", reactor=reactor)
        trace.start()
        with peer:
            for _ in range(1000):
                must(child.Send(b"x"))
                peer.recv(1)
            reactor.advance(DELAY)
            assert observers == []
            must(child.Send(b"x"))
        trace.stop()
        child.Close()
    (event,) = events
    assert "No space left" in str(event["error"]) and event["path"] == "/dev/full"


def test_a_file_that_somebody_closes_ends_the_trace_too(path: Path) -> None:
    with memoryReactor() as reactor, capturedLogs() as events:
        trace = Trace(path, reactor=reactor)
        trace.start()
        os.close(trace._file._file.fileno())  # type: ignore[union-attr]
        CAsyncSocket(reactor).Listen()
        trace.stop()
    (event,) = events
    assert "Bad file descriptor" in str(event["error"])


PROGRAM = """
import os, sys
from twisted.internet import reactor
from twisted_casync import CAsyncSocket
from twisted_casync.trace import Trace
trace = Trace(sys.argv[1])
trace.start()
one = CAsyncSocket()
one.Listen()
if sys.argv[2] == "fork":
    child = os.fork()
    one.Bind(0)
    if not child:
        sys.exit(0)
    os.waitpid(child, 0)
else:
    assert one.Create() and one.Listen()
reactor.callWhenRunning(print, "ready", flush=True)
reactor.run()
"""


@pytest.mark.programs
@pytest.mark.parametrize("way", ["SIGTERM", "fork"])
def test_a_program_that_is_terminated_has_written_all_of_it(path: Path, way: str) -> None:
    with Child([sys.executable, "-c", PROGRAM, str(path), way], cwd=CHECKOUT) as child:
        child.waitFor("ready")
        child.process.terminate()
        child.wait()
    calls = [json.loads(line) for line in path.read_text().splitlines()]
    expected = ["Listen", "Bind"] if way == "fork" else ["Listen", "Create", "Listen"]
    assert [line["call"] for line in calls if "call" in line] == expected
    # The reactor says to sockets that it stops.
    assert [line["told"] for line in calls if "told" in line] == (["OnClose"] if way == "SIGTERM" else [])


@pytest.mark.programs
def test_twistd_traces_all_until_it_is_terminated(path: Path) -> None:
    with (
        twistd("--trace", str(path), "echo", "tcp:0:interface=127.0.0.1") as server,
        socket.create_connection(server.listening("tcp"), PATIENCE) as one,
    ):
        one.sendall(b"hello")
        assert one.recv(5) == b"hello"
        server.process.terminate()
        server.wait()
    found = [json.loads(line) for line in path.read_text().splitlines()]
    moved = [(line["call"], line["bytes"]) for line in found if "bytes" in line]
    assert moved == [("Receive", 5), ("Send", 5)]
    sockets = {line["socket"]: line["class"] for line in found if "class" in line}
    assert {sockets[line["socket"]] for line in found if "closed" in line} == {"EchoListener", "EchoConnection"}


@pytest.mark.programs
def test_twistd_that_can_not_write_a_trace_says_so(tmp_path: Path) -> None:
    # Found out only when it is opened: the name is too long.
    with twistd("--trace", str(tmp_path / ("x" * 300)), "echo", "tcp:0:interface=127.0.0.1") as server:
        server.waitFor("cannot write the trace .*: .*File name too long")
        assert server.wait() == 1
