"""
Connected stream sockets, whose peers are the operating system's plain sockets: what those do is done at once.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from _reactors import LIMIT, Recorder, must

from twisted_casync import CAsyncSocket, GetLastError, WSAError

LOCALHOST = "127.0.0.1"


def listening(reactor: Any, host: str = LOCALHOST, port: int = 0, **handlers: Callable[..., Any]) -> Recorder:
    """
    @return: a socket that listens at a free port of C{host}.
    """
    listener = Recorder(reactor, **handlers)
    must(listener.Create(port, lpszSocketAddress=host))
    must(listener.Listen())
    return listener


def peerOf(listener: CAsyncSocket) -> socket.socket:
    """
    @return: a plain socket, connected to C{listener}, which can accept it from now on.
    """
    host, port = must(listener.GetSockName())
    peer = socket.create_connection((host, port), LIMIT)
    # What is sent in two pieces arrives at once, not when the first is acknowledged (Nagle's algorithm, RFC 896).
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    assert poller.poll(LIMIT * 1000)
    return peer


def accepted(
    reactor: Any, listener: Recorder | None = None, **handlers: Callable[..., Any]
) -> tuple[Recorder, socket.socket]:
    """
    @param listener: who accepts; one of its own where none is given.
    @return: a connected socket, and the plain socket of its peer.
    """
    door = listening(reactor) if listener is None else listener
    peer = peerOf(door)
    child = Recorder(reactor, **handlers)
    must(door.Accept(child))
    if listener is None:
        door.Close()
    return child, peer


def portOf(listener: CAsyncSocket) -> int:
    """
    @return: the port that it is bound to.
    """
    port: int = must(listener.GetSockName())[1]
    return port


def beginConnect(client: CAsyncSocket, port: int, host: str = LOCALHOST) -> None:
    """
    Connect as a program does: it would block, and OnConnect is to tell how it ends.
    """
    assert client.Connect(host, port) is False
    assert GetLastError() == WSAError.WSAEWOULDBLOCK


def fill(sender: Recorder, piece: int = 65536) -> int:
    """
    Send until it would block, and will until the peer receives.

    @param piece: the bytes of one Send.
    @return: how much went.
    """
    total = 0
    chunk = bytes(piece)
    while True:
        went = 0
        while (count := sender.Send(chunk)) > 0:
            went += count
        assert GetLastError() == WSAError.WSAEWOULDBLOCK
        total += went
        # Room that poll(2) finds too little to tell of takes a byte all the same: that it is full, only a Send tells.
        if not hasRoomAgain(sender) and not went:
            return total


# Of linux/sockios.h: what the peer has not acknowledged, and how much of that was never sent (tcp(7)).
_SIOCOUTQ, _SIOCOUTQNSD = 0x5411, 0x894B


def hasRoomAgain(sender: Any) -> bool:
    """
    On a busy machine Linux goes on moving what was sent to the peer's buffer after C{send} has returned.

    @return: was there room again, when nothing of the connection was on its way any more?
    """
    try:
        same = socket.socket(fileno=os.dup(sender.fileno()))
    except OSError:
        # It has no descriptor.
        return False
    with same:
        end = time.monotonic() + LIMIT
        while same.family != socket.AF_UNIX and _count(same, _SIOCOUTQ) != _count(same, _SIOCOUTQNSD):
            assert time.monotonic() < end, "it stays on its way"
            os.sched_yield()
        poller = select.poll()
        poller.register(same, select.POLLOUT)
        return bool(poller.poll(0))


def _count(sock: socket.socket, request: int) -> int:
    count: int = struct.unpack("i", fcntl.ioctl(sock, request, bytes(4)))[0]
    return count


def reset(peer: socket.socket) -> None:
    """
    Close a plain socket so that its connection is reset.
    """
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def refusingPort() -> tuple[int, socket.socket]:
    """
    @return: a port at which nobody listens, and what keeps others from it until it is closed.
    """
    holder = socket.socket()
    holder.bind((LOCALHOST, 0))
    return holder.getsockname()[1], holder


def freePort(kind: int = socket.SOCK_STREAM) -> int:
    """
    @return: a port that is free at every address of both families. What the system chooses for one address may be in
        use at another: by a connection in TIME_WAIT, say, that a test before this one left there.
    """
    with socket.socket(socket.AF_INET6, kind) as wide:
        wide.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        wide.bind(("::", 0))
        return int(wide.getsockname()[1])


def told(*names: str, code: int = 0) -> list[tuple[str, int]]:
    """
    What a L{Recorder} has been told, where no notification carried another error code.
    """
    return [(name, code) for name in names]
