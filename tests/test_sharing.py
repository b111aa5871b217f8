"""
Which sockets share a port, as on Windows: the wildcard and an address, two that both have C{SO_REUSEADDR}; and that
nobody else gets a share of it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
from _members import fails
from _reactors import WAYS, Recorder, must, reactorOf, run
from _streams import LOCALHOST, freePort, listening, portOf

from twisted_casync import (
    AF_INET,
    AF_INET6,
    SO_EXCLUSIVEADDRUSE,
    SO_REUSEADDR,
    SOCK_DGRAM,
    SOCK_STREAM,
    WSAEACCES,
    WSAEADDRINUSE,
    WSAEINVAL,
)
from twisted_casync._sockaddr import ANY
from twisted_casync.winsock import IPV6_V6ONLY

kinds = pytest.mark.parametrize("kind", [SOCK_STREAM, SOCK_DGRAM], ids=["stream", "datagram"])
families = pytest.mark.parametrize(
    ("family", "loopback"), [(AF_INET, LOCALHOST), (AF_INET6, "::1")], ids=["IPv4", "IPv6"]
)
OTHERS = {AF_INET: "127.0.0.2", AF_INET6: None}
"""Another address of this machine, where there is one."""


def opened(reactor: Any, kind: int = SOCK_STREAM, family: int = AF_INET, *options: Any, **handlers: Any) -> Recorder:
    one = Recorder(reactor, **handlers)
    must(one.Socket(kind, nAddressFormat=family))
    for option in options:
        must(one.SetSockOpt(option, True))
    return one


# -- the options


@kinds
@pytest.mark.parametrize("first", [SO_REUSEADDR, SO_EXCLUSIVEADDRUSE])
def test_exclusive_use_and_reuse_exclude_each_other(idle: Any, kind: int, first: Any) -> None:
    one = opened(idle, kind, AF_INET, first)
    second = SO_EXCLUSIVEADDRUSE if first is SO_REUSEADDR else SO_REUSEADDR
    assert fails(WSAEINVAL, one.SetSockOpt, second, True)
    assert (one.GetSockOpt(first), one.GetSockOpt(second)) == (True, False)
    # To switch it off is no contradiction, and makes room for the other.
    must(one.SetSockOpt(second, False) and one.SetSockOpt(first, False) and one.SetSockOpt(second, True))
    assert (one.GetSockOpt(first), one.GetSockOpt(second)) == (False, True)


# -- one address


@kinds
def test_two_sockets_that_both_reuse_it_share_an_address(idle: Any, kind: int) -> None:
    one, other = (opened(idle, kind, AF_INET, SO_REUSEADDR) for _ in range(2))
    must(one.Bind(0, LOCALHOST))
    assert other.Bind(portOf(one), LOCALHOST) is True
    assert fails(WSAEADDRINUSE, opened(idle, kind).Bind, portOf(one), LOCALHOST)


@kinds
def test_to_reuse_what_another_does_not_share_is_not_allowed(idle: Any, kind: int) -> None:
    one = opened(idle, kind)
    must(one.Bind(0, LOCALHOST))
    assert fails(WSAEACCES, opened(idle, kind, AF_INET, SO_REUSEADDR).Bind, portOf(one), LOCALHOST)


@families
def test_two_sockets_that_both_reuse_an_address_listen_at_it(idle: Any, family: int, loopback: str) -> None:
    one, other, third = (opened(idle, SOCK_STREAM, family, SO_REUSEADDR) for _ in range(3))
    must(one.Bind(0, loopback) and one.Listen())
    port = must(one.GetSockNameEx())[1]
    # Bound before the other listens, and after.
    for another in (other, third):
        assert another.Bind(port, loopback) is True
        assert another.Listen() is True
    listeners = [one, other, third]
    while listeners:
        # Which of them takes a connection is the system's business; one does, as long as there is one.
        with socket.create_connection((loopback, port)):
            takers = [listener for listener in listeners if listener.Accept(Recorder(idle))]
        assert len(takers) == 1
        takers[0].Close()
        listeners.remove(takers[0])


# -- the wildcard and an address


ORDERS = {
    " ".join(order): order
    for order in permutations(("bind wide", "listen wide", "bind narrow", "listen narrow"))
    if order.index("bind wide") < order.index("listen wide")
    and order.index("bind narrow") < order.index("listen narrow")
}


@pytest.mark.parametrize("order", ORDERS)
@families
def test_the_wildcard_and_an_address_listen_at_one_port(idle: Any, family: int, loopback: str, order: str) -> None:
    port = freePort()
    both = {"wide": opened(idle, SOCK_STREAM, family), "narrow": opened(idle, SOCK_STREAM, family)}
    for step in ORDERS[order]:
        verb, which = step.split()
        one = both[which]
        must(one.Listen() if verb == "listen" else one.Bind(port, loopback if which == "narrow" else None))
    with socket.create_connection((loopback, port)):
        assert not both["wide"].Accept(Recorder(idle))
        must(both["narrow"].Accept(Recorder(idle)))
    if OTHERS[family]:
        with socket.create_connection((OTHERS[family], port)):
            assert not both["narrow"].Accept(Recorder(idle))
            must(both["wide"].Accept(Recorder(idle)))
    both["narrow"].Close()
    with socket.create_connection((loopback, port)):
        must(both["wide"].Accept(Recorder(idle)))


@pytest.mark.parametrize("wideFirst", [True, False])
@families
def test_the_wildcard_and_an_address_have_one_port_for_datagrams(
    idle: Any, family: int, loopback: str, wideFirst: bool
) -> None:
    port = freePort(SOCK_DGRAM)
    wide, narrow = (opened(idle, SOCK_DGRAM, family) for _ in range(2))
    for one in (wide, narrow) if wideFirst else (narrow, wide):
        must(one.Bind(port, None if one is wide else loopback))
    with socket.socket(family, SOCK_DGRAM) as sender:
        sender.sendto(b"narrow", (loopback, port))
        assert narrow.Receive(bytearray(10)) == 6
        if OTHERS[family]:
            sender.sendto(b"wide", (OTHERS[family], port))
            assert wide.Receive(bytearray(10)) == 4
        assert (wide.Receive(bytearray(10)), narrow.Receive(bytearray(10))) == (-1, -1)


@pytest.mark.parametrize("sixFirst", [True, False])
@kinds
def test_a_wildcard_of_both_families_shares_its_port_with_an_address(idle: Any, kind: int, sixFirst: bool) -> None:
    port = freePort(kind)
    six, four = opened(idle, kind, AF_INET6), opened(idle, kind)
    must(six.SetSockOpt(IPV6_V6ONLY, False))
    for one in (six, four) if sixFirst else (four, six):
        must(one.Bind(port, LOCALHOST if one is four else None))
        assert kind == SOCK_DGRAM or one.Listen()
    assert fails(WSAEADDRINUSE, opened(idle, kind).Bind, port)


@pytest.mark.parametrize("way", WAYS)
def test_each_is_told_of_its_own(way: str) -> None:
    with reactorOf(way) as reactor:
        wide, narrow = listening(reactor, "0.0.0.0"), opened(reactor)
        port = portOf(wide)
        must(narrow.Bind(port, LOCALHOST) and narrow.Listen())
        with socket.create_connection((LOCALHOST, port)), socket.create_connection(("127.0.0.2", port)):
            run(reactor, lambda: bool(narrow.told and wide.told))
        assert wide.told[0] == narrow.told[0] == ("OnAccept", 0)


# -- exclusive use


@kinds
def test_exclusive_use_is_not_reused(idle: Any, kind: int) -> None:
    one = opened(idle, kind, AF_INET, SO_EXCLUSIVEADDRUSE)
    must(one.Bind(0, LOCALHOST))
    assert fails(WSAEACCES, opened(idle, kind, AF_INET, SO_REUSEADDR).Bind, portOf(one), LOCALHOST)
    assert fails(WSAEADDRINUSE, opened(idle, kind).Bind, portOf(one), LOCALHOST)


@kinds
def test_a_wildcard_in_exclusive_use_is_one_for_every_address(idle: Any, kind: int) -> None:
    one = opened(idle, kind, AF_INET, SO_EXCLUSIVEADDRUSE)
    must(one.Bind(0))
    for options in ([], [SO_REUSEADDR], [SO_EXCLUSIVEADDRUSE]):
        assert fails(WSAEACCES, opened(idle, kind, AF_INET, *options).Bind, portOf(one), LOCALHOST)


@kinds
def test_exclusive_use_of_all_addresses_is_not_had_where_one_is_taken(idle: Any, kind: int) -> None:
    one = opened(idle, kind)
    must(one.Bind(0, LOCALHOST))
    assert fails(WSAEADDRINUSE, opened(idle, kind, AF_INET, SO_EXCLUSIVEADDRUSE).Bind, portOf(one))


@kinds
def test_exclusive_use_of_one_address_leaves_the_others(idle: Any, kind: int) -> None:
    one = opened(idle, kind, AF_INET, SO_EXCLUSIVEADDRUSE)
    must(one.Bind(freePort(kind), LOCALHOST))
    must(opened(idle, kind).Bind(portOf(one)))
    must(opened(idle, kind, AF_INET, SO_EXCLUSIVEADDRUSE).Bind(portOf(one), "127.0.0.2"))


# -- nobody else


@pytest.fixture(params=["the wildcard and an address", "one address, reused"])
def shared(request: pytest.FixtureRequest, idle: Any) -> Iterator[tuple[list[Recorder], int]]:
    options = [SO_REUSEADDR] if request.param.startswith("one") else []
    one, other = (opened(idle, SOCK_STREAM, AF_INET, *options) for _ in range(2))
    port = freePort()
    must(one.Bind(port, LOCALHOST) and one.Listen())
    must(other.Bind(port, LOCALHOST if options else None) and other.Listen())
    yield [one, other], port


@pytest.mark.parametrize("reuse", [[], [socket.SO_REUSEADDR], [socket.SO_REUSEPORT]], ids=["plain", "addr", "port"])
@pytest.mark.parametrize("host", [LOCALHOST, "0.0.0.0"])
def test_another_program_gets_no_share(shared: tuple[list[Recorder], int], reuse: list[int], host: str) -> None:
    """Not even one of the same user that would share."""
    with socket.socket() as stranger:
        for option in reuse:
            stranger.setsockopt(socket.SOL_SOCKET, option, 1)
        with pytest.raises(OSError, match="in use"):
            stranger.bind((host, shared[1]))
            stranger.listen()


def _leaveInTimeWait(listener: socket.socket) -> None:
    with listener, socket.create_connection(listener.getsockname()[:2]) as client:
        # The end that closes first is the one that waits.
        listener.accept()[0].close()
        assert client.recv(1) == b""


@pytest.mark.parametrize("busy", ["TIME_WAIT", "a listener"])
@families
def test_nor_does_it_where_the_other_family_has_the_port(idle: Any, family: int, loopback: str, busy: str) -> None:
    otherFamily, otherLoopback = (AF_INET, LOCALHOST) if family == AF_INET6 else (AF_INET6, "::1")
    port = freePort()
    with socket.socket(otherFamily) as other:
        other.bind((otherLoopback, port))
        other.listen()
        if busy == "TIME_WAIT":
            _leaveInTimeWait(other)
        one, wide = opened(idle, SOCK_STREAM, family), opened(idle, SOCK_STREAM, family)
        must(one.Bind(port, loopback) and one.Listen())
        must(wide.Bind(port) and wide.Listen())
        for host in (loopback, ANY[family]):
            with socket.socket(family) as stranger:
                stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                with pytest.raises(OSError, match="in use"):
                    stranger.bind((host, port))
                    stranger.listen()


def test_a_further_socket_of_the_program_is_told_that_the_address_is_in_use(
    shared: tuple[list[Recorder], int], idle: Any
) -> None:
    assert fails(WSAEADDRINUSE, opened(idle).Bind, shared[1], LOCALHOST)


def test_an_address_that_another_program_has_is_in_use_though_a_third_would_share_it(idle: Any) -> None:
    with socket.socket() as stranger:
        stranger.bind((LOCALHOST, 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        must(opened(idle).Bind(port, "127.0.0.2"))
        assert fails(WSAEADDRINUSE, opened(idle).Bind, port)


def test_what_was_set_for_the_moment_is_unset(shared: tuple[list[Recorder], int], idle: Any) -> None:
    for one in shared[0]:
        assert not one._as_sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)  # type: ignore[union-attr]  # open
    wide, narrow = (opened(idle, SOCK_DGRAM) for _ in range(2))
    must(wide.Bind(0) and narrow.Bind(portOf(wide), LOCALHOST))
    for one in (wide, narrow):
        assert not one._as_sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)  # type: ignore[union-attr]  # open
