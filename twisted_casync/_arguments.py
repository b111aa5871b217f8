"""
What C++ would not compile is a C{TypeError} that names the parameter; what Winsock would reject is an error code.
"""

from __future__ import annotations

import operator
import socket
from typing import Any, Final

from .winsock import Command, Event, IPOption, IPv6Option, Level, MessageFlag, Option, TCPOption, WSAError

__all__ = ["Rejected", "filled", "inPlace", "integer", "sent", "unmade"]


_PLACES: Final[dict[type, tuple[str, ...]]] = {
    Event: ("lEvent",),
    MessageFlag: ("nFlags",),
    type(socket.MSG_OOB): ("nFlags",),
    type(socket.SOCK_STREAM): ("nSocketType",),
    type(socket.AF_INET): ("nAddressFormat",),
    Level: ("nLevel", "nProtocolType"),
    Option: ("nOptionName",),
    TCPOption: ("nOptionName",),
    IPOption: ("nOptionName",),
    IPv6Option: ("nOptionName",),
    Command: ("lCommand",),
}
"""
The parameters that each kind of constant is for.  In the place of another parameter it would be a number with another
meaning: a flag or a level would be a length.
"""


class Rejected(Exception):
    """
    A call that fails with a code of Winsock's, from inside a member to its edge; it never leaves a member.
    """

    def __init__(self, code: WSAError) -> None:
        super().__init__(code)
        self.code = code


def unmade(one: object) -> TypeError:
    """
    What is wrong with an object that has none of our attributes.  C++ calls the constructor of a base class by itself;
    Python does not, and would say that some C{_as_...} is missing, which nobody has heard of.
    """
    return TypeError(f"{type(one).__name__}.__init__ must call super().__init__() before anything else")


def integer(value: Any, parameter: str) -> int:
    """
    @raise TypeError: C{value} is no integer, or a constant for another parameter.
    """
    if type(value) is int:
        return value
    inPlace(value, parameter)
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{parameter} must be an int, not {type(value).__name__}") from None


def inPlace(value: Any, parameter: str) -> None:
    """
    @raise TypeError: C{value} is a constant for another parameter.
    """
    places = _PLACES.get(type(value))
    if places is not None and parameter not in places:
        # Python 3.10 has no name for several flags together.
        name = value.name or str(value).rpartition(".")[2]
        raise TypeError(f"{parameter} can't be {name}: write {places[0]}={name}")


def _view(value: Any, parameter: str) -> memoryview:
    try:
        return memoryview(value).cast("B")
    except (TypeError, BufferError, ValueError):
        inPlace(value, parameter)
        # ValueError: a memoryview that was released.
        raise TypeError(f"{parameter} must be a contiguous buffer of bytes, not {type(value).__name__}") from None


def _part(view: memoryview, length: Any, parameter: str) -> memoryview:
    if length is None:
        return view
    number = integer(length, parameter)
    if not 0 <= number <= len(view):
        raise Rejected(WSAError.WSAEFAULT)
    return view[:number]


def sent(lpBuf: Any, nBufLen: Any) -> memoryview:
    """
    The bytes that a Send is to send.

    @raise TypeError: C{lpBuf} is no contiguous buffer, or C{nBufLen} no integer.
    @raise Rejected: C{WSAEFAULT}, C{nBufLen} is longer than the buffer, or negative.
    """
    return _part(_view(lpBuf, "lpBuf"), nBufLen, "nBufLen")


def filled(lpBuf: Any, nBufLen: Any, parameters: tuple[str, str] = ("lpBuf", "nBufLen")) -> memoryview:
    """
    The bytes that a Receive, or whatever else gives bytes, is to fill.

    @param parameters: what the two are called.
    @raise TypeError: C{lpBuf} is no writable, contiguous buffer, or C{nBufLen} no integer.
    @raise Rejected: C{WSAEFAULT}, C{nBufLen} is longer than the buffer, or negative.
    """
    view = _view(lpBuf, parameters[0])
    if view.readonly:
        raise TypeError(f"{parameters[0]} must be a writable buffer, not {type(lpBuf).__name__}")
    return _part(view, nBufLen, parameters[1])
