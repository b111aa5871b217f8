"""
The codes that the handlers are told.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable, Generator
from typing import Any

from _errors_data import endures
from _errors_every import created, opened
from _errortable import injected, meaningless, provoked
from _faults import failing, script
from _reactors import LIMIT, Recorder, must
from _streams import LOCALHOST, accepted, beginConnect, fill, listening, peerOf, portOf, refusingPort, reset

from twisted_casync import (
    AF_INET6,
    SO_REUSEADDR,
    SO_SNDBUF,
    WSAEADDRINUSE,
    WSAEADDRNOTAVAIL,
    WSAEAFNOSUPPORT,
    WSAECONNABORTED,
    WSAECONNREFUSED,
    WSAECONNRESET,
    WSAEDESTADDRREQ,
    WSAEFAULT,
    WSAEHOSTUNREACH,
    WSAEINVAL,
    WSAEISCONN,
    WSAEMFILE,
    WSAENETDOWN,
    WSAENETUNREACH,
    WSAENOBUFS,
    WSAENOTCONN,
    WSAENOTSOCK,
    WSAETIMEDOUT,
    WSAHOST_NOT_FOUND,
    WSAError,
)
from twisted_casync.testing._resolver import KnownHosts

Scene = Generator[Callable[[], bool], None, Recorder]

NAME = "server.invalid"
AGAIN = "The object can `Connect` again."


def knowing(reactor: Any, *addresses: str) -> None:
    """
    There is one name, with these addresses.
    """
    reactor.installNameResolver(KnownHosts(reactor, {NAME: addresses}))


def told(subject: Recorder, handler: str) -> Callable[[], bool]:
    """
    @return: the condition that a handler was called.
    """
    return lambda: handler in subject.names()


# -- what is told without an error


@provoked("OnAccept", WSAError.NO_ERROR, "A client waits.", "`Accept` it.")
def aClientWaits(reactor: Any) -> Scene:
    listener = listening(reactor)
    with peerOf(listener):
        yield told(listener, "OnAccept")
    return listener


@provoked("OnConnect", WSAError.NO_ERROR, "The connection is made.", "Send what is to be said first; `OnSend` follows.")
def aConnectionIsMade(reactor: Any) -> Scene:
    subject = created(reactor)
    beginConnect(subject, portOf(listening(reactor)))
    yield told(subject, "OnConnect")
    return subject


@provoked("OnReceive", WSAError.NO_ERROR, "Data waits.", "`Receive` it.")
def dataArrives(reactor: Any) -> Scene:
    subject, peer = accepted(reactor)
    with peer:
        peer.sendall(b"x")
        yield told(subject, "OnReceive")
    return subject


@provoked("OnSend", WSAError.NO_ERROR, "There is room to send.", "`Send` what is left to be sent.")
def thereIsRoom(reactor: Any) -> Scene:
    subject, peer = accepted(reactor)
    with peer:
        yield told(subject, "OnSend")
    return subject


@provoked("OnOutOfBandData", WSAError.NO_ERROR, "An urgent byte waits.", "`Receive` it, with `MSG_OOB`.")
def urgentDataArrives(reactor: Any) -> Scene:
    subject, peer = accepted(reactor)
    with peer:
        peer.send(b"!", socket.MSG_OOB)
        yield told(subject, "OnOutOfBandData")
    return subject


@provoked(
    "OnClose",
    WSAError.NO_ERROR,
    "The peer has ended its stream, and all of it was read.",
    "`Close`, or send the rest first.",
)
def thePeerEnds(reactor: Any) -> Scene:
    subject, peer = accepted(reactor)
    peer.close()
    yield told(subject, "OnClose")
    return subject


meaningless(
    "OnAccept OnReceive OnSend OnOutOfBandData",
    WSAENETDOWN,
    "Linux says of no readiness that the network has failed: `OnClose` tells it, and the members that are called.",
)

# -- how a connection ends


@injected("OnClose", WSAENETDOWN, "The system says that its network has failed.", "`Close`. Try anew later.")
def theNetworkFails(reactor: Any) -> Scene:
    subject, peer = accepted(reactor)

    def networkFails(name: str, call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        assert arguments == (socket.SOL_SOCKET, socket.SO_ERROR)
        return errno.ENETDOWN

    script(subject, {"getsockopt": networkFails}.get)
    reset(peer)
    yield told(subject, "OnClose")
    return subject


@provoked(
    "OnClose",
    WSAECONNRESET,
    "The peer has reset the connection. That does not wait until its data is read.",
    "`Close`.",
)
def thePeerResets(reactor: Any) -> Scene:
    subject, peer = accepted(reactor)
    reset(peer)
    yield told(subject, "OnClose")
    return subject


@provoked(
    "OnClose",
    WSAECONNABORTED,
    "The connection was given up on this side: the peer had not answered for too long; or a handler has raised an "
    "exception, or the reactor stops: then the socket is closed already.",
    "`Close`. After an exception look into the log.",
    slow=True,
)
def thePeerIsSilent(reactor: Any) -> Scene:
    listener = listening(reactor)
    must(listener.SetSockOpt(SO_SNDBUF, 4096))
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(must(listener.GetSockName()))
        yield told(listener, "OnAccept")
        subject = Recorder(reactor, OnSend=fill)
        must(listener.Accept(subject))
        endures(subject, 1)
        yield told(subject, "OnClose")
    return subject


# -- how an attempt to connect ends


def named(reactor: Any, *addresses: str, subject: Recorder | None = None, port: int = 7) -> Scene:
    """
    Connect to a name, and see how that ends.
    """
    knowing(reactor, *addresses)
    asking = created(reactor) if subject is None else subject
    beginConnect(asking, port, NAME)
    yield told(asking, "OnConnect")
    return asking


@provoked(
    "OnConnect",
    WSAEADDRINUSE,
    "The local address and port have a connection to this peer already, or there is no free port left.",
    "Let the system choose the local port: `Create()`.",
)
def connectedAlready(reactor: Any) -> Scene:
    port = portOf(listening(reactor))
    first, second = opened(reactor), opened(reactor)
    must(first.SetSockOpt(SO_REUSEADDR, True) and first.Bind(0, LOCALHOST))
    must(second.SetSockOpt(SO_REUSEADDR, True) and second.Bind(portOf(first), LOCALHOST))
    beginConnect(first, port)
    return (yield from named(reactor, LOCALHOST, subject=second, port=port))


@provoked("OnConnect", WSAEADDRNOTAVAIL, "The name's address is `0.0.0.0` or `::`, as of a blocked name.", AGAIN)
def theNameIsBlocked(reactor: Any) -> Scene:
    return (yield from named(reactor, "0.0.0.0"))


meaningless(
    "OnConnect",
    WSAEAFNOSUPPORT,
    "`Connect` says it at once, and of a name only the addresses of the socket's family are tried.",
)


@provoked("OnConnect", WSAECONNREFUSED, "The peer's machine has answered: nobody listens at the port.", AGAIN)
def nobodyListens(reactor: Any) -> Scene:
    port, holder = refusingPort()
    subject = created(reactor)
    with holder:
        beginConnect(subject, port)
        yield told(subject, "OnConnect")
    return subject


meaningless("OnConnect", WSAEDESTADDRREQ, "There is no attempt without an address.")
meaningless("OnConnect", WSAEFAULT, "`Connect` says it at once.")


@provoked(
    "OnConnect",
    WSAEINVAL,
    "There is no way from the address that the socket is bound to; or it is an IPv6 address of a link (`fe80::`) "
    "without a scope.",
    "Bind to no address: `Create()`.",
)
def thereIsNoWayFromHere(reactor: Any) -> Scene:
    return (yield from named(reactor, "fe80::1", subject=opened(reactor, family=AF_INET6)))


@provoked(
    "OnConnect",
    WSAEISCONN,
    "While the name was looked up, the socket was connected through another handle to it (`Assign`).",
)
def anotherObjectConnects(reactor: Any) -> Scene:
    port = portOf(listening(reactor))
    knowing(reactor, LOCALHOST)
    subject = created(reactor)
    beginConnect(subject, port, NAME)
    with socket.socket(fileno=os.dup(subject.m_hSocket)) as other:
        other.connect_ex((LOCALHOST, port))
        assert select.select([], [other], [], LIMIT)[1]
        # Until somebody has asked, Linux takes a further connect for that question.
        assert other.connect_ex((LOCALHOST, port)) == 0
        yield told(subject, "OnConnect")
    return subject


def _connectFails(code: WSAError) -> Callable[[Any], Scene]:
    def scene(reactor: Any) -> Scene:
        subject = created(reactor)
        script(subject, {"connect_ex": failing(getattr(errno, code.platform[0]))}.get)
        return (yield from named(reactor, LOCALHOST, subject=subject))

    return scene


injected(
    "OnConnect",
    WSAEMFILE,
    "The process has as many descriptors open as it may have. Linux needs none for this.",
    "Close some. " + AGAIN,
)(_connectFails(WSAEMFILE))


@provoked("OnConnect", WSAENETUNREACH, "The system knows no way to the peer's network.", AGAIN)
def thereIsNoWayToThere(reactor: Any) -> Scene:
    # To a broadcast address there is no connection, whatever networks this machine has.
    return (yield from named(reactor, "255.255.255.255"))


injected("OnConnect", WSAENOBUFS, "The system is out of memory for sockets.", AGAIN)(_connectFails(WSAENOBUFS))
meaningless("OnConnect", WSAENOTCONN, "An attempt that has failed says why.")


@provoked(
    "OnConnect",
    WSAENOTSOCK,
    "The descriptor was closed beneath the object, and is a file's now.",
    "`Close`.",
)
def theDescriptorIsAFile(reactor: Any) -> Scene:
    knowing(reactor, LOCALHOST)
    subject = created(reactor)
    beginConnect(subject, 7, NAME)
    with open(os.devnull) as file:
        os.dup2(file.fileno(), subject.m_hSocket)
        yield told(subject, "OnConnect")
    return subject


@provoked("OnConnect", WSAETIMEDOUT, "Nobody has answered, for as long as the system waits: minutes.", AGAIN, slow=True)
def nobodyAnswers(reactor: Any) -> Scene:
    # A listener whose queue is full leaves clients without an answer.
    with socket.socket() as busy, socket.socket() as first, socket.socket() as second:
        busy.bind((LOCALHOST, 0))
        busy.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(busy.getsockname())
        subject = created(reactor)
        endures(subject, 1)
        beginConnect(subject, busy.getsockname()[1])
        yield told(subject, "OnConnect")
    return subject


@provoked(
    "OnConnect",
    WSAHOST_NOT_FOUND,
    "There is no such host, or none of the socket's family.",
    AGAIN,
    further=True,
)
def thereIsNoSuchHost(reactor: Any) -> Scene:
    return (yield from named(reactor))


injected("OnConnect", WSAEHOSTUNREACH, "A router says that the host can't be reached.", AGAIN, further=True)(
    _connectFails(WSAEHOSTUNREACH)
)
