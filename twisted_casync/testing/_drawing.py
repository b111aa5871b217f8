"""
A recording as a sequence diagram in plain text: a line of life for each socket, with what its program calls and what
it is told, and an arrow for what goes over to the other end.

What happens between two stops of the reactor is drawn in an order of its own: that of causes, and among what has no
order, that of the columns.  In which order a kernel finds two sockets ready is no fact about them, and a page that is
generated must not change with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import groupby
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address

from twisted_casync import CAsyncSocket
from twisted_casync.testing._recording import Event
from twisted_casync.winsock import MSG_OOB, WSAError

__all__ = ["Name", "draw", "shown"]

_LONGEST = 20
"""Data of more bytes than this is not shown, nor how much of it was moved: that differs from machine to machine."""
_ANY = b"\0"
"""Data of these stands for any data, of any length."""
_GAP = 3


@dataclass(frozen=True)
class _Row:
    """
    One line: a text at the line of life of a socket, or, with C{to}, an arrow from it to that of another.
    """

    sock: str
    text: str
    to: str = ""


@dataclass
class _Block:
    """
    A notification with what its handler called, or one call of the program's; C{generation} is how many causes among
    the notifications of its phase it has, one behind the other.
    """

    events: list[Event]
    rows: list[_Row] = field(default_factory=list)
    generation: int = 0

    @property
    def sock(self) -> str:
        return self.events[0].sock

    def isTold(self) -> bool:
        return self.events[0].isNotification()


def draw(
    phases: Sequence[Sequence[Event]], columns: Sequence[str], peers: Mapping[str, str], ports: Mapping[int, int]
) -> str:
    """
    @param phases: the events, in pieces: between two of them the reactor had come to rest.
    @param columns: the names of the sockets to draw, from left to right; events of others are left out.
    @param peers: who is at the other end: what each socket sends goes to that one.
    @param ports: what is to be shown for the ports that the system chose.
    @return: the lines of the diagram.
    """
    phases = [[_withPorts(event, ports) for event in phase] for phase in phases]
    events = [event for phase in phases for event in phase]
    rows: list[_Row | None] = []
    for phase in phases:
        if rows:
            rows.append(None)
        blocks = _blocks(phase, columns)
        for block in blocks:
            units = [_unit(event, events, columns, peers) for event in block.events]
            block.rows = [row for unit in _once(units) for row in unit]
        for unit in _once([block.rows for block in _ordered(blocks, columns, peers)]):
            rows += unit
    return _laidOut(rows, columns)


def _once(units: Sequence[list[_Row]]) -> list[list[_Row]]:
    """
    Say once what comes several times in a row.
    """
    said: list[list[_Row]] = []
    for unit, same in groupby(units):
        several = len(list(same)) > 1
        said.append([replace(unit[0], text=f"{unit[0].text}, again and again"), *unit[1:]] if several else unit)
    return said


# -- what comes after what


def _blocks(phase: Sequence[Event], columns: Sequence[str]) -> list[_Block]:
    blocks: list[_Block] = []
    handled: _Block | None = None
    for event in phase:
        drawn = event.sock in columns
        if event.within:
            if drawn and handled is not None:
                handled.events.append(event)
            continue
        block = _Block([event])
        handled = block if drawn else None
        if drawn:
            blocks.append(block)
    return blocks


def _ordered(blocks: list[_Block], columns: Sequence[str], peers: Mapping[str, str]) -> list[_Block]:
    told = [block for block in blocks if block.isTold()]
    for number, block in enumerate(told):
        for before in told[:number]:
            if before.sock == block.sock:
                block.generation = max(block.generation, before.generation)
            elif _concerns(before, block, peers):
                block.generation = max(block.generation, before.generation + 1)
    # The program has spoken before the reactor turned.
    called = [block for block in blocks if not block.isTold()]
    return called + sorted(told, key=lambda block: (block.generation, columns.index(block.sock)))


def _concerns(before: _Block, block: _Block, peers: Mapping[str, str]) -> bool:
    """
    Did C{before} do something that C{block} can be the consequence of?
    """
    for event in before.events:
        if event.isNotification() or event.error:
            continue
        if peers.get(event.sock) == block.sock or (event.name == "Accept" and block.sock in event.arguments[:1]):
            return True
    return False


# -- one event


def _withPorts(event: Event, ports: Mapping[int, int]) -> Event:
    def shown(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(shown, value))
        return ports.get(value, value) if type(value) is int else value

    return replace(event, arguments=shown(event.arguments), result=shown(event.result))


def _unit(event: Event, events: Sequence[Event], columns: Sequence[str], peers: Mapping[str, str]) -> list[_Row]:
    rows = [_Row(event.sock, ("  " if event.within else "") + shown(event))]
    if event.name == "Connect":
        to = next((other.sock for other in events if other.name == "OnAccept" and other.sock in columns), "")
        goes = "connects" if event.error is WSAError.WSAEWOULDBLOCK and _isNumeric(event.arguments[0]) else ""
        if any(other.name == "Listen" for other in events[_place(event, events) :]):
            # There is no listener yet.
            goes = ""
    else:
        to, goes = peers.get(event.sock, ""), _sends(event, events, peers)
    return [*rows, _Row(event.sock, goes, to)] if goes and to else rows


def _isNumeric(host: str) -> bool:
    """
    @return: whether a host needs no lookup.
    """
    return isIPAddress(host) or isIPv6Address(host)


def shown(event: Event, data: str | None = None) -> str:
    """
    @param event: a call or a notification.
    @param data: what is to be shown of the data that it moved; L{None} for itself, when it is short.
    @return: it as a program would write it.
    """
    if event.isNotification():
        return f"{event.name}({event.error.name if event.error else 0})"
    arguments, result = list(event.arguments), event.result
    if not arguments:
        # Nothing is shown otherwise than it is.
        pass
    elif event.name == "Accept":
        arguments[0] = Name(arguments[0])
    elif event.name.startswith("Send"):
        arguments[0] = Name(_data(event) if data is None else data)
    elif event.name.startswith("Receive"):
        arguments[0] = Name("buff")
    if event.name == "Close":
        result = Name()
    if event.name.startswith(("Send", "Receive")):
        if event.error:
            result = (Name("SOCKET_ERROR"), *result[1:]) if isinstance(result, tuple) else Name("SOCKET_ERROR")
        elif data is None and event.data and _data(event) == "data":
            result = Name("n")
    text = f"{event.name}({', '.join(map(_value, arguments))})"
    if result != "":
        text += f" = {_value(result)}"
    if event.error:
        return f"{text}, {event.error.name}"
    received = event.data if data is None else data
    if event.name.startswith("Receive") and result != "n" and received:
        return f"{text}, {_data(event) if data is None else data}"
    return text


def _data(event: Event) -> str:
    return repr(event.data) if event.data.strip(_ANY) and len(event.data) <= _LONGEST else "data"


class Name(str):
    """
    A text that is shown as it is.
    """

    def __repr__(self) -> str:
        return str(self)


def _value(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.name)
    return repr(value)


def _place(event: Event, events: Sequence[Event]) -> int:
    return next(number for number, other in enumerate(events) if other is event)


def _sends(event: Event, events: Sequence[Event], peers: Mapping[str, str]) -> str:
    """
    @return: what goes to the peer with this call; empty when nothing does.
    """
    peer = peers.get(event.sock)
    at = _place(event, events)
    if any(other.sock == peer and other.name == "Close" for other in events[:at]):
        return ""
    if event.name.startswith("Send") and event.data:
        return f"urgent {_data(event)}" if MSG_OOB in event.arguments[2:] else _data(event)
    if event.name == "ShutDown" and not event.error:
        return "" if event.arguments == (CAsyncSocket.receives,) else "end of stream"
    if event.name == "Close":
        # Which of the two it was, the peer was told.
        told = [other.error for other in events[at:] if other.sock == peer and other.name == "OnClose"]
        return "reset" if WSAError.WSAECONNRESET in told else "end of stream" if told else ""
    return ""


# -- lines of text


def _laidOut(rows: Sequence[_Row | None], columns: Sequence[str]) -> str:
    # A line of life stands so far from the one before it as what is written there needs.
    places = [0]
    for left, right in zip(columns, columns[1:], strict=False):
        texts = [len(row.text) + 2 for row in rows if row is not None and row.sock == left and not row.to]
        arrows = [
            len(row.text) + 6 for row in rows if row is not None and row.to and {row.sock, row.to} == {left, right}
        ]
        places.append(places[-1] + max([len(left), *texts, *arrows]) + _GAP)
    at = dict(zip(columns, places, strict=True))
    lines = ["".join(name.ljust(width) for name, width in zip(columns, _widths(places), strict=True))]
    lines += [_line(row, at) for row in [None, *rows, None]]
    return "\n".join(line.rstrip() for line in lines)


def _widths(places: Sequence[int]) -> list[int]:
    return [right - left for left, right in zip(places, places[1:], strict=False)] + [0]


def _line(row: _Row | None, at: Mapping[str, int]) -> str:
    line = [" "] * (max(at.values()) + 1)
    for place in at.values():
        line[place] = "|"
    if row is None:
        return "".join(line)
    start = at[row.sock]
    if not row.to:
        return "".join(line[: start + 1]) + " " + row.text + "".join(line[start + 2 + len(row.text) :])
    left, right = sorted((start, at[row.to]))
    body = f" {row.text} ".center(right - left - 2, "-")
    line[left + 1 : right] = body + ">" if start == left else "<" + body
    return "".join(line)
