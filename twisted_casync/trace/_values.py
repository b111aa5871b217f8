"""
Values as a trace has them: what JSON knows, and short.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from twisted_casync import CAsyncSocket
from twisted_casync._sockaddr import hostAndPort

__all__ = ["addressName", "exceptionText", "plain"]

_LONGEST: Final = 200
"""Characters of a text that are shown."""


def addressName(address: Any) -> str:
    """
    @param address: as the C{socket} module writes it.
    @return: C{host:port}, C{[host]:port} of IPv6, or the path of a UNIX socket; empty where there is no name, or no
        port yet.
    """
    host, port = hostAndPort(address)
    if not isinstance(address, tuple):
        return host
    if not port:
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def exceptionText(error: BaseException) -> str:
    """
    @return: an exception in one line.
    """
    return _short(f"{type(error).__name__}: {error}".rstrip(": "))


def plain(value: Any, numberOf: Callable[[Any], int]) -> Any:
    """
    @param value: an argument or a result of a member.
    @param numberOf: gives the number of a socket in the trace.
    @return: what stands for it in JSON: enumerations by their name, a socket as C{{"socket": number}}, a buffer as
        C{{"buffer": length}}.
    """
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, (tuple, list)):
        return [plain(one, numberOf) for one in value]
    if isinstance(value, CAsyncSocket):
        return {"socket": numberOf(value)}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"buffer": memoryview(value).nbytes}
    return _short(repr(value))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
