"""
The members that need an open socket, and how they say that they failed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted_casync import (
    FIONBIO,
    INVALID_SOCKET,
    SO_KEEPALIVE,
    SOCKET_ERROR,
    CAsyncSocket,
    GetLastError,
    SetLastError,
    WSAError,
)

_HOST = "127.0.0.1"

MEMBERS: dict[str, tuple[Any, ...]] = {
    "Accept": (CAsyncSocket(),),
    "Assign": (CAsyncSocket(),),
    "AsyncSelect": (),
    "Bind": (0,),
    "BindEx": ((2, 1, 6, "", (_HOST, 0)),),
    "Connect": (_HOST, 7),
    "ConnectEx": ((2, 1, 6, "", (_HOST, 7)),),
    "Detach": (),
    "GetPeerName": (),
    "GetPeerNameEx": (),
    "GetSockName": (),
    "GetSockNameEx": (),
    "GetSockOpt": (SO_KEEPALIVE,),
    "IOCtl": (FIONBIO, 1),
    "Listen": (),
    "Receive": (bytearray(1),),
    "ReceiveFrom": (bytearray(1),),
    "ReceiveFromEx": (bytearray(1),),
    "Send": (b"x",),
    "SendTo": (b"x", None, 7, _HOST),
    "SendToEx": (b"x", None, 7, _HOST),
    "SetSockOpt": (SO_KEEPALIVE, 1),
    "ShutDown": (),
}
"""Each with arguments that are right."""

FAILURES = (False, None, SOCKET_ERROR, INVALID_SOCKET, (SOCKET_ERROR, None))


def fails(code: WSAError, member: Callable[..., Any], *arguments: Any) -> bool:
    """
    Does a member fail with this code?
    """
    SetLastError(0)
    answer = member(*arguments)
    return any(answer is failure or answer == failure != 0 for failure in FAILURES) and GetLastError() is code
