"""
The errors of the members that move data: Receive, Send and their kin.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from _errors_every import CALLS, RECEIVING, SENDING, calling, connected, created, datagrams, opened, readable
from _errortable import STAGES, Failing, fault, injected, meaningless, provoked, restore
from _faults import failing, script
from _reactors import LIMIT, Recorder, must
from _resolvers import Book
from _streams import LOCALHOST, fill, listening, reset

from twisted_casync import (
    AF_INET6,
    MSG_DONTROUTE,
    MSG_OOB,
    SO_BROADCAST,
    SO_OOBINLINE,
    SO_SNDBUF,
    SOCK_DGRAM,
    SOCKET_ERROR,
    WSAEACCES,
    WSAEADDRNOTAVAIL,
    WSAEAFNOSUPPORT,
    WSAECONNABORTED,
    WSAECONNRESET,
    WSAEDESTADDRREQ,
    WSAEFAULT,
    WSAEINVAL,
    WSAEMSGSIZE,
    WSAENETRESET,
    WSAENETUNREACH,
    WSAENOBUFS,
    WSAENOTCONN,
    WSAEOPNOTSUPP,
    WSAESHUTDOWN,
    WSAEWOULDBLOCK,
    WSAHOST_NOT_FOUND,
    CAsyncSocket,
    GetLastError,
)

TO = "SendTo SendToEx"
FROM = "ReceiveFrom ReceiveFromEx"
GONE = "`Close` the socket. `OnClose` tells the same."
LONGEST = 65507
"""Of what IPv4 lets UDP carry."""


@contextmanager
def timedOut(reactor: Any) -> Iterator[Recorder]:
    """
    A connection that the system gives up, because the peer has no room for what is sent to it.
    """
    listener = listening(reactor)
    # The peer's window is the smaller of the two.
    must(listener.SetSockOpt(SO_SNDBUF, 4096))
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(must(listener.GetSockName()))
        readable(listener)
        subject = Recorder(reactor)
        must(listener.Accept(subject))
        endures(subject, 1)
        happens = select.poll()
        happens.register(subject, select.POLLOUT)
        # A hangup is told unasked.
        while not happens.poll(LIMIT * 1000)[0][1] & select.POLLHUP:
            fill(subject)
        yield subject


def endures(subject: Recorder, milliseconds: int) -> None:
    """
    Let a connection time out soon; Winsock has no option for it.
    """
    assert subject._as_sock is not None
    subject._as_sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def sending(subject: Recorder, member: str, *arguments: Any) -> Callable[[], Any]:
    """
    @param arguments: those of the member after the destination, which C{Send} has not.
    @return: what makes a call of a connected stream.
    """
    if member == "Send":
        return lambda: subject.Send(b"xyz", *arguments)
    return lambda: getattr(subject, member)(b"xyz", arguments[0] if arguments else None, 7, LOCALHOST, *arguments[1:])


# -- receiving


@provoked(RECEIVING, WSAENOTCONN, "The stream socket is not connected: not yet, or its attempt has failed.")
def receivedUnconnected(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor)
    yield Failing(subject, calling(subject, member))
    must(subject.Listen())


@provoked(RECEIVING, WSAEOPNOTSUPP, "`MSG_OOB` on a datagram socket: those have no urgent data.")
def receivedUrgentDatagram(reactor: Any, member: str) -> Iterator[Failing]:
    with STAGES[member](reactor, member) as (subject, call):
        yield Failing(subject, lambda: getattr(subject, member)(bytearray(9), None, MSG_OOB))
        must(call())


@provoked(
    RECEIVING,
    WSAESHUTDOWN,
    "After `ShutDown(receives)`, or `both`, also when data waits.",
    "`Close` the socket when it is not needed to send.",
)
def receivedAfterShutDown(reactor: Any, member: str) -> Iterator[Failing]:
    with connected(reactor) as (subject, peer):
        peer.sendall(b"x")
        readable(subject)
        must(subject.ShutDown(CAsyncSocket.receives))
        yield Failing(subject, calling(subject, member))
        must(subject.Send(b"x"))


@provoked(RECEIVING, WSAEWOULDBLOCK, "Nothing has arrived.", "No failure: wait for `OnReceive`.")
def receivedNothing(reactor: Any, member: str) -> Iterator[Failing]:
    with datagrams(reactor) as (subject, peer):
        yield Failing(subject, calling(subject, member))
        peer.sendto(b"x", must(subject.GetSockName()))
        readable(subject)
        must(CALLS[member](subject))


@provoked(
    RECEIVING,
    WSAEMSGSIZE,
    "The datagram is longer than the buffer: that is filled, the rest is lost. `ReceiveFrom` tells the sender's "
    "address all the same.",
    "Give a buffer of the longest datagram that can come: 65507 bytes, or what the protocol allows.",
)
def receivedTooMuch(reactor: Any, member: str) -> Iterator[Failing]:
    with datagrams(reactor) as (subject, peer):
        peer.sendto(b"datagram", must(subject.GetSockName()))
        readable(subject)
        buffer = bytearray(4)
        yield Failing(subject, lambda: getattr(subject, member)(buffer))
        assert buffer == b"data"
        assert subject.Receive(buffer) == SOCKET_ERROR and GetLastError() == WSAEWOULDBLOCK


@provoked(
    RECEIVING,
    WSAEINVAL,
    "The datagram socket is not bound; or an unknown flag, or `MSG_OOB` while `SO_OOBINLINE` is on.",
    "`Create` binds. After `Socket`, `Bind` or send first.",
)
def receivedUnbound(reactor: Any, member: str) -> Iterator[Failing]:
    subject = opened(reactor, SOCK_DGRAM)
    yield Failing(subject, calling(subject, member))
    must(subject.Bind(0))
    assert subject.Receive(bytearray(1)) == SOCKET_ERROR and GetLastError() == WSAEWOULDBLOCK
    with connected(reactor) as (stream, _):
        must(stream.SetSockOpt(SO_OOBINLINE, True))
        assert stream.Receive(bytearray(1), None, MSG_OOB) == SOCKET_ERROR and GetLastError() == WSAEINVAL


@provoked(
    RECEIVING,
    WSAECONNABORTED,
    "The connection was given up on this side: the peer had not answered for too long, or was gone when something was "
    "sent to it.",
    GONE,
    slow=True,
)
def receivedAfterATimeout(reactor: Any, member: str) -> Iterator[Failing]:
    with timedOut(reactor) as subject:
        yield Failing(subject, calling(subject, member))
        assert CALLS[member](subject) in (SOCKET_ERROR, (SOCKET_ERROR, None)) and GetLastError() == WSAECONNABORTED


@provoked(
    RECEIVING,
    WSAECONNRESET,
    "The peer has reset the connection. Of a connected datagram socket: nobody is at the peer's port.",
    GONE + " A datagram socket can go on; it is told this by `OnReceive`.",
)
def receivedAfterAReset(reactor: Any, member: str) -> Iterator[Failing]:
    with connected(reactor) as (subject, peer):
        reset(peer)
        readable(subject)
        yield Failing(subject, calling(subject, member))
        assert CALLS[member](subject) in (SOCKET_ERROR, (SOCKET_ERROR, None)) and GetLastError() == WSAECONNRESET
    with datagrams(reactor) as (datagram, nobody):
        must(datagram.Connect(nobody.getsockname()))
        nobody.close()
        must(datagram.Send(b"x"))
        readable(datagram)
        assert datagram.Receive(bytearray(1)) == SOCKET_ERROR and GetLastError() == WSAECONNRESET
        assert datagram.Receive(bytearray(1)) == SOCKET_ERROR and GetLastError() == WSAEWOULDBLOCK


@provoked(
    FROM,
    WSAEFAULT,
    "`lpSockAddrLen` has no room for the address, or `nBufLen` is more than the buffer has. The datagram waits on.",
)
def receivedWithoutRoomForTheAddress(reactor: Any, member: str) -> Iterator[Failing]:
    with STAGES[member](reactor, member) as (subject, call):
        yield Failing(subject, lambda: getattr(subject, member)(bytearray(9), lpSockAddrLen=15))
        assert call()[0] == len(b"datagram")


@provoked("Receive", WSAEFAULT, "`nBufLen` is negative, or more than the buffer has.", further=True)
def receivedWithoutRoom(reactor: Any, member: str) -> Iterator[Failing]:
    with STAGES[member](reactor, member) as (subject, call):
        yield Failing(subject, lambda: subject.Receive(bytearray(9), 10))
        must(call())


# -- sending


@provoked(
    "Send",
    WSAEACCES,
    "The datagram socket is connected to a broadcast address, and `SO_BROADCAST` is off.",
    "`SetSockOpt(SO_BROADCAST, True)`, before `Connect`.",
)
def sentToABroadcastPeer(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor, SOCK_DGRAM, None)
    must(subject.SetSockOpt(SO_BROADCAST, True))
    must(subject.Connect("127.255.255.255", 7))
    must(subject.SetSockOpt(SO_BROADCAST, False))
    # Without the flag Linux goes the way that it found when it connected.
    yield Failing(subject, lambda: subject.Send(b"x", None, MSG_DONTROUTE))
    must(subject.SetSockOpt(SO_BROADCAST, True))
    must(subject.Send(b"x", None, MSG_DONTROUTE))


@provoked(
    TO,
    WSAEACCES,
    "A broadcast, which a call without a host is too, and `SO_BROADCAST` is off.",
    "`SetSockOpt(SO_BROADCAST, True)`.",
)
def sentToEveryone(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor, SOCK_DGRAM, None)
    yield Failing(subject, lambda: getattr(subject, member)(b"x", None, 7))
    must(subject.SetSockOpt(SO_BROADCAST, True))
    must(getattr(subject, member)(b"x", None, 7, "127.255.255.255"))


@provoked("Send", WSAEFAULT, "`nBufLen` is negative, or more than the buffer has.", "Leave it out.")
@provoked(
    TO,
    WSAEFAULT,
    "`nBufLen` is negative, or more than the buffer has; or `nSockAddrLen` is shorter than a SOCKADDR of this family.",
    "Leave them out: a `nBufLen` of `None` is the whole buffer.",
)
def sentMoreThanThereIs(reactor: Any, member: str) -> Iterator[Failing]:
    with connected(reactor) as (subject, _):
        yield Failing(subject, sending(subject, member, 10))
        must(sending(subject, member)())
    with datagrams(reactor) as (datagram, peer):
        assert datagram.SendTo(b"x", None, peer.getsockname(), 15) == SOCKET_ERROR and GetLastError() == WSAEFAULT


@injected(SENDING, WSAENETRESET, "The system says that it dropped the connection; Linux says `WSAECONNABORTED`.", GONE)
def sentOnADroppedConnection(reactor: Any, member: str) -> Iterator[Failing]:
    with connected(reactor) as (subject, _):
        stand = script(subject, {"send": failing(errno.ENETRESET)}.get)
        yield Failing(subject, sending(subject, member))
        restore(subject, stand)
        # To the rest of the class it is an abort.
        assert subject._as_error == WSAECONNABORTED


for _members, _method in {"Send": "send", TO: "sendto"}.items():
    fault(
        _members,
        WSAENOBUFS,
        _method,
        "The system is out of memory for sockets.",
        "Send again later. `OnSend` does not tell when.",
    )


@provoked("Send", WSAENOTCONN, "The socket is not connected.", "Wait for `OnConnect`.")
@provoked(TO, WSAENOTCONN, "The stream socket is not connected. An address does not help it.", "Wait for `OnConnect`.")
def sentUnconnected(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor)
    yield Failing(subject, sending(subject, member))
    must(subject.Listen())
    datagram = created(reactor, SOCK_DGRAM)
    assert datagram.Send(b"x") == SOCKET_ERROR and GetLastError() == WSAENOTCONN


@provoked(SENDING, WSAEOPNOTSUPP, "`MSG_OOB` on a datagram socket; or `MSG_PEEK`.")
def sentUrgentDatagram(reactor: Any, member: str) -> Iterator[Failing]:
    with datagrams(reactor) as (subject, peer):
        must(subject.Connect(peer.getsockname()))
        yield Failing(subject, sending(subject, member, None, MSG_OOB))
        must(subject.Send(b"x"))


@provoked(SENDING, WSAESHUTDOWN, "After `ShutDown`, whose default is `sends`, or `both`.")
def sentAfterShutDown(reactor: Any, member: str) -> Iterator[Failing]:
    with connected(reactor) as (subject, peer):
        must(subject.ShutDown())
        yield Failing(subject, sending(subject, member))
        peer.sendall(b"x")
        readable(subject)
        assert subject.Receive(bytearray(9)) == 1


@provoked("Send", WSAEWOULDBLOCK, "There is no room for more.", "No failure: keep the rest, and go on in `OnSend`.")
def sentUntilFull(reactor: Any, member: str) -> Iterator[Failing]:
    with connected(reactor) as (subject, _):
        fill(subject)
        yield Failing(subject, lambda: subject.Send(b"x"))


@provoked(
    TO,
    WSAEWOULDBLOCK,
    "There is no room for more; too many datagrams wait until a host name is looked up.",
    "No failure: send the same in `OnSend`.",
)
def sentToAName(reactor: Any, member: str) -> Iterator[Failing]:
    book = Book(reactor)
    with datagrams(reactor) as (subject, peer):
        send = getattr(subject, member)
        for _ in range(64):
            must(send(b"x", None, 7, "server.invalid"))
        yield Failing(subject, lambda: send(b"x", None, 7, "server.invalid"))
        book.answer()
        assert send(b"x", None, peer.getsockname()) == SOCKET_ERROR and GetLastError() == WSAHOST_NOT_FOUND
        must(send(b"x", None, peer.getsockname()))


@provoked(
    f"{SENDING} Receive {FROM}",
    WSAHOST_NOT_FOUND,
    "The host name of an earlier `SendTo` has no address. What was sent to it is lost. `OnReceive` tells it too.",
    "It is said once.",
    further=True,
)
def sentToANameBefore(reactor: Any, member: str) -> Iterator[Failing]:
    Book(reactor, late=False)
    with datagrams(reactor) as (subject, peer):
        must(subject.Connect(peer.getsockname()))
        must(subject.SendTo(b"x", None, 7, "server.invalid"))
        arguments: Any = (bytearray(1),) if member.startswith("Receive") else (b"x",)
        if member in TO.split():
            arguments = (b"x", None, peer.getsockname())
        yield Failing(subject, lambda: getattr(subject, member)(*arguments))
        must(subject.Send(b"x"))


@provoked(SENDING, WSAEMSGSIZE, "The datagram is longer than 65507 bytes (IPv4). None of it was sent.", "Send less.")
def sentTooMuch(reactor: Any, member: str) -> Iterator[Failing]:
    with datagrams(reactor) as (subject, peer):
        must(subject.Connect(peer.getsockname()))
        send = getattr(subject, member)
        to = () if member == "Send" else (None, peer.getsockname())
        yield Failing(subject, lambda: send(bytes(LONGEST + 1), *to))
        must(send(bytes(LONGEST), *to))


@provoked("Send", WSAEINVAL, "An unknown flag.")
def sentWithAnUnknownFlag(reactor: Any, member: str) -> Iterator[Failing]:
    with STAGES[member](reactor, member) as (subject, call):
        yield Failing(subject, lambda: subject.Send(b"x", None, 0x4000))
        must(call())


@provoked(
    TO,
    WSAEINVAL,
    "The text can't be a host name, or the port is none of 0 to 65535. Or an unknown flag.",
)
def sentToABadHost(reactor: Any, member: str) -> Iterator[Failing]:
    with STAGES[member](reactor, member) as (subject, call):
        yield Failing(subject, lambda: getattr(subject, member)(b"x", None, 7, "no..host"))
        assert subject.SendTo(b"x", None, 65536, LOCALHOST) == SOCKET_ERROR and GetLastError() == WSAEINVAL
        must(call())


@provoked(
    SENDING,
    WSAECONNABORTED,
    "The connection was given up on this side: the peer had not answered for too long. The first call says so, further "
    "ones say `WSAECONNRESET`.",
    GONE,
    slow=True,
)
def sentAfterATimeout(reactor: Any, member: str) -> Iterator[Failing]:
    with timedOut(reactor) as subject:
        yield Failing(subject, sending(subject, member))
        assert subject.Receive(bytearray(1)) == SOCKET_ERROR and GetLastError() == WSAECONNABORTED


@provoked(SENDING, WSAECONNRESET, "The peer has reset the connection, or was gone when something was sent to it.", GONE)
def sentAfterAReset(reactor: Any, member: str) -> Iterator[Failing]:
    with connected(reactor) as (subject, peer):
        reset(peer)
        readable(subject)
        yield Failing(subject, sending(subject, member))
        assert subject.Send(b"x") == SOCKET_ERROR and GetLastError() == WSAECONNRESET


@provoked(TO, WSAEADDRNOTAVAIL, "The address is `0.0.0.0` or `::`.")
def sentNowhere(reactor: Any, member: str) -> Iterator[Failing]:
    with STAGES[member](reactor, member) as (subject, call):
        yield Failing(subject, lambda: getattr(subject, member)(b"x", None, 7, "0.0.0.0"))
        must(call())


@provoked(TO, WSAEAFNOSUPPORT, "The address is of another family than the socket.", "Make the socket with `CreateEx`.")
def sentToAnotherFamily(reactor: Any, member: str) -> Iterator[Failing]:
    subject = opened(reactor, SOCK_DGRAM, AF_INET6)
    yield Failing(subject, lambda: getattr(subject, member)(b"x", None, 7, LOCALHOST))
    must(subject.Bind(0))


meaningless(TO, WSAEDESTADDRREQ, "There always is a destination: without a host it is a broadcast.")


@provoked(TO, WSAENETUNREACH, "The system knows no way to that network; with `MSG_DONTROUTE`, it is not attached.")
def sentToAnUnreachableNetwork(reactor: Any, member: str) -> Iterator[Failing]:
    subject = created(reactor, SOCK_DGRAM, None)
    # Of the block that is kept for documentation (RFC 5737): no machine is in that network.
    yield Failing(subject, lambda: getattr(subject, member)(b"x", None, 7, "198.51.100.1", MSG_DONTROUTE))
    must(getattr(subject, member)(b"x", None, must(subject.GetSockName())[1], LOCALHOST))
