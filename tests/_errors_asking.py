"""
The errors of the members that ask and set: names, options, modes, directions, notifications.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from _errors_every import CALLS, calling, connected, created, opened
from _errortable import Failing, fault, meaningless, provoked
from _reactors import must

from twisted_casync import (
    FIONBIO,
    FIONREAD,
    SIOCATMARK,
    SO_BROADCAST,
    SO_EXCLUSIVEADDRUSE,
    SO_KEEPALIVE,
    SO_LINGER,
    SO_RCVTIMEO,
    SO_REUSEADDR,
    SO_SNDBUF,
    SOCK_DGRAM,
    WSAEFAULT,
    WSAEINVAL,
    WSAENETRESET,
    WSAENOPROTOOPT,
    WSAENOTCONN,
    WSAEOPNOTSUPP,
    CAsyncSocket,
    GetLastError,
)

UNSUPPORTED = (
    "The option is none of the reference's table, or not of this type of socket: `SO_BROADCAST` is for datagrams only, "
    "{}`SO_DONTLINGER`, `SO_KEEPALIVE`, `SO_LINGER`, `SO_OOBINLINE` for streams only. Or `nLevel` is another level "
    "than the option's."
)
NO_LEVEL = "`nLevel` is none of `SOL_SOCKET`, `IPPROTO_TCP`, `IPPROTO_IP` and `IPPROTO_IPV6`."

# -- names


@provoked(
    "GetPeerName GetSockName",
    WSAEFAULT,
    "The address has no room in a SOCKADDR for IPv4, or in `lpSockAddrLen` bytes: it is an IPv6 address, or a path.",
    "Use the member with `Ex`.",
)
def askedWithoutRoom(reactor: Any, member: str) -> Iterator[Failing]:
    with connected(reactor) as (subject, _):
        yield Failing(subject, lambda: getattr(subject, member)(15))
        must(getattr(subject, member)(16))


meaningless(
    "GetPeerNameEx GetSockNameEx",
    WSAEFAULT,
    "There is no length to be too small: the answer is as long as it has to be.",
)


@provoked("GetPeerName GetPeerNameEx", WSAENOTCONN, "The socket has no peer.", "Wait for `OnConnect`.")
def askedForNoPeer(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor)
    yield Failing(subject, calling(subject, member))
    must(subject.Listen())


@provoked(
    "GetSockName GetSockNameEx",
    WSAEINVAL,
    "The socket has no name yet: `Socket` made it, and neither `Bind` nor `Connect` was called.",
    "`Create` binds, if to port 0.",
)
def askedForNoName(reactor: Any, member: str) -> Iterator[Failing]:
    subject = opened(reactor)
    yield Failing(subject, calling(subject, member))
    must(subject.Bind(0))
    must(CALLS[member](subject))


# -- options


@provoked(
    "GetSockOpt",
    WSAEFAULT,
    "The buffer, or `lpOptionLen`, is too small for the value.",
    "Leave the buffer out: the value is returned then.",
)
def askedForAnOptionWithoutRoom(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor)
    buffer = bytearray(4)
    yield Failing(subject, lambda: subject.GetSockOpt(SO_LINGER, buffer, 3))
    assert subject.GetSockOpt(SO_LINGER, buffer, 4) == 4


@provoked("GetSockOpt", WSAENOPROTOOPT, UNSUPPORTED.format("`SO_ACCEPTCONN`, "))
def askedForAnotherOption(reactor: Any, member: str) -> Iterator[Failing]:
    subject, datagram = created(reactor), created(reactor, SOCK_DGRAM)
    yield Failing(subject, lambda: subject.GetSockOpt(SO_BROADCAST))
    assert subject.GetSockOpt(SO_RCVTIMEO) is None and GetLastError() == WSAENOPROTOOPT
    assert datagram.GetSockOpt(SO_LINGER) is None and GetLastError() == WSAENOPROTOOPT
    assert datagram.GetSockOpt(SO_BROADCAST) is False


@provoked("GetSockOpt", WSAEINVAL, NO_LEVEL, further=True)
def askedForAnOptionOfNoLevel(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor)
    yield Failing(subject, lambda: subject.GetSockOpt(SO_KEEPALIVE, nLevel=1234))
    assert subject.GetSockOpt(SO_KEEPALIVE) is False


@provoked("SetSockOpt", WSAEFAULT, "The buffer, or `nOptionLen`, is too short.", "Pass a bool or an int.")
def setTooShort(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor)
    yield Failing(subject, lambda: subject.SetSockOpt(SO_SNDBUF, b"\0\1\0\0", 3))
    must(subject.SetSockOpt(SO_SNDBUF, b"\0\1\0\0", 4))


@provoked(
    "SetSockOpt",
    WSAEINVAL,
    NO_LEVEL + " Or `SO_REUSEADDR` and `SO_EXCLUSIVEADDRUSE` would both be on.",
    "Switch the other off first.",
)
def setAtNoLevel(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor)
    must(subject.SetSockOpt(SO_REUSEADDR, True))
    assert not subject.SetSockOpt(SO_EXCLUSIVEADDRUSE, True) and GetLastError() == WSAEINVAL
    yield Failing(subject, lambda: subject.SetSockOpt(SO_KEEPALIVE, True, nLevel=1234))
    must(subject.SetSockOpt(SO_KEEPALIVE, True))


@provoked("SetSockOpt", WSAENOPROTOOPT, UNSUPPORTED.format("") + " Or it can only be read.")
def setAnotherOption(reactor: Any, member: str) -> Iterator[Failing]:
    subject, datagram = created(reactor), created(reactor, SOCK_DGRAM)
    yield Failing(subject, lambda: subject.SetSockOpt(SO_BROADCAST, True))
    assert datagram.SetSockOpt(SO_KEEPALIVE, True) is False and GetLastError() == WSAENOPROTOOPT
    must(datagram.SetSockOpt(SO_BROADCAST, True))


_LOST = "The system says so of a connection that was lost with `SO_KEEPALIVE` on. Linux sets the option all the same."
fault("SetSockOpt", WSAENETRESET, "setsockopt", _LOST, "`Close` the socket.")
fault("SetSockOpt", WSAENOTCONN, "setsockopt", _LOST, "`Close` the socket.")

# -- modes, directions, notifications


@provoked(
    "IOCtl",
    WSAEINVAL,
    "`SIOCATMARK` of a datagram socket; `FIONBIO` with 0 while events are selected.",
    "`AsyncSelect(0)` first. No member ever blocks: the mode is only what `Detach` hands over.",
)
def blockingWhileSelected(reactor: Any, member: str) -> Iterator[Failing]:
    subject, datagram = created(reactor), created(reactor, SOCK_DGRAM)
    assert subject.IOCtl(FIONBIO, 0) is False and GetLastError() == WSAEINVAL
    yield Failing(datagram, lambda: datagram.IOCtl(SIOCATMARK))
    must(subject.AsyncSelect(0))
    must(subject.IOCtl(FIONBIO, 0))


@provoked("IOCtl", WSAEOPNOTSUPP, "The command is none of `FIONBIO`, `FIONREAD` and `SIOCATMARK`.", further=True)
def unknownCommand(reactor: Any, member: str) -> Iterator[Failing]:
    subject, datagram = created(reactor), created(reactor, SOCK_DGRAM)
    assert datagram.IOCtl(SIOCATMARK - 1) is None and GetLastError() == WSAEOPNOTSUPP
    yield Failing(subject, lambda: subject.IOCtl(1))
    must(subject.IOCtl(FIONREAD) == 0)


@provoked("ShutDown", WSAEINVAL, "`nHow` is none of `receives`, `sends` and `both`.")
def shutDownSomethingElse(reactor: Any, member: str) -> Iterator[Failing]:
    with connected(reactor) as (subject, _):
        yield Failing(subject, lambda: subject.ShutDown(3))
        must(subject.Send(b"x"))
        must(subject.ShutDown(CAsyncSocket.both))


@provoked("ShutDown", WSAENOTCONN, "The stream socket is not connected.", "`Close` it.")
def shutDownUnconnected(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor)
    yield Failing(subject, calling(subject, member))
    must(subject.Listen())


meaningless("AsyncSelect", WSAEINVAL, "Every mask is good: bits that name none of the six events are ignored.")
