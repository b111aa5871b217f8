"""
Socket options: Winsock's names, types, lengths and levels over the platform's.

One row is one option of the reference's two tables; an option that has no row is C{WSAENOPROTOOPT}.  What Linux would
answer otherwise than Winsock (it doubles buffer sizes, keeps C{SO_DEBUG} for the administrator, has another
C{SO_REUSEADDR}) is remembered beside the socket and answered from there.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

from ._arguments import Rejected, filled, integer, sent
from ._conduit import Conduit
from .winsock import (
    IPPROTO_TCP,
    IPV6_V6ONLY,
    LINGER,
    SOL_SOCKET,
    TCP_NODELAY,
    IPOption,
    IPv6Option,
    Level,
    LevelOption,
    Option,
    TCPOption,
    WSAError,
    errorFromErrno,
)

__all__ = ["BOOL", "INT", "LINGERING", "Row", "Settings", "decode", "encode", "length", "row"]

BOOL: Final = "BOOL"
INT: Final = "int"
LINGERING: Final = "LINGER"

STREAM: Final = 1
DATAGRAM: Final = 2
BOTH: Final = STREAM | DATAGRAM


class Row(NamedTuple):
    """
    One option.

    @ivar type: of its value: L{BOOL}, L{INT} or L{LINGERING}.
    @ivar size: the bytes of the value in Winsock.  Three of the BOOL options are really one byte long; of the others a
        BOOL can be asked for in one byte.
    @ivar kinds: the types of sockets that have it.
    @ivar settable: C{SetSockOpt} takes it.
    @ivar platform: level and option of this platform; L{None} where its value is only remembered.
    @ivar remembered: what was set is what is read, whatever the platform makes of it.
    """

    type: str
    size: int
    kinds: int
    settable: bool
    platform: tuple[int, int] | None
    remembered: bool = False


_SOCKET = socket.SOL_SOCKET

# By their levels too: options of different levels have the same number.
_ROWS: Final[dict[tuple[int, int], Row]] = {
    (SOL_SOCKET, Option.SO_ACCEPTCONN): Row(BOOL, 4, STREAM, False, (_SOCKET, socket.SO_ACCEPTCONN)),
    (SOL_SOCKET, Option.SO_BROADCAST): Row(BOOL, 4, DATAGRAM, True, (_SOCKET, socket.SO_BROADCAST)),
    (SOL_SOCKET, Option.SO_DEBUG): Row(BOOL, 4, BOTH, True, None, True),
    (SOL_SOCKET, Option.SO_DONTLINGER): Row(BOOL, 4, STREAM, True, None, True),
    (SOL_SOCKET, Option.SO_DONTROUTE): Row(BOOL, 1, BOTH, True, (_SOCKET, socket.SO_DONTROUTE)),
    (SOL_SOCKET, Option.SO_ERROR): Row(INT, 4, BOTH, False, None),
    (SOL_SOCKET, Option.SO_EXCLUSIVEADDRUSE): Row(BOOL, 4, BOTH, True, None, True),
    (SOL_SOCKET, Option.SO_KEEPALIVE): Row(BOOL, 1, STREAM, True, (_SOCKET, socket.SO_KEEPALIVE)),
    (SOL_SOCKET, Option.SO_LINGER): Row(LINGERING, 4, STREAM, True, None, True),
    (SOL_SOCKET, Option.SO_OOBINLINE): Row(BOOL, 4, STREAM, True, (_SOCKET, socket.SO_OOBINLINE), True),
    (SOL_SOCKET, Option.SO_RCVBUF): Row(INT, 4, BOTH, True, (_SOCKET, socket.SO_RCVBUF), True),
    (SOL_SOCKET, Option.SO_REUSEADDR): Row(BOOL, 4, BOTH, True, None, True),
    (SOL_SOCKET, Option.SO_SNDBUF): Row(INT, 4, BOTH, True, (_SOCKET, socket.SO_SNDBUF), True),
    (SOL_SOCKET, Option.SO_TYPE): Row(INT, 4, BOTH, False, (_SOCKET, socket.SO_TYPE)),
    (IPPROTO_TCP, TCP_NODELAY): Row(BOOL, 1, STREAM, True, (socket.IPPROTO_TCP, socket.TCP_NODELAY)),
    (IPV6_V6ONLY.level, IPV6_V6ONLY): Row(BOOL, 1, BOTH, True, (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)),
}

_EXCLUDES: Final[dict[int, Option]] = {
    Option.SO_REUSEADDR: Option.SO_EXCLUSIVEADDRUSE,
    Option.SO_EXCLUSIVEADDRUSE: Option.SO_REUSEADDR,
}
"""The options that can't be switched on while another is."""

_LEVELS: Final = tuple(int(level) for level in Level)
_FOREIGN_LEVELS: Final = {number: level for level in Level if (number := getattr(socket, level.name)) != level}
"""The levels whose number in the C{socket} module is not Winsock's, by that number."""
_NO_SIZES: Final = (int(Level.IPPROTO_TCP), int(Level.IPPROTO_IPV6), int(Level.SOL_SOCKET))
"""The numbers of levels, the C{socket} module's too, that are the size of no type."""
_OPTIONS: Final[tuple[LevelOption, ...]] = (*Option, *TCPOption, *IPOption, *IPv6Option)


def row(nOptionName: Any, nLevel: Any, kind: int) -> Row:
    """
    @param nOptionName: one of the constants of L{winsock}.
    @param nLevel: a level; L{None} for that of the option.
    @param kind: the type of the socket, C{SOCK_STREAM} or C{SOCK_DGRAM}.
    @raise Rejected: C{WSAEINVAL} for a number that is no level, C{WSAENOPROTOOPT} for an option that is of another
        level, that is in neither table or that this type of socket does not have.
    @raise TypeError: C{nOptionName} is a number, or C{nLevel} is the C{socket} module's number of a level.
    """
    level = None if nLevel is None else integer(nLevel, "nLevel")
    if level in _FOREIGN_LEVELS:
        meant = _FOREIGN_LEVELS[level].name
        raise TypeError(f"nLevel must be a level of twisted_casync, not the number {level}: write nLevel={meant}")
    if not isinstance(nOptionName, LevelOption):
        raise _numbered(integer(nOptionName, "nOptionName"), level)
    if level is None:
        level = nOptionName.level
    elif level not in _LEVELS:
        raise Rejected(WSAError.WSAEINVAL)
    found = _ROWS.get((level, nOptionName)) if level == nOptionName.level else None
    if found is None or not found.kinds & (STREAM if kind == socket.SOCK_STREAM else DATAGRAM):
        raise Rejected(WSAError.WSAENOPROTOOPT)
    return found


def _numbered(number: int, level: int | None) -> TypeError:
    """
    The error for the number of an option: the C{socket} module has the platform's numbers, and most of them are other
    options in Winsock.

    @param level: the level that was given with it.
    @return: it names the options that the program can have meant.
    """
    known = [option for option in _OPTIONS if level not in _LEVELS or level == option.level]
    meant = [option.name for option in known if getattr(socket, option.name, None) == number or option == number]
    choice = " or ".join(meant) if meant else "one of " + ", ".join(option.name for option in known)
    return TypeError(f"nOptionName must be an option of twisted_casync, not the number {number}: write {choice}")


def length(value: Any, parameter: str, lpOptionValue: Any = b"") -> int | None:
    """
    The length of a value in bytes.  A program that takes this parameter for C{nLevel} gets an error.

    @param value: the length; L{None} where the program leaves it out.
    @param lpOptionValue: the value of that length.
    @raise TypeError: C{value} is a level, or no number.
    """
    if value is None:
        return None
    number = integer(value, parameter)
    if number in _NO_SIZES and isinstance(lpOptionValue, (int, tuple)):
        raise TypeError(f"{parameter} can't be {number}: write nLevel={Level(number).name}")
    return number


def encode(option: Row, value: Any, lpOptionValue: Any, lpOptionLen: int | None) -> int:
    """
    Write a value into a buffer, as Winsock writes it.

    @param lpOptionLen: how many bytes of the buffer may be used; L{None} for all.
    @return: how many were.
    @raise Rejected: C{WSAEFAULT}, the buffer is too small.
    """
    room = filled(lpOptionValue, lpOptionLen, ("lpOptionValue", "lpOptionLen"))
    least = 1 if option.type == BOOL else option.size
    if len(room) < least:
        raise Rejected(WSAError.WSAEFAULT)
    if option.type == LINGERING:
        raw = value.l_onoff.to_bytes(2, "little") + value.l_linger.to_bytes(2, "little")
    elif option.size == 1:
        raw = bytes([bool(value)])
    else:
        raw = (int(value) & 0xFFFFFFFF).to_bytes(4, "little").ljust(len(room), b"\0")[: len(room)]
    room[: len(raw)] = raw
    return len(raw)


def decode(option: Row, lpOptionValue: Any, nOptionLen: int | None) -> bool | int | LINGER:
    """
    Read the value that a program sets: a bool, an int, a L{LINGER} or pair, or the bytes that C++ would pass.

    @param nOptionLen: the length in bytes, as in C++; L{None} where the program leaves it out.
    @raise TypeError: of another type.
    @raise Rejected: C{WSAEFAULT}, too short for the option.
    """
    least = 1 if option.type == BOOL else option.size
    if nOptionLen is not None and nOptionLen < least:
        raise Rejected(WSAError.WSAEFAULT)
    if option.type == LINGERING:
        if isinstance(lpOptionValue, tuple):
            if len(lpOptionValue) != 2:
                raise TypeError("lpOptionValue must be a LINGER or a pair (l_onoff, l_linger)")
            onoff, seconds = (integer(part, "lpOptionValue") for part in lpOptionValue)
        else:
            raw = bytes(_bytes(lpOptionValue, nOptionLen, least, "a LINGER, a pair (l_onoff, l_linger) or a buffer"))
            onoff, seconds = int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:4], "little")
        return LINGER(onoff & 0xFFFF, seconds & 0xFFFF)
    if isinstance(lpOptionValue, int):
        lpOptionValue = integer(lpOptionValue, "lpOptionValue")
        # The int that C++ would make of it; of an option that is one byte long Winsock looks at one byte of that.
        raw = (lpOptionValue & 0xFFFFFFFF).to_bytes(4, "little")
    else:
        raw = bytes(_bytes(lpOptionValue, nOptionLen, least, "an int or a buffer"))
    number = int.from_bytes(raw[: option.size], "little", signed=option.type == INT)
    return bool(number) if option.type == BOOL else number


def _bytes(value: Any, length: int | None, least: int, expected: str) -> memoryview:
    try:
        view = sent(value, length)
    except TypeError:
        raise TypeError(f"lpOptionValue must be {expected}, not {type(value).__name__}") from None
    if len(view) < least:
        raise Rejected(WSAError.WSAEFAULT)
    return view


_LINGER_SIZE: Final = struct.calcsize("ii")
_PLACES: Final[dict[int, tuple[int, ...]]] = {
    Option.SO_LINGER: (_SOCKET, socket.SO_LINGER, _LINGER_SIZE),
    **{name: option.platform for (_, name), option in _ROWS.items() if option.remembered and option.platform},
}
"""The remembered options that the platform has too: the arguments of C{getsockopt}, by name."""


class Settings:
    """
    The options of a socket that are remembered beside it.  They never change: a socket shares them with those that
    have inherited them, and has others when it sets one.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[int, Any] = MappingProxyType({})) -> None:
        """
        @param values: what is remembered, by name.
        """
        self._values = values

    @classmethod
    def of(cls, sock: socket.socket) -> Settings | None:
        """
        @return: the settings of a socket that was not made here; L{None} where there is nothing to remember.
        """
        if isinstance(sock, Conduit):
            return None
        onoff, seconds = struct.unpack("ii", sock.getsockopt(_SOCKET, socket.SO_LINGER, _LINGER_SIZE))
        if not onoff:
            return None
        option = _ROWS[SOL_SOCKET, Option.SO_LINGER]
        return cls().set(sock, Option.SO_LINGER, option, LINGER(1, min(seconds, 0xFFFF)))

    def onPlatform(self, sock: socket.socket) -> dict[int, Any]:
        """
        @return: the platform's values of the options that are remembered, by name.
        """
        if isinstance(sock, Conduit):
            return {}
        return {name: sock.getsockopt(*_PLACES[name]) for name in self._values if name in _PLACES}

    def since(self, sock: socket.socket, values: Mapping[int, Any]) -> Settings:
        """
        @param values: the result of L{onPlatform} before others had the socket.
        @return: the settings that they have not changed.
        """
        now = self.onPlatform(sock)
        same = {name: value for name, value in self._values.items() if now.get(name) == values.get(name)}
        if len(same) == len(self._values):
            return self
        found = Settings.of(sock) if Option.SO_LINGER not in same else None
        return Settings({**same, **(found._values if found is not None else {})})

    def isSet(self, name: Option) -> bool:
        """
        @return: whether the program has switched C{name} on.
        """
        return bool(self._values.get(name))

    def get(self, sock: socket.socket, name: int, option: Row) -> bool | int | LINGER:
        """
        @return: the value of an option other than C{SO_ERROR}.
        """
        if option.type == LINGERING:
            return self._linger()
        if option is _ROWS[SOL_SOCKET, Option.SO_DONTLINGER]:
            return not self._linger().l_onoff
        value = self._values.get(name, 0) if option.remembered else None
        if option.platform is not None and (value is None or name not in self._values):
            try:
                value = sock.getsockopt(*option.platform)
            except OSError as error:
                raise _unsupported(error) from None
        return bool(value) if option.type == BOOL else int(value or 0)

    def set(self, sock: socket.socket, name: int, option: Row, value: bool | int | LINGER) -> Settings:
        """
        @return: what is remembered from now on.
        @raise Rejected: C{WSAEINVAL}, another option excludes it.
        @raise OSError: the platform does not take it.
        """
        excluded = _EXCLUDES.get(name)
        if value and excluded is not None and self.isSet(excluded):
            raise Rejected(WSAError.WSAEINVAL)
        if option is _ROWS[SOL_SOCKET, Option.SO_DONTLINGER]:
            value = LINGER(0, self._linger().l_linger) if value else LINGER(1, 0)
        elif isinstance(value, LINGER) and not value.l_onoff:
            value = LINGER(0, 0)
        if isinstance(value, LINGER):
            sock.setsockopt(_SOCKET, socket.SO_LINGER, struct.pack("ii", *_kernelLinger(value)))
            return Settings({**self._values, Option.SO_LINGER: value})
        if option.platform is not None:
            try:
                sock.setsockopt(*option.platform, max(int(value), 0))
            except OSError as error:
                raise _unsupported(error) from None
        elif name == Option.SO_REUSEADDR and sock.type != socket.SOCK_STREAM:
            # Datagram sockets share a port where both have it, on Linux as on Windows.
            sock.setsockopt(_SOCKET, socket.SO_REUSEADDR, int(value))
        return Settings({**self._values, name: value}) if option.remembered else self

    def _linger(self) -> LINGER:
        return cast(LINGER, self._values.get(Option.SO_LINGER, LINGER(0, 0)))


def _unsupported(error: OSError) -> Exception:
    """
    @return: the exception for a failure to get or set an option.  A UNIX socket has no options of TCP and IPv6, which
        is C{WSAENOPROTOOPT} in Winsock.
    """
    if errorFromErrno(error.errno) is WSAError.WSAEOPNOTSUPP:
        return Rejected(WSAError.WSAENOPROTOOPT)
    return error


def _kernelLinger(value: LINGER) -> LINGER:
    """
    What C{Close} needs the kernel to do.  To linger without time is to reset the connection.  With time Linux would
    block in close(2), also on a non-blocking socket, which must not happen in a reactor: data that is queued is
    delivered in the background, as without lingering.
    """
    return LINGER(1, 0) if value.l_onoff and not value.l_linger else LINGER(0, 0)
