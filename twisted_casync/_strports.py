"""WHERE to listen: a server description in Twisted's syntax becomes an address that a socket can be made
from.

The grammar is that of twisted.internet.endpoints.serverFromString: arguments between colons, by position or
as name=value, and a backslash before a colon, an equals sign or a backslash that is meant as itself.
Twisted's own parser is private and makes endpoints; ours makes addresses, knows datagrams, and says what was
expected.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["EXPECTED", "Place", "nameOf", "parseWhere"]

EXPECTED = r"""tcp:PORT[:interface=ADDRESS][:backlog=N]    (tcp6 for IPv6)
udp:PORT[:interface=ADDRESS]                (udp6 for IPv6)
unix:PATH[:mode=OCTAL][:backlog=N][:lockfile=0]"""

# The arguments of each scheme in the order in which they may stand without their name.
_IP_STREAM = ("port", "interface", "backlog")
_IP_DATAGRAM = ("port", "interface")
_ARGUMENTS = {
    "tcp": _IP_STREAM,
    "tcp6": _IP_STREAM,
    "udp": _IP_DATAGRAM,
    "udp6": _IP_DATAGRAM,
    "unix": ("address", "mode", "backlog", "lockfile"),
}

# Arguments that nobody meant to give come from the colons of an IPv6 address.
_QUOTE = r"a colon that belongs to an address is written \:"

# sun_path of <sys/un.h> has 108 bytes, the last one for the terminating NUL.
_LONGEST_PATH = 107


@dataclass(frozen=True)
class Place:
    """One place to listen.

    description: as it was written.
    scheme: "tcp", "tcp6", "udp", "udp6" or "unix".
    addrInfo: family, type, protocol, canonical name and address as socket.getaddrinfo gives them, for
        CreateEx.
    backlog: how many connections may wait to be accepted; None means as many as the system allows.
    mode: the permissions of a UNIX socket's file.
    lockfile: whether a UNIX socket's path is guarded by PATH.lock, as Twisted does.
    """

    description: str
    scheme: str
    addrInfo: tuple[int, int, int, str, Any]
    backlog: int | None = None
    mode: int = 0o666
    lockfile: bool = True

    @property
    def kind(self) -> str:
        """What is served there: "stream" or "datagram"."""
        return "datagram" if self.addrInfo[1] == socket.SOCK_DGRAM else "stream"


def parseWhere(description: str) -> Place:
    """Read one server description.

    Returns its Place. Raises ValueError that quotes the description, and says what is wrong with it and what
    was expected; nothing is looked up and nothing opened.
    """
    try:
        return _parse(description)
    except ValueError as error:
        raise ValueError(f"{description!r}: {error}") from None


def nameOf(scheme: str, address: Any) -> str:
    """The name that log lines use, as "tcp 127.0.0.1:7007", "tcp6 [::1]:7007" or "unix /run/echo.sock".

    address: a tuple or path as the socket module writes it.
    """
    if not isinstance(address, tuple):
        return f"{scheme} {os.fsdecode(address)}".rstrip()
    host, port = address[:2]
    return f"{scheme} [{host}]:{port}" if ":" in host else f"{scheme} {host}:{port}"


def _parse(description: str) -> Place:
    first, *rest = _split(description)
    scheme = first[-1].lower()
    if len(first) > 1 or scheme not in _ARGUMENTS:
        hint = ""
        if scheme.startswith("-"):
            hint = " (options stand before the places)"
        elif scheme.isdecimal():
            hint = f" (tcp:{scheme}?)"
        raise ValueError(f"expected one of {', '.join(_ARGUMENTS)} and a colon at the start{hint}")
    arguments = _named(scheme, rest)
    if scheme == "unix":
        return _unixPlace(description, arguments)
    return _ipPlace(description, scheme, arguments)


def _split(description: str) -> Iterator[list[str]]:
    """Each argument as [value] or [name, value], unescaped."""
    argument = [""]
    characters = iter(description)
    for character in characters:
        if character == "\\":
            try:
                argument[-1] += next(characters)
            except StopIteration:
                raise ValueError("expected a character after the backslash at the end") from None
        elif character == ":":
            yield argument
            argument = [""]
        elif character == "=" and len(argument) == 1:
            argument.append("")
        else:
            argument[-1] += character
    yield argument


def _named(scheme: str, arguments: list[list[str]]) -> dict[str, str]:
    """The arguments by name, however they were given; an empty one counts as left out."""
    names = _ARGUMENTS[scheme]
    result: dict[str, str] = {}
    positions = iter(names)
    for argument in arguments:
        name = next(positions, None) if len(argument) == 1 else argument[0]
        if name is None:
            raise ValueError(f"{argument[0]!r} is one too many, expected {', '.join(names)} at most ({_QUOTE})")
        if name not in names:
            raise ValueError(f"{scheme} has no {name!r}, expected {', '.join(names)}")
        if name in result:
            raise ValueError(f"{name} is given twice, expected once ({_QUOTE})")
        result[name] = argument[-1]
    return {name: value for name, value in result.items() if value}


def _ipPlace(description: str, scheme: str, arguments: dict[str, str]) -> Place:
    if "port" not in arguments:
        raise ValueError(f"the port is missing, expected {scheme}:PORT")
    port = _number("port", arguments["port"], 65535)
    version = 6 if scheme.endswith("6") else 4
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    kind = socket.SOCK_STREAM if scheme.startswith("tcp") else socket.SOCK_DGRAM
    interface = arguments.get("interface")
    try:
        # A numeric host, so that nothing is asked of a name server; the resolver also reads scopes
        # (fe80::1%eth0).
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV | socket.AI_PASSIVE
        found = socket.getaddrinfo(interface, port, family, kind, 0, flags)
    except (socket.gaierror, UnicodeError):
        example = "127.0.0.1" if version == 4 else r"\:\:1"
        raise ValueError(
            f"interface {interface!r}: expected a numeric IPv{version} address, as interface={example}"
        ) from None
    return Place(description, scheme, found[0], _backlog(arguments))


def _unixPlace(description: str, arguments: dict[str, str]) -> Place:
    path = arguments.get("address")
    if path is None:
        raise ValueError("the path is missing, expected unix:PATH")
    if "\0" in path or len(os.fsencode(path)) > _LONGEST_PATH:
        raise ValueError(f"expected a path of at most {_LONGEST_PATH} bytes without NUL")
    return Place(
        description,
        "unix",
        (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", path),
        _backlog(arguments),
        _number("mode", arguments.get("mode", "666"), 0o777, base=8),
        _number("lockfile", arguments.get("lockfile", "1"), 1) == 1,
    )


def _backlog(arguments: dict[str, str]) -> int | None:
    return _number("backlog", arguments["backlog"], 2**31 - 1) if "backlog" in arguments else None


def _number(name: str, text: str, largest: int, base: int = 10) -> int:
    # int() alone would also take signs, blanks and underscores.
    digits = "01234567" if base == 8 else "0123456789"
    if text.strip(digits) or int(text, base) > largest:
        kind = "an octal number" if base == 8 else "a number"
        limit = f"{largest:o}" if base == 8 else largest
        raise ValueError(f"{name} {text!r}: expected {kind} from 0 to {limit}")
    return int(text, base)
