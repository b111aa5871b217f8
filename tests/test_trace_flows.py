"""
Flows of a trace: who has received what somebody sent, in a trace that has both ends.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from _memory import memoryReactor, turn
from _streams import LOCALHOST, beginConnect, listening, portOf

from twisted_casync import MSG_OOB, MSG_PEEK, CAsyncSocket
from twisted_casync.trace import Trace
from twisted_casync.trace.__main__ import main
from twisted_casync.trace._flows import Flow, Flows
from twisted_casync.trace._reading import TraceFile, flagsOf

Line = dict[str, Any]

SERVER: Line = {"t": 0, "socket": 1, "opened": 11, "local": "s:1"}
CLIENT: Line = {"t": 0, "socket": 2, "opened": 12, "local": "c:9", "peer": "s:1"}
CHILD: Line = {"t": 20, "socket": 3, "opened": 13, "local": "s:1", "peer": "c:9", "listener": 1}
PAIR = [SERVER, CLIENT, CHILD]


def call(t: int, socket: int, name: str, *args: Any, **more: Any) -> Line:
    return {"t": t, "socket": socket, "call": name, "args": list(args), "result": True, "d": 2, **more}


def moved(t: int, socket: int, name: str, count: int, *args: Any) -> Line:
    return call(t, socket, name, count, *args, bytes=count)


def flows(path: Path, *lines: Line) -> list[Flow]:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in [{"trace": 1}, *lines]))
    trace = TraceFile(path)
    found = Flows(trace.sockets)
    return [flow for line in trace.lines() for flow in found.of(line)]


def test_each_send_goes_to_the_receive_that_took_its_first_byte(tmp_path: Path) -> None:
    found = flows(
        tmp_path / "t",
        *PAIR,
        moved(30, 2, "Send", 10),
        moved(40, 2, "Send", 10),
        moved(50, 2, "Send", 10),
        moved(60, 3, "Receive", 11),
        moved(70, 3, "Receive", 9),
        moved(80, 3, "Receive", 10),
        moved(90, 3, "CAsyncSocket.Send", 4),
        moved(99, 2, "CAsyncSocket.Receive", 4),
    )
    assert [(flow.name, flow.start, flow.end) for flow in found] == [
        ("bytes", (2, 31), (3, 61)),
        ("bytes", (2, 41), (3, 61)),
        ("bytes", (2, 51), (3, 81)),
        ("bytes", (3, 91), (2, 100)),
    ]


def test_what_is_sent_before_the_other_end_is_there_goes_there_too(tmp_path: Path) -> None:
    found = flows(tmp_path / "t", SERVER, CLIENT, moved(10, 2, "Send", 3), CHILD, moved(30, 3, "Receive", 3))
    assert found == [Flow("bytes", (2, 11), (3, 31))]


def test_urgent_bytes_and_those_only_looked_at_are_no_part_of_the_stream(tmp_path: Path) -> None:
    found = flows(
        tmp_path / "t",
        *PAIR,
        moved(30, 2, "Send", 1, 1, "MSG_OOB"),
        moved(40, 2, "Send", 5),
        moved(50, 3, "Receive", 5, None, "MSG_PEEK"),
        moved(60, 3, "Receive", 1, 1, "MSG_OOB"),
        moved(70, 3, "Receive", 5),
    )
    assert found == [Flow("bytes", (2, 41), (3, 71))]


def test_what_is_sent_before_an_urgent_byte_in_the_same_call_is_part_of_the_stream(tmp_path: Path) -> None:
    found = flows(
        tmp_path / "t",
        *PAIR,
        moved(30, 2, "Send", 3, 3, "MSG_OOB"),
        moved(40, 2, "Send", 5),
        moved(50, 3, "Receive", 1, 1, "MSG_OOB"),
        moved(60, 3, "Receive", 2),
        moved(70, 3, "Receive", 5),
    )
    assert found == [Flow("bytes", (2, 31), (3, 61)), Flow("bytes", (2, 41), (3, 71))]


def test_a_connection_goes_to_who_accepts_it_and_an_end_to_who_is_told(tmp_path: Path) -> None:
    found = flows(
        tmp_path / "t",
        SERVER,
        CLIENT,
        call(5, 2, "Connect", "s", 1, error="WSAEWOULDBLOCK"),
        CHILD,
        call(21, 1, "Accept", {"socket": 3}),
        call(30, 2, "ShutDown"),
        {"t": 40, "socket": 3, "told": "OnClose", "n": 1},
        call(50, 3, "Close"),
        {"t": 60, "socket": 2, "told": "OnClose", "n": 2},
    )
    assert found == [
        Flow("connection", (2, 6), (1, 22)),
        Flow("end of stream", (2, 31), (3, 40)),
        Flow("end of stream", (3, 51), (2, 60)),
    ]


def test_an_object_that_is_opened_again_begins_anew(tmp_path: Path) -> None:
    again = {"t": 60, "socket": 2, "opened": 12, "local": "c:10", "peer": "s:1"}
    found = flows(
        tmp_path / "t",
        *PAIR,
        moved(30, 2, "Send", 10),
        moved(35, 3, "Send", 10),
        moved(40, 2, "Receive", 10),
        call(50, 2, "Close"),
        again,
        {"t": 70, "socket": 4, "opened": 14, "local": "s:1", "peer": "c:10", "listener": 1},
        moved(80, 4, "Send", 4),
        moved(84, 4, "Send", 4),
        moved(88, 2, "Receive", 4),
        moved(90, 2, "Receive", 4),
        {"t": 95, "socket": 4, "told": "OnClose", "n": 1},
    )
    assert found == [
        Flow("bytes", (3, 36), (2, 41)),
        Flow("bytes", (4, 81), (2, 89)),
        Flow("bytes", (4, 85), (2, 91)),
    ]


def test_of_a_peer_that_is_not_in_the_trace_little_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "t"
    sends = [moved(t, 3, "Send", 1) for t in range(30, 1000)]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in [{"trace": 1}, SERVER, CHILD, *sends]))
    trace = TraceFile(path)
    found = Flows(trace.sockets)
    assert [flow for line in trace.lines() for flow in found.of(line)] == []
    assert len(found._ends[3].sends) < 100


def test_perfetto_gets_the_flows_of_a_session(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with memoryReactor() as reactor, Trace(path, reactor=reactor):
        listener = listening(reactor)
        client, child = CAsyncSocket(reactor), CAsyncSocket(reactor)
        assert client.Create(lpszSocketAddress=LOCALHOST)
        beginConnect(client, portOf(listener))
        turn(reactor)
        assert listener.Accept(child)
        assert client.Send(b"hello") == 5
        turn(reactor)
        buffer = bytearray(9)
        assert child.Receive(buffer, None, int(MSG_PEEK)) == 5
        assert child.Receive(buffer) == 5
        assert child.Send(b"!", 1, int(MSG_OOB)) == 1
        assert child.Send(b"world") == 5
        turn(reactor)
        assert client.Receive(buffer, 1, int(MSG_OOB)) == 1
        assert client.Receive(buffer) == 5
        client.Close()
        turn(reactor)
        child.Close()
        listener.Close()
    assert main([str(path), "--perfetto", str(tmp_path / "out.json")]) == 0
    events = json.loads((tmp_path / "out.json").read_text())["traceEvents"]
    begun = {event["id"]: event for event in events if event["ph"] == "s"}
    ended = {event["id"]: event for event in events if event["ph"] == "f"}
    assert begun.keys() == ended.keys()
    assert Counter(event["name"] for event in begun.values()) == {"connection": 1, "bytes": 2, "end of stream": 1}
    slices = [event for event in events if event["ph"] == "X"]

    def within(event: Any) -> list[str]:
        """The calls that a flow's end is bound to: those that enclose it, on its thread."""
        return [
            one["name"]
            for one in slices
            if one["tid"] == event["tid"] and one["ts"] <= event["ts"] <= one["ts"] + one["dur"]
        ]

    bound = sorted((event["name"], *within(event), *within(ended[number])) for number, event in begun.items())
    assert bound == [
        ("bytes", "Send", "Receive"),
        ("bytes", "Send", "Receive"),
        ("connection", "Connect", "Accept"),
        ("end of stream", "Close"),
    ]
    assert all(event["ts"] <= ended[number]["ts"] for number, event in begun.items())


def test_flags_are_read_as_programs_pass_them() -> None:
    shown = {None: 0, 1: 1, 2: 2, "MSG_OOB": 1, "MSG_OOB|MSG_PEEK": 3, "__doc__": 0}
    assert {flags: flagsOf(moved(1, 1, "Receive", 5, None, flags)) for flags in shown} == shown
    assert flagsOf({"call": "Receive"}) == flagsOf(moved(1, 1, "Send", 5)) == 0
