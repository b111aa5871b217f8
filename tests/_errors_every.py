"""
The errors that every member has, and the sockets on which each member succeeds.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from _errortable import STAGES, Failing, fault, injected, meaningless, provoked, stage
from _reactors import LIMIT, Recorder, must
from _streams import LOCALHOST, accepted, listening, peerOf, portOf

from twisted_casync import (
    AF_INET,
    FIONREAD,
    SO_KEEPALIVE,
    SO_TYPE,
    SOCK_DGRAM,
    SOCK_STREAM,
    WSAEINPROGRESS,
    WSAENETDOWN,
    WSAENOTSOCK,
    WSAEWOULDBLOCK,
    WSANOTINITIALISED,
    GetLastError,
)

MEMBERS = (
    "Accept AsyncSelect Bind Connect GetPeerName GetPeerNameEx GetSockName GetSockNameEx GetSockOpt IOCtl Listen "
    "Receive ReceiveFrom ReceiveFromEx Send SendTo SendToEx SetSockOpt ShutDown"
)
"""Those that are called on a socket that is open."""
CREATING = "Create CreateEx"
RECEIVING = "Receive ReceiveFrom ReceiveFromEx"
SENDING = "Send SendTo SendToEx"


def entry(port: int) -> Any:
    """
    @return: an entry of getaddrinfo.
    """
    return socket.getaddrinfo(LOCALHOST, port, type=SOCK_STREAM)[0]


CALLS: dict[str, Callable[[Recorder], Any]] = {
    "Accept": lambda s: s.Accept(Recorder(s._as_asked)),
    "AsyncSelect": lambda s: s.AsyncSelect(),
    "Detach": lambda s: s.Detach(),
    "Bind": lambda s: s.Bind(0),
    "BindEx": lambda s: s.BindEx(entry(0)),
    "Connect": lambda s: s.Connect(LOCALHOST, 7),
    "ConnectEx": lambda s: s.ConnectEx(entry(7)),
    "Create": lambda s: s.Create(),
    "Socket": lambda s: s.Socket(),
    "CreateEx": lambda s: s.CreateEx((AF_INET, SOCK_STREAM, 0)),
    "GetPeerName": lambda s: s.GetPeerName(),
    "GetPeerNameEx": lambda s: s.GetPeerNameEx(),
    "GetSockName": lambda s: s.GetSockName(),
    "GetSockNameEx": lambda s: s.GetSockNameEx(),
    "GetSockOpt": lambda s: s.GetSockOpt(SO_TYPE),
    "IOCtl": lambda s: s.IOCtl(FIONREAD),
    "Listen": lambda s: s.Listen(),
    "Receive": lambda s: s.Receive(bytearray(9)),
    "ReceiveFrom": lambda s: s.ReceiveFrom(bytearray(9)),
    "ReceiveFromEx": lambda s: s.ReceiveFromEx(bytearray(9)),
    "Send": lambda s: s.Send(b"x"),
    "SendTo": lambda s: s.SendTo(b"x", None, 7, LOCALHOST),
    "SendToEx": lambda s: s.SendToEx(b"x", None, 7, LOCALHOST),
    "SetSockOpt": lambda s: s.SetSockOpt(SO_KEEPALIVE, True),
    "ShutDown": lambda s: s.ShutDown(),
}
"""A call of each member as programs make it."""


def calling(subject: Recorder, member: str) -> Callable[[], Any]:
    """
    @return: what makes the call of L{CALLS}.
    """
    return lambda: CALLS[member](subject)


# -- sockets


def created(reactor: Any, kind: int = SOCK_STREAM, host: str | None = LOCALHOST) -> Recorder:
    """
    @return: a socket that was created, and bound.
    """
    subject = Recorder(reactor)
    must(subject.Create(0, kind, lpszSocketAddress=host))
    return subject


def opened(reactor: Any, kind: int = SOCK_STREAM, family: int = AF_INET) -> Recorder:
    """
    @return: a socket that is not bound.
    """
    subject = Recorder(reactor)
    must(subject.Socket(kind, nAddressFormat=family))
    return subject


def readable(subject: Recorder) -> None:
    """
    Wait, without the reactor, until a socket is readable.
    """
    assert select.select([subject], [], [], LIMIT)[0]


@contextmanager
def connected(reactor: Any) -> Iterator[tuple[Recorder, socket.socket]]:
    """
    A connected stream socket and its peer.
    """
    subject, peer = accepted(reactor)
    with peer:
        yield subject, peer


@contextmanager
def datagrams(reactor: Any) -> Iterator[tuple[Recorder, socket.socket]]:
    """
    A bound datagram socket, and a plain one at the same address that it can exchange datagrams with.
    """
    subject = created(reactor, SOCK_DGRAM)
    with socket.socket(AF_INET, SOCK_DGRAM) as peer:
        peer.bind((LOCALHOST, 0))
        yield subject, peer


@contextmanager
def everySocket(method: str, number: int) -> Iterator[None]:
    """
    A method of all sockets of this process fails, also of those that do not exist yet.

    @param method: its name; C{__init__} is socket(2).
    @param number: the C{errno} that it fails with.
    """

    def fail(self: socket.socket, *args: Any, **kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number))

    with mock.patch.object(socket.socket, method, fail):
        yield


@contextmanager
def noDescriptors(left: int = 0) -> Iterator[None]:
    """
    This process can open no more descriptors, but for so many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probes = [os.open(os.devnull, os.O_RDONLY) for _ in range(left + 1)]
    for probe in probes:
        os.close(probe)
    # The limit is one above the highest number that can be had, and the lowest that is free is given out first.
    resource.setrlimit(resource.RLIMIT_NOFILE, (probes[-1], hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# -- what each member succeeds on


@stage("Accept")
def _accept(reactor: Any, member: str) -> Iterator[tuple[Recorder, Callable[[], Any]]]:
    listener = listening(reactor)
    with peerOf(listener):
        yield listener, calling(listener, member)


@stage("Bind BindEx")
def _bind(reactor: Any, member: str) -> Iterator[tuple[Recorder, Callable[[], Any]]]:
    subject = opened(reactor)
    yield subject, calling(subject, member)


@stage("Connect")
def _connect(reactor: Any, member: str) -> Iterator[tuple[Recorder, Callable[[], Any]]]:
    subject = opened(reactor)
    port = portOf(listening(reactor))
    # Begun is as good as done.
    yield subject, lambda: subject.Connect(LOCALHOST, port) or GetLastError() == WSAEWOULDBLOCK


@stage("GetSockName GetSockNameEx GetSockOpt IOCtl Listen SetSockOpt")
def _created(reactor: Any, member: str) -> Iterator[tuple[Recorder, Callable[[], Any]]]:
    subject = created(reactor)
    yield subject, calling(subject, member)


@stage("GetPeerName GetPeerNameEx")
def _peer(reactor: Any, member: str) -> Iterator[tuple[Recorder, Callable[[], Any]]]:
    # A connected stream's peer is known without asking.
    subject = created(reactor, SOCK_DGRAM)
    must(subject.Connect(LOCALHOST, 7))
    yield subject, calling(subject, member)


@stage("Receive ReceiveFrom ReceiveFromEx")
def _receive(reactor: Any, member: str) -> Iterator[tuple[Recorder, Callable[[], Any]]]:
    with datagrams(reactor) as (subject, peer):
        peer.sendto(b"datagram", must(subject.GetSockName()))
        readable(subject)
        yield subject, calling(subject, member)


@stage("Send ShutDown")
def _connected(reactor: Any, member: str) -> Iterator[tuple[Recorder, Callable[[], Any]]]:
    with connected(reactor) as (subject, _):
        yield subject, calling(subject, member)


@stage("SendTo SendToEx")
def _send(reactor: Any, member: str) -> Iterator[tuple[Recorder, Callable[[], Any]]]:
    with datagrams(reactor) as (subject, peer):
        yield subject, lambda: getattr(subject, member)(b"x", None, peer.getsockname())


# -- the rows

OUT_OF_DESCRIPTORS = "The process has as many descriptors open as it may have (`ulimit -n`)."
CLOSE_SOME = "Close some, or raise the limit."
NO_BUFFERS = "The system is out of memory for sockets."
LATER = "Try again later."
ELSEWHERE = (
    "The call is made in another thread than the socket's, or `AfxSocketTerm` has ended this thread's use of sockets.",
    "Let the reactor's thread make it: `reactor.callFromThread(...)`.",
)
UNOPENED = (
    "The object has no socket: none was created, or it was closed or detached.",
    "`Create` it first. After `Close` in a handler this is no surprise: return from the handler.",
)
NETDOWN = (
    "The system says that its network has failed.",
    "Close the socket. Try anew later.",
)


@provoked(MEMBERS, WSANOTINITIALISED, *ELSEWHERE)
def anotherThread(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor)
    yield Failing(subject, calling(subject, member), elsewhere=True)
    must(subject.Listen())


@provoked("BindEx ConnectEx", WSANOTINITIALISED, *ELSEWHERE, further=True)
def anotherThreadWithAnEntry(reactor: Any, member: str) -> Iterator[Failing]:
    yield from anotherThread(reactor, member)


@provoked(
    CREATING,
    WSANOTINITIALISED,
    "The calling thread is not the reactor's, and has not called `AfxSocketInit` with a reactor of its own.",
    "Create sockets in the reactor's thread, or give the thread its own reactor first.",
)
def uninitialisedThread(reactor: Any, member: str) -> Iterator[Failing]:
    subject = Recorder(reactor)
    yield Failing(subject, calling(subject, member), elsewhere=True, closed=True)
    must(CALLS[member](subject))


@provoked(" ".join(m for m in MEMBERS.split() if m != "AsyncSelect"), WSAENOTSOCK, *UNOPENED)
def noSocket(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor)
    subject.Close()
    yield Failing(subject, calling(subject, member), closed=True)
    must(subject.Create())


@provoked("AsyncSelect BindEx ConnectEx Detach", WSAENOTSOCK, *UNOPENED, further=True)
def noSocketToSelectFor(reactor: Any, member: str) -> Iterator[Failing]:
    subject = Recorder(reactor)
    yield Failing(subject, calling(subject, member), closed=True)
    must(subject.Create())


meaningless(
    f"{MEMBERS} {CREATING}",
    WSAEINPROGRESS,
    "No call ever waits, so that none can be made while another one is waiting.",
)

for _members, _method in {
    "Accept": "_accept",
    "Bind": "bind",
    "Connect": "connect_ex",
    "GetPeerName GetPeerNameEx": "getpeername",
    "GetSockName GetSockNameEx": "getsockname",
    "GetSockOpt": "getsockopt",
    "Listen": "listen",
    RECEIVING: "recvfrom_into",
    "SendTo SendToEx": "sendto",
    "SetSockOpt": "setsockopt",
    "ShutDown": "shutdown",
}.items():
    fault(_members, WSAENETDOWN, _method, *NETDOWN)
fault("Send", WSAENETDOWN, "send", *NETDOWN, fatal=True)


@injected(CREATING, WSAENETDOWN, *NETDOWN)
def createdWithoutNetwork(reactor: Any, member: str) -> Iterator[Failing]:
    subject = Recorder(reactor)
    with everySocket("__init__", errno.ENETDOWN):
        yield Failing(subject, calling(subject, member), closed=True)
    must(CALLS[member](subject))


@injected("IOCtl", WSAENETDOWN, *NETDOWN)
def askedWithoutNetwork(reactor: Any, member: str) -> Iterator[Failing]:
    with STAGES[member](reactor, member) as (subject, call):
        with mock.patch.object(fcntl, "ioctl", side_effect=OSError(errno.ENETDOWN, "")):
            yield Failing(subject, call)
        assert call() == 0


meaningless("AsyncSelect", WSAENETDOWN, "`AsyncSelect` asks nothing of the network.")
