"""
The errors of the members that make a connection: Listen, Accept, Connect.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

from _errors_every import (
    CALLS,
    CLOSE_SOME,
    LATER,
    NO_BUFFERS,
    OUT_OF_DESCRIPTORS,
    calling,
    connected,
    created,
    noDescriptors,
    opened,
)
from _errortable import STAGES, Failing, fault, meaningless, provoked
from _reactors import Recorder, must
from _resolvers import Never
from _streams import LOCALHOST, beginConnect, listening, peerOf, portOf

from twisted_casync import (
    AF_UNIX,
    SO_REUSEADDR,
    SOCK_DGRAM,
    WSAEADDRINUSE,
    WSAEADDRNOTAVAIL,
    WSAEAFNOSUPPORT,
    WSAEALREADY,
    WSAECONNREFUSED,
    WSAEDESTADDRREQ,
    WSAEFAULT,
    WSAEINVAL,
    WSAEISCONN,
    WSAEMFILE,
    WSAENETUNREACH,
    WSAENOBUFS,
    WSAEOPNOTSUPP,
    WSAETIMEDOUT,
    WSAEWOULDBLOCK,
    GetLastError,
)

# -- Listen


@provoked(
    "Listen",
    WSAEADDRINUSE,
    "A socket of another program, or another thread, listens at the address and port.",
    "`Close` this one.",
)
def listeningWhereAnotherProgramDoes(reactor: Any, member: str) -> Iterator[Failing]:
    subject = opened(reactor)
    with socket.socket() as other:
        # With that Linux lets both bind.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((LOCALHOST, 0))
        must(subject.Bind(other.getsockname()[1], LOCALHOST))
        other.listen()
        yield Failing(subject, subject.Listen)
    must(subject.Listen())


@provoked("Listen", WSAEINVAL, "The socket is not bound, or it is connected or connecting.", "`Bind` it first.")
def listeningUnbound(reactor: Any, member: str) -> Iterator[Failing]:
    subject = opened(reactor)
    yield Failing(subject, subject.Listen)
    must(subject.Bind(0))
    must(subject.Listen())


meaningless(
    "Listen",
    WSAEISCONN,
    "A connected socket's is `WSAEINVAL`, which the reference has for it too.",
)
fault("Listen", WSAEMFILE, "listen", OUT_OF_DESCRIPTORS + " Linux needs none for this.", CLOSE_SOME)
fault("Listen", WSAENOBUFS, "listen", NO_BUFFERS, LATER)


@provoked("Listen", WSAEOPNOTSUPP, "It is a datagram socket.")
def listeningForDatagrams(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor, SOCK_DGRAM)
    yield Failing(subject, subject.Listen)
    must(subject.SendTo(b"x", None, subject.GetSockName()))


# -- Accept


@provoked("Accept", WSAEFAULT, "`lpSockAddrLen` has no room for the address. The connection goes on waiting.")
def acceptedIntoAShortAddress(reactor: Any, member: str) -> Iterator[Failing]:
    with STAGES[member](reactor, member) as (listener, call):
        yield Failing(listener, lambda: listener.Accept(Recorder(reactor), False, 15))
        must(call())


@provoked(
    "Accept",
    WSAEINVAL,
    "`Listen` was not called, or `rConnectedSocket` has a socket already.",
    "Accept each connection into a new object.",
)
def acceptedWithoutListening(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor)
    yield Failing(subject, calling(subject, member))
    must(subject.Listen())
    with peerOf(subject):
        assert subject.Accept(created(reactor)) is False
        assert GetLastError() == WSAEINVAL
        must(subject.Accept(Recorder(reactor)))


@provoked(
    "Accept",
    WSAEMFILE,
    OUT_OF_DESCRIPTORS,
    "Nothing needs to be done: the connection waits, and `OnAccept` comes again in a tenth of a second, until one "
    "is free.",
)
def acceptedWithoutDescriptors(reactor: Any, member: str) -> Iterator[Failing]:
    with STAGES[member](reactor, member) as (listener, call):
        with noDescriptors():
            yield Failing(listener, call)
        must(call())


fault("Accept", WSAENOBUFS, "_accept", NO_BUFFERS, "As for `WSAEMFILE`.")


@provoked("Accept", WSAEOPNOTSUPP, "It is a datagram socket: those have no connections to accept.")
def acceptedFromDatagrams(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor, SOCK_DGRAM)
    yield Failing(subject, calling(subject, member))
    must(subject.SendTo(b"x", None, subject.GetSockName()))


@provoked("Accept", WSAEWOULDBLOCK, "No client waits, or it has gone meanwhile.", "Wait for `OnAccept`.")
def acceptedNobody(reactor: Any, member: str) -> Iterator[Failing]:
    listener = listening(reactor)
    yield Failing(listener, calling(listener, member))
    with peerOf(listener):
        must(CALLS[member](listener))


# -- Connect


@provoked(
    "Connect",
    WSAEADDRINUSE,
    "The local address and port have a connection to this peer already, or there is no free port left.",
    "Let the system choose the local port.",
)
def connectedTwiceBetweenTheSameAddresses(reactor: Any, member: str) -> Iterator[Failing]:
    listener = listening(reactor)
    first, subject = opened(reactor), opened(reactor)
    must(first.SetSockOpt(SO_REUSEADDR, True) and first.Bind(0, LOCALHOST))
    must(subject.SetSockOpt(SO_REUSEADDR, True) and subject.Bind(portOf(first), LOCALHOST))
    beginConnect(first, portOf(listener))
    yield Failing(subject, lambda: subject.Connect(LOCALHOST, portOf(listener)))
    beginConnect(subject, portOf(listening(reactor)))


@provoked("Connect", WSAEADDRNOTAVAIL, "The address is `0.0.0.0` or `::`, or the port is 0.")
def connectedToNowhere(reactor: Any, member: str) -> Iterator[Failing]:
    subject, port = created(reactor), portOf(listening(reactor))
    yield Failing(subject, lambda: subject.Connect("0.0.0.0", port))
    assert subject.Connect(LOCALHOST, 0) is False and GetLastError() == WSAEADDRNOTAVAIL
    beginConnect(subject, port)


@provoked("Connect", WSAEAFNOSUPPORT, "The address is of another family than the socket.", "See `CreateEx`.")
def connectedToAnotherFamily(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor)
    yield Failing(subject, lambda: subject.Connect("::1", 7))
    beginConnect(subject, portOf(listening(reactor)))


@provoked(
    "Connect",
    WSAECONNREFUSED,
    "At once only of a UNIX socket: nobody listens at the path, or too many wait there. Else `OnConnect` tells it.",
)
def connectedToNobody(reactor: Any, member: str) -> Iterator[Failing]:
    path = b"\0casync errors %d" % os.getpid()
    nobody, subject = opened(reactor, family=AF_UNIX), opened(reactor, family=AF_UNIX)
    must(nobody.Bind(path))
    yield Failing(subject, lambda: subject.Connect(path))
    must(nobody.Listen())
    must(subject.Connect(path))


meaningless("Connect", WSAEDESTADDRREQ, "The host is an argument that can't be left out.")


@provoked("Connect", WSAEFAULT, "`nSockAddrLen` is shorter than a SOCKADDR of this family.", "Leave it out.")
def connectedToAShortAddress(reactor: Any, member: str) -> Iterator[Failing]:
    subject, port = created(reactor), portOf(listening(reactor))
    yield Failing(subject, lambda: subject.Connect((LOCALHOST, port), 15))
    beginConnect(subject, port)


@provoked(
    "Connect",
    WSAEINVAL,
    "The port is none of 0 to 65535, the text can't be a host name, or the socket listens.",
)
def connectedToABadHost(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor)
    yield Failing(subject, lambda: subject.Connect("no..host", 7))
    assert subject.Connect(LOCALHOST, 65536) is False and GetLastError() == WSAEINVAL
    listener = listening(reactor)
    assert listener.Connect(LOCALHOST, 7) is False and GetLastError() == WSAEINVAL
    beginConnect(subject, portOf(listener))


@provoked("Connect", WSAEISCONN, "The socket is connected, or was until the peer went.", "Use another object.")
def connectedTwice(reactor: Any, member: str) -> Iterator[Failing]:
    with connected(reactor) as (subject, peer):
        yield Failing(subject, lambda: subject.Connect(*peer.getsockname()))
        must(subject.Send(b"x"))


fault("Connect", WSAEMFILE, "connect_ex", OUT_OF_DESCRIPTORS + " Linux needs none for this.", CLOSE_SOME)


@provoked("Connect", WSAENETUNREACH, "The system knows no way to that network.")
def connectedToAnUnreachableNetwork(reactor: Any, member: str) -> Iterator[Failing]:
    subject = opened(reactor)
    # To a broadcast address there is no connection, whatever networks this machine has.
    yield Failing(subject, lambda: subject.Connect("255.255.255.255", 7))
    beginConnect(subject, portOf(listening(reactor)))


fault("Connect", WSAENOBUFS, "connect_ex", NO_BUFFERS, LATER)
meaningless("Connect", WSAETIMEDOUT, "`Connect` does not wait for an answer; `OnConnect` tells that there was none.")


@provoked(
    "Connect",
    WSAEWOULDBLOCK,
    "The attempt has begun: this is what nearly every `Connect` leaves, and always with a host name.",
    "No failure: wait for `OnConnect`.",
)
def connectingAsUsual(reactor: Any, member: str) -> Iterator[Failing]:
    subject, listener = created(reactor), listening(reactor)
    yield Failing(subject, lambda: subject.Connect(LOCALHOST, portOf(listener)))
    must(listener.Accept(Recorder(reactor)))


@provoked("Connect", WSAEALREADY, "An attempt is under way.", "Wait for its `OnConnect`.", further=True)
def connectedWhileConnecting(reactor: Any, member: str) -> Iterator[Failing]:
    reactor.installNameResolver(Never())
    subject = created(reactor)
    beginConnect(subject, 7, "server.invalid")
    yield Failing(subject, lambda: subject.Connect(LOCALHOST, 7))
