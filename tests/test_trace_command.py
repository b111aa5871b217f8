"""
C{python -m twisted_casync.trace}: a trace is read, and drawn; and what is no trace is named by its line.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from _twistd import CHECKOUT, PATIENCE, environment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twisted_casync.trace.__main__ import main
from twisted_casync.trace._picture import COLUMNS, Picture, picture
from twisted_casync.trace._reading import TraceError, TraceFile

Line = dict[str, Any]

HEAD: Line = {"trace": 1, "time": 0, "pid": 1, "program": ["server"]}


def opened(socket: int, kind: str = "Chat", **more: Any) -> list[Line]:
    return [{"t": 0, "socket": socket, "class": kind}, {"t": 0, "socket": socket, "opened": socket + 10, **more}]


SERVER = opened(1, "Door", local="127.0.0.1:7")
CHILD = opened(2, local="127.0.0.1:7", peer="127.0.0.1:999", listener=1)
ACCEPTED: list[Line] = [
    {"t": 100, "socket": 1, "told": "OnAccept", "n": 1},
    *CHILD,
    {"t": 200, "socket": 1, "call": "Accept", "args": [{"socket": 2}], "in": 1, "result": True, "d": 50},
    {"t": 300, "socket": 1, "ended": 1},
]
ECHOED: list[Line] = [
    {"t": 400, "socket": 2, "told": "OnReceive", "n": 2},
    {"t": 500, "socket": 2, "call": "Receive", "args": [100], "in": 2, "result": 5, "bytes": 5, "d": 9, "data": "hel"},
    {"t": 600, "socket": 2, "call": "Send", "args": [5], "in": 2, "result": 5, "bytes": 5, "d": 9},
    {"t": 700, "socket": 2, "ended": 2},
]
CLOSED: list[Line] = [
    {"t": 800, "socket": 2, "told": "OnClose", "n": 3},
    {"t": 910, "socket": 2, "closed": True},
    {"t": 900, "socket": 2, "call": "Close", "in": 3, "result": None, "d": 20},
    {"t": 950, "socket": 2, "ended": 3},
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.jsonl"


def write(path: Path, lines: Sequence[Line], end: str = "\n") -> Path:
    path.write_text("\n".join(json.dumps(line) for line in [HEAD, *lines]) + end)
    return path


def rows(shown: Picture) -> list[str]:
    """
    Each row in a line: where, and what; an arrow with where to.
    """
    title = [column.title for column in shown.columns]
    return [
        f"{title[row.column]}: {row.text}" if row.to is None else f"{title[row.column]} -> {title[row.to]}: {row.text}"
        for row in shown.rows
    ]


def drawn(path: Path, lines: Sequence[Line], first: int = 100, only: Sequence[int] = ()) -> Picture:
    return picture(TraceFile(write(path, lines)), first, only)


# -- what is drawn


def test_a_connection_of_a_stranger(path: Path) -> None:
    shown = drawn(path, [*SERVER, *ACCEPTED, *ECHOED, *CLOSED])
    assert [(column.title, column.subtitle, column.isSocket) for column in shown.columns] == [
        ("Door 1", "127.0.0.1:7", True),
        ("127.0.0.1:999", "", False),
        ("Chat 2", "127.0.0.1:7", True),
    ]
    assert rows(shown) == [
        "127.0.0.1:999 -> Door 1: connects",
        "Door 1: OnAccept(0)",
        "Door 1: Accept(Chat 2) = True",
        "Chat 2: OnReceive(0)",
        "127.0.0.1:999 -> Chat 2: 5 bytes",
        "Chat 2: Receive(buff) = 5, b'hel'",
        "Chat 2: Send(5 bytes) = 5",
        "Chat 2 -> 127.0.0.1:999: 5 bytes",
        "127.0.0.1:999 -> Chat 2: end of stream",
        "Chat 2: OnClose(0)",
        "Chat 2: Close()",
        "Chat 2 -> 127.0.0.1:999: closes",
    ]
    assert shown.spent == {1: 200, 2: 300, 3: 150} and shown.note == ""


def test_both_ends_in_one_trace(path: Path) -> None:
    client = opened(3, "Client", local="127.0.0.1:999", peer="127.0.0.1:7")
    connect = {"t": 50, "socket": 3, "call": "Connect", "args": ["127.0.0.1", 7], "d": 9, "pending": 1}
    done = {"t": 350, "socket": 3, "completed": 1, "result": True}
    shown = drawn(path, [*SERVER, *client, connect, *ACCEPTED, done, *ECHOED, *CLOSED])
    assert [column.title for column in shown.columns] == ["Client 3", "Chat 2", "Door 1"]
    assert rows(shown)[:6] == [
        "Client 3: await Connect('127.0.0.1', 7)",
        "Client 3 -> Door 1: connects",
        "Door 1: OnAccept(0)",
        "Door 1: Accept(Chat 2) = True",
        "Client 3: Connect has given True",
        "Chat 2: OnReceive(0)",
    ]
    assert "Chat 2 -> Client 3: 5 bytes" in rows(shown)


def test_datagrams_come_from_addresses_and_go_to_them(path: Path) -> None:
    there = ["127.0.0.1", 53]
    lines: list[Line] = [
        *opened(1, "Mail"),
        {"t": 1, "socket": 1, "call": "ReceiveFrom", "args": [9], "result": [4, there], "bytes": 4, "d": 1},
        {"t": 2, "socket": 1, "call": "SendTo", "args": [4, 4, there], "result": 4, "bytes": 4, "d": 1},
        {"t": 3, "socket": 1, "call": "ReceiveFrom", "args": [9], "result": [-1, None], "error": "WSAEFAULT", "d": 1},
    ]
    assert rows(drawn(path, lines)) == [
        "127.0.0.1:53 -> Mail 1: 4 bytes",
        "Mail 1: ReceiveFrom(buff) = (4, ('127.0.0.1', 53))",
        "Mail 1: SendTo(4 bytes, 4, ('127.0.0.1', 53)) = 4",
        "Mail 1 -> 127.0.0.1:53: 4 bytes",
        "Mail 1: ReceiveFrom(buff) = (SOCKET_ERROR, None), WSAEFAULT",
    ]


def test_failures_and_urgent_data_are_marked(path: Path) -> None:
    lines: list[Line] = [
        *SERVER,
        *CHILD,
        {"t": 1, "socket": 2, "call": "Send", "args": [1, 1, "MSG_OOB"], "result": 1, "bytes": 1, "d": 1},
        {"t": 2, "socket": 2, "call": "Send", "args": ["3.5"], "raised": "TypeError: no", "d": 1},
        {"t": 3, "socket": 2, "call": "Receive", "args": [1], "result": -1, "error": "WSAEWOULDBLOCK", "d": 1},
        {"t": 4, "socket": 2, "told": "OnClose", "n": 1, "error": "WSAECONNRESET"},
    ]
    shown = drawn(path, lines)
    assert [text.partition(": ")[2] for text in rows(shown)] == [
        "Send(1 byte, 1, MSG_OOB) = 1",
        "urgent, 1 byte",
        "Send('3.5') raises TypeError: no",
        "Receive(buff) = SOCKET_ERROR, WSAEWOULDBLOCK",
        "reset",
        "OnClose(WSAECONNRESET)",
    ]
    assert [row.failed for row in shown.rows] == [False, False, True, False, True, True]
    assert [row.urgent for row in shown.rows] == [False, True, False, False, False, False]


def test_a_long_trace_is_drawn_as_far_as_is_asked_for(path: Path) -> None:
    # What follows isn't read: it is no trace.
    write(path, [*SERVER, *ACCEPTED, *ECHOED, {"nonsense": True}])
    shown = picture(TraceFile(path), 3)
    assert len([row for row in shown.rows if row.to is None]) == 3
    assert "goes on after these 3 events" in shown.note


def test_many_sockets_are_left_out_and_one_can_be_chosen(path: Path) -> None:
    lines = [line for number in range(1, 41) for line in opened(number)]
    lines += [{"t": number, "socket": number, "call": "Listen", "result": True, "d": 1} for number in range(1, 41)]
    shown = drawn(path, lines)
    assert len(shown.columns) <= COLUMNS
    assert f"{40 - len(shown.columns)} events of other sockets" in shown.note
    assert rows(picture(TraceFile(path), 100, [33])) == ["Chat 33: Listen() = True"]
    with pytest.raises(TraceError, match="no socket 99 in what was read; there are 1, 2, 3"):
        picture(TraceFile(path), 100, [99])


# -- what is read


@pytest.mark.parametrize(
    ("number", "text", "complaint"),
    [
        (1, "", "the file is empty"),
        (1, "<html>\n", "this is not JSON"),
        (1, "{}\n", "this is no trace: expected its first line"),
        (1, "[1]\n", "this is no trace"),
        (1, '{"trace": 2}\n', "a trace of format 2; this program reads format 1"),
        (3, '\n{"t": 1, "so\n{}\n', "this is not JSON"),
        (3, "\n[]\n", "expected an object"),
        (3, '\n{"socket": 1}\n', "'t' is missing"),
        (3, '\n{"t": 1}\n', "'socket' is missing"),
        (3, '\n{"t": "now", "socket": 1}\n', "'t': expected int, not 'now'"),
        (3, '\n{"t": true, "socket": 1}\n', "'t': expected int, not True"),
        (3, '\n{"t": 1, "socket": 1, "call": "Send"}\n', "'d' is missing"),
        (3, '\n{"t": 1, "socket": 1, "told": "OnSend"}\n', "'n' is missing"),
        (3, '\n{"t": 1, "socket": 1, "call": "Send", "d": 1, "args": 3}\n', "'args': expected list, not 3"),
        (3, '\n{"t": 1, "socket": 1, "call": "Accept", "d": 1, "args": [{"socket": []}]}\n', "'args'"),
        (3, "\n" + "[" * 100_000 + "\n", "this is not JSON"),
        (3, '\n{"t": 1, "socket": 1, "result": ' + "[" * 99 + "]" * 99 + "}\n", "'result': expected values"),
        (3, '\n{"t": 1, "socket": 1, "told": 7, "n": 1}\n', "'told': expected str, not 7"),
    ],
)
def test_a_bad_line_is_named(
    path: Path, capsys: pytest.CaptureFixture[str], number: int, text: str, complaint: str
) -> None:
    good = json.dumps(HEAD) + "\n" + json.dumps(opened(1)[0])
    path.write_text(good + text if number > 1 else text)
    for more in ([], ["--perfetto", str(path.with_suffix(".json"))]):
        assert main([str(path), *more]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"{path}:{number}: ") and complaint in error and error.count("\n") == 1


def test_a_trace_that_breaks_off_is_drawn_without_its_last_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(path, [*SERVER, *ACCEPTED], end='\n{"t": 12, "sock')
    assert main([str(path)]) == 0
    assert capsys.readouterr().err == f"{path}:9: the last line is cut off; it is left out\n"
    assert "OnAccept(0)" in path.with_name("trace.jsonl.svg").read_text()


def test_lines_that_mention_what_never_came(path: Path) -> None:
    lines: list[Line] = [
        {"t": 1, "socket": 5, "ended": 77},
        {"t": 1, "socket": 5, "completed": 78, "result": 1},
        {"t": 2, "socket": 5, "call": "Accept", "args": [{"socket": 66}], "result": True, "in": 77, "d": 1},
        {"t": 3, "socket": 5, "call": "Assign", "args": [{"socket": 67}, {"what": 1}], "result": True, "d": 1},
        {"t": 4, "socket": 5, "call": "Send", "args": [], "raised": "TypeError", "d": 1},
    ]
    assert rows(drawn(path, lines)) == [
        "socket 5: Accept(socket 66) = True",
        "socket 5: Assign(socket 67, …) = True",
        "socket 5: Send() raises TypeError",
    ]
    assert main([str(path), "--perfetto", str(path.with_suffix(".json"))]) == 0


# -- what is written


def test_the_svg_is_well_formed_and_shows_every_row(path: Path, tmp_path: Path) -> None:
    evil = [{"t": 960, "socket": 1, "call": "<b>&\"'", "args": ["</svg>"], "result": 1, "d": 1}]
    out = tmp_path / "out.svg"
    write(path, [*SERVER, *ACCEPTED, *ECHOED, *CLOSED, *evil])
    assert main([str(path), "--svg", str(out)]) == 0
    root = ElementTree.fromstring(out.read_text())
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    for row in picture(TraceFile(path), 100).rows:
        assert any(text.startswith(row.text) for text in texts), row.text
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for node in root.iter("{http://www.w3.org/2000/svg}text"):
        assert 0 <= float(node.attrib["x"]) <= width and 0 <= float(node.attrib["y"]) <= height


def test_a_trace_without_events_is_an_empty_picture(path: Path) -> None:
    assert main([str(write(path, []))]) == 0
    ElementTree.fromstring(path.with_name("trace.jsonl.svg").read_text())


PHASES = {
    # What the Trace Event Format asks of each phase that is used.
    "B": {"name", "ts", "pid", "tid"},
    "E": {"ts", "pid", "tid"},
    "X": {"name", "ts", "dur", "pid", "tid"},
    "b": {"name", "cat", "id", "ts", "pid", "tid"},
    "e": {"name", "cat", "id", "ts", "pid", "tid"},
    "i": {"name", "ts", "pid", "tid", "s"},
    "s": {"name", "cat", "id", "ts", "pid", "tid"},
    "f": {"name", "cat", "id", "ts", "pid", "tid", "bp"},
    "M": {"name", "pid", "tid", "args"},
}


def test_the_trace_for_perfetto_is_as_its_format_says(path: Path) -> None:
    begun = {"t": 1000, "socket": 2, "call": "receiveLine", "d": 5, "pending": 1}
    lasting = [
        {"t": 1001, "socket": 2, "call": "Connect", "d": 5, "pending": 2},
        {"t": 1002, "socket": 2, "told": "On", "n": 9},
    ]
    done = {"t": 2000, "socket": 2, "completed": 1, "result": {"buffer": 6}}
    write(path, [*SERVER, *ACCEPTED, *ECHOED, *CLOSED, begun, *lasting, done])
    out = path.with_suffix(".json")
    assert main([str(path), "--perfetto", str(out)]) == 0
    assert not path.with_name("trace.jsonl.svg").exists()
    document = json.loads(out.read_text())
    assert document["displayTimeUnit"] in ("ms", "ns")
    open: dict[int, int] = {}
    waiting: dict[Any, int] = {}
    for event in document["traceEvents"]:
        assert PHASES[event["ph"]] <= event.keys(), event
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int)
        assert event.get("dur", 0) >= 0
        change = {"B": 1, "E": -1, "b": 1, "e": -1}.get(event["ph"], 0)
        if event["ph"] in "BE":
            open[event["tid"]] = open.get(event["tid"], 0) + change
            assert open[event["tid"]] in (0, 1)
        elif change:
            key = (event["cat"], event["id"], event["name"])
            waiting[key] = waiting.get(key, 0) + change
    assert set(open.values()) == {0} and set(waiting.values()) == {0} and len(waiting) == 2
    names = [event["args"]["name"] for event in document["traceEvents"] if event.get("name") == "thread_name"]
    assert names == ["Door 1 at 127.0.0.1:7", "Chat 2 from 127.0.0.1:999"]
    (receive,) = [event for event in document["traceEvents"] if event.get("name") == "Receive"]
    assert (receive["ts"], receive["dur"]) == (0.5, 0.009) and receive["args"]["bytes"] == 5


@pytest.mark.programs
def test_from_the_command_line(path: Path) -> None:
    write(path, [*SERVER, *ACCEPTED])

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "twisted_casync.trace", *arguments],
            cwd=CHECKOUT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    assert command(str(path), "--first", "10", "--socket", "1").returncode == 0
    missing = command(str(path.with_name("missing")))
    assert missing.returncode == 2 and "No such file" in missing.stderr and "Traceback" not in missing.stderr
    wrong = command(str(path), "--first", "0")
    assert wrong.returncode == 2 and re.search("--first: invalid", wrong.stderr)


FIELDS = {
    "in": st.integers(0, 3),
    "ended": st.integers(0, 3),
    "pending": st.integers(0, 3),
    "completed": st.integers(0, 3),
    "opened": st.integers(0, 9),
    "closed": st.booleans(),
    "listener": st.integers(0, 3),
    "local": st.sampled_from(["", "here", "there"]),
    "peer": st.sampled_from(["", "here", "there"]),
    "bytes": st.integers(0, 9),
    "data": st.text(max_size=9),
    "error": st.sampled_from(["WSAECONNRESET", "WSAEWOULDBLOCK", "?", 7]),
    "raised": st.text(max_size=9),
    "call": st.sampled_from(
        ["Accept", "Close", "Connect", "Receive", "ReceiveFrom", "Send", "SendTo", "ShutDown", "x"]
    ),
    "told": st.sampled_from(["OnAccept", "OnClose", "OnReceive", "x"]),
}
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=9) | st.fixed_dictionaries({}, optional={"socket": st.integers(0, 4)}),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.fixed_dictionaries(
            {"t": st.integers(), "d": st.integers(), "n": st.integers(0, 3), "socket": st.integers(0, 3)},
            optional={**FIELDS, "args": st.lists(VALUES, max_size=3), "result": VALUES},
        ),
        max_size=8,
    )
)
def test_whatever_a_trace_says_it_is_drawn(path: Path, lines: list[Line]) -> None:
    write(path, lines)
    assert main([str(path)]) == 0
    ElementTree.fromstring(path.with_name("trace.jsonl.svg").read_bytes())
    assert main([str(path), "--perfetto", str(path.with_suffix(".json"))]) == 0
