"""Where a connection goes on to: an option's text becomes what Connect takes."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.abstract import isIPAddress, isIPv6Address

from twisted_casync import AF_INET, AF_INET6, AF_UNIX

__all__ = ["EXPECTED", "Target"]

EXPECTED = "HOST:PORT, [IPV6 ADDRESS]:PORT or unix:PATH"


@dataclass(frozen=True)
class Target:
    """A place to connect to.

    @ivar text: as it was written.
    @ivar families: the address families that it can have, in the order in which they are tried.
    @ivar address: the arguments of Connect.
    """

    text: str
    families: tuple[int, ...]
    address: tuple[str, int] | tuple[str]

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read "host:port", "[IPv6 address]:port" or "unix:path"; nothing is looked up. Raises ValueError."""
        host, _, port = text.rpartition(":")
        if host == "unix" or text.startswith("unix:/"):
            path = text[len("unix:") :]
            # A NUL at the beginning is that of Linux' abstract namespace.
            if "\0" in path and not path.startswith("\0"):
                raise ValueError(f"{text!r}: expected a path without NUL")
            return cls(text, (AF_UNIX,), (path,))
        bracketed = host.startswith("[") and host.endswith("]")
        if bracketed:
            host = host[1:-1]
        # Without brackets nobody could say where an IPv6 address ends.
        named = isIPv6Address(host) if bracketed else host and ":" not in host
        if not named or "\0" in host or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError(f"{text!r}: expected {EXPECTED}")
        if bracketed:
            families: tuple[int, ...] = (AF_INET6,)
        else:
            families = (AF_INET,) if isIPAddress(host) else (AF_INET, AF_INET6)
        return cls(text, families, (host, int(port)))
