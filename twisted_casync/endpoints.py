"""
Endpoints whose connections are C{CAsyncSocket}s.

In a description C{casync:} stands before any other: C{casync:tcp:8080:interface=127.0.0.1},
C{casync:ssl:443:privateKey=key.pem}, C{casync:systemd:domain=INET:name=web}, C{haproxy:casync:tcp:8080}.  The rest is
Twisted's own description, of an endpoint that is given a view of its reactor (L{bridges.overCAsyncSockets}); so all of
them work, and whatever else an endpoint does is as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    clientFromString,
    quoteStringArgument,
    serverFromString,
)

from .bridges import overCAsyncSockets

__all__ = ["CAsyncSocketClientEndpoint", "CAsyncSocketServerEndpoint", "parseStreamClient", "parseStreamServer"]


class CAsyncSocketServerEndpoint(TCP4ServerEndpoint):
    """
    Listen with C{CAsyncSocket}s.
    """

    def __init__(self, reactor: Any, port: int, backlog: int = 50, interface: str = "") -> None:
        """
        @param reactor: any that can watch descriptors.
        @param port: a port number; 0 for one that the system chooses.
        @param backlog: how many connections may wait to be accepted.
        @param interface: a numeric address, of IPv4 or IPv6; empty for all of IPv4.
        """
        super().__init__(overCAsyncSockets(reactor), port, backlog, interface)  # type: ignore[no-untyped-call]


class CAsyncSocketClientEndpoint(TCP4ClientEndpoint):
    """
    Connect with a C{CAsyncSocket}.
    """

    def __init__(self, reactor: Any, host: str, port: int, timeout: float = 30, bindAddress: Any = None) -> None:
        """
        @param reactor: any that can watch descriptors.
        @param host: an address, of IPv4 or IPv6, or a name, all of whose IPv4 addresses are tried.
        @param port: a port number.
        @param timeout: the seconds after which it is given up.
        @param bindAddress: a pair of a local address and port, or what Twisted's C{makeBinding} makes.
        """
        super().__init__(overCAsyncSockets(reactor), host, port, timeout, bindAddress)


def _description(args: tuple[str, ...], kwargs: Mapping[str, str]) -> str:
    """
    The description that was taken apart into these.

    @raise ValueError: a part of it has a NUL inside.  The system would take what stands before it for a path or an
        address; only the first character of a path can be one, in Linux' abstract namespace.
    """
    for value in (*args, *kwargs.values()):
        if "\0" in value[1:]:
            raise ValueError(f"{value!r}: expected no NUL")
    named = [f"{quoteStringArgument(name)}={quoteStringArgument(value)}" for name, value in kwargs.items()]
    return ":".join([*map(quoteStringArgument, args), *named])


def parseStreamServer(reactor: Any, *args: str, **kwargs: str) -> Any:
    """
    What C{casync:} and a server description mean.

    @param args: the description's arguments without a name, after C{casync:}.
    @param kwargs: those with one.
    @return: the endpoint.
    @raise ValueError: there is no such description.
    """
    return serverFromString(overCAsyncSockets(reactor), _description(args, kwargs))


def parseStreamClient(reactor: Any, *args: str, **kwargs: str) -> Any:
    """
    What C{casync:} and a client description mean; the parameters are those of L{parseStreamServer}.
    """
    return clientFromString(overCAsyncSockets(reactor), _description(args, kwargs))
