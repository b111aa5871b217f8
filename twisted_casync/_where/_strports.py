"""WHERE to listen: a server description in Twisted's syntax becomes a place where a socket can listen.

What a scheme is called, which arguments it has and what it stands for is one row of a table. A row can stand for
any Place: what opens itself in a way of its own needs no more than a row here.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

from twisted_casync._where._description import Arguments, read
from twisted_casync._where._meant import didYouMean
from twisted_casync._where._place import BoundPlace, InheritedPlace, Place, UnixPlace, nameOf
from twisted_casync._where._tlsplace import TLSPlace

__all__ = ["KINDS", "SCHEMES", "Place", "Scheme", "expected", "nameOf", "parseWhere"]

KINDS = ("stream", "datagram")
"""What can be served at a place."""

# sun_path of <sys/un.h> has 108 bytes, the last one for the terminating NUL.
_LONGEST_PATH = 107

_TLS_ARGUMENTS = ("privateKey", "certKey", "extraCertChain", "sslmethod", "dhParameters")

_DOMAINS = ("INET", "INET6", "UNIX")


@dataclass(frozen=True)
class Scheme:
    """What one word before the first colon means.

    @ivar arguments: their names, in the order in which they may stand without them.
    @ivar parse: called with the description, the scheme and the arguments; returns a Place or raises ValueError,
        which says what was expected. It opens nothing.
    @ivar kinds: what can be served at such a place.
    @ivar usage: its line in the help of a command, without the word; empty for one that is in the line of another.
    @ivar remark: what stands behind that.
    """

    arguments: tuple[str, ...]
    parse: Callable[[str, str, Arguments], Place]
    kinds: tuple[str, ...]
    usage: str = ""
    remark: str = ""


def expected(kinds: Container[str] = KINDS) -> str:
    """What a description can be, a line for each scheme.

    @param kinds: what is served.
    """
    rows = [(f"{name}:{row.usage}", row.remark) for name, row in _serving(kinds).items() if row.usage]
    return "\n".join(f"{usage:44}{remark and f'({remark})'}".rstrip() for usage, remark in rows)


def _serving(kinds: Container[str]) -> dict[str, Scheme]:
    return {name: row for name, row in SCHEMES.items() if any(kind in kinds for kind in row.kinds)}


def parseWhere(description: str, kinds: Container[str] = KINDS) -> Place:
    """Read one server description.

    @param kinds: what is served, for the error that names the schemes; the place may be of another kind.
    @return: its Place; nothing is looked up and nothing opened.
    @raise ValueError: it quotes the description, and says what is wrong with it and what was expected.
    """
    try:
        scheme, given = read(description)
        if scheme not in SCHEMES:
            names = _serving(kinds)
            raise ValueError(f"expected one of {', '.join(names)} and a colon at the start{_hint(scheme, names)}")
        row = SCHEMES[scheme]
        return row.parse(description, scheme, Arguments(scheme, row.arguments, given))
    except ValueError as error:
        raise ValueError(f"{description!r}: {error}") from None


def _hint(scheme: str, names: Iterable[str]) -> str:
    if scheme.isdecimal():
        return f"; did you mean '{next(iter(names))}:{scheme}'?"
    return didYouMean(scheme, names)


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


_TCP = ("port", "interface", "backlog")
_UDP = ("port", "interface")
# In the order of Twisted's own.
_SSL = ("port", "privateKey", "certKey", "sslmethod", "interface", "backlog", "extraCertChain", "dhParameters")

SCHEMES = {
    "tcp": Scheme(_TCP, _ipPlace, ("stream",), "PORT[:interface=ADDRESS][:backlog=N]", "tcp6 for IPv6"),
    "tcp6": Scheme(_TCP, _ipPlace, ("stream",)),
    "udp": Scheme(_UDP, _ipPlace, ("datagram",), "PORT[:interface=ADDRESS]", "udp6 for IPv6"),
    "udp6": Scheme(_UDP, _ipPlace, ("datagram",)),
    "unix": Scheme(
        ("address", "mode", "backlog", "lockfile"),
        _unixPlace,
        ("stream",),
        "PATH[:mode=OCTAL][:backlog=N][:lockfile=0]",
    ),
    "ssl": Scheme(_SSL, _tlsPlace, ("stream",), "PORT:privateKey=FILE[:certKey=FILE]", "TLS; and more: docs/tls.md"),
    "systemd": Scheme(
        ("domain", "index", "name"),
        _inheritedPlace,
        KINDS,
        "domain=INET|INET6|UNIX:index=N",
        "or name=NAME; socket activation",
    ),
}
"""All schemes, by their names."""
