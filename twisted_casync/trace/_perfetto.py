"""
A trace in the Trace Event Format, which Perfetto and Chrome show.

The format is that of the document "Trace Event Format" of the Chromium project, in its JSON Object Format: each socket
is a thread of the one process; a notification is a pair of duration events (C{B} and C{E}), a call a complete event
(C{X}), a call that is awaited a pair of asynchronous ones (C{b} and C{e}); what goes from one socket to another is a
pair of flow events (C{s} and C{f}), each in the middle of a call or at the beginning of a notification; names are
metadata (C{M}).  Times are in microseconds, of which the format allows fractions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from twisted_casync.trace._flows import Flows
from twisted_casync.trace._reading import Socket, TraceFile

__all__ = ["perfetto"]

_SHOWN: Final = ("args", "result", "error", "raised", "bytes", "data")
"""What is shown of an event when one selects it."""


def perfetto(trace: TraceFile, out: Path) -> None:
    """
    Write a trace, line by line, however large it is.

    @param trace: a trace that nothing was read of yet.
    @param out: where to.
    @raise TraceError: a line is wrong.
    @raise OSError: a file can't be read or written.
    """
    with out.open("w", encoding="utf-8") as file:
        file.write('{"displayTimeUnit": "ns", "traceEvents": [')
        between = "\n"
        for event in _events(trace):
            file.write(between + json.dumps(event))
            between = ",\n"
        file.write("\n]}\n")


def _events(trace: TraceFile) -> Iterator[dict[str, Any]]:
    pending: dict[int, dict[str, Any]] = {}
    open: dict[int, int] = {}
    last = 0.0
    flows = Flows(trace.sockets)
    number = 0
    process = 1
    for line in trace.lines():
        # The first line was read by now.
        process = trace.head["pid"] if isinstance(trace.head.get("pid"), int) else process
        thread = line["socket"]
        when = line["t"] / 1000
        last = max(last, when + line.get("d", 0) / 1000)
        common = {"pid": process, "tid": thread, "ts": when}
        shown = {name: line[name] for name in _SHOWN if name in line}
        if "told" in line:
            open[line["n"]] = thread
            yield {"ph": "B", "name": line["told"], "cat": "notification", **common, "args": shown}
        elif "ended" in line:
            if open.pop(line["ended"], None) is not None:
                yield {"ph": "E", **common, "args": shown}
        elif "call" in line:
            yield {"ph": "X", "name": line["call"], "cat": "call", **common, "dur": line["d"] / 1000, "args": shown}
            if "pending" in line:
                begun = {"name": line["call"], "cat": "awaited", "id": line["pending"], "pid": process, "tid": thread}
                pending[line["pending"]] = begun
                yield {"ph": "b", **begun, "ts": when, "args": {}}
        elif "completed" in line:
            call = pending.pop(line["completed"], None)
            if call is not None:
                yield {"ph": "e", **call, "ts": when, "args": shown}
        elif "opened" in line or "closed" in line:
            name = "opened" if "opened" in line else "closed"
            yield {"ph": "i", "s": "t", "name": name, "cat": "socket", **common, "args": {}}
        for flow in flows.of(line):
            number += 1
            shared = {"name": flow.name, "cat": "flow", "id": number, "pid": process}
            yield {"ph": "s", **shared, "tid": flow.start[0], "ts": flow.start[1] / 1000}
            yield {"ph": "f", "bp": "e", **shared, "tid": flow.end[0], "ts": flow.end[1] / 1000}
    # What the trace did not see the end of lasts as long as the trace.
    for thread in open.values():
        yield {"ph": "E", "pid": process, "tid": thread, "ts": last}
    for call in pending.values():
        yield {"ph": "e", **call, "ts": last}
    program = " ".join(map(str, trace.head.get("program", ()))) or "sockets"
    yield {"ph": "M", "name": "process_name", "pid": process, "tid": 0, "args": {"name": program}}
    for socket in trace.sockets.values():
        named = {"name": f"{socket.name} {_place(socket)}".rstrip()}
        yield {"ph": "M", "name": "thread_name", "pid": process, "tid": socket.number, "args": named}
        order = {"sort_index": socket.number}
        yield {"ph": "M", "name": "thread_sort_index", "pid": process, "tid": socket.number, "args": order}


def _place(socket: Socket) -> str:
    """
    Where it is, as short as it can be said: there is room for few letters beside a thread.
    """
    if not socket.peer:
        return f"at {socket.local}" if socket.local else ""
    return f"{'to' if socket.listener is None else 'from'} {socket.peer}"
