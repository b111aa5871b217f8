"""
A trace is read: each line, and what is wrong with one that is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from twisted_casync.trace._trace import FORMAT
from twisted_casync.winsock import MessageFlag

__all__ = ["Socket", "TraceError", "TraceFile", "flagsOf"]

_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "t": int,
    "d": int,
    "socket": int,
    "class": str,
    "opened": int,
    "listener": int,
    "local": str,
    "peer": str,
    "call": str,
    "args": list,
    "error": (str, int),
    "raised": str,
    "bytes": int,
    "data": str,
    "in": int,
    "pending": int,
    "told": str,
    "n": int,
    "ended": int,
    "completed": int,
    "closed": bool,
}
"""The fields that are looked at, and of what type each is."""
_NEEDED: Final = {"told": ("n",), "call": ("d",)}
"""What a line that has a field must have besides."""
_DEEPEST: Final = 8
"""How deep tuples may lie in each other."""


class TraceError(ValueError):
    """
    A file is no trace, or a line of it is none of a trace; says which line.
    """


@dataclass
class Socket:
    """
    What a trace says of a socket.

    @ivar number: which it is, as in the lines.
    @ivar kind: its class's name.
    @ivar local: its name; empty if none is known.
    @ivar peer: that of the other end.
    @ivar listener: the number of the socket that has accepted it.
    """

    number: int
    kind: str = "socket"
    local: str = ""
    peer: str = ""
    listener: int | None = None

    @property
    def name(self) -> str:
        """
        How it is called in pictures.
        """
        return f"{self.kind.rpartition('.')[2]} {self.number}"


@dataclass
class TraceFile:
    """
    A trace that is read line by line; what is known of it grows with that.

    @ivar path: of the file.
    @ivar head: the first line.
    @ivar sockets: those that have come, by their numbers.
    @ivar cut: the number of the last line, when the file ends in its middle, as after a crash; it is left out.
    """

    path: Path
    head: dict[str, Any] = field(default_factory=dict)
    sockets: dict[int, Socket] = field(default_factory=dict)
    cut: int | None = None

    def lines(self) -> Iterator[dict[str, Any]]:
        """
        @return: the lines but the first, in the order of the file: a notification stands before what its handler did, a
            call behind what was done in it.
        @raise TraceError: one is wrong.
        @raise OSError: the file can't be read.
        """
        with self.path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                try:
                    line = json.loads(raw)
                except (ValueError, RecursionError) as error:
                    if not raw.endswith(b"\n") and number > 1:
                        self.cut = number
                        return
                    raise self._wrong(number, f"this is not JSON: {error}") from None
                if number == 1:
                    self._begin(line)
                else:
                    self._check(number, line)
                    self._learn(line)
                    yield line
        if not self.head:
            raise self._wrong(1, "the file is empty")

    def _wrong(self, number: int, what: str) -> TraceError:
        return TraceError(f"{self.path}:{number}: {what}")

    def _begin(self, line: Any) -> None:
        if not isinstance(line, dict) or "trace" not in line:
            raise self._wrong(1, "this is no trace: expected its first line, as twistd casync --trace writes it")
        if line["trace"] != FORMAT:
            raise self._wrong(1, f"a trace of format {line['trace']}; this program reads format {FORMAT}")
        self.head = line

    def _check(self, number: int, line: Any) -> None:
        if not isinstance(line, dict):
            raise self._wrong(number, "expected an object")
        for name in ("t", "socket", *(more for has, needed in _NEEDED.items() if has in line for more in needed)):
            if name not in line:
                raise self._wrong(number, f"{name!r} is missing")
        for name, value in line.items():
            kind = _TYPES.get(name)
            if kind is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
                expected = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
                raise self._wrong(number, f"{name!r}: expected {expected}, not {value!r}"[:200])

        for name in ("args", "result"):
            if not _isValue(line.get(name)):
                raise self._wrong(number, f"{name!r}: expected values, not {line[name]!r}"[:200])

    def _learn(self, line: dict[str, Any]) -> None:
        socket = self.sockets.setdefault(line["socket"], Socket(line["socket"]))
        socket.kind = line.get("class", socket.kind)
        socket.listener = line.get("listener", socket.listener)
        socket.local = line.get("local", socket.local)
        socket.peer = line.get("peer", socket.peer)


def flagsOf(line: Mapping[str, Any]) -> int:
    """
    The flags of a call of C{Send} or C{Receive}.

    @param line: the call's.
    @return: C{MSG_OOB}, C{MSG_PEEK} and so on; 0 where there are none.
    """
    given = (line.get("args") or [])[2:3]
    if given and isinstance(given[0], str):
        known = MessageFlag.__members__
        return sum(known[name] for name in given[0].split("|") if name in known)
    return given[0] if given and isinstance(given[0], int) else 0


def _isValue(value: Any, depth: int = 0) -> bool:
    """
    Is it what stands for an argument or a result?
    """
    if isinstance(value, dict):
        return isinstance(value.get("socket", 0), int)
    return not isinstance(value, list) or (depth < _DEEPEST and all(_isValue(one, depth + 1) for one in value))
