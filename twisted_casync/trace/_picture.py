"""
What a sequence diagram of a trace shows: its columns, and its rows from top to bottom.

Each socket is a column, and so is each address at the other end of one of them that is no socket of the trace.  A row
is a text at a column, or an arrow to another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from twisted_casync import winsock
from twisted_casync.testing._drawing import Name, shown
from twisted_casync.testing._recording import Event
from twisted_casync.trace._reading import Socket, TraceError, TraceFile, flagsOf
from twisted_casync.trace._values import addressName
from twisted_casync.winsock import MSG_OOB, WSAError

__all__ = ["COLUMNS", "Column", "Picture", "Row", "picture"]

COLUMNS: Final = 16
"""So many columns are drawn at most, where nobody says of which sockets."""
_GATE: Final = "CAsyncSocket."
_PREVIEW: Final = 24
"""Characters of data that are shown."""
_TEXT: Final = 72
"""Characters of a row."""


@dataclass
class Column:
    """
    One line of life.

    @ivar title: what stands over it.
    @ivar subtitle: more of that, in small.
    @ivar isSocket: whether it is a socket of the trace, or an address.
    """

    title: str
    subtitle: str = ""
    isSocket: bool = True


@dataclass
class Row:
    """
    One row.

    @ivar when: nanoseconds since the trace began.
    @ivar column: where.
    @ivar text: what happened.
    @ivar to: the column that an arrow goes to; L{None} of a text.
    @ivar handler: the number of the notification that this is; 0 if it is none.
    @ivar within: the number of the notification in which it happened; 0 if in none.
    @ivar failed: whether it tells of an error.
    @ivar urgent: whether it tells of urgent data.
    """

    when: int
    column: int
    text: str
    to: int | None = None
    handler: int = 0
    within: int = 0
    failed: bool = False
    urgent: bool = False


@dataclass
class Picture:
    """
    All of it.

    @ivar columns: from left to right.
    @ivar rows: from top to bottom.
    @ivar lives: of each column, from which row to which it lives; L{None} as far as the picture goes.
    @ivar spent: nanoseconds that the notifications took, by their numbers.
    @ivar note: what the picture leaves out; empty if that is nothing.
    """

    columns: list[Column]
    rows: list[Row] = field(default_factory=list)
    lives: dict[int, tuple[int | None, int | None]] = field(default_factory=dict)
    spent: dict[int, int] = field(default_factory=dict)
    note: str = ""


def picture(trace: TraceFile, first: int, only: Sequence[int] = ()) -> Picture:
    """
    @param trace: a trace that nothing was read of yet.
    @param first: how many of its calls and notifications to draw; what follows is not read.
    @param only: the numbers of the sockets to draw, with those at their other ends; none for as many as there is room
        for.
    @raise TraceError: a line is wrong, or a socket is not there.
    @raise OSError: the file can't be read.
    """
    lines = []
    events, more = 0, False
    for line in trace.lines():
        if only and line["socket"] not in only and not _describes(line):
            continue
        if "call" in line or "told" in line:
            if events == first:
                more = True
                break
            events += 1
        lines.append(line)
    missing = [number for number in only if number not in trace.sockets]
    if missing:
        known = ", ".join(map(str, islice(trace.sockets, 20)))
        raise TraceError(f"{trace.path}: no socket {missing[0]} in what was read; there are {known}")
    # A call's line stands where it ended.
    lines.sort(key=lambda line: line["t"])
    return _Drawn(trace.sockets, lines, only).picture(first if more else 0)


def _describes(line: Mapping[str, Any]) -> bool:
    """
    Does a line say what a socket is, or when?
    """
    return not line.keys() & {"call", "told", "ended", "completed"}


class _Drawn:
    """
    A picture in the making.
    """

    def __init__(self, sockets: Mapping[int, Socket], lines: Sequence[Mapping[str, Any]], only: Sequence[int]) -> None:
        self._sockets = sockets
        self._lines = lines
        self._acts = [line for line in lines if "call" in line or "told" in line]
        self._columns: dict[int | str, int] = {}
        self._shown: list[Column] = []
        self._place(only or list(dict.fromkeys(line["socket"] for line in self._acts)), not only)
        self._picture = Picture(self._shown)
        # The connections that each notification, or call, accepts, which have begun before it.
        self._accepts: dict[int, list[int]] = {}
        self._waiting: dict[int, Mapping[str, Any]] = {}

    # -- columns

    def _place(self, numbers: Iterable[int], bounded: bool) -> None:
        for number in numbers:
            if number in self._columns:
                continue
            if bounded and len(self._shown) >= COLUMNS - 1:
                break
            socket = self._sockets[number]
            other = self._other(socket)
            if other is None and socket.peer and socket.listener is not None:
                # Who connects stands before the one who accepts.
                self._addPeer(socket.peer)
            self._add(number, Column(socket.name, socket.local))
            if other is not None and other.number not in self._columns:
                self._add(other.number, Column(other.name, other.local))
            elif other is None and socket.peer:
                self._addPeer(socket.peer)
            for name in dict.fromkeys(filter(None, (_from(line) for line in self._acts if line["socket"] == number))):
                if len(self._shown) < COLUMNS:
                    self._addPeer(name)

    def _add(self, key: int | str, column: Column) -> None:
        self._columns[key] = len(self._shown)
        self._shown.append(column)

    def _addPeer(self, name: str) -> None:
        if name not in self._columns:
            self._add(name, Column(name, isSocket=False))

    def _other(self, socket: Socket) -> Socket | None:
        """
        The other end of a connection, if it is in the trace too.
        """
        if not socket.peer or not socket.local:
            return None
        ends = (one for one in self._sockets.values() if (one.local, one.peer) == (socket.peer, socket.local))
        return next(ends, None)

    def _peerOf(self, number: int) -> int | None:
        socket = self._sockets[number]
        other = self._other(socket)
        return self._columns.get(socket.peer if other is None else other.number)

    # -- rows

    def picture(self, cutAt: int) -> Picture:
        told: dict[int, int] = {}
        for line in self._lines:
            if "told" in line:
                told[line["n"]] = line["t"]
            elif "ended" in line and line["ended"] in told:
                self._picture.spent[line["ended"]] = line["t"] - told[line["ended"]]
            elif line.get("call") == "Accept" and line.get("result") and "error" not in line:
                child = next((one.get("socket") for one in line.get("args", [])[:1] if isinstance(one, dict)), None)
                if child is not None:
                    self._accepts.setdefault(line.get("in", -line["t"]), []).append(child)
        left = 0
        for line in self._lines:
            at = self._columns.get(line["socket"])
            if at is not None:
                self._line(line, at)
            elif "call" in line or "told" in line:
                left += 1
        notes = []
        if left:
            notes.append(f"{left} events of other sockets are left out (--socket N draws one)")
        if cutAt:
            notes.append(f"the trace goes on after these {cutAt} events (--first N draws more)")
        self._picture.note = "; ".join(notes)
        return self._picture

    def _row(self, line: Mapping[str, Any], at: int, text: str, **more: Any) -> None:
        text = text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"
        self._picture.rows.append(Row(line["t"], at, text, within=line.get("in", 0), **more))

    def _line(self, line: Mapping[str, Any], at: int) -> None:
        begun, ended = self._picture.lives.get(at, (None, None))
        if "opened" in line:
            self._picture.lives[at] = len(self._picture.rows), None
        elif "closed" in line:
            self._picture.lives[at] = begun, len(self._picture.rows)
        elif "told" in line:
            self._told(line, at)
        elif "call" in line:
            self._call(line, at)
        elif "completed" in line and line["completed"] in self._waiting:
            call = self._waiting.pop(line["completed"])
            outcome = line.get("error") or line.get("raised") or _text(self._value(line.get("result")))
            failed = "error" in line or "raised" in line
            self._row(line, at, f"{call['call']} has given {outcome}", failed=failed)

    def _told(self, line: Mapping[str, Any], at: int) -> None:
        for child in self._accepts.pop(line["n"], ()):
            self._connects(line, child, at)
        error = line.get("error")
        peer = self._peerOf(line["socket"])
        if line["told"] == "OnClose" and peer is not None and not self._shown[peer].isSocket:
            reset = error == "WSAECONNRESET"
            if reset or not error:
                self._arrow(line, peer, "reset" if reset else "end of stream", at, failed=reset)
                if reset:
                    self._picture.lives[peer] = None, len(self._picture.rows)
        event = Event("", line["told"], error=_code(error))
        self._row(line, at, shown(event), handler=line["n"], failed=bool(error))

    def _connects(self, line: Mapping[str, Any], child: int, at: int) -> None:
        peer = self._sockets[child].peer if child in self._sockets else ""
        if peer in self._columns:
            self._arrow(line, self._columns[peer], "connects", at)

    def _arrow(self, line: Mapping[str, Any], start: int, text: str, to: int, **more: Any) -> None:
        # It is no part of what the handler does, but between the columns.
        self._picture.rows.append(Row(line["t"], start, text, to, **more))

    def _call(self, line: Mapping[str, Any], at: int) -> None:
        name: str = line["call"]
        datagram = _from(line)
        peer = self._columns.get(datagram) if datagram else self._peerOf(line["socket"])
        if not line.get("in") and name == "Accept":
            for child in self._accepts.pop(-line["t"], ()):
                self._connects(line, child, at)
        isInternal = peer is not None and self._shown[peer].isSocket
        member = name.removeprefix(_GATE)
        count = line.get("bytes", 0)
        size = _bytes(count)
        urgent = bool(flagsOf(line) & MSG_OOB)
        moved = f"urgent, {size}" if urgent else size
        if count and member.startswith("Receive") and peer is not None and not isInternal:
            self._arrow(line, peer, moved, at, urgent=urgent)
        if not name.startswith(_GATE):
            failed = "error" in line or "raised" in line
            self._row(line, at, self._text(line, size), failed=failed and line.get("error") != "WSAEWOULDBLOCK")
        if "pending" in line:
            self._waiting[line["pending"]] = line
        if peer is None or self._picture.lives.get(peer, (None, None))[1] is not None:
            # Nobody is there, or not any more.
            return
        if count and member.startswith("Send"):
            self._arrow(line, at, moved, peer, urgent=urgent)
        elif name == "ShutDown" and line.get("result") and line.get("args") != [0]:
            self._arrow(line, at, "end of stream", peer)
        elif name == "Close":
            self._arrow(line, at, "closes", peer)
        elif name == "Connect" and "raised" not in line:
            self._arrow(line, at, "connects", self._listenerOf(line["socket"], peer))

    def _listenerOf(self, number: int, peer: int) -> int:
        """
        Whom a connection goes to at first.
        """
        other = self._other(self._sockets[number])
        if other is None or other.listener is None:
            return peer
        return self._columns.get(other.listener, peer)

    def _text(self, line: Mapping[str, Any], size: str) -> str:
        name: str = line["call"]
        data = repr(line["data"].encode("latin-1", "replace")) if "data" in line else ""
        if len(data) > _PREVIEW:
            data = data[: _PREVIEW - 1] + "…"
        arguments = tuple(map(self._value, line.get("args", ())))
        if "raised" in line:
            return f"{name}({', '.join(map(_text, arguments))}) raises {line['raised']}"
        result = Name("") if "pending" in line or "result" not in line else self._value(line["result"])
        event = Event("", name, arguments, result, _code(line.get("error")))
        sent = data or size or _bytes(arguments[0] if arguments else 0) if name.startswith("Send") else data
        text = shown(event, sent)
        return f"await {text}" if "pending" in line else text

    def _value(self, value: Any) -> Any:
        """
        What a value is to be shown as.
        """
        if isinstance(value, list):
            return tuple(map(self._value, value))
        if isinstance(value, dict):
            if "socket" in value:
                number = value["socket"]
                return Name(self._sockets[number].name if number in self._sockets else f"socket {number}")
            return Name(_bytes(value["buffer"]) if isinstance(value.get("buffer"), int) else "…")
        if isinstance(value, str) and value.isupper() and hasattr(winsock, value):
            return Name(value)
        return value


def _from(line: Mapping[str, Any]) -> str:
    """
    @return: the address that a datagram came from or was sent to, where the call's line has it.
    """
    if not line.get("bytes"):
        return ""
    name = line.get("call", "")
    place = line.get("result", ()) if "ReceiveFrom" in name else line.get("args", ())[1:] if "SendTo" in name else ()
    address = place[1] if isinstance(place, list) and len(place) > 1 else None
    if isinstance(address, list) and [type(part) for part in address[:2]] == [str, int]:
        return addressName(tuple(address))
    return ""


def _text(value: Any) -> str:
    return repr(value)


def _bytes(count: Any) -> str:
    if not isinstance(count, int):
        return "data"
    return f"{count:,} byte{'' if count == 1 else 's'}" if count else ""


def _code(error: Any) -> WSAError:
    """
    @return: the error that a line names.
    """
    if isinstance(error, str) and error in WSAError.__members__:
        return WSAError[error]
    return WSAError.NO_ERROR
