"""
What can go wrong on the way from one socket of a memory network to another, as a test says it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any

from twisted_casync.winsock import SOCK_DGRAM, SOCK_STREAM, WSAError, errnoFromError, errorFromErrno

__all__ = ["FAILABLE", "Faults", "Scripted", "checkedCode"]

FAILABLE = ("Create", "Bind", "Listen", "Connect", "Accept", "Receive", "Send", "ShutDown")
"""The members that can be made to fail: those beneath which there is a system call."""

_ENDS = ("resetAfter", "abortAfter", "endAfter")
_OF_ONE_KIND = {
    SOCK_STREAM: ("a stream", ("shortSends", "pieces", *_ENDS)),
    SOCK_DGRAM: ("datagrams", ("copies", "delays")),
}
"""Those that are not said of the other kind of socket."""
_EACH = {"shortSends": (1, "bytes"), "pieces": (1, "bytes"), "copies": (0, "arrivals")}
"""Those that are a number for all, or one for each of the first: the least, and what it counts."""


@dataclass(frozen=True)
class Faults:
    """
    What happens to the bytes of one direction of a connection, or to the datagrams that a socket sends.  Without
    arguments: nothing.

    @ivar shortSends: how many bytes a C{Send} takes at most: a number for all of them, a sequence for the first ones.
    @ivar blocked: for how many seconds of the network's clock a C{Send} would block, from when this is in force.
    @ivar pieces: how many bytes arrive at once at most: a number, or a sequence for the first arrivals.
    @ivar delay: seconds of the clock that all takes longer on this way.
    @ivar resetAfter: after how many bytes the connection is reset, at both ends; those before it still arrive.
    @ivar abortAfter: the same with C{WSAECONNABORTED}, which is how a connection ends whose peer does not answer.
    @ivar endAfter: after how many bytes the stream seems to end for the one who receives; the sender is not told, and
        what it sends is lost.
    @ivar copies: how often a datagram arrives, 0 for one that is lost: a number for all of them, a sequence for the
        first ones.
    @ivar delays: seconds of the clock that the first datagrams take longer, one after the other; those that are sent
        behind one may come before it.
    """

    shortSends: int | Sequence[int] = ()
    blocked: float = 0.0
    pieces: int | Sequence[int] = ()
    delay: float = 0.0
    resetAfter: int | None = None
    abortAfter: int | None = None
    endAfter: int | None = None
    copies: int | Sequence[int] = ()
    delays: Sequence[float] = ()

    def __post_init__(self) -> None:
        """
        @raise TypeError: something is no number.
        @raise ValueError: a number that can't be meant, or two ends of one connection.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _EACH:
                for number in value if isinstance(value, Sequence) and not isinstance(value, str) else (value,):
                    _checked(field.name, number, *_EACH[field.name])
            elif field.name in ("blocked", "delay"):
                _checkedSeconds(field.name, value)
            elif field.name == "delays":
                if isinstance(value, str) or not isinstance(value, Sequence):
                    raise TypeError(f"delays must be a sequence of seconds, not {value!r}; of all it is delay")
                for seconds in value:
                    _checkedSeconds(field.name, seconds)
            elif value is not None:
                _checked(field.name, value, 0, "bytes")
        ends = [name for name in _ENDS if getattr(self, name) is not None]
        if len(ends) > 1:
            raise ValueError(f"a connection ends once: {' and '.join(ends)} can't both be")

    def saidOf(self, kind: int) -> Faults:
        """
        @param kind: C{SOCK_STREAM} or C{SOCK_DGRAM}.
        @return: these.
        @raise ValueError: one of them can't happen to a socket of that kind.
        """
        for other, (what, names) in _OF_ONE_KIND.items():
            for name in names:
                if other != kind and getattr(self, name) not in ((), None):
                    raise ValueError(f"{name} is said of {what}, and this is {_OF_ONE_KIND[kind][0]}")
        return self

    def end(self) -> tuple[int, WSAError | None] | None:
        """
        @return: after how many bytes this way ends, and with which error, L{None} for the end of the stream; or
            L{None}, it does not.
        """
        codes = (WSAError.WSAECONNRESET, WSAError.WSAECONNABORTED, None)
        for name, code in zip(_ENDS, codes, strict=True):
            after: int | None = getattr(self, name)
            if after is not None:
                return after, code
        return None


def _checkedSeconds(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not (isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be 0 seconds or more, and come to an end, not {value!r}")


def _checked(name: str, value: Any, least: int, unit: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a number of {unit}, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be {least} {unit} or more, not {value!r}")


def checkedCode(code: int) -> WSAError:
    """
    @return: an error that a call of the system can fail with.
    @raise ValueError: none can.
    """
    error = WSAError(code)
    if not error or errorFromErrno(errnoFromError(error)) is not error:
        raise ValueError(f"no call of the system fails with {error.name}")
    return error


class Scripted:
    """
    Members that are to fail, each so many times.
    """

    def __init__(self) -> None:
        self._due: dict[str, list[WSAError]] = {}

    def add(self, member: str, code: int, times: int) -> None:
        """
        @param member: one of L{FAILABLE}.
        @param code: what it is to fail with.
        @param times: how often.
        @raise ValueError: no member can be made to fail so.
        """
        if member not in FAILABLE:
            raise ValueError(f"member must be one of {', '.join(FAILABLE)}, not {member!r}")
        _checked("times", times, 1, "calls")
        self._due.setdefault(member, []).extend([checkedCode(code)] * times)

    def take(self, member: str) -> WSAError | None:
        """
        @return: what this call of a member is to fail with; L{None} when it is not.
        """
        due = self._due.get(member)
        return due.pop(0) if due else None
