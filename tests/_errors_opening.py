"""
The errors of the members that make a socket and name it: Create, Bind and their kin.
"""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterator
from typing import Any

from _errors_every import (
    CALLS,
    CLOSE_SOME,
    CREATING,
    LATER,
    NO_BUFFERS,
    OUT_OF_DESCRIPTORS,
    calling,
    created,
    entry,
    everySocket,
    noDescriptors,
    opened,
)
from _errortable import Failing, fault, injected, provoked
from _reactors import Recorder, must
from _streams import LOCALHOST, listening, portOf

from twisted_casync import (
    AF_INET,
    AF_INET6,
    INVALID_SOCKET,
    SO_REUSEADDR,
    SOCK_DGRAM,
    SOCK_STREAM,
    WSAEACCES,
    WSAEADDRINUSE,
    WSAEADDRNOTAVAIL,
    WSAEAFNOSUPPORT,
    WSAEFAULT,
    WSAEINVAL,
    WSAEMFILE,
    WSAENOBUFS,
    WSAENOTSOCK,
    WSAEPROTONOSUPPORT,
    WSAEPROTOTYPE,
    WSAESOCKTNOSUPPORT,
    GetLastError,
)

ANOTHER_TYPE = "The type is neither `SOCK_STREAM` nor `SOCK_DGRAM`."

# -- Create and CreateEx


@provoked(
    "Create",
    WSAEAFNOSUPPORT,
    "`lpszSocketAddress` is an IPv6 address; `Create` makes an IPv4 socket.",
    "Use `CreateEx`, or `Socket` with `PF_INET6` and `Bind`.",
)
def createdAtAnAddressOfAnotherFamily(reactor: Any, member: str) -> Iterator[Failing]:
    subject = Recorder(reactor)
    yield Failing(subject, lambda: subject.Create(0, lpszSocketAddress="::1"), closed=True)
    must(subject.Create(0, lpszSocketAddress=LOCALHOST))


@provoked(
    "CreateEx",
    WSAEAFNOSUPPORT,
    "The family is not `AF_INET`, `AF_INET6` or `AF_UNIX`, or the address is of another one.",
    "Pass an entry of `socket.getaddrinfo` as it is.",
)
def createdOfAnotherFamily(reactor: Any, member: str) -> Iterator[Failing]:
    subject = Recorder(reactor)
    yield Failing(subject, lambda: subject.CreateEx((99, SOCK_STREAM, 0)), closed=True)
    assert subject.CreateEx((AF_INET, SOCK_STREAM, 0, "", ("::1", 0))) is False
    assert GetLastError() == WSAEAFNOSUPPORT


@provoked(CREATING, WSAEMFILE, OUT_OF_DESCRIPTORS, CLOSE_SOME)
@provoked("Socket", WSAEMFILE, OUT_OF_DESCRIPTORS, CLOSE_SOME, further=True)
def createdWithoutDescriptors(reactor: Any, member: str) -> Iterator[Failing]:
    subject = Recorder(reactor)
    with noDescriptors():
        yield Failing(subject, calling(subject, member), closed=True)
    # The first socket of a reactor takes two: one is the socket window's.
    with noDescriptors(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        assert CALLS[member](subject) is False
        assert GetLastError() == WSAEMFILE and subject.m_hSocket == INVALID_SOCKET
    assert caught == [], "what could not be adopted was left to the garbage collector"
    must(CALLS[member](subject))


@injected(CREATING, WSAENOBUFS, NO_BUFFERS, LATER)
def createdWithoutMemory(reactor: Any, member: str) -> Iterator[Failing]:
    subject = Recorder(reactor)
    with everySocket("__init__", errno.ENOBUFS):
        yield Failing(subject, calling(subject, member), closed=True)
    must(CALLS[member](subject))


@injected(
    "Create",
    WSAEPROTONOSUPPORT,
    "The system has no TCP, or no UDP.",
)
def createdOfAMissingProtocol(reactor: Any, member: str) -> Iterator[Failing]:
    subject = Recorder(reactor)
    with everySocket("__init__", errno.EPROTONOSUPPORT):
        yield Failing(subject, subject.Create, closed=True)


@provoked(
    "CreateEx",
    WSAEPROTONOSUPPORT,
    "There is no such protocol, or it is not one of this type, as UDP is none of `SOCK_STREAM`.",
    "0 is the type's usual protocol.",
)
def createdOfAnotherProtocol(reactor: Any, member: str) -> Iterator[Failing]:
    subject = Recorder(reactor)
    yield Failing(subject, lambda: subject.CreateEx((AF_INET, SOCK_STREAM, 17)), closed=True)
    must(subject.CreateEx((AF_INET, SOCK_STREAM, 6)))


@injected(
    CREATING,
    WSAEPROTOTYPE,
    "The system says so of a protocol of another type; Linux says `WSAEPROTONOSUPPORT`.",
    "0 is the type's usual protocol.",
)
def createdOfAProtocolOfAnotherType(reactor: Any, member: str) -> Iterator[Failing]:
    subject = Recorder(reactor)
    with everySocket("__init__", errno.EPROTOTYPE):
        yield Failing(subject, calling(subject, member), closed=True)


@provoked(CREATING, WSAESOCKTNOSUPPORT, ANOTHER_TYPE)
@provoked("Socket", WSAESOCKTNOSUPPORT, ANOTHER_TYPE, further=True)
def createdOfAnotherType(reactor: Any, member: str) -> Iterator[Failing]:
    subject = Recorder(reactor)
    raw = 3
    call = {
        "Create": lambda: subject.Create(0, raw),
        "CreateEx": lambda: subject.CreateEx((AF_INET, raw, 0)),
        "Socket": lambda: subject.Socket(raw),
    }[member]
    yield Failing(subject, call, closed=True)
    must(subject.Create(0, SOCK_DGRAM))


@provoked(
    "Create CreateEx Socket Attach",
    WSAEINVAL,
    "The object has a socket already; that is not touched.",
    "`Close` or `Detach` it first.",
    further=True,
)
def createdTwice(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor)
    call = {
        "Attach": lambda: subject.Attach(0),
    }.get(member, calling(subject, member) if member in CALLS else None)
    assert call is not None
    yield Failing(subject, call)
    must(subject.Listen())


@provoked(
    "Create CreateEx",
    WSAEADDRINUSE,
    "It can't be bound to the port: see `Bind`, whose other errors can come too. The socket is closed again.",
    further=True,
)
def createdAtAPortInUse(reactor: Any, member: str) -> Iterator[Failing]:
    other, subject = created(reactor), Recorder(reactor)
    port = portOf(other)
    call = {
        "Create": lambda: subject.Create(port, lpszSocketAddress=LOCALHOST),
        "CreateEx": lambda: subject.CreateEx((AF_INET, SOCK_STREAM, 0, "", (LOCALHOST, port))),
    }[member]
    yield Failing(subject, call, closed=True)


@provoked("Attach", WSAENOTSOCK, "`hSocket` is no socket; it stays open, and the caller's.", further=True)
def attachedAFile(reactor: Any, member: str) -> Iterator[Failing]:
    subject = Recorder(reactor)
    with open(os.devnull) as file:
        yield Failing(subject, lambda: subject.Attach(file.fileno()), closed=True)
        os.fstat(file.fileno())


# -- Bind


@provoked(
    "Bind",
    WSAEADDRINUSE,
    "Another socket has the address and port.",
    "Take another port, or 0 to let the system choose. Connections in TIME_WAIT are no reason, as on Windows.",
)
def boundToWhatIsTaken(reactor: Any, member: str) -> Iterator[Failing]:
    other, subject = listening(reactor), opened(reactor)
    yield Failing(subject, lambda: subject.Bind(portOf(other), LOCALHOST))
    must(subject.Bind(0, LOCALHOST))


@provoked("Bind", WSAEFAULT, "`nSockAddrLen` is shorter than a SOCKADDR of this family.", "Leave it out.")
def boundWithAShortAddress(reactor: Any, member: str) -> Iterator[Failing]:
    subject = opened(reactor)
    yield Failing(subject, lambda: subject.Bind((LOCALHOST, 0), 15))
    must(subject.Bind((LOCALHOST, 0), 16))


@provoked("Bind", WSAEAFNOSUPPORT, "The address is of another family than the socket.")
def boundToAnotherFamily(reactor: Any, member: str) -> Iterator[Failing]:
    subject = opened(reactor, family=AF_INET6)
    yield Failing(subject, lambda: subject.Bind(0, LOCALHOST))
    must(subject.Bind(0))


@provoked(
    "Bind",
    WSAEINVAL,
    "The socket is bound already (`Create` binds), the port is none of 0 to 65535, or the address is a host name.",
    "To set options before `Bind`, make the socket with `Socket` instead of `Create`.",
)
def boundTwice(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor)
    yield Failing(subject, lambda: subject.Bind(0))
    must(subject.Listen())
    another = opened(reactor)
    for arguments in ((65536,), (0, "localhost")):
        assert another.Bind(*arguments) is False
        assert GetLastError() == WSAEINVAL


fault("Bind", WSAENOBUFS, "bind", NO_BUFFERS, LATER)


@provoked("Bind", WSAEADDRNOTAVAIL, "The address is none of this machine.", further=True)
def boundToAForeignAddress(reactor: Any, member: str) -> Iterator[Failing]:
    subject = opened(reactor)
    # Of the block that is kept for documentation (RFC 5737).
    yield Failing(subject, lambda: subject.Bind(0, "192.0.2.77"))
    must(subject.Bind(0, LOCALHOST))


@provoked(
    "Bind",
    WSAEACCES,
    "Of two sockets at one address only one has `SO_REUSEADDR`; the wildcard has `SO_EXCLUSIVEADDRUSE`. Or the port "
    "needs privileges.",
    further=True,
)
def boundToWhatIsNotShared(reactor: Any, member: str) -> Iterator[Failing]:
    other, subject = listening(reactor), opened(reactor)
    must(subject.SetSockOpt(SO_REUSEADDR, True))
    yield Failing(subject, lambda: subject.Bind(portOf(other), LOCALHOST))
    must(subject.Bind(0))


@provoked("BindEx ConnectEx", WSAEFAULT, "The entry has no address.", further=True)
def anEntryWithoutAddress(reactor: Any, member: str) -> Iterator[Failing]:
    subject = opened(reactor)
    assert getattr(subject, member)((AF_INET, SOCK_STREAM, 0, "", None)) is False and GetLastError() == WSAEFAULT
    yield Failing(subject, lambda: getattr(subject, member)((AF_INET, SOCK_STREAM, 0)))
    must(subject.BindEx(entry(0)))


@provoked(
    "BindEx ConnectEx", WSAEINVAL, "`pAI` is `None`. What `Bind` and `Connect` fail with can be left too.", further=True
)
def noEntry(reactor: Any, member: str) -> Iterator[Failing]:
    subject = opened(reactor)
    yield Failing(subject, lambda: getattr(subject, member)(None))
    must(subject.BindEx(entry(0)))
    assert not subject.BindEx(entry(0)) and GetLastError() == WSAEINVAL


@provoked("Assign", WSAEMFILE, OUT_OF_DESCRIPTORS + " Nothing was touched.", CLOSE_SOME, further=True)
def assignedWithoutDescriptors(reactor: Any, member: str) -> Iterator[Failing]:
    source, subject = created(reactor), created(reactor)
    with noDescriptors():
        yield Failing(subject, lambda: subject.Assign(source))
    must(subject.Assign(source))
