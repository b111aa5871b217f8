"""WHERE to listen: a server description in Twisted's syntax becomes a place where a socket can listen.

What a scheme is called, which arguments it has and what it stands for is one row of a table. A row can stand for
any Place: what opens itself in a way of its own needs no more than a row here.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from twisted_casync._where._description import Arguments, read
from twisted_casync._where._place import BoundPlace, InheritedPlace, Place, UnixPlace, nameOf
from twisted_casync._where._tlsplace import TLSPlace

__all__ = ["EXPECTED", "SCHEMES", "Place", "Scheme", "nameOf", "parseWhere"]

# sun_path of <sys/un.h> has 108 bytes, the last one for the terminating NUL.
_LONGEST_PATH = 107

_TLS_ARGUMENTS = ("privateKey", "certKey", "extraCertChain", "sslmethod", "dhParameters")

_DOMAINS = ("INET", "INET6", "UNIX")


@dataclass(frozen=True)
class Scheme:
    """What one word before the first colon means.

    arguments: their names, in the order in which they may stand without them.
    parse: called with the description, the scheme and the arguments; returns a Place or raises ValueError,
        which says what was expected. It opens nothing.
    """

    arguments: tuple[str, ...]
    parse: Callable[[str, str, Arguments], Place]


def parseWhere(description: str) -> Place:
    """Read one server description.

    Returns its Place. Raises ValueError that quotes the description, and says what is wrong with it and what
    was expected; nothing is looked up and nothing opened.
    """
    try:
        scheme, given = read(description)
        if scheme not in SCHEMES:
            raise ValueError(f"expected one of {', '.join(SCHEMES)} and a colon at the start{_hint(scheme)}")
        row = SCHEMES[scheme]
        return row.parse(description, scheme, Arguments(scheme, row.arguments, given))
    except ValueError as error:
        raise ValueError(f"{description!r}: {error}") from None


def _hint(scheme: str) -> str:
    if scheme.startswith("-"):
        return " (options stand before the places)"
    return f" (tcp:{scheme}?)" if scheme.isdecimal() else ""


def _ipPlace(description: str, scheme: str, arguments: Arguments) -> Place:
    port = arguments.number("port", 65535)
    if port is None:
        raise ValueError(f"the port is missing, expected {scheme}:PORT")
    version = 6 if scheme.endswith("6") else 4
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    kind = socket.SOCK_STREAM if scheme.startswith("tcp") else socket.SOCK_DGRAM
    interface = arguments.text("interface")
    try:
        if "\0" in (interface or ""):
            # The resolver would read it as far as the NUL.
            raise UnicodeError
        # A numeric host, so that nothing is asked of a name server; the resolver also reads scopes
        # (fe80::1%eth0).
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV | socket.AI_PASSIVE
        found = socket.getaddrinfo(interface, port, family, kind, 0, flags)
    except (socket.gaierror, UnicodeError):
        example = "127.0.0.1" if version == 4 else r"\:\:1"
        raise ValueError(
            f"interface {interface!r}: expected a numeric IPv{version} address, as interface={example}"
        ) from None
    return BoundPlace(description, scheme, found[0], _backlog(arguments))


def _unixPlace(description: str, scheme: str, arguments: Arguments) -> Place:
    path = arguments.text("address")
    if path is None:
        raise ValueError("the path is missing, expected unix:PATH")
    if "\0" in path or len(os.fsencode(path)) > _LONGEST_PATH:
        raise ValueError(f"expected a path of at most {_LONGEST_PATH} bytes without NUL")
    mode, lockfile = arguments.number("mode", 0o777, base=8), arguments.number("lockfile", 1)
    return UnixPlace(
        description,
        scheme,
        (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", path),
        _backlog(arguments),
        0o666 if mode is None else mode,
        lockfile != 0,
    )


def _tlsPlace(description: str, scheme: str, arguments: Arguments) -> Place:
    if arguments.text("port") is None or arguments.text("privateKey") is None:
        raise ValueError(f"expected {scheme}:PORT:privateKey=FILE at least")
    version = "tcp6" if ":" in (arguments.text("interface") or "") else "tcp"
    host, port = _ipPlace(description, version, arguments).hostAndPort()
    files = {name: arguments.text(name) for name in _TLS_ARGUMENTS}
    return TLSPlace(description, scheme, host, port, _backlog(arguments), files)


def _inheritedPlace(description: str, scheme: str, arguments: Arguments) -> Place:
    domain, name = arguments.text("domain"), arguments.text("name")
    # systemd passes far fewer; the number has to have an end.
    index = arguments.number("index", 2**16)
    if domain is not None and domain not in _DOMAINS:
        raise ValueError(f"domain {domain!r}: expected {', '.join(_DOMAINS)}")
    if (index is None) == (name is None):
        raise ValueError("expected either index=N or name=NAME, as FileDescriptorName= of the unit says")
    return InheritedPlace(description, scheme, domain, index, name)


def _backlog(arguments: Arguments) -> int | None:
    return arguments.number("backlog", 2**31 - 1)


_TCP = Scheme(("port", "interface", "backlog"), _ipPlace)
_UDP = Scheme(("port", "interface"), _ipPlace)

SCHEMES = {
    "tcp": _TCP,
    "tcp6": _TCP,
    "udp": _UDP,
    "udp6": _UDP,
    "unix": Scheme(("address", "mode", "backlog", "lockfile"), _unixPlace),
    # In the order of Twisted's own.
    "ssl": Scheme(
        (*("port", "privateKey", "certKey", "sslmethod"), *("interface", "backlog", "extraCertChain", "dhParameters")),
        _tlsPlace,
    ),
    "systemd": Scheme(("domain", "index", "name"), _inheritedPlace),
}
"""All schemes, by their names."""

EXPECTED = r"""tcp:PORT[:interface=ADDRESS][:backlog=N]    (tcp6 for IPv6)
udp:PORT[:interface=ADDRESS]                (udp6 for IPv6)
unix:PATH[:mode=OCTAL][:backlog=N][:lockfile=0]
ssl:PORT:privateKey=FILE[:certKey=FILE]     (TLS; and more: docs/tls.md)
systemd:domain=INET|INET6|UNIX:index=N      (or name=NAME; socket activation)"""
