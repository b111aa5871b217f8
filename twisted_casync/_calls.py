"""
The calls of a socket's members as they are written down: which there are, and what is worth knowing of each.
"""

from __future__ import annotations

from typing import Any, Final

from zope.interface.interface import Method

from twisted_casync import GetLastError, IAsyncSocket, IAsyncSocketNotifications, SetLastError
from twisted_casync.winsock import WSAError

__all__ = ["HANDLERS", "MEMBERS", "inOrder", "leftError", "seen", "setErrorAside"]

_NOTHING: Final = memoryview(b"")
_ASIDE: Final = WSAError.WSAVERNOTSUPPORTED
"""A code that no member leaves."""

HANDLERS: Final = ("OnAccept", "OnConnect", "OnReceive", "OnSend", "OnOutOfBandData", "OnClose")

# Those that don't say what is done with a socket.
_NOT_RECORDED = {"FromHandle", "GetLastError", "__int__", "fileno", *IAsyncSocketNotifications.names()}

MEMBERS: Final = {
    name: declared
    for name, declared in IAsyncSocket.namesAndDescriptions(all=True)
    if isinstance(declared, Method) and name not in _NOT_RECORDED
}
"""The members that are recorded, as their interface declares them."""


def inOrder(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """
    @param name: a member.
    @param args: the arguments of a call.
    @param kwargs: those that were passed by name.
    @return: all of them, as they would be passed by position.
    """
    left = dict(kwargs)
    values = list(args)
    for parameter in MEMBERS[name].positional[len(args) :]:
        if not left:
            break
        values.append(left.pop(parameter, MEMBERS[name].optional.get(parameter)))
    return (*values, *left.values())


def setErrorAside() -> WSAError:
    """
    To be called before a member, so that L{leftError} can tell the error that it leaves.

    @return: the last error.
    """
    before = GetLastError()
    SetLastError(_ASIDE)
    return before


def leftError(before: WSAError) -> WSAError:
    """
    To be called after a member.

    @param before: the result of L{setErrorAside}; it is the last error again where the member did not set another.
    @return: the error that the member left; C{NO_ERROR} when it left none.
    """
    code = GetLastError()
    if code is not _ASIDE:
        return code
    SetLastError(before)
    return WSAError.NO_ERROR


def seen(name: str, arguments: tuple[Any, ...], result: Any, error: WSAError) -> tuple[tuple[Any, ...], memoryview]:
    """
    @param name: a member.
    @param arguments: those of a call, L{inOrder}.
    @param result: what it returned.
    @param error: the last error that it left, if it left one.
    @return: the arguments as they are written down, where a buffer that data was moved through is there by its length;
        and that data, in the buffer.
    """
    if not arguments or not name.startswith(("Send", "Receive")):
        return arguments, _NOTHING
    try:
        view = memoryview(arguments[0]).cast("B")
    except (TypeError, ValueError, BufferError):
        # No buffer: the call has failed, or is one that gives the data.
        return arguments, _NOTHING
    count = result[0] if isinstance(result, tuple) else result
    if error is WSAError.WSAEMSGSIZE and name.startswith("Receive"):
        # A datagram that was longer: its beginning was received.
        count = len(view)
    moved = view[:count] if isinstance(count, int) and count > 0 else _NOTHING
    return (len(view), *arguments[1:]), moved
